"""The query command: choose series by words, flags or SQL, and print them or write them to a file. Reads only."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.options import JsonFlag
from cryptolake.cli.reading import only_reads
from cryptolake.cli.screens import TEAM, Step
from cryptolake.cli.show import print_json, print_line, print_note, print_rows
from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput

if TYPE_CHECKING:
    import polars as pl

    from cryptolake.app import App
    from cryptolake.publish.reader import Reader
    from cryptolake.publish.warehouse import Warehouse

_COVERAGE = (
    "SELECT source, metric_name, count(*) AS records, count(DISTINCT asset) AS assets, "
    "min(pulled_at)::date AS since, max(pulled_at)::date AS until FROM metrics WHERE {where} GROUP BY 1, 2 ORDER BY 1, 2"
)
_LATEST = (
    "SELECT DISTINCT ON (source, asset, metric_name) source, asset, metric_name, pulled_at, value "
    "FROM metrics WHERE {where} ORDER BY source, asset, metric_name, pulled_at DESC"
)
_SERIES = (
    "SELECT source, asset, metric_name, pulled_at, value FROM metrics WHERE {where} "
    "ORDER BY source, asset, metric_name, pulled_at"
)
_OFFERED = 12  # choices shown at a time when the user searches


STEPS = {"query": Step(TEAM, 50, "Ask the database by flags, step by step, or by SQL")}


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("query", rich_help_panel="Vendors")(query_command)


@dataclass(slots=True)
class Where:
    """A condition on `metrics` in the making: SQL terms and the values of their placeholders."""

    terms: list[str]
    values: list[object]

    def add(self, term: str, *values: object) -> None:
        """One more term that must hold."""
        self.terms.append(term)
        self.values += values

    def any_of(self, columns: str, pairs: list[tuple[str, str]]) -> None:
        """The two columns must be one of the pairs."""
        marks = ", ".join(["(%s, %s)"] * len(pairs))
        self.add(f"({columns}) IN ({marks})", *(value for pair in pairs for value in pair))

    def text(self) -> str:
        """The whole condition."""
        return " AND ".join(self.terms) or "TRUE"


@only_reads
def query_command(
    context: typer.Context,
    sql: Annotated[
        str | None, typer.Option("--sql", help="One SQL statement, asked by a login that may only read.")
    ] = None,
    latest: Annotated[bool, typer.Option("--latest", help="The newest value of every chosen series.")] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Records, assets and days per metric, and per table of a source's own.")
    ] = False,
    entity: Annotated[
        str | None, typer.Option(help="Of this entity at all vendors, by any vendor's id or by name.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Of this vendor.")] = None,
    asset: Annotated[str | None, typer.Option(help="With this vendor id.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="This metric, or the concept several vendors share, e.g. FEES.")
    ] = None,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day, included.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, included.")] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Ask for source, asset, metric and range (default on a terminal).")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Rows shown in a table.")] = 40,
    csv: Annotated[Path | None, typer.Option(help="Write the answer to this CSV file.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Write the answer to this Parquet file.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask the database: vendor series by flags or step by step, or anything by SQL.

    Example: cryptolake query --entity solana --metric FEES --since 2024-01-01
    """
    if sum((sql is not None, latest, coverage, interactive)) > 1:
        raise BadInput("--sql, --latest, --coverage and --interactive exclude each other; give one")
    chosen = any(one is not None for one in (entity, source, asset, metric, since, until))
    if sql is not None and chosen:
        raise BadInput("--sql and the flags that choose series exclude each other; put the condition into the SQL")
    if csv is not None and parquet is not None:
        raise BadInput("--csv and --parquet exclude each other; give one")
    if since is not None and until is not None and since > until:
        raise BadInput(f"--since {since:%Y-%m-%d} is after --until {until:%Y-%m-%d}; swap them")
    where = _where(entity, source, asset, metric, since, until)
    step_by_step = interactive or not (
        sql is not None or latest or coverage or chosen or as_json or csv or parquet or _piped()
    )
    app: App = context.obj.open()
    with _session(app, typed=sql is not None) as session:
        if step_by_step:
            where = _ask(session)
        template = _LATEST if latest else _SERIES if chosen or step_by_step else _COVERAGE
        template = _COVERAGE if coverage else template
        statement = sql if sql is not None else template.format(where=where.text())
        frame = session.query(statement, [] if sql is not None else where.values)
        if sql is not None:
            _warn_of(app, sql)
        if sql is None and template is _COVERAGE and not any((entity, asset, metric, since, until)):
            import polars as pl

            frame = pl.concat([frame, *(session.query(one) for one in _own_coverage(source))])
    if not frame.height and sql is None:
        if source is not None:
            app.vendor(source)  # a name that nobody has is no empty answer
        print_note("nothing is stored of this; `cryptolake query --coverage` lists what is")
    newest_last = sql is None and template is _SERIES
    _show(frame, limit, csv, parquet, as_json=as_json, newest_last=newest_last)


