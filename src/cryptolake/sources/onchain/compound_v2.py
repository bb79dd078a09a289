"""Family `compound_v2`: Compound V2 and its forks (Venus, Benqi, Moonwell, Tectonic, Kinetic, Sumer, LayerBank, ...).

I/O-free programs. Reads the comptroller and the cTokens, which exist from day one, never a lens. Interest is accrued by the
contracts themselves: `exchangeRateCurrent()` and `totalBorrowsCurrent()` change state, but an eth_call may call them, so per
block, per second and L1-numbered forks need no formulas of ours. Layouts: compound-protocol, venus-protocol, isolated-pools,
layerbank/contracts, and Sumer's comptroller.
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
    ZERO,
    addresses_of,
    any_address,
    any_uint,
    short,
    symbol_of,
    uint_of,
    uint_or_none,
)
from cryptolake.sources.onchain.events import bad_debt as bad_debt_of
from cryptolake.sources.onchain.events import check_layout, liquidation, topic_address
from cryptolake.sources.onchain.records import AssetFacts, BadDebt, Liquidation, Reserve, Settled

METHODOLOGY = (
    "Per underlying token, summed over its cTokens: supplied = totalSupply x exchangeRateCurrent / 1e18 (so cash + borrows - "
    "reserves, in Venus isolated pools plus badDebt); borrowed = totalBorrowsCurrent; both with interest to the block, or as "
    "last stored where the contract itself can no longer accrue; cash = getCash; collateral = 0 (it is lent out and part of "
    "supplied). Price = the comptroller's own oracle, in USD or, for oracles that price ETH at exactly 1, in ETH. Sumer's "
    "minted suTokens hold no cash. Venus' VAI: supplied 0, borrowed = VAI in circulation less what the peg stability module "
    "minted (principal: stability fees are kept per account only). Liquidations are LiquidateBorrow and LiquidateVAI; seized "
    "cTokens are turned into tokens at the collateral market's exchangeRateStored at the snapshot block. Accounts healed in "
    "isolated pools (HealBorrow) are no liquidations: that event names no collateral; what is lost (BadDebtIncreased) and made "
    "good later (BadDebtRecovered) is in table `bad_debt`. Elsewhere bad debt stays debt, and no event tells of it."
)
PRIMARY_ENTRY = "comptroller"
ANCHORS = (
    Anchor("comptroller", "getAllMarkets()", "list"),
    Anchor("comptroller", "oracle()", "address", "oracle"),
    # The one that takes part below is not compared with the row's: oracles are replaced.
    Anchor("comptroller", "oracle()", "address", lasting=True),
    Anchor("comptroller", "markets(address)", "true", arguments=("native_ctoken",), lasting=True),
    Anchor("ctoken", "comptroller()", "address", "comptroller", lasting=True),
    Anchor("psm", "vaiMinted()", "number", lasting=True),
)
PROTOCOL_ANCHORS = {
    "layerbank": (  # Core of layerbank/contracts names the same things otherwise
        Anchor("comptroller", "allMarkets()", "list"),
        Anchor("comptroller", "priceCalculator()", "address", "oracle"),
        Anchor("comptroller", "priceCalculator()", "address", lasting=True),
    ),
}
ACCOUNTING = Accounting(lends_deposits=True, cash_is_the_rest=True)

LIQUIDATE_BORROW = topic("LiquidateBorrow(address,address,uint256,address,uint256)")
LIQUIDATE_VAI = topic("LiquidateVAI(address,address,uint256,address,uint256)")
LIQUIDATE_BORROWED_TOKENS = topic("LiquidateBorrowedTokens(address,address,uint256,address,address,uint256,uint256)")
BAD_DEBT_INCREASED = topic("BadDebtIncreased(address,uint256,uint256,uint256)")
BAD_DEBT_RECOVERED = topic("BadDebtRecovered(uint256,uint256)")
BAD_DEBT = frozenset({BAD_DEBT_INCREASED, BAD_DEBT_RECOVERED})

# The address EIP-7528 gives to a chain's native coin; cETH-like markets have no underlying().
NATIVE = "0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE"
NATIVE_SYMBOLS = {
    **dict.fromkeys(("arbitrum", "base", "blast", "bob", "ethereum", "ink", "katana", "linea", "megaeth"), "ETH"),
    **dict.fromkeys(("optimism", "scroll", "soneium", "swellchain", "unichain", "worldchain", "zksync"), "ETH"),
    "avalanche": "AVAX", "berachain": "BERA", "binance": "BNB", "celo": "CELO", "core": "CORE", "cronos": "CRO",
    "fantom": "FTM", "flare": "FLR", "gnosis": "XDAI", "harmony": "ONE", "hyperevm": "HYPE", "mantle": "MNT",
    "meter": "MTR", "metis": "METIS", "monad": "MON", "moonbeam": "GLMR", "moonriver": "MOVR", "opbnb": "BNB",
    "plasma": "XPL", "polygon": "POL", "ronin": "RON", "sei": "SEI", "sonic": "S", "tac": "TAC", "xlayer": "OKB",
}  # fmt: skip
_ONE = 10**18


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How a fork names and scales things. `price_digits` None: a price has 36 - decimals digits, else always as many."""

    markets: str = "getAllMarkets()"
    oracle: str = "oracle()"
    rate: str = "exchangeRateCurrent()"
    borrows: str = "totalBorrowsCurrent()"
    stored_rate: str = "exchangeRateStored()"
    stored_borrows: str = "totalBorrows()"
    price_digits: int | None = None
    mints: bool = False  # has markets whose borrows mint and whose deposits burn: isCToken() is false there


