"""The monitor command: what is collected, what failed and what to do, how fast it goes and when it will be done.

What does not belong here: the questions to the ledger (watch.coverage) and the web page (watch.page).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.cluster import print_workers
from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import (
    JsonFlag,
    chosen_csus,
    shown_days,
)
from cryptolake.cli.reading import only_reads
from cryptolake.cli.screens import TEAM, Step
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_json, print_line
from cryptolake.cli.signals import asked_to_stop
from cryptolake.contracts.counting import counted
from cryptolake.contracts.entry import NOT_YET, said, said_counts
from cryptolake.contracts.partition import MARKET_DATASETS, Period
from cryptolake.errors import BadInput

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.watch.health import RunHealth

_MANY = 20_000  # partitions beyond which only the newest month is listed, unless days are named
_WATCH_S = 2.0


STEPS = {"monitor": Step(TEAM, 40, "What is there, what failed, and what to do about it")}


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("monitor", rich_help_panel="Lending markets")(monitor_command)


@only_reads
@selecting()
def monitor_command(
    context: typer.Context,
    selected: Selected = NOTHING,
    watch: Annotated[bool, typer.Option("--watch", help="Stay and follow what happens, until Ctrl-C.")] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the web page, /metrics and /healthz until Ctrl-C.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to serve on; anyone who reaches it can read.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")] = 3001,
    as_json: JsonFlag = False,
) -> None:
    """Per market and day: what is collected, what failed and what to do about it, how fast, how long still.

    Example: cryptolake monitor --csu aave_v3_ethereum --start-date 2024-12-01 --end-date 2024-12-31
    """
    if sum((watch, serve, as_json)) > 1:
        raise BadInput("--watch, --serve and --json exclude each other; give one")
    app: App = context.obj.open()
    if serve:
        _serve(app, host, port)
    elif watch:
        _watch(app)
    else:
        first, last = shown_days(selected)
        _print(app, _chosen(app, selected), first, last, as_json=as_json)


def _chosen(app: App, selected: Selected) -> list[str] | None:
    """The selected markets; None for all that the ledger knows."""
    if not (selected.chain or selected.family or selected.sets) and (not selected.csu or "all" in selected.csu):
        return None
    return [one.name for one in chosen_csus(app, selected)]


def _print(app: App, chosen: list[str] | None, first: date | None, last: date | None, *, as_json: bool) -> None:
    from cryptolake.cluster.worker_list import read_workers
    from cryptolake.watch.coverage import entries, markets, newest_day, pace, runs_document, vendor_entries
    from cryptolake.watch.health import read_runs
    from cryptolake.watch.progress import report
    from cryptolake.work.complete import Complete, complete_by_market

    now, keys = datetime.now(UTC), chosen or markets(app.ledger)
    counts, cut = app.ledger.counts(), False
    if first is None and last is None and chosen is None and sum(counts.values()) > _MANY:
        newest = newest_day(app.ledger, keys) or now.date()
        first, cut = newest - timedelta(days=30), True
    states = entries(app.ledger, keys, first, last)
    if chosen is None:
        states |= vendor_entries(app.ledger)
    found = report(states, chosen)
    complete = complete_by_market(app.tables, app.ledger, keys, first, last) if keys else Complete({})
    runs = read_runs(app.folder.runs)
    if as_json:
        shown = runs_document(runs, now)
        workers = [asdict(one) for one in read_workers(app.folder.root)]
        document = {
            "all_counts": said_counts(counts),
            "answers_per_minute": pace(app.ledger, now),
            "runs": shown,
            "workers": workers,
            "complete": complete.by_market,
        }
        print_json({**found.document(), **document})
        return
    for line in found.lines():
        print_line(line)
    if keys and complete.by_market is not None:
        whole = sum(complete.by_market.values())
        print_line(f"Complete in the panel as it was built last: {counted(whole, 'market-day')}")
    if cut:
        print_line(f"Only days since {first} are listed; all: {_counts(counts)}. Name --csu or days for others")
    for line in _run_lines(runs, now):
        print_line(line)
    print_workers(read_workers(app.folder.root))
    failed = {one.partition.dataset: one.partition.period for entries in found.failures().values() for one in entries}
    if failed.keys() & set(MARKET_DATASETS):
        print_next("collect --retry-failed", selection=True)
    elif failed:
        print_next(*_vendor_calls(app, failed))
    elif not counts:
        print_next("plan", "collect", joined="then", selection=True)
    else:
        print_next("monitor --serve", "refine")


def _vendor_calls(app: App, failed: Mapping[str, Period]) -> list[str]:
    """The commands that ask again for the vendors' datasets that failed: a pull is of an hour, a backfill of a day."""
    calls = {
        f"{'pull' if failed[dataset.name].granularity == 'hour' else 'backfill'} {source.name}"
        for source in app.vendors().values()
        for dataset in source.datasets
        if dataset.name in failed
    }
    return sorted(calls) or ["prices collect"]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {said(state)}" for state, count in sorted(counts.items())) or "nothing collected yet"


