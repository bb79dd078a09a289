"""Family `euler_v2`: Euler V2, many vaults of one factory (EVK). I/O-free programs.

Anybody may make a vault, of any token with any oracle. So a market is what its `perspectives` verify: lists on the chain, kept
by Euler (governed vaults) or by rule (escrow vaults), which are read at the block. Vault getters include interest to the block
time. Layouts: euler-vault-kit and evk-periphery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cryptolake.errors import Skip
from cryptolake.net.abi import address_at, call_data, topic, word
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Call, CallResult, Program
from cryptolake.registry.family import Accounting, Anchor
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.answers import (
    address_of,
    addresses_of,
    any_address,
    any_symbol,
    any_uint,
    uint_of,
)
from cryptolake.sources.onchain.events import bad_debt as bad_debt_of
from cryptolake.sources.onchain.events import check_layout, liquidation, topic_address
from cryptolake.sources.onchain.records import AssetFacts, BadDebt, Liquidation, Reserve, Settled

METHODOLOGY = (
    "The vaults that the market's perspectives verify at the block, summed per asset: supplied = totalAssets, borrowed = "
    "totalBorrows, cash = cash, all with interest to the block; collateral = 0 (collateral is shares of other vaults, whose "
    "deposits count there). Price = what the oracle of a vault says about the asset in that vault's unit of account: the "
    "biggest vault that lends the asset and counts in USD, else one that lends it, else one that takes it as collateral. "
    "Liquidations are Liquidate events; seized shares are turned into assets at the snapshot block; debt then written off "
    "(DebtSocialized) stands in the row's extra."
)
PRIMARY_ENTRY = "evault_factory"
ANCHORS = (
    Anchor("evault_factory", "implementation()", "address", lasting=True),
    Anchor("evault_factory", "getProxyListLength()", "count"),
    Anchor("perspectives", "verifiedArray()", "list", lasting=True),
)
BEGINNINGS = ("perspectives",)
ACCOUNTING = Accounting(lends_deposits=True, cash_is_the_rest=False)

LIQUIDATE = topic("Liquidate(address,address,address,uint256,uint256)")
DEBT_SOCIALIZED = topic("DebtSocialized(address,uint256)")
BAD_DEBT = frozenset({LIQUIDATE, DEBT_SOCIALIZED})

USD = "0x0000000000000000000000000000000000000348"  # ISO 4217 code 840, Euler's address of the dollar; 18 decimals
_MOST_DECIMALS = (
    77  # 10**77 is the last power of ten that fits a word: no oracle can be asked about one whole token beyond
)


@dataclass(frozen=True, slots=True)
class _Vault:
    """What is asked of a vault before any price. `oracle` is None for escrow vaults; `taken` are accepted collaterals."""

    address: str
    asset: str
    decimals: int
    oracle: str | None
    unit: str
    taken: tuple[str, ...] = ()
    assets: int = 0
    borrows: int = 0
    cash: int = 0


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to price an asset: what `oracle` says about it in `unit`."""

    oracle: str
    asset: str
    unit: str


def snapshot(csu: Csu) -> Program[list[Reserve]]:
    """Every asset of the verified vaults: four rounds for the list, the vaults, units and symbols, and the quotes."""
    listed = yield from _verified(csu)
    asked = (
        "asset()", "decimals()", "oracle()", "unitOfAccount()", "LTVList()", "totalAssets()", "totalBorrows()", "cash()",
    )  # fmt: skip
    answers = yield [Call(vault, call_data(what)) for vault in listed for what in asked]
    vaults = []
    for number, vault in enumerate(listed):
        named, (taken, *amounts) = answers[8 * number : 8 * number + 4], answers[8 * number + 4 : 8 * number + 8]
        vaults.append(
            replace(
                _vault(csu, vault, named),
                taken=tuple(addresses_of(taken, f"{csu.name}: LTVList of {vault}")),
                assets=uint_of(amounts[0], f"{csu.name}: totalAssets of {vault}"),
                borrows=uint_of(amounts[1], f"{csu.name}: totalBorrows of {vault}"),
                cash=uint_of(amounts[2], f"{csu.name}: cash of {vault}"),
            )
        )
    by_asset: dict[str, list[_Vault]] = {}
    for one in vaults:
        by_asset.setdefault(one.asset, []).append(one)
    shapes = {asset: members[0].decimals for asset, members in by_asset.items()}
    facts = yield from _facts(shapes, {asset: _ways(asset, vaults) for asset in by_asset})
    return [
        facts[asset].reserve(
            asset,
            supplied=sum(one.assets for one in members),
            borrowed=sum(one.borrows for one in members),
            cash=sum(one.cash for one in members),
        )
        for asset, members in by_asset.items()
    ]


