"""What `Next:` says can be typed where it is said: every command exists with its flags, and works in that state."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import cryptolake
from tests.orchestration.conftest import sandbox_variables
from tests.server_folder import server_folder

from cryptolake.cli import next_step
from cryptolake.cli.found import Commands
from cryptolake.demo.replay import Replay

FOLDER = Path(next_step.__file__).parent
# What a user is sent to here is not one of our commands, or is printed for another folder; each has a test of its own.
OTHERS = {"new.py": "python -m pytest, see test_new", "sandbox.py": "see journey/test_demo"}
SPAN = ("--start-date", "2024-12-01", "--end-date", "2024-12-03")
MARKET = ("--csu", "aave_v3_sandbox", *SPAN)


def said() -> Iterator[tuple[str, list[str]]]:
    """Every command that a call of ours names, with the file and line; what is filled in stands as `x`."""
    for path in sorted(FOLDER.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print_next", "print_made"}:
                told = node.args if ast.unparse(node.func) == "print_next" else node.args[1:]
                for one in told:
                    yield from ((f"{path.name}:{node.lineno}", words) for words in _commands(one))


def _commands(node: ast.AST) -> Iterator[list[str]]:
    match node:
        case ast.Constant(value=str(text)):
            yield shlex.split(text)
        case ast.JoinedStr(values=values):
            yield shlex.split("".join(str(one.value) if isinstance(one, ast.Constant) else "x" for one in values))
        case ast.IfExp(body=body, orelse=orelse):
            yield from _commands(body)
            yield from _commands(orelse)


@pytest.mark.parametrize(("where", "words"), [pytest.param(*one, id=" ".join(one[1])[:60]) for one in said()])
def test_the_command_exists_with_its_flags(where: str, words: list[str]) -> None:
    command = Commands()[words[0]]
    rest = words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]  # type: ignore[union-attr]  # a group's
    known = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
    assert {one for one in rest if one.startswith("--")} <= known, where
    assert not hasattr(command, "commands"), f"{where}: a group alone prints its help"


def test_nothing_says_next_in_another_way() -> None:
    found = {path.name for path in FOLDER.rglob("*.py") if re.search(r"\bNext:", path.read_text("utf-8"))}
    assert found - {"next_step.py"} == set(OTHERS)


def next_steps(text: str) -> list[list[str]]:
    """The commands after `Next:`, by their words; lines that were folded are put together again."""
    found = " ".join(text.rpartition("Next: ")[2].split())
    return [shlex.split(one)[1:] for one in re.split(r" (?:or|then|as a trial, then) (?=cryptolake )", found)]


# In the order of a study: each may use what the ones before it left.
WALK = [
    ("plan", *MARKET),
    ("blocks", "build", "--chain", "sandbox", *SPAN),
    ("collect", *MARKET),
    ("ledger", "inspect"),
    ("ledger", "repair"),
    ("ledger", "export"),
    ("refine",),
    ("refine", *MARKET),
    ("build",),
    ("publish",),
    ("run", *MARKET),
    ("monitor", *MARKET),
    ("panel", "describe", *MARKET),
    ("panel", "export", *MARKET),
    ("prices", "list"),
    ("prices", "versions"),
    ("reprice",),
    ("quality", *MARKET),
    ("release", "v1", *MARKET),
    ("markets", "--chain", "sandbox"),
    ("markets", "show", "aave_v3_sandbox"),
    ("markets", "check", "--csu", "aave_v3_sandbox"),
    ("sources",),
    ("entities",),
    ("setup",),
    ("db", "status"),
    ("db", "stop"),
]
ENDLESS = {("monitor", "--serve"), ("scheduler",)}  # they run until they are stopped; others start them
NEEDS_MORE = {
    "backfill": "vendors",
    "markets check --live": "a chain that answers more than was recorded",
    "prices collect": "vendors",
    "run --days": "the chain of today",
}


@pytest.mark.xdist_group("next-steps")
def test_every_next_step_works_where_it_is_said() -> None:
    with server_folder("next", "my lake") as place, Replay() as replay:
        folder = place / "my lake"
        variables = sandbox_variables(replay, folder)
        del variables["CRYPTOLAKE_DATA"]
        wrong, tried = [], set()
        for words in WALK:
            done = cryptolake(place, "--data", str(folder), *words, **variables)
            if done.returncode or "Next: " not in done.stdout:
                wrong.append((words, done.returncode, done.stdout[-300:], done.stderr[-300:]))
                continue
            for step in next_steps(done.stdout):
                assert step[:2] == ["--data", str(folder)], (words, step)
                command = " ".join(step[2:])
                if tuple(step[2:]) in ENDLESS or command.startswith(tuple(NEEDS_MORE)) or command in tried:
                    continue
                if words[-2:] == SPAN[-2:] and step[2] in {"collect", "plan", "monitor", "panel"}:
                    assert command.count("2024-12-03") == 1, f"{words} lost its days: {command}"
                tried.add(command)
                after = cryptolake(place, *step, **variables)
                if after.returncode:
                    wrong.append((words, command, after.returncode, after.stdout[-300:], after.stderr[-300:]))
        assert wrong == [], "\n".join(map(str, wrong))
