"""Providers that enforce a limit, over real HTTP: every window is answered, nobody is given up, nothing runs away.

How much of a limit is used is proved on a simulated clock (tests/net/test_speed) and measured by `benchmarks.rates`: here
nothing depends on how fast this machine is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from benchmarks.enforcing import CALLS, KINDS, MONTH, UNITS, WEIGHTS
from tests.waiting import PATIENCE_S

from cryptolake.errors import Stop
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.limiter import for_limit
from cryptolake.net.logs import LogFilter, gather
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan

FILTERS = [LogFilter("0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2", frozenset({"0x" + "ab" * 32}))]
SPAN = 10
TOLD = Limits(rate=CALLS, log_span=SPAN, told=True)
IN_UNITS = Limits(rate=UNITS, unit="compute units", weights={**WEIGHTS, "*": 26}, log_span=SPAN, told=True)
GUESSED = Limits(rate=10_000, log_span=SPAN)


@pytest.fixture(scope="module")
def http() -> Iterator[Http]:
    client = Http(timeout_s=PATIENCE_S)
    yield client
    client.close()


@contextmanager
def enforcing(kind: str) -> Iterator[str]:
    """The URL of a provider of this kind, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.enforcing", kind, "0.01", str(SPAN)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/"
        finally:
            process.kill()


def counted(url: str) -> dict[str, float]:
    """What the provider let through and refused."""
    with urlopen(url) as answer:
        found: dict[str, float] = json.loads(answer.read())
    return found


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
@pytest.mark.parametrize("kind", [name for name, one in KINDS.items() if not one.lasting])
def test_everything_is_answered_within_the_limit(http: Http, tmp_path: Path, kind: str, told: bool) -> None:
    """A shared limiter, logs and batches: refusals stay few however often they come at once, and cost nothing but time."""
    limits = (IN_UNITS if KINDS[kind].weights else TOLD) if told else GUESSED

    with enforcing(kind) as url:
        pool = Pool(
            "test",
            1,
            [Endpoint("enforcing", SecretUrl(url), limits)],
            http,
            limiters=lambda one: for_limit(
                one.limits.rate, cost=one.limits.dearest, told=told, path=tmp_path / "limits" / "one"
            ),
        )
        headers = Blocks(pool).headers(list(range(20)))
        logs, windows = gather(scan(pool, FILTERS, BlockRange(0, 100 * SPAN)))
        counts = counted(url)
    assert len(headers) == 20
    assert logs == []
    assert sum(one.end - one.start for one in windows) == 100 * SPAN
    assert pool.stations[0].stopped is None
    assert counts.get("refusals", 0) <= counts["requests"] / 2, "one burst at the worst, not one after the other"


def test_a_month_that_is_used_up_ends_it_at_once(http: Http) -> None:
    with enforcing("month") as url:
        pool = Pool("test", 1, [Endpoint("enforcing", SecretUrl(url), GUESSED)], http)
        with pytest.raises(Stop, match="used up"):
            gather(scan(pool, FILTERS, BlockRange(0, 2 * int(MONTH) * SPAN)))
        with pytest.raises(Stop, match="used up"):
            pool.call("eth_blockNumber", [])
        counts = counted(url)
    assert counts["units"] == MONTH
    assert counts["refused"] <= 64 + 4, "what was under way, and the simple questions that make sure"


def test_a_month_that_was_told_is_never_exceeded(http: Http) -> None:
    with enforcing("month") as url:
        limits = Limits(rate=10_000, log_span=SPAN, monthly=300)
        pool = Pool("test", 1, [Endpoint("enforcing", SecretUrl(url), limits)], http)
        with pytest.raises(Stop, match="has used its 300 calls of this month"):
            gather(scan(pool, FILTERS, BlockRange(0, 1000 * SPAN)))
        counts = counted(url)
    assert 0 < counts["units"] <= 300
    assert not counts["refused"]
