"""Known events: exploits, failures of oracles and lost pegs, by day, each with a source; whom they touch is said with them.

The list is data (`data/events.yaml`, and `events:` of a user's registry file). What does not belong here: on which market-days
they fall (gold.event_days), and leaving anything out because of them: nothing is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from cryptolake.registry.clock_rows import read_day
from cryptolake.registry.markets import Csu
from cryptolake.registry.rows import Row, report_unknown

KINDS: Mapping[str, str] = {
    "exploit": "somebody took what was not theirs, by a flaw of a contract or a stolen key",
    "oracle_failure": "a price that contracts believed was wrong, by accident or by somebody's doing",
    "depeg": "a token that others take for a dollar, or for ether, was worth much less",
}
_KEYS = frozenset(["name", "kind", "first", "last", "what", "csus", "protocols", "chains", "symbols", "sources"])


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """One event, on the days from `first` to `last` (UTC, both included).

    It touches the markets `csus`, those of `protocols` (on `chains`, where any is named), and whoever holds a token that
    calls itself one of `symbols` on such a day. `what` is the facts in a sentence, `sources` where they are stated.
    """

    name: str
    kind: str
    first: date
    last: date
    what: str
    sources: tuple[str, ...]
    csus: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()


def read_events(
    rows: Iterable[Row], csus: Mapping[str, Csu], written: Iterable[str], faults: list[str]
) -> tuple[KnownEvent, ...]:
    """The events of these rows in order of day and name; a later row takes the place of one of the same name.

    Markets in `written` are known and have faults of their own. What is wrong is appended to `faults`.
    """
    canonical = {alias: csu.name for csu in csus.values() for alias in (*csu.aliases, csu.name)}
    known_faulty = set(written)
    found: dict[str, KnownEvent] = {}
    for row in rows:
        if (one := _read(row, canonical, known_faulty, faults)) is not None:
            found[one.name] = one
    return tuple(sorted(found.values(), key=lambda one: (one.first, one.name)))


def _read(row: Row, canonical: Mapping[str, str], written: set[str], faults: list[str]) -> KnownEvent | None:
    values, before = row.values, len(faults)
    report_unknown(values, _KEYS, row.where, faults)
    name = str(values.get("name") or "")

    def fault(text: str) -> None:
        faults.append(f"{row.where}: event {name or '?'}: {text}")

    if not name:
        fault("name must tell it from the others, e.g. euler_2023_03_13")
    if values.get("kind") not in KINDS:
        fault(f"kind {values.get('kind')!r} must be one of {', '.join(KINDS)}")
    first, last = read_day(values.get("first")), read_day(values.get("last", values.get("first")))
    if first is None or last is None:
        fault("first and last must be days, e.g. '2023-03-13'")
    elif last < first:
        fault(f"last {last} lies before first {first}")
    what, sources = values.get("what"), _texts(values.get("sources"))
    if not isinstance(what, str) or not what:
        fault("what must say the facts in a sentence")
    if not sources:
        fault("at least one source must be named under `sources:`")
    named, protocols, chains, symbols = (_texts(values.get(key)) for key in ("csus", "protocols", "chains", "symbols"))
    for one in named:
        if one not in canonical and one not in written:
            fault(f"unknown market {one!r}")
    if not (named or protocols or symbols):
        fault("says whom it touches: csus, protocols or symbols")
    if chains and not protocols:
        fault("chains narrows protocols; name them, or the markets under `csus:`")
    if len(faults) > before or first is None or last is None:
        return None
    markets = tuple(canonical[one] for one in named if one in canonical)
    return KnownEvent(name, str(values["kind"]), first, last, str(what), sources, markets, protocols, chains, symbols)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
