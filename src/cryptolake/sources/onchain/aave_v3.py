"""Family `aave_v3`: Aave V3 (3.0 to 3.6) and its forks (Spark, ZeroLend, Seamless, Kinza, ...). I/O-free programs.

Reads the Pool and the tokens themselves, which exist from day one, never a data provider, which has a birth date.
Layouts: aave-v3-core (3.0) and aave-v3-origin (3.1 to 3.6), `Pool.getReserveData` has 15 words in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptolake.errors import Skip
from cryptolake.net.abi import address_at, addresses_at, call_data, text, topic, uints_at, word
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Call, Program, Result
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.records import AssetFacts, Liquidation, Reserve, Settled

METHODOLOGY = (
    "supplied = aToken.totalSupply(); borrowed = variable + stable debt token totalSupply(), both with interest to the "
    "block; cash = underlying.balanceOf(aToken); collateral = 0 (it is rehypothecated and part of supplied); price = the "
    "market's own AaveOracle at the same block. Liquidations are LiquidationCall events of the Pool; bad debt written "
    "off (DeficitCreated) is not a liquidation."
)

LIQUIDATION_CALL = topic("LiquidationCall(address,address,address,uint256,uint256,address,bool)")

_ZERO = "0x0000000000000000000000000000000000000000"
# Words of Pool.getReserveData(asset) that hold token addresses.
_A_TOKEN, _STABLE_DEBT, _VARIABLE_DEBT, _RESERVE_WORDS = 8, 9, 10, 15


def snapshot(csu: Csu) -> Program[list[Reserve]]:
    """Every reserve of the market: three rounds for the list, the tokens, and the amounts with prices."""
    pool = csu.entry["pool"]
    listed, provider = yield [Call(pool, call_data("getReservesList()")), Call(pool, call_data("ADDRESSES_PROVIDER()"))]
    assets = addresses_at(listed.need(f"{csu.name}: Pool.getReservesList"), 0)
    provider_at = address_at(provider.need(f"{csu.name}: Pool.ADDRESSES_PROVIDER"), 0)

    answers = yield [
        Call(provider_at, call_data("getPriceOracle()")),
        *(Call(pool, call_data("getReserveData(address)", asset)) for asset in assets),
    ]
    oracle = address_at(answers[0].need(f"{csu.name}: getPriceOracle"), 0)
    tokens = [_tokens(csu, asset, answer) for asset, answer in zip(assets, answers[1:], strict=True)]

    calls = [*_quote_calls(oracle), Call(oracle, call_data("getAssetsPrices(address[])", assets))]
    first_amount = len(calls)
    for asset, (a_token, stable_debt, variable_debt) in zip(assets, tokens, strict=True):
        calls += [
            Call(asset, call_data("symbol()")),
            Call(asset, call_data("decimals()")),
            Call(asset, call_data("balanceOf(address)", a_token)),
            Call(a_token, call_data("totalSupply()")),
            Call(variable_debt, call_data("totalSupply()")),
        ]
        if stable_debt != _ZERO:
            calls.append(Call(stable_debt, call_data("totalSupply()")))
    answers = yield calls
    amounts = iter(answers[first_amount:])
    prices, unit, quote = yield from _prices(csu, oracle, assets, answers)

    reserves = []
    for asset, (_, stable_debt, _) in zip(assets, tokens, strict=True):
        symbol, decimals, cash, supplied, variable = (next(amounts) for _ in range(5))
        stable = word(next(amounts).need(f"{csu.name}: stable debt of {asset}"), 0) if stable_debt != _ZERO else 0
        reserves.append(
            Reserve(
                asset=asset,
                symbol=_symbol(symbol, asset),
                decimals=word(decimals.need(f"{csu.name}: decimals of {asset}"), 0),
                supplied_raw=word(supplied.need(f"{csu.name}: aToken supply of {asset}"), 0),
                borrowed_raw=word(variable.need(f"{csu.name}: variable debt of {asset}"), 0) + stable,
                cash_raw=word(cash.need(f"{csu.name}: cash of {asset}"), 0),
                collateral_raw=0,
                price_raw=prices[asset],
                price_unit=unit,
                price_quote=quote,
            )
        )
    return reserves


def emitters(csu: Csu) -> Program[list[LogFilter]]:
    """One topic on the Pool gives every liquidation; nothing need be asked."""
    yield from ()
    return [LogFilter(csu.entry["pool"], frozenset({LIQUIDATION_CALL}))]


def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]:
    """LiquidationCall(collateral, debt, user indexed; debtToCover, collateralAmount, liquidator, receiveAToken)."""
    return [_liquidation(csu, log) for log in logs if log.topics[0] == LIQUIDATION_CALL]


def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]:
    """Symbol, decimals and oracle price of the events' assets, also of ones no longer listed; amounts are tokens' already."""
    assets = sorted({asset for event in events for asset in (event.collateral_asset, event.debt_asset)})
    (provider,) = yield [Call(csu.entry["pool"], call_data("ADDRESSES_PROVIDER()"))]
    provider_at = address_at(provider.need(f"{csu.name}: Pool.ADDRESSES_PROVIDER"), 0)
    (answer,) = yield [Call(provider_at, call_data("getPriceOracle()"))]
    oracle = address_at(answer.need(f"{csu.name}: getPriceOracle"), 0)
    asked = ("symbol()", "decimals()")
    answers = yield [
        *_quote_calls(oracle),
        *(Call(oracle, call_data("getAssetPrice(address)", asset)) for asset in assets),
        *(Call(asset, call_data(what)) for asset in assets for what in asked),
    ]
    unit, quote = _quote(answers)
    prices, tokens = answers[2 : 2 + len(assets)], answers[2 + len(assets) :]
    found = {
        asset: AssetFacts(
            _symbol(tokens[2 * number], asset),
            word(tokens[2 * number + 1].need(f"{csu.name}: decimals of {asset}"), 0),
            _price(prices[number], unit),
            unit,
            quote,
        )
        for number, asset in enumerate(assets)
    }
    return Settled(events, found)


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
        extra={"receive_a_token": "true" if word(log.data, 3) else "false"},
    )


def _tokens(csu: Csu, asset: str, answer: Result) -> tuple[str, str, str]:
    data = answer.need(f"{csu.name}: getReserveData of {asset}")
    if len(data) < _RESERVE_WORDS * 32:
        raise Skip(f"{csu.name}: getReserveData of {asset} has {len(data)} bytes, 480 expected", reason="layout")
    return address_at(data, _A_TOKEN), address_at(data, _STABLE_DEBT), address_at(data, _VARIABLE_DEBT)


def _symbol(answer: Result, asset: str) -> str:
    """The token's symbol, or its short address where it has none."""
    return text(answer.data) if answer.success and answer.data else f"{asset[:6]}..{asset[-4:]}"


