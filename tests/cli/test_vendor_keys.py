"""A vendor's key is tried by one question of the vendor's own: four honest words, whatever the host does, and never the key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

import pytest
from tests.command import cryptolake
from tests.orchestration.conftest import sandbox_variables
from tests.vendors.server import Query, Reply, Vendor, vendor

from cryptolake.contracts.vendor import Key
from cryptolake.contracts.vendor import Vendor as Declared
from cryptolake.demo.replay import Replay
from cryptolake.errors import Stop
from cryptolake.net.access import Access
from cryptolake.net.conversation import Refusal
from cryptolake.sources.found import find_sources
from cryptolake.work.keys import Tried, VendorKey, vendor_keys

SECRET = "s3cret/key-of-mine"  # with a character that an address cannot hold as it is
KEYS = {one.key.name: one for one in vendor_keys(find_sources())}
# What each vendor answers to a key it takes, in the form that its documentation gives.
TAKEN = {
    "ARTEMIS_API_KEY": b'{"data":{"symbols":{"btc":{"price":[{"date":"2024-12-01","val":96000.5}]}}}}',
    "COINGECKO_DEMO_API_KEY": b'{"gecko_says":"(V3) To the Moon!"}',
    "COINGECKO_PRO_API_KEY": b'{"plan":"Analyst","rate_limit_request_per_minute":500}',
    "DEFILLAMA_API_KEY": b'{"creditsLeft":994}',
}
HTML = b"<html><body>Welcome to the hotel's network</body></html>"
ANSWERS = [
    (Reply(401), "refused"),
    (Reply(403), "refused"),
    (Reply(403, HTML), "refused"),
    (Reply(402), {"refused", "not reachable"}),
    (Reply(429), "not reachable"),
    (Reply(429, headers={"Retry-After": "3600"}), "not reachable"),
    (Reply(500), "not reachable"),
    (Reply(503, HTML), "not reachable"),
    (Reply(404), "not reachable"),
    (Reply(200, HTML), "not reachable"),
    (Reply(200, b""), "not reachable"),
    (Reply(200, b"{}"), "not reachable"),
    (Reply(200, b"[]"), "not reachable"),
    (Reply(200, b'{"hello": "there"}'), "not reachable"),
    (Reply(200, b'{"data":{"symbols":{"btc":"Metric not available for asset."}}}'), "not reachable"),
    (Reply(200, b'{"gecko', cut=True), "not reachable"),
]


@contextmanager
def answering(reply: Callable[[str, Query], Reply]) -> Iterator[Vendor]:
    with vendor(reply) as found:
        yield found


def tried(one: VendorKey, url: str, value: str = SECRET, timeout_s: float = 60.0) -> Tried:
    """Try the key at this address, for every host that a key is sent to when it is moved."""
    hosts = {name: url for name in one.vendor.hosts if name == "defillama_pro" or one.vendor.name != "defillama"}
    return one.attempt(value, urls=hosts, rates={}, timeout_s=timeout_s)


def test_every_vendor_with_a_key_says_how_it_is_tried() -> None:
    assert [name for name, one in KEYS.items() if one.ask is None] == []
    assert set(TAKEN) == set(KEYS), "say here what the new vendor answers to a key it takes"


@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_the_vendor_takes_is_accepted_by_one_question(name: str) -> None:
    with answering(lambda _path, _query: Reply(200, TAKEN[name])) as server:
        found = tried(KEYS[name], server.url)
        assert found.verdict == "accepted", found.says
        assert len(server.asked) == 1
        sent = server.asked[0] + str(server.headers[0])
        assert SECRET in sent or "s3cret%2Fkey-of-mine" in sent, "the key itself was asked with"


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize(("reply", "verdict"), ANSWERS)
def test_what_else_comes_is_called_what_it_is(name: str, reply: Reply, verdict: str | set[str]) -> None:
    with answering(lambda _path, _query: reply) as server:
        found = tried(KEYS[name], server.url)
        assert len(server.asked) == 1, "one question each, whatever comes"
    assert found.verdict in ({verdict} if isinstance(verdict, str) else verdict), found
    assert found.says
    assert server.url not in found.says
    for secret in (SECRET, "s3cret"):
        assert secret not in found.says


@pytest.mark.parametrize("name", KEYS)
def test_nobody_there_and_nobody_answering_are_not_reachable(name: str) -> None:
    let_go = Event()

    def never(_path: str, _query: Query) -> Reply:
        let_go.wait()
        return Reply(200, TAKEN[name])

    with ExitStack() as stack:
        server = stack.enter_context(answering(never))
        stack.callback(let_go.set)
        assert tried(KEYS[name], server.url, timeout_s=0.5).verdict == "not reachable"
    gone = tried(KEYS[name], server.url)
    assert (gone.verdict, "not known" in gone.says) == ("not reachable", True)
    assert tried(KEYS[name], "no address at all").verdict == "not reachable"


def test_a_file_without_a_question_or_with_a_faulty_one_leaves_the_key_untried() -> None:
    mine, key = Declared("weather", keys=(Key("WEATHER_API_KEY", "weather"),)), Key("WEATHER_API_KEY", "weather")

    def leaks(access: Access) -> Refusal | None:
        raise RuntimeError(f"GET /{access.secrets['WEATHER_API_KEY']}")

    def stops(access: Access) -> Refusal | None:
        raise Stop(f"no place for {access.secrets['WEATHER_API_KEY']}")

    cases: list[tuple[Callable[[Access], object] | None, str]] = [
        (None, "not asked"),
        (leaks, "not asked"),
        (stops, "not reachable"),
        (lambda _access: True, "not asked"),
        (lambda access: Refusal("x", f"no {access.secrets['WEATHER_API_KEY']}", of_key=True), "refused"),
    ]
    for ask, verdict in cases:
        found = VendorKey(mine, key, ask).attempt(SECRET, urls={}, rates={})  # type: ignore[arg-type]  # a stranger's file
        assert found.verdict == verdict
        assert SECRET not in found.says


@pytest.mark.parametrize(("reply", "word", "code"), [(Reply(401), "refused", 1), (Reply(429), "not reachable", 0)])
def test_init_says_it_of_keys_that_are_set(tmp_path: Path, reply: Reply, word: str, code: int) -> None:
    with answering(lambda _path, _query: reply) as server:
        variables = {"COINGECKO_DEMO_API_KEY": "cg-demo-key-1", "CRYPTOLAKE_URL_COINGECKO": server.url}
        done = cryptolake(tmp_path, "init", "--yes", **variables)
        assert len(server.asked) == 1
    assert done.returncode == code, done.stderr
    assert f"COINGECKO_DEMO_API_KEY: {word}" in done.stderr
    assert "cg-demo-key-1" not in done.stdout + done.stderr
    assert (tmp_path / "cryptolake.toml").exists()


def test_the_sandbox_is_sent_no_key(tmp_path: Path) -> None:
    with Replay() as replay:
        variables = sandbox_variables(replay, tmp_path / "data")
        done = cryptolake(tmp_path, "init", "--yes", **variables, DEFILLAMA_API_KEY="llama-key-1")
    assert done.returncode == 0, done.stderr
    assert "DEFILLAMA_API_KEY: not asked" in done.stderr
    assert "llama-key-1" not in done.stdout + done.stderr