def _warn_of(app: App, statement: str) -> None:
    """Say so, loudly, when the database's panel that is asked about has figures that ledger and silver do not give now.

    The answer is shown all the same: what a person types reads rows as they are stored.
    """
    from cryptolake.catalogue import found_tables
    from cryptolake.contracts.quoting import identifiers, literal
    from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
    from cryptolake.work.handing_out import guarded, said_of, unsupported

    tables = [one.table for one in found_tables().values() if guarded(one.table)]
    words, reader = set(re.findall(r"\w+", statement.lower())), app.database.reader()
    if not words & {name for table in tables for name in (table.name, *table.formerly)}:
        return
    if reader.query(f"SELECT to_regclass({literal(DAILY_PANEL.quoted)}) IS NULL").item():
        return
    stored = reader.query(f"SELECT {identifiers(DAILY_PANEL.columns)} FROM {DAILY_PANEL.quoted}")
    wrong = unsupported(app, stored.cast(dict(DAILY_PANEL.polars_schema())))  # type: ignore[arg-type]
    if wrong.height:
        print_note(
            f"[bold red]warning:[/] in the database {said_of(wrong)}; run `cryptolake build` and `cryptolake publish`"
        )


@contextmanager
def _session(app: App, *, typed: bool) -> Iterator[Reader | Warehouse]:
    """Who asks: the login that may only read, always for SQL that a person typed.

    On a user's server making one takes a right the owner's login may lack; our own statements, in which what a person
    typed is a bound value, are then asked by the owner.
    """
    if typed or app.settings.database_url is None or app.settings.reader_url is not None:
        yield app.database.reader()
        return
    with app.warehouse() as warehouse:
        yield warehouse


def _own_coverage(source: str | None) -> Iterator[str]:
    """A statement for each table of a source's own: the same columns, its first key counted as the assets."""
    from cryptolake.catalogue import found_tables
    from cryptolake.contracts.quoting import identifier, literal

    for one in found_tables().values():
        if one.own_of is None or source not in {None, one.own_of} or not one.table.in_postgres:
            continue
        times = [field.name for field in one.table.fields if field.dtype in {"date", "timestamp", "timestamp_naive"}]
        ends = [f"{end}({identifier(times[0])})::date" if times else "NULL::date" for end in ("min", "max")]
        yield (
            f"SELECT {literal(one.own_of)} AS source, {literal(one.table.name)} AS metric_name, count(*) AS records, "
            f"count(DISTINCT {identifier(one.table.key[0])}) AS assets, {ends[0]} AS since, {ends[1]} AS until "
            f"FROM {one.table.quoted}"
        )


def _piped() -> bool:
    return not sys.stdin.isatty()