def _quote_calls(oracle: str) -> list[Call]:
    return [Call(oracle, call_data("BASE_CURRENCY_UNIT()")), Call(oracle, call_data("BASE_CURRENCY()"))]


def _quote(answers: Sequence[Result]) -> tuple[int | None, str]:
    """The price of one quote unit and the quote: `usd` where the base currency is the zero address, else its address."""
    unit, base = answers[:2]
    base_at = address_at(base.data, 0) if base.success and base.data else _ZERO
    return word(unit.data, 0) if unit.success and unit.data else None, "usd" if base_at == _ZERO else base_at


def _price(answer: Result, unit: int | None) -> int | None:
    """The oracle's price; 0, a revert or an unknown unit mean that it has none."""
    return (word(answer.data, 0) or None) if unit is not None and answer.success and answer.data else None


def _prices(
    csu: Csu, oracle: str, assets: Sequence[str], answers: Sequence[Result]
) -> Program[tuple[dict[str, int | None], int | None, str]]:
    """Prices by asset, their unit and quote. One asset without a source reverts the whole list: then asked singly."""
    unit, quote = _quote(answers)
    listed = answers[2]
    if listed.success and listed.data:
        found = [(price or None) if unit is not None else None for price in uints_at(listed.data, 0)]
        if len(found) != len(assets):
            raise Skip(f"{csu.name}: the oracle gave {len(found)} prices for {len(assets)} assets", reason="layout")
    else:
        single = yield [Call(oracle, call_data("getAssetPrice(address)", asset)) for asset in assets]
        found = [_price(one, unit) for one in single]
    return dict(zip(assets, found, strict=True)), unit, quote
