"""`Purse`: what may be spent on chains' endpoints, in calls, units and dollars; asked before every request is sent.

A ceiling holds for a run, for a month, or for one provider in a month (UTC). What does not belong here: where the counts are
kept so that all processes share them (state/spending) and how fast may be asked (limiter).
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Protocol

from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput, Stop
from cryptolake.net.endpoint import Endpoint

RUN, MONTH = "run", "month"
REACHED = "ceiling reached"


class CeilingReached(Stop):
    """A ceiling is reached: the request was not sent. The message says which one and what to do."""


@dataclass(frozen=True, slots=True)
class Amount:
    """What was spent: billed calls (every member of a batch is one), the provider's units, US dollars."""

    calls: float = 0.0
    units: float = 0.0
    usd: float = 0.0

    def plus(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(self.calls + other.calls, self.units + other.units, self.usd + other.usd)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that may be spent; None: no bound."""

    calls: float | None = None
    units: float | None = None
    usd: float | None = None

    @property
    def is_none(self) -> bool:
        """Whether nothing is bounded."""
        return self.calls is None and self.units is None and self.usd is None

    def broken_by(self, spent: Amount) -> str | None:
        """What of it (calls, units, usd) is less than was spent; None when it holds."""
        for one in fields(self):
            most = getattr(self, one.name)
            # Sums of small prices must not break a ceiling by their last digit.
            if most is not None and getattr(spent, one.name) > most * (1 + 1e-12):
                return one.name
        return None


class Spending(Protocol):
    """Where what was spent is kept, by name, for every process that shares it."""

    def add(self, spent: Amount, ceilings: Mapping[str, Ceiling]) -> tuple[str, Amount] | None:
        """Add to every count named, unless one would break its ceiling: then to none, and its name and value are told."""
        ...


class Purse:
    """The ceilings of one run and the counts they hold over. Thread-safe.

    `ceilings` are those of `run`, `month` and of providers by name, `prices` the dollars of a million units by provider,
    which win over what the endpoint's plan says. `run` names the run for all processes that take part in it.
    """

    def __init__(
        self, counts: Spending, ceilings: Mapping[str, Ceiling], prices: Mapping[str, float], *, run: str
    ) -> None:
        self._counts, self._ceilings, self._prices, self._run = counts, ceilings, prices, run
        self._stopping: list[threading.Event] = []
        self.reached: str | None = None  # the ceiling over all providers that ended the run, in words

    def ends(self, stopping: threading.Event) -> None:
        """A run begins: set this event when a ceiling over all providers is reached, for nothing more can be asked."""
        self.reached = None
        self._stopping.append(stopping)

    def take(self, endpoint: Endpoint, calls: int, units: float) -> None:
        """Count a request before it is sent. Raises CeilingReached when that would break a ceiling; then nothing is counted."""
        month = f"{datetime.now(UTC):%Y-%m}"
        names = {RUN: f"run {self._run}", MONTH: month, endpoint.provider: f"{month} {endpoint.provider}"}
        bound = {names[name]: self._ceilings.get(name, Ceiling()) for name in names}
        price = self._prices.get(endpoint.provider, endpoint.usd_per_million)
        if price is None and any(one.usd is not None for one in bound.values()):
            raise CeilingReached(
                f"the price of {endpoint.provider} is not known, so no ceiling in dollars can hold at {endpoint.name}; set "
                f"rpc_prices.{endpoint.provider} to the USD of a million {endpoint.limits.unit} (0: free)"
            )
        broken = self._counts.add(Amount(calls, units, units * (price or 0.0) / 1e6), bound)
        if broken is None:
            return
        name = next(short for short, long in names.items() if long == broken[0])
        message = self._words(name, broken[1], calls)
        if name in (RUN, MONTH):
            self.reached = message
            for one in self._stopping:
                one.set()
        raise CeilingReached(message)

    def _words(self, name: str, held: Amount, calls: int) -> str:
        ceiling = self._ceilings[name]
        told = ", ".join(
            f"{getattr(held, one.name):,.10g} of {getattr(ceiling, one.name):,.10g} {one.name}"
            for one in fields(ceiling)
            if getattr(ceiling, one.name) is not None
        )
        where = {RUN: "of this run", MONTH: "of this month"}.get(name, f"of {name} in this month")
        flag = " (--max-calls, --max-usd)" if name == RUN else ""
        again = "run again to go on" if name == RUN else "run again next month"
        told += f", and {counted(calls, 'more call was', 'more calls were')} due at once" if calls > 1 else ""
        return f"{REACHED} {where}: {told}; what was answered is kept, {again}, or raise ceilings.{name}{flag}"


def prices_of(given: Mapping[str, float], providers: Collection[str]) -> Mapping[str, float]:
    """The dollars of a million units by provider, as the settings say. Raises BadInput for an unknown provider."""
    for name, price in given.items():
        _require_known("rpc_prices", name, providers)
        if price < 0:
            raise BadInput(f"rpc_prices.{name}: {price:g} dollars is no price; give 0 or more")
    return given


def _require_known(setting: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        near = ", ".join(difflib.get_close_matches(name, sorted(known), n=3)) or ", ".join(sorted(known))
        raise BadInput(f"{setting}.{name}: no such provider; did you mean {near}?")


def ceilings_of(
    given: Mapping[str, Mapping[str, float]],
    providers: Collection[str],
    *,
    max_calls: int | None,
    max_usd: float | None,
) -> dict[str, Ceiling]:
    """The ceilings as the settings say, with the two of the run that have settings and flags of their own.

    Raises BadInput for a name that is neither `run`, `month` nor a provider, and for what is no ceiling.
    """
    known, kinds = {RUN, MONTH, *providers}, {one.name for one in fields(Ceiling)}
    found = {}
    for name, bounds in given.items():
        _require_known("ceilings", name, known)
        if odd := {key for key, most in bounds.items() if key not in kinds or most < 0}:
            raise BadInput(f"ceilings.{name}: {', '.join(sorted(odd))}: give calls, units or usd, each 0 or more")
        found[name] = Ceiling(**bounds)
    own = found.get(RUN, Ceiling())
    found[RUN] = Ceiling(
        own.calls if max_calls is None else max_calls, own.units, own.usd if max_usd is None else max_usd
    )
    return found
