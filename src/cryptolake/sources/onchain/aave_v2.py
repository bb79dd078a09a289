"""Family `aave_v2`: Aave V2 and its forks (AMM, Arc, Radiant V2, Agave). I/O-free programs.

Reads the LendingPool and the tokens, never a data provider. Layouts: npm `@aave/protocol-v2`; `getReserveData` has 12
words and another order than V3's, and the oracle quotes in ETH or in USD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cryptolake.contracts.counting import counted
from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.errors import Skip
from cryptolake.net.abi import address_at, call_data, word
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Call, CallResult, Program
from cryptolake.registry.family import Accounting, Anchor
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.aave import LIQUIDATION_CALL, liquidation_call, price_in, prices_in
from cryptolake.sources.onchain.answers import (
    ZERO,
    address_of,
    addresses_of,
    symbol_of,
    token_facts,
    uint_of,
    uint_or_none,
)
from cryptolake.sources.onchain.records import AssetFacts, Liquidation, Reserve, Settled

METHODOLOGY = (
    "supplied = aToken.totalSupply(); borrowed = stable + variable debt token totalSupply(), all with interest to the "
    "block; cash = underlying.balanceOf(aToken), 0 where the token does not answer; collateral = 0 (it is rehypothecated "
    "and part of supplied); price = the market's own oracle at the same block, in its BASE_CURRENCY, or in wei of what it "
    "calls WETH where it knows nothing else. Liquidations are LiquidationCall events of the LendingPool. A row without a "
    "pool is all pools of its registries."
)
PRIMARY_ENTRY = "pool"
ANCHORS = (
    Anchor("pool_addresses_provider", "getLendingPool()", "address", "pool", lasting=True),
    Anchor("pool", "getAddressesProvider()", "address", "pool_addresses_provider", lasting=True),
    Anchor("protocol_data_provider", "ADDRESSES_PROVIDER()", "address", "pool_addresses_provider"),
    Anchor("pool", "getReservesList()", "list"),
    Anchor("pool_addresses_provider", "getPriceOracle()", "address", "oracle"),
    Anchor("addresses_provider_registry", "getAddressesProvidersList()", "number", lasting=True),
    Anchor("addresses_provider_registry_old", "getAddressesProvidersList()", "number"),
)
BEGINNINGS = ("pool", "addresses_provider_registry", "addresses_provider_registry_old")
ACCOUNTING = Accounting(lends_deposits=True, cash_is_the_rest=True)

# What V2 markets quoted in dollars name as their base currency; no contract stands there.
_USD = "0x10F7Fc1F91Ba351f9C629c5947AD69bD03C05b96"
_NAMES = {"ETH": "eth", "BTC": "btc"}
_ETHER = 10**18
# Words of LendingPool.getReserveData(asset) that hold token addresses.
_A_TOKEN, _STABLE_DEBT, _VARIABLE_DEBT, _RESERVE_WORDS = 7, 8, 9, 12
_DECIMALS_BIT = 48  # of the configuration, word 0
_REGISTRY = "addresses_provider_registry"


def snapshot(csu: Csu) -> Program[list[Reserve]]:
    """Every reserve of the market: three rounds for the list, the tokens, and the amounts with prices."""
    found: dict[str, Reserve] = {}
    for pool in (yield from _pools(csu)):
        for reserve in (yield from _pool(csu, pool)):
            known = found.get(reserve.asset)
            found[reserve.asset] = reserve if known is None else _sum(known, reserve)
    return list(found.values())


def emitters(csu: Csu) -> Program[list[LogFilter]]:
    """One topic on every pool of the row; nothing need be asked where the row names the pool."""
    pools = yield from _pools(csu)
    return [LogFilter(pool, frozenset({LIQUIDATION_CALL})) for pool in pools]


def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]:
    """Every LiquidationCall, with the pool that emitted it."""
    return [liquidation_call(csu, log, {"pool": log.address}) for log in logs if log.topics[0] == LIQUIDATION_CALL]


def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]:
    """Symbol, decimals and price of the events' assets by their own pool's oracle; amounts are tokens' already."""
    facts: dict[str, AssetFacts] = {}
    for pool in sorted({event.extra["pool"] for event in events}):
        of_pool = [event for event in events if event.extra["pool"] == pool]
        assets = sorted({asset for event in of_pool for asset in (event.collateral_asset, event.debt_asset)})
        (provider,) = yield [Call(pool, call_data("getAddressesProvider()"))]
        provider_at = address_of(provider, f"{csu.name}: LendingPool.getAddressesProvider")
        (answer,) = yield [Call(provider_at, call_data("getPriceOracle()"))]
        oracle = address_of(answer, f"{csu.name}: getPriceOracle")
        answers = yield [
            *_quote_calls(oracle),
            *(Call(asset, call_data(what)) for asset in assets for what in ("symbol()", "decimals()")),
            *(Call(oracle, call_data("getAssetPrice(address)", asset)) for asset in assets),
        ]
        unit, quote = _quote(csu, answers)
        tokens, prices = answers[3 : 3 + 2 * len(assets)], answers[3 + 2 * len(assets) :]
        for number, asset in enumerate(assets):
            symbol, decimals = tokens[2 * number : 2 * number + 2]
            price = price_in(prices[number], unit)
            if asset in facts and price is None:
                continue
            facts[asset] = token_facts(asset, symbol, decimals, price, unit, quote)
    return Settled(events, facts)


