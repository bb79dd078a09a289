"""Commands of the exchanges: candles, tickers. Flags in, text out; the steps are in `flow`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.next_step import print_again, print_next
from cryptolake.cli.options import JsonFlag, ResumeFlag
from cryptolake.cli.selecting import EndFlag, Selected, StartFlag
from cryptolake.cli.show import print_json, print_line, print_table, progress
from cryptolake.contracts.source import Source
from cryptolake.errors import BadInput

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.work.exchanges import Exchanged

exchanges = typer.Typer(
    no_args_is_help=True,
    help="Binance, Coinbase and Kraken: candles, tickers, spreads (needs the extra `exchanges`).\n\n"
    "Example: cryptolake exchanges candles --days 7",
)
ExchangeFlag = Annotated[list[str] | None, typer.Option("--exchange", help="binance, coinbase or kraken; repeatable.")]
SymbolFlag = Annotated[list[str] | None, typer.Option("--symbol", help="Pair such as BTC/USD; repeatable.")]


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    cli.add_typer(exchanges, name="exchanges", rich_help_panel="Vendors")


@exchanges.command("candles")
def candles_command(
    context: typer.Context,
    exchange: ExchangeFlag = None,
    symbol: SymbolFlag = None,
    start_date: StartFlag = None,
    end_date: EndFlag = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help="How many finished days back (7).")] = None,
    resume: ResumeFlag = True,
    as_json: JsonFlag = False,
) -> None:
    """Collect hourly candles of finished days and load them without gaps into `exchange_candles`.

    Example: cryptolake exchanges candles --exchange kraken --symbol BTC/USD --days 7
    """
    from cryptolake.work import exchanges as flow

    typed = Selected(start=start_date and start_date.date(), end=end_date and end_date.date(), days=days)
    chosen = typed.settings if days or start_date else {**typed.settings, "days": 7}
    app: App = context.obj.open(**chosen)
    first, last = app.settings.span()
    if last >= (today := datetime.now(UTC).date()):
        raise BadInput(f"{last} is not over yet; the last day with all its candles is {today - timedelta(days=1)}")
    source = app.vendor("exchanges")
    keys = _keys(source, exchange, symbol)
    with progress("candles", len(keys) * ((last - first).days + 1)) as tell:
        result = flow.candles(
            source,
            app.stores,
            first=first,
            last=last,
            keys=keys,
            resume=resume,
            progress=tell,
        )
    _show(result, as_json, f"Candles {first} .. {last}", "select * from exchange_candles")


@exchanges.command("tickers")
def tickers_command(context: typer.Context, exchange: ExchangeFlag = None, as_json: JsonFlag = False) -> None:
    """Ask for best bid and ask now, and compare the exchanges in `exchange_spread`.

    Example: cryptolake exchanges tickers
    """
    from cryptolake.sources.exchanges import TICKERS
    from cryptolake.work import exchanges as flow

    app: App = context.obj.open()
    source = app.vendor("exchanges")
    known = source.keys(TICKERS.name)
    if unknown := sorted(set(exchange or ()) - set(known)):
        raise BadInput(f"unknown exchange {unknown[0]!r}; known: {', '.join(known)}")
    keys = [key for key in known if not exchange or key in exchange]
    with progress("tickers", len(keys)) as tell:
        result = flow.tickers(
            source,
            app.stores,
            keys=keys,
            progress=tell,
        )
    _show(result, as_json, "Tickers", "select * from exchange_spread")


def _keys(source: Source, exchange: list[str] | None, symbol: list[str] | None) -> list[str]:
    """The candle keys of the chosen exchanges and pairs. Raises BadInput naming what is known."""
    from cryptolake.sources.exchanges import CANDLES, TICKERS

    found = []
    for key in source.keys(CANDLES.name):
        name, _, pair = key.partition(":")
        if (not exchange or name in exchange) and (not symbol or pair.replace("-", "/") in symbol):
            found.append(key)
    if not found:
        known = ", ".join(sorted({key.partition(":")[2].replace("-", "/") for key in source.keys(CANDLES.name)}))
        raise BadInput(f"no watched pair matches; exchanges: {', '.join(source.keys(TICKERS.name))}; pairs: {known}")
    return found


def _show(result: Exchanged, as_json: bool, title: str, sql: str) -> None:
    collected = result.collected
    if as_json:
        print_json(
            {
                "done": collected.done,
                "unanswerable": collected.unanswerable,
                "failed": collected.failed,
                "rows": result.rows,
                "loaded": asdict(result.loaded),
                "spread": result.spread.to_dicts(),
                "failures": [
                    {"partition": str(e.partition), "reason": e.reason, "error": e.error} for e in collected.failures
                ],
            }
        )
    else:
        counts = result.loaded
        row = (collected.done, collected.unanswerable, collected.failed, result.rows, counts.inserted, counts.updated)
        print_table(title, ("answered", "unanswerable", "failed", "rows", "inserted", "updated"), [row])
        if result.spread.height:
            columns = ("symbol", "best_bid", "best_bid_exchange", "best_ask", "best_ask_exchange", "crossing_pct")
            print_table("Spreads", columns, result.spread.select(columns).rows())
        for entry in collected.failures[:5]:
            print_line(f"[red]failed[/] {entry.partition}: {entry.error}")
        if collected.failed:
            print_again(said="What failed is asked again by the same command")
        else:
            print_next(f'query --sql "{sql}"')
    raise typer.Exit(1 if collected.failed else 0)
