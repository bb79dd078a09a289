"""Sound tables break nothing; each planted fault breaks the check that is there for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from benchmarks.synthetic_lake import World, fill, market, partitions, source
from tests.stores import stores_of

from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables as Lake
from cryptolake.quality import checks, coverage, report
from cryptolake.quality.results import exit_code
from cryptolake.quality.rules import FinishedTables
from cryptolake.silver.amounts import scaled
from cryptolake.silver.liquidations import DUST_USD
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.silver.refined import NOTHING, contents
from cryptolake.silver.refined import TABLE as REFINED
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.sources.onchain.families import declared
from cryptolake.work.evidence import EVIDENCE
from cryptolake.work.panel import build, panel_now
from cryptolake.work.refine import refine

FIRST = date(2024, 5, 1)
DAYS = 12


def in_order(frame: pl.DataFrame, **tokens: pl.Expr) -> pl.DataFrame:
    """The rows with these amounts in tokens, and what follows from them: whole numbers and values."""
    for name, amount in tokens.items():
        price = "price" if name in TVL.columns else name.replace("_amount", "_price")
        units = (amount * 10.0 ** pl.col("decimals")).round().cast(pl.Int128).cast(pl.String)
        frame = frame.with_columns(units.alias(f"{name}_raw")).with_columns(
            scaled(f"{name}_raw", "decimals").alias(name)
        )
        of = name.removesuffix("_amount")  # the price is the market's own oracle's
        value = pl.col(name) * pl.col(price)
        frame = frame.with_columns(value.alias(f"{of}_usd"), value.alias(f"{of}_own_usd"))
    return frame.drop("decimals") if "debt_amount" in frame.columns else frame


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> FinishedTables:
    """Synthetic tables through the real steps; amounts put in order, as invented ones obey no market."""
    root = tmp_path_factory.mktemp("quality")
    world = World([market("one", "ethereum"), market("two", "ethereum"), market("three", "base")], assets=4)
    last = FIRST + timedelta(days=DAYS - 1)
    ledger = fill(root, world, FIRST, last, quiet_events=6)
    lake = Lake(root)
    refine(source(world), partitions(world, FIRST, last), bronze=Bronze(root), tables=lake, states=ledger.states())
    held, events = lake.read(TVL), lake.read(LIQUIDATIONS)
    held = in_order(held, supplied=pl.lit(1000.0), borrowed=pl.lit(400.0), cash=pl.lit(600.0), collateral=pl.lit(0.0))
    of_token = held.select("chain", "asset", "decimals").unique()
    for side, tokens in (
        ("debt", pl.lit(10.0)),
        ("collateral", 10.5 * pl.col("debt_price") / pl.col("collateral_price")),
    ):
        known = of_token.rename({"asset": f"{side}_asset"})
        events = in_order(events.join(known, on=["chain", f"{side}_asset"]), **{f"{side}_amount": tokens})
    events = events.with_columns((pl.col("debt_usd") < DUST_USD).alias("is_dust")).select(LIQUIDATIONS.columns)
    record = pl.concat(
        lake.read(REFINED)
        .filter(dataset=dataset)
        .drop("content")
        .join(contents(dataset, frame).drop("rows"), on=["csu", "date"], how="left")
        for dataset, frame in (
            *(("tvl", held), ("liquidations", events)),
            *(("quotes", lake.read(QUOTES)), ("prices", lake.read(PRICES))),
        )
    ).with_columns(pl.col("content").fill_null(NOTHING))
    lake.write(REFINED, record.select(REFINED.columns))
    lake.write(TVL, held)
    lake.write(LIQUIDATIONS, events)
    csus = {csu.name: csu for csu in world.csus}
    built = build(stores_of(root, ledger), csus=csus, left_out=())
    now = panel_now(tables=lake, bronze=Bronze(root), states=ledger.states(), csus=csus, left_out=()).panel
    ledger.close()
    accounting = {one.name: one.accounting for one in declared().values() if one.accounting is not None}
    panel = lake.read(DAILY_PANEL)
    return FinishedTables(held, events, lake.read(PRICES), panel, now, built.lacking, accounting=accounting)


def broken(tables: FinishedTables) -> dict[str, int]:
    return {one.check: one.rows for one in checks.run(tables) if one.rows}


def test_sound_tables_break_nothing(sound: FinishedTables) -> None:
    assert sound.panel.height == 3 * DAYS
    assert broken(sound) == {}
    assert exit_code(checks.run(sound), "info") == 0


At = Callable[[FinishedTables], FinishedTables]
DAY = FIRST + timedelta(days=5)
HERE = (pl.col("csu") == "one") & (pl.col("date") == DAY)


def change(table: str, **columns: pl.Expr) -> At:
    """The tables with columns of the rows of market `one` on one day replaced."""

    def changed(tables: FinishedTables) -> FinishedTables:
        frame = getattr(tables, table)
        new = frame.with_columns(
            pl.when(HERE).then(expression).otherwise(pl.col(name)).cast(frame.schema[name]).alias(name)
            for name, expression in columns.items()
        )
        return replace(tables, **{table: new})

    return changed


def drop(table: str) -> At:
    """The tables without the rows of market `one` on one day."""
    return lambda tables: replace(tables, **{table: getattr(tables, table).filter(~HERE)})


def lack(reason: str) -> At:
    """An answer of market `one` that silver cannot vouch for."""
    row = [("tvl", "one", DAY, "pending", reason, "one_voice", True, False)]
    return lambda tables: replace(tables, lacking=pl.DataFrame(row, schema=EVIDENCE, orient="row"))


@pytest.mark.parametrize(
    ("check", "plant"),
    [
        ("no_negative_amounts", change("tvl", supplied_raw=pl.lit("-5"))),
        ("no_negative_amounts", change("liquidations", debt_amount_raw=pl.lit("-5"))),
        ("utilisation_bounds", change("panel", utilization_rate=pl.lit(1.2))),
        ("borrowed_far_above_supplied", change("tvl", borrowed=pl.col("supplied") * 1.2)),
        ("borrowed_above_supplied", change("tvl", borrowed=pl.col("supplied") * 1.01)),
        ("accounting_gap", change("tvl", cash=pl.lit(0.0))),
        ("accounting_known", change("panel", family=pl.lit("nobody_knows"))),
        ("block_within_day", change("tvl", block_time=pl.col("block_time") + pl.duration(hours=1))),
        ("event_within_day", change("liquidations", block_time=pl.col("block_time") - pl.duration(days=1))),
        ("snapshot_near_end", change("tvl", block_time=pl.col("block_time") - pl.duration(hours=1))),
        ("one_block_per_chain_day", change("tvl", block=pl.col("block") - 1)),
        ("blocks_rise", change("tvl", block=pl.col("block") - 100_000)),
        ("events_between_snapshots", change("liquidations", block=pl.col("block") + 7_200)),
        ("events_between_snapshots", change("liquidations", block=pl.col("block") - 7_200)),
        ("liquidated_within_debt", change("liquidations", debt_amount=pl.lit(5_000.0), debt_usd=pl.lit(1e6))),
        ("seized_for_repaid", change("liquidations", collateral_usd=pl.lit(9e9), debt_usd=pl.lit(1e4))),
        ("tvl_jump", change("panel", total_supplied_usd=pl.col("total_supplied_usd") * 9)),
        ("tvl_vanished", change("panel", total_supplied_usd=pl.lit(0.0))),
        ("unpriced_share", change("panel", status=pl.lit("missing_price"))),
        ("tvl_spike", change("panel", flags=pl.lit("price_disagrees;tvl_spike"))),
        ("self_dealt", change("panel", flags=pl.lit("self_dealt;tvl_spike"))),
        ("stuck_debt", change("panel", flags=pl.lit("stuck_debt"))),
        ("insolvent", change("panel", flags=pl.lit("insolvent"))),
        ("frozen_oracle", change("panel", flags=pl.lit("frozen_oracle"))),
        ("overpriced", change("panel", flags=pl.lit("overpriced"))),
        ("own_price_only", change("panel", flags=pl.lit("own_price_only"))),
        ("liquidations_exceed_debt", change("panel", flags=pl.lit("liquidations_exceed_debt"))),
        ("price_disagrees", change("panel", flags=pl.lit("price_disagrees"))),
        ("price_frozen", change("panel", flags=pl.lit("price_frozen;tvl_spike"))),
        ("seizure_disagrees", change("panel", flags=pl.lit("seizure_disagrees"))),
        ("repaid_own_price_only", change("panel", flags=pl.lit("repaid_own_price_only"))),
        ("dust_storm", change("panel", flags=pl.lit("dust_storm"))),
        ("failed_days", change("panel", liquidations_status=pl.lit("failed"))),
        ("pending_days", change("panel", status=pl.lit("pending"))),
        ("pending_days", change("panel", liquidations_status=pl.lit("not_asked"))),
        ("contradicted_days", change("panel", liquidations_reason=pl.lit("suspect"))),
        ("panel_supported", change("panel", liquidations_usd=pl.lit(0.0))),
        ("panel_supported", change("now", status=pl.lit("pending"), total_tvl_usd=pl.lit(None))),
        ("panel_supported", drop("now")),
        ("panel_current", drop("panel")),
        ("answers_in_silver", lack("silver_differs")),
    ],
)
def test_a_planted_fault_is_found_by_its_check(sound: FinishedTables, check: str, plant: At) -> None:
    found = broken(plant(sound))
    assert check in found
    severity = next(one.severity for one in checks.CHECKS if one.name == check)
    results = checks.run(plant(sound))
    assert exit_code(results, severity) == 1
    example = next(one.examples[0] for one in results if one.check == check)
    assert str(DAY) in example or str(DAY + timedelta(days=1)) in example


@pytest.mark.parametrize("flag", ["disagrees", "stale", "no_numeraire"])
def test_flagged_prices_are_listed(sound: FinishedTables, flag: str) -> None:
    prices = sound.prices.with_columns(
        pl.when(pl.col("date") == DAY).then(pl.lit(flag)).otherwise("flag").alias("flag")
    )
    name = {"disagrees": "prices_disagree", "stale": "stale_price", "no_numeraire": "no_numeraire"}[flag]
    assert broken(replace(sound, prices=prices))[name] > 0


def test_a_price_that_jumps_is_found(sound: FinishedTables) -> None:
    """Of those that all markets share, and of those that only the market's own oracle tells."""
    prices = sound.prices.with_columns(pl.when(pl.col("date") == DAY).then(3.0).otherwise(1.0).alias("price"))
    assert broken(replace(sound, prices=prices))["price_jump"] > 0
    assert broken(change("tvl", price=pl.col("price") * 3)(sound))["price_jump"] > 0


