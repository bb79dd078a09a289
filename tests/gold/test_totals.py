"""A total is a total: what lacks a price either cannot matter, or there is no total and the rest has a name of its own."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gold.test_daily_panel import DAY, conform, expected, panel_row, row

from cryptolake.gold.completeness import VALUES, complete_days, figures, side_of
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.gold.daily_panel import build
from cryptolake.gold.totals import MISSING_TOLERANCE
from cryptolake.research.describe import describe
from cryptolake.research.transforms import Recipe, prepare
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.tvl import TABLE as TVL

TOTALS = ("total_tvl_usd", "total_supplied_usd", "total_borrowed_usd", "gross_tvl_usd", "cash_usd", "collateral_usd")
DOLLAR = 10**8
BEFORE = DAY - timedelta(days=1)


def panel_of(rows: list[dict[str, object]]) -> dict[str, object]:
    """The row of the last day."""
    days = pl.concat([expected("done", "empty", day=day) for day in (BEFORE, DAY)])
    return panel_row(build(conform(rows), LIQUIDATIONS.empty(), days).filter(pl.col("date") == DAY))


def events(*priced: tuple[float, float | None]) -> pl.DataFrame:
    """A day's liquidations: debt repaid in tokens and in USD (None: no price)."""
    every = LIQUIDATIONS.empty().schema
    made = [
        {
            **dict.fromkeys(every),
            "chain": "c",
            "tx": f"0x{n}",
            "log_index": n,
            "csu": "m",
            "date": DAY,
            "is_dust": False,
            "debt_asset": f"debt {n}",
            "debt_amount": amount,
            "debt_usd": usd,
            "collateral_asset": "c",
            "collateral_amount": 1.0,
            "collateral_usd": 1.0,
        }
        for n, (amount, usd) in enumerate(priced)
    ]
    return pl.DataFrame(made, schema=every)


