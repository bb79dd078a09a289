"""Family `gearbox`: Gearbox pools of v1 to v3.1, their credit managers and oracles. I/O-free programs.

Pools are found from the address providers by block: v3.0's and v1's contracts registers list the pools of their time,
v3.1's market configurators (and the legacy ones, which no factory lists) have a register each. Sources of the layouts:
Gearbox-protocol core-v2, core-v3 (3.00 to 3.10) and permissionless. Pools of one underlying are summed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cryptolake.errors import Skip
from cryptolake.net.abi import address_at, addresses_at, call_data, topic, word
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Call, Program, Result
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.answers import symbol_of, uint_or_none
from cryptolake.sources.onchain.events import check_layout, liquidation, topic_address
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

# The v2 and v3 facades' events share a signature; v2 indexes three addresses and begins with the borrower, v3 two.
LIQUIDATE = topic("LiquidateCreditAccount(address,address,address,uint256)")
LIQUIDATE_EXPIRED = topic("LiquidateExpiredCreditAccount(address,address,address,uint256)")
LIQUIDATE_PARTIALLY = topic("PartiallyLiquidateCreditAccount(address,address,address,uint256,uint256,uint256)")
WITHDRAW_COLLATERAL = topic("WithdrawCollateral(address,address,uint256,address)")
LIQUIDATE_V1 = topic("LiquidateCreditAccount(address,address,uint256)")
REPAY = topic("Repay(address,uint256,uint256,uint256)")
UNCOVERED = topic("IncurUncoveredLoss(address,uint256)")
UNCOVERED_V1 = topic("UncoveredLoss(address,uint256)")

_FACADE = frozenset({LIQUIDATE, LIQUIDATE_EXPIRED, LIQUIDATE_PARTIALLY, WITHDRAW_COLLATERAL})
_POOL = frozenset({REPAY, UNCOVERED, UNCOVERED_V1})
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
        reserves.append(
            Reserve(
                asset=asset,
                symbol=symbol,
                decimals=decimals,
                supplied_raw=sum(pool.supplied for pool in members),
                borrowed_raw=sum(pool.borrowed for pool in members),
                cash_raw=sum(pool.cash for pool in members),
                collateral_raw=0,
                price_raw=price,
                price_unit=_USD,
                price_quote="usd",
            )
        )
    return reserves


def emitters(csu: Csu) -> Program[list[LogFilter]]:
    """The facades for liquidations, the pools for what was repaid and lost; a v1 manager has no facade and emits itself."""
    pools, managers = yield from _listed(csu)
    answers = yield [Call(manager, call_data("creditFacade()")) for manager in managers]
    filters = dict.fromkeys(pools, _POOL)
    for manager, answer in zip(managers, answers, strict=True):
        if answer.success and answer.data:
            filters[address_at(answer.data, 0)] = _FACADE
        else:
            filters[manager] = frozenset({LIQUIDATE_V1})
    return [LogFilter(address, topics) for address, topics in sorted(filters.items())]


@dataclass(slots=True)
class _Tx:
    """What a transaction's logs have said so far."""

    hash: str = ""
    repay: Log | None = None
    uncovered: int = 0
    withdrawn: dict[str, list[Log]] = field(default_factory=dict)
    lossy: bool = False  # a loss was repaid and no liquidation has claimed it yet


def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]:
    """Liquidations in order; the debt asset is named by its pool until `settle`. A seized second token is a row of its own.

    Raises Skip(reason="emitter") for a loss without a liquidation: then a facade is missing among the emitters.
    """
    found: list[Liquidation] = []
    tx = _Tx()
    for log in logs:
        if log.tx != tx.hash:
            _settled_losses(csu, tx)
            tx = _Tx(log.tx)
        kind = log.topics[0]
        if kind == REPAY:
            check_layout(csu, log, "Repay", topics=2, words=3)
            tx.repay = log
            tx.lossy = tx.lossy or word(log.data, 2) > 0
        elif kind in (UNCOVERED, UNCOVERED_V1):
            tx.uncovered += word(log.data, 0)
        elif kind == WITHDRAW_COLLATERAL:
            check_layout(csu, log, "WithdrawCollateral", topics=3, words=2)
            tx.withdrawn.setdefault(topic_address(log, 1), []).append(log)
        elif kind in (LIQUIDATE, LIQUIDATE_EXPIRED, LIQUIDATE_V1):
            found += _full(csu, log, tx)
            tx = _Tx(log.tx)
        elif kind == LIQUIDATE_PARTIALLY:
            found.append(_partial(csu, log, tx))
            tx = _Tx(log.tx)
    _settled_losses(csu, tx)
    return found


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
            asset: AssetFacts(symbol, decimals, next((one for one in prices.values() if one), None), _USD, "usd")
            for asset, (symbol, decimals, prices) in facts.items()
        },
    )


