"""`cryptolake markets`: list the registry, show one market, check rows against the chains."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import JsonFlag
from cryptolake.cli.reading import only_reads
from cryptolake.cli.screens import PANEL, Step
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_json, print_line, print_table
from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput
from cryptolake.registry.markets import Csu

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.work.market_check import Checked

StatusFlag = Annotated[
    list[str] | None, typer.Option("--status", help="verified, single-source or unverified; repeatable.")
]
ProtocolFlag = Annotated[list[str] | None, typer.Option("--protocol", help="All markets of a protocol; repeatable.")]

_STATUSES = ("verified", "single-source", "unverified")
_ASIDE = "unsupported_family"

markets = typer.Typer(
    invoke_without_command=True,
    help="List the markets of the registry; show one; check rows against the chains.\n\n"
    "Example: cryptolake markets --family compound_v3 --chain base",
)


STEPS = {"markets": Step(PANEL, 20, "Which lending markets there are, and what is known of each")}


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    cli.add_typer(markets, name="markets", rich_help_panel="Registry")


@markets.callback()
@only_reads
@selecting(days=())
def list_command(
    context: typer.Context,
    selected: Selected = NOTHING,
    status: StatusFlag = None,
    protocol: ProtocolFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """List the markets of the registry, all of them or those that meet every flag. Needs no network.

    Example: cryptolake markets --family compound_v3 --chain base
    """
    from cryptolake.sources.onchain.families import families

    if context.invoked_subcommand is not None:
        if selected.named or status or protocol or as_json:
            raise BadInput(f"flags go after the subcommand: `cryptolake markets {context.invoked_subcommand} ...`")
        return
    app: App = context.obj.open()
    found = _selected(app, selected, status, protocol)
    if as_json:
        print_json([_document(app, csu) for csu in found])
        return
    built = families()
    print_table(
        f"{len(found)} of {counted(len(app.registry.csus), 'market')}",
        ("market", "family", "chain", "deployed", "status", "collected"),
        [
            (csu.name, csu.family, csu.chain, csu.deployed_on, csu.status, "yes" if csu.family in built else _ASIDE)
            for csu in found
        ],
    )
    aside = sum(csu.family not in built for csu in found)
    if aside:
        print_line(f"{aside} of them belong to a family that is not built yet ([yellow]{_ASIDE}[/]).")
    print_next(f"markets show {found[0].name if found else 'aave_v3_ethereum'}")


@markets.command("sets")
@only_reads
def sets_command(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the named sets of markets: how many markets each has, and where it is listed.

    A set that names a market which this folder's registry lacks is listed with what is wrong; only its use is refused.
    Sets of your own stand in cryptolake.toml under `market_sets`, or in a registry file under `sets:`.

    Example: cryptolake markets sets
    """
    app: App = context.obj.open()
    registry = app.registry
    found = registry.sets
    origins = {name: registry.origins.get(name) or "shipped" for name in found}
    own = app.settings.sets_listed_in
    if as_json:
        taken = [{"set": one, "markets": found[one], "listed_in": origins[one], "fault": None} for one in found]
        refused = registry.refused.items()
        print_json([*taken, *({"set": one, "markets": [], "listed_in": own, "fault": why} for one, why in refused)])
        return
    rows: list[tuple[object, ...]] = [
        (name, len(members), origins[name].replace("[", r"\[")) for name, members in found.items()
    ]
    rows += [(name, "refused", own.replace("[", r"\[")) for name in registry.refused]
    print_table(f"{len(rows)} sets", ("set", "markets", "listed in"), rows)
    for why in registry.refused.values():
        print_line("[yellow]refused[/]: " + why.replace("[", r"\["))
    print_next(f"plan --set {next(iter(found))}")