def _run_lines(runs: list[RunHealth], now: datetime) -> list[str]:
    """One line per run at work, with its pace and time left."""
    lines = []
    for run in runs:
        if not run.at_work(now):
            continue
        left = run.left_s()
        taken = max(1e-3, (run.at - run.started).total_seconds())
        requests = sum(one.requests for one in run.endpoints) / taken
        lines.append(
            f"[bold]{run.what}[/] {run.worker}: {run.done:,} of {run.total:,}, {run.failed:,} failed, "
            f"{requests:,.1f} requests/s, {'no pace yet' if left is None else f'about {_time(left)} left'}"
        )
    return lines


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _watched(app: App) -> list[str]:
    """The whole state in a screen: counts, pace, runs, endpoints in trouble, failures."""
    from cryptolake.watch.coverage import pace
    from cryptolake.watch.health import read_runs
    from cryptolake.watch.progress import remedy

    now, runs = datetime.now(UTC), read_runs(app.folder.runs)
    minutes = pace(app.ledger, now)
    lines = [
        f"[bold]{now:%Y-%m-%d %H:%M:%S} UTC[/]  {_counts(app.ledger.counts())}",
        f"{counted(sum(minutes), 'answer')} in the last hour, {sum(minutes[-5:]) / 5:,.1f} a minute in the last five",
        *(_run_lines(runs, now) or ["no run is at work"]),
    ]
    trouble = Counter(
        f"{one.chain} {one.name}: {one.problem or f'sits out {one.waits_s} s'}"
        for run in runs
        if run.at_work(now)
        for one in run.endpoints
        if one.problem or one.waits_s
    )
    lines += [f"[yellow]{line}[/]" for line in sorted(trouble)]
    for count, newest in app.ledger.failures():
        reason = newest.reason or "unknown"
        what = "[yellow]{0:,} pending[/]" if reason == NOT_YET else "[red]{0:,} failed[/] ({1})"
        lines.append(f"{what.format(count, reason)}: {remedy(reason, newest)}")
    return lines


def _watch(app: App) -> None:
    """Redraw on a terminal; a fresh block of lines whenever something changed elsewhere."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    out = Console(highlight=False)
    with asked_to_stop() as asked:
        if out.is_terminal:
            with Live(console=out, auto_refresh=False) as screen:
                while True:
                    screen.update(Group(*(Text.from_markup(line) for line in _watched(app))), refresh=True)
                    if asked.stopping.wait(_WATCH_S):
                        return
        said: list[str] = []
        while True:
            lines = _watched(app)
            if lines[1:] != said:
                said = lines[1:]
                for line in lines:
                    print_line(line)
            if asked.stopping.wait(_WATCH_S):
                return


def _serve(app: App, host: str, port: int) -> None:
    """The page until Ctrl-C or SIGTERM."""
    from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
    from cryptolake.watch.coverage import markets, newest_day, status
    from cryptolake.watch.health import read_runs
    from cryptolake.watch.metrics import metrics
    from cryptolake.watch.page.server import Page
    from cryptolake.work.complete import complete_by_market

    chains = {name: csu.chain for name, csu in app.registry.csus.items()}

    def picture(last: date | None, days: int) -> dict[str, object]:
        keys = markets(app.ledger)
        last = last or newest_day(app.ledger, keys) or datetime.now(UTC).date()
        shown = status(app.ledger, read_runs(app.folder.runs), chains, last=last, days=days)
        whole = complete_by_market(app.tables, app.ledger, keys, last - timedelta(days=days - 1), last)
        return {**shown, "complete": asdict(whole)}

    def mark() -> object:
        runs = [(run.worker, run.at) for run in read_runs(app.folder.runs)]
        return app.ledger.size()[0], app.ledger.claims(), runs, app.tables.version(DAILY_PANEL)

    page = Page(
        host,
        port,
        picture=picture,
        mark=mark,
        metrics=lambda: metrics(app.ledger, read_runs(app.folder.runs), datetime.now(UTC)),
    )
    with asked_to_stop(quietly=True) as asked:
        serving = threading.Thread(target=page.serve, name="page")
        serving.start()
        print_line(f"The monitor is at [bold]{page.address}[/] ({page.address}/metrics for Prometheus); Ctrl-C ends it")
        while not asked.stopping.wait(0.5):  # a wait without an end would not hear Ctrl-C on Windows
            pass
        page.end()
        serving.join()
