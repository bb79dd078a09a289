"""A day of real bad debt is not `suspect` for it, and bad debt excuses nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl
import pytest

from cryptolake.gold.suspect import flagged

DAYS = 9


def panel(
    supplied: Sequence[float], borrowed: Sequence[float], liquidated: Sequence[float], lost: Sequence[float] | None
) -> pl.DataFrame:
    """Nine days of one market."""
    return pl.DataFrame(
        {
            "csu": ["one"] * DAYS,
            "date": [date(2025, 1, 1) + timedelta(days=number) for number in range(DAYS)],
            "total_supplied_usd": supplied,
            "total_borrowed_usd": borrowed,
            "liquidations_usd": liquidated,
            "gross_tvl_usd": supplied,
            "exposure_usd": supplied,
            **dict.fromkeys(
                ("disagreeing_usd", "frozen_usd", "disagreeing_events_usd", "repaid_by_own_usd"), [0.0] * DAYS
            ),
            **dict.fromkeys(("events_usd", "seized_of_priced_usd", "repaid_of_priced_usd"), liquidated),
            "liquidation_count": [1] * DAYS,
            "liquidations_dust_count": [0] * DAYS,
            **({} if lost is None else {"bad_debt_usd": lost}),
        }
    )


def flags(frame: pl.DataFrame) -> set[str]:
    return {code for one in flagged(frame)["flags"] for code in one.split(";") if code}


NOTHING = [0.0] * DAYS
FALL = [100.0] * 4 + [10.0] * 5
LOST = [0.0] * 4 + [90.0] + [0.0] * 4


def test_deposits_that_bad_debt_took_are_no_spike() -> None:
    assert flags(panel(FALL, NOTHING, NOTHING, None)) == {"tvl_spike"}
    assert flags(panel(FALL, NOTHING, NOTHING, NOTHING)) == {"tvl_spike"}
    assert flags(panel(FALL, NOTHING, NOTHING, LOST)) == set()


@pytest.mark.parametrize("days_later", [0, 1, 2, 3])
def test_bad_debt_excuses_no_spike_beside_it(days_later: int) -> None:
    spiked = [*FALL]
    spiked[4 + days_later] *= 40
    assert "tvl_spike" in flags(panel(spiked, NOTHING, NOTHING, LOST))
    small = [one / 1000 for one in LOST]
    assert "tvl_spike" in flags(panel(FALL, NOTHING, NOTHING, small)), "a small loss explains no large fall"


def test_a_loss_larger_than_the_market_long_ago_hides_nothing() -> None:
    early = [90.0] + [0.0] * 8
    supplied = [1.0] * 5 + [5.0] + [1.0] * 3
    assert flags(panel(supplied, NOTHING, NOTHING, early)) == {"tvl_spike"}


def test_debt_that_was_written_off_was_not_liquidated() -> None:
    borrowed = [50.0] * 4 + [0.0] * 5
    liquidated = [0.0] * 4 + [51.0] + [0.0] * 4  # what was owed, with a day's interest
    assert flags(panel([100.0] * DAYS, borrowed, liquidated, None)) == {"liquidations_exceed_debt"}
    assert flags(panel([100.0] * DAYS, borrowed, liquidated, [one / 3 for one in LOST])) == set()
    twice = [2.5 * one for one in liquidated]
    assert flags(panel([100.0] * DAYS, borrowed, twice, [one / 3 for one in LOST])) == {"liquidations_exceed_debt"}
