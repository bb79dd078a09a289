"""An archive gives the same rows as a node, and never fewer: what it leaves out or refuses is no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from typing import Any

import orjson
import pytest
from tests.net.archive import Answer, Archive, Rpc, portal
from tests.net.node import CHAIN_ID, EMITTER, TOPIC, Node, pool_of

from cryptolake.errors import CryptolakeError, Stop
from cryptolake.net.blocks import BlockRange
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.faults import Malformed
from cryptolake.net.http import Http
from cryptolake.net.logs import Log, LogFilter, gather
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan
from cryptolake.net.witness import Witness

FILTERS = [LogFilter(EMITTER, frozenset({TOPIC}))]
WITHIN = BlockRange(1_000, 1_700)
TRUTH, _ = gather(scan(pool_of(Node()), FILTERS, WITHIN))


def of_node(node: Node) -> Rpc:
    """The node's results, with the parents of its headers."""

    def rpc(method: str, params: list[Any]) -> Any:
        document = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        if method == "eth_getLogs":
            params[0]["address"] = [EMITTER if one == EMITTER.lower() else one for one in params[0]["address"]]
        result = orjson.loads(node.answer(orjson.dumps(document)))["result"]
        if method == "eth_getBlockByNumber":
            result["parentHash"] = node.hash(int(result["number"], 16) - 1)
        return result

    return rpc


@contextmanager
def asking(
    archive: Archive, *, span: int = 200, more: tuple[Endpoint, ...] = (), name: str = "testnet"
) -> Iterator[Pool]:
    """A pool whose first endpoint is the archive, over real HTTP."""
    with portal(archive) as address, closing(Http()) as http:
        limits = Limits(rate=1e9, log_span=span, max_batch=1)
        endpoint = Endpoint("archive", SecretUrl(f"{address}/{name}"), limits, operator="sqd", dataset_of=CHAIN_ID)
        yield Pool("test", CHAIN_ID, [endpoint, *more], http, sleep=lambda _: None)


def collected(pool: Pool) -> list[Log]:
    answered = list(scan(pool, FILTERS, WITHIN))
    if any(one.unread for one in answered):
        raise Malformed("nobody gives readable logs of an emitter, whose market fails by name")
    logs, windows = gather(answered)
    assert (windows[0].start, windows[-1].end) == (WITHIN.start, WITHIN.end)
    assert all(before.end == after.start for before, after in pairwise(windows))
    return logs


@pytest.mark.parametrize("part", [1, 60, 200, 10**9])
def test_the_same_rows_as_by_rpc_wherever_streams_end(part: int) -> None:
    archive = Archive(of_node(Node()), part=part)
    with asking(archive) as pool:
        assert collected(pool) == TRUTH
    assert {path.rsplit("/", 1)[-1] for path, _ in archive.asked} == {"metadata", "finalized-head", "finalized-stream"}


def test_what_goes_on_names_the_block_it_goes_on_from() -> None:
    archive = Archive(of_node(Node()), part=100)
    with asking(archive, span=400) as pool:
        collected(pool)
    continued = [asked for path, asked in archive.asked if "parentBlockHash" in asked]
    assert continued
    assert all(asked["parentBlockHash"] == Node().hash(asked["fromBlock"] - 1) for asked in continued)


def test_an_archive_is_never_asked_for_what_it_does_not_have() -> None:
    archive = Archive(of_node(Node()))
    with asking(archive) as pool, pytest.raises(CryptolakeError):
        pool.batch([("eth_call", [{"to": EMITTER, "data": "0x"}, "0x400"])])
    assert archive.asked == []


def lines(change: Callable[[list[Any]], list[Any]]) -> Callable[[str, dict[str, Any], Answer], Answer]:
    """A fault of the lines of every stream."""

    def fault(path: str, _asked: dict[str, Any], honest: Answer) -> Answer:
        if not path.endswith("finalized-stream"):
            return honest
        told = change([orjson.loads(line) for line in honest[2].splitlines()])
        return 200, {}, b"".join(orjson.dumps(line) + b"\n" for line in told)

    return fault


