"""The lock-step driver: programs fail alone, empty is not zero, aggregates split down to single calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.chain.anvil import CHAIN_ID, Anvil
from tests.net.node import EMITTER
from tests.waiting import PATIENCE_S

from cryptolake.demo.aggregate3 import decode_calls, encode_results
from cryptolake.errors import Narrow, Retry, Skip
from cryptolake.net.abi import WORD, decode_aggregate3, encode_aggregate3
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.envelope import Json
from cryptolake.net.faults import RpcFault
from cryptolake.net.http import Answer, Http
from cryptolake.net.memory import Memory
from cryptolake.net.multicall import MULTICALL3, Call, CallResult, Failed, Finished, Program, replay, run
from cryptolake.net.reverts import TRUSTED_BLOCKS, Reverts
from cryptolake.net.rpc import Pool


@pytest.fixture
def http() -> Iterator[Http]:
    client = Http(timeout_s=PATIENCE_S)
    yield client
    client.close()


class Contracts:
    """Answers eth_call by the call data's last byte; refuses aggregates of more than `most` bytes of call data."""

    def __init__(self, most: int) -> None:
        self.most = most

    def call(self, method: str, params: Sequence[Json]) -> Json:
        raise Narrow("too big")  # every aggregate is refused: the driver must get down to single calls

    def batch(self, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]:
        answers: list[Json | RpcFault] = []
        for _, params in calls:
            question = params[0]
            assert isinstance(question, dict)
            data = str(question["data"])
            answers.append(
                RpcFault(3, "execution reverted") if data.endswith("ff") else "0x" if data.endswith("ee") else data
            )
        return answers


def asks(*payloads: bytes) -> Program[list[CallResult]]:
    answers = yield [Call(EMITTER, payload) for payload in payloads]
    for answer in answers:
        answer.need("a read")
    return list(answers)


def test_a_failing_program_fails_alone_and_empty_is_not_zero() -> None:
    outcomes = run(
        Contracts(0), {"good": asks(b"\1", b"\2"), "reverts": asks(b"\xff"), "empty": asks(b"\3", b"\xee")}, 1
    )
    good = outcomes["good"]
    assert isinstance(good, Finished)
    assert [one.data for one in good.value] == [b"\1", b"\2"]
    for name, reason in (("reverts", "revert"), ("empty", "not_deployed")):
        failed = outcomes[name]
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, Skip)
        assert failed.error.reason == reason
    assert replay(asks(b"\1", b"\2"), good.transcript) == good.value
    with pytest.raises(Skip, match="not recorded"):
        replay(asks(b"\7"), good.transcript)


class Refusing(Contracts):
    """Refuses whatever holds the call whose data end in `dd`, however small the question is."""

    def batch(self, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]:
        if any(str(params[0]).endswith("dd'}") for _, params in calls):
            raise Narrow("response size exceeded")
        return super().batch(calls)


@pytest.mark.parametrize("multicall3", [None, EMITTER])
def test_a_refused_call_is_no_revert_and_fails_whoever_asks_it_alone(multicall3: str | None) -> None:
    """Of a revert a reader may conclude that there is no such thing, and leave it out of a sum."""

    def optional(payload: bytes) -> Program[list[bytes]]:
        answers = yield [Call(EMITTER, b"\1"), Call(EMITTER, payload)]
        return [one.data for one in answers if one.success]

    programs = {"refused": optional(b"\xdd"), "reverted": optional(b"\xff"), "good": optional(b"\2")}
    outcomes = run(Refusing(0), programs, 1, multicall3=multicall3)
    assert isinstance(outcomes["refused"], Failed)
    assert isinstance(outcomes["refused"].error, Retry)
    assert outcomes["refused"].transcript == []
    for name, expected in (("reverted", [b"\1"]), ("good", [b"\1", b"\2"])):
        outcome = outcomes[name]
        assert isinstance(outcome, Finished)
        assert outcome.value == expected


