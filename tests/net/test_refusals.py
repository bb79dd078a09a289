"""Any refusal is understood: words x code x status x shape, against an endpoint whose limits are real; requests counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from tests.examples import representative
from tests.hostile.server import Hostile
from tests.net.node import CHAIN_ID, EMITTER, TOPIC, Node
from tests.net.refusing import SHAPES, Takes, endpoint, in_band
from tests.net.specimens import SPECIMENS, Specimen
from tests.waiting import PATIENCE_S

from cryptolake.net.abi import checksum
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.logs import LogFilter, gather
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan
from cryptolake.net.wordings import plain, suggested

RANGE, LIMIT = BlockRange(0, 6000), 500
TRUTH = list(range(0, 6000, 7))
ABOUT_ITSELF = 2  # the chain's id and the head
# Questions that a search may cost: a limit that is told is tried once, and one more block once, for a number may mean
# anything; one that is not told is found within six, and where even that it is one was not said, each of them may be asked
# once more.
TOLD, SEARCHED, GUESSED = 3, 8, 16


@pytest.fixture(scope="module")
def http() -> Iterator[Http]:
    client = Http(timeout_s=PATIENCE_S)
    yield client
    client.close()


def pool_on(http: Http, *servers: Hostile, waits: list[float] | None = None) -> Pool:
    noted = waits if waits is not None else []
    endpoints = [
        Endpoint(f"server-{number}", SecretUrl(server.url), Limits(rate=1e6, max_batch=100))
        for number, server in enumerate(servers)
    ]
    return Pool("test", CHAIN_ID, endpoints, http, sleep=noted.append)


def allowed(specimen: Specimen, shape: str) -> int:
    if shape.startswith("bare"):
        return GUESSED
    return TOLD if specimen.tells else GUESSED


def cases(*of: str, shapes: Iterable[str]) -> list[tuple[Specimen, str]]:
    """Every wording in every shape; a shape without words once for each kind of limit."""
    found = {
        (one.of if shape.startswith("bare") else one, shape): (one, shape)
        for one in reversed(SPECIMENS)
        if one.of in of
        for shape in shapes
    }
    return list(found.values())


SHAPES_OF_LOGS = [name for name in SHAPES if not name.startswith("each")]


@pytest.mark.parametrize(
    ("specimen", "shape"), representative(cases("blocks", shapes=SHAPES_OF_LOGS), times=3), ids=str
)
def test_a_limit_on_blocks_costs_its_search_and_no_more(http: Http, specimen: Specimen, shape: str) -> None:
    with endpoint(Node(), Takes(blocks=LIMIT), specimen, SHAPES[shape]) as server:
        pool = pool_on(http, server)
        logs, windows = gather(scan(pool, [LogFilter(EMITTER, frozenset({TOPIC}))], RANGE))
        assert [one.block for one in logs] == TRUTH
        assert sum(one.end - one.start for one in windows) == len(RANGE)
        ideal = math.ceil(len(RANGE) / LIMIT)
        assert len(server.arrivals) <= ABOUT_ITSELF + ideal + allowed(specimen, shape)
        assert pool.stations[0].stopped is None


@pytest.mark.parametrize(
    "specimen", [one for one in SPECIMENS if one.of == "results" and "{until}" in one.words], ids=str
)
def test_a_range_that_is_suggested_is_taken_and_not_improved_upon(http: Http, specimen: Specimen) -> None:
    """Whatever number of results the words name beside it: who suggested it knew which limit is in force."""
    node = Node(logs_of=lambda _: [0])
    with endpoint(node, Takes(results=LIMIT), specimen, SHAPES["in band, 200"]) as server:
        logs, _ = gather(scan(pool_on(http, server), [LogFilter(EMITTER, frozenset({TOPIC}))], RANGE))
        assert len(logs) == len(RANGE)
        assert len(server.arrivals) <= ABOUT_ITSELF + len(RANGE) / LIMIT + TOLD


RANGES = [
    "this block range should work: [0x64, 0xc7]", "retry with the range 100-199", "try blocks 100 to 199", "[100, 199]",
    '{"fromBlock":"0x64","toBlock":"0xc7"}', "fromBlock=100 toBlock=199", "between 100 and 199", "use 0x64..0xC7",
    "limited to 10,000 results, use fromBlock: 0x64, toBlock: 0xc7", "suggested range: 100 - 199", "0x64 -> 0xc7",
]  # fmt: skip
NO_RANGES = [
    "max range 1000", "range 5000 exceeds limit of 1000", "limited to 10,000 blocks", "block range 2000 (2000 > 1000)",
    "block range = 2000, max block range = 1000", "of 0x87870bca3f3fd6335c3f4ce8392d69350b4fa4e2, 0x1", "blocks 1000",
]  # fmt: skip


def test_a_suggested_range_is_read_however_it_is_spelt() -> None:
    assert {words: suggested(plain(words)) for words in RANGES} == dict.fromkeys(RANGES, 100)
    assert {words: suggested(plain(words)) for words in NO_RANGES} == dict.fromkeys(NO_RANGES)


@pytest.mark.parametrize(
    "shape", ["in band, 200", "in band, 400", "in band, 500", "in data, 200", "text, 400", "bare 413"]
)
@pytest.mark.parametrize("specimen", [one for one in SPECIMENS if one.of == "results"], ids=str)
def test_a_limit_on_results_makes_dense_places_smaller_and_no_others(
    http: Http, specimen: Specimen, shape: str
) -> None:
    node = Node(logs_of=lambda number: [0, 1, 2, 3, 4] if 3000 <= number < 3400 else [])
    with endpoint(node, Takes(results=250), specimen, SHAPES[shape]) as server:
        pool = pool_on(http, server)
        logs, _ = gather(scan(pool, [LogFilter(EMITTER, frozenset({TOPIC}))], RANGE))
        assert len(logs) == 2000
        # 3,000 blocks before and 2,600 behind at the guessed span, and the 400 between cut in fifties.
        assert len(server.arrivals) <= ABOUT_ITSELF + 3 + 12 * 8
        assert pool.stations[0].learned.blocks.size >= 2000


SHAPES_OF_FILTERS = ["in band, 200", "in band, 400", "text, 400", "JSON, 400", "bare 400", "bare 413"]


@pytest.mark.parametrize(("specimen", "shape"), cases("addresses", "topics", shapes=SHAPES_OF_FILTERS), ids=str)
def test_a_limit_on_addresses_or_topics_is_learned_as_one(http: Http, specimen: Specimen, shape: str) -> None:
    many = [checksum(f"0x{number:040x}") for number in range(1, 60)]
    if specimen.of == "addresses":
        filters = [LogFilter(one, frozenset({TOPIC})) for one in [*many, EMITTER]]
    else:
        filters = [LogFilter(EMITTER, frozenset(f"0x{number:064x}" for number in range(59)) | {TOPIC})]
    takes = Takes(**{specimen.of: 50})
    with endpoint(Node(), takes, specimen, SHAPES[shape]) as server:
        pool = pool_on(http, server)
        logs, _ = gather(scan(pool, filters, BlockRange(0, 3000)))
        assert [one.block for one in logs] == list(range(0, 3000, 7))
        told = not shape.startswith("bare")
        assert len(server.arrivals) <= ABOUT_ITSELF + (
            4 + 1 if told else 4 + 3 * GUESSED
        )  # a number is proven; without words its smallest question is tried too
        assert pool.stations[0].learned.span >= 2000


MISNAMED = [
    "block range too wide for 60 addresses", "too many blocks or addresses", "block range too large",
    "range limit exceeded: too many addresses", "eth_getLogs limited range: filter has too many addresses",
    "query exceeds the block range allowed for 60 addresses", "limited to 10,000 blocks",
]  # fmt: skip


@pytest.mark.parametrize("words", MISNAMED)
@pytest.mark.parametrize("of", ["addresses", "topics"])
def test_a_limit_is_found_by_comparing_whatever_the_words_name(http: Http, of: str, words: str) -> None:
    """Who speaks of blocks and means addresses is asked for single blocks only until that is found out."""
    many = [checksum(f"0x{number:040x}") for number in range(1, 60)]
    if of == "addresses":
        filters = [LogFilter(one, frozenset({TOPIC})) for one in [*many, EMITTER]]
    else:
        filters = [LogFilter(EMITTER, frozenset(f"0x{number:064x}" for number in range(59)) | {TOPIC})]
    specimen = Specimen("addresses" if of == "addresses" else "topics", -32000, words)
    with endpoint(Node(), Takes(**{of: 25}), specimen, in_band(200)) as server:
        pool = pool_on(http, server)
        logs, _ = gather(scan(pool, filters, BlockRange(0, 6000)))
        assert [one.block for one in logs] == list(range(0, 6000, 7))
        assert len(server.arrivals) <= ABOUT_ITSELF + 9 + 3 * GUESSED
        assert pool.stations[0].learned.span >= 2000


SHAPES_OF_BATCHES = [name for name in SHAPES if "data" not in name]


BATCHES = [
    (one, shape, limit)
    for one, shape in cases("batch", shapes=SHAPES_OF_BATCHES)
    for limit in (1, 10)
    if limit == 1 or one.takes_some
]


@pytest.mark.parametrize(("specimen", "shape", "limit"), representative(BATCHES, times=3), ids=str)
def test_a_limit_on_batches_is_learned(http: Http, specimen: Specimen, shape: str, limit: int) -> None:
    with endpoint(Node(), Takes(batch=limit), specimen, SHAPES[shape]) as server:
        pool = pool_on(http, server)
        for first in (0, 30):
            wanted = list(range(first, first + 30))
            headers = Blocks(pool).headers(wanted)
            assert {number: one.hash for number, one in headers.items()} == {n: f"0x{n:064x}" for n in wanted}
        assert len(server.arrivals) <= 1 + 60 / limit + GUESSED
        assert pool.stations[0].stopped is None


def test_an_honest_endpoint_is_not_made_smaller_by_one_that_refuses(http: Http) -> None:
    refuses = Specimen("blocks", -32000, "something nobody has ever read")
    with endpoint(Node(), Takes(blocks=10), refuses, in_band(200)) as small, Hostile(Node()) as large:
        pool = pool_on(http, small, large)
        logs, _ = gather(scan(pool, [LogFilter(EMITTER, frozenset({TOPIC}))], BlockRange(0, 100_000)))
        assert len(logs) == len(range(0, 100_000, 7))
        assert len(small.arrivals) + len(large.arrivals) <= 60


def test_trouble_that_passes_is_no_limit(http: Http) -> None:
    """An endpoint that was down for a while is asked for whole windows again soon, though its failures were halved."""

    def down(handler: Any, body: bytes) -> bool:
        return b"eth_getLogs" in body and bool(handler.send(503, b""))

    with Hostile(Node(), {"down": (down, 8)}) as server:
        pool = pool_on(http, server)
        logs, _ = gather(scan(pool, [LogFilter(EMITTER, frozenset({TOPIC}))], BlockRange(0, 200_000)))
        assert len(logs) == len(range(0, 200_000, 7))
        assert pool.stations[0].learned.blocks.size >= 2000
        assert len(server.arrivals) <= 400