# -- who is there


def _key(name: str) -> int:
    """A name as the bytes32 an address provider is asked with."""
    return int.from_bytes(name.encode().ljust(32, b"\0"), "big")


def _listed(csu: Csu) -> Program[tuple[list[str], list[str]]]:
    """Every pool and every credit manager at the block, each once. Raises Skip(not_deployed) before the first provider."""
    entry = csu.entry
    lookup = "getAddressOrRevert(bytes32,uint256)"
    firsts = [Call(entry["address_provider_v300"], call_data(lookup, _key("CONTRACTS_REGISTER"), 0))]
    if "address_provider_v1" in entry:
        firsts.append(Call(entry["address_provider_v1"], call_data("getContractsRegister()")))
    legacy = [one for one in entry.get("legacy_market_configurators", "").split(",") if one]
    firsts += [Call(configurator, call_data("contractsRegister()")) for configurator in legacy]
    factory_at: list[Call] = []
    if "address_provider_v310" in entry:
        factory_at = [Call(entry["address_provider_v310"], call_data(lookup, _key("MARKET_CONFIGURATOR_FACTORY"), 0))]
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


def _members(csu: Csu, registers: Sequence[str], answers: Sequence[Result]) -> tuple[list[str], list[str]]:
    pools: list[str] = []
    managers: list[str] = []
    for number, register in enumerate(registers):
        pools += addresses_at(_must(answers[2 * number], f"{csu.name}: getPools of {register}"), 0)
        managers += addresses_at(_must(answers[2 * number + 1], f"{csu.name}: getCreditManagers of {register}"), 0)
    return pools, managers


# -- amounts, tokens, prices


def _oracles(managers: Sequence[str], answers: Sequence[Result]) -> list[tuple[str, str]]:
    """(pool, oracle) of every credit manager that names both, newest first; a v1 manager names neither."""
    found = []
    for number in range(len(managers)):
        pool, oracle = (_address(answer) for answer in answers[2 * number : 2 * number + 2])
        if pool is not None and oracle is not None:
            found.append((pool, oracle))
    return found[::-1]


def _pool(csu: Csu, pool: str, answers: Sequence[Result], oracles: Iterable[tuple[str, str]]) -> _Pool:
    what = ("underlyingToken", "expectedLiquidity", "availableLiquidity", "totalBorrowed")
    data = [_must(answer, f"{csu.name}: {name} of {pool}") for name, answer in zip(what, answers, strict=True)]
    supplied, cash, principal = (word(one, 0) for one in data[1:])
    return _Pool(
        pool,
        address_at(data[0], 0),
        supplied,
        cash,
        max(principal, supplied - cash),
        tuple(dict.fromkeys(oracle for of, oracle in oracles if of == pool)),
    )


def _facts(
    csu: Csu, assets: Sequence[str], priced: Sequence[tuple[str, str]]
) -> Program[dict[str, tuple[str, int, Mapping[str, int]]]]:
    """Symbol, decimals and prices by oracle of each asset; an oracle that reverts or says 0 has no price."""
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
            word(_must(answers[2 * number + 1], f"{csu.name}: decimals of {asset}"), 0),
            prices[asset],
        )
        for number, asset in enumerate(assets)
    }


def _must(answer: Result, what: str) -> bytes:
    """The data of a contract that others name: its silence is a fault to look at, not a market that is not there yet."""
    if answer.success and answer.empty:
        raise Skip(f"{what}: the contract that is named there has no code", reason="layout")
    return answer.need(what)


