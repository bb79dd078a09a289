"""No answer crashes: whatever an endpoint sends, there is a named reaction, and what is believed is well formed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping

import orjson
import pytest
from tests.net.bodies import Grammar
from tests.net.node import CHAIN_ID, EMITTER, TOPIC, Node
from tests.net.raw_answers import BODY, raw_answer, raw_server
from tests.waiting import PATIENCE_S

from cryptolake.errors import BadInput, CryptolakeError
from cryptolake.net.abi import addresses_at, text, word
from cryptolake.net.answers import read
from cryptolake.net.blocks import BlockRange, Blocks, Header
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.envelope import replies
from cryptolake.net.http import Answer, Http
from cryptolake.net.logs import Log, LogFilter, LogQuestion, gather
from cryptolake.net.multicall import Call, CallResult, Failed, Finished, Program, run
from cryptolake.net.questions import Question
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan

SOME, MANY = 4_000, 120_000  # bodies in the suite, and in the endurance run
WORD = "0x" + "00" * 31 + "05"


class Fuzzed(Http):
    """In place of HTTP: true answers of a node, of which a share is changed. Nothing else could send thousands of them."""

    def __init__(self, grammar: Grammar, share: float) -> None:
        self.node = Node(head=5000, call=lambda _to, _data, _block: WORD)
        self.grammar, self.share, self.sent = grammar, share, 0

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        truth = self.node.answer(body)
        if self.grammar.random.random() >= self.share:
            return Answer(200, {}, truth, 0.01)
        self.sent += 1
        return self.grammar.answer(truth)


def pool_over(http: Fuzzed, endpoints: int) -> Pool:
    found = [
        Endpoint(f"e{n}", SecretUrl(str(n)), Limits(rate=1e9, log_span=25, max_batch=20)) for n in range(endpoints)
    ]
    return Pool("test", CHAIN_ID, found, http, attempts=2, clock=lambda: 0.0, sleep=lambda _: None)


def headers(pool: Pool) -> None:
    for number, header in Blocks(pool).headers([0, 7, 100, 4000]).items():
        assert isinstance(header, Header)
        assert header.number == number
        assert 0 <= header.timestamp < 1 << 40
        assert len(header.hash) == 66
        assert len(header.bloom) in {0, 256}


def logs(pool: Pool) -> None:
    found, windows = gather(scan(pool, [LogFilter(EMITTER, frozenset({TOPIC}))], BlockRange(100, 160)))
    assert sum(one.end - one.start for one in windows) == 60
    for log in found:
        assert isinstance(log, Log)
        assert 100 <= log.block < 160
        assert (log.address, log.topics[0]) == (EMITTER, TOPIC)
        assert len(log.block_hash) == len(log.tx) == 66


def calls(pool: Pool) -> None:
    def market(name: str) -> Program[int]:
        (first,) = yield [Call(EMITTER, name.encode())]
        (second,) = yield [Call(EMITTER, b"again")]
        return word(first.need("one"), 0) + word(second.need("two"), 0)

    outcomes = run(pool, {name: market(name) for name in ("a", "b", "c")}, 4000, multicall3=None)
    assert set(outcomes) == {"a", "b", "c"}
    for one in outcomes.values():
        assert isinstance(one, Failed | Finished)


def head(pool: Pool) -> None:
    assert pool.finalized() >= 0


TARGETS: tuple[Callable[[Pool], None], ...] = (headers, logs, calls, head)


def fuzz(seed: int, bodies: int) -> Counter[str]:
    """Send so many changed bodies; what came of the questions. An error that is none of ours is shown with its seed."""
    reactions: Counter[str] = Counter()
    sent = number = 0
    while sent < bodies:
        number += 1
        grammar = Grammar(seed * 1_000_000 + number)
        http = Fuzzed(grammar, grammar.random.choice((0.2, 0.5, 1.0)))
        pool = pool_over(http, grammar.random.choice((1, 2)))
        target = grammar.random.choice(TARGETS)
        try:
            target(pool)
        except CryptolakeError as error:
            assert str(error)
            reactions[f"{target.__name__}: {type(error).__name__}"] += 1
        except Exception as error:
            raise AssertionError(f"{target.__name__} crashed with seed {seed * 1_000_000 + number}") from error
        else:
            reactions[f"{target.__name__}: answered"] += 1
        sent += http.sent
    return reactions


@pytest.mark.parametrize("seed", range(4))
def test_no_answer_crashes(seed: int) -> None:
    reactions = fuzz(seed, SOME // 4)
    assert all(reactions[f"{target.__name__}: answered"] for target in TARGETS)
    assert len(reactions) > 2 * len(TARGETS)


QUESTIONS: list[Question] = [
    ("eth_getBlockByNumber", ["0x7", False]),
    ("eth_getBlockByNumber", ["finalized", False]),
    ("eth_call", [{"to": EMITTER, "data": "0x"}, "0x9"]),
    ("eth_chainId", []),
    ("eth_blockNumber", []),
]
LOGS = LogQuestion("test", [LogFilter(EMITTER, frozenset({TOPIC}))])


def fuzz_readers(seed: int, bodies: int) -> None:
    """The same through what reads alone: envelopes, matching, results by their methods, logs."""
    node = Node(head=5000, call=lambda _to, _data, _block: WORD)
    for number in range(bodies):
        grammar = Grammar(seed * 1_000_000 + number)
        asked = [grammar.random.choice(QUESTIONS) for _ in range(grammar.random.choice((1, 1, 2, 5)))]
        if len(asked) == 1 and grammar.random.random() < 0.5:
            asked = [("eth_getLogs", LOGS.params(100, 130, [EMITTER]))]
        body = [
            {"jsonrpc": "2.0", "id": n, "method": method, "params": params} for n, (method, params) in enumerate(asked)
        ]
        truth = node.answer(orjson.dumps(body if len(body) > 1 else body[0]))
        try:
            for (method, params), reply in zip(
                asked, replies(grammar.answer(truth), [method for method, _ in asked]), strict=True
            ):
                if isinstance(reply, bytes):
                    found = read(method, params, reply)
                    if isinstance(found, bytes):
                        LOGS.salvage(found, 100, 130)
                        LOGS.read(found, 100, 130)
        except CryptolakeError as error:
            assert str(error)
        except Exception as error:
            raise AssertionError(f"a reader crashed with seed {seed * 1_000_000 + number}") from error


def test_no_answer_crashes_its_reader() -> None:
    fuzz_readers(7, SOME)


def fuzz_http(seed: int, answers: int) -> Counter[str]:
    """The same on the wire: headers, statuses, encodings and lengths as no library writes them. What came of them."""
    reactions: Counter[str] = Counter()
    client = Http(timeout_s=PATIENCE_S)
    try:
        with raw_server() as server:
            for number in range(answers):
                server.answer = raw_answer(random.Random(seed * 1_000_000 + number))
                try:
                    (reply,) = replies(client.post(server.url, b"{}"), ["eth_call"])
                except BadInput as error:
                    raise AssertionError(f"an answer is nothing that was put in: {server.answer!r}") from error
                except CryptolakeError as error:
                    assert str(error)
                    reactions[type(error).__name__] += 1
                except Exception as error:
                    raise AssertionError(f"HTTP crashed with {server.answer!r}") from error
                else:
                    reactions["answered" if reply == b'"0x1"' else "refused"] += 1
    finally:
        client.close()
    return reactions


def test_no_answer_crashes_http() -> None:
    reactions = fuzz_http(3, 600)
    assert reactions["answered"] > 50
    assert len(reactions) >= 4


@pytest.mark.parametrize("status", [200, 304, 429, 503])
def test_a_header_that_cannot_be_read_is_left_out(status: int) -> None:
    client = Http(timeout_s=PATIENCE_S)
    try:
        with raw_server() as server:
            odd = b"X-Served-By: Z\xfcrich\r\nRetry-After: \xb2\r\nX-Cache: hit\r\n"
            server.answer = b"HTTP/1.1 %d X\r\n" % status + odd + b"\r\n" + BODY
            answer = client.post(server.url, b"{}")
            assert (answer.status, answer.headers) == (status, {"x-cache": "hit"})
    finally:
        client.close()


@pytest.mark.soak
def test_no_answer_of_very_many_crashes() -> None:
    seed = random.SystemRandom().randrange(10**6)
    fuzz_readers(seed, MANY)
    fuzz_http(seed, MANY // 4)
    fuzz(seed, SOME)


def strange_results(grammar: Grammar) -> bytes:
    """Return data of a contract gone wrong: any length, offsets that point anywhere."""
    words = [
        grammar.random.choice((0, 1, 32, 64, 96, 2**255, 2**256 - 1, 7, 1000))
        for _ in range(grammar.random.randrange(8))
    ]
    return b"".join(one.to_bytes(32, "big") for one in words) + b"\xff" * grammar.random.choice((0, 0, 0, 1, 31))


@pytest.mark.parametrize("seed", range(300))
def test_one_markets_oddity_fails_that_market_alone(seed: int) -> None:
    grammar = Grammar(seed)
    odd = strange_results(grammar)

    def clumsy(_: str) -> Program[int]:
        (given,) = yield [Call(EMITTER, b"odd")]
        found = [text(given.data), addresses_at(given.data, 0), 100 // (given.data[0] - 1), int(text(given.data))]
        return len(found)

    def careful(name: str) -> Program[int]:
        (given,) = yield [Call(EMITTER, name.encode())]
        return word(given.need(name), 0)

    http = Fuzzed(grammar, 0.0)
    http.node.call = lambda _to, data, _block: "0x" + odd.hex() if data == "0x" + b"odd".hex() else WORD
    outcomes = run(pool_over(http, 1), {"odd": clumsy("odd"), "well": careful("well")}, 4000, multicall3=None)
    assert isinstance(outcomes["well"], Finished)
    assert outcomes["well"].value == 5
    failed = outcomes["odd"]
    assert isinstance(failed, Failed)
    assert str(failed.error)
    assert CallResult(True, odd) in [result for stored in failed.transcript for _, result in stored]
