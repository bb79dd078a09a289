"""Endpoints that number logs by transaction, as some nodes do: no made-up number in a row, also where one log stands alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.hostile.liars import by_transaction
from tests.hostile.middleman import Change, honest, refusal
from tests.hostile.two_days import EVENTFUL, Day, World, truth_of_two_days, world_of_two_days

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition

FIXTURES = (world_of_two_days, truth_of_two_days)
pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]


def numbering() -> Change:
    """Numbers by transaction whatever is asked for."""

    def answered(question: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
        if question["method"] != "eth_getLogs":
            return None
        reply = ask(question)
        if isinstance(reply.get("result"), list):
            reply["result"] = by_transaction(question["params"][0], reply["result"])
        return reply

    return answered


@pytest.mark.parametrize("grade", ["one_voice", "two_voices"])
@pytest.mark.parametrize("endpoints", [1, 2])
def test_where_all_number_by_transaction_no_day_with_events_lands(
    world: World, truth: dict[Partition, Day], endpoints: int, grade: Grade
) -> None:
    found = world.read(*[numbering() for _ in range(endpoints)], grade=grade)
    for one, day in found.items():
        eventful = one.dataset == "liquidations" and one.period.day == EVENTFUL[0]
        assert day.rows in ((None,) if eventful else (None, truth[one].rows)), one


@pytest.mark.parametrize("grade", ["one_voice", "two_voices"])
def test_one_that_numbers_by_block_makes_every_day_right(
    world: World, truth: dict[Partition, Day], grade: Grade
) -> None:
    odd = numbering()
    for changes in ((odd, honest), (honest, odd), (odd, honest, honest), (odd, odd, honest)):
        found = world.read(*changes, grade=grade)
        assert {one: day.rows for one, day in found.items()} == {one: day.rows for one, day in truth.items()}


def test_a_question_that_was_not_answered_tells_nothing_of_how_an_endpoint_numbers(
    world: World, truth: dict[Partition, Day]
) -> None:
    """The first block that is asked for whole is refused, the next one tells."""
    numbers, refused = numbering(), list[str]()

    def answered(question: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
        if question["method"] == "eth_getLogs" and question["params"][0].get("address") == []:
            block = question["params"][0]["fromBlock"]
            if not refused or block in refused:
                refused.append(block)
                return refusal(question, -32000, "try again")
        return numbers(question, ask)

    found = world.read(answered, grade="one_voice")
    assert len(set(refused)) == 1
    (eventful,) = [one for one in found if one.dataset == "liquidations" and one.period.day == EVENTFUL[0]]
    assert found[eventful].rows is None
