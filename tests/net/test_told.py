"""What the user tells of an endpoint is a ceiling: no answer, refusal or memory makes the reader go beyond it."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hostile.server import Hostile
from tests.net.node import CHAIN_ID, Node, linear
from tests.waiting import PATIENCE_S

from cryptolake.app import App
from cryptolake.errors import BadInput, Retry
from cryptolake.net.endpoint import Endpoint, Learned, Limits, SecretUrl, Station
from cryptolake.net.http import Http
from cryptolake.net.limiter import for_limit
from cryptolake.net.memory import Memory
from cryptolake.net.rpc import Pool
from cryptolake.net.told import ToldLimits
from cryptolake.settings import load_settings

HEAD = 100_000


def _endpoint(url: str, told: ToldLimits, limits: Limits | None = None) -> Endpoint:
    return told.applied(Endpoint("mine", SecretUrl(url), limits or Limits(rate=10_000)))


@given(
    span=st.integers(1, 300_000),
    addresses=st.integers(1, 3_000),
    true_span=st.integers(1, 400_000),
    seed=st.integers(0, 10_000),
)
def test_learning_never_goes_beyond_what_was_told(span: int, addresses: int, true_span: int, seed: int) -> None:
    learned = Learned.within(_endpoint("x", ToldLimits(span=span, addresses=addresses)).limits)
    chance = random.Random(seed)
    for _ in range(300):
        asked = learned.span
        assert asked <= span
        if asked <= true_span and chance.random() < 0.9:
            learned.answered(asked, logs=chance.randrange(50))
        elif chance.random() < 0.5:
            learned.refused(asked, chance.choice([None, true_span, 10 * span]))
        else:
            learned.doubted(asked, spoken=chance.random() < 0.5)
        size = learned.addresses.size
        assert size <= addresses
        learned.addresses.answered(size)


def test_a_memory_of_more_is_not_believed(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    free, bound = (
        Station(one, for_limit(one.limits.rate, told=one.limits.told), Learned.within(one.limits))
        for one in (_endpoint("x", ToldLimits()), _endpoint("x", ToldLimits(span=100, addresses=5, rate=3)))
    )
    free.learned.answered(2000)
    free.learned.refused(3000, 2000)
    memory.note("test", free, now=True)
    memory.recall("test", bound)
    assert (bound.learned.span, bound.learned.addresses.size) == (100, 5)
    assert bound.limiter.rate <= 3


def test_no_batch_holds_more_calls_and_no_old_state_is_asked_for() -> None:
    node = Node(time=linear(int(time.time()) - 12 * HEAD - 30, 12), head=HEAD)
    http = Http(timeout_s=PATIENCE_S)
    with Hostile(node) as server:
        pool = Pool("test", CHAIN_ID, [_endpoint(server.url, ToldLimits(batch=7, archive=1000))], http, attempts=2)
        pool.finalized()
        before = pool.requests
        pool.batch([("eth_blockNumber", [])] * 21)
        assert pool.requests - before >= 3
        before = pool.requests
        with pytest.raises(Retry, match="archive"):
            pool.call("eth_call", [{"to": "0x" + "0" * 40, "data": "0x"}, hex(HEAD - 5_000)])
        assert pool.requests == before
    http.close()


def test_settings_are_read_by_name_from_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRYPTOLAKE_RPC_ETHEREUM", "http://127.0.0.1:1/,http://127.0.0.1:2/")
    Path("cryptolake.toml").write_text("[endpoints.ethereum-own-1]\nspan = 500\nrate = 12.5\nbatch = 3\n")
    app = App(load_settings())
    first, second = app.nodes(app.registry.chain("ethereum"))
    assert (first.limits.log_span, first.limits.most_blocks, first.limits.max_batch) == (500, 500, 3)
    assert (first.limits.rate, first.limits.told) == (12.5, True)
    assert second.limits.log_span != 500

    Path("cryptolake.toml").unlink()
    monkeypatch.setenv("CRYPTOLAKE_ENDPOINTS", '{"ethereum-own-2": {"addresses": 50}}')
    app = App(load_settings())
    assert [one.limits.most_addresses for one in app.endpoints(app.registry.chain("ethereum"))][1] == 50


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[endpoints.ethereum-own-1]\nspam = 500\n", "endpoints.ethereum-own-1.spam"),
        ("[endpoints.ethereum-own-1]\nspan = 0\n", "endpoints.ethereum-own-1.span"),
        ('[endpoints.ethereum-own-1]\nrate = "fast"\n', "endpoints.ethereum-own-1.rate"),
        *(
            (f"[endpoints.ethereum-own-1]\n{name} = {word}\n", f"endpoints.ethereum-own-1.{name}")
            for name in ("rate", "span", "batch", "addresses", "archive")
            for word in ("true", "false")
        ),
        ("[endpoints.etherium-own-1]\nspan = 500\n", "endpoints.etherium-own-1: .*ethereum-own-1"),
        ("[endpoint.ethereum-own-1]\nspan = 500\n", "nobody reads 'endpoint'; did you mean endpoints"),
    ],
)
def test_what_is_misspelt_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRYPTOLAKE_RPC_ETHEREUM", "http://127.0.0.1:1/")
    Path("cryptolake.toml").write_text(text)
    with pytest.raises(BadInput, match=named):
        _endpoints()


def _endpoints() -> list[Endpoint]:
    app = App(load_settings())
    return app.endpoints(app.registry.chain("ethereum"))
