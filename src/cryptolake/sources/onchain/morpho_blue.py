"""Family `morpho_blue`: Morpho Blue and its fork Lista Moolah, one contract that holds every isolated market. I/O-free.

No getter lists the markets: their CreateMarket events do (`discovery`). Everything else is read from the contract itself,
the tokens, and each market's own interest rate model and oracle, never from vaults, which are deposits counted twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cryptolake.contracts.counting import counted
from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.errors import Skip
from cryptolake.net.abi import WORD, address_at, call_data, keccak, selector, word
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Call, CallResult, Program
from cryptolake.registry.family import Accounting, Anchor
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.answers import CLOCK, ZERO, any_symbol, any_uint, block_time
from cryptolake.sources.onchain.isolated import Isolated
from cryptolake.sources.onchain.morpho_events import BAD_DEBT as BAD_DEBT
from cryptolake.sources.onchain.morpho_events import CREATE_MARKET as CREATE_MARKET
from cryptolake.sources.onchain.morpho_events import LIQUIDATE as LIQUIDATE
from cryptolake.sources.onchain.morpho_events import bad_debt as bad_debt
from cryptolake.sources.onchain.morpho_events import liquidation_of
from cryptolake.sources.onchain.records import AssetFacts, Liquidation, Reserve, Settled

METHODOLOGY = (
    "Markets = CreateMarket events since the deployment, summed per token; tokens of which nothing is held or lent have "
    "no row. supplied and borrowed = market() totals of the markets that lend the token, with interest to the block by "
    "the market's rate model (borrowRateView, compounded as the contract does). cash = supplied - borrowed; collateral = "
    "the contract's token balance less cash (also tokens sent to it by mistake). Vaults on top are not added: they would "
    "count twice. Price of a collateral token = price() of the oracle of its market with the largest debt, quoted in "
    "that market's loan token; of the loan tokens the one lent in the most indebted markets is taken, and never one that "
    "is itself priced in the token. Anyone may create a market with a false oracle, so a price at which the collateral "
    "would be worth more than 1000 times that market's debt is refused. A token that is only lent has no price of the "
    "protocol. Lista: USD price by the market oracle's peek(); interest that its brokers charge on top is not in "
    "borrowed. A token without decimals() is counted in its smallest unit and has no price. Liquidations are Liquidate "
    "events, debt = repaid by the liquidator; bad debt is in `extra`. An event that only writes off a broker's bad debt "
    "has amounts of 0."
)
PRIMARY_ENTRY = "morpho"
ANCHORS = (
    Anchor("morpho", "owner()", "address"),
    Anchor("morpho", "isIrmEnabled(address)", "true", arguments=("adaptive_curve_irm",), lasting=True),
    Anchor("morpho", "idToMarketParams(bytes32)", "number", arguments=(0,), lasting=True),
    Anchor("adaptive_curve_irm", "MORPHO()", "address", "morpho", lasting=True),
    Anchor("metamorpho_factory", "MORPHO()", "address", "morpho"),
)
PROTOCOL_ANCHORS = {
    "lista": (  # Moolah of lista-dao/moolah has roles where Morpho has an owner
        Anchor("morpho", "getRoleMemberCount(bytes32)", "count", arguments=(0,), lasting=True),
        Anchor("morpho", "idToMarketParams(bytes32)", "number", arguments=(0,), lasting=True),
        Anchor("vault_factory", "MOOLAH()", "address", "morpho", lasting=True),
    ),
}
ACCOUNTING = Accounting(lends_deposits=True, cash_is_the_rest=False)

_WAD = 10**18
_PARAMS_WORDS, _MARKET_WORDS = 5, 6
_ORACLE_DECIMALS = 36  # price() = 10**36 x raw loan units per raw collateral unit
_LISTA_UNIT = 10**8  # peek() gives USD with 8 decimals
_BELIEVED = 1000  # a collateral worth more than this many times the market's debt is taken for a false oracle
_BORROW_RATE = selector(
    "borrowRateView((address,address,address,address,uint256),(uint128,uint128,uint128,uint128,uint128,uint128))"
)


@dataclass(frozen=True, slots=True)
class _Market:
    """One isolated market: its id, its parameters, its state as ABI words, and what became known of it."""

    id: int
    params: bytes
    loan: str
    collateral: str
    oracle: str
    irm: str
    state: bytes = b""
    supplied: int = 0
    borrowed: int = 0
    price: int | None = None


def _market(params: bytes) -> _Market:
    """The market of these five words: its id is their hash."""
    loan, collateral, oracle, irm = (address_at(params, place) for place in range(4))
    return _Market(int.from_bytes(keccak(params), "big"), params, loan, collateral, oracle, irm)


def discovery(csu: Csu) -> LogFilter:
    """The events that name every market."""
    return LogFilter(csu.entry["morpho"], frozenset({CREATE_MARKET}))


def discover(csu: Csu, logs: Sequence[Log]) -> Csu:
    """The market with the parameters (hex of five words) of every CreateMarket event in `found`, in order of creation."""
    found = []
    for log in logs:
        if len(log.data) != _PARAMS_WORDS * WORD or log.topics[1:] != ("0x" + keccak(log.data).hex(),):
            raise Skip(f"{csu.name}: CreateMarket in {log.tx} has an unknown layout", reason="layout")
        found.append(log.data.hex())
    return replace(csu, found=tuple(found))


@dataclass(frozen=True, slots=True)
class _State:
    """What one conversation told: every market with its interest, each token's sums and facts, and what oracles said."""

    markets: Sequence[_Market]
    sums: Mapping[str, tuple[int, int, int, int]]
    unread: frozenset[str]  # tokens whose balance cannot be read
    metadata: Mapping[str, tuple[str, int | None]]
    peeked: dict[tuple[str, str], int]  # Lista: USD price by oracle and token


