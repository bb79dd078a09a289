"""Who tells prices apart from the markets themselves, opened, what they said, and how one price is chosen among them.

What does not belong here: asking them and valuing by what they said (prices), and the choice itself (`silver.prices`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import polars as pl
import structlog

from cryptolake.app import App
from cryptolake.contracts.counting import counted
from cryptolake.contracts.entry import SUSPECT, Entry
from cryptolake.contracts.grades import Grade, grade_of, weakest
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.prices import Wanted
from cryptolake.contracts.source import Grades, Source
from cryptolake.errors import BadInput, Stop
from cryptolake.flow.reading import read_recorded
from cryptolake.lake.bronze import Bronze
from cryptolake.silver.prices import Pricing, pricing_of, tidy
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.silver.refined import TABLE as REFINED
from cryptolake.silver.refined import PriceAnswers, pricing_of_most
from cryptolake.sources.price_file import PriceFile
from cryptolake.work.grading import proof_of

log = structlog.get_logger(__name__)


def price_source(app: App, name: str, wanted: Wanted | None = None) -> Source:
    """Who tells prices under this name; `wanted` is what is to be asked. Raises BadInput naming the known ones."""
    return app.found.price_source(name, app.access(), app.registry.chains, wanted or {})


def price_sources(app: App) -> dict[str, Source]:
    """Everybody who tells prices, by name, the lowest rung first.

    Raises BadInput when two of them call a dataset the same: their answers would be taken for each other's.
    """
    return app.found.told(app.access(), app.registry.chains)


def pricing(app: App) -> Pricing:
    """How prices are chosen by the settings. Raises BadInput for a source in CRYPTOLAKE_PRICE_ORDER that there is not."""
    return pricing_of(app.settings.price_order, _ages(app), app.settings.price_tolerance)


def lake_pricing(app: App, *, everything: bool = False) -> Pricing:
    """How prices are chosen in this lake: as they were when it was valued last, in a lake without prices by the settings.

    So a day that is refined alone is valued like its neighbours; only `reprice` changes how. When `everything` is valued
    anew, price sources that came since are heard too. A lake that an earlier version valued by another rule keeps the order
    and the tolerance it was told. Raises BadInput when one that was named is gone.
    """
    recorded = app.tables.read(REFINED)
    kept = pricing_of_most(recorded)
    if kept is not None and not everything:
        return kept
    kept = kept or pricing_of_most(recorded, rule=None)
    if kept is None:
        return pricing(app)
    try:
        return pricing_of(kept.told, _ages(app), kept.tolerance)
    except BadInput as error:
        raise BadInput(
            f"silver was valued in the order {kept.told}; {error}; run `cryptolake reprice --order` first"
        ) from None


def pricing_before(app: App) -> Pricing:
    """How prices were chosen before everything is made anew; by the settings where what silver says of it is lost."""
    try:
        return lake_pricing(app, everything=True)
    except Stop as error:
        log.warning("valued by the settings: how it was valued before cannot be read any more", error=str(error))
        return pricing(app)


def warn_of_other_settings(app: App, kept: Pricing) -> None:
    """Say so when the user's settings would value the lake otherwise than it is (`kept`), and what makes them count."""
    settings = app.settings
    wanted = pricing(app)
    order = "price_order" in settings.model_fields_set and wanted.ladder != kept.ladder
    tolerance = "price_tolerance" in settings.model_fields_set and wanted.tolerance != kept.tolerance
    if order or tolerance:
        log.warning(
            "valued like the rest of the lake, not by the settings; `cryptolake reprice` values all of it by them",
            ladder=",".join(kept.ladder),
            tolerance=kept.tolerance,
            settings_ladder=",".join(wanted.ladder),
            settings_tolerance=wanted.tolerance,
        )


def _ages(app: App) -> dict[str, float]:
    return {name: one.max_age_s for name, one in app.found.price_sources.items()}


