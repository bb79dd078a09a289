"""Where a log stands is the node's word: one that contradicts itself is asked elsewhere, and never loses an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest
from tests.net.node import ADDRESSES, EMITTER, TOPIC, Node, pool_of

from cryptolake.net.blocks import BlockRange
from cryptolake.net.faults import Malformed
from cryptolake.net.logs import LogFilter, LogQuestion, gather
from cryptolake.net.scan import scan

FILTERS = [LogFilter(EMITTER, frozenset({TOPIC}))]
RANGE = BlockRange(0, 120)


def several(number: int) -> list[int]:
    """Three events, each of its own transaction, in every seventh block."""
    return [0, 1, 2] if number % 7 == 0 else []


def numbered(log: dict[str, object], **changed: object) -> dict[str, object]:
    """The log with its transaction's number, which is its own, and what a node says otherwise."""
    return {**log, "transactionIndex": log["logIndex"], **changed}


LIES: dict[str, Callable[[int], dict[str, object]]] = {
    "counts in each transaction anew": lambda _index: {"logIndex": "0x0"},
    "does not count": lambda index: {"logIndex": "0x2" if index else "0x0"},
    "counts backwards": lambda index: {"logIndex": hex(9 - index)},
    "gives one block two hashes": lambda index: {"blockHash": f"0x{index + 1:064x}"},
    "gives one transaction two numbers": lambda index: {"transactionHash": "0x" + "5" * 64, "logIndex": hex(index)},
}


class Liar(Node):
    """Says of the events of block 49 what it likes."""

    def __init__(self, lie: str) -> None:
        super().__init__(logs_of=several)
        self.lie = LIES[lie]

    def log(self, number: int, index: int) -> dict[str, object]:
        told = numbered(super().log(number, index))
        return {**told, **self.lie(index)} if number == 49 else told


class Honest(Node):
    """Numbers transactions too."""

    def log(self, number: int, index: int) -> dict[str, object]:
        return numbered(super().log(number, index))


TRUTH = [(number, index) for number in range(0, 120, 7) for index in range(3)]


@pytest.mark.parametrize("lie", LIES)
def test_no_event_is_lost_while_somebody_counts_well(lie: str) -> None:
    pool = pool_of(Liar(lie), Honest(logs_of=several), span=40)
    logs, _ = gather(scan(pool, FILTERS, RANGE))
    assert [(one.block, one.index) for one in logs] == TRUTH


@pytest.mark.parametrize("lie", LIES)
def test_where_all_count_badly_the_emitter_is_not_known_there(lie: str) -> None:
    answered = list(scan(pool_of(Liar(lie), Liar(lie), span=40), FILTERS, RANGE))
    assert {bool(one.unread) for one in answered if one.window.start <= 49 < one.window.end} == {True}
    assert not any(one.unread for one in answered if not one.window.start <= 49 < one.window.end)
    logs, _ = gather(answered)
    assert [(one.block, one.index) for one in logs] == [one for one in TRUTH if one[0] != 49]


def test_an_event_given_twice_is_one() -> None:
    question = LogQuestion("test", FILTERS)
    told = Honest().log(7, 0)
    assert len(question.read(orjson.dumps([told, told]), 0, 10)) == 1
    with pytest.raises(Malformed, match="contradict"):
        question.read(orjson.dumps([told, {**told, "data": "0x01"}]), 0, 10)


def test_two_answers_to_parts_of_one_question_do_not_share_a_place() -> None:
    """An endpoint that takes one address at a time gives each emitter's first event the number 0."""

    class OneAtATime(Node):
        def _logs(self, asked: Mapping[str, Any]) -> dict[str, object]:
            addresses = asked["address"] if isinstance(asked["address"], list) else [asked["address"]]
            if len(addresses) > 1:
                return {"error": {"code": -32602, "message": "query exceeds limit: too many addresses"}}
            found = super()._logs({**asked, "address": EMITTER})
            rows = found.get("result")
            return (
                {"result": [{**one, "address": addresses[0].lower()} for one in rows]}
                if isinstance(rows, list)
                else found
            )

    filters = [*FILTERS, LogFilter(ADDRESSES[0], frozenset({TOPIC}))]
    answered = list(scan(pool_of(OneAtATime()), filters, BlockRange(0, 30)))
    told = [one for one in answered if any(one.window.start <= block < one.window.end for block in range(0, 30, 7))]
    assert {one.unread for one in told} == {frozenset({EMITTER, ADDRESSES[0]})}
    assert sum(one.window.end - one.window.start for one in answered) == 30
