"""The selection flags, written once: every command that selects markets, days or datasets uses these."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cryptolake.cli import values
from cryptolake.cli.show import print_note
from cryptolake.errors import BadInput, Stop
from cryptolake.registry.markets import Csu

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.work.chosen_panel import ChosenPanel

_PANEL = "Selection"


# Under this name a completion says in its context which function of `values` gave the names; `words` asks for it.
VALUES = "cryptolake.values"


def completed_by(names: Callable[[Path | None], list[str]]) -> Callable[[typer.Context, str], list[str]]:
    """The completion of a flag or argument by the names that a function of `values` gives."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        context.meta[VALUES] = f"{names.__module__}:{names.__name__}"
        return [one for one in names(context.find_root().params.get("registry")) if one.startswith(incomplete)]

    return complete


CsuFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--csu",
        help="Market, repeatable; 'all' for every market.",
        autocompletion=completed_by(values.markets),
        rich_help_panel=_PANEL,
    ),
]
ChainFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--chain", help="All markets of a chain.", autocompletion=completed_by(values.chains), rich_help_panel=_PANEL
    ),
]
SetFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A named set of markets, e.g. thesis-43, or one of your registry file; repeatable.",
        autocompletion=completed_by(values.sets),
        rich_help_panel=_PANEL,
    ),
]
FamilyFlag = Annotated[
    list[str] | None, typer.Option("--family", help="All markets of a protocol family.", rich_help_panel=_PANEL)
]
DatasetFlag = Annotated[
    list[str] | None,
    typer.Option("--dataset", help="tvl, liquidations or a vendor dataset; repeatable.", rich_help_panel=_PANEL),
]
StartFlag = Annotated[
    datetime | None, typer.Option("--start-date", formats=["%Y-%m-%d"], help="First day.", rich_help_panel=_PANEL)
]
EndFlag = Annotated[
    datetime | None,
    typer.Option("--end-date", formats=["%Y-%m-%d"], help="Last day, included (yesterday).", rich_help_panel=_PANEL),
]
DaysFlag = Annotated[
    int | None, typer.Option("--days", min=1, help="How many days back from the end date.", rich_help_panel=_PANEL)
]
WorkersFlag = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, max=256, help="Parallel conversations; default: what limits and latency can feed."
    ),
]
GranularityFlag = Annotated[
    Literal["day", "hour"] | None,
    typer.Option("--granularity", help="One snapshot a day or one an hour.", rich_help_panel=_PANEL),
]
RetryFailedFlag = Annotated[
    bool, typer.Option("--retry-failed", help="Only what failed or was cut short before, nothing new.")
]
ResumeFlag = Annotated[bool, typer.Option("--resume/--no-resume", help="Skip what is done, or ask again.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def chosen_csus(
    app: App,
    csu: list[str] | None,
    chain: list[str] | None,
    family: list[str] | None,
    sets: list[str] | None = None,
) -> list[Csu]:
    """The markets that meet every flag. Without any: those the settings name, else the test market; a line says which.

    Raises BadInput for an unknown name and for a selection that no market meets.
    """
    from cryptolake.registry.loader import configured
    from cryptolake.work.selection import selected_csus

    if not (csu or chain or family or sets):
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
    return selected_csus(app, csus=csu or (), chains=chain or (), of_families=family or (), sets=sets or ())


def shown_days(start: datetime | None, end: datetime | None, days: int | None) -> tuple[date | None, date | None]:
    """The days of a reading command; None where the flags leave an end open. Raises BadInput for a contradiction."""
    from cryptolake.work.selection import open_span

    return open_span(start and start.date(), end and end.date(), days)


def chosen_rows(
    app: App,
    csu: list[str] | None,
    chain: list[str] | None,
    family: list[str] | None,
    sets: list[str] | None,
    start: datetime | None,
    end: datetime | None,
    days: int | None,
    version: int | None = None,
) -> ChosenPanel:
    """The panel over the selected markets and days; without a selection all of it. A line says what was taken."""
    from cryptolake.work.chosen_panel import chosen_panel

    refuse_unfinished(app)
    first, last = shown_days(start, end, days)
    whole = not (csu or chain or family or sets)
    csus = None if whole else chosen_csus(app, csu, chain, family, sets)
    found = chosen_panel(app, csus, first, last, version=version)
    print_note(("No market was selected: taking all of the panel, " if whole else "Taking ") + found.says)
    return found


def refuse_unfinished(app: App) -> None:
    """Raises Stop while a fresh start has set aside what was there and not yet filled it again."""
    from cryptolake.work.fresh import pending

    if (name := pending(app)) is not None:
        raise Stop(
            f"a fresh start is unfinished: what was there lies in {name} (the data folder's aside/ and PostgreSQL); "
            "`cryptolake scheduler` goes on with it"
        )


def refuse_recorded(app: App, csus: Iterable[Csu]) -> None:
    """Raises BadInput for the demo's market when nobody plays its chain: no endpoint in the world has it.

    And Stop while a fresh start is unfinished.
    """
    from cryptolake.demo.journey import CSU, is_marked

    refuse_unfinished(app)
    if any(one.name == CSU and one.chain not in app.settings.rpc for one in csus) and is_marked(app.folder.root):
        raise BadInput(
            f"{app.folder.root} is the demo's folder, and its chain exists only while `cryptolake demo` runs; "
            "name other markets and another --data"
        )


def note_whole_panel(app: App) -> None:
    """Say which markets and days the panel is about, for commands that have no selection of their own.

    Raises BadInput with what to run when there is no panel.
    """
    from cryptolake.work.chosen_panel import chosen_panel

    refuse_unfinished(app)
    print_note("The panel is about everything that was ever asked for: " + chosen_panel(app, None, None, None).says)


def dates(start: datetime | None, end: datetime | None, days: int | None) -> dict[str, object]:
    """The three date flags as settings overrides. Raises BadInput for a contradictory pair."""
    from cryptolake.work.selection import require_one_start

    require_one_start(start, days)
    return {"start_date": start and start.date(), "end_date": end and end.date(), "days": days}
