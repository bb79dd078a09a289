"""Everybody who asks a vendor with the same key keeps to the key's one limit, also from two processes at once.

No wall clock: every process's clock stands still at 0, so a call's wait is the instant at which it was let through.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from tests.sources.test_price_vendors import Vendor, vendor

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.source import Source
from cryptolake.net.access import Access
from cryptolake.net.gates import Gates
from cryptolake.net.http import Http
from cryptolake.sources import coingecko, defillama
from cryptolake.sources.defillama.protocol import DefiLlamaProtocols
from cryptolake.work.coin_runs import run_of

__all__ = ["vendor"]
ASKED_AT = datetime(2024, 12, 31, 12, tzinfo=UTC)
CALLS = 80
LIMIT = 60  # calls a minute, lower than any plan's so that every pair of commands meets it
_RATES = {"coingecko": LIMIT, "defillama": LIMIT}
DAY = Period.of_day(date(2024, 12, 31))


def _granted(
    url: str, folder: Path, key: str, opened: Callable[[Access], Source], partitions: list[Partition]
) -> list[float]:
    """Ask for everything and return the instants (seconds) at which the calls were let through."""
    waits: list[float] = []
    http, gates = Http(), Gates(folder, clock=lambda: 0.0, sleep=waits.append)
    hosts = dict.fromkeys(("coingecko", "defillama_pro"), url)
    source = opened(Access(http, hosts, {key: "one-key"}, rates=_RATES, gates=gates))
    for trip in source.trips(partitions):
        list(source.fetch(trip))
    requests = source.asked.requests  # type: ignore[attr-defined]
    gates.close()
    http.close()
    return [0.0] * (requests - len(waits)) + waits


def coins_refresh(url: str, folder: Path, key: str) -> list[float]:
    run = run_of(coingecko.questions.PER_PAGE * CALLS, ASKED_AT)
    return _granted(url, folder, key, lambda access: coingecko.CoinGecko(access, asked_at=lambda: ASKED_AT), [run])


def coingecko_prices(url: str, folder: Path, key: str) -> list[float]:
    partition = Partition("coingecko_prices", "ethereum", DAY)
    wanted = {partition: {f"0x{number:040x}": 1_735_689_587 for number in range(CALLS)}}
    return _granted(url, folder, key, lambda access: coingecko.open_prices(access, {}, wanted), [partition])


def defillama_prices(url: str, folder: Path, key: str) -> list[float]:
    partitions = [Partition("defillama_prices", "any", Period.of_day(date(1980 + n, 1, 1))) for n in range(CALLS * 10)]
    wanted = {one: {"eth": 1_735_689_587} for one in partitions}
    return _granted(url, folder, key, lambda access: defillama.open_prices(access, {}, wanted), partitions)


def defillama_protocols(url: str, folder: Path, key: str) -> list[float]:
    partitions = [Partition("defillama_protocol", f"p{number}", DAY) for number in range(CALLS)]
    return _granted(url, folder, key, lambda access: DefiLlamaProtocols(access, []), partitions)


@pytest.mark.parametrize(
    ("key", "first", "second"),
    [
        ("COINGECKO_DEMO_API_KEY", coins_refresh, coingecko_prices),
        ("COINGECKO_PRO_API_KEY", coins_refresh, coingecko_prices),
        ("DEFILLAMA_API_KEY", defillama_prices, defillama_protocols),
    ],
)
def test_two_commands_at_once_keep_to_the_limit_of_their_key(
    key: str,
    first: Callable[[str, Path, str], list[float]],
    second: Callable[[str, Path, str], list[float]],
    vendor: Vendor,
    tmp_path: Path,
) -> None:
    page = [{"id": f"c{number}"} for number in range(coingecko.questions.PER_PAGE)]
    vendor.reply = lambda path, _query: (200, page if path.endswith("/markets") else {"prices": [], "coins": {}})
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        both = [processes.submit(ask, vendor.url, tmp_path, key) for ask in (first, second)]
        granted = sorted(at for one in both for at in one.result())
    assert len(granted) == len(vendor.asked)
    assert min(len(one.result()) for one in both) >= CALLS
    for index, start in enumerate(granted):
        assert sum(1 for at in granted[index:] if at < start + 60) <= LIMIT