def test_the_new_york_day_is_its_own_window(sound: FinishedTables) -> None:
    """A snapshot at UTC midnight lies outside of a New York day of the same date only by convention: five hours early."""
    moved = replace(sound, boundary="ny")
    assert broken(moved)["snapshot_near_end"] > 0


def test_severities_decide_the_exit_code(sound: FinishedTables) -> None:
    flagged = change("panel", flags=pl.lit("dust_storm"))(sound)
    results = checks.run(replace(flagged, now=flagged.panel))
    assert [exit_code(results, level) for level in ("error", "warning", "info")] == [0, 0, 1]


def test_every_check_has_a_distinct_name_and_is_tried_above() -> None:
    names = [one.name for one in checks.CHECKS]
    assert len(names) == len(set(names))
    text = Path(__file__).read_text()
    assert [name for name in names if f'"{name}"' not in text] == []


def test_coverage_counts_what_was_expected(sound: FinishedTables) -> None:
    plant = change("panel", status=pl.lit("not_deployed"))(sound).panel
    rows = {(r["dataset"], r["csu"], r["status"]): r["days"] for r in coverage.coverage(plant).iter_rows(named=True)}
    assert rows["tvl", "one", "not_deployed"] == 1
    assert rows["tvl", "one", "ok"] == DAYS - 1
    assert coverage.shares(plant)[0] == ("tvl", 3 * DAYS, 3 * DAYS - 1, 3 * DAYS - 1, (3 * DAYS - 1) / (3 * DAYS))


def test_the_report_has_a_cell_for_every_market_day_and_nothing_from_outside(sound: FinishedTables) -> None:
    panel = change("panel", status=pl.lit("failed"))(sound).panel
    text = report.html(panel, checks.run(sound), [], facts=[("version", "<b>")])
    assert "<b>" not in text
    assert not re.findall(r"(?:src|href)=", text)
    titles = re.findall(r"<title>(\w+) (\S+) \.\. (\S+): (\w+) \((\d+)\)</title>", text)
    assert sum(int(one[4]) for one in titles) == 2 * 3 * DAYS
    assert ("one", str(DAY), str(DAY), "failed", "1") in titles