class SharedGas:
    """A node whose questions have `gas` each: an aggregate shares it among its calls, and a batch too if `batches_share`.

    A call takes as much as its data's first byte says. The last byte `ff` makes it revert, whatever it has.
    """

    def __init__(self, gas: int, *, batches_share: bool = False) -> None:
        self.gas, self.batches_share = gas, batches_share
        self.sizes: list[int] = []
        self.working: set[bytes] = set()  # calls that used to revert

    def call(self, method: str, params: Sequence[Json]) -> Json:
        raise AssertionError("the driver asks in batches")

    def batch(self, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]:
        self.sizes.append(len(calls))
        answers: list[Json | RpcFault] = []
        left = self.gas
        for _, params in calls:
            question = params[0]
            assert isinstance(question, dict)
            data = bytes.fromhex(str(question["data"])[2:])
            left = left if self.batches_share else self.gas
            if question["to"] == MULTICALL3:
                answers.append(self._aggregate(str(question["data"])))
                continue
            left -= data[0]
            if left < 0:
                words = (
                    "execution reverted" if self.batches_share and len(calls) > 1 else "VM execution error: out of gas"
                )
                answers.append(RpcFault(-32015, words))
            else:
                answers.append(RpcFault(3, "execution reverted") if self._reverts(data) else "0x" + data.hex())
        return answers

    def _reverts(self, payload: bytes) -> bool:
        return payload[-1] == 0xFF and payload not in self.working

    def _aggregate(self, question: str) -> str:
        left, results = self.gas, []
        for inner in decode_calls(question):
            payload = bytes.fromhex(inner.data[2:])
            left -= payload[0]
            good = left >= 0 and not self._reverts(payload)
            results.append((good, inner.data if good else "0x"))
        return encode_results(results)


@pytest.mark.parametrize("multicall3", [MULTICALL3, None])
def test_out_of_gas_is_no_revert(multicall3: str | None) -> None:
    """Calls that are too much together are asked alone; one that is too much alone has no answer; a revert is one."""

    node = SharedGas(100, batches_share=multicall3 is None)
    programs = {
        "together": optional(b"\x3c\1", b"\x3c\2", b"\x3c\3"),
        "reverts": optional(b"\1\4", b"\1\xff"),
        "too much": optional(b"\x65\5"),
    }
    outcomes = run(node, programs, 1, multicall3=multicall3)
    for name, expected in (("together", [True, True, True]), ("reverts", [True, False])):
        outcome = outcomes[name]
        assert isinstance(outcome, Finished)
        assert outcome.value == expected
    too_much = outcomes["too much"]
    assert isinstance(too_much, Failed)
    assert isinstance(too_much.error, Retry)


def optional(*payloads: bytes) -> Program[list[bool]]:
    """Says which of its calls were answered."""
    answers = yield [Call(EMITTER, payload) for payload in payloads]
    return [one.success for one in answers]


def read(node: SharedGas, block: int, reverts: Reverts, *payloads: bytes) -> list[bool]:
    """What one program learns at a block."""
    outcome = run(node, {"market": optional(*payloads)}, block, reverts=reverts)["market"]
    assert isinstance(outcome, Finished)
    return outcome.value


def test_a_call_that_reverts_every_day_is_asked_alone_once_a_month() -> None:
    node, reverts = SharedGas(100), Reverts()
    for block in range(TRUSTED_BLOCKS + 2):
        node.sizes.clear()
        assert read(node, block, reverts, b"\1\1", b"\2\xff", b"\1\3") == [True, False, True]
        assert node.sizes == ([1, 1] if block in {0, TRUSTED_BLOCKS + 1} else [1])


def test_of_a_call_that_reverted_before_an_empty_tank_proves_nothing() -> None:
    """What is known comes first; where nothing behind it was answered, nobody knows whether it had gas."""
    node, reverts = SharedGas(100), Reverts()
    assert read(node, 1, reverts, b"\x3c\xff", b"\x50\xff", b"\x64\1") == [False, False, True]
    # At the next block the second one works: it gets no gas behind the first, nor does anybody else.
    node.working = {b"\x50\xff"}
    assert read(node, 2, reverts, b"\x3c\xff", b"\x50\xff", b"\x64\1") == [False, True, True]


def test_a_call_that_works_now_is_answered_whatever_was_known_of_it() -> None:
    node, reverts = SharedGas(100), Reverts()
    assert read(node, 1, reverts, b"\1\xff", b"\1\1") == [False, True]
    node.working = {b"\1\xff"}
    assert read(node, 2, reverts, b"\1\xff", b"\1\1") == [True, True]


