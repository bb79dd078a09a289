"""Transforms leave the raw columns alone, say what they did, and find the complete rectangle that brute force finds."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from cryptolake.errors import BadInput
from cryptolake.registry.markets import unit_number
from cryptolake.research.rectangle import largest_window
from cryptolake.research.transforms import Recipe, fill_limit, prepare
from cryptolake.research.wide import wide

START = date(2024, 12, 1)


def panel(**units: list[float | None]) -> pl.DataFrame:
    rows = [
        (csu, START + timedelta(days=number), value, "x")
        for csu, values in units.items()
        for number, value in enumerate(values)
    ]
    return pl.DataFrame(rows, schema=["csu", "date", "total_tvl_usd", "status"], orient="row").cast(
        {"total_tvl_usd": pl.Float64}
    )


def recipe(**more: object) -> Recipe:
    return Recipe(("total_tvl_usd",), **more)  # type: ignore[arg-type]


def column(frame: pl.DataFrame, name: str, csu: str = "a") -> list[object]:
    return frame.filter(pl.col("csu") == csu)[name].to_list()


def test_nothing_is_done_unless_asked() -> None:
    raw = panel(a=[1.0, None, 3.0], b=[4.0, 5.0, 6.0])
    done = prepare(raw, recipe())
    assert done.frame.select(raw.columns).equals(raw)
    assert column(done.frame, "unit_id", "b") == [unit_number("b")] * 3
    assert column(done.frame, "time_id") == [1, 2, 3]
    assert done.steps == ["balance none: every expected market-day is a row, missing values are null"]


def test_strict_keeps_complete_markets_and_refuses_to_return_nothing() -> None:
    done = prepare(panel(a=[1.0, None, 3.0], b=[4.0, 5.0, 6.0]), recipe(balance="strict"))
    assert done.frame["csu"].unique().to_list() == ["b"]
    assert "1 of 2 markets" in done.steps[0]
    with pytest.raises(BadInput, match="--balance longest"):
        prepare(panel(a=[1.0, None]), recipe(balance="strict"))


def test_filling_is_limited_and_marked() -> None:
    done = prepare(panel(a=[None, 1.0, None, None, None, 6.0], b=[None] * 6), recipe(fill_limit=2))
    assert column(done.frame, "total_tvl_usd") == [None, 1.0, 1.0, 1.0, None, 6.0]
    assert column(done.frame, "total_tvl_usd_imputed") == [False, False, True, True, False, False]
    assert column(done.frame, "total_tvl_usd", "b") == [None] * 6, "a value never crosses over to another market"
    assert "2 values imputed" in done.steps[0]


def test_a_value_is_carried_over_days_of_the_calendar_not_over_rows() -> None:
    raw = panel(a=[1.0, *[None] * 50, 7.0, None, None, None])
    without_rows = raw.filter(pl.col("date").is_in([START, *(START + timedelta(days=day) for day in (50, 51, 53, 54))]))
    done = prepare(without_rows, recipe(fill_limit=2))
    assert column(done.frame, "total_tvl_usd") == [1.0, None, 7.0, 7.0, None]


@given(
    st.lists(st.tuples(st.booleans(), st.one_of(st.none(), st.integers(1, 9))), min_size=1, max_size=30),
    st.integers(1, 5),
)
def test_filling_is_what_a_loop_over_the_calendar_gives(days: list[tuple[bool, int | None]], limit: int) -> None:
    raw = panel(a=[None if value is None else float(value) for _, value in days])
    there = [START + timedelta(days=day) for day, (row, _) in enumerate(days) if row]
    if not there:
        return
    raw = raw.filter(pl.col("date").is_in(there))
    done = prepare(raw, recipe(fill_limit=limit)).frame
    for day, filled in done.select("date", "total_tvl_usd").iter_rows():
        near = [raw.filter(pl.col("date") == day - timedelta(days=back))["total_tvl_usd"] for back in range(limit + 1)]
        wanted = next((one.item() for one in near if one.len() and one.item() is not None), None)
        assert filled == wanted


def test_what_happened_is_never_filled() -> None:
    raw = panel(a=[1.0, None, 3.0]).with_columns(pl.Series("liquidations_usd", [5.0, None, None]))
    done = prepare(raw, Recipe(("total_tvl_usd", "liquidations_usd"), fill_limit=5))
    assert column(done.frame, "liquidations_usd") == [5.0, None, None]
    assert "liquidations_usd_imputed" not in done.frame.columns
    assert any("liquidations_usd not filled" in step for step in done.steps)


def test_a_day_that_nobody_has_a_row_of_is_a_missing_day() -> None:
    raw = panel(a=[1.0, 2.0, 3.0], b=[1.0, 2.0, 3.0]).filter(pl.col("date") != START + timedelta(days=1))
    with pytest.raises(BadInput, match="all 3 days"):
        prepare(raw, recipe(balance="strict"))


def test_a_market_has_the_same_number_whatever_else_is_in_the_file() -> None:
    numbers = {"b": 7}
    alone = prepare(panel(b=[1.0]), recipe(), numbers).frame
    beside = prepare(panel(a=[1.0], b=[1.0], c=[1.0]), recipe(), numbers).frame
    assert column(alone, "unit_id", "b") == column(beside, "unit_id", "b") == [7]
    assert beside["unit_id"].n_unique() == 3


def test_weaker_evidence_than_wanted_is_null_and_the_shares_of_the_rest_are_said() -> None:
    grades = ["one_voice", "two_voices", "two_voices", "receipts_root"]
    raw = panel(a=[1.0, 2.0, 3.0, 4.0]).with_columns(
        pl.Series("liquidations_usd", [5.0, 6.0, 7.0, 8.0]),
        pl.Series("tvl_evidence", grades),
        pl.Series("liquidations_evidence", grades[::-1]),
        pl.lit("ok").alias("status"),
        pl.lit("ok").alias("liquidations_status"),
    )
    done = prepare(raw, Recipe(("total_tvl_usd", "liquidations_usd"), least="two_voices"))
    assert column(done.frame, "total_tvl_usd") == [None, 2.0, 3.0, 4.0]
    assert column(done.frame, "liquidations_usd") == [5.0, 6.0, 7.0, None]
    assert done.evidence["tvl_evidence"] == pytest.approx({"two_voices": 2 / 3, "receipts_root": 1 / 3})
    assert any("2 values of weaker evidence made null" in step for step in done.steps)
    assert any("two_voices 66.7%, receipts_root 33.3%" in step for step in done.steps)


@pytest.mark.parametrize(("text", "limit"), [("none", 0), ("ffill(7)", 7), ("ffill", 1), ("ffill( 3 )", 3)])
def test_how_filling_is_written(text: str, limit: int) -> None:
    assert fill_limit(text) == limit


@pytest.mark.parametrize("text", ["bfill", "ffill(0)", "ffill(-1)", "mean"])
def test_other_fillings_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="ffill"):
        fill_limit(text)


def test_winsorised_copies_stand_beside_the_raw_with_their_cut_offs() -> None:
    raw = panel(a=[float(number) for number in range(101)], b=[1000.0 + number for number in range(101)])
    for within, of_a, of_b in (
        ("market", (5.0, 95.0), (1005.0, 1095.0)),
        ("pooled", (10.05, 1089.95), (10.05, 1089.95)),
    ):
        done = prepare(raw, recipe(winsorize=0.05, within=within))
        assert column(done.frame, "total_tvl_usd")[-1] == 100.0
        cut = column(done.frame, "total_tvl_usd_w")
        assert (min(cut), max(cut)) == pytest.approx((of_a[0], 100.0 if within == "pooled" else of_a[1]))
        cut = column(done.frame, "total_tvl_usd_w", "b")
        assert (min(cut), max(cut)) == pytest.approx((1000.0 if within == "pooled" else of_b[0], of_b[1]))
    assert done.cut_offs == {"total_tvl_usd_w": {"all": (10.05, 1089.95)}}
    assert "10.05 .. 1089.95" in done.steps[-1]
    by_day = prepare(raw, recipe(winsorize=0.25, within="day"))
    assert by_day.cut_offs["total_tvl_usd_w"][str(START)] == (250.0, 750.0)
    assert len(by_day.cut_offs["total_tvl_usd_w"]) == 101


@given(st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=40), st.floats(0.001, 0.4))
def test_no_market_is_held_by_another_ones_tails(values: list[float], share: float) -> None:
    """Whatever else is in the file, a market's winsorised column is that of the market alone."""
    alone = prepare(panel(a=list(values)), recipe(winsorize=share))
    beside = prepare(panel(a=list(values), b=[1e12] * len(values)), recipe(winsorize=share))
    assert column(beside.frame, "total_tvl_usd_w") == column(alone.frame, "total_tvl_usd_w")
    assert column(alone.frame, "total_tvl_usd_w") == pytest.approx(
        np.clip(values, *np.quantile(values, [share, 1 - share])).tolist()
    )


