"""The market's commands as a user types them, against the vendor on the loopback, in a folder of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
import typer
from tests.cli.walking import walk
from tests.coins.vendor import Vendor, coin
from tests.command import widest
from typer.testing import CliRunner

from cryptolake.cli import app
from cryptolake.errors import BadInput, CryptolakeError
from cryptolake.publish.stores import Stores
from cryptolake.sources.coingecko import CoinGecko
from cryptolake.work import coins as flow

KEY = "CG-verysecretkey"


@dataclass
class Outcome:
    """What a command printed, and how it ended: its exit code and the error that `main` would print as one line."""

    code: int
    stdout: str
    error: str


Run = Callable[..., Outcome]


@pytest.fixture
def cryptolake(tmp_path: Path, vendor: Vendor, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command in a folder of its own with a demo key, the vendor's address and a database of our own."""
    folder = tmp_path / "user"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in os.environ:
        if name.startswith(("CRYPTOLAKE", "COINGECKO", "DATABASE_URL")):
            monkeypatch.delenv(name)
    ours = {
        "CRYPTOLAKE_URL_COINGECKO": vendor.url,
        "COINGECKO_DEMO_API_KEY": KEY,
        "DATABASE_URL": database_url,
        "COLUMNS": "100",
    }

    def run(*arguments: str) -> Outcome:
        result = CliRunner().invoke(app, arguments, env=ours)
        assert result.exception is None or isinstance(result.exception, SystemExit | CryptolakeError), result.exc_info
        error = str(result.exception) if isinstance(result.exception, CryptolakeError) else ""
        code = 2 if isinstance(result.exception, BadInput) else result.exit_code
        assert KEY not in result.output + error
        return Outcome(code, result.stdout, error)

    yield run
    structlog.reset_defaults()  # the command line logs to the runner's standard error, which is closed by now
    for file in folder.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), f"the key lies in {file}"


def fresh(count: int) -> list[dict[str, object]]:
    """Coins the vendor refreshed just now."""
    return [coin(rank, last_updated=datetime.now(UTC).isoformat()) for rank in range(1, count + 1)]


def test_a_users_afternoon(cryptolake: Run, vendor: Vendor) -> None:
    vendor.coins = fresh(80)
    first = cryptolake("coins", "refresh", "--top", "60")
    assert first.code == 0, first
    for words in ("60 coins", "staging_crypto_market", "crypto_analytics_mart", "freshness", "Next:"):
        assert words in first.stdout
    assert widest(first.stdout) <= 100
    assert vendor.asked[-1][2]["x-cg-demo-api-key"] == KEY
    (limit,) = Path("data", "limits").iterdir()  # what the next process goes on with
    assert limit.name.startswith("coingecko-")

    kept = json.loads(cryptolake("coins", "runs", "--json").stdout)
    assert [(run["rows"], run["bytes"] > 1000) for run in kept] == [(60, True)]
    questions = len(vendor.asked)
    replayed = cryptolake("coins", "replay", "latest", "--mode", "full", "--json")
    assert replayed.code == 0, replayed
    (document,) = json.loads(replayed.stdout)
    assert (document["run"], document["coins"]) == (kept[0]["run"], 60)
    assert len(vendor.asked) == questions
    checked = cryptolake("coins", "check", "--json")
    assert checked.code == 0, checked.stdout
    assert {one["check"] for one in json.loads(checked.stdout)} >= {"freshness", "price_range", "rank_uniqueness"}
    pruned = cryptolake("coins", "prune", "--keep-days", "1", "--dry-run")
    assert "0 runs" in pruned.stdout
    asked = cryptolake(
        "query", "--sql", "select segment, crypto_count from market_segment_analysis order by 2", "--json"
    )
    assert {row["segment"]: row["crypto_count"] for row in json.loads(asked.stdout)} == {
        "large_cap": 10,
        "mid_cap": 40,
        "small_cap": 10,
    }

    day = 86_400_000
    chart = {
        name: [[(20_000 + n) * day, n + 0.5] for n in range(3)] for name in ("prices", "market_caps", "total_volumes")
    }
    vendor.charts = {"coin-1": chart, "coin-2": chart}
    history = cryptolake("coins", "history", "--top", "2")
    assert history.code == 0, history
    assert "cut to 365 days" in history.stdout
    series = cryptolake("query", "--sql", "select asset, count(*) n from metrics group by 1 order by 1")
    assert "coin-2" in series.stdout
    unknown = cryptolake("coins", "history", "--key", "no-such-coin")
    assert unknown.code == 1
    assert "does not know this coin" in " ".join(unknown.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("coins", "refresh", "--mode", "half"), "incremental or full"),
        (("coins", "replay", "latest"), "no run is kept yet"),
        (("coins", "replay", "--all"), "no run could be loaded"),
        (("coins", "history", "--top", "5"), "no run is loaded yet"),
        (("exchanges", "candles", "--symbol", "BTC/EUR"), "no watched pair matches"),
        (("exchanges", "tickers", "--exchange", "mtgox"), "known: binance, coinbase, kraken"),
        (("exchanges", "candles", "--end-date", "2999-01-01"), "not over yet"),
    ],
)
def test_bad_input_is_one_clear_line(cryptolake: Run, arguments: tuple[str, ...], words: str) -> None:
    result = cryptolake(*arguments)
    assert result.code == 2, result
    assert words in result.error
    assert "\n" not in result.error


