"""After questions that failed `Next:` is this very call, whatever came in place of an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

import pytest
from tests.examples import representative
from tests.server_folder import server_folder
from tests.vendors.server import Reply, vendor
from tests.vendors.shell import Shell

from cryptolake.sources import exchanges

REPLY = [Reply()]
ODD = {
    "a page": Reply(body=b"<html><body>Just a moment...</body></html>"),
    "too fast": Reply(429),
    "no number": Reply(body=b'{"data": [{"value": NaN, "timestamp": "1745280000"}], "prices": [[1745280000000, "x"]]}'),
    "empty": Reply(body=b""),
    "trouble": Reply(503),
    "refused": Reply(403),
}
CALLS = (
    ("pull", "alternative_me"),
    ("pull", "alternative_me", "--key", "crypto", "--workers", "2"),
    ("backfill", "alternative_me", "--no-resume"),
    ("pull", "coingecko", "--key", "bitcoin", "--dataset", "market_chart"),
    ("coins", "history", "--key", "bitcoin"),
    ("exchanges", "tickers", "--exchange", "kraken"),
)


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    hosts = ("alternative_me", "coingecko", "kraken")
    with server_folder("vendor-next", "data") as folder, vendor(lambda _path, _query: REPLY[0]) as server:
        found = Shell(folder, server)
        found.variables |= {f"CRYPTOLAKE_URL_{host.upper()}": server.url for host in hosts}
        yield found


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("call", "odd"), representative(product(CALLS, ODD), times=2), ids=str)
def test_the_next_step_is_the_same_call(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, call: tuple[str, ...], odd: str
) -> None:
    without = {**(exchanges.Exchanges.__init__.__kwdefaults__ or {}), "sleep": lambda _s: None}
    monkeypatch.setattr(exchanges.Exchanges.__init__, "__kwdefaults__", without)
    REPLY[:] = [ODD[odd]]
    said = shell(*call)
    assert said.returncode == 1, said.stderr
    assert " ".join(said.stdout.rpartition("Next: ")[2].split()) == f"cryptolake {' '.join(call)}"
    assert not re.search(r"\b(collect|refine) (it )?again", said.stdout)
