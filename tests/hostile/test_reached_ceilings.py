"""A ceiling that ends a run is never taken for the silence of those who were not asked for it. Real node, real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest
from tests.chain.scenario import Fortnight
from tests.hostile.lakes import WANTED, Lake
from tests.hostile.middleman import Middleman, honest
from tests.hostile.server import Hostile
from tests.net.node import Node

from cryptolake.contracts.entry import SUSPECT
from cryptolake.contracts.grades import at_least, grade_of
from cryptolake.contracts.partition import Partition
from cryptolake.errors import Stop
from cryptolake.flow.resume import wish_for
from cryptolake.sources.onchain.grading import graded
from cryptolake.work import lending
from cryptolake.work.standing import ANSWERED

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
ALL = [*WANTED[4:6], *(Partition("tvl", one.key, one.period) for one in WANTED[4:6])]


@pytest.fixture
def two(aave_fortnight: Fortnight) -> Iterator[list[str]]:
    """Two honest endpoints of an operator each."""
    with ExitStack() as open_:
        men = [Middleman(aave_fortnight.node.url, honest) for _ in range(2)]
        yield [open_.enter_context(Hostile(cast(Node, one))).url for one in men]


def ended_by(lake: Lake, own: list[str], most: int, *, grade: str = "two_voices", wished: bool = False) -> bool:
    """Collect with so many calls at most; whether the ceiling ended it. What is answered is proven by two all the same."""
    with lake.opened(own, public_rpc=False, grade=grade, max_calls=most) as app:
        ended = False
        try:
            lending.collect(app, [app.registry.csu("local")], wish_for(ALL), proven="receipts_root" if wished else None)
        except Stop as error:
            assert "ceiling reached of this run" in str(error)
            ended = True
        for partition, entry in app.ledger.states().items():
            if entry.state in ANSWERED:
                raw = app.bronze.read(partition, "onchain")
                assert raw is not None
                found = graded(raw)
                assert at_least(found.grade, "two_voices"), (partition, found.says)
                assert (grade_of(entry.grade), entry.reason == SUSPECT) == (found.grade, False), partition
            elif entry.state == "failed":
                assert "ceiling reached" in (entry.error or ""), entry
            else:
                assert entry.state == "claimed", entry
        return ended


@pytest.mark.parametrize("grade", ["two_voices", "receipts"])
def test_what_a_ceiling_leaves_unasked_is_no_answer_of_one_voice(
    aave_fortnight: Fortnight, two: list[str], tmp_path: Path, grade: str
) -> None:
    ends = [ended_by(Lake(tmp_path / str(most), aave_fortnight), two, most, grade=grade) for most in range(10, 90, 10)]
    assert ends[0]
    assert ends == sorted(ends, reverse=True)


def test_a_ceiling_reached_while_more_proof_is_asked_lowers_nothing(
    aave_fortnight: Fortnight, two: list[str], tmp_path: Path
) -> None:
    for most in range(10, 60, 10):
        lake = Lake(tmp_path / str(most), aave_fortnight)
        assert not ended_by(lake, two, 1000)
        ended_by(lake, two, most, grade="receipts", wished=True)