def test_a_refused_key_is_one_line_and_hidden(cryptolake: Run, vendor: Vendor) -> None:
    vendor.before = lambda _path, _query: vendor.replies.append((400, {}, b'{"status":{"error_code":10010}}'))
    result = cryptolake("coins", "refresh", "--top", "10")
    assert result.code == 1
    assert "COINGECKO_PRO_API_KEY" in result.error


def _inner() -> list[tuple[str, str]]:
    groups = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return [(group, name) for group in ("coins", "exchanges") for name in groups[group].commands]


@pytest.mark.parametrize(("group", "name"), _inner())
def test_every_inner_command_has_help_and_an_example(group: str, name: str) -> None:
    text = typer.main.get_command(app).commands[group].commands[name].help or ""  # type: ignore[attr-defined]
    assert f"Example: cryptolake {group} {name}" in text


def test_the_step_after_a_dry_run_of_prune_takes_away_what_it_said(
    source: CoinGecko, vendor: Vendor, stores: Stores, database_url: str, tmp_path: Path
) -> None:
    for age in (200, 100):
        at = datetime.now(UTC) - timedelta(days=age)
        vendor.coins = fresh(20)
        source._asked_at = lambda at=at: at  # type: ignore[misc]
        flow.refresh(source, stores, top=20, now=lambda at=at: at)  # type: ignore[misc]
    variables = {"DATABASE_URL": database_url}
    words = ("--data", str(tmp_path), "coins", "prune", "--keep-days", "90", "--dry-run")
    done = walk(tmp_path, words, variables)
    assert "coins._print_pruning: coins prune --keep-days x" in done.reached, done
    ((_, *step),) = done.steps
    asked = walk(tmp_path, step, variables)
    assert (asked.code, "--yes" in asked.err) == (1, True), "nobody is there to be asked"
    pruned = walk(tmp_path, [*step, "--yes"], variables)
    assert pruned.code == 0, pruned.err
    assert "Taken away" in pruned.out


def test_a_damaged_run_is_named_and_the_next_step_asks_or_lists(
    source: CoinGecko, vendor: Vendor, stores: Stores, database_url: str, tmp_path: Path
) -> None:
    for age in (2, 1):
        at = datetime.now(UTC) - timedelta(days=age)
        vendor.coins = fresh(20)
        source._asked_at = lambda at=at: at  # type: ignore[misc]
        flow.refresh(source, stores, top=20, now=lambda at=at: at)  # type: ignore[misc]
    damaged = min(path for path in tmp_path.rglob("*.raw.json.gz") if "coins_markets" in str(path))
    damaged.write_bytes(damaged.read_bytes()[:100])
    words = ("--data", str(tmp_path), "coins", "replay", "--all")
    done = walk(tmp_path, words, {"DATABASE_URL": database_url})
    assert done.code == 1, done
    assert "coins._show: coins refresh" in done.reached, done
    assert "coins._show: coins runs" in done.reached, done
    listed = walk(tmp_path, done.steps[1][1:], {"DATABASE_URL": database_url})
    assert listed.code == 0, listed
