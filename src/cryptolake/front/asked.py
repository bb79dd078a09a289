"""How a step is asked for: by how many conversations, and with whose consent to replace what is stored.

What does not belong here: what is asked for (words), and the steps (lake).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from cryptolake.app import App
from cryptolake.errors import BadInput
from cryptolake.front.words import Counted, Show, flag, shown, text
from cryptolake.registry.markets import Csu
from cryptolake.work.guards import require_askable, require_finished
from cryptolake.work.refill import Fresh
from cryptolake.work.series import Operation, Pulled
from cryptolake.work.vendor_fresh import replacement
from cryptolake.work.vendors import ask_vendor, chosen_datasets, questions

_MOST_WORKERS = 256


@contextmanager
def by_workers(app: App, csus: Iterable[Csu], workers: int | None) -> Iterator[App]:
    """The app that asks the chains about these markets, with `workers` conversations at once where they are given.

    Raises BadInput for a number that cannot be, and what `work.guards` says against asking now.
    """
    require_askable(app, csus)
    if workers is None:
        yield app
        return
    own = App(app.settings.model_copy(update={"workers": _possible(workers)}))
    try:
        yield own
    finally:
        own.close()


def finished(app: App) -> App:
    """The app, to make or read tables. Raises Stop while a fresh start is unfinished: tables may be empty."""
    require_finished(app)
    return app


def ask(
    app: App,
    operation: Operation,
    source: str,
    *,
    datasets: Sequence[str] | None,
    keys: Sequence[str] | None,
    workers: int | None,
    show: Show | None,
    resume: bool = True,
    restate: bool = False,
    fresh: Fresh | None = None,
) -> list[Pulled]:
    """A vendor's pull or backfill, told as it goes (`work.vendors.ask_vendor`)."""
    if workers is not None:
        _possible(workers)
    shown(show)
    vendor = app.vendor(text("source", source))
    total = questions(app, operation, vendor, chosen_datasets(vendor, operation, datasets, keys), keys)
    return ask_vendor(
        app,
        operation,
        source,
        datasets=datasets,
        keys=keys,
        resume=resume,
        restate=restate,
        fresh=fresh,
        workers=workers,
        progress=Counted(show or (lambda _done, _total, _what: None), total),
    )


def agreed(
    app: App, source: str, datasets: Sequence[str] | None, keys: Sequence[str] | None, drop: Sequence[str], *, yes: bool
) -> Fresh:
    """A vendor's fresh start that was agreed to. Raises BadInput that says what it would replace where it was not."""
    agreed_to = flag("yes", yes)
    found = replacement(app, text("source", source), datasets=datasets, keys=keys, drop=drop)
    if found.rows and not agreed_to:
        raise BadInput(f"{found.says} Nothing was changed; give yes=True to go on")
    return found.fresh


def address(cluster: str | None) -> str | None:
    """Where a cluster is, if one is asked for. Raises BadInput for anything but text."""
    return None if cluster is None else text("cluster", cluster)


def _possible(workers: int) -> int:
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= _MOST_WORKERS:
        raise BadInput(f"workers must be a number from 1 to {_MOST_WORKERS}, not {workers!r}")
    return workers
