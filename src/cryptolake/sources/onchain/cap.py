"""Family `cap`: Cap, where the stablecoin cUSD is the vault and covered agents borrow from it. I/O-free programs.

Reads the vault, the Lender, the Delegation and the oracle named in the row; agents and the networks that cover them are
read from the Delegation at the block. Layouts: cap-labs-dev/cap-contracts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cryptolake.contracts.counting import counted
from cryptolake.errors import Skip
from cryptolake.net.abi import address_at, call_data, topic, word
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Call, CallResult, Program
from cryptolake.registry.family import Accounting, Anchor
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.answers import (
    ZERO,
    address_of,
    addresses_of,
    price_or_none,
    token_facts,
    uint_of,
    uint_or_none,
)
from cryptolake.sources.onchain.events import check_layout, liquidation, topic_address
from cryptolake.sources.onchain.records import AssetFacts, Liquidation, Reserve, Settled

METHODOLOGY = (
    "supplied = vault.totalSupplies(asset), what holders of the cap token can redeem; cash = vault.availableBalance(asset), "
    "also the part invested in the fractional reserve; borrowed = sum over the Delegation's agents of "
    "Lender.debt(agent, asset), with interest to the block, which supplied does not contain; vault.totalBorrows(asset) for "
    "an asset that the Lender does not lend. collateral = 0: the coverage delegated to agents stays in Symbiotic or "
    "EigenLayer vaults outside of the market. Price = the protocol's oracle, USD with 8 decimals. Liquidations are "
    "Liquidate events of the Lender; the collateral seized is the Slash of the agent's network in the same transaction."
)
PRIMARY_ENTRY = "cap_token_vault"
ANCHORS = (
    Anchor("cap_token_vault", "assets()", "list", lasting=True),
    Anchor("staked_token", "asset()", "address", "cap_token_vault", lasting=True),
    Anchor("lender", "reservesCount()", "count", lasting=True),
    Anchor("lender", "reservesData(address)", "address", "cap_token_vault", ("usdc",), lasting=True, place=1),
    Anchor("delegation", "agents()", "list", lasting=True),
)
ACCOUNTING = Accounting(lends_deposits=False, cash_is_the_rest=False)

# Euler V2 has the same topic for another event, so it only means this when the Lender emits it.
LIQUIDATE = topic("Liquidate(address,address,address,uint256,uint256)")
SLASH_SYMBIOTIC = topic("Slash(address,address,uint256)")
SLASH_EIGEN = topic("Slash(address,address,uint256,uint48)")

_PRICE_UNIT = 10**8  # the Lender scales values in USD by it
_RESERVE_WORDS, _DEBT_TOKEN = 7, 2


def snapshot(csu: Csu) -> Program[list[Reserve]]:
    """Every asset of the vault: three rounds for assets and agents, the amounts with prices, and the agents' debts."""
    vault, lender = csu.entry["cap_token_vault"], csu.entry["lender"]
    listed, known = yield [Call(vault, call_data("assets()")), _agents_call(csu)]
    assets = addresses_of(listed, f"{csu.name}: vault.assets")
    agents = addresses_of(known, f"{csu.name}: Delegation.agents")

    per_asset = [
        ("totalSupplies(address)", vault),
        ("totalBorrows(address)", vault),
        ("availableBalance(address)", vault),
        ("reservesData(address)", lender),
    ]
    answers = yield [
        *(call for asset in assets for call in _facts_calls(csu, asset)),
        *(Call(to, call_data(what, asset)) for asset in assets for what, to in per_asset),
    ]
    facts = [_facts(csu, asset, answers[3 * number : 3 * number + 3]) for number, asset in enumerate(assets)]
    amounts = answers[3 * len(assets) :]
    lent = [_is_lent(csu, asset, amounts[4 * number + 3]) for number, asset in enumerate(assets)]

    owed = iter(
        (
            yield [
                Call(lender, call_data("debt(address,address)", agent, asset))
                for asset, is_lent in zip(assets, lent, strict=True)
                if is_lent
                for agent in agents
            ]
        )
    )
    reserves = []
    for number, asset in enumerate(assets):
        supplied, borrowed = (
            uint_of(answer, f"{csu.name}: vault.{what} of {asset}")
            for answer, (what, _) in zip(amounts[4 * number : 4 * number + 2], per_asset[:2], strict=True)
        )
        cash = uint_or_none(amounts[4 * number + 2])
        if cash is None:  # the vault cannot read its own balance: the token is broken or gone
            facts[number] = AssetFacts.dead(facts[number].symbol, facts[number].decimals)
        if lent[number]:
            borrowed = sum(uint_of(next(owed), f"{csu.name}: Lender.debt of {agent}") for agent in agents)
        reserves.append(facts[number].reserve(asset, supplied=supplied, borrowed=borrowed, cash=cash or 0))
    return reserves


def emitters(csu: Csu) -> Program[list[LogFilter]]:
    """The Lender, and every network that covers an agent: no agent and no network is ever taken off the list."""
    (known,) = yield [_agents_call(csu)]
    agents = addresses_of(known, f"{csu.name}: Delegation.agents")
    answers = yield [Call(csu.entry["delegation"], call_data("networks(address)", agent)) for agent in agents]
    networks = {
        address_of(answer, f"{csu.name}: Delegation.networks of {agent}")
        for agent, answer in zip(agents, answers, strict=True)
    }
    slash = frozenset({SLASH_SYMBIOTIC, SLASH_EIGEN})
    return [
        LogFilter(csu.entry["lender"], frozenset({LIQUIDATE})),
        *(LogFilter(network, slash) for network in sorted(networks - {ZERO})),
    ]