def status(code: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Callable[..., Answer]:
    return lambda path, _asked, honest: (code, headers or {}, body) if path.endswith("stream") else honest


def nested(name: str, value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda told: [{**line, "header": {**line["header"], name: value}} for line in told]


def of_logs(name: str, value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda told: [
        {**line, "logs": [{**log, name: value} for log in line["logs"]]} if "logs" in line else line for line in told
    ]


FAULTS = {
    "the first block is missing": lines(lambda told: told[1:]),
    "nothing at all": lines(lambda _told: []),
    "out of order": lines(lambda told: [told[0], *reversed(told[1:])]),
    "a block twice": lines(lambda told: [told[0], *told]),
    "blocks that were not asked for": lines(lambda told: [*told, {"header": {**told[-1]["header"], "number": 10**6}}]),
    "numbers as text": lines(nested("number", "1000")),
    "no hash": lines(nested("hash", None)),
    "another parent": lines(nested("parentHash", "0x" + "00" * 32)),
    "no header": lines(lambda told: [{"logs": line.get("logs", [])} for line in told]),
    "logs that are none": lines(lambda told: [{**line, "logs": "none"} for line in told]),
    "an index that is none": lines(of_logs("logIndex", "0x1")),
    "no index": lines(of_logs("logIndex", None)),
    "another emitter": lines(of_logs("address", "0x" + "11" * 20)),
    "no topics": lines(of_logs("topics", None)),
    "a document": lambda path, _asked, honest: (200, {}, b"[]") if path.endswith("stream") else honest,
    "a cut line": lambda path, _asked, honest: (200, {}, honest[2][:-9]) if path.endswith("stream") else honest,
    "a page": status(200, {}, b"<html>busy</html>"),
    "another chain to go on with": status(409, {}, b'{"error":{"code":"base_block_mismatch"},"previousBlocks":[]}'),
    "no blocks yet": status(204),
    "a query that it refuses": status(
        400, {}, b'{"error":{"type":"invalid_request_error","code":"malformed_request"}}'
    ),
    "no workers": status(503, {"Retry-After": "1"}, b'{"error":{"type":"availability_error","code":"no_workers"}}'),
    "asked too fast": status(429, {"Retry-After": "1"}),
    "overloaded": status(529, {"Retry-After": "1"}, b'{"error":{"type":"rate_limit_error","code":"overloaded"}}'),
    "broken": status(500, {}, b'{"error":{"type":"api_error","code":"worker_failure"}}'),
    "a key is wanted": status(401),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_never_an_answer(name: str) -> None:
    """Alone it fails by name; only faults that a smaller question escapes may still give the truth."""
    archive = Archive(of_node(Node()), part=70, fault=FAULTS[name])
    with asking(archive) as pool:
        try:
            found = collected(pool)
        except CryptolakeError as error:
            assert "http://" not in str(error)
        else:
            assert found == TRUTH


@pytest.mark.parametrize("name", FAULTS)
def test_a_node_beside_it_answers_what_it_does_not(name: str) -> None:
    node = Node()
    with portal(Archive(of_node(node), part=70, fault=FAULTS[name])) as address, closing(Http()) as http:
        served = ServedNode(node, http)
        limits = Limits(rate=1e9, log_span=200, max_batch=1)
        archive = Endpoint("archive", SecretUrl(f"{address}/testnet"), limits, operator="sqd", dataset_of=CHAIN_ID)
        pool = Pool(
            "test", CHAIN_ID, [archive, Endpoint("node", SecretUrl("node"), limits)], served, sleep=lambda _: None
        )
        assert collected(pool) == TRUTH


class ServedNode(Http):
    """Real HTTP to the archive; the node without."""

    def __init__(self, node: Node, http: Http) -> None:
        self._node, self._http = node, http

    def post(self, url: str, body: bytes, *, headers: Any = None, timeout_s: float | None = None) -> Any:
        return self._node.post(url, body) if url == "node" else self._http.post(url, body, headers=headers)

    def get(self, url: str, *, params: Any = None, headers: Any = None) -> Any:
        return self._http.get(url, params=params, headers=headers)


@pytest.mark.parametrize("first", [True, False])
def test_it_is_a_second_opinion_like_any_other(first: bool) -> None:
    liar, honest = Node(hidden=frozenset(range(1_200, 1_300))), Node()
    with portal(Archive(of_node(honest if first else liar))) as address, closing(Http()) as http:
        limits = Limits(rate=1e9, log_span=200, max_batch=1)
        archive = Endpoint("archive", SecretUrl(f"{address}/testnet"), limits, operator="sqd", dataset_of=CHAIN_ID)
        node = Endpoint("node", SecretUrl("node"), limits, operator="somebody")
        served = ServedNode(liar if first else honest, http)
        alone = Pool("test", CHAIN_ID, [node], served, sleep=lambda _: None)
        logs, windows = gather(scan(alone, FILTERS, WITHIN))
        pool = Pool("test", CHAIN_ID, [archive, node], served, sleep=lambda _: None)
        heard = Witness(pool, FILTERS, 1.0).hear(windows, WITHIN)
    assert {one.endpoint for one in heard.windows} == {"archive"}
    assert heard.problem == ""
    differing = set(heard.logs) ^ set(logs)
    assert {log.block for log in differing} == {log.block for log in TRUTH if log.block in range(1_200, 1_300)}
    assert set(heard.logs) == set(TRUTH) if first else set(logs) == set(TRUTH)


def test_another_data_set_is_told_and_never_asked() -> None:
    archive = Archive(of_node(Node()), name="other")
    with asking(archive) as pool, pytest.raises(Stop, match="data set"):
        collected(pool)
    renamed = lambda path, _asked, honest: (200, {}, b'{"dataset":"other"}') if path.endswith("metadata") else honest  # noqa: E731
    archive = Archive(of_node(Node()), fault=renamed)
    with asking(archive) as pool, pytest.raises(Stop, match="data set"):
        collected(pool)
    assert {path.rsplit("/", 1)[-1] for path, _ in archive.asked} == {"metadata"}


def test_an_alias_is_the_data_set_too() -> None:
    with asking(Archive(of_node(Node()), aliases=("short",)), name="short") as pool:
        assert collected(pool) == TRUTH


def test_nobody_is_asked_beyond_what_the_archive_has() -> None:
    archive = Archive(of_node(Node(head=1_400)))
    with asking(archive) as pool, pytest.raises(CryptolakeError, match="has not come to block"):
        collected(pool)
    assert all(asked["toBlock"] <= 1_400 for path, asked in archive.asked if path.endswith("stream"))
