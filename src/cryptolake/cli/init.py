"""The init command: asks what has to be decided once and for the keys, tries them, writes the settings, shows the plan.

What does not belong here: how keys are tried and files merged (`work.keys`, `work.setting_files`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import (
    chosen_csus,
)
from cryptolake.cli.planned import print_plan, totals
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_line, print_note
from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput, Stop
from cryptolake.registry.chains import Chain

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.work.keys import Tried, VendorKey
    from cryptolake.work.setting_files import Value

T = TypeVar("T")

TOML, ENV = Path("cryptolake.toml"), Path(".env")
RECOMMENDED_SET = "thesis-43"
_ROLLING = "rolling"


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("init", rich_help_panel="Start")(init_command)


@selecting(days=("start_date", "days"))
def init_command(
    context: typer.Context,
    yes: Annotated[
        bool, typer.Option("--yes", help="Ask nothing: what is set already stays, the rest is as recommended.")
    ] = False,
    selected: Selected = NOTHING,
) -> None:
    """Decide once what to collect, and with which keys; shows what that takes in time and money.

    Settings go to cryptolake.toml, keys to .env, both in this folder; what else is in them stays. Keys are tried with one
    question each. Afterwards `cryptolake run` without flags does what was decided. Flags that select are what is recommended.

    Example: cryptolake init --yes --set thesis-43
    """
    from cryptolake.app import App

    if not yes and not sys.stdin.isatty():
        raise Stop("nobody is there to answer; give --yes to take the recommendations, or run this in a terminal")
    app = App(context.obj.read(**selected.settings))
    try:
        now = _recommended(app)
        if selected.csu or selected.chain or selected.family:
            now |= {"sets": None, "markets": [one.name for one in chosen_csus(app, selected)]}
        elif selected.sets:
            chosen_csus(app, selected)  # an unknown name is refused here
            now |= {"sets": list(selected.sets), "markets": None}
        values = now if yes else _asked(app, now)
        chains = _chains(app, values)
        refused = _try_known(app, chains)
        keys = {} if yes else _ask_keys(app, chains)
    finally:
        app.close()
    _write(values, keys, yes=yes)
    _show(context.obj.open(), values)
    if refused:
        raise Stop(f"{' and '.join(refused)}: refused; correct it where it is set, then run `cryptolake init` again")


def _recommended(app: App) -> dict[str, Value]:
    """What is set already, else what is recommended: by name of the setting."""
    settings = app.settings
    chosen = settings.sets or settings.markets
    return {
        "days": settings.days,
        "granularity": settings.granularity,
        "start_date": settings.start_date,
        "workers": settings.workers,
        "data": str(app.folder.root if settings.environment == "prod" else app.folder.root.parent),
        "test_csu": settings.test_csu,
        "sets": settings.sets if chosen else [RECOMMENDED_SET],
        "markets": settings.markets or None,
    }


def _asked(app: App, now: Mapping[str, Value]) -> dict[str, Value]:
    """The answers to the six questions and which markets are meant; an empty answer takes what stands in brackets."""
    print_note(
        "Six decisions, then the markets; Enter takes what stands in brackets. Nothing is written before the end."
    )
    found: dict[str, Value] = {}
    found["days"] = _ask("1. How many days back", now["days"], lambda text: _number(text, 1, 36_500))
    found["granularity"] = _ask("2. One snapshot a day or one an hour (day, hour)", now["granularity"], _granularity)
    found["start_date"] = _ask(
        f"3. Always the last days ({_ROLLING}), or from a fixed first day (YYYY-MM-DD)",
        now["start_date"] or _ROLLING,
        _first_day,
    )
    found["workers"] = _ask("4. Parallel workers", now["workers"], lambda text: _number(text, 1, 256))
    found["data"] = _ask("5. Folder of the data", now["data"], _folder)
    found["test_csu"] = _ask("6. Market for a first trial", now["test_csu"], lambda text: app.registry.csu(text).name)
    listed = ", ".join([*_names(now["sets"]), *_names(now["markets"])])
    question = "Which markets after that (sets, markets or all)"
    return {**found, **_ask(question, listed, lambda text: _markets(app, text))}


def _names(value: Value) -> list[str]:
    return list(value) if isinstance(value, list) else []


def _ask(question: str, default: Value, read: Callable[[str], T]) -> T:
    """The answer as `read` understands it; asked again, with the reason, until it does."""
    while True:
        try:
            return read(str(typer.prompt(question, default=str(default), err=True)).strip())
        except BadInput as error:
            print_note(f"[red]no[/]: {error}")


def _number(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise BadInput(f"write a whole number from {least} to {most:,}")
    return int(text)


def _granularity(text: str) -> str:
    if text not in ("day", "hour"):
        raise BadInput("write day or hour")
    return text


def _folder(text: str) -> str:
    there = next((one for one in (Path(text), *Path(text).absolute().parents) if one.exists()), None)
    if there is not None and not there.is_dir():
        raise BadInput(f"{there} is a file; name a folder, which is made if need be")
    if there is not None and not os.access(there, os.W_OK):
        raise BadInput(f"{there} may not be written to; name another folder")
    return text


def _first_day(text: str) -> date | None:
    if text == _ROLLING:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"write {_ROLLING}, or a day as 2024-01-01") from None
    if day > datetime.now(UTC).date() - timedelta(days=1):
        raise BadInput("the first day must be over: yesterday (UTC) or earlier")
    return day


def _markets(app: App, text: str) -> dict[str, Value]:
    """The settings `sets` and `markets` that these names mean. Raises BadInput for an unknown one."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise BadInput("name at least one, e.g. thesis-43")
    sets = [name for name in names if name in app.registry.sets]
    markets = [name if name == "all" else app.registry.csu(name).name for name in names if name not in sets]
    return {"sets": sets or None, "markets": markets or None}


