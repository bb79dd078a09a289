"""Flags that several commands have, and what the selection of a call means: markets, days, rows, chains.

What does not belong here: the flags of the selection themselves (selecting).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cryptolake.cli.selecting import PANEL, Selected
from cryptolake.cli.show import print_note
from cryptolake.registry.markets import Csu

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.work.chosen_panel import ChosenPanel
    from cryptolake.work.market_days import MarketDays

DatasetFlag = Annotated[
    list[str] | None,
    typer.Option("--dataset", help="tvl, liquidations or a vendor dataset; repeatable.", rich_help_panel=PANEL),
]
WorkersFlag = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, max=256, help="Parallel conversations; default: what limits and latency can feed."
    ),
]
MaxCallsFlag = Annotated[
    int | None,
    typer.Option("--max-calls", min=0, help="Most calls this run may send to endpoints; then it stops and says so."),
]
MaxUsdFlag = Annotated[
    float | None,
    typer.Option("--max-usd", min=0, help="Most dollars this run may spend on endpoints; then it stops and says so."),
]
GradeFlag = Annotated[
    Literal["one_voice", "two_voices_sampled", "two_voices", "receipts"] | None,
    typer.Option(
        "--grade",
        help="How far answers are to be proven; what is proven less far is asked again, up to what can be had. "
        "Default: setting `grade`.",
    ),
]
EventPricesFlag = Annotated[
    bool | None,
    typer.Option(
        "--event-prices/--no-event-prices",
        help="Ask for prices at the blocks of liquidations too, a call for each. Default: setting `event_prices`.",
    ),
]
GranularityFlag = Annotated[
    Literal["day", "hour"] | None,
    typer.Option("--granularity", help="One snapshot a day or one an hour.", rich_help_panel=PANEL),
]
RetryFailedFlag = Annotated[
    bool, typer.Option("--retry-failed", help="Only what failed or was cut short before, nothing new.")
]
ResumeFlag = Annotated[bool, typer.Option("--resume/--no-resume", help="Skip what is done, or ask again.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def chosen_csus(app: App, selected: Selected) -> list[Csu]:
    """The markets that meet every flag. Without any: those the settings name, else the test market; a line says which.

    Raises BadInput for an unknown name and for a selection that no market meets.
    """
    from cryptolake.registry.loader import configured
    from cryptolake.work.selection import selected_csus

    csu = selected.csu or ()
    if not selected.named:
        settings = app.settings
        if own := configured(app.registry, settings.markets, settings.sets):
            names = ", ".join([*settings.sets, *settings.markets[:4], *["..."][: len(settings.markets) > 4]])
            print_note(f"No market was selected: taking the {len(own)} of your settings ({names})")
            return own
        csu = [settings.test_csu]
        print_note(
            f"No market was selected: this is about the test market {csu[0]} alone; "
            "choose with --set, --csu, --chain or --family, e.g. --set thesis-43 or --csu all"
        )
    return selected_csus(
        app, csus=csu, chains=selected.chain or (), of_families=selected.family or (), sets=selected.sets or ()
    )


def shown_days(selected: Selected) -> tuple[date | None, date | None]:
    """The days of a reading command; None where the flags leave an end open. Raises BadInput for a contradiction."""
    from cryptolake.work.selection import open_span

    return open_span(selected.start, selected.end, selected.days)


def chosen_rows(app: App, selected: Selected, version: int | None = None, *, as_stored: bool = False) -> ChosenPanel:
    """The panel over the selected markets and days; without a selection all of it. A line says what was taken.

    Raises Stop for figures that are not what ledger and silver give now, unless they are wanted `as_stored`.
    """
    from cryptolake.work.chosen_panel import chosen_panel

    refuse_unfinished(app)
    first, last = shown_days(selected)
    whole = not selected.named
    csus = None if whole else chosen_csus(app, selected)
    found = chosen_panel(app, csus, first, last, version=version, as_stored=as_stored)
    print_note(("No market was selected: taking all of the panel, " if whole else "Taking ") + found.says)
    return found


def refuse_unfinished(app: App) -> None:
    """Raises Stop while a fresh start is unfinished (`work.guards`)."""
    from cryptolake.work.guards import require_finished

    require_finished(app)


def refuse_recorded(app: App, csus: Iterable[Csu]) -> None:
    """Raises BadInput for a market that nobody can be asked about here, Stop while a fresh start is unfinished."""
    from cryptolake.work.guards import require_askable

    require_askable(app, csus)


def chosen_market_days(app: App, selected: Selected) -> MarketDays:
    """What a step that is about everything is narrowed to; without flags it is everything. Raises BadInput as the others do."""
    from cryptolake.work.market_days import MarketDays

    first, last = shown_days(selected) if selected.dated else (None, None)
    if not selected.named:
        return MarketDays(None, first, last)
    return MarketDays(frozenset(one.name for one in chosen_csus(app, selected)), first, last)


def chosen_chains(app: App, selected: Selected) -> list[str] | None:
    """The chains of the selected markets; chains that are named alone need no market. None without flags."""
    if not (selected.csu or selected.family or selected.sets):
        return selected.chain
    return list(dict.fromkeys(one.chain for one in chosen_csus(app, selected)))


def open_for(context: typer.Context, selected: Selected, **overrides: object) -> App:
    """The app, under settings whose `markets` and `sets` are the selected markets; without flags as they are set."""
    app: App = context.obj.open(**overrides)
    if selected.named:
        names = [one.name for one in chosen_csus(app, selected)]
        app = context.obj.open(**overrides, markets=names, sets=[])
    return app


def note_panel(app: App, only: MarketDays) -> None:
    """Say which markets and days the panel is about, and how much of it was chosen: the tables themselves are made whole.

    Raises BadInput with what to run when there is no panel, or it has no figure of what was chosen.
    """
    from cryptolake.work.chosen_panel import chosen_panel

    refuse_unfinished(app)
    everything = chosen_panel(app, None, None, None, as_stored=True).says
    print_note("The panel is about everything that was ever asked for: " + everything)
    if not only.whole:
        csus = None if only.names is None else [app.registry.csus[name] for name in sorted(only.names)]
        print_note("Of it you chose " + chosen_panel(app, csus, only.first, only.last, as_stored=True).says)
