"""The first-contact command: what providers really do, beside what the code assumes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.options import JsonFlag, chosen_csus
from cryptolake.cli.reading import only_reads
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_json, print_line, print_note, print_table
from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.registry.markets import Csu
    from cryptolake.work.first_contact import Found

_COLOUR = {"as assumed": "green", "different": "red", "refused": "red", "not reachable": "yellow", "not asked": "cyan"}
_CEILING = 50


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("first-contact", rich_help_panel="Endpoints and proof")(first_contact_command)


@only_reads
@selecting(days=())
def first_contact_command(
    context: typer.Context,
    vendor: Annotated[
        list[str] | None, typer.Option("--vendor", help="Only this vendor, repeatable; `none` for chains alone.")
    ] = None,
    max_calls: Annotated[
        int, typer.Option("--max-calls", min=1, max=_CEILING, help="Calls sent to a provider at most.")
    ] = _CEILING,
    to: Annotated[Path, typer.Option("--to", help="A new folder for the report and the recordings.")] = Path(
        "first-contact"
    ),
    selected: Selected = NOTHING,
    as_json: JsonFlag = False,
) -> None:
    """Ask every provider a few things with your keys, and say what is as the code assumes and what is not.

    A market is tried on each chosen chain (without flags: chains you set endpoints for), and every vendor. What is stored stays
    as it is. Exits 1 when something is different, refused or not reachable.

    Example: cryptolake first-contact --chain ethereum --vendor defillama
    """
    from cryptolake.fragments import Fragments
    from cryptolake.logs import known_secrets, redact_text
    from cryptolake.work.contact_report import document, write_report
    from cryptolake.work.first_contact import first_contact

    app: App = context.obj.open()
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise BadInput(f"{to} is not empty; name another folder with --to")  # before anybody is asked
    known = sorted(one.vendor.name for one in app.found.files if one.vendor is not None)
    vendors = [] if vendor == ["none"] else list(dict.fromkeys(vendor)) if vendor else known
    csus = _markets(app, selected, vendors=vendor)
    secrets = known_secrets(app.settings)
    print_note(
        f"At most {counted(max_calls, 'call')} a provider: {counted(len(csus), 'chain')} and {counted(len(vendors), 'vendor')}"
    )

    fragments = Fragments(one for one in secrets if "://" not in one)

    def redact(text: str) -> str:
        return fragments.redact(redact_text(text, secrets))

    def tell(one: Found) -> None:
        if one.calls:
            print_note(f"{one.provider}: {one.check}: {one.verdict} ({counted(one.calls, 'call')})")

    contact = first_contact(app, csus, vendors, ceiling=max_calls, tell=tell)
    written = write_report(contact, to, redact)
    if as_json:
        print_json({**document(contact, redact), "report": str(to / "report.md")})
    else:
        print_table("First contact", ("provider", "check", "found", "what"), list(_rows(contact.found, redact)))
        calls = sum(contact.calls.values())
        print_line(
            f"{counted(calls, 'call')} in all; {counted(len(written), 'file')}, the report is {to / 'report.md'}"
        )
    raise typer.Exit(0 if contact.is_as_assumed else 1)


def _rows(found: Sequence[Found], redact: Callable[[str], str]) -> Iterator[tuple[str, str, str, str]]:
    """A row a check; those of one provider that were not asked for one reason are one row."""
    for (provider, verdict, says), some in groupby(found, lambda one: (one.provider, one.verdict, one.says)):
        checks = [one.check for one in some]
        for name in checks if verdict != "not asked" or len(checks) < 3 else [counted(len(checks), "check")]:
            yield provider, name, f"[{_COLOUR[verdict]}]{verdict}[/]", redact(says).replace("[", r"\[")


def _markets(app: App, selected: Selected, *, vendors: list[str] | None) -> list[Csu]:
    """One market of every chosen chain: the test market on its own, else a verified one. None when vendors alone are named."""
    from cryptolake.sources.onchain.families import families
    from cryptolake.work.endpoints import chains_of

    if selected.csu or selected.family or selected.sets:
        chosen = chosen_csus(app, selected)
    elif vendors and vendors != ["none"] and not selected.chain:
        return []
    else:
        chains = {one.name for one in chains_of(app, selected.chain)}
        chosen = [one for one in app.registry.csus.values() if one.chain in chains]
    built, test = families(), app.settings.test_csu
    chosen = sorted(
        (one for one in chosen if one.family in built),
        key=lambda one: (one.name != test, one.status != "verified", one.name),
    )
    return list({one.chain: one for one in reversed(chosen)}.values())
