"""Commands about the record of progress: ledger inspect, repair, export, import."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import (
    JsonFlag,
    chosen_market_days,
)
from cryptolake.cli.reading import only_reads
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_json, print_line, print_table
from cryptolake.contracts.counting import counted
from cryptolake.contracts.entry import said, said_counts
from cryptolake.contracts.partition import Partition
from cryptolake.errors import BadInput

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.work.market_days import MarketDays

_NOTHING = "the ledger knows nothing of this selection; run `cryptolake collect` with the same flags"


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    ledger = typer.Typer(
        no_args_is_help=True,
        help="The record of progress: inspect, repair, export, import.\n\nExample: cryptolake ledger inspect",
    )
    ledger.command("inspect")(inspect_command)
    ledger.command("repair")(repair_command)
    ledger.command("export")(export_command)
    ledger.command("import")(import_command)
    cli.add_typer(ledger, name="ledger", rich_help_panel="Endpoints and proof")


@only_reads
@selecting()
def inspect_command(
    context: typer.Context,
    partition: Annotated[str | None, typer.Argument(help="dataset/key/period, for everything about one.")] = None,
    selected: Selected = NOTHING,
    as_json: JsonFlag = False,
) -> None:
    """Show how much the ledger holds and whether it is sound, or everything about one partition.

    A selection narrows the counts to its markets and days; size and soundness are the whole file's.

    Example: cryptolake ledger inspect tvl/aave_v3_ethereum/2024-12-31
    """
    app: App = context.obj.open()
    only = chosen_market_days(app, selected)
    if partition is not None:
        if not only.whole:
            raise BadInput("a partition is of one market and day already; leave out the flags that select")
        _inspect_one(app, Partition.parse(partition), as_json)
        return
    entries, size = app.ledger.size()
    fault = app.ledger.fault()
    claims = app.ledger.claims()
    per_dataset = _counted(app, only)
    if as_json:
        print_json(
            {
                "entries": entries,
                "bytes": size,
                "fault": fault,
                "datasets": {name: said_counts(states) for name, states in per_dataset.items()},
                "claims": [{"worker": worker, "partitions": n, "until": until} for worker, n, until in claims],
            }
        )
    else:
        columns = ("done", "empty", "gone", "failed", "claimed", "landed")
        print_table(
            f"Ledger: {counted(entries, 'entry', 'entries')}, {size / 1e6:,.1f} MB, {fault or 'sound'}",
            ("dataset", *map(said, columns)),
            [(name, *(states.get(one, 0) for one in columns)) for name, states in sorted(per_dataset.items())],
        )
        if claims:
            rows = [(worker, n, f"{until:%Y-%m-%d %H:%M:%S} UTC") for worker, n, until in claims]
            print_table("At work", ("worker", "partitions", "lease until"), rows)
        if fault:
            print_next("ledger repair")
        else:
            print_next("monitor", selection=True)
    raise typer.Exit(1 if fault else 0)


def _counted(app: App, only: MarketDays) -> dict[str, dict[str, int]]:
    """Partitions by dataset and state. Raises BadInput when there is none of what was chosen."""
    found: dict[str, dict[str, int]] = {}
    if only.whole:
        for (dataset, _key), states in app.ledger.tally().items():
            for state, count in states.items():
                per_state = found.setdefault(dataset, {})
                per_state[state] = per_state.get(state, 0) + count
        return found
    for partition, entry in app.ledger.states().items():
        if only.holds(partition):
            per_state = found.setdefault(partition.dataset, {})
            per_state[entry.state] = per_state.get(entry.state, 0) + 1
    if not found:
        raise BadInput(_NOTHING)
    return found


def _inspect_one(app: App, partition: Partition, as_json: bool) -> None:
    history = app.ledger.history(partition)
    whole = any(one.digest and app.bronze.intact(partition, one.digest) for one in history[-1:])
    if as_json:
        shown = [{**asdict(one), "partition": str(one.partition), "state": said(one.state)} for one in history]
        print_json({"partition": str(partition), "answer_is_whole": whole, "entries": shown})
        return
    rows = [
        (f"{one.at:%Y-%m-%d %H:%M:%S}", said(one.state), one.attempt, one.worker, one.rows, one.reason or one.error)
        for one in history
    ]
    print_table(f"{partition}", ("at (UTC)", "state", "attempt", "worker", "rows", "why"), rows)
    print_line("Its answer is kept and whole" if whole else "No whole answer is kept for it")


def repair_command(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Compare the ledger with bronze and make them agree. Needs no network.

    Answers the ledger does not know are adopted, damaged ones are marked to be asked again, claims of dead runs are
    dropped. A ledger file that cannot be read is put aside and rebuilt from bronze.

    Example: cryptolake ledger repair
    """
    from cryptolake.demo.journey import is_marked
    from cryptolake.work.repair import repair_ledger

    app: App = context.obj.open()
    found, aside = repair_ledger(app)
    if as_json:
        named = {"damaged": found.damaged, "read_anew": found.read_anew}
        document = {**asdict(found), **{name: [str(one) for one in ones] for name, ones in named.items()}}
        print_json({**document, "put_aside": str(aside) if aside else None})
        return
    if aside:
        print_line(
            f"The old ledger could not be read; it lies at {aside}. Days that never had an answer are asked again"
        )
    rows = [
        ("latest entries corrected", found.corrected),
        ("claims of dead runs dropped", found.claims_dropped),
        ("answers adopted", found.adopted),
        ("answers damaged", len(found.damaged)),
        ("answers that read otherwise now", len(found.read_anew)),
    ]
    print_table("Repaired", ("what", "count"), rows)
    for partition in found.damaged[:5]:
        print_line(f"[red]damaged[/] {partition}")
    if found.damaged or any(entry.state == "failed" for entry in app.ledger.states().values()):
        # The demo's chain answers while the demo runs, and nowhere else.
        print_next("demo" if is_marked(app.folder.root) else "collect --retry-failed", selection=True)
    elif found.corrected or found.adopted or found.read_anew:
        print_next("refine")


