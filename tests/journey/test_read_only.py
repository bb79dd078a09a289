"""Every command that declares that it only reads says the same in a data folder that cannot be written, and leaves it alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.command import CLEAN, cryptolake
from tests.waiting import PATIENCE_S
from tests.write_protected import picture, plain_rights, read_only_mount, rights_can_hold, write_protected

from cryptolake.cli.found import Commands, every
from cryptolake.cli.reading import declared

pytestmark = pytest.mark.xdist_group("demo")

DECLARED = sorted(name for name, command in every(Commands()).items() if declared(command))
# What a command needs to be asked something; where it would write a file, a place beside the data folder.
WORDS = {
    "contracts diff": ["{out}/contracts.json"],
    "contracts show": ["tvl"],
    "entities": ["sol"],
    "first-contact": ["--vendor", "none", "--to", "{out}/first-contact", "--chain", "ethereum"],
    "ledger export": ["--to", "{out}/checkpoints"],
    "markets show": ["aave_v3_ethereum"],
    "panel export": ["--format", "csv", "--out", "{out}/panel.csv"],
    "plan": ["--days", "3", "--csu", "aave_v3_ethereum"],
    "quality": ["--no-store", "--html", "{out}/quality.html"],
    "query": ["--coverage"],
    "rpc probe": ["--chain", "aave_sandbox_chain_of_nobody"],
    "scheduler": ["status"],
}
_RUN_ALL = """
import contextlib, io, json, sys
from cryptolake.cli import main
told = []
for words in json.load(sys.stdin):
    sys.argv, out = ["cryptolake", *words], io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            main()
        code = 0
    except SystemExit as end:
        code = end.code
    told.append([words, code, out.getvalue()])
print(json.dumps(told))
"""


def _calls(data: Path, out: Path) -> list[list[str]]:
    calls = []
    for name in DECLARED:
        words = [word.format(out=out) for word in WORDS.get(name, [])]
        calls.append(["--data", str(data), *name.split(), *words])
    return calls


def _said(
    calls: list[list[str]], folder: Path, *, before: Sequence[str] = (), rights: Callable[[], None] | None = None
) -> list[tuple[str, int, str]]:
    """What every command said, all in one process: command, exit code, standard output without what the clock changes."""
    run = subprocess.run(
        [*before, sys.executable, "-c", _RUN_ALL],
        cwd=folder,
        env={**CLEAN, "CRYPTOLAKE_PUBLIC_RPC": "0"},
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        preexec_fn=rights,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    return [(" ".join(words[2:]), code, _without_clock(words, said)) for words, code, said in told]


def _without_clock(words: list[str], said: str) -> str:
    # Ages in seconds, the bytes of a server at work, and when the next slots are.
    clocks = (["coins", "check"], ["db", "status"], ["scheduler", "status"])
    return re.sub(r"[\d.,]+ *", "#", said) if words[2:4] in clocks else said


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A place beside the data folder that may be written."""
    place = tmp_path / "out"
    place.mkdir()
    promises = cryptolake(tmp_path, "contracts", "show", "tvl", "--json")
    (place / "contracts.json").write_text(promises.stdout)
    return place


@pytest.mark.parametrize("kind", ["rights", "mount"])
def test_commands_that_only_read_need_no_right_to_write(
    demo: tuple[Path, object], tmp_path: Path, out: Path, kind: str
) -> None:
    data = demo[0] / "sandbox"
    mounted = read_only_mount(data) if kind == "mount" else None
    if (kind == "mount" and mounted is None) or (kind == "rights" and not rights_can_hold()):
        pytest.skip("this machine does not let a test take away the right to write in this way")
    calls = _calls(data, out)
    allowed = _said(calls, tmp_path)
    shutil.rmtree(out / "first-contact")  # a report wants a new folder
    before = picture(data)

    if mounted is not None:
        protected = _said(calls, tmp_path, before=mounted)
    else:
        with write_protected(data):
            protected = _said(calls, tmp_path, rights=plain_rights())

    assert protected == allowed
    assert picture(data) == before


@pytest.mark.skipif(not rights_can_hold(), reason="file permissions cannot be made to hold for a child process here")
def test_what_writes_refuses_at_once_with_the_remedy(demo: tuple[Path, object], tmp_path: Path) -> None:
    data = demo[0] / "sandbox"
    calls = [["--data", str(data), *words] for words in (["setup"], ["collect", "--days", "1"], ["scheduler"])]
    with write_protected(data):
        told = _said(calls, tmp_path, rights=plain_rights())
    assert [code for _, code, _ in told] == [1, 1, 1]


def test_every_word_list_is_of_a_command_that_only_reads() -> None:
    assert sorted(WORDS.keys() - set(DECLARED)) == []
