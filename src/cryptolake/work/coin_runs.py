"""The kept runs of coins: their names, which there are, and taking old ones away (retention).

What does not belong here: asking for a run and loading it (`work.coins`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from cryptolake.contracts.counting import counted
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.table import Table
from cryptolake.errors import BadInput
from cryptolake.flow.claims import WORKER
from cryptolake.lake.runs import Runs
from cryptolake.publish.stores import Stores
from cryptolake.sources.coingecko import COINS_MARKETS, MARKET_GLOBAL, top_of

SOURCE = "coingecko"


def run_of(top: int, at: datetime) -> Partition:
    """The run of the `top` coins asked at `at` (aware): `coins_markets/top1000-072337Z/2026-11-21`."""
    at = at.astimezone(UTC)
    return Partition(COINS_MARKETS.name, f"top{top}-{at:%H%M%S}Z", Period.of_day(at.date()))


def instant_of(run: Partition) -> datetime:
    """The UTC instant a run's name says; the inverse of `run_of`. It becomes `processed_at`."""
    top_of(run.key)
    clock = run.key.rpartition("-")[2]
    try:
        moment = datetime.strptime(clock, "%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise BadInput(f"{run} is no run; see `cryptolake coins runs`") from None
    return datetime.combine(run.period.day, moment.time(), UTC)


def totals_of(run: Partition) -> Partition:
    """The partition of the totals over all coins, asked in the same run."""
    return Partition(MARKET_GLOBAL.name, f"all-{run.key.rpartition('-')[2]}", run.period)


def kept_runs(runs: Runs) -> list[Partition]:
    """Every run in bronze, oldest first."""
    found = [run for run in runs.kept(SOURCE, COINS_MARKETS.name) if "-" in run.key]
    return sorted(found, key=lambda run: (instant_of(run), run.key))


def find_run(runs: Runs, text: str) -> Partition:
    """The kept run that `text` names: `latest`, the whole partition, or any part of it that only one run has."""
    kept = kept_runs(runs)
    if not kept:
        raise BadInput("no run is kept yet; run `cryptolake coins refresh`")
    if text == "latest":
        return kept[-1]
    found = [run for run in kept if str(run) == text] or [run for run in kept if text in str(run)]
    if len(found) != 1:
        known = ", ".join(str(run) for run in (found or kept)[-3:])
        raise BadInput(f"{text!r} names {counted(len(found), 'kept run')}; write one of them, e.g. {known}")
    return found[0]


@dataclass(frozen=True, slots=True)
class Pruned:
    """A run that retention takes away, and how many bytes that frees."""

    run: Partition
    bytes: int


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a pruning took away (or would): runs, bytes of replaced table versions; and the old runs that stay."""

    found: list[Pruned]
    version_bytes: int
    kept: list[Partition]


def prune(
    stores: Stores,
    versioned: Sequence[Table],
    *,
    keep_days: int,
    today: date,
    held: Collection[datetime],
    dry_run: bool,
) -> Pruning:
    """Take away the raw JSON and Parquet of runs older than `keep_days` days; the newest run always stays.

    So does a run that is not among `held`, the instants of which PostgreSQL keeps the history: its answer is all there is.
    Also takes away the replaced versions of the lake's tables `versioned`. The ledger says `gone`, reason `pruned`. A dry
    run only says what would go.
    """
    oldest = today - timedelta(days=keep_days)
    old = [run for run in kept_runs(stores.runs)[:-1] if run.period.day < oldest]
    kept = [run for run in old if instant_of(run) not in held]
    found = []
    for run in (one for one in old if one not in kept):
        parts = [part for part in (run, totals_of(run)) if stores.runs.size(part, SOURCE)]
        size = sum(stores.runs.size(part, SOURCE) for part in parts)
        if not dry_run:
            # Said first, done second: killed in between, the next pruning finds the files and goes on.
            at = datetime.now(UTC)
            stores.ledger.append_many([Entry(part, "gone", at, WORKER, reason="pruned") for part in parts])
            for part in reversed(parts):
                stores.runs.delete(part, SOURCE)
        found.append(Pruned(run, size))
    versions = [stores.tables.expire(one, keep_days=keep_days, dry_run=dry_run) for one in versioned]
    return Pruning(found, sum(versions), kept)
