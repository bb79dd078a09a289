"""Family `compound_v3`: Compound III, the Comet contracts (also ScrollComet and Comets with the extended asset list).

I/O-free programs over the Comet alone: one lendable base token, up to 24 collateral tokens that are never lent out.
Layouts: compound-finance/comet. A row may name several Comets (`comet: [a, b]`); they are summed per asset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cryptolake.contracts.counting import counted
from cryptolake.errors import Skip
from cryptolake.net.abi import address_at, call_data, text, topic, word
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Call, CallResult, Program
from cryptolake.registry.family import Accounting, Anchor
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.answers import (
    address_of,
    count_of,
    price_or_none,
    symbol_of,
    token_facts,
    uint_of,
    uint_or_none,
)
from cryptolake.sources.onchain.events import bad_debt as bad_debt_of
from cryptolake.sources.onchain.events import check_layout, liquidation, topic_address
from cryptolake.sources.onchain.records import AssetFacts, BadDebt, Liquidation, Reserve, Settled

METHODOLOGY = (
    "Base token: supplied = Comet.totalSupply(), borrowed = Comet.totalBorrow(), both with interest to the block; cash = "
    "base.balanceOf(comet); cash - supplied + borrowed = Comet.getReserves(), negative when the protocol is short. "
    "Collateral tokens: collateral = totalsCollateral(asset), never part of supplied; cash = what the Comet holds beyond "
    "it (absorbed and for sale; 0 where the token does not answer). Price = Comet.getPrice of the asset's own feed, in "
    "the numeraire of the base token's feed, which is not USD in every market. Liquidations are absorptions: one row per "
    "AbsorbCollateral; the AbsorbDebt of the same account is shared among its rows by the values the events give, so that "
    "a sum counts it once. It is what the protocol paid out: debt wiped plus any surplus credited to the borrower, whose "
    "size no absorb event says. Where the collateral taken over was worth less, that share of the debt is lost: table "
    "`bad_debt`. BuyCollateral is a later sale by the protocol, not a liquidation."
)
PRIMARY_ENTRY = "comet"
ANCHORS = (
    Anchor("comet", "baseToken()", "address", "base_token", lasting=True),  # no two Comets of a chain lend the same
    Anchor("comet", "totalsBasic()", "count", lasting=True),  # the supply index: 0 in an implementation
    Anchor("comet", "baseTokenPriceFeed()", "address"),
    Anchor("comet", "numAssets()", "number"),
)
ACCOUNTING = Accounting(lends_deposits=False, cash_is_the_rest=False)

ABSORB_DEBT = topic("AbsorbDebt(address,address,uint256,uint256)")
ABSORB_COLLATERAL = topic("AbsorbCollateral(address,address,address,uint256,uint256)")
BAD_DEBT = frozenset({ABSORB_DEBT, ABSORB_COLLATERAL})

_PRICE_UNIT = 10**8  # PRICE_SCALE of every Comet, also of the values in its events
_INFO_WORDS = 8
_UNKNOWN = "unknown"  # the quote of a market whose numeraire neither the chain nor the registry says
_QUOTES = {"USD": "usd", "ETH": "eth", "BTC": "btc"}
_CONSTANT = "Constant price feed"  # what Compound's ConstantPriceFeed says of itself
_QUOTED = re.compile(r".*/\s*(\w+)")  # "USDC / USD", "FBTC / USD price feed by API3", "wstETH / stETH ETH / USD"


@dataclass(frozen=True, slots=True)
class _Token:
    """A token of a Comet: its decimals as the Comet counts them and the feed that prices it."""

    asset: str
    decimals: int
    feed: str


def snapshot(csu: Csu) -> Program[list[Reserve]]:
    """Base and collateral tokens: three rounds for the base token, the list of collaterals, the amounts and prices."""
    found: dict[str, Reserve] = {}
    for comet in _comets(csu):
        for reserve in (yield from _comet(csu, comet)):
            known = found.get(reserve.asset)
            found[reserve.asset] = _sum(known, reserve) if known is not None else reserve
    return list(found.values())


def emitters(csu: Csu) -> Program[list[LogFilter]]:
    """The two absorb topics on every Comet; nothing need be asked."""
    yield from ()
    return [LogFilter(comet, frozenset({ABSORB_DEBT, ABSORB_COLLATERAL})) for comet in _comets(csu)]


def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]:
    """One per AbsorbCollateral, with its share of the AbsorbDebt that ends the same account's absorption.

    Until `settle`, the debt asset is the Comet. Raises Skip when the two kinds do not fit together: an account with debt
    has collateral, so one kind without the other means that logs are missing.
    """
    return [event for account in _absorptions(csu, logs) for event in _events(account)]


def bad_debt(csu: Csu, logs: Sequence[Log]) -> list[BadDebt]:
    """The part of each absorbed debt that the collateral taken over was not worth, by the values the events give.

    What the protocol later gets for that collateral is not known then; a surplus or none leaves no bad debt.
    """
    found = []
    for account in _absorptions(csu, logs):
        debt = account.debt
        paid_out, owed = word(debt.data, 0), word(debt.data, 1)
        lost = owed - sum(word(log.data, 1) for log in account.seized)
        if lost > 0:
            amount, borrower = paid_out * lost // owed, topic_address(debt, 2)
            part_of = account.seized[0].index
            found.append(bad_debt_of(debt, "written_off", debt.address, amount, borrower=borrower, part_of=part_of))
    return found


def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]:
    """Puts the base token in the Comet's place and reads the facts of every asset at the period's last block."""
    bases: dict[str, str] = {}
    facts: dict[str, AssetFacts] = {}
    for comet in sorted({event.debt_asset for event in events}):
        base = (yield from _base(csu, comet, ()))[0]
        bases[comet] = base.asset
        seized = {event.collateral_asset for event in events if event.debt_asset == comet}
        for asset, found in (yield from _facts(csu, comet, base, sorted(seized))):
            known = facts.get(asset)
            facts[asset] = found if known is None or _better(found, known) else known
    return Settled([replace(event, debt_asset=bases[event.debt_asset]) for event in events], facts)


def _comets(csu: Csu) -> list[str]:
    return csu.entry["comet"].split(",")


# -- snapshot


def _comet(csu: Csu, comet: str) -> Program[list[Reserve]]:
    base, (supplied, borrowed, count) = yield from _base(csu, comet, ("totalSupply()", "totalBorrow()", "numAssets()"))
    assets = count_of(count, f"{csu.name}: Comet.numAssets")
    symbol, held, price, description, *infos = yield [
        *_token_calls(comet, base),
        Call(base.feed, call_data("description()")),
        *(Call(comet, call_data("getAssetInfo(uint8)", number)) for number in range(assets)),
    ]
    quote = _quote(csu, base, price, description)
    tokens = [_listed(csu, comet, info) for info in infos]
    if len({base.asset, *(token.asset for token in tokens)}) != assets + 1:
        raise Skip(f"{csu.name}: Comet {comet} lists a token twice", reason="layout")
    balance = uint_or_none(held)
    facts = _token_facts(base, symbol, price, quote, dead=balance is None)
    reserves = [
        facts.reserve(
            base.asset,
            supplied=uint_of(supplied, f"{csu.name}: Comet.totalSupply"),
            borrowed=uint_of(borrowed, f"{csu.name}: Comet.totalBorrow"),
            cash=balance or 0,
        )
    ]
    answers = iter(
        (
            yield [
                call
                for token in tokens
                for call in (
                    *_token_calls(comet, token),
                    Call(comet, call_data("totalsCollateral(address)", token.asset)),
                )
            ]
        )
    )
    for token in tokens:
        symbol, held, price, pledged = (next(answers) for _ in range(4))
        collateral = uint_of(pledged, f"{csu.name}: totalsCollateral of {token.asset}")
        # A token that is broken or destroyed must not lose the market: what is pledged is in the Comet's own books.
        balance = uint_or_none(held)
        cash = 0 if balance is None else max(balance - collateral, 0)
        facts = _token_facts(token, symbol, price, quote, dead=balance is None)
        reserves.append(facts.reserve(token.asset, supplied=0, borrowed=0, cash=cash, collateral=collateral))
    return reserves


def _token_facts(token: _Token, symbol: CallResult, price: CallResult, quote: str, *, dead: bool) -> AssetFacts:
    """What a token is and costs as the Comet counts it; without a price where the token itself does not answer."""
    if dead:
        return AssetFacts.dead(symbol_of(symbol, token.asset), token.decimals)
    return AssetFacts(symbol_of(symbol, token.asset), token.decimals, _price(price, quote), _PRICE_UNIT, quote)


def _base(csu: Csu, comet: str, more: Sequence[str]) -> Program[tuple[_Token, Sequence[CallResult]]]:
    """The base token of a Comet, and the answers to `more` of its getters from the same round."""
    asset, feed, scale, *answers = yield [
        Call(comet, call_data(what)) for what in ("baseToken()", "baseTokenPriceFeed()", "baseScale()", *more)
    ]
    token = _Token(
        address_of(asset, f"{csu.name}: Comet.baseToken"),
        _decimals(csu, uint_of(scale, f"{csu.name}: Comet.baseScale")),
        address_of(feed, f"{csu.name}: Comet.baseTokenPriceFeed"),
    )
    return token, answers


def _token_calls(comet: str, token: _Token) -> list[Call]:
    return [
        Call(token.asset, call_data("symbol()")),
        Call(token.asset, call_data("balanceOf(address)", comet)),
        Call(comet, call_data("getPrice(address)", token.feed)),
    ]


def _listed(csu: Csu, comet: str, answer: CallResult) -> _Token:
    data = answer.need(f"{csu.name}: Comet.getAssetInfo of {comet}")
    if len(data) < _INFO_WORDS * 32:
        raise Skip(f"{csu.name}: getAssetInfo has {counted(len(data), 'byte')}, 256 expected", reason="layout")
    return _Token(address_at(data, 1), _decimals(csu, word(data, 3)), address_at(data, 2))


def _decimals(csu: Csu, scale: int) -> int:
    """The exponent of a Comet's scale, a power of ten; so a token that does not answer still has its decimals."""
    decimals = len(str(scale)) - 1
    if 10**decimals != scale:
        raise Skip(f"{csu.name}: the scale {scale} is no power of ten", reason="layout")
    return decimals


