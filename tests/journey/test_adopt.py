"""A researcher's own folder is taken over as what it is, and is worth as much as any answer once the chain was asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from cryptolake.app import App
from cryptolake.demo.journey import CSU, FIRST, LAST
from cryptolake.demo.replay import Replay, sandbox_registry
from cryptolake.errors import BadInput
from cryptolake.gold.completeness import complete_days, figures
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.lake.tables import Tables
from cryptolake.settings import load_settings
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.work import lending
from cryptolake.work.adopt import Adopted, adopt_folder, made_of_it
from cryptolake.work.chosen_panel import chosen_panel
from cryptolake.work.prices import wanted_of
from cryptolake.work.selection import chosen_wish

pytestmark = pytest.mark.xdist_group("demo")
DAYS = (LAST - FIRST).days + 1
SAID = ("status", "liquidations_status", "reason", "liquidations_reason", "tvl_evidence", "liquidations_evidence")


@pytest.fixture
def kept(demo: tuple[Path, object], tmp_path: Path) -> Path:
    """What somebody kept: the documented days of the demo's market, and no answer."""
    for dataset in ("tvl", "liquidations"):
        target = tmp_path / "kept" / dataset / CSU
        target.mkdir(parents=True)
        for path in (demo[0] / "sandbox" / "bronze" / dataset / CSU).glob("????-??-??.json"):
            shutil.copy(path, target)
    return tmp_path / "kept"


@pytest.fixture
def replay() -> Iterator[Replay]:
    with Replay() as served:
        yield served


def opened(folder: Path, replay: Replay) -> App:
    settings = {"registry": sandbox_registry(), "rpc": {"sandbox": [replay.rpc_url]}, "public_rpc": False}
    return App(load_settings(data=folder, start_date=FIRST, end_date=LAST, grade="one_voice", **settings))


def test_documented_days_are_suspect_and_unproven_until_the_chain_was_asked(
    demo: tuple[Path, object], kept: Path, tmp_path: Path, replay: Replay
) -> None:
    asked = Tables(demo[0] / "sandbox").read(DAILY_PANEL)
    app = opened(tmp_path / "data", replay)
    try:
        csus = [app.registry.csu(CSU)]
        before = len(chosen_wish(app, csus, None))
        assert adopt_folder(app, kept) == Adopted(2 * DAYS, 0, 0, 0, (), ())
        made_of_it(app)
        panel = app.tables.read(DAILY_PANEL)
        assert {entry.grade for entry in app.ledger.states().values()} == {"unproven"}
        assert all("nobody was asked" in str(entry.error) for entry in app.ledger.states().values())
        assert set(panel["status"]) == {"suspect"}
        assert set(panel["liquidations_status"]) == {"suspect"}
        assert set(panel["tvl_evidence"]) == set(panel["liquidations_evidence"]) == {"unproven"}
        numbers = [name for name, dtype in panel.schema.items() if dtype.is_float()]
        assert_frame_equal(panel.select(numbers), asked.select(numbers))
        assert complete_days(panel).is_empty()
        assert figures(panel, ("ok", "suspect"))["total_tvl_usd"].null_count() == DAYS, (
            "suspect days are not unproven ones"
        )
        there = asked["total_tvl_usd"].null_count()
        assert figures(panel, ("suspect",), "unproven")["total_tvl_usd"].null_count() == there
        assert adopt_folder(app, kept).days == 2 * DAYS, "the same folder again is the same"

        ran = lending.run(app, csus, chosen_wish(app, csus, None))
        assert before == len(chosen_wish(app, csus, None))
        assert (ran.collected.done + ran.collected.empty, ran.collected.failed) == (2 * DAYS, 0)
        assert_frame_equal(app.tables.read(DAILY_PANEL).drop(SAID), asked.drop(SAID))
        assert "unproven" not in set(app.tables.read(DAILY_PANEL)["tvl_evidence"])
        assert adopt_folder(app, kept) == Adopted(0, 0, 0, 2 * DAYS, (), ()), "what was answered is not replaced"
    finally:
        app.close()


