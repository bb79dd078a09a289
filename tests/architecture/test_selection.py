"""Every command that is about markets or their days takes the one selection, and reads it: the next one cannot forget it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cryptolake.cli import app
from cryptolake.cli.found import Commands, every
from cryptolake.errors import BadInput

# Commands that no selection means anything to, each with why. One that touches markets or their days does not belong here.
NO_MARKET = {
    "adopt": "its folder says which markets and days",
    "backfill": "a vendor's own entities, chosen by --dataset and --key",
    "coins check": "coins, not lending markets",
    "coins history": "coins, not lending markets",
    "coins prune": "kept runs of coins",
    "coins refresh": "coins, not lending markets",
    "coins replay": "kept runs of coins",
    "coins runs": "kept runs of coins",
    "contracts diff": "what tables promise, whatever is in them",
    "contracts show": "what tables promise, whatever is in them",
    "db status": "the embedded server, whatever is in it",
    "db stop": "the embedded server, whatever is in it",
    "db url": "the embedded server, whatever is in it",
    "demo": "plays its own invented market, and that one alone",
    "entities": "the vendors' entities",
    "exchanges candles": "trading pairs, chosen by --exchange and --symbol",
    "exchanges tickers": "trading pairs, chosen by --exchange and --symbol",
    "explain": "its arguments are one market and one day",
    "help": "text",
    "ledger repair": "makes the one record agree with all of bronze, vendors' answers included",
    "markets sets": "lists the sets themselves",
    "markets show": "its argument is one market",
    "new": "writes source files",
    "prices import": "its file says which tokens and days",
    "pull": "a vendor's own entities, chosen by --dataset and --key",
    "query": "vendors' series by flags, anything else by the condition in the SQL",
    "release archive": "the answers of one release, which its folder names",
    "release diff": "two releases, whatever is in them",
    "release rebuild": "its folder says which markets and days",
    "rpc clear": "endpoints of a chain, whatever markets it has",
    "setup": "makes tables, empty ones",
    "sources": "vendors and what they can be asked",
    "truth check": "published totals, which name markets and days",
    "truth plan": "published totals, which name markets and days",
    "verify show": "its argument is one market's day",
    "why": "its arguments are one market and one day",
}
# Commands about markets to which a first and last day mean nothing, each with why.
NO_DAYS = {
    "daily": "what is due since the last time, up to --end-date",
    "extend": "backwards from the newest day, --until says how far",
    "first-contact": "asks about one finished day, which it chooses itself",
    "init": "decides the settings' days: --start-date or --days",
    "markets": "rows of the registry, which have no days",
    "markets check": "rows of the registry, which have no days",
    "rpc probe": "asks endpoints about now",
    "scheduler": "keeps current from now on, over the settings' days",
    "up": "keeps current from now on, over the settings' days",
}
WHICH, WHEN = {"--set", "--csu", "--chain", "--family"}, {"--start-date", "--end-date", "--days"}
# What a command cannot be typed without.
NEEDED = {
    "extend": ("--until", "2024-01-01"),
    "release freeze": ("v1",),
    "ledger import": ("claims.json",),
    "init": ("--yes",),
    "at": ("3561871a2400e886",),
}


def flags(command: Any) -> set[str]:
    return {flag for one in command.params for flag in one.opts}


ALL = every(Commands())
SELECTING = sorted(name for name, command in ALL.items() if "--set" in flags(command))


def test_every_command_selects_or_says_why_it_has_no_market() -> None:
    lacking = {name for name in ALL if name not in SELECTING}
    assert lacking - set(NO_MARKET) == set(), "give these --set, or say above why no market is in them"
    assert set(NO_MARKET) - lacking == set(), "these are gone, or select after all"


@pytest.mark.parametrize("name", sorted(NO_MARKET))
def test_who_has_no_market_takes_no_part_of_a_selection(name: str) -> None:
    assert flags(ALL[name]) & WHICH == set()


@pytest.mark.parametrize("name", SELECTING)
def test_who_selects_takes_all_of_the_selection(name: str) -> None:
    found = flags(ALL[name])
    assert found >= WHICH
    assert (found >= WHEN) != (name in NO_DAYS), (
        "give it the three flags of days, or say above why days mean nothing to it"
    )


def test_who_needs_no_days_is_there() -> None:
    assert set(NO_DAYS) <= set(SELECTING)


@pytest.mark.parametrize("name", SELECTING)
@pytest.mark.parametrize("flag", sorted(WHICH))
def test_the_selection_is_read_before_anything_is_done(
    name: str, flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*name.split(), *NEEDED.get(name, ()), flag, "nobody-knows-this"]
    result = CliRunner().invoke(app, ["--data", str(tmp_path / "data"), *words])
    assert isinstance(result.exception, BadInput), (result.output, result.exception)
    assert "unknown" in str(result.exception)
    assert "'nobody-knows-this'" in str(result.exception)
    assert not list(tmp_path.rglob("*.parquet"))