@only_reads
@selecting()
def export_command(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Option("--to", help="Folder; default: checkpoints/ in the data folder.")
    ] = None,
    shape: Annotated[
        Literal["progress", "tasks", "both"], typer.Option(help="Per-dataset files, one checkpoint.json, or both.")
    ] = "both",
    selected: Selected = NOTHING,
) -> None:
    """Write the documented checkpoint files from the ledger, or a selection's into a folder of their own.

    Example: cryptolake ledger export --to checkpoints
    """
    from cryptolake.state.checkpoints import write_checkpoints, write_tasks

    app: App = context.obj.open()
    only = chosen_market_days(app, selected)
    to = folder or app.folder.checkpoints
    if not only.whole and to.resolve() == app.folder.checkpoints.resolve():
        raise BadInput("a part would take the place of the whole checkpoints; name another folder with --to")
    _counted(app, only)
    written = write_checkpoints(app.ledger, to, only.holds) if shape != "tasks" else []
    written += [write_tasks(app.ledger, to / "checkpoint.json", only.holds)] if shape != "progress" else []
    for path in written:
        print_line(f"written {path}")
    print_next(f"ledger import {shlex.join(map(str, written))}", said="Another machine can take them over")


@selecting()
def import_command(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Checkpoint files of either documented shape.")],
    dataset: Annotated[
        Literal["tvl", "liquidations"] | None,
        typer.Option(help="Dataset of a progress file whose name does not say it."),
    ] = None,
    selected: Selected = NOTHING,
    as_json: JsonFlag = False,
) -> None:
    """Take over checkpoint files, of a selection only its markets and days.

    A completed day counts only with its whole answer in bronze.

    Example: cryptolake ledger import checkpoints/tvl_progress.json
    """
    from cryptolake.work.repair import import_checkpoints

    app: App = context.obj.open()
    only = chosen_market_days(app, selected)
    found, strangers = import_checkpoints(app, files, dataset, only)
    if as_json:
        print_json({**asdict(found), "unknown_markets": strangers})
    else:
        rows = [
            ("already known", found.known),
            ("adopted with their answers", found.adopted),
            ("completed there, no answer here: to be asked", found.unanswered),
            ("failures noted", found.failures),
            *([] if only.whole else [("left out: not of the selection", found.left_out)]),
        ]
        print_table("Imported", ("days", "count"), rows)
        if strangers:
            print_line(f"[yellow]not in the registry, left out[/]: {', '.join(strangers[:5])}")
        print_next("collect", selection=True)
    raise typer.Exit(1 if strangers else 0)