def test_kept_boundaries_say_where_to_look_and_nothing_else(kept: Path, tmp_path: Path, replay: Replay) -> None:
    shutil.rmtree(kept)
    kept.mkdir()
    days = [FIRST.replace(day=number) for number in range(1, 4)]
    (kept / "blocks.csv").write_text("chain,date,block\n" + "".join(f"sandbox,{day},{7 + day.day}\n" for day in days))
    app = opened(tmp_path / "data", replay)
    try:
        assert adopt_folder(app, kept).boundaries == len(days)
        ends = [int(datetime(2024, 12, day.day + 1, tzinfo=UTC).timestamp()) for day in days]
        assert {header.grade for at in ends if (header := app.block_cache.get("sandbox", at))} == {"unproven"}
        csus = [app.registry.csu(CSU)]
        assert lending.collect(app, csus, chosen_wish(app, csus, None)).failed == 0
        for at in ends:
            header = app.block_cache.get("sandbox", at)
            assert header is not None
            assert (header.grade, bool(header.hash)) == ("one_voice", True)
        assert app.block_cache.moved() == [], "no day rested on what a file said"
    finally:
        app.close()


def test_prices_that_were_taken_over_go_after_everybody_and_are_asked_for(lake: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    app = App(load_settings(data=lake / "data", registry=sandbox_registry()))
    try:
        held = app.tables.read(TVL)
        unpriced = held.filter(pl.col("price").is_null()).select(
            "date", "chain", "asset", pl.lit(96_000.0).alias("close")
        )
        unpriced.write_csv(kept / "prices.csv")
        found = adopt_folder(app, kept, {"price": "close"})
        made_of_it(app)
        assert found.prices == unpriced.height > 0
        valued = app.tables.read(TVL).join(unpriced, on=["date", "chain", "asset"], how="semi")
        assert set(valued["price_flag"]) == {"unproven"}
        panel = chosen_panel(app, None, None, None).panel.join(unpriced, on="date", how="semi")
        assert panel.filter(pl.col("status") == "ok").is_empty()
        assert panel.filter(pl.col("flags").str.contains("price_unproven")).height
        wanted = {(one.period.day, asset) for one, assets in wanted_of(app.tables, "x").items() for asset in assets}
        assert {(day, asset) for day, _, asset, _ in unpriced.iter_rows()} <= wanted, "vendors are asked for them"
    finally:
        app.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"date": "2024-12-06"}, "it is of 2024-12-06"),
        ({"timestamp": 1}, "which is not in the day"),
        ({"block_hash": None}, "must say of which block"),
        ({"tvl_raw": None}, "no list 'tvl_raw'"),
        ({"tvl_raw": [{"asset": "0x1"}]}, "is no address"),
        ({"tvl_raw": [3]}, "is no object"),
    ],
    ids=str,
)
def test_a_folder_with_a_faulty_day_is_refused_whole(
    kept: Path, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    path = kept / "tvl" / CSU / "2024-12-05.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    app = App(load_settings(data=tmp_path / "data", registry=sandbox_registry()))
    try:
        with pytest.raises(BadInput, match=words):
            adopt_folder(app, kept)
        assert not app.ledger.states()
        assert not list((tmp_path / "data").rglob("*.raw.json.gz"))
    finally:
        app.close()


def test_unknown_markets_and_an_empty_folder_are_told(kept: Path, tmp_path: Path) -> None:
    (kept / "tvl" / CSU).rename(kept / "tvl" / "nobodys_market")
    app = App(load_settings(data=tmp_path / "data", registry=sandbox_registry()))
    try:
        assert adopt_folder(app, kept).strangers == ("nobodys_market",)
        with pytest.raises(BadInput, match="nothing to take over"):
            adopt_folder(app, kept / "tvl")
    finally:
        app.close()
