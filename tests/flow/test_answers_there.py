"""A figure is ok only while the answer it rests on lies in bronze, whole: a copy of its digest or its rows proves nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.flow.test_evidence import EVERY, Lake, reasons, said, whole

from cryptolake.app import App
from cryptolake.contracts.partition import Partition
from cryptolake.errors import Stop
from cryptolake.flow.outputs import Built
from cryptolake.gold.daily_panel import TABLE as PANEL
from cryptolake.lake.bronze import Bronze
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.refined import TABLE as REFINED
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.work import handing_out, lending
from cryptolake.work import prices as river
from cryptolake.work.market_days import MarketDays
from cryptolake.work.verify import verify

__all__ = ["said", "whole"]
LOST = {dataset: next(one for one in EVERY if one.dataset == dataset) for dataset in ("tvl", "liquidations")}
ANOTHER = EVERY[1]


def flip(path: Path, place: int = 100) -> None:
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1
    path.write_bytes(content)


HURTS: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "one bit": flip,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "empty": lambda path: path.write_bytes(b""),
    "another answer": lambda path: shutil.copy(Bronze(path.parents[3]).raw_path(ANOTHER, "onchain"), path),
    "the folder": lambda path: shutil.rmtree(path.parent),
}
TRIPS: dict[str, Callable[[App], object]] = {
    "build": lambda app: None,
    "refine": lending.refine,
    "refine of all": lambda app: lending.refine(app, EVERY),
    "rebuild of the market": lambda app: lending.rebuild(app, only=MarketDays(frozenset({"one"}))),
    "reparse of the market": lambda app: lending.rebuild(app, only=MarketDays(frozenset({"one"})), reparse=True),
    "reprice": river.reprice,
    "new quotes": river.value_anew,
}


def anew(lake: Lake) -> App:
    """An app of a new process: it knows of bronze what the folder says."""
    lake.bronze = Bronze(lake.root)
    return lake.app()


def built(lake: Lake) -> tuple[pl.DataFrame, Built]:
    made = lending.build(anew(lake))
    return lake.tables.read(PANEL), made


@pytest.mark.parametrize(("hurt", "dataset"), [(hurt, tuple(LOST)[number % 2]) for number, hurt in enumerate(HURTS)])
def test_no_trip_makes_a_figure_of_an_answer_that_is_not_there(whole: Lake, hurt: str, dataset: str) -> None:
    one, wanted = LOST[dataset], whole.tables.read(PANEL)
    path = whole.bronze.raw_path(one, "onchain")
    kept = path.read_bytes()
    rows = {table: whole.tables.read(table) for table in (TVL, LIQUIDATIONS, REFINED)}
    HURTS[hurt](path)
    for name, trip in TRIPS.items():
        trip(anew(whole))
        panel, made = built(whole)
        assert reasons(made.lacking) == {"damaged"}, name
        assert (one.dataset, one.key, one.period.day) in set(made.lacking.select("dataset", "csu", "date").iter_rows())
        side = "status" if one.dataset == "tvl" else "liquidations_status"
        assert panel.filter(csu=one.key, date=one.period.day)[side].item() == "failed", name
        assert all(whole.tables.read(table).equals(before) for table, before in rows.items()), name
    for reparse in (False, True):
        with pytest.raises(Stop, match="cannot be read any more"):
            lending.rebuild(anew(whole), reparse=reparse)
    (judged,) = verify([one], whole.ledger.states(), Bronze(whole.root), "onchain")
    assert (judged.verdict, "missing or damaged" in judged.says[0]) == ("gap", True)
    with pytest.raises(Stop, match="not what ledger and silver give now"):
        handing_out.require_supported(anew(whole), wanted)
    if hurt != "the folder":
        path.write_bytes(kept)
        assert built(whole)[0].equals(wanted), "what is there again is taken for it"


def test_what_was_read_once_is_not_read_again_until_its_file_looks_otherwise(
    whole: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, _ = built(whole)
    read: list[Partition] = []
    real = Bronze.read
    monkeypatch.setattr(Bronze, "read", lambda self, one, source: read.append(one) or real(self, one, source))
    assert built(whole)[0].equals(wanted)
    assert read == []
    touched = whole.bronze.raw_path(EVERY[3], "onchain")
    os.utime(touched, ns=(0, 0))
    assert built(whole)[0].equals(wanted)
    assert read == [EVERY[3]]
    read.clear()
    assert built(whole)[0].equals(wanted)
    assert read == []


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"tvl/one": 3}', b'{"tvl/one": {"2024-01-30": 3}}'])
def test_without_what_was_kept_of_it_every_answer_is_read(whole: Lake, content: bytes | None) -> None:
    """As in a lake that an older version made."""
    wanted, _ = built(whole)
    file = whole.root / "bronze/whole.json"
    file.unlink() if content is None else file.write_bytes(content)
    assert built(whole)[0].equals(wanted)
    flip(whole.bronze.raw_path(EVERY[0], "onchain"))
    file.unlink(missing_ok=True)
    assert reasons(built(whole)[1].lacking) == {"damaged"}


def test_a_copy_of_the_folder_is_as_good(whole: Lake, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its files have other times."""
    wanted = whole.tables.read(PANEL)
    copy = tmp_path_factory.mktemp("copy") / "lake"
    shutil.copytree(whole.root, copy, copy_function=shutil.copyfile)
    other = Lake(copy, whole.said)
    assert built(other)[0].equals(wanted)
    other.ledger.close()
