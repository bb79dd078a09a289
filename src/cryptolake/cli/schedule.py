"""The scheduler command: the running loop, a fresh start, and what the schedule's journal says."""

from __future__ import annotations

import os
import signal
import sys
import threading
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cryptolake.cli.confirm import confirm
from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import JsonFlag, open_for
from cryptolake.cli.reading import only_reads
from cryptolake.cli.screens import TEAM, Step
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_json, print_line, print_table
from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput, Stop

if TYPE_CHECKING:
    from cryptolake.app import App

_PATIENCE_S = 20.0  # between being asked to stop and ending all the same


STEPS = {"scheduler": Step(TEAM, 30, "Keep everything current, each source at its own time")}


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("scheduler", rich_help_panel="Keep current")(scheduler_command)


@only_reads
@selecting(days=())
def scheduler_command(
    context: typer.Context,
    action: Annotated[Literal["run", "status"], typer.Argument(help="run, or status to look at it.")] = "run",
    fresh: Annotated[bool, typer.Option("--fresh", help="Set everything aside, then fill again; asks first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask (with --fresh).")] = False,
    selected: Selected = NOTHING,
    as_json: JsonFlag = False,
) -> None:
    """Keep everything current: backfill, first pull, then every source at its own time; missed times are caught up.

    A selection takes the place of the settings' markets and sets.

    Example: cryptolake scheduler
    """
    from cryptolake.files.lock import held, holder

    app = open_for(context, selected)
    if fresh and (selected.named):
        raise BadInput("a fresh start sets everything aside, whatever is selected; leave out the flags that select")
    if action == "status":
        if fresh:
            raise BadInput("status only looks; give --fresh to `cryptolake scheduler`")
        _status(app, as_json)
        return
    app.prepare()  # only `status` has no need to write
    with held(app.folder.scheduler_lock) as mine:
        if not mine:
            other = holder(app.folder.scheduler_lock)
            raise Stop(f"a scheduler is at work on this data folder ({other}); stop it first or use another --data")
        _run(app, afresh=fresh, yes=yes)


def _run(app: App, *, afresh: bool, yes: bool) -> None:
    from cryptolake.flow.scheduler import Scheduler
    from cryptolake.state.slots import Slots
    from cryptolake.work import daily
    from cryptolake.work import fresh as starts

    stopping = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            _end(number)
        stopping.set()
        sys.stderr.write("\ncryptolake: stopping at the next safe point; once more to stop at once\n")
        # A vendor in trouble may keep the conversation at hand waiting for minutes.
        patience = threading.Timer(_PATIENCE_S, _end, (number,))
        patience.daemon = True
        patience.start()
        raise KeyboardInterrupt  # ends the conversation at hand; what was answered is kept

    for one in (signal.SIGTERM, signal.SIGINT):  # a shell starts background programs with SIGINT ignored
        signal.signal(one, stop)
    jobs, waiting = daily.jobs(app)
    for line in waiting:
        print_line(f"[yellow]left out[/] {line}")
    _print_left_out(app)
    if afresh and not jobs:
        raise Stop("a fresh start could ask nobody for anything; set the keys and endpoints above first")
    if afresh and not yes:
        _confirm(app)
    if afresh or starts.pending(app):
        _tell(
            f"fresh start: everything lies under {starts.set_aside(app)} now, in the data folder's aside/ and PostgreSQL"
        )
    slots = Slots(app.folder.slots)

    def wait(seconds: float) -> bool:
        if seconds and starts.pending(app):  # nothing is left to be filled
            _tell(
                f"fresh start: {counted(starts.finish(app), 'answer')} of chains and prices "
                "that nobody gave again were put back"
            )
        return stopping.wait(seconds)

    scheduler = Scheduler(jobs, slots, daily.AppWork(app), wait=wait, tell=_tell)
    try:
        _tell(f"scheduler: {counted(len(jobs), 'job')}: {', '.join(f'{job.name} ({job.cron} UTC)' for job in jobs)}")
        scheduler.start()
        if starts.pending(app):
            _tell(f"fresh start: {counted(starts.put_back(app), 'row')} that no vendor gave again were put back")
        scheduler.run()
    except KeyboardInterrupt:
        _tell("scheduler: stopped; what was collected is kept, the next start goes on from there")
    finally:
        slots.close()


def _end(number: int) -> None:
    """End the process now. Nothing is left to clean up: the ledger and every file survive it, the next start sees it."""
    os._exit(128 + number)


def _confirm(app: App) -> None:
    """Say what a fresh start does and ask. Raises Stop when the answer is no."""
    from cryptolake.work import fresh as starts

    found = starts.prospect(app)
    print_line("A fresh start sets aside (nothing is deleted): " + ", ".join(found.moved) + ".")
    print_line("It keeps: " + ", ".join(found.kept) + ".")
    confirm("Set it aside and fill again?", yes=False)


def _print_left_out(app: App) -> None:
    from cryptolake.work import daily

    aside = daily.markets(app)[1]
    for reason in sorted(set(aside.values())):
        names = [name for name, why in aside.items() if why == reason]
        print_line(
            f"[yellow]left out[/] {counted(len(names), 'market')} ({reason}): {', '.join(names[:3])}{' ...' * (len(names) > 3)}"
        )


def _tell(line: str) -> None:
    print_line(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}")
    sys.stdout.flush()


def _status(app: App, as_json: bool) -> None:
    from cryptolake.files.lock import holder
    from cryptolake.state.slots import Slots
    from cryptolake.work import daily

    running, now = holder(app.folder.scheduler_lock), datetime.now(UTC)
    jobs, waiting = daily.jobs(app)
    slots = Slots(app.folder.slots)
    seen = [(job, slots.latest(job.name), slots.counts(job.name)) for job in jobs]
    slots.close()
    if as_json:
        rows = [
            {
                "job": job.name,
                "cron": job.cron,
                "next": job.after(now),
                "last": latest and latest.slot,
                "state": latest and latest.state,
                "note": latest and latest.note,
                "slots": counts,
            }
            for job, latest, counts in seen
        ]
        print_json({"running": running, "jobs": rows, "waiting": waiting})
        return
    print_line(f"Scheduler: [bold]{running or 'not running'}[/]")
    print_table(
        "Jobs (times in UTC)",
        ("job", "next", "last", "state", "done", "open", "given up"),
        [
            (
                job.name,
                f"{job.after(now):%m-%d %H:%M}",
                latest and f"{latest.slot:%m-%d %H:%M}",
                latest and latest.state,
                counts.get("done", 0),
                counts.get("started", 0) + counts.get("failed", 0),
                counts.get("given_up", 0),
            )
            for job, latest, counts in seen
        ],
    )
    for job, latest, _ in seen:
        if latest is not None and latest.state in {"failed", "given_up"}:
            print_line(f"[red]{latest.state}[/] {job.name}: {latest.note}")
    for line in waiting:
        print_line(f"[yellow]left out[/] {line}")
    print_next("monitor" if running else "scheduler")
