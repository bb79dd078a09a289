"""How every command collects: compare with the ledger, ask what is missing, show it live, end cleanly when asked to.

What does not belong here: flags and what is printed afterwards (the commands).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import typer

from cryptolake.app import App
from cryptolake.cli.cluster import asking
from cryptolake.cli.live import live
from cryptolake.cli.signals import asked_to_stop
from cryptolake.contracts.partition import Partition
from cryptolake.flow.collect import Collected, collect
from cryptolake.flow.resume import AT_ONCE, Wish, compare, damaged
from cryptolake.flow.workers import suggested
from cryptolake.gold.daily_panel import DAILY_PANEL
from cryptolake.registry.markets import Csu
from cryptolake.watch.health import Reporter, latencies, read_runs
from cryptolake.work.priority import largest_first, last_known_usd


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a collection did, and the exit code it was asked to end with by a signal."""

    collected: Collected
    exit_code: int | None


def workers_of(app: App, csus: Sequence[Csu]) -> int:
    """The user's number, else what the endpoints of these markets can feed at the latency last measured."""
    if "workers" in app.settings.model_fields_set:
        return app.settings.workers
    chains = {csu.chain for csu in csus}
    endpoints = [one for name in chains for one in app.endpoints(app.registry.chain(name))]
    return suggested(endpoints, latencies(read_runs(app.runs)))


def gather(
    app: App,
    csus: Sequence[Csu],
    wish: Wish,
    *,
    resume: bool = True,
    only_failed: bool = False,
    what: str = "collect",
    cluster: str | None = None,
) -> Gathered:
    """Ask what is missing of a wish, the largest markets first.

    Answers of settled partitions are checked by content: few of them first, many beside the work, and damaged ones are
    asked again in the same run.
    """
    left = compare(wish, app.ledger, resume=resume, only_failed=only_failed)
    few = left.settled_count <= AT_ONCE
    missing = sorted([*left.missing, *damaged(left, app.bronze.intact)]) if few else left.missing
    order = largest_first(app.registry, last_known_usd(app.tables.read(DAILY_PANEL)))
    with (
        asked_to_stop() as asked,
        live(what, len(missing), app.pools) as tell,
        asking(app, csus, tell, cluster, asked.stopping) as conversations,
    ):
        workers = conversations.workers or workers_of(app, csus)

        def ask(partitions: Sequence[Partition]) -> Collected:
            return collect(
                conversations.source,
                partitions,
                bronze=app.bronze,
                ledger=app.ledger,
                workers=workers,
                progress=tell.partition,
                stopping=asked.stopping,
                order=order,
            )

        with Reporter(app.runs, lambda: tell.health(workers)), ThreadPoolExecutor(1, "check") as beside:
            later = None if few else beside.submit(damaged, left, app.bronze.intact, asked.stopping)
            try:
                result = ask(missing)
                if later is not None and (again := later.result()):
                    tell.more(len(again))
                    result.join(ask(again))
            except BaseException:
                asked.stopping.set()  # the check must not hold up the end
                raise
    return Gathered(result, asked.exit_code)


def end(gathered: Gathered) -> None:
    """Leave with the right exit code: a signal's, 1 when something failed, else 0."""
    if gathered.exit_code is not None:
        released = gathered.collected.released
        sys.stderr.write(
            f"cryptolake: stopped as asked; what was answered is kept, {released:,} answers are left: "
            "run the same command again to go on\n"
        )
        raise typer.Exit(gathered.exit_code)
    raise typer.Exit(1 if gathered.collected.failed else 0)
