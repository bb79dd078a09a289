"""A release of the panel from what the lake holds: rows, what they rest on, and everything that is needed to make it again.

What does not belong here: the files of a release (research.release), making one again (rebuilding) and flags (cli).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from cryptolake.app import App
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import MARKET_DATASETS
from cryptolake.errors import BadInput, Stop
from cryptolake.gold import event_days
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.gold.event_days import TABLE as EVENT_DAYS
from cryptolake.gold.metadata import metadata_document
from cryptolake.lake.bronze import ONCHAIN
from cryptolake.quality.supported import differing
from cryptolake.registry.loader import Registry
from cryptolake.registry.version import registry_version
from cryptolake.registry.written import registry_document
from cryptolake.research import origin as origins
from cryptolake.research.ledger_of_release import ENTRIES
from cryptolake.research.ledger_of_release import TABLE as LEDGER
from cryptolake.research.lineage import TABLE as LINEAGE
from cryptolake.research.lineage import lineage
from cryptolake.research.origin import Origin, ReleaseInputs
from cryptolake.research.passing_on import attributions, terms_document
from cryptolake.research.release import RECIPE, Release, release
from cryptolake.silver import known_events
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.refined import TABLE as REFINED
from cryptolake.silver.refined import pricing_document, pricing_of_most
from cryptolake.version import __version__, code_digest, commit
from cryptolake.work import evidence
from cryptolake.work.checking import finished
from cryptolake.work.chosen_panel import ChosenPanel
from cryptolake.work.handing_out import refuse_rows
from cryptolake.work.price_sources import price_sources
from cryptolake.work.vouched import panel_of


@dataclass(frozen=True, slots=True)
class Frozen:
    """A release, what `metadata.json` says, and the market-days that were answered and have no number."""

    release: Release
    metadata: Mapping[str, object]
    lacking: pl.DataFrame


def freeze(
    app: App,
    version: str,
    chosen: ChosenPanel,
    *,
    into: Path,
    asked: tuple[date | None, date | None] = (None, None),
    origin: Origin | None = None,
) -> Frozen:
    """Write the chosen panel as release `version` under `into`; `asked` are the days as they were asked for.

    A release that is made again has the `origin` of the first; a new one is of this code and machine, and of today, or of
    the day it was first written on. Raises Stop for figures that ledger and silver do not give, and where the version is
    there with other content.
    """
    panel, made = chosen.panel, panel_of(app)
    tables = finished(app, panel, made)
    refuse_rows(differing(panel, tables.now))
    markets = chosen.markets
    csus = {name: app.registry.csus[name] for name in markets if name in app.registry.csus}
    recorded, which = app.tables.read(REFINED), registry_version(app.registry)
    origin = origin or _origin(into / version)
    metadata = metadata_document(
        DAILY_PANEL,
        panel,
        csus=csus,
        code_version=origin.code_version,
        registry_version=which,
        day_boundary=app.boundary,
        tvl=tables.tvl,
        pricing=pricing_document(recorded),
        exclusions=[one for one in app.registry.exclusions if one.csu in csus],
    )
    metadata |= published_as(app.registry, priced_by(tables.tvl, tables.liquidations))
    how = pricing_of_most(recorded) or pricing_of_most(recorded, rule=None)
    entries = ledger_frame(app, markets)
    recipe = ReleaseInputs(
        release=version,
        markets=tuple(markets),
        day_boundary=app.boundary,
        pricing=None if how is None else how.text(),
        registry_version=which,
        answers=entries["digest"].drop_nulls().len(),
        first_day=asked[0],
        last_day=asked[1],
        lacking=tuple(evidence.lines(tables.lacking)),
    )
    rests_on = made.evidence.join(panel.select("csu", "date"), on=["csu", "date"], how="semi")
    written = release(
        version,
        DAILY_PANEL,
        panel,
        metadata=metadata,
        registry=registry_document(app.folder.registry_used(app.settings.registry)),
        origin=origin,
        recipe=recipe,
        tables={
            LEDGER.name: (LEDGER, entries),
            LINEAGE.name: (LINEAGE, lineage(rests_on, recorded, tables.tvl, app.tables.read(LIQUIDATIONS))),
            EVENT_DAYS.name: (
                EVENT_DAYS,
                event_days.build(known_events.conform(app.registry.events), panel, tables.tvl),
            ),
        },
        into=into,
    )
    return Frozen(written, metadata, tables.lacking)


def priced_by(tvl: pl.DataFrame, liquidations: pl.DataFrame) -> set[str]:
    """Whose data figures are made of: the chains, and whoever priced them."""
    columns = (tvl["price_source"], liquidations["price_source"], liquidations["collateral_price_source"])
    return {ONCHAIN, *(str(one) for column in columns for one in column.drop_nulls().unique())}


def published_as(registry: Registry, sources: Collection[str]) -> dict[str, object]:
    """Licence, authors and keywords of the dataset, and the terms of these sources, for `metadata.json`."""
    dataset = registry.dataset
    if dataset is None:
        raise Stop("the registry does not say as what a dataset is published; add `dataset:` to the registry file")
    return {
        "title": dataset.title,
        "licence": {"name": dataset.licence, "url": dataset.licence_url},
        "authors": [asdict(one) for one in dataset.authors],
        "keywords": list(dataset.keywords),
        "attribution": attributions(sources, registry.terms),
        "terms": terms_document(sources, registry.terms),
    }


def ledger_frame(app: App, markets: Collection[str]) -> pl.DataFrame:
    """What the ledger knows of everything that figures of these markets rest on, prices of their days included."""
    states, names = app.ledger.states(), set(markets)
    days = {one.period.day for one in states if one.dataset in MARKET_DATASETS and one.key in names}
    told = {one.name: (source.name, one.reach) for source in price_sources(app).values() for one in source.datasets}
    rows = []
    for partition, entry in states.items():
        if partition.dataset in MARKET_DATASETS:
            if partition.key in names:
                rows.append(_row(entry, ONCHAIN, all_days=False))
        elif partition.dataset in told:
            source, reach = told[partition.dataset]
            if (whole := reach == "whole_history") or partition.period.day in days:
                rows.append(_row(entry, source, all_days=whole))
    return pl.DataFrame(rows, schema=ENTRIES, orient="row").sort("partition", "source")


def _row(entry: Entry, source: str, *, all_days: bool) -> tuple[object, ...]:
    values = {**{name: getattr(entry, name, None) for name in ENTRIES}, "source": source, "all_days": all_days}
    return tuple(str(value) if name == "partition" else value for name, value in values.items())


def _origin(folder: Path) -> Origin:
    """This code and machine, and the day: that of the release that is there already, else today (UTC)."""
    today = datetime.now(UTC).date()
    recipe = folder / RECIPE
    if recipe.exists():
        with suppress(BadInput):  # what is wrong with it is said when the two are compared
            today = origins.read(recipe.read_bytes(), "")[0].released_on
    return Origin(today, __version__, commit(), code_digest(), origins.environment())
