"""Prices at the blocks of liquidations, where the setting `event_prices` wants them: asked, counted, and made a table.

What does not belong here: how a block is asked (sources), what the table says (silver), and the day's prices (beside).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

import orjson

from cryptolake.app import App
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.flow.collect import Collected, Progress
from cryptolake.flow.collect import collect as ask
from cryptolake.flow.outputs import Output
from cryptolake.flow.plan import make_plan
from cryptolake.flow.reading import read_recorded
from cryptolake.flow.resume import Wish, partitions_of
from cryptolake.lake.bronze import ONCHAIN
from cryptolake.registry.markets import Csu
from cryptolake.silver import event_prices
from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.sources.onchain.event_prices import DATASET, EventPrices
from cryptolake.sources.onchain.planning import habit
from cryptolake.sources.onchain.scans import share_of
from cryptolake.work.standing import ANSWERED, standing
from cryptolake.work.workload import EVENTS, Workload

States = Mapping[Partition, Entry]


def source_of(app: App) -> EventPrices:
    """Who asks, with this app's endpoints and answers."""
    access = app.access()
    return EventPrices(
        registry=app.registry,
        pools=lambda chain: app.pool(chain),
        read=access.read,
        kept=lambda partition: app.bronze.read(partition, ONCHAIN),
        block_cache=app.block_cache,
        provenance=access.provenance,
        again=share_of(app.settings.wanted_grade, app.settings.audit) > 0,
    )


def ask_at_events(
    app: App,
    wish: Wish,
    *,
    workers: int,
    stopping: threading.Event,
    resume: bool = True,
    more: Callable[[int], None] = lambda _count: None,
    progress: Progress = lambda _partition, _state: None,
) -> Collected:
    """Ask for the events of a wish's liquidations that are answered; nothing where the setting does not want it."""
    if not app.settings.event_prices or stopping.is_set():
        return Collected()
    missing = _missing(app, partitions_of(wish), app.ledger.states(), resume=resume)
    if not missing:
        return Collected()
    more(len(missing))
    return ask(
        source_of(app),
        missing,
        bronze=app.bronze,
        ledger=app.ledger,
        workers=workers,
        progress=progress,
        stopping=stopping,
    )


def _missing(app: App, wanted: Iterable[Partition], states: States, *, resume: bool = True) -> list[Partition]:
    """What is to be asked: of the wanted liquidations those with events, whose prices are not there or of another answer."""
    happened = {
        Partition(DATASET.name, one.key, one.period): entry
        for one in wanted
        if one.dataset == EVENTS and (entry := states.get(one)) is not None and entry.state == "done"
    }

    def intact(partition: Partition, digest: str | None) -> bool:
        raw = app.bronze.read(partition, DATASET.name)
        of = None if raw is None or raw.digest != digest else orjson.loads(raw.payload)["of"]
        return of is not None and of == happened[partition].digest

    return sorted(make_plan(happened, states, resume=resume, intact=intact).missing)


def with_event_prices(
    app: App, chains: Sequence[Workload], csus: Mapping[str, Csu], wanted: Iterable[Partition], states: States
) -> list[Workload]:
    """The work of each chain with the blocks whose prices are going to be asked: as many as have events, a call each.

    Of days that are not collected yet as many as are expected. What a market asks is learned once, in as many rounds as its
    family's program has. The same work where the setting does not want it.
    """
    if not app.settings.event_prices:
        return list(chains)
    found = {one.chain: replace(one, price_calls=one.price_calls + one.eventful) for one in chains}
    missing = [one for one in _missing(app, wanted, states) if one.key in csus]
    for name in {one.key for one in missing}:
        chain = csus[name].chain
        before = found.get(chain, Workload(chain, 0, (), (), (), 0, 0))
        found[chain] = replace(before, price_calls=before.price_calls + habit(csus[name]).settling - 1)
    for one in missing:
        chain = csus[one.key].chain
        events = states[Partition(EVENTS, one.key, one.period)]
        raw = app.bronze.read(events.partition, ONCHAIN)
        blocks = len(orjson.loads(raw.payload)["timestamps"]) if raw is not None else events.rows or 0
        found[chain] = replace(found[chain], price_calls=found[chain].price_calls + blocks)
    return [found[name] for name in sorted(found)]


def build(app: App, states: States) -> list[Output]:
    """Make the table of all kept answers anew; nothing where nobody ever asked for any."""
    answers = sorted(
        (one, entry.digest)
        for one, entry in states.items()
        if one.dataset == DATASET.name and entry.has_answer and entry.digest
    )
    if not answers and app.tables.version(event_prices.TABLE) is None:
        return []
    counting: dict[tuple[str, date], set[str]] = {}
    for (dataset, csu, day), one in standing(states).items():
        if dataset == EVENTS and one.state in ANSWERED:
            counting[csu, day] = {
                entry.digest for entry in one.entries if entry.digest is not None and entry.has_answer
            }
    known = [(one, digest) for one, digest in answers if one.key in app.registry.csus]
    rows, _ = read_recorded(source_of(app), known, app.bronze)
    frame = event_prices.value(event_prices.conform(rows, counting), app.tables.read(PRICES))
    event_prices.TABLE.require(frame)
    app.tables.write(event_prices.TABLE, frame)
    return [Output("silver event_prices", frame.height, str(app.tables.path(event_prices.TABLE)))]
