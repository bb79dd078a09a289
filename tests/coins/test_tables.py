"""Derived columns, hash, marts and checks against plain-Python readings of their definitions."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.coins.vendor import ASKED_AT, coin, coins_of
from tests.examples import examples

from cryptolake.gold import crypto_analytics_mart, crypto_market_summary, market_segment_analysis
from cryptolake.publish.months import later, months
from cryptolake.quality import coins as quality
from cryptolake.silver.crypto_market_global import TABLE as GLOBAL
from cryptolake.silver.crypto_market_history import TABLE as HISTORY
from cryptolake.silver.crypto_market_history import build as history
from cryptolake.silver.staging_crypto_market import TABLE as STAGING
from cryptolake.silver.staging_crypto_market import conform, record_hash

FIELDS = list(STAGING.columns[: STAGING.columns.index("market_cap_category")])
TOTALS: list[dict[str, object]] = [
    {
        "active_cryptocurrencies": 9,
        "markets": 1,
        "total_market_cap": 2e12,
        "total_volume": 1e11,
        "last_updated": ASKED_AT,
    }
]
_money = st.none() | st.floats(0, 1e15, allow_subnormal=False) | st.just(0.0)
_coin = st.fixed_dictionaries(
    {
        "current_price": _money,
        "market_cap": _money,
        "market_cap_rank": st.none() | st.integers(1, 2000),
        "total_volume": _money,
        "high_24h": _money,
        "low_24h": _money,
        "ath": _money,
        "price_change_percentage_24h": st.none()
        | st.floats(-100, 1e37)
        | st.sampled_from([0.0, 10.0, -10.0, 10.000001]),
    }
)


def row(number: int, **changes: object) -> dict[str, Any]:
    """A vendor row as the source reads it."""
    made = coin(number, id=f"coin-{number:04}", **changes)
    for name in ("ath_date", "atl_date", "last_updated"):
        made[name] = datetime.fromisoformat(str(made[name])) if isinstance(made[name], str) else made[name]
    made.pop("roi")
    return {k: float(v) if isinstance(v, int) and k != "market_cap_rank" else v for k, v in made.items()}


def staged(rows: list[dict[str, Any]], totals: list[dict[str, object]] | None = None, top: int = 5000) -> pl.DataFrame:
    return conform(rows, TOTALS if totals is None else totals, top=top, processed_at=ASKED_AT).staging


def ratio(part: float | None, whole: float | None, factor: float) -> float | None:
    if part is None or whole is None or whole <= 0:
        return None
    found = part / whole * factor
    return found if math.isfinite(found) else None


@settings(max_examples=examples(40))
@given(st.lists(_coin, min_size=1, max_size=12))
def test_derived_columns_are_what_their_definitions_say(coins: list[dict[str, Any]]) -> None:
    rows = [row(number, **changes) for number, changes in enumerate(coins)]
    frame = staged(rows)
    assert not STAGING.violations(frame)
    total = sum(one["market_cap"] or 0 for one in rows)
    by_id = {one["id"]: one for one in frame.rows(named=True)}
    for one in rows:
        got, rank, change = by_id[one["id"]], one["market_cap_rank"], one["price_change_percentage_24h"]
        spread = None if None in (one["high_24h"], one["low_24h"]) else one["high_24h"] - one["low_24h"]
        fall = None if None in (one["current_price"], one["ath"]) else one["current_price"] - one["ath"]
        assert got["price_volatility_24h"] == ratio(spread, one["current_price"], 100)
        assert got["distance_from_ath_pct"] == ratio(fall, one["ath"], 100)
        turnover = ratio(one["total_volume"], one["market_cap"], 1)
        assert got["volume_to_mcap_ratio"] == turnover
        cap = one["market_cap"] or None  # the vendor writes 0 where it knows no supply
        assert got["market_dominance_pct"] == pytest.approx(ratio(cap, total, 100))
        assert got["market_dominance_global_pct"] == pytest.approx(ratio(cap, 2e12, 100))
        sizes = ["large_cap", "mid_cap", "small_cap"]
        assert got["market_cap_category"] == ("unranked" if rank is None else sizes[(rank > 10) + (rank > 50)])
        trends = ["strong_loss", "moderate_loss", "moderate_gain", "strong_gain"]
        assert got["price_trend_category"] == (
            None if change is None else trends[(change > -10) + (change > 0) + (change > 10)]
        )
        depths = ["low_liquidity", "medium_liquidity", "high_liquidity"]
        assert got["liquidity_category"] == (None if turnover is None else depths[(turnover > 0.1) + (turnover > 0.5)])


def test_the_shares_of_the_loaded_set_add_up() -> None:
    frame = staged([row(number) for number in range(1, 300)])
    assert frame["market_dominance_pct"].sum() == pytest.approx(100)
    assert staged([row(1)], [])["market_dominance_global_pct"].to_list() == [None]


def test_unknown_supplies_and_ranks_stay_null() -> None:
    frame = staged([row(1, max_supply=None, total_supply=None, market_cap_rank=None)])
    found = frame.select("max_supply", "total_supply", "market_cap_rank", "market_cap_category").row(0)
    assert found == (None, None, None, "unranked")
    assert staged([row(1, market_cap_rank=999)])["market_cap_category"].to_list() == ["small_cap"]


def test_text_is_cleaned() -> None:
    frame = staged([row(1, symbol=" btc\0", name="  Bit\0coin ")])
    assert frame.select("symbol", "name").row(0) == ("BTC", "Bitcoin")


@settings(max_examples=examples(40))
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_the_table_does_not_depend_on_the_order_of_distinct_rows(order: random.Random, top: int) -> None:
    rows = [row(number) for number in range(1, 31)]
    expected = staged(rows, top=top)
    order.shuffle(rows)
    assert staged(rows, top=top).equals(expected)
    assert sorted(expected["market_cap_rank"].to_list()) == list(range(1, min(top, 30) + 1))


def test_of_a_repeated_coin_the_newest_row_counts() -> None:
    old, new = row(1, current_price=1.0), row(1, current_price=2.0)
    new["last_updated"] = old["last_updated"] + timedelta(seconds=1)
    for rows in ([old, new], [new, old]):
        assert staged(rows)["current_price"].to_list() == [2.0]
    blank = row(1, current_price=3.0)
    blank["last_updated"] = None
    assert staged([new, blank])["current_price"].to_list() == [2.0]
    assert conform([old, new, old], [], top=9, processed_at=ASKED_AT).repeated == 2


def test_the_hash_is_the_same_in_every_process() -> None:
    code = (
        "from datetime import datetime, UTC; from cryptolake.silver.staging_crypto_market import record_hash; "
        "print(record_hash(('bitcoin', 1.206e-09, None, 1.5770767167073295e+37, 3, datetime(2021, 11, 10, tzinfo=UTC))))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    values = ("bitcoin", 1.206e-09, None, 1.5770767167073295e37, 3, datetime(2021, 11, 10, tzinfo=UTC))
    assert found == {f"{record_hash(values)}\n"} == {"7776591686843500948\n"}


@pytest.mark.parametrize("field", FIELDS)
def test_the_hash_sees_every_vendor_column_but_the_refresh_time(field: str) -> None:
    before = row(1)
    value = before[field]
    other: object = 7 if field == "market_cap_rank" else 0.123
    if isinstance(value, str):
        other = "other" if field != "id" else "coin-0001"
    if isinstance(value, datetime):
        other = value + timedelta(days=1)
    same = staged([before])["record_hash"][0] == staged([before | {field: other}])["record_hash"][0]
    assert same is (field in {"last_updated", "id"})


def test_the_mart_holds_the_first_fifty_in_order() -> None:
    rows = [row(number) for number in range(1, 80)]
    rows[4]["market_cap"] = None
    rows[6]["market_cap_rank"] = None
    mart = crypto_analytics_mart.build(staged(rows))
    assert not crypto_analytics_mart.TABLE.violations(mart)
    assert mart["market_cap_rank"].to_list() == [number for number in range(1, 51) if number not in {5, 7}]
    assert crypto_analytics_mart.TABLE.columns[:21] == (
        *(
            "id",
            "symbol",
            "name",
            "current_price",
            "market_cap",
            "market_cap_rank",
            "market_dominance_pct",
            "total_volume",
        ),
        *("price_change_percentage_24h", "price_trend_category", "market_cap_category", "price_volatility_24h"),
        *(
            "distance_from_ath_pct",
            "volume_to_mcap_ratio",
            "liquidity_category",
            "circulating_supply",
            "max_supply",
            "ath",
        ),
        *("ath_date", "last_updated", "processed_at"),
    )


@pytest.mark.parametrize(
    ("changes", "sentiment"),
    [([1.0, 2.0], "bullish"), ([-1.0, 0.001], "bearish"), ([1.0, -1.0], "neutral"), ([None] * 2, None)],
)
def test_segments_count_what_is_known(changes: list[float | None], sentiment: str | None) -> None:
    rows = [row(number, price_change_percentage_24h=change) for number, change in enumerate(changes, start=1)]
    rows += [row(20, current_price=None), row(60), row(70, market_cap_rank=None)]
    frame = market_segment_analysis.build(staged(rows))
    assert not market_segment_analysis.TABLE.violations(frame)
    assert frame["segment"].to_list() == ["large_cap", "mid_cap", "small_cap"], "unranked coins are left out"
    large, mid, _ = frame.rows(named=True)
    assert (large["crypto_count"], large["best_rank"], large["worst_rank"]) == (2, 1, 2)
    assert large["segment_sentiment"] == sentiment
    assert large["avg_price"] == round((rows[0]["current_price"] + rows[1]["current_price"]) / 2, 8)
    assert (mid["avg_price"], mid["crypto_count"]) == (None, 1)
    assert large["total_market_cap"] == rows[0]["market_cap"] + rows[1]["market_cap"]


def test_the_summary_counts_every_coin_once() -> None:
    rows = [row(n, price_change_percentage_24h=c) for n, c in enumerate([1.0, -2.0, 0.0, None, 3.0], start=1)]
    made = conform(rows, TOTALS, top=9, processed_at=ASKED_AT)
    (one,) = crypto_market_summary.build(made.staging, made.totals).rows(named=True)
    assert (one["gainers"], one["losers"], one["unchanged"], one["change_unknown"]) == (2, 1, 1, 1)
    assert one["avg_price_change_24h"] == 0.5
    assert one["loaded_share_pct"] == pytest.approx(sum(r["market_cap"] for r in rows) / 2e12 * 100)
    bare = crypto_market_summary.build(made.staging, GLOBAL.empty()).row(0, named=True)
    assert (bare["global_market_cap"], bare["loaded_share_pct"]) == (None, None)
    assert crypto_market_summary.build(STAGING.empty(), made.totals).height == 0


def test_history_takes_its_columns_from_staging() -> None:
    frame = history(staged([row(1)]))
    assert frame.columns == list(HISTORY.columns)
    assert not HISTORY.violations(frame)


def good(count: int = 200) -> pl.DataFrame:
    return staged([row(number) for number in range(1, count + 1)])


def test_a_sound_market_passes_every_check() -> None:
    failed = [one for one in quality.check_staging(STAGING, good(), as_of=ASKED_AT) if not one.passed]
    assert failed == []


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        ("contract", lambda frame: frame.with_columns(current_price=pl.lit(-1.0))),
        ("contract", lambda frame: pl.concat([frame, frame.head(1)])),
        ("contract", lambda frame: frame.with_columns(market_cap_rank=pl.lit(0, pl.Int32))),
        ("row_count", lambda frame: frame.clear()),
        ("freshness", lambda frame: frame.with_columns(last_updated=pl.lit(ASKED_AT - timedelta(hours=2)))),
        ("freshness", lambda frame: frame.with_columns(last_updated=pl.lit(None, pl.Datetime("us", "UTC")))),
        ("stale_coins", lambda frame: frame.with_columns(last_updated=pl.lit(ASKED_AT - timedelta(hours=2)))),
        ("price_range", lambda frame: _where(frame, rank=3, current_price=0.0)),
        ("price_range", lambda frame: _where(frame, rank=3, current_price=2e9)),
        ("price_range", lambda frame: _where(frame, rank=3, high_24h=0.0)),
        ("rank_uniqueness", lambda frame: frame.with_columns(market_cap_rank=pl.lit(5, pl.Int32))),
        ("volume_sanity", lambda frame: _where(frame, rank=1, volume_to_mcap_ratio=21.0)),
    ],
)
def test_each_check_fails_on_what_it_is_for(check: str, broken: Any) -> None:
    found = {one.check: one for one in quality.check_staging(STAGING, broken(good()), as_of=ASKED_AT)}
    assert not found[check].passed
    assert "\n" not in found[check].detail


def _where(frame: pl.DataFrame, rank: int, **changes: float) -> pl.DataFrame:
    this = pl.col("market_cap_rank") == rank
    return frame.with_columns(
        pl.when(this).then(pl.lit(value)).otherwise(pl.col(name)).alias(name) for name, value in changes.items()
    )


def test_a_long_tail_may_hold_a_few_odd_coins() -> None:
    assert quality.price_range(_where(good(), rank=150, current_price=0.0)).passed
    assert quality.volume_sanity(_where(good(), rank=150, volume_to_mcap_ratio=99.0)).passed


@pytest.mark.parametrize(
    ("rows", "previous", "passes"), [(90, 100, True), (89, 100, False), (500, 100, True), (1, None, True)]
)
def test_row_count_drift(rows: int, previous: int | None, passes: bool) -> None:
    assert quality.row_count_drift(rows, previous).passed is passes


def test_partitions_are_watched() -> None:
    today = date(2026, 12, 31)
    good_, ahead = quality.partitions(0, [date(2026, 12, 1), date(2027, 1, 1)], today)
    assert (good_.passed, ahead.passed) == (True, True)
    stray, late = quality.partitions(3, [date(2026, 12, 1)], today)
    assert (stray.passed, stray.rows, late.passed) == (False, 3, False)


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)), st.integers(0, 40))
def test_months_follow_each_other(first: date, count: int) -> None:
    found = list(months(first, later(first, count)))
    assert len(found) == count + 1
    assert found[0] == first.replace(day=1)
    for one, following in pairwise(found):
        assert (following - one).days in {28, 29, 30, 31}
        assert following.day == 1


def test_the_fake_market_holds_the_recorded_extremes() -> None:
    found = {one["id"]: one for one in coins_of(10)}
    assert found["coin-3"]["atl_change_percentage"] > 1e37
    assert found["coin-4"]["current_price"] < 1e-8
