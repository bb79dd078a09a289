"""Our figure against another one, split into causes that add up to the difference. Pure.

TVL of a market (or of all markets of a protocol on a chain), by token:

    definition        our net figure against our gross one, where theirs counts what is lent out as well
    missing_assets    tokens that only one side has
    snapshot_instant  the same token; their amount lies between our snapshots of the days around: another instant
    amount            the same token, another amount than at any of these instants: another way of counting
    price             the same token, another price, at our amount
    rounding        a difference below one dollar, or below 0.01 %
    unexplained     the rest: what is not broken down into tokens
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ROUNDING_USD, ROUNDING_SHARE = 1.0, 1e-4


@dataclass(frozen=True, slots=True)
class Holding:
    """A token's amount and USD value on one side. `amount` is None where the other side tells dollars only.

    Ours may say more: the amount by the gross definition, and the range of amounts over the snapshots around (the day
    before to the day after).
    """

    usd: float
    amount: float | None = None
    gross: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One cause: its share of (ours - theirs) in USD and what it is about."""

    cause: str
    usd: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Ours, theirs, and the parts, whose sum is ours - theirs."""

    ours: float
    theirs: float
    parts: tuple[Part, ...]

    @property
    def difference(self) -> float:
        """Ours - theirs in USD."""
        return self.ours - self.theirs

    def by_cause(self) -> dict[str, float]:
        """The difference by cause, the largest first."""
        found: dict[str, float] = {}
        for part in self.parts:
            found[part.cause] = found.get(part.cause, 0.0) + part.usd
        return dict(sorted(found.items(), key=lambda item: (-abs(item[1]), item[0])))


def explain_tvl(
    net: Mapping[str, Holding], gross: float, theirs_total: float, theirs: Mapping[str, Holding] | None
) -> Explanation:
    """Explain our net TVL against theirs. Tokens are matched by upper-case symbol, prices differ where both tell amounts.

    Without their tokens only the definition can be told from the total: it is assumed to be gross where that is nearer.
    """
    ours = sum(one.usd for one in net.values())
    parts: list[Part] = []
    if theirs is None:
        if abs(gross - theirs_total) < abs(ours - theirs_total) and abs(gross - ours) > ROUNDING_USD:
            parts.append(
                Part("definition", ours - gross, "their total is nearer to our gross TVL: they count what is lent out")
            )
        return _closed(ours, theirs_total, parts)
    for symbol in sorted({*net, *theirs}):
        mine, other = net.get(symbol), theirs.get(symbol)
        if mine is None and other is not None:
            parts.append(Part("missing_assets", -other.usd, f"{symbol}: only they have it"))
        elif other is None and mine is not None:
            parts.append(Part("missing_assets", mine.usd, f"{symbol}: only we have it"))
        elif mine is not None and other is not None:
            parts += _same_token(symbol, mine, other)
    return _closed(ours, theirs_total, parts)


def _same_token(symbol: str, mine: Holding, other: Holding) -> list[Part]:
    """Split one token's difference into amount (at their price) and price (at our amount)."""
    if not mine.amount or not other.amount:
        return [Part("amount", mine.usd - other.usd, f"{symbol}: they tell no amount")]
    my_price, their_price = mine.usd / mine.amount, other.usd / other.amount
    amount, parts = mine.amount, []
    if mine.gross is not None and abs(mine.gross - other.amount) < abs(amount - other.amount):
        parts.append(Part("definition", (amount - mine.gross) * their_price, f"{symbol}: they count what is lent out"))
        amount = mine.gross
    between = mine.low is not None and mine.high is not None and mine.low <= other.amount <= mine.high
    cause = "snapshot_instant" if between and amount == mine.amount else "amount"
    return [
        *parts,
        Part(
            cause,
            (amount - other.amount) * their_price,
            f"{symbol}: {amount:,.4g} against {other.amount:,.4g}",
        ),
        Part(
            "price", mine.amount * (my_price - their_price), f"{symbol}: {my_price:,.6g} against {their_price:,.6g} USD"
        ),
    ]


@dataclass(frozen=True, slots=True)
class Event:
    """A liquidation on one side: its key (transaction and log index), USD and the debt token's amount, if told."""

    key: str
    usd: float
    amount: float | None = None


def explain_liquidations(
    ours: Sequence[Event], theirs: Sequence[Event], seized_usd: float, theirs_total: float | None = None
) -> Explanation:
    """Explain a day's liquidations against a list of events, or against a total alone (`theirs` empty).

    `seized_usd` is our collateral side: the figure of those who count what was taken instead of what was repaid.
    """
    mine, other = {one.key: one for one in ours}, {one.key: one for one in theirs}
    total = sum(one.usd for one in ours)
    parts: list[Part] = []
    if theirs_total is not None and not theirs:
        if abs(seized_usd - theirs_total) < abs(total - theirs_total) and abs(seized_usd - total) > ROUNDING_USD:
            parts.append(Part("definition", total - seized_usd, "their total is nearer to the collateral seized"))
        return _closed(total, theirs_total, parts)
    parts += [
        Part("missing_events", -other[key].usd, f"{key}: only they have it")
        for key in sorted(other.keys() - mine.keys())
    ]
    parts += [
        Part("missing_events", mine[key].usd, f"{key}: only we have it") for key in sorted(mine.keys() - other.keys())
    ]
    for key in sorted(mine.keys() & other.keys()):
        parts += _same_token(key, Holding(mine[key].usd, mine[key].amount), Holding(other[key].usd, other[key].amount))
    their_sum = sum(one.usd for one in theirs) if theirs_total is None else theirs_total
    return _closed(total, their_sum, parts)


def _closed(ours: float, theirs: float, parts: list[Part]) -> Explanation:
    """Add what is left, so that the parts sum to the difference."""
    kept = [part for part in parts if part.usd != 0.0]
    rest = (ours - theirs) - sum(part.usd for part in kept)
    if not abs(rest) <= 1e-12 * max(abs(ours), abs(theirs)):  # what is less is the float's own; NaN is not less
        small = abs(rest) <= max(ROUNDING_USD, ROUNDING_SHARE * max(abs(ours), abs(theirs)))
        kept.append(Part("rounding" if small else "unexplained", rest))
    return Explanation(ours, theirs, tuple(sorted(kept, key=lambda part: (-abs(part.usd), part.cause, part.detail))))
