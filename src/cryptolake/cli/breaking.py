"""What `demo --break` prints: every fault that was planted, who noticed it and what was said; and how that ends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING

import typer

from cryptolake.cli.show import print_json, print_line, print_table
from cryptolake.contracts.counting import counted
from cryptolake.demo.journey import CSU

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.cli.state import State
    from cryptolake.work.breaking import Broken

_LONGEST = 120  # characters of what was said; --json has all
# So that what is caught does not depend on the user's own settings.
_SETTINGS: Mapping[str, object] = {
    "grade": "two_voices",
    "granularity": "day",
    "log_level": "error",
    "public_rpc": False,
    "workers": 4,
}


def show_broken(state: State, alone: Mapping[str, object], *, as_json: bool) -> None:
    """Break the demo's lake, print who noticed what, and exit: 0 only when every fault was caught.

    `alone` are the settings that keep the user's own database and keys out of it.
    """
    from cryptolake.app import App
    from cryptolake.demo.faults import FAULTS
    from cryptolake.work.breaking import break_all

    def open_app(**more: object) -> App:
        return App(state.read(**{**_SETTINGS, **alone, **more}))

    started = monotonic()
    found = list(break_all(open_app, FAULTS))
    caught = all(one.caught for one in found)
    if as_json:
        print_json(
            {"caught": caught, "seconds": round(monotonic() - started, 1), "faults": list(map(_document, found))}
        )
    else:
        _print(found, monotonic() - started)
    raise typer.Exit(0 if found and caught else 1)


def _document(one: Broken) -> dict[str, object]:
    return {
        "done": one.fault.done,
        "provable": one.fault.provable,
        "caught": one.caught,
        "noticed_by": None if one.noticed is None else one.noticed.by,
        "said": None if one.noticed is None else one.noticed.said,
        "wrong_days": [str(day) for day in one.wrong],
        "seconds": round(one.seconds, 1),
    }


def _print(found: list[Broken], seconds: float) -> None:
    provable = [one for one in found if one.fault.provable]
    print_table(
        "Broken on purpose (sandbox)",
        ("what was done", "which command noticed", "what it said"),
        list(map(_row, provable)),
    )
    rest = [one for one in found if not one.fault.provable]
    if rest:
        columns = ("what was done", "which command tells", "what it says of the wrong figures")
        print_table("What one voice cannot show", columns, list(map(_row, rest)))
    missed = [one for one in found if not one.caught]
    for one in missed:
        wrong = f"; {', '.join(map(str, one.wrong))} shows another figure and says ok" if one.wrong else ""
        print_line(f"[red]not caught[/]: {one.fault.done}{wrong}")
    count = counted(len(provable), "fault")
    print_line(
        f"{sum(one.caught for one in provable)} of {count} caught, in copies that are deleted again, in {seconds:.0f} s"
    )


def _row(one: Broken) -> tuple[str, str, str]:
    if one.noticed is None:
        return one.fault.done, "nobody", "–"
    # There is one market, and nobody reads addresses here: --json has it in full.
    said = re.sub(r"(0x\w{8})\w{32}\b", r"\1…", one.noticed.said.replace(f"/{CSU}", "").replace(f"{CSU}: ", ""))
    if len(said) > _LONGEST:
        said = f"{said[:_LONGEST].rpartition(' ')[0]} …"
    return one.fault.done, one.noticed.by.removeprefix("cryptolake "), said
