"""Family `aave_v3`: Aave V3 (3.0 to 3.6) and its forks (Spark, ZeroLend, Seamless, Kinza, ...). I/O-free programs.

Reads the Pool and the tokens themselves, which exist from day one, never a data provider, which has a birth date.
Layouts: aave-v3-core (3.0) and aave-v3-origin (3.1 to 3.6), `Pool.getReserveData` has 15 words in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptolake.contracts.counting import counted
from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.errors import Skip
from cryptolake.net.abi import address_at, call_data, topic, word
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
from cryptolake.sources.onchain.events import bad_debt as bad_debt_of
from cryptolake.sources.onchain.events import check_layout, topic_address
from cryptolake.sources.onchain.records import BadDebt, Liquidation, Reserve, Settled

METHODOLOGY = (
    "supplied = aToken.totalSupply(); borrowed = variable + stable debt token totalSupply(), both with interest to the "
    "block; cash = underlying.balanceOf(aToken), 0 where the token does not answer (its price is then missing, its decimals "
    "are the Pool's); collateral = 0 (it is rehypothecated and part of supplied); price = the "
    "market's own AaveOracle at the same block. Liquidations are LiquidationCall events of the Pool; bad debt booked "
    "since 3.3 (DeficitCreated) and made good (DeficitCovered) is no liquidation: table `bad_debt`."
)
PRIMARY_ENTRY = "pool"
ANCHORS = (
    Anchor("pool", "ADDRESSES_PROVIDER()", "address", "pool_addresses_provider", lasting=True),
    Anchor("pool", "getReservesList()", "list"),
    Anchor("pool_addresses_provider", "getPool()", "address", "pool", lasting=True),
    Anchor("pool_addresses_provider", "getPriceOracle()", "address", "oracle"),
    Anchor("pool_addresses_provider", "getPoolDataProvider()", "address", "protocol_data_provider"),
    Anchor("pool_addresses_provider", "getPoolConfigurator()", "address", "pool_configurator"),
)
# Rows that leave the provider open state a data provider, which must name the same one.
_BY_DATA_PROVIDER = (
    *ANCHORS,
    Anchor("protocol_data_provider", "ADDRESSES_PROVIDER()", "address", "pool_addresses_provider", lasting=True),
)
PROTOCOL_ANCHORS = {"hyperlend": _BY_DATA_PROVIDER, "hypurrfi": _BY_DATA_PROVIDER}
ACCOUNTING = Accounting(lends_deposits=True, cash_is_the_rest=True)

DEFICIT_CREATED = topic("DeficitCreated(address,address,uint256)")
DEFICIT_COVERED = topic("DeficitCovered(address,address,uint256)")
BAD_DEBT = frozenset({DEFICIT_CREATED, DEFICIT_COVERED})

# Words of Pool.getReserveData(asset) that hold token addresses.
_A_TOKEN, _STABLE_DEBT, _VARIABLE_DEBT, _RESERVE_WORDS = 8, 9, 10, 15
_DECIMALS_BIT = 48  # of the configuration, word 0


def snapshot(csu: Csu) -> Program[list[Reserve]]:
    """Every reserve of the market: three rounds for the list, the tokens, and the amounts with prices."""
    pool = csu.entry["pool"]
    listed, provider = yield [Call(pool, call_data("getReservesList()")), Call(pool, call_data("ADDRESSES_PROVIDER()"))]
    assets = addresses_of(listed, f"{csu.name}: Pool.getReservesList")
    provider_at = address_of(provider, f"{csu.name}: Pool.ADDRESSES_PROVIDER")

    answers = yield [
        Call(provider_at, call_data("getPriceOracle()")),
        *(Call(pool, call_data("getReserveData(address)", asset)) for asset in assets),
    ]
    oracle = address_of(answers[0], f"{csu.name}: getPriceOracle")
    tokens = [_tokens(csu, asset, answer) for asset, answer in zip(assets, answers[1:], strict=True)]

    calls = [*_quote_calls(oracle), Call(oracle, call_data("getAssetsPrices(address[])", assets))]
    first_amount = len(calls)
    for asset, (_, a_token, stable_debt, variable_debt) in zip(assets, tokens, strict=True):
        calls += [
            Call(asset, call_data("symbol()")),
            Call(asset, call_data("decimals()")),
            Call(asset, call_data("balanceOf(address)", a_token)),
            Call(a_token, call_data("totalSupply()")),
            Call(variable_debt, call_data("totalSupply()")),
        ]
        if stable_debt != ZERO:
            calls.append(Call(stable_debt, call_data("totalSupply()")))
    answers = yield calls
    amounts = iter(answers[first_amount:])
    unit, quote = _quote(answers)
    prices = yield from prices_in(csu, oracle, assets, answers[2], unit)

    reserves = []
    for asset, (places, _, stable_debt, _), price in zip(assets, tokens, prices, strict=True):
        symbol, decimals, cash, supplied, variable = (next(amounts) for _ in range(5))
        # A token that is broken or gone must not lose the market: its own reserve is left without a price.
        whole = all(one.success and not one.empty for one in (decimals, cash))
        stable = uint_of(next(amounts), f"{csu.name}: stable debt of {asset}") if stable_debt != ZERO else 0
        reserves.append(
            Reserve(
                asset=asset,
                symbol=symbol_of(symbol, asset),
                decimals=uint_of(decimals, f"{csu.name}: decimals of {asset}") if whole else places,
                supplied_raw=uint_of(supplied, f"{csu.name}: aToken supply of {asset}"),
                borrowed_raw=uint_of(variable, f"{csu.name}: variable debt of {asset}") + stable,
                cash_raw=uint_of(cash, f"{csu.name}: cash of {asset}") if whole else 0,
                collateral_raw=0,
                price_raw=price if whole else None,
                price_unit=unit if whole else None,
                price_quote=quote if whole else DEAD,
            )
        )
    return reserves


def emitters(csu: Csu) -> Program[list[LogFilter]]:
    """Three topics on the Pool give every liquidation and all bad debt; nothing need be asked."""
    yield from ()
    return [LogFilter(csu.entry["pool"], frozenset({LIQUIDATION_CALL, *BAD_DEBT}))]


def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]:
    """Every LiquidationCall."""
    return [liquidation_call(csu, log, {}) for log in logs if log.topics[0] == LIQUIDATION_CALL]


def bad_debt(csu: Csu, logs: Sequence[Log]) -> list[BadDebt]:
    """DeficitCreated(user, debtAsset indexed; amount), DeficitCovered(reserve indexed; caller, amount). None before 3.3.

    A liquidation that leaves no collateral books the account's debt in every reserve, not only in the one that was repaid.
    """
    found = []
    for log in logs:
        if log.topics[0] == DEFICIT_CREATED:
            check_layout(csu, log, "DeficitCreated", topics=3, words=1)
            user, asset = topic_address(log, 1), topic_address(log, 2)
            found.append(bad_debt_of(log, "created", asset, word(log.data, 0), borrower=user))
        elif log.topics[0] == DEFICIT_COVERED:
            check_layout(csu, log, "DeficitCovered", topics=2, words=2)
            found.append(bad_debt_of(log, "covered", topic_address(log, 1), word(log.data, 1)))
    return found


def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]:
    """Symbol, decimals and oracle price of the events' assets, also of ones no longer listed; amounts are tokens' already."""
    assets = sorted({asset for event in events for asset in (event.collateral_asset, event.debt_asset)})
    (provider,) = yield [Call(csu.entry["pool"], call_data("ADDRESSES_PROVIDER()"))]
    provider_at = address_of(provider, f"{csu.name}: Pool.ADDRESSES_PROVIDER")
    (answer,) = yield [Call(provider_at, call_data("getPriceOracle()"))]
    oracle = address_of(answer, f"{csu.name}: getPriceOracle")
    asked = ("symbol()", "decimals()")
    answers = yield [
        *_quote_calls(oracle),
        *(Call(oracle, call_data("getAssetPrice(address)", asset)) for asset in assets),
        *(Call(asset, call_data(what)) for asset in assets for what in asked),
    ]
    unit, quote = _quote(answers)
    prices, tokens = answers[2 : 2 + len(assets)], answers[2 + len(assets) :]
    found = {
        asset: token_facts(
            asset, tokens[2 * number], tokens[2 * number + 1], price_in(prices[number], unit), unit, quote
        )
        for number, asset in enumerate(assets)
    }
    return Settled(events, found)


def _tokens(csu: Csu, asset: str, answer: CallResult) -> tuple[int, str, str, str]:
    """The asset's decimals as the Pool counts them, its aToken, stable and variable debt token."""
    data = answer.need(f"{csu.name}: getReserveData of {asset}")
    if len(data) < _RESERVE_WORDS * 32:
        raise Skip(
            f"{csu.name}: getReserveData of {asset} has {counted(len(data), 'byte')}, 480 expected", reason="layout"
        )
    decimals = word(data, 0) >> _DECIMALS_BIT & 0xFF
    return decimals, address_at(data, _A_TOKEN), address_at(data, _STABLE_DEBT), address_at(data, _VARIABLE_DEBT)


def _quote_calls(oracle: str) -> list[Call]:
    return [Call(oracle, call_data("BASE_CURRENCY_UNIT()")), Call(oracle, call_data("BASE_CURRENCY()"))]


def _quote(answers: Sequence[CallResult]) -> tuple[int | None, str]:
    """The price of one quote unit and the quote: `usd` where the base currency is the zero address, else its address."""
    unit, base = answers[:2]
    base_at = address_at(base.data, 0) if base.success and base.data else ZERO
    return uint_or_none(unit), "usd" if base_at == ZERO else base_at