def emitters(csu: Csu) -> Program[list[LogFilter]]:
    """Every verified vault."""
    vaults = yield from _verified(csu)
    return [LogFilter(vault, frozenset({LIQUIDATE, DEBT_SOCIALIZED})) for vault in vaults]


def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]:
    """Liquidate(liquidator, violator indexed; collateral, repaid assets, seized shares) of the vault that lent.

    DebtSocialized(account indexed; assets) comes before the Liquidate it belongs to, from the same vault.
    """
    found = []
    socialized: dict[tuple[str, str, str], int] = {}
    for log in logs:
        if log.topics[0] == DEBT_SOCIALIZED:
            check_layout(csu, log, "DebtSocialized", topics=2, words=1)
            socialized[log.tx, log.address, log.topics[1]] = word(log.data, 0)
        elif log.topics[0] == LIQUIDATE:
            check_layout(csu, log, "Liquidate", topics=3, words=3)
            lost = socialized.pop((log.tx, log.address, log.topics[2]), 0)
            found.append(_liquidation(log, lost))
    return found


def bad_debt(csu: Csu, logs: Sequence[Log]) -> list[BadDebt]:
    """DebtSocialized(account indexed; assets), written off in the Liquidate that follows it in the same vault."""
    found = []
    waiting: dict[tuple[str, str, str], Log] = {}
    for log in logs:
        if log.topics[0] == DEBT_SOCIALIZED:
            check_layout(csu, log, "DebtSocialized", topics=2, words=1)
            waiting[log.tx, log.address, log.topics[1]] = log
        elif log.topics[0] == LIQUIDATE and (lost := waiting.pop((log.tx, log.address, log.topics[2]), None)):
            amount, borrower = word(lost.data, 0), topic_address(lost, 1)
            if amount:
                found.append(
                    bad_debt_of(lost, "written_off", log.address, amount, borrower=borrower, part_of=log.index)
                )
    return found


def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]:
    """Vaults become their assets and seized shares the assets they stand for; prices by the lending vaults' oracles."""
    lenders = sorted({event.debt_asset for event in events})
    seized = sorted({event.collateral_asset for event in events} - set(lenders))
    asked = ("asset()", "decimals()", "oracle()", "unitOfAccount()")
    answers = yield [
        *(Call(vault, call_data(what)) for vault in lenders for what in asked),
        *(Call(vault, call_data(what)) for vault in seized for what in asked[:2]),
        *(
            Call(one.collateral_asset, call_data("convertToAssets(uint256)", one.collateral_amount_raw))
            for one in events
        ),
    ]
    vaults = {vault: _vault(csu, vault, answers[4 * at : 4 * at + 4]) for at, vault in enumerate(lenders)}
    rest = answers[4 * len(lenders) :]
    for at, vault in enumerate(seized):
        decimals = uint_of(rest[2 * at + 1], f"{csu.name}: decimals of {vault}")
        # A collateral that is no vault stands for itself.
        vaults[vault] = _Vault(vault, any_address(rest[2 * at]) or vault, decimals, None, USD)
    settled = []
    ways: dict[str, list[_Way]] = {}
    for event, worth in zip(events, rest[2 * len(seized) :], strict=True):
        lender, collateral = vaults[event.debt_asset], vaults[event.collateral_asset]
        amount = event.collateral_amount_raw
        if collateral.asset != collateral.address:
            amount = uint_of(worth, f"{csu.name}: convertToAssets of {collateral.address}")
        settled.append(
            replace(event, debt_asset=lender.asset, collateral_asset=collateral.asset, collateral_amount_raw=amount)
        )
        for asset in (lender.asset, collateral.asset):
            if lender.oracle is not None:
                ways.setdefault(asset, []).append(_Way(lender.oracle, asset, lender.unit))
    shapes = {one.asset: one.decimals for one in vaults.values()}
    for found in ways.values():
        found.sort(key=lambda way: way.unit != USD)
    facts = yield from _facts(shapes, {asset: ways.get(asset, []) for asset in shapes})
    return Settled(settled, facts)


