"""The closed, ordered list of what is known of a partition, a cell or a page: one word for each, the worst first.

Whoever sums, joins or shows several things says the worst of their states, with its reason beside it. What does not belong
here: the ledger's own words of progress (entry), and how strongly an answer is proven (grades).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

from cryptolake.contracts.entry import NOT_YET, SUSPECT

State = Literal["not_asked", "pending", "failed", "not_deployed", "suspect", "missing_price", "ok"]

STATES: Final[tuple[State, ...]] = get_args(State)
"""Every state, the worst first."""

STATE_DOCS: Final[dict[State, str]] = {
    "not_asked": "nobody has asked for it",
    "pending": "asked for, and the answer is not there yet",
    "failed": "asked and not answered; the reason says whether it may be asked again",
    "not_deployed": "what it is about did not exist then, which is proven",
    "suspect": "answered, and somebody contradicts the answer or it looks wrong; it is asked again",
    "missing_price": "answered, and too much of it has no price: there is no total, only the sum of the rest by its own name",
    "ok": "answered, and nothing speaks against it",
}

_NOT_DEPLOYED = "not_deployed"
PRICE_CONTRADICTED = "price_contradicted"
"""The reason of a day that is valued by a price which somebody contradicts, while nobody can decide."""

PRICE_LOST = "price_damaged"
"""The reason of a day that is valued by a price whose answer is not there, or is not the recorded one."""

DOUBTS = (SUSPECT, PRICE_CONTRADICTED)
"""Reasons beside an answer for which what is made of it is suspect."""


def worst(states: Iterable[State]) -> State:
    """The worst of some states; `not_asked` when there is none, for nothing is known of nothing."""
    return min(states, key=STATES.index, default="not_asked")


def state_of(progress: str | None, reason: str | None = None) -> State:
    """The state of a partition by the ledger's word of progress (None: no entry) and its reason.

    Prices are not known to the ledger: `missing_price` is never its answer. A word it does not know is `failed`.
    """
    match progress:
        case None:
            return "not_asked"
        case "claimed" | "landed" | "pending":
            return "pending"
        case "done" | "empty":
            return "suspect" if reason == SUSPECT else "ok"
        case "gone" if reason == _NOT_DEPLOYED:
            return "not_deployed"
        case "failed" if reason == NOT_YET:
            return "pending"
        case _:
            return "failed"
