"""What totals leave out, and why: isolated markets, tokens and oracles that somebody named in public, each with its dates.

The list is data (`data/exclusions.yaml`, and `exclusions:` of a user's registry file). What does not belong here: what looks
wrong by the numbers alone, which is flagged and never left out (gold), and how anything is left out (gold too).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date

from cryptolake.net.abi import checksum
from cryptolake.registry.clock_rows import read_day
from cryptolake.registry.markets import Csu
from cryptolake.registry.rows import Row, report_unknown

# Why something is left out. Each is what the named source says, not a judgement of ours.
REASONS: Mapping[str, str] = {
    "bad_debt": "debt that nothing backs any more and that grows on paper",
    "self_dealt": "one party lends to itself, so that deposits and debt are as large as it likes",
    "inflated": "a token whose amount or price was made up to raise totals",
    "false_oracle": "an oracle whose price is wrong by construction",
    "no_token": "an address that is no such token on this chain",
    "not_said": "the source names it and gives no reason",
}
KINDS = ("market", "token", "oracle")

_KEYS = frozenset(["csu", *KINDS, "from", "to", "reason", "why", "sources"])
_MARKET = re.compile(r"0x[0-9a-f]{64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One isolated market (`id`: 32 bytes, lower case), token or oracle (`id`: EIP-55) that totals of `csu` leave out.

    It holds on the days from `first` to `last`, both included; None is without end. `reason` is one of `REASONS`, `why` the
    facts in a sentence, `sources` where they are stated.
    """

    csu: str
    kind: str
    id: str
    reason: str
    why: str
    sources: tuple[str, ...]
    first: date | None = None
    last: date | None = None


def read_exclusions(
    rows: Iterable[Row], csus: Mapping[str, Csu], written: Iterable[str], faults: list[str]
) -> tuple[Exclusion, ...]:
    """The exclusions of these rows, in order of market, kind, id and day; a later row takes the place of an equal one.

    Markets in `written` are known and have faults of their own. What is wrong is appended to `faults`.
    """
    canonical = {alias: csu.name for csu in csus.values() for alias in (*csu.aliases, csu.name)}
    known_faulty = set(written)
    found: dict[tuple[str, str, str, date | None], Exclusion] = {}
    for row in rows:
        if (one := _read(row, canonical, known_faulty, faults)) is not None:
            found[one.csu, one.kind, one.id, one.first] = one
    return tuple(sorted(found.values(), key=lambda one: (one.csu, one.kind, one.id, one.first or date.min)))


def _read(row: Row, canonical: Mapping[str, str], written: set[str], faults: list[str]) -> Exclusion | None:
    values, before = row.values, len(faults)
    report_unknown(values, _KEYS, row.where, faults)

    def fault(text: str) -> None:
        faults.append(f"{row.where}: exclusion: {text}")

    name = str(values.get("csu"))
    if name not in canonical:
        if name not in written:
            fault(f"unknown market {values.get('csu')!r}; write the market's name under `csu:`")
        return None
    kinds = [kind for kind in KINDS if values.get(kind) is not None]
    if len(kinds) != 1:
        fault(f"names one of {', '.join(KINDS)}, not {len(kinds)}")
        return None
    kind, given = kinds[0], values[kinds[0]]
    if isinstance(given, int):
        fault(f"{kind} is read as a number; put it in quotes")
    elif kind == "market" and not _MARKET.fullmatch(str(given)):
        fault(f"market {given!r} is no id; write '0x' and 64 lower-case hexadecimal digits in quotes")
    elif kind != "market" and not _ADDRESS.fullmatch(str(given)):
        fault(f"{kind} {given!r} is no address; write '0x' and 40 hexadecimal digits in quotes")
    elif kind != "market" and checksum(str(given)) != given:
        fault(f"{kind} {given} fails EIP-55; if every digit is right it reads {checksum(str(given))}")
    days = {end: read_day(values[end]) for end in ("from", "to") if values.get(end) is not None}
    for end, day in days.items():
        if day is None:
            fault(f"{end} {values[end]!r} must be a day, e.g. '2025-11-06'")
    first, last = days.get("from"), days.get("to")
    if first is not None and last is not None and last < first:
        fault(f"to {last} lies before from {first}")
    reason, why, sources = values.get("reason"), values.get("why"), values.get("sources")
    if reason not in REASONS:
        fault(f"reason {reason!r} must be one of {', '.join(REASONS)}")
    if not isinstance(why, str) or not why:
        fault("why must say the facts in a sentence")
    if not isinstance(sources, list) or not sources or not all(isinstance(one, str) and one for one in sources):
        fault("at least one source must be named under `sources:`")
        sources = []
    if len(faults) > before:
        return None
    return Exclusion(canonical[name], kind, str(given), str(reason), str(why), tuple(map(str, sources)), first, last)


def plain(exclusions: Iterable[Exclusion]) -> list[dict[str, object]]:
    """The exclusions as JSON can hold them."""
    return [
        {key: str(value) if isinstance(value, date) else value for key, value in asdict(one).items()}
        for one in exclusions
    ]
