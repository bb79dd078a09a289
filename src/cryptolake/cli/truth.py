"""`cryptolake truth`: our figures beside totals that others published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.options import JsonFlag
from cryptolake.cli.reading import only_reads
from cryptolake.cli.show import print_json, print_line, print_table
from cryptolake.contracts.counting import counted

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.registry.published_totals import PublishedTotal
    from cryptolake.work.truth import Compared

truth_app = typer.Typer(
    no_args_is_help=True,
    help="Compare our figures with totals that others published: posts of risk managers, press.\n\n"
    "Example: cryptolake truth check",
)

FileFlag = Annotated[Path | None, typer.Option("--file", help="Totals of your own (YAML) instead of those that ship.")]
NameFlag = Annotated[list[str] | None, typer.Option("--name", help="One of the totals, or how some begin; repeatable.")]


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    cli.add_typer(truth_app, name="truth", rich_help_panel="Research")


@truth_app.command("check")
def check_command(
    context: typer.Context,
    file: FileFlag = None,
    name: NameFlag = None,
    ask_first: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Collect what is missing where an endpoint is your own.")
    ] = True,
    as_json: JsonFlag = False,
) -> None:
    """Print each published total, ours, the difference and the verdict; exit code 1 unless all were compared and agree.

    What is missing is collected first where a key or an endpoint of the chains is yours, else it is said what would be asked.

    Example: cryptolake truth check --name compound_v3
    """
    from cryptolake.work import truth

    app: App = context.obj.open(day_boundary="utc")
    totals = _chosen(app, file, name)
    found = truth.compare(app, totals)
    if ask_first and (open_ones := truth.askable(app, [one.total for one in found if one.ours is None])):
        truth.ask(app, open_ones)
        found = truth.compare(app, totals)
    left = [one.total for one in found if one.ours is None]
    if as_json:
        print_json({"totals": [_document(one) for one in found], "would_ask": _would_ask(app, left)})
    else:
        rows = [
            (one.total.name, one.total.value, one.ours, None if one.difference is None else f"{one.difference:+.2%}",
             one.verdict)
            for one in found
        ]  # fmt: skip
        print_table("Published totals", ("total", "published", "ours", "difference", "verdict"), rows)
        for one in found:
            if one.verdict == "differs":
                print_line(f"{one.total.name}: {one.total.says} ({', '.join(one.total.sources)})")
        _print_questions(app, left)
    raise typer.Exit(0 if all(one.verdict == "same" for one in found) else 1)


@truth_app.command("plan")
@only_reads
def plan_command(
    context: typer.Context, file: FileFlag = None, name: NameFlag = None, as_json: JsonFlag = False
) -> None:
    """Say what `truth check` would ask of which chains, and what that costs. Needs no network.

    Example: cryptolake truth plan
    """
    app: App = context.obj.open(day_boundary="utc")
    totals = _chosen(app, file, name)
    if as_json:
        print_json(_would_ask(app, totals))
    else:
        rows = [
            (one.name, f"{one.first} .. {one.last}" if one.first != one.last else str(one.first),
             counted(len(one.markets), "market"), one.column, one.sources[0])
            for one in totals
        ]  # fmt: skip
        print_table(counted(len(totals), "published total"), ("total", "days", "of", "column", "source"), rows)
        _print_questions(app, totals)


def _chosen(app: App, file: Path | None, names: Sequence[str] | None) -> list[PublishedTotal]:
    from cryptolake.errors import BadInput
    from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
    from cryptolake.registry.published_totals import published_totals

    columns = [one.name for one in DAILY_PANEL.fields if one.dtype in {"float64", "int32", "int64"}]
    found = published_totals(app.registry, columns, file)
    chosen = [one for one in found if not names or any(one.name.startswith(name) for name in names)]
    if not chosen:
        raise BadInput(f"no total is called so; known: {', '.join(one.name for one in found[:5])}, ...")
    return chosen


def _would_ask(app: App, totals: Sequence[PublishedTotal]) -> dict[str, object]:
    from cryptolake.work.estimate import planned
    from cryptolake.work.truth import questions

    csus, partitions = questions(app, totals)
    if not partitions:
        return {"markets": 0, "answers": 0, "calls": 0, "chains": []}
    found = planned(app, csus, partitions)
    chains = sorted({one.chain for one in csus})
    return {"markets": len(csus), "answers": found.missing, "calls": found.total_calls, "chains": chains}


def _print_questions(app: App, totals: Sequence[PublishedTotal]) -> None:
    if not totals:
        return
    asked = _would_ask(app, totals)
    chains = [str(one) for one in asked["chains"]]  # type: ignore[attr-defined]  # a list of names
    print_line(
        f"{counted(len(totals), 'total')} without an answer of ours: {counted(int(str(asked['answers'])), 'answer')} of "
        f"{counted(int(str(asked['markets'])), 'market')} would be asked in {counted(int(str(asked['calls'])), 'call')}, on "
        f"{', '.join(chains)}. Set ALCHEMY_KEY_1 or CRYPTOLAKE_RPC_<CHAIN> and run the same command: it asks and compares."
    )


def _document(one: Compared) -> dict[str, object]:
    return {
        "name": one.total.name,
        "published": one.total.value,
        "ours": one.ours,
        "difference": one.difference,
        "tolerance": one.total.tolerance,
        "verdict": one.verdict,
        "market_days_lacking": one.lacking,
        "market_days": one.needed,
        "says": one.total.says,
        "sources": one.total.sources,
    }