def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]:
    """One per Liquidate, with the Slash that stands before it in the transaction.

    Until `settle`, the collateral asset is the network. Raises Skip when a Slash and a Liquidate do not fit together:
    then logs are missing. A Liquidate of value 0 slashes nothing.
    """
    found = []
    slashed: Log | None = None
    for log in logs:
        if log.address != csu.entry["lender"]:
            if log.topics[0] not in (SLASH_SYMBIOTIC, SLASH_EIGEN):
                continue
            _unpaired(csu, slashed)
            slashed = log
        elif log.topics[0] == LIQUIDATE:
            found.append(_liquidation(csu, log, slashed))
            slashed = None
    _unpaired(csu, slashed)
    return found


def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]:
    """Puts the network's collateral token in the network's place, reads symbol, decimals and price of every asset."""
    pairs = sorted({(e.collateral_asset, e.borrower) for e in events if e.borrower and e.extra["network"]})
    answers = yield [Call(network, call_data("collateral(address)", agent)) for network, agent in pairs]
    tokens = {
        pair: address_at(answer.data, 0)
        for pair, answer in zip(pairs, answers, strict=True)
        if answer.success and answer.data
    }
    if older := [pair for pair in pairs if pair not in tokens]:
        # networks of 2025 have no such getter: ask the Symbiotic vault that covers the agent
        answers = yield [Call(network, call_data("vaults(address)", agent)) for network, agent in older]
        vaults = [
            address_of(answer, f"{csu.name}: vaults of network {network}")
            for (network, _), answer in zip(older, answers, strict=True)
        ]
        answers = yield [Call(vault, call_data("collateral()")) for vault in vaults]
        tokens |= {
            pair: address_of(answer, f"{csu.name}: collateral of vault {vault}")
            for pair, vault, answer in zip(older, vaults, answers, strict=True)
        }
    settled = [
        replace(event, collateral_asset=tokens[(event.collateral_asset, event.borrower)])
        if event.borrower and event.extra["network"]
        else event
        for event in events
    ]
    assets = sorted({asset for event in settled for asset in (event.collateral_asset, event.debt_asset)})
    answers = yield [call for asset in assets for call in _facts_calls(csu, asset)]
    facts = {asset: _facts(csu, asset, answers[3 * number : 3 * number + 3]) for number, asset in enumerate(assets)}
    return Settled(settled, facts)


def _liquidation(csu: Csu, log: Log, slashed: Log | None) -> Liquidation:
    check_layout(csu, log, "Liquidate", topics=3, words=3)
    asset, value = address_at(log.data, 0), word(log.data, 2)
    seized = (asset, 0) if slashed is None else (slashed.address, _slashed_amount(csu, slashed))
    if slashed is None and value:
        raise Skip(f"{csu.name}: Liquidate in {log.tx} has no Slash", reason="layout")
    if slashed is not None and (slashed.tx, slashed.topics[1]) != (log.tx, log.topics[1]):
        _unpaired(csu, slashed)
    return liquidation(
        log,
        liquidator=topic_address(log, 2),
        borrower=topic_address(log, 1),
        seized=seized,
        repaid=(asset, word(log.data, 1)),
        extra={
            "network": "" if slashed is None else slashed.address,
            "liquidated_value": str(value),
            "value_unit": str(_PRICE_UNIT),
        },
    )


def _slashed_amount(csu: Csu, log: Log) -> int:
    """Symbiotic: (agent indexed; recipient, amount). EigenLayer: (agent, recipient indexed; amount, time)."""
    topics, at = (2, 1) if log.topics[0] == SLASH_SYMBIOTIC else (3, 0)
    check_layout(csu, log, "Slash", topics=topics, words=2)
    return word(log.data, at)


def _unpaired(csu: Csu, slashed: Log | None) -> None:
    if slashed is not None:
        raise Skip(f"{csu.name}: Slash in {slashed.tx} has no Liquidate", reason="layout")


def _agents_call(csu: Csu) -> Call:
    return Call(csu.entry["delegation"], call_data("agents()"))


def _is_lent(csu: Csu, asset: str, answer: CallResult) -> bool:
    """Whether the Lender has a debt token for the asset; without one nobody can owe it."""
    data = answer.need(f"{csu.name}: Lender.reservesData of {asset}")
    if len(data) < _RESERVE_WORDS * 32:
        raise Skip(
            f"{csu.name}: reservesData of {asset} has {counted(len(data), 'byte')}, 224 expected", reason="layout"
        )
    return address_at(data, _DEBT_TOKEN) != ZERO


def _facts_calls(csu: Csu, asset: str) -> list[Call]:
    return [
        Call(asset, call_data("symbol()")),
        Call(asset, call_data("decimals()")),
        Call(csu.entry["oracle"], call_data("getPrice(address)", asset)),
    ]


def _facts(csu: Csu, asset: str, answers: Sequence[CallResult]) -> AssetFacts:
    """The oracle reverts when both its sources are stale or 0: then there is no price."""
    symbol, decimals, price = answers
    return token_facts(asset, symbol, decimals, price_or_none(price), _PRICE_UNIT, "usd")
