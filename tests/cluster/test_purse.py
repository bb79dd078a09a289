"""What may be spent: never more than the ceiling, whoever asks, and no word but the ceiling's when it is reached."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hostile.server import Hostile
from tests.net.node import CHAIN_ID, Node
from tests.waiting import PATIENCE_S

from cryptolake.errors import BadInput, Stop
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.purse import Amount, Ceiling, CeilingReached, Purse, ceilings_of
from cryptolake.net.rpc import Pool
from cryptolake.publish.server import ensure_running
from cryptolake.state.budgets import Budgets
from cryptolake.state.spending import SpendingFile, SpendingTable

FREE = Endpoint("one", SecretUrl("x"), Limits(), "account", "infura", 0.0)
KINDS = ("calls", "units", "usd")


@pytest.fixture(params=["file", "table"])
def counts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SpendingFile | SpendingTable]:
    """A place of counts of each kind, on its own."""
    if request.param == "file":
        file = SpendingFile(tmp_path / "spending")
        yield file
        file.close()
        return
    url = ensure_running(request.getfixturevalue("pg_data"))
    budgets = Budgets(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM spending")
    yield SpendingTable(budgets)
    budgets.close()


@pytest.mark.parametrize("name", ["run", "month", "infura"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_ceiling_is_used_to_its_last_unit_and_no_further(
    counts: SpendingFile | SpendingTable, name: str, kind: str
) -> None:
    purse = Purse(counts, {name: Ceiling(**{kind: 30.0})}, {"infura": 1e6}, run="r")
    for _ in range(10):
        purse.take(FREE, 3, 3.0)
    with pytest.raises(CeilingReached, match=r"ceiling reached.*30 of 30"):
        purse.take(FREE, 1, 1.0)
    assert (purse.reached is not None) == (name != "infura")


def test_threads_together_keep_to_it(counts: SpendingFile | SpendingTable) -> None:
    purses = [Purse(counts, {"month": Ceiling(calls=50)}, {}, run=str(number)) for number in range(4)]
    sent, lock = 0, threading.Lock()

    def spend(purse: Purse) -> None:
        nonlocal sent
        with suppress(CeilingReached):
            while True:
                purse.take(FREE, 1, 1.0)
                with lock:
                    sent += 1

    threads = [threading.Thread(target=spend, args=(purse,)) for purse in purses for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(PATIENCE_S)
    assert sent == 50


def _ask(url: str, path: Path, ceilings: Mapping[str, Ceiling], run: str) -> None:
    """A process that asks until it is stopped; it ends well only by a ceiling."""
    http = Http(timeout_s=PATIENCE_S)
    endpoint = Endpoint("one", SecretUrl(url), Limits(rate=1e6), "a", "infura", 0.0)
    pool = Pool("test", CHAIN_ID, [endpoint], http, purse=Purse(SpendingFile(path), ceilings, {}, run=run))
    try:
        while True:
            pool.batch([("eth_getBlockByNumber", [hex(number), False]) for number in range(3)])
    except Stop as error:
        raise SystemExit(0 if "ceiling reached" in str(error) else 1) from None


@pytest.mark.parametrize("name", ["run", "month", "infura"])
def test_processes_together_never_send_more(tmp_path: Path, name: str) -> None:
    """Counted where they arrive: members of batches, and the questions after the chain's name, too."""
    with Hostile(Node()) as server:
        context = multiprocessing.get_context("spawn")
        given = (server.url, tmp_path / "limits" / "spending", {name: Ceiling(calls=100)}, "same")
        processes = [context.Process(target=_ask, args=given) for _ in range(3)]
        for one in processes:
            one.start()
        for one in processes:
            one.join(PATIENCE_S)
        assert [one.exitcode for one in processes] == [0, 0, 0]
        assert 97 < server.node.methods.total() <= 100


def test_a_price_that_is_not_known_cannot_be_kept_to(tmp_path: Path) -> None:
    unknown = Endpoint("mine", SecretUrl("x"), Limits(), "a", "quicknode", None)
    counts = SpendingFile(tmp_path / "spending")
    with pytest.raises(CeilingReached, match=r"set rpc_prices\.quicknode"):
        Purse(counts, {"run": Ceiling(usd=5)}, {}, run="r").take(unknown, 1, 1.0)
    Purse(counts, {"run": Ceiling(usd=5)}, {"quicknode": 2.0}, run="r").take(unknown, 1, 1.0)
    Purse(counts, {"run": Ceiling(calls=5)}, {}, run="r").take(unknown, 1, 1.0)
    counts.close()


@given(st.lists(st.tuples(*(st.floats(0, 1e6) for _ in KINDS)), max_size=20), st.floats(0, 1e7))
def test_what_is_refused_is_not_counted(
    tmp_path_factory: pytest.TempPathFactory, spent: list[tuple[float, ...]], most: float
) -> None:
    counts = SpendingFile(tmp_path_factory.mktemp("purse") / "spending")
    ceilings = {"free": Ceiling(), "bound": Ceiling(units=most)}
    total = Amount()
    for one in spent:
        refused = counts.add(Amount(*one), ceilings)
        assert (refused is not None) == (total.units + one[1] > most * (1 + 1e-12))
        if refused is None:
            total = total.plus(Amount(*one))
        else:
            assert refused == ("bound", total)
    counts.close()


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"alchmy": {"calls": 1}}, "did you mean alchemy"),
        ({"alchemy": {"cals": 1}}, "give calls, units or usd"),
        ({"run": {"usd": -1}}, "0 or more"),
    ],
)
def test_an_odd_ceiling_is_refused_with_the_remedy(given: dict[str, dict[str, float]], fault: str) -> None:
    with pytest.raises(BadInput, match=fault):
        ceilings_of(given, ["alchemy", "infura"], max_calls=None, max_usd=None)


def test_the_flags_win_over_the_table() -> None:
    found = ceilings_of({"run": {"calls": 10, "units": 7, "usd": 1}}, [], max_calls=3, max_usd=None)
    assert found["run"] == Ceiling(calls=3, units=7, usd=1)


@pytest.mark.parametrize(
    "content", [b"x", b"\0" * 7 + b"\x02[]", b"\0" * 7 + b'\x09{"run":1}', b"\0" * 7 + b"\x30" + b"{", b"\xff" * 40]
)
def test_damaged_counts_end_what_has_a_ceiling_and_nothing_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "spending"
    for bounded in (True, False):
        path.write_bytes(content)
        counts = SpendingFile(path)
        ceilings = {"run": Ceiling(calls=5) if bounded else Ceiling()}
        if bounded and len(content) >= 8:
            with pytest.raises(Stop, match=r"is damaged.*delete it"):
                counts.add(Amount(1), ceilings)
        else:
            assert counts.add(Amount(1), ceilings) is None
        counts.close()


def test_in_a_folder_that_may_not_be_written_only_ceilings_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # whoever runs the suite as root may write everywhere
    assert SpendingFile(tmp_path / "no" / "spending").add(Amount(1), {"run": Ceiling()}) is None
    assert not (tmp_path / "no").exists()
