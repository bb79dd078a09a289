"""Family `gearbox`: Gearbox pools of v1 to v3.1, their credit managers and oracles. I/O-free programs.

Pools are found from the address providers by block: v3.0's and v1's contracts registers list the pools of their time,
v3.1's market configurators (and the legacy ones, which no factory lists) have a register each. Sources of the layouts:
Gearbox-protocol core-v2, core-v3 (3.00 to 3.10) and permissionless. Pools of one underlying are summed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cryptolake.errors import Skip
from cryptolake.net.abi import address_at, addresses_at, bytes32, call_data, word
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Call, CallResult, Program
from cryptolake.registry.family import Accounting, Anchor
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.answers import symbol_of, uint_or_none
from cryptolake.sources.onchain.gearbox_events import FACADE, LIQUIDATE_V1, POOL, read_liquidations
from cryptolake.sources.onchain.records import AssetFacts, Liquidation, Reserve, Settled

METHODOLOGY = (
    "Per underlying, summed over its pools: supplied = expectedLiquidity(), interest and quota revenue to the block "
    "included; cash = availableLiquidity(); borrowed = supplied - cash, what is owed with that interest, but never below "
    "the principal totalBorrowed() (tokens given to a pool lower the difference). collateral = 0: what credit accounts "
    "hold was bought with borrowed funds and is not part of a pool. price = getPrice of the oracle that the credit "
    "managers of the largest pool use. Liquidations: repaid is the principal the pool's Repay event of the same "
    "transaction cancels less the loss (the interest paid is in no event), for partial ones the amount the event states; "
    "seized is what the facade's WithdrawCollateral events of that transaction say, 0 where the collateral was sold "
    "inside it (extra.collateral). Losses and the pool's uncovered part of them are in extra."
)
PRIMARY_ENTRY = "address_provider_v300"
ANCHORS = (
    Anchor(
        "address_provider_v300",
        "getAddressOrRevert(bytes32,uint256)",
        "address",
        arguments=(bytes32("CONTRACTS_REGISTER"), 0),
        lasting=True,
    ),
    Anchor(
        "address_provider_v310",
        "getAddressOrRevert(bytes32,uint256)",
        "address",
        arguments=(bytes32("MARKET_CONFIGURATOR_FACTORY"), 0),
        lasting=True,
        by_now=True,  # the provider stands on its chain before it knows its factory
    ),
    Anchor("address_provider_v1", "getContractsRegister()", "address", lasting=True),
    Anchor("legacy_market_configurators", "contractsRegister()", "address", lasting=True),
)
BEGINNINGS = ("address_provider_v1", "address_provider_v300", "legacy_market_configurators")
ACCOUNTING = Accounting(lends_deposits=True, cash_is_the_rest=False)

_USD = 10**8  # one dollar in every version of the price oracle


@dataclass(frozen=True, slots=True)
class _Pool:
    """A pool's figures at the block; `oracles` are those of its credit managers."""

    address: str
    underlying: str
    supplied: int
    cash: int
    borrowed: int
    oracles: tuple[str, ...]
    dead: bool  # it cannot read its own balance: its token is broken or gone


def snapshot(csu: Csu) -> Program[list[Reserve]]:
    """Every underlying of the market: its registers, their pools and managers, the amounts, then tokens and prices."""
    pools, managers = yield from _listed(csu)
    asked = ("underlyingToken()", "expectedLiquidity()", "availableLiquidity()", "totalBorrowed()")
    answers = yield [
        *(Call(pool, call_data(what)) for pool in pools for what in asked),
        *(Call(manager, call_data(what)) for manager in managers for what in ("pool()", "priceOracle()")),
    ]
    oracles = _oracles(managers, answers[len(pools) * len(asked) :])
    found = [
        _pool(csu, pool, answers[len(asked) * number : len(asked) * (number + 1)], oracles)
        for number, pool in enumerate(pools)
    ]
    assets = sorted({pool.underlying for pool in found})
    every = sorted({oracle for pool in found for oracle in pool.oracles} | {one for _, one in oracles})
    facts = yield from _facts(csu, assets, [(oracle, asset) for asset in assets for oracle in every])
    reserves = []
    for asset in assets:
        members = sorted((one for one in found if one.underlying == asset), key=lambda one: -one.supplied)
        preferred = [oracle for pool in members for oracle in pool.oracles] + every
        symbol, decimals, prices = facts[asset]
        price = next((prices[oracle] for oracle in preferred if prices[oracle]), None)
        asset_facts = _asset_facts(symbol, decimals, price)
        if any(pool.dead for pool in members):
            asset_facts = AssetFacts.dead(symbol, decimals or 0)
        reserves.append(
            asset_facts.reserve(
                asset,
                supplied=sum(pool.supplied for pool in members),
                borrowed=sum(pool.borrowed for pool in members),
                cash=sum(pool.cash for pool in members),
            )
        )
    return reserves