@markets.command("show")
@only_reads
def show_command(
    context: typer.Context,
    market: Annotated[str, typer.Argument(help="Name or alias of a market.")],
    as_json: JsonFlag = False,
) -> None:
    """Everything the registry says of one market: addresses, deployment, sources, status, notes.

    Example: cryptolake markets show aave_v3_ethereum
    """
    from cryptolake.registry.loader import market_rows

    app: App = context.obj.open()
    csu = app.registry.csu(market)
    document = _document(app, csu)
    deployment = market_rows(app.settings.registry)[csu.name].values.get("deployment")
    document["deployment_open"] = None if csu.deployed_block is not None else _open(deployment)
    if as_json:
        print_json(document)
        return
    print_table(
        csu.name,
        ("what", "value"),
        [
            ("protocol", f"{csu.protocol} {csu.version}".strip()),
            ("family", csu.family),
            ("collected", "yes" if document["built"] else f"no, {_ASIDE}: the family is not built yet"),
            ("chain", f"{csu.chain} ({csu.chain_id})"),
            ("status", csu.status),
            ("deployed block", _with_source(csu.deployed_block, deployment, "block_source") or _open(deployment)),
            ("deployed on", _with_source(csu.deployed_on, deployment, "date_kind") or "not known"),
            ("aliases", ", ".join(csu.aliases) or None),
            ("sets", ", ".join(app.registry.sets_with(csu.name)) or None),
        ],
    )
    addresses = [(role, one) for role, stated in csu.entry.items() for one in stated.split(",")]
    print_table("Addresses", ("role", "address"), addresses)
    said = [("source", line) for line in csu.sources] + [("note", line) for line in csu.notes]
    print_table("Where it is from", ("what", "text"), said)
    print_next(f"markets check --live --csu {csu.name}")


