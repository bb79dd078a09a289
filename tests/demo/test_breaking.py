"""`demo --break`: every planted fault is caught; one that nobody notices, or that leaves a wrong `ok`, is not passed over."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from tests.command import cryptolake, python, widest

from cryptolake.demo.faults import FAULTS

pytestmark = pytest.mark.xdist_group("demo")
TRIP = Path(__file__).resolve().parents[2] / "docs" / "trip.md"

# Puts other faults in the place of those that are planted, and runs the command.
INSTEAD = """
from cryptolake.cli import main
from cryptolake.demo import faults, lying
nothing = faults.Fault("nothing at all", lambda lake: None, lambda lake: lake.checked() or lake.verified())
wrong = faults.Fault(
    "logs dropped in silence",
    lambda lake: lake.collect_anew(lying.dropping(faults.BLOCK)),
    lambda lake: faults.Noticed("somebody", "something"),
)
faults.FAULTS = (faults.FAULTS[0], nothing, wrong)
main()
"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """What the command said, and where it ran."""
    folder = tmp_path_factory.mktemp("broken")
    return cryptolake(folder, "demo", "--break", "--json"), folder


def test_every_fault_is_caught(broken: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    ended, folder = broken
    assert ended.returncode == 0, ended.stderr + ended.stdout
    document = json.loads(ended.stdout)
    assert document["caught"] is True
    assert [one["done"] for one in document["faults"]] == [one.done for one in FAULTS]
    for one in document["faults"]:
        assert one["caught"], one
        assert one["noticed_by"].startswith("cryptolake "), one
        assert one["said"], one
        assert not one["wrong_days"] or not one["provable"], one
    assert not list(folder.iterdir()), "it keeps nothing"


def test_what_one_voice_cannot_show_is_said_apart(broken: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    apart = [one for one in json.loads(broken[0].stdout)["faults"] if not one["provable"]]
    assert apart
    for one in apart:
        assert one["wrong_days"]
        assert "one_voice" in one["said"]


def test_what_nobody_notices_and_what_leaves_a_wrong_figure_is_not_caught(tmp_path: Path) -> None:
    ended = python(INSTEAD, "demo", "--break", folder=tmp_path, variables={})
    assert ended.returncode == 1, ended.stderr
    assert "1 of 3 faults caught" in ended.stdout
    told = " ".join(ended.stdout.split())
    assert "not caught: nothing at all" in told
    assert "not caught: logs dropped in silence; 2024-12-05 shows another figure and says ok" in told
    assert widest(ended.stdout) <= 100


def test_flags_that_contradict_it_are_refused(tmp_path: Path) -> None:
    for flags in (("--break", "--folder", "here"), ("--json",)):
        refused = cryptolake(tmp_path, "demo", *flags)
        assert refused.returncode == 2
        assert "--break" in refused.stderr
    assert not list(tmp_path.iterdir())


def test_the_trip_page_shows_what_it_says(broken: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    page = TRIP.read_text().partition("<!-- faults -->")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.strip().splitlines()[2:]]
    found = [[one["done"], f"`{one['noticed_by']}`", one["said"]] for one in json.loads(broken[0].stdout)["faults"]]
    # Which block, and which of a day's answers is told first, is not what the page is about.
    shown, told = ([[re.sub(r"0x\w{40}|\d+", "N", cell) for cell in row] for row in table] for table in (rows, found))
    assert shown == told, "\n".join(f"| {' | '.join(row)} |" for row in found)
