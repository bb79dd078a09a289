"""Days for which a market is said to be absent for ever, held against what is known by now: its row, and its other days.

A market does not go: it is not absent at the end of a day, or after it, in which it did answer. What contradicts itself is made
`failed` in the ledger, so that everything that reads it shows it and the next collection asks again. What does not belong here:
how an absence is settled when it is asked (sources).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from cryptolake.app import App
from cryptolake.contracts.entry import Entry, State
from cryptolake.contracts.grades import Grade, at_least, weakest
from cryptolake.contracts.partition import MARKET_DATASETS, Partition, Period
from cryptolake.flow.claims import WORKER
from cryptolake.flow.reading import entry
from cryptolake.flow.resume import Wish
from cryptolake.net.voices import grade_of_absence
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.presence import ALONE, contradicts
from cryptolake.state.ledger import Ledger
from cryptolake.work.attainable import voices_in

log = structlog.get_logger(__name__)

REASON = "contradicted"
# Answers that show that the market was there: its state does, and events do; that there were none shows nothing.
_LIVED: Mapping[str, Sequence[State]] = {"tvl": ("done", "empty"), "liquidations": ("done",)}


def contradicted_absences(states: Mapping[Partition, Entry], csus: Mapping[str, Csu]) -> dict[Partition, str]:
    """Of these entries, the absences that something contradicts, and what does."""
    answered = ((one.key, one.period) for one, found in states.items() if found.state in _LIVED.get(one.dataset, ()))
    absent = (
        (one, found.error or "")
        for one, found in states.items()
        if (found.state, found.reason) == ("gone", "not_deployed")
    )
    return _contradicted(absent, answered, csus)


def doubt_absences(ledger: Ledger, csus: Mapping[str, Csu]) -> list[Entry]:
    """Make the absences of these markets that something contradicts `failed`, to be asked again; their new entries."""
    tally = ledger.tally()
    told = {key for (dataset, key), counts in tally.items() if dataset in MARKET_DATASETS and counts.get("gone")}
    found: dict[Partition, str] = {}
    for key in sorted(told & csus.keys()):
        series = [(dataset, ledger.oldest(dataset, key, _LIVED[dataset])) for dataset in MARKET_DATASETS]
        answered = [(key, Period.parse(period)) for _, period in series if period is not None]
        since = min((period for _, period in series if period is not None), default="~")
        for dataset in MARKET_DATASETS:  # as text, for there may be years of days before a market
            absent = [
                (Partition(dataset, key, Period.parse(period)), words)
                for period, words in ledger.absences(dataset, key)
                if period >= since or contradicts(words, csus[key])
            ]
            found |= _contradicted(absent, answered, csus)
    doubted = [_doubted(one, why, before) for one, why in found.items() if (before := ledger.state(one)) is not None]
    ledger.append_many(doubted)
    if found:
        log.warning(
            "markets that were said to be absent are not, by their rows or other days; they are asked again",
            markets=sorted({one.key for one in found}),
            days=len(found),
        )
    return doubted


def said_by_one(app: App, wish: Wish) -> list[Partition]:
    """Absences of a wish that one operator alone said while another one, which is the user's own, did not answer."""
    tally, found = app.ledger.tally(), list[Partition]()
    for (dataset, key), periods in wish.items():
        told = app.ledger.absences(dataset, key) if tally.get((dataset, key), {}).get("gone") else ()
        alone = {period for period, words in told if ALONE in words}
        if alone and voices_in(app.nodes(app.registry.chain(app.registry.csus[key].chain))) > 1:
            found += [Partition(dataset, key, one) for one in periods if str(one) in alone]
    return found


def proven_less(app: App, wish: Wish, least: Callable[[Partition], Grade]) -> list[Partition]:
    """Absences of a wish that are proven less far than is wished for, as far as that can be had of an absence."""
    tally, found = app.ledger.tally(), list[Partition]()
    for (dataset, key), periods in wish.items():
        if dataset not in MARKET_DATASETS or not tally.get((dataset, key), {}).get("gone"):
            continue
        told = dict(app.ledger.absences(dataset, key))
        some = (Partition(dataset, key, one) for one in periods if str(one) in told)
        found += [one for one in some if not absence_reaches(told[str(one.period)], least(one))]
    return found


def absence_reaches(words: str, wish: Grade) -> bool:
    """Whether an absence of these words is proven as far as is wished for, or as there is."""
    return at_least(grade_of_absence(words), weakest([wish, "two_voices"]))


def _doubted(partition: Partition, why: str, before: Entry) -> Entry:
    words = f"{why}; run `cryptolake collect` with the same selection"
    return replace(entry(partition, "failed", reason=REASON, error=words), worker=WORKER, attempt=before.attempt)


def _contradicted(
    absent: Iterable[tuple[Partition, str]], answered: Iterable[tuple[str, Period]], csus: Mapping[str, Csu]
) -> dict[Partition, str]:
    first: dict[str, tuple[datetime, Period]] = {}
    for key, period in answered:
        if key not in first or period.end < first[key][0]:
            first[key] = period.end, period
    found: dict[Partition, str] = {}
    for partition, words in absent:
        known = first.get(partition.key)
        why = contradicts(words, csus[partition.key]) if partition.key in csus else ""
        if not why and known is not None and known[0] <= partition.period.end:
            why = f"it was there on {known[1]}"
        if why:
            found[partition] = f"{partition.key} is said not to be deployed then: {why}"
    return found