def emitters(csu: Csu) -> Program[list[LogFilter]]:
    """The facades for liquidations, the pools for what was repaid and lost; a v1 manager has no facade and emits itself."""
    pools, managers = yield from _listed(csu)
    answers = yield [Call(manager, call_data("creditFacade()")) for manager in managers]
    filters = dict.fromkeys(pools, POOL)
    for manager, answer in zip(managers, answers, strict=True):
        if answer.success and answer.data:
            filters[address_at(answer.data, 0)] = FACADE
        else:
            filters[manager] = frozenset({LIQUIDATE_V1})
    return [LogFilter(address, topics) for address, topics in sorted(filters.items())]


def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]:
    """Liquidations in order; the debt asset is named by its pool until `settle`. A seized second token is a row of its own.

    Raises Skip(reason="emitter") for a loss without a liquidation: then a facade is missing among the emitters.
    """
    return read_liquidations(csu, logs)


def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]:
    """Pools turned into their underlying tokens, the borrower where the manager still knows it, tokens and prices."""
    pools = sorted({event.extra["pool"] for event in events})
    managers = sorted({event.extra["credit_manager"] for event in events})
    accounts = sorted(
        {(one.extra["credit_manager"], one.extra["credit_account"]) for one in events if "credit_account" in one.extra}
    )
    answers = yield [
        *(Call(pool, call_data("underlyingToken()")) for pool in pools),
        *(Call(manager, call_data("priceOracle()")) for manager in managers),
        *(Call(manager, call_data("getBorrowerOrRevert(address)", account)) for manager, account in accounts),
    ]
    underlying = {
        pool: address_at(_must(answer, f"{csu.name}: underlyingToken of {pool}"), 0)
        for pool, answer in zip(pools, answers, strict=False)
    }
    found = answers[len(pools) : len(pools) + len(managers)]
    oracle_of = {manager: _address(answer) for manager, answer in zip(managers, found, strict=True)}
    borrowers = dict(zip(accounts, map(_address, answers[len(pools) + len(managers) :]), strict=True))
    settled = [
        replace(
            event,
            borrower=event.borrower
            or borrowers.get((event.extra["credit_manager"], event.extra.get("credit_account", ""))),
            collateral_asset=underlying.get(event.collateral_asset, event.collateral_asset),
            debt_asset=underlying[event.debt_asset],
        )
        for event in events
    ]
    wanted: dict[tuple[str, str], None] = {}
    for event in settled:
        if (oracle := oracle_of[event.extra["credit_manager"]]) is not None:
            wanted |= dict.fromkeys([(oracle, event.collateral_asset), (oracle, event.debt_asset)])
    assets = sorted({asset for event in settled for asset in (event.collateral_asset, event.debt_asset)})
    facts = yield from _facts(csu, assets, list(wanted))
    return Settled(
        settled,
        {
            asset: _asset_facts(symbol, decimals, next((one for one in prices.values() if one), None))
            for asset, (symbol, decimals, prices) in facts.items()
        },
    )


# -- who is there


def _listed(csu: Csu) -> Program[tuple[list[str], list[str]]]:
    """Every pool and every credit manager at the block, each once. Raises Skip(not_deployed) before the first provider."""
    entry = csu.entry
    lookup = "getAddressOrRevert(bytes32,uint256)"
    firsts = [Call(entry["address_provider_v300"], call_data(lookup, bytes32("CONTRACTS_REGISTER"), 0))]
    if "address_provider_v1" in entry:
        firsts.append(Call(entry["address_provider_v1"], call_data("getContractsRegister()")))
    legacy = [one for one in entry.get("legacy_market_configurators", "").split(",") if one]
    firsts += [Call(configurator, call_data("contractsRegister()")) for configurator in legacy]
    factory_at: list[Call] = []
    if "address_provider_v310" in entry:
        factory_at = [
            Call(entry["address_provider_v310"], call_data(lookup, bytes32("MARKET_CONFIGURATOR_FACTORY"), 0))
        ]
    answers = yield [*firsts, *factory_at]
    named = [
        address_at(_must(answer, f"{csu.name}: the contracts register of {call.to}"), 0)
        for call, answer in zip(firsts, answers, strict=False)
        if not (answer.success and answer.empty)
    ]
    registers = list(dict.fromkeys(named))
    # The v3.1 provider is the same contract on every chain and may stand there before its factory is registered.
    factories = [at for answer in answers[len(firsts) :] if (at := _address(answer)) is not None]
    if not registers and not factories:
        raise Skip(f"{csu.name}: no address provider at this block", reason="not_deployed")

    answers = yield [
        *_members_calls(registers),
        *(Call(one, call_data("getMarketConfigurators()")) for one in factories),
    ]
    pools, managers = _members(csu, registers, answers)
    listed = [
        configurator
        for one, answer in zip(factories, answers[2 * len(registers) :], strict=True)
        for configurator in addresses_at(_must(answer, f"{csu.name}: getMarketConfigurators of {one}"), 0)
    ]
    if listed:
        answers = yield [Call(configurator, call_data("contractsRegister()")) for configurator in listed]
        newer = [
            address_at(_must(answer, f"{csu.name}: contractsRegister of {configurator}"), 0)
            for configurator, answer in zip(listed, answers, strict=True)
        ]
        newer = [one for one in dict.fromkeys(newer) if one not in registers]
        answers = yield _members_calls(newer)
        more = _members(csu, newer, answers)
        pools, managers = pools + more[0], managers + more[1]
    return list(dict.fromkeys(pools)), list(dict.fromkeys(managers))