_COMPOUND = _Dialect()
_DIALECTS = {
    # Its views include pending interest, so they serve as stored ones too. Source: layerbank/contracts Market.sol, Core.sol.
    "layerbank": _Dialect(
        "allMarkets()", "priceCalculator()", "exchangeRate()", "totalBorrow()", "exchangeRate()", "totalBorrow()", 18
    ),
    "sumer": _Dialect(price_digits=18, mints=True),  # FeedPriceOracle: 1e18 whatever the token
}


@dataclass(frozen=True, slots=True)
class _Listed:
    """What the comptroller names: its cTokens and oracle and, in Venus' core pool, who mints VAI and who liquidates."""

    markets: list[str]
    oracle: str
    vai_controller: str | None
    liquidator: str | None


@dataclass(frozen=True, slots=True)
class _Assets:
    """The token behind every cToken, what each token is and costs, and VAI's address where there is one."""

    of: Mapping[str, str]
    facts: Mapping[str, AssetFacts]
    vai: str | None


def snapshot(csu: Csu) -> Program[list[Reserve]]:
    """Every underlying of the market, summed over its cTokens: three rounds, a fourth where a cToken cannot accrue."""
    dialect = _DIALECTS.get(csu.protocol, _COMPOUND)
    listed = yield from _listed(csu, dialect)
    markets = listed.markets
    # Plain reads stand before the accruing ones: within one multicall those would change what is read after them.
    plain = ["totalSupply()", "getCash()", *(["isCToken()"] if dialect.mints else [])]
    calls = [Call(one, call_data(what)) for one in markets for what in plain]
    accruing = [Call(one, call_data(what)) for one in markets for what in (dialect.rate, dialect.borrows)]
    names = _name_calls(listed, markets)
    answers = yield [*names, *calls, *accruing]
    named, amounts = answers[: len(names)], answers[len(names) : len(names) + len(calls)]
    grown = list(answers[len(names) + len(calls) :])
    assets = yield from _facts(csu, dialect, listed, markets, named)
    if stuck := sorted({number // 2 for number, answer in enumerate(grown) if not answer.success}):
        # In a multicall the stored values are read after one more try to accrue, lest one that ran out of gas passes for a
        # contract that cannot. Both values are taken, so that they belong together.
        last = ("accrueInterest()", dialect.stored_rate, dialect.stored_borrows)
        again = yield [Call(markets[number], call_data(what)) for number in stuck for what in last]
        for place, number in enumerate(stuck):
            grown[2 * number : 2 * number + 2] = again[3 * place + 1 : 3 * place + 3]

    totals: dict[str, list[int]] = {}
    dead: set[str] = set()
    for number, market in enumerate(markets):
        own = amounts[number * len(plain) : (number + 1) * len(plain)]
        asset = assets.of[market]
        borrowed = uint_of(grown[2 * number + 1], f"{csu.name}: borrows of {market}")
        shares = uint_of(own[0], f"{csu.name}: totalSupply() of {market}")
        answers_cash = own[1].success and own[1].data
        held = uint_of(own[1], f"{csu.name}: getCash() of {market}") if answers_cash else None
        if (
            held is None and asset != NATIVE
        ):  # its token is broken or gone, and with it the rate that its balance is part of
            dead.add(asset)
            supplied = borrowed
        else:
            supplied = shares * uint_of(grown[2 * number], f"{csu.name}: exchange rate of {market}") // _ONE
        cash = 0 if dialect.mints and uint_or_none(own[2]) == 0 else held or 0  # deposits of a minted token are burned
        total = totals.setdefault(asset, [0, 0, 0])
        for place, amount in enumerate((supplied, borrowed, cash)):
            total[place] += amount
    facts = {
        asset: AssetFacts.dead(one.symbol, one.decimals) if asset in dead else one
        for asset, one in assets.facts.items()
    }
    rows = [
        facts[asset].reserve(asset, supplied=supplied, borrowed=borrowed, cash=cash)
        for asset, (supplied, borrowed, cash) in totals.items()
    ]
    if assets.vai is not None:
        minted = yield from _minted(csu, assets.vai)
        if minted is None:
            facts[assets.vai] = AssetFacts.dead(facts[assets.vai].symbol, facts[assets.vai].decimals)
        rows.append(facts[assets.vai].reserve(assets.vai, supplied=0, borrowed=minted or 0, cash=0))
    return rows


def emitters(csu: Csu) -> Program[list[LogFilter]]:
    """Every listed cToken; in Venus' core pool also the VAI controller and the Liquidator, which knows who liquidated."""
    listed = yield from _listed(csu, _DIALECTS.get(csu.protocol, _COMPOUND))
    found = [LogFilter(market, frozenset({LIQUIDATE_BORROW, *BAD_DEBT})) for market in listed.markets]
    if listed.vai_controller:
        found.append(LogFilter(listed.vai_controller, frozenset({LIQUIDATE_VAI})))
    if listed.liquidator:
        found.append(LogFilter(listed.liquidator, frozenset({LIQUIDATE_BORROWED_TOKENS})))
    return found


def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]:
    """LiquidateBorrow of each cToken (nothing indexed, or three in isolated pools) and LiquidateVAI; amounts in cTokens.

    Behind Venus' Liquidator the contract stands as liquidator; its own event, later in the same transaction, says who it was.
    """
    found: list[Liquidation] = []
    for log in logs:
        if log.topics[0] in (LIQUIDATE_BORROW, LIQUIDATE_VAI):
            found.append(_liquidation(csu, log))
        elif log.topics[0] == LIQUIDATE_BORROWED_TOKENS:
            _name_liquidator(csu, found, log)
    return found


def bad_debt(csu: Csu, logs: Sequence[Log]) -> list[BadDebt]:
    """BadDebtIncreased(borrower indexed; delta, before, after), BadDebtRecovered(before, after) of Venus' isolated pools.

    HealBorrow beside the first states what the healer paid, which is what was not lost.
    """
    found = []
    for log in logs:
        if log.topics[0] == BAD_DEBT_INCREASED:
            check_layout(csu, log, "BadDebtIncreased", topics=2, words=3)
            borrower = topic_address(log, 1)
            found.append(bad_debt_of(log, "created", log.address, word(log.data, 0), borrower=borrower))
        elif log.topics[0] == BAD_DEBT_RECOVERED:
            check_layout(csu, log, "BadDebtRecovered", topics=1, words=2)
            before, after = word(log.data, 0), word(log.data, 1)
            if after > before:
                raise Skip(f"{csu.name}: BadDebtRecovered in {log.tx} adds bad debt", reason="layout")
            found.append(bad_debt_of(log, "covered", log.address, before - after))
    return found


def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]:
    """Seized cTokens become tokens at the stored exchange rate, cTokens their underlying; then symbols and prices."""
    dialect = _DIALECTS.get(csu.protocol, _COMPOUND)
    listed = yield from _listed(csu, dialect)
    debts = {event.debt_asset for event in events if event.extra["event"] != "LiquidateVAI"}
    seized = sorted({event.collateral_asset for event in events})
    markets = list(dict.fromkeys([*listed.markets, *sorted(debts), *seized]))
    names = _name_calls(listed, markets)
    answers = yield [*names, *(Call(market, call_data(dialect.stored_rate)) for market in seized)]
    rates = {market: uint_or_none(answer) for market, answer in zip(seized, answers[len(names) :], strict=True)}
    assets = yield from _facts(csu, dialect, listed, markets, answers[: len(names)])
    settled = []
    for event in events:
        debt = assets.of.get(event.debt_asset) or assets.vai
        if debt is None:
            raise Skip(
                f"{csu.name}: VAI was liquidated in {event.tx}, but there is no VAI at this block", reason="layout"
            )
        rate = rates[event.collateral_asset]
        if rate is None:  # its token is broken or gone: the shares stand for themselves
            settled.append(replace(event, debt_asset=debt))
            continue
        settled.append(
            replace(
                event,
                collateral_asset=assets.of[event.collateral_asset],
                collateral_amount_raw=event.collateral_amount_raw * rate // _ONE,
                debt_asset=debt,
                extra={**event.extra, "exchange_rate": str(rate)},
            )
        )
    facts = {**assets.facts, **{one: AssetFacts.dead(short(one)) for one, rate in rates.items() if rate is None}}
    named = {asset for event in settled for asset in (event.collateral_asset, event.debt_asset)}
    return Settled(settled, {asset: facts[asset] for asset in sorted(named)})


