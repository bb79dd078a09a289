"""Commands run as a user runs them, with what they said is next, and which of our calls said it.

What does not belong here: which commands are run (test_next_step, test_remedies).
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.command import CLEAN, python
from tests.waiting import PATIENCE_S

from cryptolake.cli import next_step

FOLDER = Path(next_step.__file__).parent
PRINTING = {"print_next", "print_made", "print_again", "print_steps"}
# Notes, where every line is printed that says what is next: our calls on the way to it, and the steps.
RECORDER = """
import json, os, sys
from cryptolake.cli import next_step
real = next_step.print_steps
def noting(steps, **more):
    frame, places = sys._getframe(1), []
    while frame is not None:
        places.append((os.path.basename(frame.f_code.co_filename), frame.f_lineno))
        frame = frame.f_back
    with open(os.environ["SAID_NEXT"], "a", encoding="utf-8") as file:
        file.write(json.dumps([places, list(steps)]) + "\\n")
    real(steps, **more)
for module in [one for name, one in sys.modules.items() if name.startswith("cryptolake")]:
    if getattr(module, "print_steps", None) is real:  # also where it was imported by name
        module.print_steps = noting
from cryptolake.cli import main
main()
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A call of ours that says what is next, with the commands it can name; what is filled in stands as `x`."""

    file: str
    line: int
    function: str
    commands: tuple[str, ...]

    def names(self) -> list[str]:
        """One name per command that it can name, else one alone."""
        return [f"{self.file[:-3]}.{self.function}: {one}" for one in self.commands] or [
            f"{self.file[:-3]}.{self.function}"
        ]


def sites(folder: Path = FOLDER) -> Iterator[Site]:
    """Every such call in the modules of a folder, but for those by which `next_step` itself prints."""
    for path in sorted(folder.glob("*.py")):
        if path.name == "next_step.py":
            continue
        tree = ast.parse(path.read_text("utf-8"))
        for function in (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in PRINTING:
                    told = node.args[1:] if name == "print_made" else node.args if name == "print_next" else []
                    named = [words for one in told for words in _commands(one)]
                    yield Site(path.name, node.lineno, function.name, tuple(named))


def _commands(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            yield "".join(str(one.value) if isinstance(one, ast.Constant) else "x" for one in values)
        case ast.IfExp(body=body, orelse=orelse):
            yield from _commands(body)
            yield from _commands(orelse)


@cache
def _ours() -> tuple[Site, ...]:
    return tuple(sites())


def _reached(places: Sequence[tuple[str, int]], steps: Sequence[str]) -> Iterator[str]:
    for site in _ours():
        if (site.file, site.line) not in places:
            continue
        if not site.commands:
            yield from site.names()
        for command, name in zip(site.commands, site.names(), strict=False):
            pattern = re.sub(r"(?<![a-z])x(?![a-z])", ".+", re.escape(command))
            if any(re.search(rf" {pattern}(?: |$)", step) for step in steps):
                yield name


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has run: its exit code, what it said, the steps it named, and our calls that named them."""

    code: int
    out: str
    err: str
    steps: tuple[tuple[str, ...], ...]
    reached: frozenset[str]

    @property
    def said(self) -> str:
        """Everything, in one line."""
        return " ".join(f"{self.out} {self.err}".split())


def walk(place: Path, words: Sequence[str], variables: Mapping[str, str]) -> Done:
    """Run a command in `place` with only these variables of ours set."""
    with tempfile.TemporaryDirectory() as beside:
        noted = Path(beside, "said-next")
        ran = python(RECORDER, *words, folder=place, variables={**variables, "SAID_NEXT": str(noted)})
        lines = noted.read_text("utf-8").splitlines() if noted.exists() else []
    steps: list[tuple[str, ...]] = []
    reached: set[str] = set()
    for line in lines:
        places, named = json.loads(line)
        assert all(one in ran.stdout for one in named), f"not printed as it is typed: {named}"
        steps += [tuple(shlex.split(one)) for one in named]
        reached |= set(_reached([(file, number) for file, number in places], named))
    return Done(ran.returncode, ran.stdout, ran.stderr, tuple(steps), frozenset(reached))


def starts(folder: Path, words: Sequence[str], sign: str, variables: Mapping[str, str]) -> bool:
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