def _verified(csu: Csu) -> Program[list[str]]:
    """The vaults that any of the perspectives verifies, in their order. Raises Skip where none of them exists yet."""
    if "perspectives" not in csu.entry:
        raise Skip(
            f"{csu.name}: the registry row names no perspectives; add the lists of vaults to trust", reason="layout"
        )
    perspectives = csu.entry["perspectives"].split(",")
    answers = yield [Call(one, call_data("verifiedArray()")) for one in perspectives]
    present = [answer for answer in answers if not (answer.success and answer.empty)]
    if not present:
        raise Skip(f"{csu.name}: no perspective at this block", reason="not_deployed")
    lists = [addresses_of(answer, f"{csu.name}: verifiedArray") for answer in present]
    return list(dict.fromkeys(vault for found in lists for vault in found))


def _vault(csu: Csu, vault: str, answers: Sequence[CallResult]) -> _Vault:
    """A vault from what it says to `asset()`, `decimals()` (the asset's, or 18 where it has none), `oracle()`, its unit."""
    asset, decimals, oracle, unit = answers
    return _Vault(
        vault,
        address_of(asset, f"{csu.name}: asset of {vault}"),
        uint_of(decimals, f"{csu.name}: decimals of {vault}"),
        any_address(oracle),
        any_address(unit) or USD,
    )


def _ways(asset: str, vaults: Sequence[_Vault]) -> list[_Way]:
    """How to price an asset, best first."""
    own = [one for one in vaults if one.asset == asset]
    shares = {one.address for one in own}
    takers = [one for one in vaults if one.asset != asset and shares.intersection(one.taken)]
    biggest_first = sorted(own, key=lambda one: -one.assets) + sorted(takers, key=lambda one: -one.assets)
    found = [_Way(one.oracle, asset, one.unit) for one in biggest_first if one.oracle is not None]
    return list(dict.fromkeys(sorted(found, key=lambda way: way.unit != USD)))


def _facts(shapes: Mapping[str, int], ways: Mapping[str, Sequence[_Way]]) -> Program[dict[str, AssetFacts]]:
    """Symbols and prices of assets whose decimals are known, each by the first of its ways that answers."""
    units = sorted({way.unit for found in ways.values() for way in found if way.unit != USD})
    calls = [Call(asset, call_data("symbol()")) for asset in shapes]
    told = yield [*calls, *(Call(unit, call_data("decimals()")) for unit in units)]
    scale = {USD: 10**18}
    for unit, answer in zip(units, told[len(calls) :], strict=True):
        # Euler takes 18 decimals for a unit of account that does not say.
        told_decimals = any_uint(answer)
        decimals = 18 if told_decimals is None else told_decimals
        if decimals <= _MOST_DECIMALS:
            scale[unit] = 10**decimals
    asked = [
        (way, Call(way.oracle, call_data("getQuote(uint256,address,address)", 10 ** shapes[asset], asset, way.unit)))
        for asset, found in ways.items()
        for way in found
        if way.unit in scale and shapes[asset] <= _MOST_DECIMALS
    ]
    answers = (yield [call for _, call in asked]) if asked else []
    prices: dict[str, tuple[int, _Way]] = {}
    for (way, _), answer in zip(asked, answers, strict=True):
        if price := any_uint(answer):
            prices.setdefault(way.asset, (price, way))
    facts = {}
    for number, (asset, decimals) in enumerate(shapes.items()):
        quoted = prices.get(asset)
        unit = quoted[1].unit if quoted else USD
        quote = "usd" if unit == USD else unit
        symbol = any_symbol(told[number], asset)
        facts[asset] = AssetFacts(symbol, decimals, quoted[0] if quoted else None, scale[unit], quote)
        if (
            told[number].success and told[number].empty
        ):  # no contract: what decimals its vaults took for it nobody can tell
            facts[asset] = AssetFacts.dead(symbol, decimals)
    return facts


def _liquidation(log: Log, socialized: int) -> Liquidation:
    collateral = address_at(log.data, 0)
    extra = {"debt_vault": log.address, "collateral_vault": collateral, "seized_shares": str(word(log.data, 2))}
    if socialized:
        extra["debt_socialized"] = str(socialized)
    return liquidation(
        log,
        liquidator=topic_address(log, 1),
        borrower=topic_address(log, 2),
        seized=(collateral, word(log.data, 2)),
        repaid=(log.address, word(log.data, 1)),
        extra=extra,
    )