def test_a_failing_program_is_not_saved_by_what_other_programs_were_told() -> None:
    """A known revert stays the answer of whoever asks it: its program fails, the other goes on."""
    node, reverts = SharedGas(100), Reverts()
    for block in (1, 2):
        found = run(node, {"needs": asks(b"\1\xff"), "well": asks(b"\1\1", b"\1\2")}, block, reverts=reverts)
        assert isinstance(found["needs"], Failed)
        assert isinstance(found["needs"].error, Skip)
        assert found["needs"].error.reason == "revert"
        assert isinstance(found["well"], Finished)


# Counts down from 25 million, which takes about 650 million gas, then answers 1.
BUSY = "0x63017d78405b60019003806005576001600052" + "60206000f3"


def test_on_a_real_node_two_busy_contracts_are_too_much_for_one_aggregate_and_both_answer(
    anvil: Anvil, http: Http
) -> None:
    places = [f"0x{number:040x}" for number in (0xB0B1, 0xB0B2)]
    for place in places:
        anvil.rpc("anvil_setCode", place, BUSY)

    def ask(place: str) -> Program[int]:
        (answer,) = yield [Call(place, b"")]
        return int.from_bytes(answer.need("a busy read"))

    pool = Pool("anvil", CHAIN_ID, [Endpoint("anvil", SecretUrl(anvil.url))], http)
    aggregate = encode_aggregate3([(place, b"") for place in places])
    said = pool.call("eth_call", [{"to": MULTICALL3, "data": "0x" + aggregate.hex()}, "latest"])
    assert [good for good, _ in decode_aggregate3(bytes.fromhex(str(said)[2:]))] == [True, False]
    outcomes = run(pool, {place: ask(place) for place in places}, anvil.number())
    assert [one.value for one in outcomes.values() if isinstance(one, Finished)] == [1, 1]


class Limited:
    """An endpoint in place of the HTTP client: refuses calls whose data is longer than `most` bytes, in these words."""

    def __init__(self, most: int, words: str) -> None:
        self.most, self.words = most, words
        self.refused = 0

    def post(self, url: str, body: bytes, **_: object) -> Answer:
        asked = orjson.loads(body)
        many = asked if isinstance(asked, list) else [asked]
        return Answer(
            200, {}, orjson.dumps([self._answer(one) for one in many] if many is asked else self._answer(asked)), 0.01
        )

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        given = {"jsonrpc": "2.0", "id": question["id"]}
        if question["method"] != "eth_call":
            return given | {"result": hex(CHAIN_ID if question["method"] == "eth_chainId" else 10**6)}
        data = question["params"][0]["data"]
        if len(data) // 2 > self.most:
            self.refused += 1
            return given | {"error": {"code": -32000, "message": self.words}}
        return given | {"result": encode_results([(True, call.data) for call in decode_calls(data)])}


@pytest.mark.parametrize(
    "words", ["out of gas", "execution aborted (timeout = 5s)", "request entity too large", "words nobody has read"]
)
def test_how_many_calls_one_takes_is_learned_and_kept_between_runs(tmp_path: Path, words: str) -> None:
    """Whatever it is that is too much: it is met while it is found out, not every day anew."""
    node, waits = Limited(10_000, words), list[float]()
    calls = [number.to_bytes(WORD, "big") for number in range(400)]

    def day(pool: Pool, block: int) -> int:
        before = node.refused
        outcome = run(pool, {"a": asks(*calls)}, block)["a"]
        assert isinstance(outcome, Finished)
        assert [one.data for one in outcome.value] == calls
        return node.refused - before

    def pool() -> Pool:
        endpoint = Endpoint("mine", SecretUrl("http://mine"), Limits(rate=1e9))
        return Pool("test", CHAIN_ID, [endpoint], node, memory=Memory(tmp_path), sleep=waits.append)  # type: ignore[arg-type]

    first = pool()
    refusals = [day(first, block) for block in range(100, 110)]
    first.remember()
    assert sum(refusals[5:]) <= 2, "it is looked from time to time whether more is taken by now"
    assert sum(waits) < 30, "what is not done in time is halved, not waited for"
    assert day(pool(), 200) == 0
