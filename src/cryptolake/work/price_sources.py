"""Who tells prices apart from the markets themselves, opened, what they said, and how one price is chosen among them.

What does not belong here: asking them and valuing by what they said (prices), and the choice itself (`silver.prices`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import polars as pl

from cryptolake.app import App
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.prices import Wanted
from cryptolake.contracts.source import Source
from cryptolake.errors import Stop
from cryptolake.flow.collect import read_rows
from cryptolake.lake.bronze import Bronze
from cryptolake.silver.prices import Pricing, pricing_of, tidy
from cryptolake.silver.quotes import TABLE as QUOTES


def price_source(app: App, name: str, wanted: Wanted | None = None) -> Source:
    """Who tells prices under this name; `wanted` is what is to be asked. Raises BadInput naming the known ones."""
    return app.found.price_source(name, app.access(), app.registry.chains, wanted or {})


def price_sources(app: App) -> dict[str, Source]:
    """Everybody who tells prices, by name, the lowest rung first.

    Raises BadInput when two of them call a dataset the same: their answers would be taken for each other's.
    """
    return app.found.told(app.access(), app.registry.chains)


def pricing(app: App) -> Pricing:
    """How prices are chosen. Raises BadInput for a source in CRYPTOLAKE_PRICE_ORDER that there is not."""
    ages = {name: one.max_age_s for name, one in app.found.price_sources.items()}
    return pricing_of(app.settings.price_order, ages, app.settings.price_tolerance)


def read_quotes(
    sources: Mapping[str, Source], bronze: Bronze, states: Mapping[Partition, Entry], days: Iterable[date] | None = None
) -> pl.DataFrame:
    """Every kept quote of these sources (by their name on the ladder), from bronze; the same answers give the same rows.

    Raises Stop when a source's rows bear another name: they would be on no rung.
    """
    chosen = None if days is None else set(days)
    frames = [QUOTES.empty()]
    for name, source in sources.items():
        datasets = {one.name for one in source.datasets}
        kept = [p for p, entry in states.items() if p.dataset in datasets and entry.digest is not None]
        dated = source.datasets[0].reach != "whole_history"
        kept = [p for p in kept if chosen is None or not dated or p.period.day in chosen]
        rows = read_rows(source, sorted(kept), bronze)
        frame = pl.DataFrame(list(rows), schema=QUOTES.polars_schema(), strict=False)
        if strangers := sorted({str(one) for one in frame["source"].unique()} - {name}):
            raise Stop(f"price source {name}: its rows say source {strangers[0]!r}; correct `parse` in its file")
        frames.append(frame if chosen is None else frame.filter(pl.col("date").is_in(sorted(chosen))))
    return tidy(pl.concat(frames))
