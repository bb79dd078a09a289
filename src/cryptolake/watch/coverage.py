"""What there is to watch, from quick questions to the ledger: coverage by market and day, failures, pace, runs, endpoints.

Every part stays quick at millions of entries: tallies, bounded ranges and the newest entries, never the whole ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta

from cryptolake.contracts.entry import SUSPECT, Entry, State, said_counts
from cryptolake.contracts.partition import MARKET_DATASETS, Partition
from cryptolake.state.ledger import Ledger
from cryptolake.watch.health import RunHealth
from cryptolake.watch.progress import remedy

WINDOW_DAYS = 62
# One letter per day; a day of hours shows the least settled of its hours.
_LETTER: dict[State, str] = {"done": "d", "empty": "e", "gone": "u", "failed": "f", "claimed": "w", "landed": "w"}
_SUSPECT = "s"
_WORST = ".fwsdeu"


def markets(ledger: Ledger) -> list[str]:
    """Every market the ledger knows, sorted."""
    return sorted({key for dataset, key in ledger.tally() if dataset in MARKET_DATASETS})


def newest_day(ledger: Ledger, keys: Iterable[str]) -> date | None:
    """The newest day that was ever asked for, of these markets."""
    found = (ledger.newest(dataset, key) for key in keys for dataset in MARKET_DATASETS)
    return max((one.partition.period.day for one in found if one is not None), default=None)


def entries(ledger: Ledger, keys: Iterable[str], first: date | None, last: date | None) -> dict[Partition, Entry]:
    """The latest entries of these markets in a span of days (None: open), and of every vendor series its newest."""
    low, high = first.isoformat() if first else "", last.isoformat() if last else "~"
    found = {}
    for key in keys:
        for dataset in MARKET_DATASETS:
            found.update({one.partition: one for one in ledger.series(dataset, key, low, high)})
    return found


def vendor_entries(ledger: Ledger) -> dict[Partition, Entry]:
    """The newest entry of every vendor series."""
    newest = (ledger.newest(dataset, key) for dataset, key in ledger.tally() if dataset not in MARKET_DATASETS)
    return {one.partition: one for one in newest if one is not None}


def heat(ledger: Ledger, keys: Sequence[str], first: date, last: date) -> list[dict[str, str]]:
    """Per market a text, a letter a day.

    d done, e nothing happened, u unanswerable, s suspect, f failed, w waiting, . never asked.
    """
    count = (last - first).days + 1
    numbers = {(first + timedelta(days=number)).isoformat(): number for number in range(count)}
    rows = []
    for key in keys:
        row = {"market": key}
        for dataset in MARKET_DATASETS:
            letters = ["."] * count
            for name, state, reason in ledger.states_of_series(dataset, key, first.isoformat(), last.isoformat()):
                number, letter = numbers[name[:10]], _SUSPECT if reason == SUSPECT else _LETTER[state]
                known = letters[number]
                letters[number] = letter if known == "." else min(known, letter, key=_WORST.index)
            row[dataset] = "".join(letters)
        rows.append(row)
    return rows


def failures(ledger: Ledger) -> list[dict[str, object]]:
    """Failed partitions by reason, most frequent first, with the remedy and the newest example."""
    return [
        {
            "reason": newest.reason or "unknown",
            "count": count,
            "remedy": remedy(newest.reason or "unknown", newest),
            "example": str(newest.partition),
            "error": newest.error,
            "attempts": newest.attempt,
            "at": newest.at.isoformat(),
        }
        for count, newest in ledger.failures()
    ]


def pace(ledger: Ledger, now: datetime) -> list[int]:
    """Answers in each of the last 60 minutes, oldest first."""
    start = now - timedelta(minutes=60)
    steps = ledger.pace(start, 60.0)
    return [steps.get(minute, 0) for minute in range(60)]


def runs_document(runs: Sequence[RunHealth], now: datetime) -> list[dict[str, object]]:
    """The runs of the last days, those at work first."""
    found: list[dict[str, object]] = [
        {**asdict(run), "at_work": run.at_work(now), "left_s": run.left_s() if run.at_work(now) else None}
        for run in runs
    ]
    return sorted(found, key=lambda one: not one["at_work"])


def status(
    ledger: Ledger,
    runs: Sequence[RunHealth],
    chains: Mapping[str, str],
    *,
    last: date | None = None,
    days: int = WINDOW_DAYS,
    now: datetime | None = None,
) -> dict[str, object]:
    """Everything the page shows, for the `days` days up to `last` (the newest day known). `chains` is the chain of a market."""
    now = now or datetime.now(UTC)
    keys = markets(ledger)
    last = last or newest_day(ledger, keys) or now.date()
    first = last - timedelta(days=days - 1)
    at_work = runs_document(runs, now)
    return {
        "at": now.isoformat(timespec="seconds"),
        "counts": said_counts(ledger.counts()),
        "first": first.isoformat(),
        "last": last.isoformat(),
        "markets": [{**row, "chain": chains.get(row["market"], "")} for row in heat(ledger, keys, first, last)],
        "failures": failures(ledger),
        "pace": pace(ledger, now),
        "runs": at_work[:20],
        "claims": [
            {"worker": worker, "partitions": count, "until": until.isoformat(timespec="seconds")}
            for worker, count, until in ledger.claims()
        ],
    }
