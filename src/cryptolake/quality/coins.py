"""Checks of coins: freshness, price range, ranks, volumes, row counts, partitions. Pure functions.

An error is loaded and reported as failed, unless the check `blocks`: then the run is kept out of the tables. The same
functions serve the pipeline and the orchestrator's checks. What does not belong here: storing results.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.contracts.table import Table
from cryptolake.quality.results import Result

FRESH = timedelta(hours=1)  # the documented "updated within the last hour"
STALE_SHARE = 0.25  # coins the vendor no longer refreshes; dead coins keep an old `last_updated` for ever
HIGHEST_PRICE_USD = 1e9  # the highest all-time high in the recorded page is 1.4e8 USD
HIGHEST_VOLUME_RATIO = 20.0  # 24-hour volume / capitalisation; above it is a broken or washed number
FEW = 0.01  # share of odd coins a long tail may hold before a range check fails; none among the first 50
DRIFT = 0.10  # a run with 10 % fewer coins than the one before lost pages


def check_staging(table: Table, staging: pl.DataFrame, *, as_of: datetime) -> list[Result]:
    """Every check of the staging rows by themselves. `as_of` is the run's instant (or now, for a table that rests)."""
    broken = table.violations(staging)
    some = staging.height > 0
    contract = "; ".join(f"{one.check} in {counted(one.rows, 'row')} ({one.example})" for one in broken)
    return [
        Result(
            "contract",
            "error",
            not broken,
            sum(one.rows for one in broken),
            contract or "types, bounds and key hold",
            blocks=True,
        ),
        Result("row_count", "error", some, 0 if some else 1, counted(staging.height, "coin"), blocks=True),
        freshness(staging, as_of),
        stale_coins(staging, as_of),
        price_range(staging),
        rank_uniqueness(staging),
        volume_sanity(staging),
    ]


def row_count_drift(rows: int, previous: int | None) -> Result:
    """Fewer coins than the run before: pages were lost. More coins are welcome.

    `previous` is the coin count of the run before with the same depth, None when there is none to compare with.
    """
    if not previous:
        return Result("row_count_drift", "error", True, 0, "no earlier run of this depth to compare with", blocks=True)
    lost = max(0, previous - rows)
    detail = f"{counted(rows, 'coin')} after {previous:,} in the run before ({(rows - previous) / previous:+.1%})"
    return Result("row_count_drift", "error", lost <= previous * DRIFT, lost, detail, blocks=True)


def freshness(staging: pl.DataFrame, as_of: datetime) -> Result:
    """The newest coin was refreshed by the vendor within the last hour."""
    newest = staging["last_updated"].max()
    if not isinstance(newest, datetime):
        return Result("freshness", "error", False, staging.height, "no coin says when it was refreshed")
    age = as_of - newest
    minutes = age.total_seconds() / 60
    detail = f"newest refresh {newest:%Y-%m-%d %H:%M:%S} UTC, {minutes:,.0f} minutes before {as_of:%Y-%m-%d %H:%M:%S}"
    return Result("freshness", "error", age <= FRESH, 0 if age <= FRESH else staging.height, detail)


def stale_coins(staging: pl.DataFrame, as_of: datetime) -> Result:
    """Most coins were refreshed within the last hour."""
    stale = staging.filter(pl.col("last_updated").is_null() | (pl.col("last_updated") < as_of - FRESH)).height
    detail = f"{stale:,} of {counted(staging.height, 'coin')} not refreshed within the hour before {as_of:%H:%M:%S}"
    return Result("stale_coins", "warning", stale <= staging.height * STALE_SHARE, stale, detail)


def price_range(staging: pl.DataFrame) -> Result:
    """Known prices are above 0 and below a billion dollars, and the day's high is not below its low."""
    price = pl.col("current_price")
    odd = staging.filter((price <= 0) | (price > HIGHEST_PRICE_USD) | (pl.col("high_24h") < pl.col("low_24h")))
    return _range("price_range", odd, staging, "current_price", f"outside 0 .. {HIGHEST_PRICE_USD:,.0f} USD")


def volume_sanity(staging: pl.DataFrame) -> Result:
    """Traded volume is not many times the coin's whole capitalisation."""
    odd = staging.filter(pl.col("volume_to_mcap_ratio") > HIGHEST_VOLUME_RATIO)
    return _range("volume_sanity", odd, staging, "volume_to_mcap_ratio", f"above {HIGHEST_VOLUME_RATIO:g}")


def _range(check: str, odd: pl.DataFrame, staging: pl.DataFrame, column: str, words: str) -> Result:
    large = odd.filter(pl.col("market_cap_rank") <= 50).height
    passed = large == 0 and odd.height <= staging.height * FEW
    example = f", e.g. {odd['id'][0]} {column}={odd[column][0]}" if odd.height else ""
    detail = f"{odd.height:,} of {counted(staging.height, 'coin')} with {column} {words} ({large} among the first 50){example}"
    return Result(check, "error", passed, odd.height, detail)


def rank_uniqueness(staging: pl.DataFrame) -> Result:
    """No two coins share a rank. A few do when the ranking moves between two pages of a run; more are an error."""
    ranked = staging.filter(pl.col("market_cap_rank").is_not_null())
    shared = ranked.filter(pl.col("market_cap_rank").is_duplicated())
    example = f", e.g. rank {shared.sort('market_cap_rank')['market_cap_rank'][0]}" if shared.height else ""
    detail = f"{shared.height:,} of {counted(ranked.height, 'ranked coin')} with a shared rank{example}"
    return Result("rank_uniqueness", "error", shared.height <= ranked.height * FEW, shared.height, detail)


def page_drift(repeated: int, asked_again: int) -> Result:
    """The ranking moved while the pages were read; the pages concerned were asked again."""
    detail = f"{counted(repeated, 'repeated row')} left out, {counted(asked_again, 'page')} asked again"
    return Result("page_drift", "warning", repeated == 0, repeated, detail)


def totals_known(totals: pl.DataFrame) -> Result:
    """The run has the whole market's totals; without them the global dominance is null."""
    words = "global dominance is known" if totals.height else "no answer for the whole market: global dominance is null"
    return Result("whole_market", "warning", totals.height > 0, 0 if totals.height else 1, words)


def partitions(stray_rows: int, months: list[date], today: date) -> list[Result]:
    """The default partition is empty, and the next month's partition is there before it is needed."""
    upcoming = date(today.year + today.month // 12, today.month % 12 + 1, 1)
    there = upcoming in months
    stray = (
        f"{counted(stray_rows, 'row lies', 'rows lie')} in the default partition; `cryptolake setup` moves "
        f"what belongs elsewhere"
    )
    words = "there" if there else "missing; run `cryptolake setup`"
    return [
        Result(
            "history_default_partition",
            "error",
            stray_rows == 0,
            stray_rows,
            stray if stray_rows else "the default partition is empty",
        ),
        Result(
            "history_months_ahead", "error", there, 0 if there else 1, f"the partition of {upcoming:%Y-%m} is {words}"
        ),
    ]
