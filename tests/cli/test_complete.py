"""What a shell is told when Tab is pressed: from the committed file, and the same as the command-line library would say."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.command import CLEAN, cryptolake
from tests.waiting import PATIENCE_S
from typer.main import get_command
from typer.testing import CliRunner

from cryptolake.catalogue import found_tables
from cryptolake.cli import _words as words
from cryptolake.cli import app, complete, found, presence, values
from cryptolake.cli.complete import Told, answer, read_document
from cryptolake.registry.loader import chain_names, market_rows, set_names

RUN = CliRunner()
SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")
ROOT: Mapping[str, Any] = read_document()["root"]
MINE = """
chains: {my_chain: {chain_id: 990001}}
csus: []
sets: {my-set: [aave_v3_ethereum]}
"""


def asked(shell: str, line: str, action: str = "get-args") -> dict[str, str]:
    """The variables by which a shell asks about `cryptolake` and this line, the last word begun (or empty)."""
    whole = f"cryptolake {line}"
    begun = "" if line.endswith(" ") or not line else line.split(" ")[-1]
    return {
        "_CRYPTOLAKE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": whole,
        "COMP_CWORD": str(len(whole.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": whole,
        "_TYPER_COMPLETE_FISH_ACTION": action,
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": begun,
    }


def served(shell: str, line: str, action: str = "get-args") -> Told:
    said = answer(asked(shell, line, action))
    assert said is not None
    return _in_order(said)


def _in_order(said: Told) -> Told:
    """With the words in order: the library names its own help option in a new order in every process."""
    if said.text is None:
        return said
    lines = said.text.replace("((", "((\n").replace("))", "\n))").splitlines()
    return Told("\n".join(sorted(lines)), said.code)


@cache
def library() -> Any:
    """The whole command line as the library makes it; once, because it takes longer than an answer."""
    return get_command(app)


def by_library(shell: str, line: str, action: str = "get-args") -> Told:
    # It breaks a long text where the terminal ends, which no shell understands: a wide one shows what is meant.
    with mock.patch("typer.testing._get_command", return_value=library()):
        result = RUN.invoke(app, [], env={**asked(shell, line, action), "COLUMNS": "9999"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return _in_order(Told(None if action == "is-args" else result.output.removesuffix("\n"), result.exit_code))


@contextmanager
def read_once() -> Iterator[None]:
    """Which files are commands is found out once, and what each offers: in life a process answers one line."""
    asks, files = mock.patch("cryptolake.cli.found.ask", _ask), mock.patch.object(complete, "command_files", _files)
    with asks, files:
        yield


_ask, _files = cache(found.ask), cache(presence.command_files)


def every(node: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield name, node
    for one, inner in node.get("commands", {}).items():
        yield from every(inner, f"{name} {one}".strip())


COMMANDS = dict(every(ROOT))


def lines_of(name: str, node: Mapping[str, Any]) -> Iterator[str]:
    """Every place in a call of the command: its next word, each option, each value, what is left after each."""
    at = f"{name} " if name else ""
    yield from (at, f"{at}-", f"{at}--", f"{at}a", name)
    for param in node["params"]:
        if param.get("argument"):
            yield f"{at}word "
            continue
        option = [*param["opts"], *param.get("off", ())][-1]
        yield f"{at}{option} "
        yield f"{at}{option} {'word ' if param['takes'] else ''}-"
        if param["takes"]:
            yield f"{at}{option}=a"


def test_the_committed_words_are_those_of_today() -> None:
    assert complete.FILE.read_bytes() == words.render_words(), "run: make snapshot"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_place_of_every_command_is_answered_as_the_library_would(name: str) -> None:
    with read_once():
        for line in lines_of(name, COMMANDS[name]):
            assert served("fish", line) == by_library("fish", line), (
                line
            )  # with each word's text; bash has the words alone


@pytest.mark.parametrize(
    "line", ["", "pl", "rpc ", "plan --", "plan --csu aave_v3_e", "query --", "nonsense ", "plan x"]
)
@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_is_told_in_its_own_way(shell: str, line: str) -> None:
    with read_once():
        assert served(shell, line) == by_library(shell, line)


@pytest.mark.parametrize("line", ["pl", "nonsense", "plan --csu aave_v3_e", "plan --data "])
def test_fish_learns_whether_files_may_follow(line: str) -> None:
    assert served("fish", line, "is-args") == by_library("fish", line, "is-args")


WORDS = sorted(
    {
        word
        for name, node in COMMANDS.items()
        for word in (
            *name.split(),
            *(one for param in node["params"] for one in (*param["opts"], *param.get("off", ()))),
        )
    }
    - {"version"}
)
word = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(
        ["--", "-", "-h", "-x", "--no", "--data=x", "--json=1", "--data", "x", "=", "--csu=aave", "'open", ""]
    ),
)


@given(st.lists(st.sampled_from(WORDS), max_size=2), st.lists(word, max_size=4))
def test_any_line_is_read_as_the_library_reads_it(first: list[str], rest: list[str]) -> None:
    line = " ".join([*first, *rest])
    with read_once():
        assert served("zsh", line) == by_library("zsh", line)


def test_names_are_those_of_the_registry_and_the_tables() -> None:
    assert values.markets(None) == [*market_rows(), "all"]
    assert values.chains(None) == chain_names()
    assert values.sets(None) == set_names()
    assert values.tables(None) == sorted(found_tables())


def told(folder: Path, line: str, **variables: str) -> list[str]:
    """The words that bash is told in this folder."""
    done = cryptolake(folder, **asked("bash", line), **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize("by", ["flag", "environment", ".env", "cryptolake.toml"])
def test_the_users_own_registry_counts(tmp_path: Path, by: str) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    flags, variables = "", {}
    if by == "flag":
        flags = "--data x --registry mine.yaml "
    elif by == "environment":
        variables = {"CRYPTOLAKE_REGISTRY": "mine.yaml"}
    else:
        text = "CRYPTOLAKE_REGISTRY=mine.yaml\n" if by == ".env" else 'registry = "mine.yaml"\n'
        (tmp_path / by).write_text(text)
    assert told(tmp_path, f"{flags}plan --set my", **variables) == ["my-set"]
    assert told(tmp_path, f"{flags}plan --chain my_", **variables) == ["my_chain"]


@pytest.mark.parametrize("by", ["environment", "cryptolake.toml"])
def test_the_users_own_sets_are_offered(tmp_path: Path, by: str) -> None:
    variables = {"CRYPTOLAKE_MARKET_SETS": '{"my-own": ["aave_v3_base"]}'} if by == "environment" else {}
    if not variables:
        (tmp_path / by).write_text('[market_sets]\nmy-own = ["aave_v3_base"]\n')
    assert told(tmp_path, "plan --set my", **variables) == ["my-own"]
    (tmp_path / "cryptolake.toml").write_text("[market_sets]\nmy-own = 3\n")
    assert told(tmp_path, "plan --set thesis-4", CRYPTOLAKE_MARKET_SETS="{") == set_names()[:2]


@pytest.mark.parametrize("text", ["sets: [", "csus: 3", None])
def test_a_faulty_registry_leaves_the_packages_names(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "mine.yaml").write_text(text)
    assert told(tmp_path, "--registry mine.yaml plan --set thesis-4") == set_names()[:2]
    (tmp_path / "cryptolake.toml").write_text("registry = [")
    assert told(tmp_path, "plan --set thesis-4") == set_names()[:2]


def test_a_path_with_spaces_is_one_word(tmp_path: Path) -> None:
    (tmp_path / "my own.yaml").write_text(MINE)
    line = f"--registry {shlex.quote('my own.yaml')} plan --set my"
    assert cryptolake(tmp_path, **asked("zsh", line)).stdout == "_arguments '*: :((\"my-set\"))'\n"


def test_a_file_that_was_added_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "added.py").write_text("")
    package = presence.package()
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    assert answer(asked("bash", "pl")) is None  # the library answers, and it imports the file


STARTS = {
    "module": ["-m", "cryptolake"],
    "function": ["-c", "from cryptolake.cli import main; main()"],
    "file": [str(Path(presence.__file__).parents[1] / "__main__.py")],
}


def started(folder: Path, start: str, *arguments: str) -> str:
    """What the program prints when it is started in this way; which shell runs the tests does not matter."""
    own = {**CLEAN, "HOME": str(folder), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1", "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, *STARTS[start], *arguments],
        cwd=folder,
        env=own,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    ).stdout


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("shell", SHELLS[:3])
def test_the_shells_script_is_about_the_program_however_it_was_started(tmp_path: Path, start: str, shell: str) -> None:
    script = started(tmp_path, start, "--show-completion", shell)
    assert complete.VARIABLE in script
    assert not {"python", "-m", "-c", "__main__.py"} & set(script.split())
    started(tmp_path, start, "--install-completion", shell)
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any("cryptolake" in file.name and complete.VARIABLE in file.read_text() for file in written), written


@pytest.mark.parametrize("start", STARTS)
def test_a_help_names_the_program_however_it_was_started(tmp_path: Path, start: str) -> None:
    for arguments in (["--help"], ["help"], ["plan", "--help"], ["help", "plan"]):
        assert "Usage: cryptolake " in started(tmp_path, start, *arguments)
