"""Family `aave_v2`: Aave V2 and its forks (AMM, Arc, Radiant V2, Agave). I/O-free programs.

Reads the LendingPool and the tokens, never a data provider. Layouts: npm `@aave/protocol-v2`; `getReserveData` has 12
words and another order than V3's, and the oracle quotes in ETH or in USD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cryptolake.errors import Skip
from cryptolake.net.abi import address_at, addresses_at, call_data, text, topic, uints_at, word
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Call, Program, Result
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.records import AssetFacts, Liquidation, Reserve, Settled

METHODOLOGY = (
    "supplied = aToken.totalSupply(); borrowed = stable + variable debt token totalSupply(), all with interest to the "
    "block; cash = underlying.balanceOf(aToken), 0 where the token does not answer; collateral = 0 (it is rehypothecated "
    "and part of supplied); price = the market's own oracle at the same block, in its BASE_CURRENCY, or in wei of what it "
    "calls WETH where it knows nothing else. Liquidations are LiquidationCall events of the LendingPool. A row without a "
    "pool is all pools of its registries."
)

LIQUIDATION_CALL = topic("LiquidationCall(address,address,address,uint256,uint256,address,bool)")

_ZERO = "0x0000000000000000000000000000000000000000"
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
    """LiquidationCall(collateral, debt, user indexed; debtToCover, collateralAmount, liquidator, receiveAToken)."""
    return [_liquidation(csu, log) for log in logs if log.topics[0] == LIQUIDATION_CALL]


def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]:
    """Symbol, decimals and price of the events' assets by their own pool's oracle; amounts are tokens' already."""
    facts: dict[str, AssetFacts] = {}
    for pool in sorted({event.extra["pool"] for event in events}):
        of_pool = [event for event in events if event.extra["pool"] == pool]
        assets = sorted({asset for event in of_pool for asset in (event.collateral_asset, event.debt_asset)})
        (provider,) = yield [Call(pool, call_data("getAddressesProvider()"))]
        provider_at = address_at(provider.need(f"{csu.name}: LendingPool.getAddressesProvider"), 0)
        (answer,) = yield [Call(provider_at, call_data("getPriceOracle()"))]
        oracle = address_at(answer.need(f"{csu.name}: getPriceOracle"), 0)
        answers = yield [
            *_quote_calls(oracle),
            *(Call(asset, call_data(what)) for asset in assets for what in ("symbol()", "decimals()")),
            *(Call(oracle, call_data("getAssetPrice(address)", asset)) for asset in assets),
        ]
        unit, quote = _quote(csu, answers)
        tokens, prices = answers[3 : 3 + 2 * len(assets)], answers[3 + 2 * len(assets) :]
        for number, asset in enumerate(assets):
            symbol, decimals = tokens[2 * number : 2 * number + 2]
            price = _price(prices[number], unit)
            if asset in facts and price is None:
                continue
            facts[asset] = AssetFacts(
                _symbol(symbol, asset),
                word(decimals.need(f"{csu.name}: decimals of {asset}"), 0),
                price,
                unit,
                quote,
            )
    return Settled(events, facts)


def _pools(csu: Csu) -> Program[list[str]]:
    """The row's pool, or the pools of all markets that its registries hold at the block."""
    named = csu.entry["pool"]
    if named.startswith("0x"):
        return [named]
    registries = [address for role, address in sorted(csu.entry.items()) if role.startswith(_REGISTRY)]
    listed = yield [Call(registry, call_data("getAddressesProvidersList()")) for registry in registries]
    if not any(answer.success and not answer.empty for answer in listed):
        raise Skip(f"{csu.name}: no registry of addresses providers at this block", reason="not_deployed")
    providers = dict.fromkeys(
        provider
        for answer in listed
        if not answer.empty
        for provider in addresses_at(answer.need(f"{csu.name}: getAddressesProvidersList"), 0)
        if provider != _ZERO
    )
    answers = yield [Call(provider, call_data("getLendingPool()")) for provider in providers]
    pools = dict.fromkeys(
        address_at(answer.need(f"{csu.name}: getLendingPool of {provider}"), 0)
        for provider, answer in zip(providers, answers, strict=True)
    )
    if not (set(pools) - {_ZERO}):
        raise Skip(f"{csu.name}: its registries hold no pool at this block", reason="not_deployed")
    return [pool for pool in pools if pool != _ZERO]


