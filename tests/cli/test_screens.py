"""The help screens: what a newcomer sees first, everything else behind it, and none of it wider than 100 columns."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.command import cryptolake
from typer.testing import CliRunner

from cryptolake.cli import app
from cryptolake.cli.found import Commands, every
from cryptolake.cli.group import first_screen
from cryptolake.cli.screens import PANEL, TEAM

RUN = CliRunner()
COMMANDS = Commands()
FIRST = first_screen(COMMANDS.offers())


def screen(*arguments: str, columns: int = 100) -> list[str]:
    result = RUN.invoke(app, list(arguments), env={"COLUMNS": str(columns)})
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def listed(lines: list[str]) -> set[str]:
    """The commands that a screen lists."""
    return {words[1] for line in lines if (words := line.split()) and words[0] == "│" and words[1] in COMMANDS}


def test_the_first_screen_is_two_short_journeys() -> None:
    assert {one.panel for one in FIRST} == {PANEL, TEAM}
    assert len(FIRST) <= 12


@pytest.mark.parametrize("columns", [80, 100])
def test_each_step_is_one_line(columns: int) -> None:
    lines = screen("--help", columns=columns)
    assert listed(lines) == {one.name for one in FIRST}
    for one in FIRST:
        assert any(one.name in line and one.text in line for line in lines), one.name
    assert all(len(line) <= columns for line in lines)
    assert any("cryptolake help --all" in line for line in lines)


def test_help_without_a_name_is_the_first_screen() -> None:
    assert screen("help") == screen("--help")


def test_the_whole_list_holds_every_command() -> None:
    lines = screen("help", "--all")
    assert listed(lines) == {one.name for one in COMMANDS.offers() if not one.hidden}
    assert all(len(line) <= 100 for line in lines)


@pytest.mark.parametrize("name", sorted({*every(COMMANDS), *COMMANDS}))
def test_a_commands_help_fits_and_shows_an_example(name: str) -> None:
    lines = screen(*name.split(), "--help")
    assert all(len(line) <= 100 for line in lines)
    text = " ".join(" ".join(lines).split())
    assert f"Example: cryptolake {name}" in text
    assert screen("help", *name.split()) == lines


@pytest.mark.parametrize(
    "words", ["--help", "-h", "help", "help --all", "run --help", "help rpc probe", "rpc -h", "markets -h"]
)
def test_what_is_printed_without_reading_flags_is_what_the_library_prints(tmp_path: Path, words: str) -> None:
    done = cryptolake(tmp_path, *words.split(), COLUMNS="100")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.replace("-c", "cryptolake", 1) if "Usage" in line else line for line in done.stdout.splitlines()]
    assert [line.rstrip() for line in lines] == [line.rstrip() for line in screen(*words.split())]


@pytest.mark.parametrize("words", ["plan 3 --help", "--data x plan --help", "plan --days 3 -h"])
def test_other_ways_to_ask_for_help_are_the_librarys(tmp_path: Path, words: str) -> None:
    assert "Example: cryptolake plan" in cryptolake(tmp_path, *words.split()).stdout


def test_an_unknown_name_is_refused_with_what_to_do(tmp_path: Path) -> None:
    for words in (["nonsense"], ["rpc", "nonsense"], ["plan", "nonsense"], ["--all", "plan"]):
        done = cryptolake(tmp_path, "help", *words)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "--all" in done.stderr