def snapshot(csu: Csu) -> Program[list[Reserve]]:
    """Every token lent or pledged."""
    state = yield from _state(csu)
    collateral = {token: state.sums[token][3] for token in state.metadata}
    quoted = _quotes([market for market in state.markets if market.borrowed], state.metadata, collateral)
    dollars = _first_peeked(state.peeked)
    reserves = []
    for token, (symbol, decimals) in state.metadata.items():
        supplied, borrowed, cash, pledged = state.sums[token]
        price = _dollar(dollars, token, decimals) if _is_lista(csu) else quoted.get(token, _PRICELESS)
        price = _DEAD if decimals is None or token in state.unread else price
        reserves.append(Reserve(token, symbol, decimals or 0, supplied, borrowed, cash, pledged, *price))
    return reserves


def isolated(csu: Csu) -> Program[list[Isolated]]:
    """Every isolated market in which something is lent or owed, or certainly pledged; asks what `snapshot` asks.

    The contract does not say how much of a token is pledged where: all of it is in a market that alone takes the token.
    """
    state = yield from _state(csu)
    takers = Counter(market.collateral for market in state.markets if market.collateral != ZERO)
    found = []
    for market in state.markets:
        many = takers[market.collateral]
        pledged = state.sums[market.collateral][3] if many and market.collateral not in state.unread else None
        mine = pledged if many == 1 else None
        if not (market.supplied or market.borrowed or mine):
            continue
        symbol, decimals = state.metadata.get(market.loan, ("", None))
        pledged_symbol, pledged_decimals = state.metadata.get(market.collateral, (None, None))
        one = Isolated(
            market=f"0x{market.id:064x}",
            loan=market.loan,
            loan_symbol=symbol,
            loan_decimals=decimals or 0,
            collateral=market.collateral if many else None,
            collateral_symbol=pledged_symbol,
            collateral_decimals=pledged_decimals,
            oracle=market.oracle if market.oracle != ZERO else None,
            rate_model=market.irm if market.irm != ZERO else None,
            lltv_raw=word(market.params, 4),
            supplied_raw=market.supplied,
            borrowed_raw=market.borrowed,
            interest_raw=market.borrowed - word(market.state, 2),
            touched=word(market.state, 4),
            collateral_raw=mine,
            pledged_raw=pledged,
            takers=many,
            own_price=_own_price(market, state),
        )
        found.append(one)
    return found


def _state(csu: Csu) -> Program[_State]:
    """Three rounds for the markets' state, rates with balances, and token facts."""
    contract = csu.entry["morpho"]
    if not csu.found:
        raise Skip(
            f"{csu.name}: no CreateMarket event up to this block; the endpoint may lack old logs, set another one",
            reason="silence",
        )
    markets = [_market(bytes.fromhex(one)) for one in csu.found]
    clock, *states = yield [
        CLOCK,
        *(Call(contract, call_data("market(bytes32)", market.id)) for market in markets),
    ]
    now = block_time(csu, clock)
    markets = [_with_state(csu, market, answer) for market, answer in zip(markets, states, strict=True)]

    indebted = [market for market in markets if market.borrowed]
    accruing = [market for market in indebted if market.irm != ZERO]
    tokens = sorted({one for market in markets for one in (market.loan, market.collateral)} - {ZERO})
    priced = [market for market in indebted if market.oracle != ZERO] if not _is_lista(csu) else []
    peeks = _peek_calls(csu, markets)
    answers = iter(
        (
            yield [
                *(Call(market.irm, _BORROW_RATE + market.params + market.state) for market in accruing),
                *(Call(market.oracle, call_data("price()")) for market in priced),
                *(Call(token, call_data("balanceOf(address)", contract)) for token in tokens),
                *peeks,
            ]
        )
    )
    rates = {market.id: any_uint(next(answers)) for market in accruing}
    prices = {market.id: any_uint(next(answers)) for market in priced}
    balances = {token: any_uint(next(answers)) for token in tokens}
    peeked = _peeked(peeks, answers)
    markets = [_accrued(market, rates.get(market.id), prices.get(market.id), now) for market in markets]

    sums = _sums(markets, balances)
    # What is pledged for a debt is a balance: where that cannot be read the token is not left out as if it were none.
    unread = frozenset(token for token, balance in balances.items() if balance is None)
    pledged_for = {market.collateral for market in indebted}
    held = [token for token in tokens if any(sums[token]) or (token in unread and token in pledged_for)]
    return _State(markets, sums, unread, _metadata(held, (yield _metadata_calls(held))), peeked)


