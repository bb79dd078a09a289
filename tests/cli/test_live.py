"""Progress without a terminal is plain lines; with one, a bar per chain. It never fails the work it reports on."""

from __future__ import annotations

import io
from datetime import date

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from cryptolake.cli.live import Bars, live
from cryptolake.contracts.partition import Partition, Period
from cryptolake.sources.onchain.scans import Scanned
from cryptolake.watch.pace import Pace

DAY = Partition("tvl", "aave_v3_ethereum", Period.of_day(date(2024, 12, 1)))


def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with live() as show:
        tell = Pace("collect", 2, list, show)
        tell.scanned(Scanned("ethereum", 1000, 7000))
        tell.partition(DAY, "done")
        tell.partition(DAY, "done")
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("collect: 2/2")
    assert len(said) <= 2


def test_bars_follow_the_blocks_of_each_chain() -> None:
    out = io.StringIO()
    bars = Progress(
        TextColumn("{task.description} {task.completed}/{task.total} {task.fields[note]}"), console=Console(file=out)
    )
    tell = Pace("collect", 10, list, Bars(bars))
    for done in (500, 7000):
        tell.scanned(Scanned("ethereum", done, 7000))
        tell.scanned(Scanned("base", done, 43_200))
    tell.partition(DAY, "failed")
    shown = {task.description.strip(): (task.completed, task.total) for task in bars.tasks}
    assert shown == {"collect": (1, 10), "ethereum": (7000, 7000), "base": (7000, 43_200)}
    assert "0 retries" in str(bars.tasks[0].fields["note"])
