"""The command that opens a figure of the panel: why CSU DATE COLUMN."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryptolake.cli import values
from cryptolake.cli.certificates import provenance_of
from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import JsonFlag, refuse_unfinished
from cryptolake.cli.reading import only_reads
from cryptolake.cli.screens import PANEL, Step
from cryptolake.cli.selecting import completed_by
from cryptolake.cli.show import print_json, print_line, print_table
from cryptolake.contracts.counting import counted

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.gold.opened import Term
    from cryptolake.work.why import PriceTold, Why

STEPS = {"why": Step(PANEL, 55, "Open a figure: amounts, prices, answers")}
_SHOWN = 40  # terms on a screen; --json has all


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("why", rich_help_panel="Research")(why_command)


@only_reads
def why_command(
    context: typer.Context,
    csu: Annotated[str, typer.Argument(help="Market.", autocompletion=completed_by(values.markets))],
    day: Annotated[str, typer.Argument(metavar="DATE", help="Day, e.g. 2024-12-31.")],
    column: Annotated[str, typer.Argument(help="Figure of the panel.")] = "total_tvl_usd",
    as_json: JsonFlag = False,
) -> None:
    """Why a figure of the panel is what it is: the amounts and prices it sums, who told them, and the kept answers.

    Exits 1 when the figure is not ok. Needs no network.

    Example: cryptolake why aave_v3_ethereum 2024-12-31 total_tvl_usd
    """
    from cryptolake.contracts.partition import Period
    from cryptolake.work.why import why

    app: App = context.obj.open()
    refuse_unfinished(app)
    found = why(app, app.registry.csu(csu), Period.parse(day).day, column)
    if as_json:
        print_json(_document(found))
    else:
        _print(found)
        print_next(f"verify show {found.answers[0].cell.partition}")
    raise typer.Exit(0 if found.state in {"ok", "not_deployed"} else 1)


def _document(found: Why) -> dict[str, Any]:
    cells = [
        {
            "partition": str(one.cell.partition),
            "state": one.cell.state,
            "says": one.cell.says,
            "grade": one.cell.grade,
            "file": one.path or None,
            "digest": one.digest,
            "block": None if one.cell.answer is None else one.cell.answer.block,
            "block_hash": None if one.cell.answer is None else one.cell.answer.block_hash,
            "request": {} if one.cell.answer is None else dict(one.cell.answer.request),
            "provenance": {} if one.cell.answer is None else provenance_of(one.cell.answer),
        }
        for one in found.answers
    ]
    figure = {
        name: getattr(found, name)
        for name in (
            *("csu", "day", "column", "value", "unit", "meaning", "state", "reason", "evidence", "flags"),
            *("formula", "inputs", "adds_up"),
        )
    }
    terms = [asdict(one) for one in found.terms]
    return {
        **figure,
        "terms": terms,
        "left_out": found.left_out,
        "prices": [asdict(one) for one in found.prices],
        "answers": cells,
    }


def _print(found: Why) -> None:
    value = "no figure" if found.value is None else f"{_number(found.value)} {found.unit}".strip()
    how = ", ".join(one for one in (found.state, found.reason, found.evidence) if one)
    print_line(f"[bold]{found.column} of {found.csu} on {found.day}: {value}[/] ({how})")
    print_line(found.meaning)
    if found.flags:
        print_line(f"Flags: {found.flags}")
    print_line(f"= {found.formula}")
    if found.terms:
        less = any(term.left_out for term in found.terms)
        columns = ("of", "symbol", *(("all of it", "left out") if less else ()), "amount", "price", "USD")
        print_table("Amount x price", columns, [*_products(found.terms, less=less), _sum(found.terms, columns)])
    for name, figure in found.inputs.items():
        print_line(f"  {name} = {'none' if figure is None else _number(figure)}")
    if found.adds_up is not None and not found.terms:
        print_line(f"  comes to {_number(found.adds_up)}")
    if found.left_out:
        rows = [(one["kind"], one["id"], one["loan_symbol"], one["excluded"], one["why"]) for one in found.left_out]
        print_table("Left out, as the registry's exclusions say", ("what", "id", "token", "reason", "why"), rows)
    if found.prices:
        print_table(
            "Who told the price",
            ("asset", "price", "source", "quoted by", "age s", "flag"),
            list(map(_price, found.prices)),
        )
        others = [line for one in found.prices for line in _others(one)]
        if others:
            print_table("What others said", ("asset", "source", "quoted by", "price", "in"), others[:_SHOWN])
    for answer in found.answers:
        print_table(f"Answer {answer.cell.partition}", ("what", "value"), list(_answer(answer)))


def _products(terms: Sequence[Term], *, less: bool) -> Iterator[tuple[object, ...]]:
    """A line for each product that is something, or from which something was left out; `less`: with what that was."""
    rows = [term for term in terms if term.amount or term.left_out]
    for term in rows[:_SHOWN]:
        price = None if term.price is None else f"{term.price:,.8g}"
        whole = (_tokens(term.amount + term.left_out), _tokens(term.left_out)) if less else ()
        yield _place(term), term.symbol, *whole, _tokens(term.amount), price, _cents(term.usd)
    if others := rows[_SHOWN:]:
        said = f"{counted(len(others), 'more term')}, see --json"
        yield said, *[""] * (5 if less else 3), _cents(math.fsum(one.usd or 0.0 for one in others))


def _place(term: Term) -> str:
    return term.what if term.where == term.asset else f"{term.what} {term.where[:10]}…:{term.where.rpartition(':')[2]}"


def _sum(terms: Sequence[Term], columns: Sequence[str]) -> tuple[object, ...]:
    without = sum(term.usd is None and bool(term.amount) for term in terms)
    said = f"sum, {counted(without, 'term')} without a price" if without else "sum"
    return said, *[""] * (len(columns) - 2), _cents(math.fsum(term.usd for term in terms if term.usd is not None))


def _tokens(amount: float) -> str:
    return f"{amount:,.6f}".rstrip("0").rstrip(".")


def _price(told: PriceTold) -> tuple[object, ...]:
    price = None if told.price is None else f"{told.price:,.8g}"
    age = None if told.age_s is None else f"{told.age_s:,.0f}"
    return f"{told.symbol} {told.asset[:10]}…", price, told.source, told.quoted_by, age, told.flag


def _others(told: PriceTold) -> Iterator[tuple[object, ...]]:
    for one in told.others:
        yield told.symbol, one["source"], one["quoted_by"], f"{one['quote_price']:,.8g}", one["quote"]


def _answer(answer: Any) -> Iterator[tuple[str, object]]:
    cell = answer.cell
    yield "state", cell.state
    for said in cell.says:
        yield "said", said
    if cell.answer is not None:
        yield "block", cell.answer.block
        yield "block hash", cell.answer.block_hash
        yield "state at", cell.answer.observed_at
        yield "endpoint", cell.answer.provenance.get("endpoint")
        yield "asked", ", ".join(f"{name} {what}" for name, what in cell.answer.request.items())
    if answer.path:
        yield "file", answer.path
    yield "digest", answer.digest
    yield "proven", cell.grade


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6f}".rstrip("0").rstrip(".")


def _cents(value: float | None) -> str | None:
    return None if value is None else f"{value:,.2f}"
