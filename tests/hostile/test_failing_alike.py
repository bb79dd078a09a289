"""Two operators that fail in the same odd words are said to be probably one, whatever they are called. Real HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.chain.scenario import Fortnight
from tests.hostile.lakes import WANTED, Lake
from tests.hostile.liars import Instead, Liar, honest

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
ODD = "shard {} of the elephant store went for a walk"


def refusing_wide(words: str) -> Instead:
    """Refuses log questions of more than one block in these words, with another number every time."""
    count = iter(range(1000))

    def instead(asked: list[dict[str, Any]]) -> tuple[int, bytes | None] | None:
        for one in asked:
            given = one["params"][0] if one["method"] == "eth_getLogs" else {}
            if "fromBlock" in given and int(given["toBlock"], 16) - int(given["fromBlock"], 16) > 0:
                said = words.format(next(count))
                return (
                    200,
                    f'{{"jsonrpc":"2.0","id":{one["id"]},"error":{{"code":-32000,"message":"{said}"}}}}'.encode(),
                )
        return None

    return instead


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        (ODD, ODD, ("operator-1 and operator-2",)),
        (ODD, "no {} today, ask the keeper of the elephants again", ()),
        ("internal error {}", "internal error {}", ()),
    ],
    ids=["the same odd words", "other words", "everybody's words"],
)
def test_who_fails_in_the_same_odd_words_is_named(
    aave_fortnight: Fortnight, tmp_path: Path, first: str, second: str, alike: tuple[str, ...]
) -> None:
    lake, url = Lake(tmp_path / "lake", aave_fortnight), aave_fortnight.node.url
    with (
        Liar(url, honest, instead=refusing_wide(first)) as one,
        Liar(url, honest, instead=refusing_wide(second)) as other,
        lake.opened([one.url, other.url], public_rpc=False, grade="two_voices") as app,
    ):
        lake.collect(app, WANTED[:1])
        found = lake.verified(app)[WANTED[0]]
        assert (found.grade, found.alike) == ("two_voices", alike)
