"""What it costs to start: CPU seconds and memory of a call, beside Python itself and other command lines on this machine."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import which

from benchmarks.report import write_table

RUNS = 7
AIM = "0.35"
# Commit db9889a, before commands were found by presence, on a machine of the same kind.
BEFORE = {"--version": "3.1, 197 MB", "first word, bash": "2.4 (wall)"}
BASH = {"_CRYPTOLAKE_COMPLETE": "complete_bash", "COMP_WORDS": "cryptolake pl", "COMP_CWORD": "1"}
ZSH = {"_CRYPTOLAKE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "cryptolake pl"}
FISH = {
    "_CRYPTOLAKE_COMPLETE": "complete_fish",
    "_TYPER_COMPLETE_ARGS": "cryptolake pl",
    "_TYPER_COMPLETE_FISH_ACTION": "get-args",
}
NAMES = {**BASH, "COMP_WORDS": "cryptolake plan --csu aave_v3_eth", "COMP_CWORD": "3"}
OPTIONS = {**BASH, "COMP_WORDS": "cryptolake plan --gran", "COMP_CWORD": "2"}


def main() -> None:
    """Measure and write the table."""
    ours = [str(Path(sys.executable).with_name("cryptolake"))]
    calls: list[tuple[str, Sequence[str], Mapping[str, str], str]] = [
        ("`python -c pass`", [sys.executable, "-c", "pass"], {}, ""),
        ("--version", [*ours, "--version"], {}, AIM),
        ("--help", [*ours, "--help"], {}, AIM),
        ("help --all", [*ours, "help", "--all"], {}, AIM),
        ("plan --help", [*ours, "plan", "--help"], {}, AIM),
        ("first word, bash", ours, BASH, AIM),
        ("first word, zsh", ours, ZSH, AIM),
        ("first word, fish", ours, FISH, AIM),
        ("an option, bash", ours, OPTIONS, AIM),
        ("a market's name, bash", ours, NAMES, AIM),
        ("markets", [*ours, "markets"], {}, ""),
        ("contracts show daily_panel", [*ours, "contracts", "show", "daily_panel"], {}, ""),
        ("plan --days 30", [*ours, "plan", "--days", "30"], {}, ""),
        ("query --help", [*ours, "query", "--help"], {}, AIM),
    ]
    programs = {peer: which(peer, path=Path(sys.executable).parent) for peer in ("dagster", "dask", "twine", "mkdocs")}
    calls += [(f"peer: {peer} --version", [path, "--version"], {}, "") for peer, path in programs.items() if path]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, command, variables, aim in calls:
            seconds, memory = zip(*(measured(command, variables, folder) for _ in range(RUNS + 1)), strict=True)
            typical = statistics.median(seconds[1:])  # the first one writes byte code and warms the disk
            rows.append(
                (name, f"{typical:.2f}", f"{max(seconds[1:]):.2f}", f"{max(memory):.0f}", aim, BEFORE.get(name, ""))
            )
    write_table(
        "startup",
        f"CPU seconds (user and system) and peak memory of the process and its children, as the system accounts them "
        f"(`wait4`); {RUNS} runs each after one that is not counted, median and worst. Load average before: "
        f"{os.getloadavg()[0]:.0f}. Before: commit db9889a.",
        ("call", "CPU s", "worst", "peak MB", "aim CPU s", "before"),
        rows,
    )


def measured(command: Sequence[str], variables: Mapping[str, str], folder: str) -> tuple[float, float]:
    """CPU seconds and peak MB of one call."""
    child = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, command
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    main()
