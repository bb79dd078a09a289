"""How the chains are asked, whoever asks: compare with the ledger, ask what is missing, report health, end cleanly.

What does not belong here: which days and markets (the callers) and what is shown (the `show` they hand in).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from cryptolake.app import App
from cryptolake.cluster.asking import asking
from cryptolake.contracts.partition import Partition
from cryptolake.flow.collect import Collected, collect
from cryptolake.flow.resume import AT_ONCE, Wish, compare, damaged
from cryptolake.flow.workers import suggested
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.registry.markets import Csu
from cryptolake.watch.health import Reporter, latencies, read_runs
from cryptolake.watch.pace import Pace, Show
from cryptolake.work.priority import largest_first, last_known_usd


def gather(
    app: App,
    csus: Sequence[Csu],
    wish: Wish,
    *,
    resume: bool = True,
    only_failed: bool = False,
    what: str = "collect",
    cluster: str | None = None,
    stopping: threading.Event | None = None,
    show: Show | None = None,
) -> Collected:
    """Ask what is missing of a wish, the largest markets first, and say on file how the run does.

    Answers of settled partitions are checked by content: few of them first, many beside the work, and damaged ones are
    asked again in the same run. When `stopping` is set the run ends at its next safe point.
    """
    stopping = stopping or threading.Event()
    left = compare(wish, app.ledger, resume=resume, only_failed=only_failed)
    few = left.settled_count <= AT_ONCE
    missing = sorted([*left.missing, *damaged(left, app.bronze.intact)]) if few else left.missing
    order = largest_first(app.registry, last_known_usd(app.tables.read(DAILY_PANEL)))
    pace = Pace(what, len(missing), app.pools, show)
    with asking(app, csus, pace, cluster, stopping) as conversations:
        workers = conversations.workers or workers_of(app, csus)

        def ask(partitions: Sequence[Partition]) -> Collected:
            return collect(
                conversations.source,
                partitions,
                bronze=app.bronze,
                ledger=app.ledger,
                workers=workers,
                progress=pace.partition,
                stopping=stopping,
                order=order,
            )

        with Reporter(app.runs, lambda: pace.health(workers)), ThreadPoolExecutor(1, "check") as beside:
            later = None if few else beside.submit(damaged, left, app.bronze.intact, stopping)
            try:
                result = ask(missing)
                if later is not None and (again := later.result()):
                    pace.more(len(again))
                    result.join(ask(again))
            except BaseException:
                stopping.set()  # the check must not hold up the end
                raise
    return result


def workers_of(app: App, csus: Sequence[Csu]) -> int:
    """The user's number, else what the endpoints of these markets can feed at the latency last measured."""
    if "workers" in app.settings.model_fields_set:
        return app.settings.workers
    chains = {csu.chain for csu in csus}
    endpoints = [one for name in chains for one in app.endpoints(app.registry.chain(name))]
    return suggested(endpoints, latencies(read_runs(app.runs)))
