"""The rooms that the import contracts fence are the rooms that exist, and the page of rooms lists the same ones."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "cryptolake"


def _contracts() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return parser


def _layers() -> list[list[str]]:
    text = _contracts()["importlinter:contract:layers"]["layers"]
    return [[one.strip() for one in line.split("|")] for line in text.split("\n") if line.strip()]


def test_the_rooms_page_lists_the_layers_in_their_order() -> None:
    page = (ROOT / "docs" / "trip.md").read_text()
    table = page[page.index("| room | holds |") :].split("\n")[2:]
    rows = [re.findall(r"`(\w+)`", line.split("|")[1]) for line in table if line.startswith("|")]
    assert [sorted(row) for row in rows] == [sorted(layer) for layer in _layers()]


def test_every_room_says_what_belongs_in_it_and_what_does_not() -> None:
    for room in sorted({one for layer in _layers() for one in layer}):
        path = PACKAGE / room / "__init__.py"
        text = (path if path.exists() else PACKAGE / f"{room}.py").read_text()
        assert text.startswith('"""'), room


def test_no_contract_lists_who_may_not_import_an_engine() -> None:
    parser = _contracts()
    forbidden = [name for name in parser.sections() if parser[name].get("type") == "forbidden"]
    # These two are about what pure and mechanical rooms may reach, not about who may use an engine.
    assert sorted(forbidden) == ["importlinter:contract:mechanics", "importlinter:contract:pure"]
