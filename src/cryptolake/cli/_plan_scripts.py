"""The scripts that the research plan names, each as a command line of its own: their flags, turned into our commands.

What does not belong here: doing anything. Every function ends the process with the exit code of what it ran.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date

from cryptolake.cli import main

_SPAN = ("--start-date", "--end-date")


def _parser(doc: str, *flags: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--data", help="data folder")
    parser.add_argument("--registry", help="YAML file that adds markets and chains")
    known: dict[str, dict[str, object]] = {
        "--csu": {"action": "append", "help": "market, repeatable; 'all' for every market"},
        "--chain": {"action": "append", "help": "all markets of a chain"},
        "--set": {"action": "append", "help": "a named set of markets, repeatable"},
        "--date": {"type": date.fromisoformat, "help": "the day, as 2024-12-31"},
        "--start-date": {"type": date.fromisoformat, "help": "first day, as 2024-12-01"},
        "--end-date": {"type": date.fromisoformat, "help": "last day, included"},
        "--workers": {"type": int, "help": "parallel conversations"},
    }
    for flag in flags:
        parser.add_argument(flag, **known[flag])  # type: ignore[arg-type]
    return parser


def _words(given: argparse.Namespace, *names: str) -> list[str]:
    """The flags that were given, as our commands take them."""
    words = []
    for name in names:
        value = getattr(given, name.replace("-", "_"), None)
        for one in value if isinstance(value, list) else [value]:
            words += [] if one is None else [f"--{name}", str(one)]
    return words


def _run(given: argparse.Namespace, *steps: Sequence[str]) -> None:
    """Run our commands one after the other; ends with the first exit code that is not 0."""
    for step in steps:
        sys.argv = ["cryptolake", *_words(given, "data", "registry"), *step]
        try:
            main()
        except SystemExit as ended:
            if ended.code:
                raise
    sys.exit(0)


def collect_single_day() -> None:
    """One market, one day."""
    parser = _parser("Collect one market for one day.", "--csu", "--date", "--workers")
    parser.add_argument("--include-tvl", action="store_true", help="snapshots (both when neither is named)")
    parser.add_argument("--include-liquidations", action="store_true", help="events (both when neither is named)")
    given = parser.parse_args()
    if given.date is None:
        parser.error("--date is needed, as 2024-12-31")
    datasets = [name for name in ("tvl", "liquidations") if getattr(given, f"include_{name}")]
    chosen = [word for name in datasets for word in ("--dataset", name)]
    days = ["--start-date", str(given.date), "--end-date", str(given.date)]
    _run(given, ["collect", *_words(given, "csu", "workers"), *days, *chosen])


def collect_month() -> None:
    """One market, any days; without dates the settings' span."""
    given = _parser("Collect one market for a month.", "--csu", "--start-date", "--end-date", "--workers").parse_args()
    _run(given, ["collect", *_words(given, "csu", "start-date", "end-date", "workers")])


def collect_all_csus() -> None:
    """The 43 markets of the plan unless others are named. Resumes by default; `--no-resume` asks everything again."""
    parser = _parser(
        "Collect the 43 markets of the plan.", "--csu", "--set", "--chain", "--start-date", "--end-date", "--workers"
    )
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True, help="skip what is done")
    parser.add_argument("--retry-failed", action="store_true", help="only what failed before")
    given = parser.parse_args()
    chosen = _words(given, "csu", "set", "chain") or ["--set", "thesis-43"]
    more = ["--resume" if given.resume else "--no-resume", *(["--retry-failed"] if given.retry_failed else [])]
    _run(given, ["collect", *chosen, *_words(given, "start-date", "end-date", "workers"), *more])


def build_block_cache() -> None:
    """Day boundaries of all chains that have an endpoint, or of the named ones, into block_cache.json."""
    given = _parser("Find the first and last block of every day.", "--chain", "--start-date", "--end-date").parse_args()
    _run(given, ["blocks", "build", *_words(given, "chain", "start-date", "end-date")])


def monitor_progress() -> None:
    """What is done, what failed, how long still."""
    parser = _parser("Show progress.", "--csu", "--set", "--chain", "--start-date", "--end-date")
    for flag in ("--watch", "--serve", "--json"):
        parser.add_argument(flag, action="store_true", help="see cryptolake monitor --help")
    given = parser.parse_args()
    more = [f"--{name}" for name in ("watch", "serve", "json") if getattr(given, name)]
    _run(given, ["monitor", *_words(given, "csu", "set", "chain", "start-date", "end-date"), *more])


def process_silver() -> None:
    """Bronze to silver; all markets unless some are named."""
    given = _parser("Bronze to silver.", "--csu", "--set", "--chain", "--start-date", "--end-date").parse_args()
    chosen = _words(given, "csu", "set", "chain") or ["--csu", "all"]
    _run(given, ["refine", *chosen, *_words(given, "start-date", "end-date")])


def aggregate_gold() -> None:
    """Silver to gold: the daily panel, and its files."""
    given = _parser("Silver to gold.").parse_args()
    _run(given, ["build"], ["publish"])


def test_pipeline() -> None:
    """One market end to end, with its proof; the settings' test market and yesterday unless named."""
    parser = _parser("Run one market end to end and verify it.", "--csu", "--start-date", "--end-date", "--workers")
    given = parser.parse_args()
    days = _words(given, "start-date", "end-date") or ["--days", "1"]
    chosen = [*_words(given, "csu"), *days]
    _run(given, ["run", *chosen, *_words(given, "workers")], ["verify", *chosen], ["monitor", *_words(given, "csu")])


def test_rpc_pool() -> None:
    """What every configured endpoint can do."""
    given = _parser("Ask every endpoint what it can do.", "--chain").parse_args()
    _run(given, ["rpc", "probe", *_words(given, "chain")])
