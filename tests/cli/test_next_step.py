"""What `Next:` says can be typed where it is said: every command exists with its flags, and works in that state."""

from __future__ import annotations

import ast
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.command import CLEAN, cryptolake
from tests.orchestration.conftest import sandbox_variables
from tests.server_folder import server_folder
from tests.waiting import PATIENCE_S

from cryptolake.cli import next_step
from cryptolake.cli.found import Commands
from cryptolake.demo.replay import Replay

FOLDER = Path(next_step.__file__).parent
# Printed for another folder, with a test of its own.
OTHERS = {"sandbox.py": "see journey/test_demo"}
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


# Where nothing was collected yet, `Next:` is what brings the first of it.
EMPTY = {
    ("prices", "list"): "collect",
    ("prices", "list", "--missing"): "collect",
    ("prices", "list", "--csu", "aave_v3_base"): "collect",
    ("prices", "versions"): "collect",
    ("coins", "runs"): "coins refresh",
    ("monitor",): "plan",
}


@pytest.mark.parametrize("words", EMPTY, ids=" ".join)
def test_an_empty_folder_is_filled_first(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = cryptolake(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert " ".join(next_steps(done.stdout)[0]).startswith(EMPTY[words])


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
    ("pull", "defillama"),
    ("coins", "refresh", "--top", "10"),
    ("coins", "runs"),
    ("coins", "check"),
    ("exchanges", "tickers"),
    ("extend", "--until", "2024-12-01", "--csu", "aave_v3_sandbox", "--end-date", "2024-12-03"),
    ("db", "status"),
    ("db", "stop"),
]
# These run until they are stopped: each with the first it says when it works.
ENDLESS = {("monitor", "--serve"): "The monitor is at", ("scheduler",): "scheduler: "}
NEEDS_MORE = {
    "backfill": "the vendor's whole history, most of it not invented",
    "markets check --live": "a chain that answers more than was recorded",
    "prices collect": "prices of the recorded days, which nobody invented",
    "run --days": "the chain of today",
}


def starts(folder: Path, words: Sequence[str], sign: str, **variables: str) -> bool:
    """Whether an endless command says its sign of life; it is ended by a signal, as its user would end it."""
    command = [sys.executable, "-c", "from cryptolake.cli import main; main()", *words]
    process = subprocess.Popen(
        command, cwd=folder, env={**CLEAN, **variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    lived = any(sign in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    return lived


@pytest.mark.xdist_group("next-steps")
def test_every_next_step_works_where_it_is_said() -> None:
    with server_folder("next", "my lake") as place, Replay() as replay:
        folder = place / "my lake"
        variables = sandbox_variables(replay, folder)
        del variables["CRYPTOLAKE_DATA"]
        variables |= {f"CRYPTOLAKE_URL_{host.upper()}": url for host, url in replay.urls.items()}
        wrong, tried = [], set()
        for words in WALK:
            done = cryptolake(place, "--data", str(folder), *words, **variables)
            if done.returncode or "Next: " not in done.stdout:
                wrong.append((words, done.returncode, done.stdout[-300:], done.stderr[-300:]))
                continue
            for step in next_steps(done.stdout):
                assert step[:2] == ["--data", str(folder)], (words, step)
                command = " ".join(step[2:])
                if command in tried:
                    continue
                if (sign := ENDLESS.get(tuple(step[2:]))) is not None:
                    tried.add(command)
                    port = ("--port", "0") if step[2] == "monitor" else ()
                    if not starts(place, [*step, *port], sign, **variables):
                        wrong.append((words, command, "says nothing"))
                    continue
                if command.startswith(tuple(NEEDS_MORE)):
                    continue
                if words[-2:] == SPAN[-2:] and step[2] in {"collect", "plan", "monitor", "panel"}:
                    assert command.count("2024-12-03") == 1, f"{words} lost its days: {command}"
                tried.add(command)
                after = cryptolake(place, *step, **variables)
                if after.returncode:
                    wrong.append((words, command, after.returncode, after.stdout[-300:], after.stderr[-300:]))
        assert wrong == [], "\n".join(map(str, wrong))
