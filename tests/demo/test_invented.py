"""Invented vendors: they say that they are, give the same numbers everywhere, and stand in for every vendor there is."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.waiting import PATIENCE_S

from cryptolake.cli import sandbox
from cryptolake.demo import invented, journey
from cryptolake.demo.replay import Replay, sandbox_registry
from cryptolake.sources.defillama.asking import PRO
from cryptolake.sources.found import find_sources

NOW = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
TVL = "/invented/defillama/v2/historicalChainTvl/Ethereum"
BODIES = {
    "defillama": "/v2/chains",
    "defillama_bridges": "/bridges",
    "artemis": "/data/api/PRICE/?symbols=eth&startDate=2026-11-01&endDate=2026-11-20",
    "coingecko": "/coins/markets?per_page=250&page=1",
    "alternative_me": "/fng/?limit=0",
    "binance": "/exchangeInfo",
    "coinbase": "/products",
    "kraken": "/0/public/AssetPairs",
}


@pytest.fixture
def replay() -> Iterator[Replay]:
    with Replay() as made:
        yield made


def get(base: str, path: str) -> tuple[int, str | None, Any]:
    url = urlsplit(base + path)
    connection = http.client.HTTPConnection(url.netloc, timeout=PATIENCE_S)
    connection.request("GET", url.path + (f"?{url.query}" if url.query else ""))
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()
    return response.status, response.getheader("X-Cryptolake-Sandbox"), body


def test_every_host_of_every_vendor_is_played(replay: Replay) -> None:
    hosts = {host for file in find_sources().files if file.vendor is not None for host in file.vendor.hosts}
    priced = {"defillama_coins"}  # prices of real tokens: the sandbox's market has tokens of its own
    assert set(replay.urls) == hosts - priced - {PRO}, "a new vendor plays its part in the demo too"
    assert {step.source for step in journey.STEPS} == {
        file.vendor.name for file in find_sources().files if file.vendor is not None
    }
    assert set(BODIES) == set(invented.TELLERS)


@pytest.mark.parametrize("host", sorted(BODIES))
def test_an_invented_answer_says_so(replay: Replay, host: str) -> None:
    status, marked, body = get(replay.urls[host], BODIES[host])
    assert (status, marked) == (200, "invented")
    assert body
    assert "/invented/" in replay.urls[host]


def test_a_recorded_answer_is_marked_as_recorded(replay: Replay) -> None:
    status, marked, body = get(replay.urls["coingecko"], "/coins/bitcoin/market_chart?days=max")
    assert (status, marked) == (200, "recorded")
    assert len(body["prices"]) == 91
    assert get(replay.urls["defillama_stablecoins"], "/stablecoins?includePrices=true")[:2] == (200, "recorded")


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("defillama", "/v2/historicalChainTvl/Atlantis", 404),
        ("defillama", "/summary/dexs/aave-v2", 404),
        ("defillama", "/overview/weather", 404),
        ("defillama_bridges", "/bridgevolume/all?id=99", 404),
        ("artemis", "/asset/symbols/", 404),
        ("artemis", "/data/api/PRICE/?symbols=eth", 400),
        ("coingecko", "/coins/markets?page=one&per_page=5", 400),
        ("binance", "/klines?symbol=NOPE&startTime=0&endTime=1&limit=1", 400),
        ("kraken", "/0/public/Time", 404),
    ],
)
def test_what_was_not_invented_is_no_answer(replay: Replay, host: str, path: str, status: int) -> None:
    found, _, body = get(replay.urls[host], path)
    assert found == status
    assert "sandbox" in body["error"]
    assert invented.answer("/invented/nobody/", {}, NOW) is None


def test_the_same_moment_gives_the_same_numbers() -> None:
    for host, asked in BODIES.items():
        url = urlsplit(asked)
        query = dict(pair.split("=") for pair in url.query.split("&")) if url.query else {}
        path = f"/invented/{host}{url.path}"
        assert invented.answer(path, query, NOW) == invented.answer(path, query, NOW)


def test_a_correction_changes_the_fifteenths_alone(replay: Replay) -> None:
    def told() -> dict[int, float]:
        body = get(replay.vendor_url, TVL)[2]
        return {point["date"]: point["tvl"] for point in body}

    first = told()
    replay.correct()
    second = told()
    changed = {at for at in first if first[at] != second[at]}
    assert changed == {at for at in first if datetime.fromtimestamp(at, UTC).day == 15}
    assert changed, "ninety days hold a fifteenth"


def test_the_coin_market_ends_and_says_what_is_invented(replay: Replay) -> None:
    pages = [get(replay.urls["coingecko"], f"/coins/markets?per_page=250&page={page}")[2] for page in range(1, 7)]
    coins = [coin for page in pages for coin in page]
    assert pages[-1] == []
    assert len({coin["id"] for coin in coins}) == len(coins)
    assert all("invented" in coin["name"].lower() for coin in coins)
    asked = get(replay.urls["coingecko"], "/coins/markets?ids=bitcoin,ethereum&per_page=250&page=1")[2]
    assert [coin["id"] for coin in asked] == ["bitcoin", "ethereum"]


def test_without_the_extra_the_exchanges_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {step.source for step in sandbox.steps()} >= {"exchanges", "defillama"}
    monkeypatch.setitem(sys.modules, "ccxt", None)
    assert {step.source for step in journey.STEPS} - {step.source for step in sandbox.steps()} == {"exchanges"}


def test_a_folder_with_other_data_is_taken(tmp_path: Path) -> None:
    ours = sandbox_registry()
    assert not journey.is_taken(tmp_path / "nowhere", ours)
    assert not journey.is_taken(tmp_path, ours)
    (tmp_path / "bronze").mkdir()
    assert journey.is_taken(tmp_path, ours)
    (tmp_path / "registry.yaml").write_text("csus: []")
    assert journey.is_taken(tmp_path, ours)
    (tmp_path / "registry.yaml").write_bytes(ours.read_bytes())
    assert not journey.is_taken(tmp_path, ours)
    assert not journey.is_marked(tmp_path)
    journey.mark(tmp_path)
    assert journey.is_marked(tmp_path)