def _listed(csu: Csu, dialect: _Dialect) -> Program[_Listed]:
    comptroller = csu.entry["comptroller"]
    asked = (dialect.markets, dialect.oracle, "vaiController()", "liquidatorContract()")
    answers = yield [Call(comptroller, call_data(what)) for what in asked]
    # A comptroller without an oracle has markets without prices.
    oracle, controller, liquidator = any_address(answers[1]) or ZERO, any_address(answers[2]), any_address(answers[3])
    if (known := csu.entry.get("first_ctokens")) and not answers[0].success:
        markets = yield from _first_listed(csu, known.split(","))
    else:
        markets = addresses_of(answers[0], f"{csu.name}: {dialect.markets}")
    return _Listed(markets, oracle, controller, liquidator)


def _first_listed(csu: Csu, known: Sequence[str]) -> Program[list[str]]:
    """Which of the `known` cTokens are listed: Compound's comptroller kept no list before COMP was given out (June 2020)."""
    answers = yield [Call(csu.entry["comptroller"], call_data("markets(address)", one)) for one in known]
    told = [uint_of(answer, f"{csu.name}: markets({one})") for one, answer in zip(known, answers, strict=True)]
    return [one for one, is_listed in zip(known, told, strict=True) if is_listed]


def _name_calls(listed: _Listed, markets: Sequence[str]) -> list[Call]:
    calls = [Call(market, call_data("underlying()")) for market in markets]
    calls += [Call(listed.oracle, call_data("getUnderlyingPrice(address)", market)) for market in markets]
    return [*calls, Call(listed.vai_controller, call_data("getVAIAddress()"))] if listed.vai_controller else calls


