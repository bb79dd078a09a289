"""All days of a lake are priced alike, whatever trip makes them and whatever the settings say by then; else it is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import cast

import polars as pl
import pytest
from structlog.testing import capture_logs
from tests.flow.test_evidence import DAYS, EVERY, Lake, reasons, said, whole

from cryptolake.app import App
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.source import Source
from cryptolake.gold.daily_panel import TABLE as PANEL
from cryptolake.settings import Settings
from cryptolake.silver import refined
from cryptolake.silver.prices import RULE_BEFORE, Pricing
from cryptolake.silver.refined import TABLE as REFINED
from cryptolake.work import lending
from cryptolake.work import prices as river
from cryptolake.work.market_days import MarketDays
from cryptolake.work.refine import refine

__all__ = ["said", "whole"]
ALONE = [one for one in EVERY if one.period.day == DAYS[1]]

TRIPS: dict[str, Callable[[App], object]] = {
    "one day": lambda app: lending.refine(app, ALONE),
    "every day": lambda app: lending.refine(app, EVERY),
    "rebuild of one market": lambda app: lending.rebuild(app, only=MarketDays(frozenset({"two"}))),
    "rebuild": lending.rebuild,
    "new quotes": river.value_anew,
}
OTHERS: dict[str, Callable[[Pricing], object]] = {
    "ladder": lambda one: one.ladder[::-1],
    "max_age_s": lambda one: {name: age + 1 for name, age in one.max_age_s.items()},
    "tolerance": lambda one: one.tolerance * 2,
    "told": lambda one: "file",
    "rule": lambda one: RULE_BEFORE,
}


def app_of(lake: Lake, **said_by_settings: object) -> App:
    """An app with a price source that has no price of anything, so that whom it listens to shows in every figure."""
    app = lake.app()
    app.found.price_sources = {"file": SimpleNamespace(max_age_s=86_400, asked="never")}  # type: ignore[assignment,misc,dict-item]
    app.settings = Settings(**said_by_settings)  # type: ignore[arg-type]
    return app


def ways(lake: Lake) -> set[Pricing | None]:
    return {one and one.text() for one in refined.pricing_by_day(lake.tables.read(REFINED)).values()}  # type: ignore[misc]


@pytest.mark.parametrize("settings", [{}, {"price_order": "protocol_oracle"}, {"price_tolerance": 0.5}], ids=str)
def test_what_reprice_was_told_holds_for_every_later_trip(whole: Lake, settings: dict[str, object]) -> None:
    river.reprice(app_of(whole, price_order="file", price_tolerance=0.1))
    told, repriced = ways(whole), whole.build()[0]
    assert set(repriced["status"]) == {"missing_price"}
    for name, trip in TRIPS.items():
        with capture_logs() as logs:
            trip(app_of(whole, **settings))
        assert ways(whole) == told, name
        panel, lacking = whole.build()
        assert lacking.is_empty()
        assert panel.equals(repriced), name
        warned = [one for one in logs if "reprice" in one["event"]]
        assert bool(warned) == bool(settings), "settings that do not count are told so"


def test_a_lake_without_prices_is_valued_by_the_settings(whole: Lake) -> None:
    """And `reprice` goes by them again, whatever it was told before."""
    river.reprice(app_of(whole, price_order="file"))
    whole.tables.write(REFINED, whole.tables.read(REFINED).clear())
    lending.refine(app_of(whole, price_order="protocol_oracle"))
    assert set(whole.build()[0]["status"]) == {"ok"}
    river.reprice(app_of(whole, price_order="file"))
    river.reprice(app_of(whole))
    assert set(whole.build()[0]["status"]) == {"ok"}


def test_every_part_of_how_prices_are_chosen_is_kept() -> None:
    how = Pricing()
    assert Pricing.read(how.text()) == how
    assert set(OTHERS) == {one.name for one in fields(Pricing)}
    for name, other in OTHERS.items():
        changed = replace(how, **{name: other(how)})  # type: ignore[arg-type]
        assert changed.text() != how.text(), name
        assert Pricing.read(changed.text()) == changed
    for text in ("", "{}", "[]", "null", "1", refined.digest_of([]), how.text()[:-1], how.text() + " "):
        assert Pricing.read(text) is None, text


@pytest.mark.parametrize("name", OTHERS)
def test_a_panel_priced_in_two_ways_is_not_ok_and_the_remedies_make_it_one(whole: Lake, name: str) -> None:
    wanted = whole.tables.read(PANEL)
    (text,) = ways(whole)
    how = Pricing.read(str(text))
    assert how is not None
    other = replace(how, **{name: OTHERS[name](how)})  # type: ignore[arg-type]
    if other == how:  # of one source there is one order
        other = replace(how, told="protocol_oracle")
    for remedy in (lambda: lending.refine(whole.app()), lambda: river.reprice(whole.app())):
        apart(whole, ALONE, other)
        panel, lacking = whole.build()
        assert reasons(lacking) == {"priced_by_earlier_rule" if name == "rule" else "ladders_differ"}
        assert set(lacking["date"]) == {DAYS[1]}
        assert set(panel.filter(date=DAYS[1])["status"]) == {"pending"}
        remedy()
        panel, lacking = whole.build()
        assert lacking.is_empty()
        assert panel.equals(wanted)


def apart(lake: Lake, days: list[Partition], how: Pricing) -> None:
    """Some days valued by themselves in another way, as no command does."""
    states = lake.ledger.states()
    refine(cast(Source, lake.source), days, bronze=lake.bronze, tables=lake.tables, states=states, pricing=how)


UNKNOWN = refined.digest_of([])


@pytest.mark.parametrize(
    "told",
    [UNKNOWN, replace(Pricing(), rule=RULE_BEFORE).text(), replace(Pricing(), rule=RULE_BEFORE, tolerance=0.1).text()],
    ids=["unknown", "known", "with a tolerance"],
)
@pytest.mark.parametrize("trip", [*TRIPS, "reprice"])
def test_days_that_an_older_version_priced_have_no_number_until_they_are_priced_anew(
    whole: Lake, told: str, trip: str
) -> None:
    """By its rule one market could price another's rows. Every trip values them by today's, and keeps what it was told."""
    wanted = whole.tables.read(PANEL)
    record = whole.tables.read(REFINED)
    older = pl.when(pl.col("dataset") == "prices").then(pl.lit(told)).otherwise("answers")
    whole.tables.write(REFINED, record.with_columns(older.alias("answers")))
    panel, lacking = whole.build()
    assert reasons(lacking) == {"priced_by_earlier_rule"}
    assert set(panel["status"]) == {"pending"}
    (TRIPS.get(trip) or river.reprice)(whole.app())
    panel, lacking = whole.build()
    assert lacking.is_empty()
    assert panel.equals(wanted)
    tolerances = {one and one.tolerance for one in refined.pricing_by_day(whole.tables.read(REFINED)).values()}
    assert tolerances == {0.1 if '"tolerance":0.1' in told and trip != "reprice" else 0.02}
