"""What a step of the lending-market river did, said to people: what was collected, what was made, what has no number.

What does not belong here: which step is done, with which flags (the commands).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import typer

from cryptolake.cli.next_step import print_next
from cryptolake.cli.show import print_json, print_line, print_note, print_table
from cryptolake.contracts.counting import counted

if TYPE_CHECKING:
    import polars as pl

    from cryptolake.app import App
    from cryptolake.flow.collect import Collected
    from cryptolake.flow.outputs import Output


def print_collected(result: Collected, as_json: bool) -> None:
    """What a collection did, by final state; the first failures in words."""
    if as_json:
        print_json(
            {
                "done": result.done,
                "empty": result.empty,
                "unanswerable": result.unanswerable,
                "failed": result.failed,
                "pending": result.pending,
                "elsewhere": result.elsewhere,
                "released": result.released,
                "failures": [
                    {"partition": str(entry.partition), "reason": entry.reason, "error": entry.error}
                    for entry in result.failures
                ],
            }
        )
        return
    counts = [("done", result.done), ("nothing happened", result.empty), ("unanswerable", result.unanswerable)]
    counts += [("failed", result.failed), ("pending", result.pending), ("left to another run", result.elsewhere)]
    counts += [("given back", result.released)]
    print_table("Collected", ("partitions", "count"), [row for row in counts if row[1] or row[0] == "done"])
    for notice in result.notices:
        print_line(f"[yellow]pending[/] {notice}")
    told = Counter(entry.error for entry in result.failures)
    first = {entry.error: entry for entry in reversed(result.failures)}
    for error in list(told)[:5]:
        others = f" and {told[error] - 1:,} more" if told[error] > 1 else ""
        print_line(f"[red]failed[/] {first[error].partition}{others}: {error}")
    if left := sum(told[error] for error in list(told)[5:]):
        print_line(f"... and {left:,} more; see [bold]cryptolake monitor[/]")


def print_unpriced(app: App) -> None:
    """Say what has no price, and what to do about it; silent when everything has one."""
    from cryptolake.work.prices import unpriced

    tokens, token_days = unpriced(app)
    if token_days:
        print_line(
            f"[yellow]no price[/] for {counted(tokens, 'token')} on {counted(token_days, 'token-day')}: "
            "[bold]cryptolake prices collect[/], then [bold]cryptolake build[/]"
        )


def print_lacking(lacking: pl.DataFrame) -> None:
    """Say which answered days have no number, and what to do; silent when there are none."""
    from cryptolake.work.evidence import lines

    for line in lines(lacking):
        print_line(f"[red]no number[/] {line}")


def note_others(all_lacking: pl.DataFrame, chosen: pl.DataFrame) -> None:
    """Say that other market-days than the chosen ones lack a number too: what was left out must not pass for sound."""
    if others := all_lacking.height - chosen.height:
        said = counted(
            others,
            "other market-day[/], which you did not choose, has",
            "other market-days[/], which you did not choose, have",
        )
        print_note(f"[yellow]{said} no number either")


def end_lacking(lacking: pl.DataFrame) -> None:
    """Leave with exit code 1 and the remedy when answered days have no number."""
    print_lacking(lacking)
    if lacking.height:
        raise typer.Exit(1)


def print_made(
    outputs: list[Output],
    next_step: str,
    *,
    lacking: pl.DataFrame | None = None,
    collected: Collected | None = None,
    selection: bool = False,
) -> None:
    """What a step made and, when nothing lacks, the next one, written without `cryptolake`; `selection` as in `print_next`.

    Where questions failed the next step is to ask them again; what else lacks is said with its remedy by `end_lacking`.
    """
    print_table("Made", ("what", "rows", "where"), [(one.what, one.rows, one.where) for one in outputs])
    if collected is not None and collected.failed:
        print_next("collect --retry-failed", selection=True)
    elif lacking is None or not lacking.height:
        print_next(next_step, selection=selection)
