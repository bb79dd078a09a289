"""What is final is no single endpoint's word: neither that a day is over, nor that it is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from tests.chain.scenario import Fortnight
from tests.hostile.lakes import Lake
from tests.hostile.middleman import Middleman, honest, result
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