@markets.command("check")
@only_reads
@selecting(days=())
def check_command(
    context: typer.Context,
    live: Annotated[bool, typer.Option("--live", help="Ask the chains; without it only the files are linted.")] = False,
    selected: Selected = NOTHING,
    status: StatusFlag = None,
    protocol: ProtocolFlag = None,
    patch: Annotated[
        Path | None, typer.Option("--patch", help="Write corrected rows to this YAML file.", show_default=False)
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Verify rows: offline what they leave open; --live whether code, getters and deployment on the chain agree.

    Exits with 1 when a row is wrong or a chain could not be asked. Deployment blocks need an archive endpoint.

    Example: cryptolake markets check --live --chain base --patch corrections.yaml
    """
    from cryptolake.files.atomic import write_bytes
    from cryptolake.registry.correction import corrected, render
    from cryptolake.registry.loader import market_rows
    from cryptolake.work.market_check import check_markets

    app: App = context.obj.open()
    found = _selected(app, selected, status, protocol)
    if not live:
        if patch is not None:
            raise BadInput("--patch needs --live: without asking the chains there is nothing to correct")
        _offline(app, found, as_json)
        return
    checked = list(check_markets(found, app.registry, app.pool))
    rows = market_rows(app.settings.registry)
    today = datetime.now(UTC).date()
    fixes = [
        fixed
        for one in checked
        if one.block is not None
        and (fixed := corrected(rows[one.csu.name], one.findings, settled=one.settled, block=one.block, today=today))
    ]
    if patch is not None:
        write_bytes(patch, render(fixes).encode())
    if as_json:
        print_json([_checked_document(one) for one in checked])
    else:
        _print_checked(checked, fixes, patch)
    raise typer.Exit(1 if any(one.of("wrong", "unknown") for one in checked) else 0)


def _offline(app: App, csus: list[Csu], as_json: bool) -> None:
    """What the files leave open; loading them has linted them."""
    from cryptolake.registry.anchors import interchangeable

    alike = {csu.name: interchangeable(csu, app.registry.families[csu.family]) for csu in csus}
    left = [
        csu
        for csu in csus
        if csu.status != "verified"
        or csu.deployed_block is None
        or csu.deployed_later
        or csu.deployed_on is None
        or alike[csu.name]
    ]
    if as_json:
        print_json([_document(app, csu) for csu in left])
        return
    print_table(
        f"{counted(len(left), 'row leaves', 'rows leave')} something open, of {len(csus):,}",
        ("market", "status", "deployed block", "deployed on", "not told from a sibling"),
        [
            (
                csu.name,
                csu.status,
                _bound(csu),
                csu.deployed_on or "missing",
                ", ".join(alike[csu.name]),
            )
            for csu in left
        ],
    )
    print_next("markets check --live", said="The files are sound", selection=True)


def _print_checked(checked: list[Checked], fixes: list[dict[str, object]], patch: Path | None) -> None:
    counts = {verdict: sum(len(one.of(verdict)) for one in checked) for verdict in ("confirmed", "bound", "missing")}
    rows = [
        (one.csu.name, finding.field, finding.verdict, finding.stated, finding.found)
        for one in checked
        for finding in one.of("wrong", "unknown", "interchangeable", "bound", "missing")
    ]
    if rows:
        print_table("What the chains say otherwise", ("market", "field", "verdict", "registry", "chain"), rows)
    wrong, unknown, alike = (
        sum(bool(one.of(verdict)) for one in checked) for verdict in ("wrong", "unknown", "interchangeable")
    )
    print_line(
        f"{counted(len(checked), 'market')} checked: {counted(counts['confirmed'], 'statement')} confirmed, "
        f"{counted(wrong, 'market')} wrong, {unknown} not fully asked, {alike} that a sibling could stand in for, "
        f"{counted(counts['missing'], 'value')} found, "
        f"{counted(counts['bound'], 'bound')} made exact."
    )
    if patch is not None:
        print_line(
            f"{counted(len(fixes), 'corrected row is', 'corrected rows are')} in {patch}; read it, then put it "
            f"into the registry file"
        )
    elif fixes:
        print_next(
            "markets check --live --patch corrections.yaml",
            said=f"{counted(len(fixes), 'row')} can be corrected",
            selection=True,
        )


def _selected(app: App, selected: Selected, status: list[str] | None, protocol: list[str] | None) -> list[Csu]:
    from cryptolake.registry.loader import select

    csus = [] if selected.csu and "all" in selected.csu else selected.csu or ()
    chains, of, within = selected.chain or (), selected.family or (), selected.sets or ()
    found = select(app.registry, csus=csus, chains=chains, families=of, sets=within)
    for one in status or ():
        if one not in _STATUSES:
            raise BadInput(f"unknown status {one!r}; known: {', '.join(_STATUSES)}")
    protocols = sorted({one.protocol for one in app.registry.csus.values()})
    for one in protocol or ():
        if one not in protocols:
            raise BadInput(f"unknown protocol {one!r}; known: {', '.join(protocols)}")
    return [one for one in found if (not status or one.status in status) and (not protocol or one.protocol in protocol)]


def _document(app: App, csu: Csu) -> dict[str, object]:
    from cryptolake.registry.anchors import interchangeable
    from cryptolake.sources.onchain.families import families

    sets = app.registry.sets_with(csu.name)
    return {
        "name": csu.name,
        "family": csu.family,
        "built": csu.family in families(),
        "protocol": csu.protocol,
        "version": csu.version,
        "chain": csu.chain,
        "chain_id": csu.chain_id,
        "status": csu.status,
        "deployed_block": csu.deployed_block,
        "deployed_on": csu.deployed_on,
        "entry": {role: stated.split(",") if "," in stated else stated for role, stated in csu.entry.items()},
        "facts": dict(csu.facts),
        "interchangeable": interchangeable(csu, app.registry.families[csu.family]),
        "aliases": csu.aliases,
        "in_seed_43": "thesis-43" in sets,
        "in_thesis_46": "thesis-46" in sets,
        "sets": sets,
        "sources": csu.sources,
        "notes": csu.notes,
    }


def _checked_document(one: Checked) -> dict[str, object]:
    return {
        "market": one.csu.name,
        "chain": one.csu.chain,
        "block": one.block,
        "settled": one.settled,
        "findings": [
            {
                "field": finding.field,
                "verdict": finding.verdict,
                "stated": finding.stated,
                "found": finding.found,
                "correction": finding.correction,
            }
            for finding in one.findings
        ],
    }


def _open(deployment: object) -> str:
    """Why a row has no deployment block, and what finds it."""
    said = deployment.get("open") if isinstance(deployment, dict) else None
    return f"not known{f' ({said})' if said else ''}; `markets check --live` finds it"


def _bound(csu: Csu) -> str:
    """The deployment block as far as it is known."""
    if csu.deployed_block is None:
        return "missing"
    return f"{csu.deployed_block} or later" if csu.deployed_later else str(csu.deployed_block)


def _with_source(value: object, deployment: object, key: str) -> str | None:
    if value is None:
        return None
    said = deployment.get(key) if isinstance(deployment, dict) else None
    return f"{value} ({said})" if said else str(value)
