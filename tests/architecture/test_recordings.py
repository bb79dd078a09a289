"""Everything that tests read lies in the repository, and every recording says whose it is."""

from __future__ import annotations

import re
from pathlib import Path

from tests.recorded import FOLDER

ROOT = Path(__file__).resolve().parents[2]
PERMISSIVE = ("MIT", "permissive, see the notice")


def test_every_recording_is_listed_with_source_commit_and_licence() -> None:
    lines = [line for line in (FOLDER / "README.md").read_text().splitlines() if line.startswith("| `")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    files = {str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.gz")}
    assert {row[0].strip("`") for row in rows} == files
    notices = (FOLDER / "LICENSES.md").read_text()
    owner = ""
    for row in rows:
        named = re.match(r"`([\w-]+/[\w-]+)` [0-9a-f]{40} `", row[3])
        owner = named[1] if named else owner
        assert named or row[3].startswith("the same"), row[0]
        assert f"`{owner}`" in notices, row[0]
        assert row[4] in PERMISSIVE, row[0]


def test_nothing_is_read_from_beside_the_repository() -> None:
    outside = re.compile(r"parents\[2\]\s*/\s*\"\.\.\"|parents\[[3-9]\]|\.\./\.\./\.\./shared")
    for folder in ("src", "tests", "scripts", "benchmarks", "examples"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path != Path(__file__).resolve():
                assert not outside.search(path.read_text()), path


def test_no_test_is_skipped_for_want_of_a_file() -> None:
    skipped = re.compile(r"skipif\([^)]*is_(?:dir|file)\(|skipif\([^)]*exists\(")
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path != Path(__file__).resolve():
            assert not skipped.search(path.read_text()), path