def _chains(app: App, values: Mapping[str, Value]) -> list[Chain]:
    """The chains of the markets that were decided on, the trial's first."""
    from cryptolake.registry.loader import configured

    csus = [
        app.registry.csu(str(values["test_csu"])),
        *configured(app.registry, _names(values["markets"]), _names(values["sets"])),
    ]
    return [app.registry.chain(name) for name in dict.fromkeys(csu.chain for csu in csus)]


def _try_known(app: App, chains: list[Chain]) -> list[str]:
    """Try what is set already; the names of what was refused."""
    from cryptolake.work.keys import Tried, try_alchemy, try_endpoint, vendor_keys

    settings, tried = app.settings, dict[str, Tried]()
    if at := _at_alchemy(chains):
        for number, key in enumerate(settings.alchemy_keys, start=1):
            tried[f"Alchemy key {number}"] = try_alchemy(at, key.get_secret_value(), app.purse)
    for chain in chains:
        for number, url in enumerate(settings.rpc.get(chain.name, []), start=1):
            name = f"CRYPTOLAKE_RPC_{chain.name.upper()} {number}"
            tried[name] = try_endpoint(chain, url.get_secret_value(), app.purse)
    for one in vendor_keys(app.found):
        if (held := settings.key(one.key.name)) is not None:
            tried[one.key.name] = _tried(app, one, held)
    for name, what in tried.items():
        _say(name, what)
    return [name for name, what in tried.items() if what.verdict == "refused"]


def _tried(app: App, one: VendorKey, value: str) -> Tried:
    return one.attempt(value, urls=app.settings.urls, rates=app.settings.vendor_rates)


def _at_alchemy(chains: list[Chain]) -> Chain | None:
    return next((chain for chain in chains if chain.alchemy_subdomain), None)


def _say(name: str, tried: Tried) -> None:
    colour = {"accepted": "green", "refused": "red"}.get(tried.verdict, "yellow")
    print_note(f"{name}: [{colour}]{tried.verdict}[/], {tried.says}")


