"""What endpoints teach is kept between runs, by endpoint and with an age, and never in anybody's way."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from tests.net.node import EMITTER, TOPIC, Node, pool_of

from cryptolake.net.blocks import BlockRange
from cryptolake.net.endpoint import SURE, Endpoint, Learned, Limits, SecretUrl, Station
from cryptolake.net.limiter import KEPT_S, for_limit
from cryptolake.net.logs import LogFilter, gather
from cryptolake.net.memory import Memory
from cryptolake.net.scan import scan

FILTERS = [LogFilter(EMITTER, frozenset({TOPIC}))]


def station(**limits: object) -> Station:
    """An endpoint that nobody has asked yet."""
    endpoint = Endpoint("mine", SecretUrl("http://secret"), Limits(rate=5.0, **limits), account="ab12")  # type: ignore[arg-type]
    return Station(endpoint, for_limit(5.0, told=endpoint.limits.told), Learned(2000))


def taught() -> Station:
    """An endpoint that has taught something."""
    one = station()
    one.learned.refused(1000, 800)
    one.learned.answered(800)
    for _ in range(SURE):
        one.learned.pruned("state", 1000)
    one.limiter.begin_at(42.0)
    return one


def test_another_run_asks_with_the_span_that_was_found(tmp_path: Path) -> None:
    first = Node(limit=50, wording="block range is too wide")
    pool = pool_of(first, memory=Memory(tmp_path))
    gather(scan(pool, FILTERS, BlockRange(0, 2000)))
    pool.remember()
    again = Node(limit=50, wording="block range is too wide")
    gather(scan(pool_of(again, memory=Memory(tmp_path)), FILTERS, BlockRange(0, 2000)))
    assert first.refusals > 0 == again.refusals


def test_every_kind_of_limit_comes_back(tmp_path: Path) -> None:
    one, other = taught(), station()
    one.learned.batch.refused(25, 20)
    one.learned.addresses.refused(60, 50)
    one.learned.topics.refused(5, 4)
    for bound, size in ((one.learned.batch, 20), (one.learned.addresses, 50), (one.learned.topics, 4)):
        bound.answered(size)
    Memory(tmp_path).note("chain", one, now=True)
    Memory(tmp_path).recall("chain", other)
    learned = other.learned
    assert [learned.blocks.size, learned.batch.size, learned.addresses.size, learned.topics.size] == [800, 20, 50, 4]


def test_what_was_missing_once_is_not_kept(tmp_path: Path) -> None:
    one, other = taught(), station()
    one.learned.proved("state", 900)
    one.learned.pruned("state", 500)
    Memory(tmp_path).note("chain", one, now=True)
    Memory(tmp_path).recall("chain", other)
    assert not one.learned.reaches("state", 500)
    assert other.learned.reaches("state", 500)


def test_what_was_learned_has_an_age(tmp_path: Path) -> None:
    now = 1e9
    Memory(tmp_path, wall=lambda: now).note("chain", taught(), now=True)
    now += KEPT_S - 1
    young = station()
    memory = Memory(tmp_path, wall=lambda: now)
    memory.recall("chain", young)
    assert (young.learned.span, young.learned.settled, young.limiter.rate) == (800, True, 42.0)
    assert not young.learned.reaches("state", 1000)
    memory.note("chain", young, now=True)
    now += 2
    old = station()
    Memory(tmp_path, wall=lambda: now).recall("chain", old)
    assert (old.learned.span, old.limiter.rate) == (2000, station().limiter.rate), "use does not make it younger"


def test_a_limit_that_is_told_is_not_overruled(tmp_path: Path) -> None:
    Memory(tmp_path).note("chain", taught(), now=True)
    told = station(told=True)
    before = told.limiter.rate
    Memory(tmp_path).recall("chain", told)
    assert told.limiter.rate == before
    assert told.learned.span == 800


@pytest.mark.parametrize(
    "stored",
    [b"", b"{", b"null", b"[]", b'{"known":[]}', b'{"known":{"blocks":5}}', b'{"known":{"blocks":{"value":"x","learned":1e9}}}',
     b'{"known":{"rate":{"value":-1,"learned":1e9},"oldest":{"value":{"state":"x"},"learned":1e9}}}', b"\xff\xfe"],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_none(tmp_path: Path, stored: bytes) -> None:
    (tmp_path / "chain-ab12.json").write_bytes(stored)
    one = station()
    Memory(tmp_path, wall=lambda: 1e9).recall("chain", one)
    assert one.learned.span == 2000
    Memory(tmp_path, wall=lambda: 1e9).note("chain", taught(), now=True)
    assert orjson.loads((tmp_path / "chain-ab12.json").read_bytes())["known"]["blocks"]["value"] == 800


def test_a_folder_that_cannot_be_written_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "learned").write_text("a file")
    Memory(tmp_path / "learned").note("chain", taught(), now=True)
    assert (tmp_path / "learned").read_text() == "a file"


def test_no_file_tells_an_address(tmp_path: Path) -> None:
    Memory(tmp_path).note("chain", taught(), now=True)
    (file,) = tmp_path.iterdir()
    assert "secret" not in file.read_text() + file.name
