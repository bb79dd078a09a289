"""A release that is not one is refused, with everything that is wrong."""

from __future__ import annotations

import runpy
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository of its own with the release script, one committed module and no fragment."""
    for name in ("scripts", "changelog", "src/cryptolake"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "scripts/check_release.py").write_bytes((ROOT / "scripts/check_release.py").read_bytes())
    (tmp_path / "changelog/README.md").write_text("how")
    (tmp_path / "src/cryptolake/__init__.py").write_text("")
    (tmp_path / ".gitignore").write_text("dist/\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "first")
    return tmp_path


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def faults(folder: Path, when: str) -> list[str]:
    script = runpy.run_path(str(folder / "scripts/check_release.py"))
    found: list[str] = script["before"]() if when == "before" else script["after"](folder / "dist")
    return found


def wheel(folder: Path, version: str, *names: str) -> None:
    (folder / "dist").mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"dist/cryptolake-{version}-py3-none-any.whl", "w") as archive:
        for name in names:
            archive.writestr(name, "")


def test_a_tagged_clean_commit_without_fragments_is_a_release(repository: Path) -> None:
    git(repository, "tag", "v1.2.3")
    assert faults(repository, "before") == []
    wheel(repository, "1.2.3", "cryptolake/__init__.py", "cryptolake-1.2.3.dist-info/METADATA")
    assert faults(repository, "after") == []


def test_everything_that_is_missing_is_named(repository: Path) -> None:
    (repository / "changelog/new.adds.md").write_text("new")
    words = " ".join(faults(repository, "before"))
    assert all(word in words for word in ("commit them", "no tag", "new.adds.md"))


def test_a_wheel_of_another_version_or_content_is_named(repository: Path) -> None:
    git(repository, "tag", "v1.2.3")
    wheel(repository, "1.2.2", "cryptolake/secret.py")
    words = " ".join(faults(repository, "after"))
    assert "the wheel says 1.2.2, the tag v1.2.3" in words
    assert "lacks cryptolake/__init__.py" in words
    assert "holds cryptolake/secret.py" in words