def _pools(csu: Csu) -> Program[list[str]]:
    """The row's pool, or the pools of all markets that its registries hold at the block."""
    named = csu.entry["pool"]
    if named.startswith("0x"):
        return [named]
    registries = [address for role, address in sorted(csu.entry.items()) if role.startswith(_REGISTRY)]
    listed = yield [Call(registry, call_data("getAddressesProvidersList()")) for registry in registries]
    if not any(answer.success and not answer.empty for answer in listed):
        absent = all(answer.success for answer in listed)
        raise Skip(
            f"{csu.name}: no registry of addresses providers at this block",
            reason="not_deployed" if absent else "revert",
        )
    providers = dict.fromkeys(
        provider
        for answer in listed
        if not answer.empty
        for provider in addresses_of(answer, f"{csu.name}: getAddressesProvidersList")
        if provider != ZERO
    )
    answers = yield [Call(provider, call_data("getLendingPool()")) for provider in providers]
    pools = dict.fromkeys(
        address_of(answer, f"{csu.name}: getLendingPool of {provider}")
        for provider, answer in zip(providers, answers, strict=True)
    )
    if not (set(pools) - {ZERO}):
        raise Skip(f"{csu.name}: its registries hold no pool at this block", reason="unlisted")
    return [pool for pool in pools if pool != ZERO]


def _pool(csu: Csu, pool: str) -> Program[list[Reserve]]:
    listed, provider = yield [
        Call(pool, call_data("getReservesList()")),
        Call(pool, call_data("getAddressesProvider()")),
    ]
    assets = addresses_of(listed, f"{csu.name}: LendingPool.getReservesList")
    provider_at = address_of(provider, f"{csu.name}: LendingPool.getAddressesProvider")
    answers = yield [
        Call(provider_at, call_data("getPriceOracle()")),
        *(Call(pool, call_data("getReserveData(address)", asset)) for asset in assets),
    ]
    oracle = address_of(answers[0], f"{csu.name}: getPriceOracle")
    listed_as = [_listed(csu, asset, answer) for asset, answer in zip(assets, answers[1:], strict=True)]

    answers = yield [
        *_quote_calls(oracle),
        Call(oracle, call_data("getAssetsPrices(address[])", assets)),
        *(
            call
            for asset, (_, a_token, stable_debt, variable_debt) in zip(assets, listed_as, strict=True)
            for call in (
                Call(asset, call_data("symbol()")),
                Call(a_token, call_data("totalSupply()")),
                Call(stable_debt, call_data("totalSupply()")),
                Call(variable_debt, call_data("totalSupply()")),
                Call(asset, call_data("balanceOf(address)", a_token)),
            )
        ),
    ]
    unit, quote = _quote(csu, answers)
    prices = yield from prices_in(csu, oracle, assets, answers[3], unit)
    amounts = iter(answers[4:])
    reserves = []
    for asset, (decimals, *_), price in zip(assets, listed_as, prices, strict=True):
        symbol, supplied, stable, variable, held = (next(amounts) for _ in range(5))
        # A token that is broken or destroyed must not lose the market: nothing that could be taken out is held of it.
        cash = uint_or_none(held)
        reserves.append(
            Reserve(
                asset=asset,
                symbol=symbol_of(symbol, asset),
                decimals=decimals,
                supplied_raw=uint_of(supplied, f"{csu.name}: aToken supply of {asset}"),
                borrowed_raw=uint_of(stable, f"{csu.name}: stable debt of {asset}")
                + uint_of(variable, f"{csu.name}: variable debt of {asset}"),
                cash_raw=cash or 0,
                collateral_raw=0,
                price_raw=None if cash is None else price,
                price_unit=None if cash is None else unit,
                price_quote=DEAD if cash is None else quote,
            )
        )
    return reserves


def _listed(csu: Csu, asset: str, answer: CallResult) -> tuple[int, str, str, str]:
    """An asset's decimals as the pool counts them, its aToken, stable and variable debt token."""
    data = answer.need(f"{csu.name}: getReserveData of {asset}")
    if len(data) != _RESERVE_WORDS * 32:  # V3's 15 words hold other things in the same places
        raise Skip(
            f"{csu.name}: getReserveData of {asset} has {counted(len(data), 'byte')}, 384 expected", reason="layout"
        )
    decimals = word(data, 0) >> _DECIMALS_BIT & 0xFF
    return decimals, address_at(data, _A_TOKEN), address_at(data, _STABLE_DEBT), address_at(data, _VARIABLE_DEBT)


def _quote_calls(oracle: str) -> list[Call]:
    return [Call(oracle, call_data(what)) for what in ("WETH()", "BASE_CURRENCY()", "BASE_CURRENCY_UNIT()")]


def _quote(csu: Csu, answers: Sequence[CallResult]) -> tuple[int | None, str]:
    """The price of one quote unit and the quote. The first oracles only know WETH, which they price at one ether.

    A token as the quote is called by the row's `price_numeraire`, or by its address: what a fork puts in WETH's place
    need not be ether.
    """
    weth, base, unit = answers[:3]
    if base.success and base.data and unit.success and unit.data:
        scale, currency = word(unit.data, 0), address_at(base.data, 0)
        if currency in (ZERO, _USD):
            return scale, "usd"
    elif weth.success and weth.data:
        scale, currency = _ETHER, address_at(weth.data, 0)
    else:
        return None, "unknown"
    return scale, _NAMES.get((csu.price_numeraire or "").upper(), currency)


def _sum(one: Reserve, other: Reserve) -> Reserve:
    """The same asset in two pools; the price of the first that has one stands."""
    return replace(
        one if one.price_raw is not None else other,
        supplied_raw=one.supplied_raw + other.supplied_raw,
        borrowed_raw=one.borrowed_raw + other.borrowed_raw,
        cash_raw=one.cash_raw + other.cash_raw,
    )