def _price(answer: CallResult, quote: str) -> int | None:
    """getPrice reverts when its feed has none; a price in an unknown numeraire is none either."""
    return price_or_none(answer) if quote != _UNKNOWN else None


def _quote(csu: Csu, base: _Token, price: CallResult, description: CallResult) -> str:
    """What all prices of a Comet are quoted in, as the base token's feed says at this block, else as the registry says.

    Where the feed is the constant 1 the base token itself is the numeraire: `eth` for a row that says ETH.
    """
    says = text(description.data) if description.success and description.data else ""
    quoted = _QUOTED.match(says)
    if quoted is not None and (name := _QUOTES.get(quoted[1].upper())) is not None:
        return name
    if (name := _QUOTES.get((csu.price_numeraire or "").upper())) is not None:
        return name
    constant = says == _CONSTANT and uint_or_none(price) == _PRICE_UNIT
    return base.asset if constant else _UNKNOWN


def _sum(one: Reserve, other: Reserve) -> Reserve:
    """The same asset in two Comets; the price quoted in USD, or the only one, stands."""
    priced = other if _better(other, one) else one
    return replace(
        priced,
        supplied_raw=one.supplied_raw + other.supplied_raw,
        borrowed_raw=one.borrowed_raw + other.borrowed_raw,
        cash_raw=one.cash_raw + other.cash_raw,
        collateral_raw=one.collateral_raw + other.collateral_raw,
    )