def _members_calls(registers: Iterable[str]) -> list[Call]:
    return [Call(one, call_data(what)) for one in registers for what in ("getPools()", "getCreditManagers()")]


def _members(csu: Csu, registers: Sequence[str], answers: Sequence[CallResult]) -> tuple[list[str], list[str]]:
    pools: list[str] = []
    managers: list[str] = []
    for number, register in enumerate(registers):
        pools += addresses_at(_must(answers[2 * number], f"{csu.name}: getPools of {register}"), 0)
        managers += addresses_at(_must(answers[2 * number + 1], f"{csu.name}: getCreditManagers of {register}"), 0)
    return pools, managers


# -- amounts, tokens, prices


def _oracles(managers: Sequence[str], answers: Sequence[CallResult]) -> list[tuple[str, str]]:
    """(pool, oracle) of every credit manager that names both, newest first; a v1 manager names neither."""
    found = []
    for number in range(len(managers)):
        pool, oracle = (_address(answer) for answer in answers[2 * number : 2 * number + 2])
        if pool is not None and oracle is not None:
            found.append((pool, oracle))
    return found[::-1]


def _pool(csu: Csu, pool: str, answers: Sequence[CallResult], oracles: Iterable[tuple[str, str]]) -> _Pool:
    underlying, expected, available, borrowed = answers
    cash = uint_or_none(available)
    named = (("underlyingToken", underlying), ("expectedLiquidity", expected), ("totalBorrowed", borrowed))
    data = [_must(answer, f"{csu.name}: {name} of {pool}") for name, answer in named]
    supplied, principal = (word(one, 0) for one in data[1:])
    return _Pool(
        pool,
        address_at(data[0], 0),
        supplied,
        cash or 0,
        max(principal, supplied - (cash or 0)),
        tuple(dict.fromkeys(oracle for of, oracle in oracles if of == pool)),
        dead=cash is None,
    )


def _asset_facts(symbol: str, decimals: int | None, price: int | None) -> AssetFacts:
    return AssetFacts.dead(symbol) if decimals is None else AssetFacts(symbol, decimals, price, _USD, "usd")


def _facts(
    csu: Csu, assets: Sequence[str], priced: Sequence[tuple[str, str]]
) -> Program[dict[str, tuple[str, int | None, Mapping[str, int]]]]:
    """Symbol, decimals (None of a dead token) and prices by oracle; an oracle that reverts or says 0 has no price."""
    answers = yield [
        *(Call(asset, call_data(what)) for asset in assets for what in ("symbol()", "decimals()")),
        *(Call(oracle, call_data("getPrice(address)", asset)) for oracle, asset in priced),
    ]
    prices: dict[str, dict[str, int]] = {asset: {} for asset in assets}
    for (oracle, asset), answer in zip(priced, answers[2 * len(assets) :], strict=True):
        prices[asset][oracle] = uint_or_none(answer) or 0
    return {
        asset: (
            symbol_of(answers[2 * number], asset),
            uint_or_none(answers[2 * number + 1]),
            prices[asset],
        )
        for number, asset in enumerate(assets)
    }


def _must(answer: CallResult, what: str) -> bytes:
    """The data of a contract that others name: its silence is a fault to look at, not a market that is not there yet."""
    if answer.success and answer.empty:
        raise Skip(f"{what}: the contract that is named there has no code", reason="layout")
    return answer.need(what)


def _address(answer: CallResult) -> str | None:
    """The address a getter gave; None where it reverts, is not there or says zero."""
    return address_at(answer.data, 0) if uint_or_none(answer) else None
