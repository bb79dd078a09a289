"""A file that lies where files are found is found, helps one that is, or is named with what is wrong: in every such package."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from tests.architecture.house import House
from tests.docs.examples import DOCS

from cryptolake.alerts.found import find_ways
from cryptolake.catalogue import found_tables
from cryptolake.cli.found import Commands
from cryptolake.errors import CryptolakeError
from cryptolake.research.formats import format_named, format_names
from cryptolake.sources.found import find_sources
from cryptolake.sources.onchain.families import declared

PACKAGE = DOCS.parent / "src" / "cryptolake"


def raised(find: Callable[[], object]) -> str:
    """What is said of files by a finder that raises."""
    try:
        find()
    except CryptolakeError as error:
        return str(error)
    return ""


def listed(refused: dict[str, str]) -> str:
    """What is said of files by a finder that goes on without them."""
    return "; ".join(f"{file}: {fault}" for file, fault in refused.items())


# Every package that is filled by dropping files in, with what its finder says of faulty ones: nothing when all are sound.
ROOMS: dict[str, Callable[[], str]] = {
    "silver": lambda: raised(found_tables),
    "gold": lambda: raised(found_tables),
    "quality": lambda: raised(found_tables),
    "sources": lambda: listed(find_sources().refused),
    "sources.onchain": lambda: raised(declared),
    "alerts": lambda: listed(find_ways().refused),
    "cli": lambda: listed(Commands().dropped.refused),
    "research.exports": lambda: raised(lambda: [format_named(one) for one in format_names()]),
}
# A file that somebody meant to be found, by what is wrong with it: its path in the package and its text.
FAULTY = {
    "no Python": ("odd.py", "def ("),
    "raises": ("odd.py", "raise RuntimeError('two\\nlines')"),
    "ends the process": ("odd.py", "import sys; sys.exit(3)"),
    "imports nothing there": ("odd.py", "import nothing_of_that_name"),
    "offers nothing": ("odd.py", "X = 1"),
    "is empty": ("odd.py", ""),
    "imports itself": ("odd.py", "import cryptolake.{room}.odd"),
    "misspells everything": ("odd.py", "TABEL = SETINGS = SUFIX = ANCHOR = open_sources = addcommands = print"),
    "a space": ("odd name.py", "X = 1"),
    "a digit first": ("9odd.py", "X = 1"),
    "a dot": ("odd.name.py", "X = 1"),
    "capitals": ("odd.PY", "X = 1"),
    "no package": ("odd/source.py", "X = 1"),
    "a package with a space": ("odd name/__init__.py", "X = 1"),
}
# What may lie there without offering anything.
SOUND = {
    "an underscore": {"_odd.py": "X = 1"},
    "imported by name": {
        "odd.py": "X = 1",
        "_other.py": "def late():\n    from cryptolake.{room} import (\n        odd,\n    )",
    },
    "imported from": {"odd.py": "X = 1", "_other.py": "from cryptolake.{room}.odd import X"},
    "imported beside": {"odd.py": "X = 1", "_other.py": "from .odd import X"},
    "imported plainly": {"odd.py": "X = 1", "_other.py": "import cryptolake.{room}.odd as odd"},
    "no Python file": {"odd.txt": "X", ".odd.py": "X", "odd/notes.txt": "X"},
}
# An export is asked for by its name, and every file of that package is one.
EXPORTS = [name for name in SOUND if name == "no Python file"]


@dataclass
class Room:
    """A package with a folder of the test's own."""

    package: ModuleType
    folder: Path

    def put(self, file: str, text: str) -> None:
        """Drop a file in."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{room}", self.package.__name__.partition(".")[2]))


@pytest.fixture
def room(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    package = import_module(f"cryptolake.{request.param}")
    folder = tmp_path / "dropped"
    folder.mkdir()
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    before = set(sys.modules)
    yield Room(package, folder)
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(folder):
            del sys.modules[name]
            vars(package).pop(name.rpartition(".")[2], None)


@pytest.mark.parametrize("name", ROOMS)
def test_what_is_shipped_is_sound(name: str) -> None:
    assert ROOMS[name]() == ""


@pytest.mark.parametrize("fault", FAULTY)
@pytest.mark.parametrize("room", ROOMS, indirect=True)
def test_a_file_that_would_be_left_out_in_silence_is_named(room: Room, fault: str) -> None:
    file, text = FAULTY[fault]
    room.put(file, text)
    name = room.package.__name__.partition(".")[2]
    said = ROOMS[name]()
    assert "odd" in said
    assert "\n" not in said
    assert f"{room.package.__name__}.odd" in said or str(room.folder) in said


@pytest.mark.parametrize(
    ("room", "sound"),
    [(room, one) for room in ROOMS for one in (EXPORTS if room == "research.exports" else SOUND)],
    indirect=["room"],
)
def test_a_file_that_helps_others_is_let_be(room: Room, sound: str) -> None:
    for file, text in SOUND[sound].items():
        room.put(file, text)
    assert ROOMS[room.package.__name__.partition(".")[2]]() == ""


def test_every_package_that_is_filled_by_files_goes_this_way() -> None:
    """Whoever lists the modules of a package himself would leave files out in silence."""
    found = [path for path in PACKAGE.rglob("*.py") if re.search(r"\biter_modules\b", path.read_text())]
    assert found == [PACKAGE / "files" / "presence.py"]


@pytest.mark.parametrize(
    ("place", "text", "command"),
    [
        ("sources.onchain/odd.py", "def (", ("markets",)),
        ("sources.onchain/odd.py", "PRIMARY_ENTRY, ANCHORS = None, 5", ("markets",)),
        ("gold/odd.py", "def (", ("contracts", "show", "tvl")),
        ("sources/odd.py", "X = 1", ("sources",)),
        ("alerts/odd.py", "def (", ("scheduler",)),
    ],
)
def test_a_command_that_needs_the_file_says_so_in_one_line(
    tmp_path: Path, place: str, text: str, command: tuple[str, ...]
) -> None:
    house = House(tmp_path)
    rooms = sorted({"alerts", place.partition("/")[0]})
    lengthen = "import importlib, pathlib\n" + "".join(
        f"importlib.import_module('cryptolake.{one}').__path__.append(str(pathlib.Path(__file__).parent / {one!r}))\n"
        for one in rooms
    )
    house.add("sitecustomize.py", lengthen)
    house.add(place, text)
    done = house.python("from cryptolake.cli import main; main()", *command)
    assert done.returncode in {1, 2}, done.stdout + done.stderr
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("cryptolake: ")]
    assert f"cryptolake.{place.removesuffix('.py').replace('/', '.')}" in line
    assert "Traceback" not in done.stderr
