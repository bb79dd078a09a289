"""What a change costs and how the code is cut: files for each kind of change, rooms, circles, lines, before and now.

Before is commit db9889a, read from the repository's history; files a change took then were counted by hand when it was
examined. What a change takes now is what `tests/architecture` adds, file by file, and finds everywhere.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import grimp
from tests.architecture.test_circles import circles

from benchmarks.report import write_table

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "db9889a"
# Kind of change, what it took at that commit, what it takes now.
CHANGES = [
    ("vendor with a key", "3", "1"),
    ("vendor with a table of its own", "9", "1"),
    ("price vendor", "6", "1"),
    ("gold or silver table", "3 to 4", "1"),
    ("family", "5", "1"),
    ("market", "1 row and ten red tests", "1 row"),
]
# Read from the last line of a whole run of pytest on two cores; the run of today had some other tests beside it.
SUITE = [
    ("tests of the fast suite", "2,761", "9,376"),
    ("its time on two cores", "12 min", "21.4 min (aim 15: missed)"),
]


@dataclass(frozen=True, slots=True)
class Cut:
    """How a checkout's package is cut."""

    rooms: int
    modules: int
    circular: int
    median: int
    longest: int
    flow: int
    cli: int


def main() -> None:
    """Measure and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", BEFORE, "src"], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        before, now = cut(Path(folder)), cut(ROOT)
    rows: list[tuple[object, ...]] = [(f"files for a {what}", then, today) for what, then, today in CHANGES]
    rows += [
        ("rooms (packages and modules of the top)", before.rooms, now.rooms),
        ("modules", before.modules, now.modules),
        ("modules in or above an import circle", before.circular, now.circular),
        ("median lines of a module", before.median, now.median),
        ("longest module", before.longest, now.longest),
        ("lines of `flow/`", f"{before.flow:,}", f"{now.flow:,}"),
        ("lines of `cli/`", f"{before.cli:,}", f"{now.cli:,}"),
        *SUITE,
    ]
    method = (
        f"Before: commit {BEFORE}. Files of a change: counted by hand then, the files that `tests/architecture` adds now. "
        "Rooms, circles and lines: from the sources of both, lines with blank ones and comments, imports by grimp. "
        "The suite: the last line of a whole run."
    )
    write_table("changes", method, ("what", "before", "now"), rows)


def cut(checkout: Path) -> Cut:
    """Count the package of a checkout."""
    package = checkout / "src" / "cryptolake"
    lines = {path.relative_to(package): len(path.read_text().splitlines()) for path in package.rglob("*.py")}
    code = [count for path, count in lines.items() if path.name != "__init__.py"]
    rooms = {path.parts[0] for path in lines} - {"__init__.py", "__main__.py"}
    graph = _graph(package.parent)
    found = circles(graph)
    return Cut(
        rooms=len(rooms),
        modules=len(lines),
        circular=sum(map(len, found)),
        median=int(statistics.median(code)),
        longest=max(code),
        flow=sum(count for path, count in lines.items() if path.parts[0] == "flow"),
        cli=sum(count for path, count in lines.items() if path.parts[0] == "cli"),
    )


def _graph(source: Path) -> dict[str, set[str]]:
    """Which module imports which, in the package that lies there; nothing of it is run."""
    kept = sys.path[:]
    loaded = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "cryptolake"}
    sys.path.insert(0, str(source))
    try:
        graph = grimp.build_graph("cryptolake", cache_dir=None)
    finally:
        sys.path[:] = kept
        sys.modules.update(loaded)
    return {one: graph.find_modules_directly_imported_by(one) for one in graph.modules}