def emitters(csu: Csu) -> Program[list[LogFilter]]:
    """One topic on the contract gives every liquidation of every market."""
    yield from ()
    return [LogFilter(csu.entry["morpho"], frozenset({LIQUIDATE}))]


def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]:
    """Liquidate events; both assets are the market's id until `settle` looks up its tokens."""
    return [liquidation_of(csu, log) for log in logs if log.topics[0] == LIQUIDATE]


def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]:
    """The tokens of the events' markets, and their facts with the prices of these markets."""
    contract = csu.entry["morpho"]
    ids = sorted({event.extra["market"] for event in events})
    asked = ("idToMarketParams(bytes32)", "market(bytes32)")
    answers = iter((yield [Call(contract, call_data(what, int(one, 16))) for one in ids for what in asked]))
    markets = {one: _found(csu, one, next(answers), next(answers)) for one in ids}
    tokens = sorted({token for market in markets.values() for token in (market.loan, market.collateral)})
    peeks = _peek_calls(csu, markets.values())
    priced = {} if _is_lista(csu) else {one: market for one, market in markets.items() if market.oracle != ZERO}
    metadata_calls = _metadata_calls(tokens)
    answered = yield [
        *metadata_calls,
        *(Call(market.oracle, call_data("price()")) for market in priced.values()),
        *peeks,
    ]
    metadata, answers = _metadata(tokens, answered[: len(metadata_calls)]), iter(answered[len(metadata_calls) :])
    for one, market in priced.items():
        markets[one] = replace(market, price=any_uint(next(answers)))
    dollars = _first_peeked(_peeked(peeks, answers))
    quoted = _quotes(markets.values(), metadata, {})
    facts = {}
    for token, (symbol, decimals) in metadata.items():
        price = _dollar(dollars, token, decimals) if _is_lista(csu) else quoted.get(token, _PRICELESS)
        facts[token] = AssetFacts.dead(symbol) if decimals is None else AssetFacts(symbol, decimals, *price)
    return Settled(
        [
            replace(
                event,
                collateral_asset=markets[event.extra["market"]].collateral,
                debt_asset=markets[event.extra["market"]].loan,
            )
            for event in events
        ],
        facts,
    )


def _is_lista(csu: Csu) -> bool:
    """Moolah's oracles have peek(token) in USD where Morpho's have price()."""
    return csu.protocol == "lista"


def _with_state(csu: Csu, market: _Market, answer: CallResult) -> _Market:
    data = answer.need(f"{csu.name}: market()")
    if len(data) != _MARKET_WORDS * WORD:
        raise Skip(
            f"{csu.name}: market() has {counted(len(data), 'byte')}, {_MARKET_WORDS * WORD} expected", reason="layout"
        )
    return replace(market, state=data, supplied=word(data, 0), borrowed=word(data, 2))


def _found(csu: Csu, market: str, params: CallResult, state: CallResult) -> _Market:
    data = params.need(f"{csu.name}: idToMarketParams of {market}")
    if "0x" + keccak(data).hex() != market:
        raise Skip(f"{csu.name}: idToMarketParams of {market} gives another market", reason="layout")
    return _with_state(csu, _market(data), state)


def _accrued(market: _Market, rate: int | None, price: int | None, now: int) -> _Market:
    """With interest since the last update, as Morpho._accrueInterest: three Taylor terms of e^(rate x time) - 1.

    A rate model that does not answer stops the contract's own accrual too, so that its stored totals stand.
    """
    first = (rate or 0) * (now - word(market.state, 4))
    second = first * first // (2 * _WAD)
    third = second * first // (3 * _WAD)
    interest = market.borrowed * (first + second + third) // _WAD
    return replace(market, supplied=market.supplied + interest, borrowed=market.borrowed + interest, price=price)


