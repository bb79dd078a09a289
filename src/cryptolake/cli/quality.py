"""The command that says whether the tables hold together: checks, coverage, reconciliation, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import (
    JsonFlag,
    chosen_rows,
)
from cryptolake.cli.reading import only_reads
from cryptolake.cli.screens import PANEL, Step
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_json, print_line, print_note, print_table
from cryptolake.contracts.counting import counted
from cryptolake.errors import CryptolakeError

if TYPE_CHECKING:
    import polars as pl

    from cryptolake.app import App
    from cryptolake.quality.reconcile import Reconciled
    from cryptolake.quality.results import Result
    from cryptolake.quality.rules import FinishedTables

_COLOUR = {"error": "red", "warning": "yellow", "info": "cyan"}


STEPS = {"quality": Step(PANEL, 50, "Check the tables and write a report")}


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("quality", rich_help_panel="Research")(quality_command)


@dataclass(frozen=True, slots=True)
class QualityRun:
    """What a quality run found, of which version of the panel, and where its report lies (None: none was written)."""

    results: list[Result]
    version: str
    path: Path | None


def check_and_report(
    app: App,
    panel: pl.DataFrame | None = None,
    *,
    reconciled: Sequence[Reconciled] = (),
    path: Path | None = None,
    store: bool = True,
) -> QualityRun:
    """Check the finished tables (of `panel`, unless the stored one is meant), write the report, keep the results.

    In a data folder that cannot be written the checks are made all the same: a note says what was not kept.
    """
    from cryptolake.files.atomic import write_bytes
    from cryptolake.gold.completeness import complete_days
    from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
    from cryptolake.quality import report
    from cryptolake.version import __version__
    from cryptolake.work.panel_quality import examine, keeps_results

    if store and not keeps_results(app):
        print_note("The data folder cannot be written: the results are not kept")
    examined = examine(app, app.tables.read(DAILY_PANEL) if panel is None else panel, store=store)
    if path is None and not app.folder.is_writable:
        print_note("The data folder cannot be written: there is no report; name a place for it with --html")
        return QualityRun(examined.results, examined.dataset_version, None)
    path = path or app.folder.reports / "quality.html"
    complete = complete_days(examined.tables.panel).height
    facts = [
        ("complete market-days", f"{complete:,} of {examined.tables.panel.height:,}"),
        ("dataset_version", examined.dataset_version),
        ("code_version", __version__),
        ("checked at", examined.at.strftime("%Y-%m-%d %H:%M UTC")),
    ]
    write_bytes(path, report.html(examined.tables.panel, examined.results, reconciled, facts=facts).encode())
    return QualityRun(examined.results, examined.dataset_version, path)


@only_reads
@selecting()
def quality_command(
    context: typer.Context,
    html_file: Annotated[
        Path | None,
        typer.Option("--html", help="Where the report goes (default: reports/quality.html under the data folder)."),
    ] = None,
    fail_on: Annotated[
        Literal["error", "warning", "info"], typer.Option(help="Least severity that makes the exit code 1.")
    ] = "error",
    against_defillama: Annotated[
        bool, typer.Option("--against-defillama", help="Compare TVL with DefiLlama's series too (needs the internet).")
    ] = False,
    store: Annotated[bool, typer.Option("--store/--no-store", help="Keep the results in the database.")] = True,
    selected: Selected = NOTHING,
    as_json: JsonFlag = False,
) -> None:
    """Check the tables' invariants and coverage, write a report with a heat map, keep the results.

    Example: cryptolake quality --html quality.html --fail-on warning
    """
    from cryptolake.gold.completeness import complete_days
    from cryptolake.quality import coverage
    from cryptolake.quality.results import exit_code
    from cryptolake.work.checking import finished

    app: App = context.obj.open()
    chosen = chosen_rows(app, selected, as_stored=True)
    panel = chosen.panel
    reconciled, refused = _reconciled(app, finished(app, panel)) if against_defillama else ([], [])
    checked = check_and_report(app, panel, reconciled=reconciled, path=html_file, store=store)
    found, version, path = checked.results, checked.version, checked.path
    code, complete = exit_code(found, fail_on), complete_days(panel).height
    if as_json:
        print_json(
            {
                "dataset_version": version,
                "exit_code": code,
                "selection": chosen.document(),
                "checks": [
                    {"check": r.check, "severity": r.severity, "rows": r.rows, "doc": r.doc, "examples": r.examples}
                    for r in found
                ],
                "coverage": [
                    dict(zip(("dataset", "expected", "answered", "ok", "share"), row, strict=True))
                    for row in coverage.shares(panel)
                ],
                "complete": complete,
                "by_market": coverage.coverage(panel).to_dicts(),
                "reconciliation": [
                    {
                        "protocol": one.protocol,
                        "chain": one.chain,
                        "day": one.day,
                        "ours": one.explanation.ours,
                        "theirs": one.explanation.theirs,
                        "gap": one.gap,
                        "verdict": one.verdict,
                        "causes": one.explanation.by_cause(),
                    }
                    for one in reconciled
                ],
                "not_compared": refused,
                "report": path and str(path),
            }
        )
    else:
        _print(found, complete=complete, panel_shares=coverage.shares(panel), reconciled=reconciled, refused=refused)
        if path is not None:
            print_line(f"Report with the coverage heat map: {path}")
        print_next("monitor", selection=True)
    raise typer.Exit(code)


def _print(
    found: list[Result],
    *,
    complete: int,
    panel_shares: list[tuple[str, int, int, int, float]],
    reconciled: list[Reconciled],
    refused: list[str],
) -> None:
    broken = [one for one in found if not one.passed]
    print_table(
        f"{len(broken)} of {counted(len(found), 'check')} found something",
        ("severity", "check", "rows", "should hold"),
        [(f"[{_COLOUR[one.severity]}]{one.severity}[/]", one.check, one.rows, one.doc) for one in broken],
    )
    for one in broken[:8]:
        print_line(f"{one.check}: {one.examples[0]}")
    rows = [(*counts, f"{share:.1%}") for *counts, share in panel_shares]
    print_table("Coverage", ("dataset", "market-days expected", "answered", "ok", "share ok"), rows)
    print_line(f"Complete, as `panel describe` and `panel export` count: {counted(complete, 'market-day')}")
    if reconciled:
        agreed = sum(one.verdict == "agrees" for one in reconciled)
        print_line(
            f"DefiLlama: {agreed} of {counted(len(reconciled), 'chain-day')} within 5 %; the causes of the rest "
            f"are in the report"
        )
    for line in refused:
        print_line(f"[yellow]not compared[/] {line}")


def _reconciled(app: App, tables: FinishedTables) -> tuple[list[Reconciled], list[str]]:
    """Every protocol of the panel that has a known name there, and why others were not compared."""
    from cryptolake.registry.protocol_slugs import SLUGS
    from cryptolake.sources.defillama.protocol import DefiLlamaProtocols
    from cryptolake.work.reconciliation import compared, theirs

    markets = [app.registry.csus[name] for name in tables.panel["csu"].unique().sort() if name in app.registry.csus]
    found: list[Reconciled] = []
    refused: list[str] = []
    for protocol, version in sorted({(csu.protocol, csu.version) for csu in markets}):
        slug = SLUGS.get((protocol, version))
        if slug is None:
            refused.append(f"{protocol} {version}: no DefiLlama name is known; use `cryptolake explain --slug`")
            continue
        source = DefiLlamaProtocols(app.access(), [slug])
        try:
            said = theirs(source, slug, bronze=app.bronze, ledger=app.ledger)
        except CryptolakeError as error:
            refused.append(str(error))
            continue
        mine = [csu for csu in markets if (csu.protocol, csu.version) == (protocol, version)]
        found += compared(slug, mine, tables.tvl, said, app.registry.chains)
    return found, refused
