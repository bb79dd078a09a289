"""A command is found because its file is there: in help, completion and the commands page, and by its name."""

from __future__ import annotations

import importlib
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import cryptolake.cli
from cryptolake.cli import app, found, main

RUN = CliRunner()
ROOT = Path(__file__).resolve().parents[2]

HELLO = '''
"""A command that greets."""

import typer

from cryptolake.cli.screens import TEAM, Step

STEPS = {"hello": Step(TEAM, 0, "Greet the team")}


def add_commands(cli: typer.Typer) -> None:
    """Register it."""
    cli.command("hello", rich_help_panel="Greetings")(hello_command)


def hello_command(loud: bool = False) -> None:
    """Greet.

    Example: cryptolake hello
    """
    typer.echo("HELLO" if loud else "hello")
'''


@pytest.fixture
def extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files belong to the package of commands for the length of the test."""
    before = set(sys.modules)
    monkeypatch.setattr(cryptolake.cli, "__path__", [*cryptolake.cli.__path__, str(tmp_path)])
    yield tmp_path
    for name in set(sys.modules) - before:
        if (file := getattr(sys.modules[name], "__file__", None)) and Path(file).is_relative_to(tmp_path):
            sys.modules.pop(name)
            if name.startswith("cryptolake.cli."):
                vars(cryptolake.cli).pop(name.rpartition(".")[2], None)
    importlib.invalidate_caches()


def shown(*arguments: str, code: int = 0, **variables: str) -> str:
    result = RUN.invoke(app, list(arguments), env=variables)
    assert result.exit_code == code, result.output
    return result.output


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of the command line as a user calls it."""
    monkeypatch.setattr(sys, "argv", ["cryptolake", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), capsys.readouterr().err


def completed(words: str, at: int) -> list[str]:
    output = shown(_CRYPTOLAKE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(at))
    return output.split()


def test_the_committed_index_is_what_is_found() -> None:
    assert found.INDEX.read_bytes() == found.render_index(), "run: make snapshot"


def test_a_file_is_a_command_everywhere(extra: Path) -> None:
    (extra / "hello.py").write_text(HELLO)
    assert shown("hello", "--loud") == "HELLO\n"
    assert "Example: cryptolake hello" in " ".join(shown("help", "hello").split())
    assert "Greetings" in shown("help", "--all")
    assert "Greet the team" in shown("--help")
    assert completed("cryptolake hel", 1) == ["help", "hello"]
    assert completed("cryptolake hello --l", 2) == ["--loud"]
    pages = runpy.run_path(str(ROOT / "scripts" / "render_docs.py"))
    assert "## hello" in pages["commands_page"]()
    assert b'"hello": [' in found.promises()
    assert b"Greet the team" in found.render_index()


def test_a_file_that_is_gone_is_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "commands.json"
    index.write_text('{"cryptolake.cli.gone": [{"name": "vanished", "text": "It was here."}]}')
    monkeypatch.setattr(found, "INDEX", index)
    assert "vanished" not in shown("help", "--all")
    assert "No such command" in shown("vanished", code=2)


@pytest.mark.parametrize(
    "text",
    ["raise RuntimeError('spilt\\nmilk')", "import no_such_library", "def (", "import sys; sys.exit(3)",
     "def add_commands(cli): cli.command('broken')(lambda x: 1, 2)"],
)  # fmt: skip
def test_a_broken_file_is_named_and_the_others_go_on(
    extra: Path, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (extra / "broken.py").write_text(text)
    (extra / "hello.py").write_text(HELLO)
    assert shown("hello") == "hello\n"
    code, err = refusal(monkeypatch, capsys, "broken")
    assert code == 1
    assert err.startswith("cryptolake: ")
    assert err.count("\n") == 1
    assert str(extra / "broken.py") in err
    code, err = refusal(monkeypatch, capsys, "help", "--all")
    assert code == 0
    assert err.startswith("cryptolake: left out: ")
    assert str(extra / "broken.py") in err
    assert refusal(monkeypatch, capsys, "--version") == (0, "")


def test_a_file_of_the_index_that_breaks_later_is_named(
    extra: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tmp_path / "commands.json"
    index.write_text('{"cryptolake.cli.hello": [{"name": "hello", "text": "Greet."}], "cryptolake.cli.help": []}')
    monkeypatch.setattr(found, "INDEX", index)
    (extra / "hello.py").write_text("raise OSError('unreadable')")
    code, err = refusal(monkeypatch, capsys, "hello")
    assert code == 1
    assert str(extra / "hello.py") in err
    assert err.count("\n") == 1


def test_a_name_that_is_taken_is_refused(
    extra: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (extra / "second_plan.py").write_text(HELLO.replace('"hello"', '"plan"'))
    code, err = refusal(monkeypatch, capsys, "help", "--all")
    assert code == 0
    assert "second_plan" in err
    assert "'plan' already" in err
    assert "Example: cryptolake plan" in " ".join(shown("plan", "--help").split())


def test_another_package_offers_a_command_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greeting_package.py").write_text(HELLO)
    info = tmp_path / "greeting_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: greeting-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cryptolake.commands]\ngreeting = greeting_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert shown("hello") == "hello\n"
    assert "Greet the team" in shown("--help")


def test_every_command_that_is_listed_can_be_called() -> None:
    group = typer.main.get_command(app)
    names = list(group.commands)  # type: ignore[attr-defined]
    assert len(names) == len(set(names))
    for name in names:
        assert group.commands[name].name == name  # type: ignore[attr-defined]