def _address(answer: Result) -> str | None:
    """The address a getter gave; None where it reverts, is not there or says zero."""
    return address_at(answer.data, 0) if uint_or_none(answer) else None


# -- events


def _settled_losses(csu: Csu, tx: _Tx) -> None:
    if tx.lossy:
        raise Skip(
            f"{csu.name}: {tx.hash} repays a pool with a loss but no liquidation is named; a facade was replaced in "
            "the scanned days, collect them day by day",
            reason="emitter",
        )


def _repaid(csu: Csu, log: Log, tx: _Tx) -> tuple[Log, dict[str, str]]:
    """The Repay event a liquidation belongs to: the last one before it in its transaction."""
    if tx.repay is None:
        raise Skip(f"{csu.name}: the liquidation in {log.tx} repays no known pool", reason="layout")
    extra = {
        "pool": tx.repay.address,
        "credit_manager": topic_address(tx.repay, 1),
        "principal_raw": str(word(tx.repay.data, 0)),
        "profit_raw": str(word(tx.repay.data, 1)),
        "loss_raw": str(word(tx.repay.data, 2)),
    }
    return tx.repay, extra | ({"uncovered_loss_raw": str(tx.uncovered)} if tx.uncovered else {})


def _full(csu: Csu, log: Log, tx: _Tx) -> list[Liquidation]:
    """A full liquidation; one row more for each further token that left the account."""
    repay, extra = _repaid(csu, log, tx)
    borrower: str | None = None
    seized: list[Log] = []
    if log.topics[0] == LIQUIDATE_V1:
        check_layout(csu, log, "LiquidateCreditAccount", topics=3, words=1)
        borrower = topic_address(log, 1)
    elif len(log.topics) == 4:
        check_layout(csu, log, "LiquidateCreditAccount", topics=4, words=1)
        borrower = topic_address(log, 1)
    else:
        check_layout(csu, log, "LiquidateCreditAccount", topics=3, words=2)
        extra["credit_account"] = topic_address(log, 1)
        seized = tx.withdrawn.get(extra["credit_account"], [])
    extra["kind"] = "expired" if log.topics[0] == LIQUIDATE_EXPIRED else "full"
    extra["remaining_funds_raw"] = str(word(log.data, len(log.data) // 32 - 1))
    extra["collateral"] = "withdrawn" if seized else "sold inside the transaction, or sent without an event"
    amounts: dict[str, int] = {}
    places: dict[str, int] = {}
    for one in seized:
        token = topic_address(one, 2)
        amounts[token] = amounts.get(token, 0) + word(one.data, 0)
        places.setdefault(token, one.index)
    tokens = list(amounts) or [repay.address]
    first = liquidation(
        log,
        liquidator=topic_address(log, 2),
        borrower=borrower,
        seized=(tokens[0], amounts.get(tokens[0], 0)),
        repaid=(repay.address, max(0, word(repay.data, 0) - word(repay.data, 2))),
        extra=extra,
    )
    further = {**extra, "part_of_log_index": str(log.index)}
    return [
        first,
        *(
            replace(
                first,
                log_index=places[token],
                collateral_asset=token,
                collateral_amount_raw=amounts[token],
                debt_amount_raw=0,
                extra=further,
            )
            for token in tokens[1:]
        ),
    ]


def _partial(csu: Csu, log: Log, tx: _Tx) -> Liquidation:
    """PartiallyLiquidateCreditAccount(account, token, liquidator indexed; repaidDebt, seizedCollateral, fee)."""
    check_layout(csu, log, "PartiallyLiquidateCreditAccount", topics=4, words=3)
    repay, extra = _repaid(csu, log, tx)
    extra |= {"credit_account": topic_address(log, 1), "kind": "partial", "fee_raw": str(word(log.data, 2))}
    return liquidation(
        log,
        liquidator=topic_address(log, 3),
        borrower=None,
        seized=(topic_address(log, 2), word(log.data, 1)),
        repaid=(repay.address, word(log.data, 0)),
        extra=extra,
    )