def _ask_keys(app: App, chains: list[Chain]) -> dict[str, str]:
    """The keys that were entered, by variable."""
    from cryptolake.work.keys import try_alchemy, try_endpoint, vendor_keys

    settings, keys = app.settings, dict[str, str]()
    print_note("Keys; what you type is not shown. Enter goes without, on public endpoints and free hosts.")
    if at := _at_alchemy(chains):
        number = 1
        while True:
            name = f"ALCHEMY_KEY_{number}"
            number += 1
            if settings.key(name) is not None:
                continue
            if (key := _secret(f"{name}, one per account", partial(try_alchemy, at, purse=app.purse))) is None:
                break
            keys[name] = key
    while chain := _ask("Chain with an endpoint of your own (Enter: none)", "", lambda text: _chain(app, text)):
        name = f"CRYPTOLAKE_RPC_{chain.name.upper()}"
        if (url := _secret(name, partial(try_endpoint, chain, purse=app.purse))) is not None:
            keys[name] = url
    for one in vendor_keys(app.found):
        if settings.key(one.key.name) is None:
            value = _secret(f"{one.vendor.name}: {one.key.name} ({one.key.doc})", partial(_tried, app, one))
            keys |= {one.key.name: value} if value is not None else {}
    return keys


def _chain(app: App, text: str) -> Chain | None:
    return app.registry.chain(text) if text else None


def _secret(question: str, attempt: Callable[[str], Tried]) -> str | None:
    """What was typed, once it passes or is kept all the same; None for nothing."""
    while True:
        text = str(typer.prompt(question, default="", show_default=False, hide_input=True, err=True)).strip()
        if not text:
            return None
        tried = attempt(text)
        _say("tried", tried)
        if tried.verdict in ("accepted", "not asked"):
            return text
        if tried.verdict == "not reachable" and typer.confirm("Keep it untested", default=False, err=True):
            return text
        print_note("Type it again, or Enter to go without.")


def _write(values: Mapping[str, Value], keys: Mapping[str, str], *, yes: bool) -> None:
    """Show what changes in the files and write it. Raises Stop when that is not wanted; nothing is written then."""
    from cryptolake.work.setting_files import SECRET_MODE, content, difference, merged_env, merged_toml, replace_file

    settings, secrets = merged_toml(content(TOML), values), merged_env(content(ENV), keys) if keys else None
    for line in difference(TOML, settings):
        print_note(f"{TOML}: {line}".replace("[", "\\["))
    for name in keys:
        print_note(f"{ENV}: + {name}=***")
    if not yes and not typer.confirm("Write this", default=True, err=True):
        raise Stop("nothing was written")
    written = [(TOML, replace_file(TOML, settings))]
    if secrets is not None:
        written.append((ENV, replace_file(ENV, secrets, mode=SECRET_MODE)))
    for path, kept in written:
        print_line(f"{path} holds it" + (f"; what was there is in {kept}" if kept else ""))


def _show(app: App, values: Mapping[str, Value]) -> None:
    """The plan under the settings as every later command reads them."""
    from cryptolake.work.estimate import planned
    from cryptolake.work.selection import chosen_partitions

    for name, value in values.items():
        if name != "data" and (getattr(app.settings, name) or None) != (value or None):
            print_note(f"[yellow]{name}[/] is set elsewhere, which wins over {TOML}: the environment or {ENV}")
    csus = chosen_csus(app, NOTHING)
    found = planned(app, csus, chosen_partitions(app, csus, None))
    print_plan(found, len(csus))
    days = (found.end_date - found.start_date).days + 1
    fitting = sorted((one.usd, one.plan) for one in found.plans if one.fits and one.usd is not None)
    money = f"USD {fitting[0][0]:,.2f} under {fitting[0][1]}" if fitting else "more than one month of any priced plan"
    print_line(f"{counted(len(csus), 'market')}, {counted(days, 'day')}, {totals(found)}; {money}.")
    print_next(f"run --csu {app.settings.test_csu} --days 1", "run", joined="as a trial, then")
