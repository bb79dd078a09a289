"""A boundary that a lying endpoint gave alone is refuted later: days that rest on it are suspect and come right. Real node."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest
from tests.chain.scenario import Fortnight
from tests.hostile.lakes import WANTED, Lake
from tests.hostile.middleman import Change, Middleman, honest
from tests.hostile.server import Hostile
from tests.hostile.two_days import lying, midnight, places
from tests.net.node import Node

from cryptolake.app import App
from cryptolake.contracts.partition import Partition
from cryptolake.work.repair import repair_ledger

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
TVL = [Partition("tvl", one.key, one.period) for one in WANTED]


def served(stack: ExitStack, fortnight: Fortnight, *changes: Change) -> list[str]:
    return [stack.enter_context(Hostile(cast(Node, Middleman(fortnight.node.url, one)))).url for one in changes]


def suspect(app: App) -> set[Partition]:
    return {one for one, entry in app.ledger.states().items() if entry.reason == "suspect"}


def test_days_of_a_boundary_that_moved_are_suspect_and_asked_again(aave_fortnight: Fortnight, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", aave_fortnight)
    day, next_day = lake.eventful[0], WANTED[WANTED.index(lake.eventful[0]) + 1]
    snapshot = TVL[WANTED.index(day)]
    liar = lying(midnight, places(aave_fortnight)["last two of the day"], aave_fortnight)
    with ExitStack() as stack:
        lie, *good = served(stack, aave_fortnight, liar, honest, honest)
        with lake.opened([lie], public_rpc=False) as app:
            lake.collect(app)
            lake.collect(app, TVL)
            assert lake.wrong(app) == [day, next_day]
            assert {one.grade for one in lake.verified(app).values()} == {
                "one_voice"
            }  # as much as one endpoint can say
        with lake.opened(good, operators=["second", "third"], public_rpc=False) as app:
            lake.collect(app, [day], resume=False)
            assert suspect(app) == {next_day, snapshot}
            assert lake.wrong(app) == [next_day]
            repair_ledger(app)
            assert suspect(app) == {next_day, snapshot}  # the answers say it, whoever reads them
            lake.collect(app)
            lake.collect(app, TVL)
            assert not suspect(app)
            assert not lake.wrong(app)
            assert app.ledger.states()[snapshot].block == aave_fortnight.last_block_of(day.period.day)
            assert not app.block_cache.moved()