def _facts(
    csu: Csu, dialect: _Dialect, listed: _Listed, markets: Sequence[str], named: Sequence[CallResult]
) -> Program[_Assets]:
    """What stands behind the cTokens, from the answers to `_name_calls`."""
    count = len(markets)
    of = {market: any_address(answer) or NATIVE for market, answer in zip(markets, named[:count], strict=True)}
    tokens = list(dict.fromkeys(asset for asset in of.values() if asset != NATIVE))
    calls = []
    vai = any_address(named[2 * count]) if listed.vai_controller else None
    if vai is not None:
        tokens.append(vai)
        calls.append(Call(listed.oracle, call_data("getUnderlyingPrice(address)", vai)))
    calls += [Call(token, call_data(what)) for token in tokens for what in ("symbol()", "decimals()")]
    answers = (yield calls) if calls else []
    prices: dict[str, int] = {}
    for market, answer in zip(markets, named[count : 2 * count], strict=True):
        if price := any_uint(answer):  # the first price of an asset stands; 0 or no number means that there is none
            prices.setdefault(of[market], price)
    if vai is not None and (price := any_uint(answers[0])):
        prices.setdefault(vai, price)
    told = answers[len(calls) - 2 * len(tokens) :]
    shapes: dict[str, tuple[str, int | None]] = {}
    if NATIVE in of.values():
        shapes[NATIVE] = (NATIVE_SYMBOLS.get(csu.chain, "COIN"), 18)
    for number, token in enumerate(tokens):
        shapes[token] = (symbol_of(told[2 * number], token), uint_or_none(told[2 * number + 1]))
    # No dollar price of ETH is exactly 1: an oracle that says so counts in ETH (Compound until August 2020, Lodestar).
    ether = [prices.get(asset) for asset, (symbol, _) in shapes.items() if symbol in ("ETH", "WETH")]
    quote = "eth" if _ONE in ether and dialect.price_digits is None else "usd"
    facts = {}
    for asset, (symbol, decimals) in shapes.items():
        if decimals is None:
            facts[asset] = AssetFacts.dead(symbol)
            continue
        digits = 36 - decimals if dialect.price_digits is None else dialect.price_digits
        unit = 10**digits if digits >= 0 else None
        facts[asset] = AssetFacts(symbol, decimals, prices.get(asset) if unit else None, unit, quote)
    return _Assets(of, facts, vai)


