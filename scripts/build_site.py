"""Builds the documentation site strictly into build/site. `make docs` and `make lint` run it; a broken link is an error.

The pages lie where a reader of the repository finds them; the site needs them in one folder. They are copied there, the
README as its first page, and links that leave docs/ are turned: to the copy where there is one, else to the code's page.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from pathlib import Path

from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "build" / "docs"
# Pages outside docs/ and their place in the site.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "benchmarks/README.md": "benchmarks.md",
}


def gather() -> None:
    """Copy every page into `PAGES` with its links turned. Raises ValueError for a link to nothing."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for path in sorted((ROOT / "docs").rglob("*")):
        place = PAGES / path.relative_to(ROOT / "docs")
        if path.is_dir():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            place.write_text(_turned(path, place), encoding="utf-8")
        elif path.suffix != ".yaml":
            shutil.copyfile(path, place)
    for name, place in OUTSIDE.items():
        (PAGES / place).write_text(_turned(ROOT / name, PAGES / place), encoding="utf-8")
    decisions = [(path, path.read_text(encoding="utf-8")) for path in sorted((ROOT / "docs/decisions").glob("*.md"))]
    listed = [f"- [{text.splitlines()[0].lstrip('# ')}]({path.name})" for path, text in decisions]
    (PAGES / "decisions" / "index.md").write_text("\n".join(["# Decisions", "", *listed, ""]), encoding="utf-8")


def _turned(path: Path, place: Path) -> str:
    """The page's text with every link turned to where its target is in the site."""

    def turn(link: re.Match[str]) -> str:
        picture, words, target, anchor = link.groups(default="")
        found = (path.parent / target).resolve()
        if not found.exists():
            raise ValueError(f"{path.relative_to(ROOT)} links to {target}, which is not there")
        inside = found.relative_to(ROOT).as_posix()
        if inside in OUTSIDE:
            goal = PAGES / OUTSIDE[inside]
        elif inside == "docs/decisions":
            goal = PAGES / "decisions" / "index.md"
        elif inside.startswith("docs/") and found.suffix != ".yaml":
            goal = PAGES / found.relative_to(ROOT / "docs")
        else:  # code is no page of the site: its path stands instead of the link
            return words if words == f"`{inside}`" else f"{words} (`{inside}`)"
        return f"{picture}[{words}]({Path(os.path.relpath(goal, place.parent)).as_posix()}{anchor})"

    text = path.read_text(encoding="utf-8")
    return re.sub(r"(!?)\[([^\]]+)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)]*)?\)", turn, text)


def main() -> int:
    """Gather and build; 1 when anything is wrong."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        gather()
        build(load_config(str(ROOT / "mkdocs.yml"), strict=True))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except Abort as stopped:
        sys.stderr.write(f"{stopped}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
