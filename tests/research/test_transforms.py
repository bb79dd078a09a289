"""Transforms leave the raw columns alone, say what they did, and find the complete rectangle that brute force finds."""

from __future__ import annotations

import math
from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptolake.errors import BadInput
from cryptolake.research.transforms import Recipe, fill_limit, largest_window, prepare, wide

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
    assert column(done.frame, "unit_id", "b") == [2, 2, 2]
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


@pytest.mark.parametrize(("text", "limit"), [("none", 0), ("ffill(7)", 7), ("ffill", 1), ("ffill( 3 )", 3)])
def test_how_filling_is_written(text: str, limit: int) -> None:
    assert fill_limit(text) == limit


@pytest.mark.parametrize("text", ["bfill", "ffill(0)", "ffill(-1)", "mean"])
def test_other_fillings_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="ffill"):
        fill_limit(text)


def test_winsorised_copies_stand_beside_the_raw_with_their_cut_offs() -> None:
    done = prepare(panel(a=[float(number) for number in range(101)]), recipe(winsorize=0.05))
    assert column(done.frame, "total_tvl_usd")[-1] == 100.0
    assert (column(done.frame, "total_tvl_usd_w")[0], column(done.frame, "total_tvl_usd_w")[-1]) == (5.0, 95.0)
    assert "5.0 .. 95.0" in done.derived["total_tvl_usd_w"]


def test_logs_keep_true_zeros_and_differences_do_not_jump_over_gaps() -> None:
    raw = panel(a=[0.0, math.e - 1, None, math.e**2 - 1, math.e**3 - 1], b=[1.0] * 5)
    raw = raw.filter(~((pl.col("csu") == "b") & (pl.col("date") == START + timedelta(days=2))))
    done = prepare(raw, recipe(log=True, diff=True))
    assert column(done.frame, "total_tvl_usd_log")[:2] == [0.0, pytest.approx(1.0)]
    assert column(done.frame, "total_tvl_usd_log_d") == [None, pytest.approx(1.0), None, None, pytest.approx(1.0)]
    assert column(done.frame, "total_tvl_usd_log_d", "b") == [None, 0.0, None, 0.0]


def test_wide_has_one_row_per_day() -> None:
    done = prepare(panel(a=[1.0, 2.0], b=[3.0, None]), recipe(log=True))
    frame = wide(done, ["total_tvl_usd"])
    assert frame.columns == [
        "date", "time_id", "total_tvl_usd__a", "total_tvl_usd__b", "total_tvl_usd_log__a", "total_tvl_usd_log__b",
    ]  # fmt: skip
    assert frame["total_tvl_usd__b"].to_list() == [3.0, None]


@pytest.mark.parametrize("bad", [recipe(winsorize=0.5), Recipe(("status",)), Recipe(("nonsense",))])
def test_impossible_recipes_are_refused(bad: Recipe) -> None:
    with pytest.raises(BadInput):
        prepare(panel(a=[1.0]), bad)


@settings(max_examples=60)
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