def _better(one: Reserve | AssetFacts, than: Reserve | AssetFacts) -> bool:
    if one.price_raw is None or than.price_raw is None:
        return one.price_raw is not None
    return one.price_quote == "usd" and than.price_quote != "usd"


# -- liquidations


@dataclass(frozen=True, slots=True)
class _Absorption:
    """One account taken over by the protocol: the AbsorbDebt and the AbsorbCollateral events before it."""

    debt: Log
    seized: Sequence[Log]


def _absorptions(csu: Csu, logs: Sequence[Log]) -> Iterator[_Absorption]:
    pending: dict[str, list[Log]] = {}
    for log in logs:
        topics = {ABSORB_DEBT: 3, ABSORB_COLLATERAL: 4}.get(log.topics[0])
        if topics is None:
            continue
        check_layout(csu, log, "an absorb event", topics=topics, words=2)
        seized = pending.setdefault(log.address, [])
        if seized and (seized[0].tx, seized[0].topics[1:3]) != (log.tx, log.topics[1:3]):
            raise Skip(f"{csu.name}: AbsorbCollateral in {seized[0].tx} has no AbsorbDebt", reason="layout")
        if log.topics[0] == ABSORB_COLLATERAL:
            seized.append(log)
        elif not seized:
            raise Skip(f"{csu.name}: AbsorbDebt in {log.tx} has no AbsorbCollateral", reason="layout")
        else:
            yield _Absorption(log, pending.pop(log.address))
    for seized in pending.values():
        raise Skip(f"{csu.name}: AbsorbCollateral in {seized[0].tx} has no AbsorbDebt", reason="layout")


