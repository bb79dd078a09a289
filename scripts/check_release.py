"""Refuses a release that is not one: `before` the build (tag, clean tree, no fragments), `after` it (wheel contents).

`make release` runs both. Everything wrong is listed at once; exit 1 when there is anything.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "cryptolake"
_NO_FRAGMENTS = {"README.md", "template.md"}


def before() -> list[str]:
    """What keeps this commit from being released."""
    faults = []
    if _git("status", "--porcelain"):
        faults.append("the tree has changes; commit them")
    if not _tag():
        faults.append("this commit has no tag v<version>; see docs/release.md")
    left = sorted(path.name for path in (ROOT / "changelog").iterdir() if path.name not in _NO_FRAGMENTS)
    if left:
        faults.append(f"fragments are left: {', '.join(left)}; run towncrier build")
    return faults


def after(dist: Path) -> list[str]:
    """What is wrong with the built wheel: its version, a file of the package it lacks, or one that is not ours."""
    wheels = sorted(dist.glob("*.whl"))
    if len(wheels) != 1:
        return [f"{dist} holds {len(wheels)} wheels instead of one"]
    faults = []
    version = wheels[0].name.split("-")[1]
    if _tag() != f"v{version}":
        faults.append(f"the wheel says {version}, the tag {_tag() or 'nothing'}")
    return faults + contents(wheels[0])


def contents(wheel: Path) -> list[str]:
    """Files of the package that the wheel lacks, and files it holds that are not committed in the package."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {f"cryptolake/{name}" for name in _git("ls-files", "--", ".", cwd=PACKAGE).splitlines()}
    generated = {"cryptolake/_version.py"}
    lacking = [f"the wheel lacks {name}" for name in sorted(wanted - held)]
    return lacking + [f"the wheel holds {name}, which is not committed" for name in sorted(held - wanted - generated)]


def _tag() -> str:
    found = _git("tag", "--points-at", "HEAD", "--list", "v*").splitlines()
    return found[-1] if found else ""


def _git(*words: str, cwd: Path = ROOT) -> str:
    return subprocess.run(["git", *words], cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    found = before() if sys.argv[1:] == ["before"] else after(ROOT / "dist")
    for fault in found:
        sys.stderr.write(f"{fault}\n")
    sys.exit(bool(found))