def _minted(csu: Csu, vai: str) -> Program[int | None]:
    """VAI owed by its minters: what circulates less what peg stability modules minted; None where VAI does not answer."""
    modules = csu.entry["psm"].split(",") if "psm" in csu.entry else []
    supply, *pegged = yield [
        Call(vai, call_data("totalSupply()")),
        *(Call(module, call_data("vaiMinted()")) for module in modules),
    ]
    circulating = uint_or_none(supply)
    if circulating is None:
        return None
    # Before a module was deployed it had minted nothing.
    return circulating - sum(
        uint_of(one, f"{csu.name}: vaiMinted") for one in pegged if not (one.success and one.empty)
    )


def _liquidation(csu: Csu, log: Log) -> Liquidation:
    name = "LiquidateVAI" if log.topics[0] == LIQUIDATE_VAI else "LiquidateBorrow"
    if len(log.topics) == 1:
        check_layout(csu, log, name, topics=1, words=5)
        liquidator, borrower, collateral = (address_at(log.data, place) for place in (0, 1, 3))
        repaid, seized = word(log.data, 2), word(log.data, 4)
    else:
        check_layout(csu, log, name, topics=4, words=2)
        liquidator, borrower, collateral = (topic_address(log, index) for index in (1, 2, 3))
        repaid, seized = word(log.data, 0), word(log.data, 1)
    return liquidation(
        log,
        liquidator=liquidator,
        borrower=borrower,
        seized=(collateral, seized),
        repaid=(log.address, repaid),
        extra={
            "event": name,
            "debt_market": log.address,
            "collateral_market": collateral,
            "seized_shares": str(seized),
        },
    )


def _name_liquidator(csu: Csu, found: list[Liquidation], log: Log) -> None:
    """LiquidateBorrowedTokens(liquidator, borrower indexed; repaid, borrowed; collateral indexed; shares to both)."""
    check_layout(csu, log, "LiquidateBorrowedTokens", topics=4, words=4)
    liquidator, borrower, collateral = (topic_address(log, index) for index in (1, 2, 3))
    sought = (log.tx, log.address, borrower, collateral, address_at(log.data, 1))
    for place in range(len(found) - 1, -1, -1):
        one = found[place]
        if (one.tx, one.liquidator, one.borrower, one.collateral_asset, one.debt_asset) == sought:
            found[place] = replace(one, liquidator=liquidator, extra={**one.extra, "through": log.address})
            return