def _sums(markets: Iterable[_Market], balances: Mapping[str, int | None]) -> dict[str, tuple[int, int, int, int]]:
    """Supplied, borrowed, cash and collateral of each token; only what the contract itself counts without a balance."""
    supplied, borrowed = Counter[str](), Counter[str]()
    for market in markets:
        supplied[market.loan] += market.supplied
        borrowed[market.loan] += market.borrowed
    sums = {}
    for token, balance in balances.items():
        idle = supplied[token] - borrowed[token]
        cash = idle if balance is None else min(idle, balance)
        sums[token] = (supplied[token], borrowed[token], cash, 0 if balance is None else balance - cash)
    return sums


def _metadata_calls(tokens: Sequence[str]) -> list[Call]:
    return [Call(token, call_data(what)) for token in tokens for what in ("symbol()", "decimals()")]


def _metadata(tokens: Sequence[str], answers: Sequence[CallResult]) -> dict[str, tuple[str, int | None]]:
    """Symbol and decimals of each token; its short address, and None, where it does not say."""
    found = {}
    for token, symbol, decimals in zip(tokens, answers[::2], answers[1::2], strict=True):
        number = any_uint(decimals)
        found[token] = (any_symbol(symbol, token)[:64], number if number is not None and number < 256 else None)
    return found


_Price = tuple[int | None, int | None, str]
_PRICELESS: _Price = (None, None, "usd")
_DEAD: _Price = (None, None, DEAD)


def _quotes(
    markets: Collection[_Market], metadata: Mapping[str, tuple[str, int | None]], collateral: Mapping[str, int]
) -> dict[str, _Price]:
    """The price of each collateral token, see METHODOLOGY. Without an amount in `collateral` no price is refused."""
    lent = Counter(market.loan for market in markets)
    rank = {token: place for place, token in enumerate(sorted(lent, key=lambda one: (-lent[one], one)))}
    largest: dict[tuple[int, str], _Market] = {}
    for market in sorted(markets, key=lambda one: (-one.borrowed, one.id)):
        if market.price:
            largest.setdefault((rank[market.loan], market.collateral), market)
    found: dict[str, _Price] = {}
    for (_, token), market in sorted(largest.items()):
        decimals, loan_decimals = metadata.get(token, ("", None))[1], metadata.get(market.loan, ("", None))[1]
        if token in found or decimals is None or loan_decimals is None or market.price is None:
            continue
        if _leads(market.loan, token, found):  # quotes must not run in a circle
            continue
        exponent = _ORACLE_DECIMALS + loan_decimals - decimals
        worth = collateral.get(token, 0) * market.price // 10**_ORACLE_DECIMALS
        if exponent >= 0 and worth <= _BELIEVED * market.borrowed:
            found[token] = (market.price, 10**exponent, market.loan)
    return found


def _leads(quote: str, token: str, found: Mapping[str, _Price]) -> bool:
    """Whether the price in `quote` would in the end be one in `token` itself."""
    while quote != token and quote in found:
        quote = found[quote][2]
    return quote == token


def _peek_calls(csu: Csu, markets: Iterable[_Market]) -> list[Call]:
    """One question to each market's oracle for each of its tokens, in order of creation; none outside Lista."""
    if not _is_lista(csu):
        return []
    pairs = {(market.oracle, token) for market in markets for token in (market.loan, market.collateral)}
    return [Call(oracle, call_data("peek(address)", token)) for oracle, token in sorted(pairs)]


def _peeked(calls: Sequence[Call], answers: Iterable[CallResult]) -> dict[tuple[str, str], int]:
    """The USD price (8 decimals) that each oracle has for each token it was asked for."""
    found: dict[tuple[str, str], int] = {}
    for call, answer in zip(calls, answers, strict=True):
        if price := any_uint(answer):
            found[call.to, address_at(call.data[4:], 0)] = price
    return found


def _first_peeked(peeked: dict[tuple[str, str], int]) -> dict[str, int]:
    """The USD price of each token by the first oracle that has one."""
    return {token: price for (_, token), price in reversed(peeked.items())}


def _own_price(market: _Market, state: _State) -> tuple[int, int] | None:
    """What the market's own oracle says of one whole collateral token in whole loan tokens, as a ratio."""
    pledged, lent = (state.metadata.get(token, ("", None))[1] for token in (market.collateral, market.loan))
    if pledged is None or lent is None:
        return None
    if market.price:
        exponent = _ORACLE_DECIMALS + lent - pledged
        return market.price * 10 ** max(0, -exponent), 10 ** max(0, exponent)
    dollars = [state.peeked.get((market.oracle, token)) for token in (market.collateral, market.loan)]
    return (dollars[0], dollars[1]) if dollars[0] is not None and dollars[1] is not None else None


def _dollar(dollars: Mapping[str, int], token: str, decimals: int | None) -> _Price:
    known = token in dollars and decimals is not None
    return (dollars[token], _LISTA_UNIT, "usd") if known else _PRICELESS