def _pool(csu: Csu, pool: str) -> Program[list[Reserve]]:
    listed, provider = yield [
        Call(pool, call_data("getReservesList()")),
        Call(pool, call_data("getAddressesProvider()")),
    ]
    assets = addresses_at(listed.need(f"{csu.name}: LendingPool.getReservesList"), 0)
    provider_at = address_at(provider.need(f"{csu.name}: LendingPool.getAddressesProvider"), 0)
    answers = yield [
        Call(provider_at, call_data("getPriceOracle()")),
        *(Call(pool, call_data("getReserveData(address)", asset)) for asset in assets),
    ]
    oracle = address_at(answers[0].need(f"{csu.name}: getPriceOracle"), 0)
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
    prices = yield from _prices(csu, oracle, assets, answers[3], unit)
    amounts = iter(answers[4:])
    reserves = []
    for asset, (decimals, *_), price in zip(assets, listed_as, prices, strict=True):
        symbol, supplied, stable, variable, held = (next(amounts) for _ in range(5))
        # A token that is broken or destroyed must not lose the market: nothing that could be taken out is held of it.
        cash = word(held.data, 0) if held.success and held.data else 0
        reserves.append(
            Reserve(
                asset=asset,
                symbol=_symbol(symbol, asset),
                decimals=decimals,
                supplied_raw=word(supplied.need(f"{csu.name}: aToken supply of {asset}"), 0),
                borrowed_raw=word(stable.need(f"{csu.name}: stable debt of {asset}"), 0)
                + word(variable.need(f"{csu.name}: variable debt of {asset}"), 0),
                cash_raw=cash,
                collateral_raw=0,
                price_raw=price,
                price_unit=unit,
                price_quote=quote,
            )
        )
    return reserves


def _listed(csu: Csu, asset: str, answer: Result) -> tuple[int, str, str, str]:
    """An asset's decimals as the pool counts them, its aToken, stable and variable debt token."""
    data = answer.need(f"{csu.name}: getReserveData of {asset}")
    if len(data) != _RESERVE_WORDS * 32:  # V3's 15 words hold other things in the same places
        raise Skip(f"{csu.name}: getReserveData of {asset} has {len(data)} bytes, 384 expected", reason="layout")
    decimals = word(data, 0) >> _DECIMALS_BIT & 0xFF
    return decimals, address_at(data, _A_TOKEN), address_at(data, _STABLE_DEBT), address_at(data, _VARIABLE_DEBT)


def _liquidation(csu: Csu, log: Log) -> Liquidation:
    if len(log.topics) != 4 or len(log.data) != 4 * 32:
        raise Skip(f"{csu.name}: LiquidationCall in {log.tx} has an unknown layout", reason="layout")
    collateral, debt, user = (address_at(bytes.fromhex(one[2:]), 0) for one in log.topics[1:])
    return Liquidation(
        tx=log.tx,
        block=log.block,
        block_hash=log.block_hash,
        log_index=log.index,
        liquidator=address_at(log.data, 2),
        borrower=user,
        collateral_asset=collateral,
        collateral_amount_raw=word(log.data, 1),
        debt_asset=debt,
        debt_amount_raw=word(log.data, 0),
        extra={"pool": log.address, "receive_a_token": "true" if word(log.data, 3) else "false"},
    )


def _symbol(answer: Result, asset: str) -> str:
    """The token's symbol, or its short address where it has none."""
    return text(answer.data) if answer.success and answer.data else f"{asset[:6]}..{asset[-4:]}"


def _quote_calls(oracle: str) -> list[Call]:
    return [Call(oracle, call_data(what)) for what in ("WETH()", "BASE_CURRENCY()", "BASE_CURRENCY_UNIT()")]


def _quote(csu: Csu, answers: Sequence[Result]) -> tuple[int | None, str]:
    """The price of one quote unit and the quote. The first oracles only know WETH, which they price at one ether.

    A token as the quote is called by the row's `price_numeraire`, or by its address: what a fork puts in WETH's place
    need not be ether.
    """
    weth, base, unit = answers[:3]
    if base.success and base.data and unit.success and unit.data:
        scale, currency = word(unit.data, 0), address_at(base.data, 0)
        if currency in (_ZERO, _USD):
            return scale, "usd"
    elif weth.success and weth.data:
        scale, currency = _ETHER, address_at(weth.data, 0)
    else:
        return None, "unknown"
    return scale, _NAMES.get((csu.price_numeraire or "").upper(), currency)


def _price(answer: Result, unit: int | None) -> int | None:
    """The oracle's price; 0, a revert or an unknown unit mean that it has none."""
    return (word(answer.data, 0) or None) if unit is not None and answer.success and answer.data else None


def _prices(
    csu: Csu, oracle: str, assets: Sequence[str], listed: Result, unit: int | None
) -> Program[list[int | None]]:
    """Prices in the order of the assets. One asset without a source reverts the whole list: then asked singly."""
    if listed.success and listed.data:
        found = [(price or None) if unit is not None else None for price in uints_at(listed.data, 0)]
        if len(found) != len(assets):
            raise Skip(f"{csu.name}: the oracle gave {len(found)} prices for {len(assets)} assets", reason="layout")
        return found
    single = yield [Call(oracle, call_data("getAssetPrice(address)", asset)) for asset in assets]
    return [_price(one, unit) for one in single]


def _sum(one: Reserve, other: Reserve) -> Reserve:
    """The same asset in two pools; the price of the first that has one stands."""
    return replace(
        one if one.price_raw is not None else other,
        supplied_raw=one.supplied_raw + other.supplied_raw,
        borrowed_raw=one.borrowed_raw + other.borrowed_raw,
        cash_raw=one.cash_raw + other.cash_raw,
    )