def test_logs_keep_true_zeros_and_differences_do_not_jump_over_gaps() -> None:
    raw = panel(a=[0.0, math.e - 1, None, math.e**2 - 1, math.e**3 - 1], b=[1.0] * 5)
    raw = raw.filter(~((pl.col("csu") == "b") & (pl.col("date") == START + timedelta(days=2))))
    done = prepare(raw, recipe(log=True, diff=True))
    assert column(done.frame, "total_tvl_usd_log")[:2] == [0.0, pytest.approx(1.0)]
    assert column(done.frame, "total_tvl_usd_log_d") == [None, pytest.approx(1.0), None, None, pytest.approx(1.0)]
    assert column(done.frame, "total_tvl_usd_log_d", "b") == [None, 0.0, None, 0.0]


def test_wide_has_one_row_per_day() -> None:
    done = prepare(panel(a=[1.0, 2.0], b=[3.0, None]), recipe(log=True))
    frame, meaning = wide(done, ["total_tvl_usd"])
    assert meaning["total_tvl_usd__a"] == "total_tvl_usd__a"
    assert frame.columns == [
        "date", "time_id", "total_tvl_usd__a", "total_tvl_usd__b", "total_tvl_usd_log__a", "total_tvl_usd_log__b",
    ]  # fmt: skip
    assert frame["total_tvl_usd__b"].to_list() == [3.0, None]


@pytest.mark.parametrize("bad", [recipe(winsorize=0.5), Recipe(("status",)), Recipe(("nonsense",))])
def test_impossible_recipes_are_refused(bad: Recipe) -> None:
    with pytest.raises(BadInput):
        prepare(panel(a=[1.0]), bad)


@settings(max_examples=examples(60))
@given(st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=4))
def test_the_largest_window_is_the_one_brute_force_finds(presence: list[list[bool]]) -> None:
    frame = panel(**{f"u{n}": [1.0 if there else None for there in row] for n, row in enumerate(presence)})
    best = 0
    for start in range(7):
        for end in range(start, 7):
            complete = sum(all(row[start : end + 1]) for row in presence)
            best = max(best, complete * (end - start + 1))
    found = largest_window(frame, ["total_tvl_usd"])
    assert (0 if found is None else len(found.units) * found.days) == best
    if found is not None:
        inside = frame.filter(
            pl.col("csu").is_in(list(found.units)) & pl.col("date").is_between(found.first, found.last)
        )
        assert inside.height == best
        assert inside["total_tvl_usd"].null_count() == 0
