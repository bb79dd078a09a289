"""The panel is balanced, says why a number is missing, and does not depend on the order of its inputs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from cryptolake.gold.daily_panel import EXPECTED, build
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.gold.suspect import flagged
from cryptolake.silver import prices, tvl
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.silver.tvl import TABLE as TVL

DAY = date(2024, 12, 31)


def row(asset: str, supplied: int, borrowed: int, price: int | None, **more: object) -> dict[str, object]:
    return {
        "csu": "m",
        "date": DAY,
        "chain": "c",
        "block": 1,
        "block_hash": "0x1",
        "timestamp": int(datetime(2024, 12, 31, 23, 59, tzinfo=UTC).timestamp()),
        "asset": asset,
        "symbol": asset,
        "decimals": 6,
        "total_supplied_raw": str(supplied),
        "total_borrowed_raw": str(borrowed),
        "cash_raw": str(max(0, supplied - borrowed)),
        "collateral_raw": "0",
        "price_raw": None if price is None else str(price),
        "price_unit": "100000000",
        "price_quote": "usd",
        "price_source": "protocol_oracle",
        **more,
    }


def conform(rows: list[dict[str, object]]) -> pl.DataFrame:
    """Rows valued by the market's own oracle alone."""
    held = tvl.conform(rows)
    return tvl.value(held, prices.choose(QUOTES.empty(), held.select("date", "chain", "asset")))


def expected(
    tvl: str | None, liq: str | None, tvl_reason: str | None = None, day: date = DAY, liq_reason: str | None = None
) -> pl.DataFrame:
    row = ("m", day, "c", "f", "p", tvl, tvl_reason, "one_voice", liq, liq_reason, "two_voices")
    return pl.DataFrame([row], schema=EXPECTED, orient="row")


def panel_row(frame: pl.DataFrame) -> dict[str, object]:
    assert frame.height == 1
    assert DAILY_PANEL.violations(frame) == []
    return frame.row(0, named=True)


def test_net_and_gross() -> None:
    tvl = conform([row("a", 5_000_000, 2_000_000, 10**8), row("b", 10**6, 0, 3 * 10**8)])
    found = panel_row(build(tvl, LIQUIDATIONS.empty(), expected("done", "empty")))
    assert (found["total_supplied_usd"], found["total_borrowed_usd"], found["total_tvl_usd"]) == (8.0, 2.0, 6.0)
    assert found["utilization_rate"] == 0.25
    assert (found["status"], found["num_assets"], found["priced_share"]) == ("ok", 2, 1.0)


def test_zero_missing_and_not_deployed_are_three_things() -> None:
    zero = panel_row(build(conform([row("a", 0, 0, 10**8)]), LIQUIDATIONS.empty(), expected("done", "empty")))
    assert (zero["total_supplied_usd"], zero["utilization_rate"], zero["liquidations_usd"]) == (0.0, None, 0.0)
    gone = panel_row(build(TVL.empty(), LIQUIDATIONS.empty(), expected("gone", None, "not_deployed")))
    assert (gone["status"], gone["total_supplied_usd"], gone["liquidations_usd"]) == ("not_deployed", None, None)
    assert gone["liquidations_status"] == "not_asked"
    assert (gone["reason"], gone["tvl_evidence"], gone["liquidations_evidence"]) == ("not_deployed", None, None)
    failed = panel_row(build(TVL.empty(), LIQUIDATIONS.empty(), expected("failed", "failed", "rpc")))
    assert (failed["status"], failed["reason"], failed["total_supplied_usd"]) == ("failed", "rpc", None)
    unpriced = panel_row(build(conform([row("a", 5, 0, None)]), LIQUIDATIONS.empty(), expected("done", "empty")))
    assert (unpriced["status"], unpriced["total_supplied_usd"], unpriced["num_assets"]) == ("missing_price", None, 1)


def test_an_answer_that_somebody_contradicts_is_suspect_whatever_else_it_is() -> None:
    events = expected("done", "empty", liq_reason="suspect")
    found = panel_row(build(conform([row("a", 5, 0, None)]), LIQUIDATIONS.empty(), events))
    assert (found["liquidations_status"], found["liquidations_reason"]) == ("suspect", "suspect")
    assert (found["liquidation_count"], found["liquidations_evidence"]) == (0, "two_voices"), "the number is kept"
    both = panel_row(build(conform([row("a", 5, 0, None)]), LIQUIDATIONS.empty(), expected("done", "empty", "suspect")))
    assert (both["status"], both["tvl_evidence"]) == ("suspect", "one_voice"), "the worst state wins"


def test_a_quote_that_is_not_usd_gives_no_dollars() -> None:
    tvl = conform([row("a", 5, 1, 10**8, price_quote="0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2")])
    assert tvl["price"].to_list() == tvl["supplied_usd"].to_list() == [None]