@given(
    priced=st.integers(1, 10**15),
    unpriced=st.integers(0, 10**15),
    last=st.one_of(st.none(), st.integers(1, 10**10)),
)
def test_totals_stand_only_where_what_lacks_a_price_cannot_matter(priced: int, unpriced: int, last: int | None) -> None:
    """Bounded by the token's last price, or by what no token exceeds; the named partial sum is always there."""
    rows = [row("a", priced, priced // 2, DOLLAR), row("b", unpriced, 0, None)]
    if last is not None:
        stamp = int(str(rows[0]["timestamp"])) - 86_400
        rows.append(row("b", 10**6, 0, last, date=BEFORE, timestamp=stamp))
    found = panel_of(rows)
    bound = 10**6 if last is None else last / DOLLAR
    missing = unpriced / 10**6 * bound
    share = missing / (missing + priced / 10**6)
    assert found["priced_value_share"] == pytest.approx(1 - share)
    assert found["priced_supplied_usd"] == pytest.approx(priced / 10**6)
    if share == pytest.approx(MISSING_TOLERANCE):
        return
    if share > MISSING_TOLERANCE:
        assert found["status"] == "missing_price"
        assert [found[name] for name in TOTALS] == [None] * len(TOTALS)
        assert found["utilization_rate"] is None
    else:
        assert (found["status"], found["total_supplied_usd"]) == ("ok", found["priced_supplied_usd"])


def test_dust_of_a_token_without_price_hides_nothing_and_a_third_does() -> None:
    """A millionth of a token leaves 1,000,000 USD as they are; 37 % of the value do not."""
    dust = panel_of([row("a", 10**12, 0, DOLLAR), row("b", 1, 0, None)])
    assert (dust["status"], dust["total_tvl_usd"]) == ("ok", 1e6)
    held = panel_of([row("a", 63 * 10**6, 0, DOLLAR), row("b", 37, 0, None)])
    assert (held["status"], held["total_tvl_usd"], held["priced_tvl_usd"]) == ("missing_price", None, 63.0)


def test_another_market_bounds_nothing() -> None:
    """A row depends on its own market: what others knew of the token does not change it."""
    mine = [row("a", 10**9, 0, DOLLAR), row("b", 100, 0, None)]
    other = row("b", 10**6, 0, 1, csu="n", date=BEFORE, timestamp=int(str(mine[0]["timestamp"])) - 86_400)
    alone, beside = panel_of(mine), panel_of([*mine, other])
    assert alone == beside


def test_an_empty_market_is_zero() -> None:
    found = panel_row(build(TVL.empty(), LIQUIDATIONS.empty(), expected("empty", "empty")))
    assert [found[name] for name in TOTALS] == [0.0] * len(TOTALS)
    assert (found["status"], found["num_assets"], found["priced_value_share"]) == ("ok", 0, 1.0)


def test_rows_that_silver_lacks_are_no_zero() -> None:
    """The ledger says that the answer had rows; that none is there is no empty market."""
    found = panel_row(build(TVL.empty(), LIQUIDATIONS.empty(), expected("done", "empty")))
    assert [found[name] for name in TOTALS] == [None] * len(TOTALS)


@pytest.mark.parametrize(
    ("told", "total", "partial", "status"),
    [
        (((1.0, 1000.0), (1e-9, None)), 1000.0, 1000.0, "ok"),
        (((1.0, 1000.0), (1.0, None)), None, 1000.0, "missing_price"),
        (((1.0, None),), None, None, "missing_price"),
        (((1.0, 1000.0),), 1000.0, 1000.0, "ok"),
        ((), 0.0, 0.0, "ok"),
    ],
)
def test_liquidations_are_a_total_or_none(
    told: tuple[tuple[float, float | None], ...], total: float | None, partial: float | None, status: str
) -> None:
    day = expected("done", "done" if told else "empty")
    found = panel_row(build(conform([row("a", 10**12, 10**11, DOLLAR)]), events(*told), day))
    assert (found["liquidations_usd"], found["priced_liquidations_usd"]) == (total, partial)
    assert (found["liquidations_status"], found["liquidation_count"]) == (status, len(told))


@given(
    st.lists(st.tuples(st.sampled_from("mno"), st.integers(0, 9), st.sampled_from(["ok", "suspect", "missing_price"])))
)
def test_describe_and_export_count_the_same_days(days: list[tuple[str, int, str]]) -> None:
    """Whoever counts complete market-days counts what `figures` leaves: describe's rectangle is the one exported."""
    states = {(csu, day): state for csu, day, state in days}
    rows = [
        {
            **dict.fromkeys(DAILY_PANEL.columns),
            "csu": csu,
            "date": DAY + timedelta(days=day),
            "status": state,
            "liquidations_status": "ok",
            "flags": "",
            **dict.fromkeys(VALUES, 1.0),
        }
        for (csu, day), state in sorted(states.items())
    ]
    panel = pl.DataFrame(rows, schema=DAILY_PANEL.polars_schema())
    described = describe(panel)
    window = described.window
    kept = complete_days(panel)
    whole = {(csu, DAY + timedelta(days=day)) for (csu, day), state in states.items() if state == "ok"}
    assert described.complete == kept.height
    assert set(kept.iter_rows()) == whole
    if window is None:
        assert "ok" not in states.values()
        return
    exported = prepare(panel, Recipe(balance="longest")).frame
    assert (exported["date"].min(), exported["date"].max()) == (window.first, window.last)
    assert exported["csu"].unique().sort().to_list() == list(window.units)
    assert set(exported["status"]) == {"ok"}


def test_figures_of_a_side_go_with_its_own_state() -> None:
    panel = pl.DataFrame(
        [{"status": "suspect", "liquidations_status": "ok", "total_tvl_usd": 1.0, "liquidations_usd": 2.0, "block": 3}]
    )
    assert figures(panel).row(0)[2:] == (None, 2.0, 3)
    assert figures(panel, ("ok", "suspect")).row(0)[2:] == (1.0, 2.0, 3)
    assert {side_of(name) for name in DAILY_PANEL.columns} == {"status", "liquidations_status"}