def read_quotes(
    sources: Mapping[str, Source], bronze: Bronze, states: Mapping[Partition, Entry], days: Iterable[date] | None = None
) -> pl.DataFrame:
    """Every kept quote of these sources (by their name on the ladder), from bronze; the same answers give the same rows.

    Raises Stop when an answer is gone or another one, for its days would be priced by somebody else in silence, and when a
    source's rows bear another name: they would be on no rung.
    """
    chosen = None if days is None else set(days)
    frames = [QUOTES.empty()]
    for name, source in sources.items():
        datasets = {one.name for one in source.datasets}
        kept = [
            (p, entry.digest)
            for p, entry in states.items()
            if p.dataset in datasets and entry.has_answer and entry.digest
        ]
        dated = source.datasets[0].reach != "whole_history"
        kept = [one for one in kept if chosen is None or not dated or one[0].period.day in chosen]
        rows, lost = read_recorded(source, sorted(kept), bronze)
        if lost:
            raise Stop(
                f"{counted(len(lost), 'answer')} of price source {name} cannot be found as recorded (first {lost[0]}): the "
                f"days would be priced by others in silence; {_again(name)}, or run `cryptolake ledger repair` to go on without"
            )
        frame = pl.DataFrame(list(rows), schema=QUOTES.polars_schema(), strict=False)
        if strangers := sorted({str(one) for one in frame["source"].unique()} - {name}):
            raise Stop(f"price source {name}: its rows say source {strangers[0]!r}; correct `parse` in its file")
        frames.append(frame if chosen is None else frame.filter(pl.col("date").is_in(sorted(chosen))))
    return tidy(pl.concat(frames))


def price_answers(app: App, states: Mapping[Partition, Entry]) -> PriceAnswers:
    """Which answers of price sources there are for each day, by the ledger: those that `read_quotes` reads.

    Costs a look at each file of them.
    """
    of_days: dict[date, list[tuple[str, str | None]]] = {}
    of_all: list[tuple[str, str | None]] = []
    proofs: dict[tuple[str, str, date], tuple[Grade, bool]] = {}
    certified = frozenset(name for name, one in app.found.price_sources.items() if one.asked == "snapshots")
    sources = price_sources(app)
    told = {one.name: (name, one) for name, source in sources.items() for one in source.datasets}
    kept: dict[str, list[tuple[Partition, str]]] = {}
    for partition, entry in states.items():
        if entry.digest is None or not entry.has_answer or partition.dataset not in told:
            continue
        name, dataset = told[partition.dataset]
        day = partition.period.day
        of = of_all if dataset.reach == "whole_history" else of_days.setdefault(day, [])
        of.append((str(partition), entry.digest))
        kept.setdefault(name, []).append((partition, entry.digest))
        if name in certified:
            proofs[name, partition.key, day] = _proven(app.bronze, sources[name], entry, entry.digest)
    lost = frozenset[tuple[str, str, date | None]](
        (name, "", None) if told[one.dataset][1].reach == "whole_history" else (name, one.key, one.period.day)
        for name, answers in kept.items()
        for one in app.bronze.lost(answers, sources[name].name)
    )
    return PriceAnswers(of_days, of_all, certified, proofs, lost)


def _proven(bronze: Bronze, source: Source, entry: Entry, digest: str) -> tuple[Grade, bool]:
    """How far a price is proven and whether somebody contradicts it: as the ledger says, and no better than its answer."""
    grade, doubted = grade_of(entry.grade), entry.reason == SUSPECT
    found = proof_of(bronze, entry.partition, digest, source) if isinstance(source, Grades) else None
    return (grade, doubted) if found is None else (weakest([grade, grade_of(found.grade)]), doubted or found.doubted)


def _again(name: str) -> str:
    """How an answer of a price source comes again."""
    return (
        "import the file again"
        if name == PriceFile.name
        else f"ask again by `cryptolake prices collect --source {name} --all`"
    )