@settings(max_examples=examples(50))
@given(st.permutations(range(6)), st.lists(st.integers(0, 10**30), min_size=6, max_size=6))
def test_the_order_of_the_rows_does_not_matter(order: list[int], amounts: list[int]) -> None:
    rows = [row(str(number), amounts[number], amounts[number] // 2, 10**8) for number in range(6)]
    straight = conform(rows)
    shuffled = conform([rows[number] for number in order])
    assert straight.equals(shuffled)
    keys = expected("done", "empty")
    assert build(straight, LIQUIDATIONS.empty(), keys).equals(
        build(shuffled.sample(fraction=1, shuffle=True, seed=1), LIQUIDATIONS.empty(), keys)
    )
    assert straight["supplied_raw"].to_list() == [str(amount) for amount in amounts]


def series(levels: list[float], **more: list[float]) -> pl.DataFrame:
    """A panel of one market with these deposits a day."""
    count = len(levels)
    columns = {
        "borrowed": [0.0] * count,
        "liquidated": [0.0] * count,
        "events": [0] * count,
        "dust": [0] * count,
        **{name: [0.0] * count for name in ("disagreeing", "frozen", "collateral", "contradicted")},
        "seized": more.get("liquidated", [0.0] * count),
        **more,
    }
    return pl.DataFrame(
        {
            "csu": ["m"] * count,
            "date": [DAY.replace(day=1) + timedelta(days=number) for number in range(count)],
            "total_supplied_usd": levels,
            "total_borrowed_usd": columns["borrowed"],
            "liquidations_usd": columns["liquidated"],
            "liquidation_count": columns["events"],
            "liquidations_dust_count": columns["dust"],
            "gross_tvl_usd": [one + two for one, two in zip(levels, columns["collateral"], strict=True)],
            "exposure_usd": levels,
            "disagreeing_usd": columns["disagreeing"],
            "frozen_usd": columns["frozen"],
            "repaid_of_priced_usd": columns["liquidated"],
            "seized_of_priced_usd": columns["seized"],
            "events_usd": columns["liquidated"],
            "disagreeing_events_usd": columns["contradicted"],
            "repaid_by_own_usd": [0.0] * len(columns["contradicted"]),
        }
    )


def test_a_mispriced_day_is_flagged_and_a_lasting_change_is_not() -> None:
    spike = flagged(series([1e9, 1e9, 1.1e9, 5e10, 1e9, 1e9, 1e9]))
    assert spike["flags"].to_list() == ["", "", "", "tvl_spike", "", "", ""]
    lasting = flagged(series([1e9, 1e9, 1e9, 1.9e9, 1.9e9, 1.9e9, 1.9e9]))
    assert set(lasting["flags"]) == {""}
    assert set(flagged(series([1e9, 5e10, 1e9]))["flags"]) == {""}, "too few neighbours for a verdict"
    pledged = flagged(series([1e9] * 7, collateral=[1e9, 1e9, 1e9, 1e12, 1e9, 1e9, 1e9]))
    assert pledged["flags"].to_list() == ["", "", "", "tvl_spike", "", "", ""], "collateral is looked at as well"


def test_each_rule_says_its_code() -> None:
    found = flagged(
        series(
            [100.0] * 8,
            borrowed=[50.0, 110.0, 50.0, 50.0, 50.0, 50.0, 50e3, 50.0],
            liquidated=[0.0, 0.0, 0.0, 150.0, 0.0, 0.0, 1_000.0, 20.0],
            events=[0, 0, 0, 1, 75_000, 0, 1, 1],
            dust=[0, 0, 0, 0, 74_000, 0, 0, 0],
            disagreeing=[6.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            frozen=[0.0, 0.0, 5.0, 0.0, 0.0, 6.0, 0.0, 0.0],
            seized=[0.0, 0.0, 0.0, 160.0, 0.0, 0.0, 2_100.0, 50.0],
            contradicted=[0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0, 2.0],
        )
    )
    assert found["flags"].to_list() == [
        "price_disagrees",
        "borrowed_over_supplied",
        "",
        "liquidations_exceed_debt",
        "dust_storm",
        "price_frozen",
        "borrowed_over_supplied;seizure_disagrees",
        "seizure_disagrees",
    ]


def test_an_unpriced_asset_that_nobody_holds_hides_nothing() -> None:
    silver = conform([row("a", 5_000_000, 0, 10**8), row("b", 0, 0, None)])
    found = panel_row(build(silver, LIQUIDATIONS.empty(), expected("done", "empty")))
    assert (found["status"], found["total_supplied_usd"], found["priced_share"]) == ("ok", 5.0, 0.5)


def test_gross_and_net_are_both_there() -> None:
    comet = row("a", 10_000_000, 4_000_000, 10**8, collateral_raw=str(3_000_000))
    found = panel_row(build(conform([comet]), LIQUIDATIONS.empty(), expected("done", "empty")))
    assert (found["total_tvl_usd"], found["gross_tvl_usd"]) == (6.0 + 3.0, 10.0 + 3.0)
    assert (found["cash_usd"], found["collateral_usd"], found["utilization_rate"]) == (6.0, 3.0, 0.4)


def test_an_answer_that_somebody_contradicts_is_never_ok() -> None:
    """Whatever else is known of the day: the worst word stands, on the side that is contradicted alone."""
    for price in (10**8, None):
        for state in ("done", "empty"):
            day = expected("done", state).with_columns(pl.lit("suspect").alias("liq_reason"))
            found = panel_row(build(conform([row("a", 5_000_000, 0, price)]), LIQUIDATIONS.empty(), day))
            assert found["liquidations_status"] == "suspect"
            assert found["status"] == ("ok" if price else "missing_price")
            assert found["liquidations_usd"] == 0.0
