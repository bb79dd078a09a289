"""What is final is no single endpoint's word: neither that a day is over, nor that it is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from tests.chain.scenario import Fortnight
from tests.hostile.lakes import Lake
from tests.hostile.middleman import Middleman, honest, refusal, result
from tests.hostile.server import Hostile
from tests.net.node import Node

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]


def calling_final(block: int, /, **changed: str) -> Callable[[dict[str, Any], Any], dict[str, Any] | None]:
    """The block of this number is called final, with some of its header changed."""

    def change(asked: dict[str, Any], ask: Any) -> dict[str, Any] | None:
        if (asked["method"], asked["params"][:1]) != ("eth_getBlockByNumber", ["finalized"]):
            return None
        reply: dict[str, Any] = ask({**asked, "params": [hex(block), False]})
        reply["result"] |= changed
        return reply

    return change


def none_final(asked: dict[str, Any], _ask: Any) -> dict[str, Any] | None:
    return result(asked, None) if asked["params"][:1] == ["finalized"] else None


LIES: dict[str, Any] = {
    "an old block": calling_final(5),
    "an old block of now": calling_final(5, timestamp=hex(int(time.time()))),
    "a block of the future": calling_final(5, timestamp=hex(int(time.time())), number=hex(10**6)),
    "none": none_final,
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("first", ["liar first", "honest first"])
def test_no_day_waits_for_ever_on_one_endpoints_word(
    aave_fortnight: Fortnight, tmp_path: Path, lie: str, first: str
) -> None:
    lake, url = Lake(tmp_path / "lake", aave_fortnight), aave_fortnight.node.url
    with (
        Hostile(cast(Node, Middleman(url, LIES[lie]))) as liar,
        Hostile(cast(Node, Middleman(url, honest))) as good,
    ):
        urls = [liar.url, good.url] if first == "liar first" else [good.url, liar.url]
        with lake.opened(urls, public_rpc=False) as app:
            day = lake.eventful[:1]
            found = lake.collect(app, day)
            assert (found.done, found.pending, found.failed) == (1, 0, 0), found.notices
            entry = app.ledger.state(day[0])
            assert entry is not None
            assert entry.grade == "two_voices"


def block_of(lake: Lake, number: int) -> int:
    return number + lake.fortnight.last_block_of(lake.eventful[0].period.day)


def head_of(head: int) -> Callable[[dict[str, Any], Any], dict[str, Any] | None]:
    """A chain without the tag, whose head is this one."""

    def change(asked: dict[str, Any], _ask: Any) -> dict[str, Any] | None:
        if asked["params"][:1] == ["finalized"]:
            return refusal(asked, -32602, "unknown block tag")
        return result(asked, hex(head)) if asked["method"] == "eth_blockNumber" else None

    return change


OVER, NOT_OVER = 2, -2  # blocks after the last one of the day


@pytest.mark.parametrize("tag", [True, False], ids=["finalized", "no such tag"])
@pytest.mark.parametrize(
    ("own", "public", "over"),
    [
        ((NOT_OVER, NOT_OVER), (OVER,), False),
        ((NOT_OVER,), (OVER, OVER), False),
        ((NOT_OVER, OVER), (), False),
        ((OVER, NOT_OVER), (OVER,), False),
        ((NOT_OVER, OVER, OVER), (), True),
        ((OVER, NOT_OVER, NOT_OVER), (), False),
        ((OVER, OVER), (NOT_OVER,), True),
        ((OVER,), (NOT_OVER,), True),
    ],
)
def test_a_day_is_over_when_none_of_ones_own_operators_says_that_it_is_not(
    aave_fortnight: Fortnight,
    tmp_path: Path,
    own: tuple[int, ...],
    public: tuple[int, ...],
    over: bool,
    tag: bool,
) -> None:
    lake = Lake(tmp_path / "lake", aave_fortnight)
    day = lake.eventful[:1]

    def change(after: int) -> Any:
        number = block_of(lake, after)
        return calling_final(number) if tag else head_of(number + 64)

    with ExitStack() as stack:
        mine, theirs = (
            [
                stack.enter_context(Hostile(cast(Node, Middleman(aave_fortnight.node.url, change(one))))).url
                for one in some
            ]
            for some in (own, public)
        )
        with lake.opened(mine, public=theirs, public_rpc=bool(theirs)) as app:
            found = lake.collect(app, day)
            assert (found.done, found.pending, found.failed) == ((1, 0, 0) if over else (0, 1, 0)), found.notices
