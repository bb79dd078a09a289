"""The lock-step driver: programs fail alone, empty is not zero, aggregates split down to single calls."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.net.node import EMITTER

from cryptolake.errors import Narrow, Retry, Skip
from cryptolake.net.envelope import Json
from cryptolake.net.faults import RpcFault
from cryptolake.net.multicall import Call, CallResult, Failed, Finished, Program, replay, run


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
