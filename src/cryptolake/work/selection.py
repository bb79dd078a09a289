"""What a caller selects: markets, datasets and days, and the partitions these come to; the same words for every driver.

What does not belong here: flags and what is printed about a selection (cli), and reading the panel of one (chosen_panel).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, timedelta

from cryptolake.app import App
from cryptolake.contracts.entry import SETTLED
from cryptolake.contracts.partition import MARKET_DATASETS, Partition
from cryptolake.errors import BadInput
from cryptolake.flow.increment import due
from cryptolake.flow.plan import Span, wanted
from cryptolake.flow.resume import Wish, wish_for, wish_of
from cryptolake.registry.loader import select
from cryptolake.registry.markets import Csu
from cryptolake.settings import days_back
from cryptolake.sources.onchain.families import families
from cryptolake.watch.coverage import markets


def selected_csus(
    app: App,
    *,
    csus: Sequence[str] = (),
    chains: Sequence[str] = (),
    of_families: Sequence[str] = (),
    sets: Sequence[str] = (),
) -> list[Csu]:
    """The markets that meet every criterion given; the name `all` stands for every market.

    Raises BadInput for an unknown name and for a selection that no market meets.
    """
    named = () if "all" in csus else csus
    found = select(app.registry, csus=named, chains=chains, families=of_families, sets=sets)
    if not found:
        raise BadInput("no market meets all of the flags given; leave one out, see `cryptolake markets`")
    return found


def collected_csus(app: App) -> list[Csu]:
    """Every market that was ever collected and whose family can be read."""
    known = [app.registry.csus[name] for name in markets(app.ledger) if name in app.registry.csus]
    return [one for one in known if one.family in families()]


def chosen_datasets(dataset: Sequence[str] | None) -> list[str]:
    """The selected on-chain datasets, both when none was named. Raises BadInput for an unknown one."""
    for name in dataset or ():
        if name not in MARKET_DATASETS:
            raise BadInput(f"unknown dataset {name!r}; known: {', '.join(MARKET_DATASETS)}")
    return list(dataset or MARKET_DATASETS)


def chosen_span(app: App, *, first: date | None = None, last: date | None = None, days: int | None = None) -> Span:
    """The settings' days or, where they are given, these, cut by the settings' granularity and day boundary.

    Raises BadInput for days that contradict each other.
    """
    settings = app.settings
    if last is not None:
        settings = settings.model_copy(update={"end_date": last})
    if first is not None or days is not None:
        require_one_start(first, days)
        settings = settings.model_copy(update={"start_date": first, "days": settings.days if days is None else days})
    return Span(*settings.span(), settings.granularity, app.boundary)


def chosen_partitions(
    app: App, csus: Sequence[Csu], dataset: Sequence[str] | None, span: Span | None = None
) -> list[Partition]:
    """Every partition of the selection over a span of days, the settings' one when none is given."""
    names = [csu.name for csu in csus]
    return wanted(app.onchain(csus), chosen_datasets(dataset), names, span or chosen_span(app))


def chosen_wish(app: App, csus: Sequence[Csu], dataset: Sequence[str] | None, span: Span | None = None) -> Wish:
    """The same, by series, without naming every partition."""
    names = [csu.name for csu in csus]
    return wish_of(app.onchain(csus), chosen_datasets(dataset), names, span or chosen_span(app))


def unsettled_wish(
    app: App, csus: Sequence[Csu], dataset: Sequence[str] | None, *, until: date | None = None
) -> tuple[list[Csu], Wish]:
    """What failed, was cut short or is suspect of these markets up to a day, included (None: any), and whose that is."""
    names, of, last = {one.name for one in csus}, set(chosen_datasets(dataset)), until or date.max
    left = [one.partition for one in app.ledger.unsettled()]
    found = [one for one in left if one.dataset in of and one.key in names and one.period.day <= last]
    keys = {one.key for one in found}
    return [one for one in csus if one.name in keys] or list(csus), wish_for(found)


def due_wish(app: App, csus: Sequence[Csu], dataset: Sequence[str] | None, until: date | None) -> Wish:
    """What is due of these markets up to a day, included; None: yesterday (UTC). See `flow.increment`."""
    return due(
        [one.name for one in csus],
        datasets=chosen_datasets(dataset),
        until=until or datetime.now(UTC).date() - timedelta(days=1),
        ledger=app.ledger,
        granularity=app.settings.granularity,
        boundary=app.boundary,
    )


def held_partitions(app: App, csus: Sequence[Csu], dataset: Sequence[str] | None) -> list[Partition]:
    """Every partition of the markets that was ever asked for, whatever its day.

    Raises BadInput when there is none: nothing was collected for the selection.
    """
    names, of = {csu.name for csu in csus}, set(chosen_datasets(dataset))
    found = sorted(one for one in app.ledger.states() if one.key in names and one.dataset in of)
    if not found:
        raise BadInput("nothing was collected yet for this selection; run `cryptolake collect` with the same flags")
    return found


def snapshots_asked(app: App, keys: Collection[str], days: Collection[date] | None = None) -> list[Partition]:
    """Every snapshot that was ever asked for of these markets, or those of these days."""
    found = (one for one in app.ledger.states("tvl") if one.key in keys)
    return [one for one in found if days is None or one.period.day in days]


def named_partitions(app: App, csus: Sequence[Csu], dataset: str) -> list[Partition]:
    """Every partition of a dataset that was ever asked for of these markets, and those that a market lacks which never was.

    It lacks the days of the others; where nobody has any, those of the settings.
    """
    names = {csu.name for csu in csus}
    found = [one for one in app.ledger.states(dataset) if one.key in names]
    if not found:
        return chosen_partitions(app, csus, [dataset])
    never = names - {one.key for one in found}
    return sorted(
        [*found, *(Partition(dataset, name, period) for name in never for period in {p.period for p in found})]
    )


def collected_partitions(
    app: App, csus: Sequence[Csu], dataset: Sequence[str] | None, span: Span | None
) -> list[Partition]:
    """The partitions of the selection over the span (None: every day ever asked for).

    Raises BadInput when none of them was collected.
    """
    found = chosen_partitions(app, csus, dataset, span) if span else held_partitions(app, csus, dataset)
    if not any(entry.state in SETTLED for entry in app.ledger.of(found).values()):
        raise BadInput("nothing of this selection was collected; run `cryptolake collect` with the same flags")
    return found


def open_span(first: date | None, last: date | None, days: int | None) -> tuple[date | None, date | None]:
    """The days of a reading step; None where an end is left open. Raises BadInput for a contradiction."""
    require_one_start(first, days)
    if days is not None:
        last = last or datetime.now(UTC).date() - timedelta(days=1)
        first = days_back(last, days)
    if first is not None and last is not None and first > last:
        raise BadInput(f"the start date {first} is after the end date {last}; swap them")
    return first, last


def require_one_start(first: object, days: int | None) -> None:
    """Raises BadInput when both a first day and a number of days are given."""
    if first is not None and days is not None:
        raise BadInput("--start-date and --days contradict each other; give one of them")