def _where(
    entity: str | None,
    source: str | None,
    asset: str | None,
    metric: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Where:
    from cryptolake.registry.entities import find_entity

    where = Where([], [])
    if entity is not None:
        where.any_of("source, asset", sorted(find_entity(entity).ids().items()))
    if source is not None:
        where.add("source = %s", source)
    if asset is not None:
        where.add("asset = %s", asset)
    if metric is not None:
        where.any_of("source, metric_name", _meant(metric, source))
    if since is not None:
        where.add("pulled_at >= %s", since)
    if until is not None:
        where.add("pulled_at < %s::timestamp + interval '1 day'", until)
    return where


def _meant(metric: str, source: str | None) -> list[tuple[str, str]]:
    from cryptolake.registry.metrics import meant_by, metrics

    found = [pair for pair in meant_by(metric) if source in {None, pair[0]}]
    if found:
        return found
    known = sorted({one.name for one in metrics().values()} | {one.concept for one in metrics().values()})
    near = difflib.get_close_matches(metric.upper(), known, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else "see `cryptolake sources --metrics`"
    raise BadInput(f"unknown metric {metric!r}; {hint}")


def _ask(session: Reader | Warehouse) -> Where:
    """Let the user choose source, asset, metric and range among what is stored."""
    where = Where([], [])
    for column, what in (("source", "source"), ("asset", "asset"), ("metric_name", "metric")):
        statement = f"SELECT DISTINCT {column} FROM metrics WHERE {where.text()} ORDER BY 1"
        stored = [str(one) for one in session.query(statement, where.values).to_series().to_list()]
        if not stored:
            raise BadInput("nothing is stored yet; run `cryptolake backfill defillama` first")
        where.add(f"{column} = %s", stored[0] if len(stored) == 1 else _choose(what, stored))
    for word, term in (("First", "pulled_at >= %s"), ("Last", "pulled_at < %s::timestamp + interval '1 day'")):
        text = typer.prompt(f"{word} day (YYYY-MM-DD, empty for all)", default="", show_default=False).strip()
        if text:
            try:
                where.add(term, datetime.strptime(text, "%Y-%m-%d"))  # noqa: DTZ007  # days of the database are UTC
            except ValueError:
                raise BadInput(f"{text!r} is no day; write it as 2024-12-31") from None
    return where


def _choose(what: str, stored: list[str]) -> str:
    """One of the stored names: by number, by name, or by searching for part of it."""
    offered = stored
    while True:
        for number, name in enumerate(offered[:_OFFERED], start=1):
            print_line(f"  {number:>3}  {name}")
        if len(offered) > _OFFERED:
            print_line(f"       … {len(offered) - _OFFERED} more; type part of the name")
        text = str(typer.prompt(f"Which {what}? (number or part of the name)")).strip()
        if text in stored:
            return text
        if text.isdigit() and 1 <= int(text) <= min(len(offered), _OFFERED):
            return offered[int(text) - 1]
        offered = search(text, stored)
        if len(offered) == 1:
            return offered[0]
        if not offered:
            print_line(f"No {what} is like {text!r}.")
            offered = stored


def search(text: str, names: list[str]) -> list[str]:
    """The names that hold `text`, then those that are nearly it, at most a page of the latter."""
    wanted = text.lower()
    holding = [name for name in names if wanted in name.lower()]
    lowered = {name.lower(): name for name in names}
    near = [lowered[one] for one in difflib.get_close_matches(wanted, lowered, n=_OFFERED, cutoff=0.6)]
    return list(dict.fromkeys([*holding, *near]))


def _show(
    frame: pl.DataFrame, limit: int, csv: Path | None, parquet: Path | None, *, as_json: bool, newest_last: bool
) -> None:
    import polars as pl

    target = csv or parquet
    if target is not None:
        try:
            if csv is not None:
                frame.write_csv(csv)
            else:
                frame.write_parquet(target)
        except OSError as error:
            raise BadInput(f"cannot write {target}: {error.strerror or error}; choose another path") from None
        except pl.exceptions.PolarsError:  # arrays, records, JSON and bytes in CSV
            raise BadInput(f"{target}: CSV cannot hold such a column; cast it to text, or use --parquet") from None
        print_line(f"{counted(frame.height, 'row')} written to {target}")
    elif as_json:
        print_json(frame.to_dicts())
    else:
        shown = frame.tail(limit) if newest_last else frame.head(limit)
        print_rows(counted(frame.height, "row"), frame.columns, shown.rows())
        if frame.height > limit:
            place = "earlier" if newest_last else "more"
            print_line(f"{frame.height - limit:,} {place}; use --limit, --csv, --parquet or --json")
