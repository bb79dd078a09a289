"""A chain whose only endpoints answer nothing is waited for once: by whatever it is asked, and whatever it does instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from tests.net.node import EMITTER
from tests.net.test_doubts import FILTERS, Rule, Server, Time, blocks_of, pool_on, scanned

from cryptolake.errors import CryptolakeError, Retry
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.faults import NotAwaited
from cryptolake.net.http import TooSlow
from cryptolake.net.logs import gather
from cryptolake.net.patience import WAIT_S
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan

DEADLINE_S = 60.0


def nothing(time: Time) -> Rule:
    """Takes the question and answers nothing until its deadline."""

    def rule(_: Any) -> None:
        time.elapse(DEADLINE_S)
        raise TooSlow("no whole answer within 60 s")

    return rule


DEAD: dict[str, Callable[[Time], Rule]] = {
    "silent": nothing,
    "429 for ever": lambda _: lambda asked: (429, b""),
    "429 for ever, says when": lambda _: lambda asked: (429, b"", {"retry-after": "30"}),
}
QUESTIONS: dict[str, Callable[[Pool], object]] = {
    "a call": lambda pool: pool.call("eth_call", [{"to": EMITTER, "data": "0x"}, "0x10"]),
    "headers": lambda pool: Blocks(pool).headers(range(300)),
    "the head": lambda pool: pool.finalized(),
    "logs": lambda pool: gather(scan(pool, FILTERS, BlockRange(0, 7200))),
}


@pytest.mark.parametrize("dead", DEAD)
@pytest.mark.parametrize("first", QUESTIONS)
def test_one_question_waited_for_in_vain_ends_all_others_at_once(first: str, dead: str) -> None:
    time = Time()
    server = Server(DEAD[dead](time))
    pool = pool_on(server, time=time)
    with pytest.raises(Retry):
        QUESTIONS[first](pool)
    waited = time.now - 1000
    assert WAIT_S <= waited + 1 <= 4 * WAIT_S
    asked, errors = len(server.asked), set[str]()
    for ask in QUESTIONS.values():
        for _ in range(3):
            with pytest.raises(NotAwaited) as error:
                ask(pool)
            errors.add(str(error.value))
    assert (len(server.asked), time.now - 1000) == (asked, waited)
    assert len(errors) == 1, "one reason for all"
    pool.hope()  # the next run
    server.rule = lambda _: None
    for ask in QUESTIONS.values():
        ask(pool)


@pytest.mark.parametrize("dead", DEAD)
def test_the_next_run_waits_less_for_who_is_dead_still(dead: str) -> None:
    time = Time()
    pool = pool_on(Server(DEAD[dead](time)), time=time)
    for _ in range(5):
        pool.hope()
        with pytest.raises(Retry):
            QUESTIONS["a call"](pool)
    assert time.now - 1000 <= 10 * WAIT_S


def test_who_answered_before_is_waited_for_longer_and_then_given_up_too() -> None:
    time = Time()
    server = Server(lambda _: None)
    pool = pool_on(server, time=time)
    QUESTIONS["a call"](pool)
    server.rule = nothing(time)
    with pytest.raises(CryptolakeError):
        QUESTIONS["logs"](pool)
    assert 2 * WAIT_S < time.now - 1000 <= 8 * WAIT_S
    asked = len(server.asked)
    with pytest.raises(NotAwaited):
        QUESTIONS["a call"](pool)
    assert len(server.asked) == asked


def test_a_window_that_is_never_answered_for_its_size_is_halved_and_not_given_up() -> None:
    """Whatever time it takes: nobody else can be asked."""
    time = Time()

    def rule(asked: Any) -> None:
        if blocks_of(asked) > 500:
            time.elapse(DEADLINE_S)
            raise TooSlow("no whole answer within 60 s")

    pool = pool_on(Server(rule), time=time)
    scanned(pool, 7200)
    assert pool.stations[0].learned.span == 500


def test_a_limit_that_locks_out_for_a_minute_is_waited_for() -> None:
    time, until = Time(), 0.0

    def rule(asked: Any) -> tuple[int, bytes] | None:
        nonlocal until
        if len(server.asked) == 10:
            until = time.now + 60.0
        return (429, b"") if time.now < until else None

    server = Server(rule)
    pool = pool_on(server, time=time)
    scanned(pool, 40_000)


def test_who_is_silent_is_known_while_it_is_waited_for() -> None:
    time, seen = Time(), list[bool]()

    def rule(asked: Any) -> None:
        time.elapse(5.0)
        seen.append(pool.silent)

    server = Server(rule)
    pool = pool_on(server, time=time)
    QUESTIONS["a call"](pool)
    assert seen == [True] * len(server.asked)
    assert not pool.silent
    assert orjson.dumps(server.asked[0]).count(b"eth_chainId") == 1
