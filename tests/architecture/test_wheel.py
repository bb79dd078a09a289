"""The wheel, built from the checkout and installed where only its declared dependencies are, works as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.command import CLEAN
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).parent / "uv"


def run(*command: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in CLEAN.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(
        [str(one) for one in command],
        cwd=cwd,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def closure(lines: list[str] | None, extras: set[str] | None = None) -> dict[str, metadata.Distribution]:
    """What these requirements need, here and in turn, by normalised name; of extras only those that a requirement names."""
    found: dict[str, metadata.Distribution] = {}
    for line in lines or ():
        one = Requirement(line)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *(extras or ()))):
            distribution = metadata.distribution(one.name)
            found[canonicalize_name(one.name)] = distribution
            found |= closure(distribution.requires, one.extras)
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [UV, "build", "--wheel", "--no-build-isolation", "--offline", "--python", sys.executable, "-o", folder]
    done = run(*command, ROOT, cwd=folder)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `cryptolake` of an environment with the wheel and, linked from here, exactly what it declares to need."""
    folder = tmp_path_factory.mktemp("empty")
    assert run(UV, "venv", "--offline", "--python", sys.executable, folder / "venv", cwd=folder).returncode == 0
    python = folder / "venv" / "bin" / "python"
    install = run(UV, "pip", "install", "--offline", "--no-deps", "--python", python, wheel, cwd=folder)
    assert install.returncode == 0, install.stderr
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (own,) = metadata.distributions(name="cryptolake", path=[str(site)])
    found = closure(own.requires)
    for distribution in found.values():
        for top in {Path(file).parts[0] for file in distribution.files or () if Path(file).parts[0] != ".."}:
            target = Path(str(distribution.locate_file(top)))
            if top != "__pycache__" and not (site / top).exists():
                os.symlink(target, site / top)
    return folder / "venv" / "bin" / "cryptolake"


def test_everything_that_is_read_at_run_time_is_in_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src" / "cryptolake"
    expected = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"cryptolake/py.typed", "cryptolake/registry/data/chains.yaml"} <= expected
    assert expected <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "docs/"))]


def test_its_version_is_the_checkouts(wheel: Path, installed: Path) -> None:
    done = run(installed, "--version", cwd=installed.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"cryptolake {wheel.name.split('-')[1]}"


def test_it_imports_nothing_from_here_and_no_extra(installed: Path) -> None:
    script = (
        "import importlib.util as u, cryptolake, cryptolake.cli;"
        "print(cryptolake.__file__); print([n for n in ('dagster', 'pandas', 'distributed', 'ccxt') if u.find_spec(n)])"
    )
    done = run(installed.with_name("python"), "-I", "-c", script, cwd=installed.parent)
    assert done.returncode == 0, done.stderr
    file, extras = done.stdout.splitlines()
    assert Path(file).is_relative_to(installed.parents[1])
    assert extras == "[]"


def test_it_lists_markets_and_sources_and_collects_the_sandbox(installed: Path, tmp_path: Path) -> None:
    data = {"CRYPTOLAKE_DATA": str(tmp_path / "data")}
    for words in (["--help"], ["markets"], ["sources"]):
        done = run(installed, *words, cwd=tmp_path, **data)
        assert done.returncode == 0, done.stderr
    script = (
        "from cryptolake.demo.replay import Replay, sandbox_registry\n"
        "import json, subprocess, sys, os\n"
        "with Replay() as replay:\n"
        "    os.environ |= {'CRYPTOLAKE_RPC_SANDBOX': replay.rpc_url, 'CRYPTOLAKE_REGISTRY': str(sandbox_registry())}\n"
        "    sys.exit(subprocess.run(sys.argv[1:]).returncode)\n"
    )
    collect = [
        "collect",
        "--csu",
        "aave_v3_sandbox",
        "--start-date",
        "2024-12-01",
        "--end-date",
        "2024-12-02",
        "--json",
    ]
    done = run(installed.with_name("python"), "-I", "-c", script, installed, *collect, cwd=tmp_path, **data)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done"] > 0


def test_a_source_archive_carries_its_version(wheel: Path, tmp_path: Path) -> None:
    archive = run(UV, "build", "--sdist", "--no-build-isolation", "--offline", "--python", sys.executable, "-o", tmp_path,
                  ROOT, cwd=tmp_path)  # fmt: skip
    assert archive.returncode == 0, archive.stderr
    (packed,) = tmp_path.glob("*.tar.gz")
    shutil.unpack_archive(packed, tmp_path / "unpacked")
    (source,) = (tmp_path / "unpacked").iterdir()
    again = run(UV, "build", "--wheel", "--no-build-isolation", "--offline", "--python", sys.executable, "-o",
                tmp_path / "again", source, cwd=tmp_path)  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert [one.name for one in (tmp_path / "again").glob("*.whl")] == [wheel.name]