def _events(account: _Absorption) -> Iterator[Liquidation]:
    debt = account.debt
    paid_out, debt_value = word(debt.data, 0), word(debt.data, 1)
    values = [word(log.data, 1) for log in account.seized]
    for log, value, share in zip(account.seized, values, _shares(paid_out, values), strict=True):
        yield liquidation(
            log,
            liquidator=topic_address(debt, 1),
            borrower=topic_address(debt, 2),
            seized=(topic_address(log, 3), word(log.data, 0)),
            repaid=(debt.address, share),
            extra={
                "comet": debt.address,
                "absorb_debt_log_index": str(debt.index),
                "collaterals_of_account": str(len(values)),
                "base_paid_out_raw": str(paid_out),
                "base_paid_out_value": str(debt_value),
                "collateral_value": str(value),
                "collateral_value_of_account": str(sum(values)),
                "value_unit": str(_PRICE_UNIT),
            },
        )


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in parts proportional to `weights` (equal where all are 0), rounded so that they sum to it exactly."""
    if not any(weights):
        weights = [1] * len(weights)
    whole, given, before = sum(weights), 0, 0
    shares = []
    for weight in weights:
        given += weight
        shares.append(total * given // whole - before)
        before += shares[-1]
    return shares


def _facts(csu: Csu, comet: str, base: _Token, seized: Sequence[str]) -> Program[list[tuple[str, AssetFacts]]]:
    """Facts of the base token and of seized collaterals, also of ones the Comet lists no longer (without a price)."""
    price, description, symbol, *answers = yield [
        Call(comet, call_data("getPrice(address)", base.feed)),
        Call(base.feed, call_data("description()")),
        Call(base.asset, call_data("symbol()")),
        *(Call(comet, call_data("getAssetInfoByAddress(address)", asset)) for asset in seized),
        *(Call(asset, call_data(what)) for asset in seized for what in ("symbol()", "decimals()")),
    ]
    quote = _quote(csu, base, price, description)
    infos, tokens = answers[: len(seized)], answers[len(seized) :]
    listed = {
        asset: _listed(csu, comet, info)
        for asset, info in zip(seized, infos, strict=True)
        if info.success and info.data
    }
    prices = yield [Call(comet, call_data("getPrice(address)", one.feed)) for one in listed.values()]
    priced = dict(zip(listed, prices, strict=True))
    found = [
        (base.asset, AssetFacts(symbol_of(symbol, base.asset), base.decimals, _price(price, quote), _PRICE_UNIT, quote))
    ]
    for number, asset in enumerate(seized):
        symbol, decimals = tokens[2 * number : 2 * number + 2]
        if asset in listed:
            found.append((asset, _token_facts(listed[asset], symbol, priced[asset], quote, dead=False)))
        else:
            found.append((asset, token_facts(asset, symbol, decimals, None, _PRICE_UNIT, quote)))
    return found
