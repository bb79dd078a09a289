"""Printing: tables that fit 100 columns, progress bars, JSON. Results go to stdout, progress to stderr."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryptolake.cli.typed import in_markup, names_command
from cryptolake.contracts.entry import said
from cryptolake.contracts.partition import Partition
from cryptolake.waiting import what_is_waited_for

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from cryptolake.flow.collect import Progress as Report

WIDTH = 100  # columns
_CELL = 12  # a cell that may break over lines needs this much to be read
QUIET_S = 15.0  # after so long without an answer it is told what is waited for


def console() -> Console:
    """Standard output, never wider than 100 columns."""
    from rich.console import Console

    out = Console(highlight=False)
    return out if out.width <= WIDTH and out.is_terminal else Console(width=WIDTH, highlight=False)


def print_json(document: object) -> None:
    """One JSON document on standard output; dates as ISO 8601."""
    import orjson
    from rich.console import Console

    text = orjson.dumps(document, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    Console(soft_wrap=True, highlight=False, markup=False).out(text.decode(), highlight=False)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table; numbers are right-aligned."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        cells = [row[number] for row in rows if row[number] is not None]
        numeric = bool(cells) and all(isinstance(cell, int | float) for cell in cells)
        # Names in the first column are copied by hand into the next command: they stay whole where they fit.
        whole = number == 0 and max((len(str(cell)) for cell in cells), default=0) <= WIDTH // 3
        table.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    console().print(table)


def print_line(text: str) -> None:
    """One line on standard output (rich markup allowed); with a command to copy in it, it is not broken."""
    console().print(in_markup(text), soft_wrap=names_command(text))


def print_whole(line: Text) -> None:
    """A line that is copied, never broken: on a terminal only the terminal itself folds it, elsewhere nobody."""
    from rich.console import Console

    Console(highlight=False).print(line, soft_wrap=True)


def print_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table where its columns fit beside each other, else one block per row with a line per column."""
    from rich.text import Text

    lengths = [max((len(_text(row[number])) for row in rows), default=0) for number in range(len(columns))]
    needed = sum(max(len(name), min(longest, _CELL)) + 2 for name, longest in zip(columns, lengths, strict=True))
    if needed <= console().width or not rows:
        print_table(title, columns, rows)
        return
    print_whole(Text(title, "bold"))
    margin = max(map(len, columns))
    for number, row in enumerate(rows, start=1):
        print_whole(Text(f"-[ {number:,} ]".ljust(margin + 3, "-")))
        for name, cell in zip(columns, row, strict=True):
            print_whole(Text(f"{name:<{margin}} | {_text(cell)}"))


def print_note(text: str) -> None:
    """One line on standard error (rich markup allowed): what a result rests on, never a result."""
    from rich.console import Console

    Console(stderr=True, width=WIDTH, highlight=False).print(in_markup(text), soft_wrap=names_command(text))


def _text(cell: object) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.2f}"
    return str(cell)


@contextmanager
def progress(label: str, total: int) -> Iterator[Report]:
    """A progress bar on a terminal; elsewhere a line every tenth of the work, and one when nothing came for a while."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    err = Console(stderr=True)
    if not err.is_terminal:
        with _lines(err, label, total) as report:
            yield report
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(label, total=total)

        def report(partition: Partition, state: str) -> None:
            bar.update(task, advance=1, description=f"{label} {partition} {said(state)}")

        yield report


@contextmanager
def _lines(err: Console, label: str, total: int) -> Iterator[Report]:
    seen = 0
    step = max(1, total // 10)

    def tell(waits: str) -> None:
        err.print(f"{label}: {seen}/{total}, waiting for {waits}", markup=False, highlight=False, soft_wrap=True)

    with telling_waits(tell) as heard:

        def report(partition: Partition, state: str) -> None:
            nonlocal seen
            seen += 1
            heard()
            if seen % step == 0 or seen == total:
                err.print(f"{label}: {seen}/{total} {partition} {said(state)}", markup=False, highlight=False)

        yield report


@contextmanager
def telling_waits(tell: Callable[[str], None], quiet_s: float = QUIET_S) -> Iterator[Callable[[], None]]:
    """While the block lasts, `tell` what is waited for whenever nothing was heard for `quiet_s` seconds.

    Yields what is to be called when something was heard.
    """
    ended, heard = threading.Event(), threading.Event()

    def look() -> None:
        while not ended.wait(quiet_s):
            if not heard.is_set() and (waits := what_is_waited_for()):
                tell(waits)
            heard.clear()

    thread = threading.Thread(target=look, name="waits", daemon=True)
    thread.start()
    try:
        yield heard.set
    finally:
        ended.set()
        thread.join()
