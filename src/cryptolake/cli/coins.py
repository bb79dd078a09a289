"""Commands of coins: refresh, runs, replay, prune, check, history. Flags in, text out; the steps are in `flow`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.confirm import YesFlag, confirm
from cryptolake.cli.next_step import print_again, print_next
from cryptolake.cli.options import JsonFlag, ResumeFlag, WorkersFlag
from cryptolake.cli.reading import only_reads
from cryptolake.cli.show import print_json, print_line, print_table, progress
from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import Partition
from cryptolake.errors import BadInput
from cryptolake.registry.coingecko import DEFAULT_TOP

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.lake.runs import Runs
    from cryptolake.quality.results import Result
    from cryptolake.sources.coingecko import CoinGecko
    from cryptolake.work import coin_runs
    from cryptolake.work.coins import CoinsLoaded, Mode

coins = typer.Typer(
    no_args_is_help=True,
    help="Coins: CoinGecko to staging to marts.\n\nExample: cryptolake coins refresh --top 1000",
)
RunArgument = Annotated[
    str, typer.Argument(help="`latest`, a run's name or a part of it; see `cryptolake coins runs`.")
]
TopFlag = Annotated[int, typer.Option("--top", min=1, max=100_000, help="How many coins, by market capitalisation.")]
ModeFlag = Annotated[
    str, typer.Option("--mode", help="incremental (upsert) or full (replace); both give the same table.")
]
DriftFlag = Annotated[
    bool, typer.Option("--despite-drift", help="Load a run although it has far fewer coins than the one before.")
]


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    cli.add_typer(coins, name="coins", rich_help_panel="Vendors")


def _mode(text: str) -> Mode:
    if text == "full":
        return "full"
    if text == "incremental":
        return "incremental"
    raise BadInput(f"--mode {text!r}: write incremental or full")


def _coingecko(app: App) -> CoinGecko:
    from cryptolake.files.fenced import unfenced
    from cryptolake.sources.coingecko import CoinGecko
    from cryptolake.work.coin_runs import SOURCE

    source = unfenced(app.vendor(SOURCE))  # these commands are about this one source, and ask more of it
    assert isinstance(source, CoinGecko)
    return source


@coins.command("refresh")
def refresh_command(
    context: typer.Context, top: TopFlag = DEFAULT_TOP, mode: ModeFlag = "incremental", as_json: JsonFlag = False
) -> None:
    """Ask for the coins now, keep the answer, load staging, history and marts, run the checks.

    Example: cryptolake coins refresh --top 1000
    """
    from rich.console import Console

    from cryptolake.work import coins as flow
    from cryptolake.work.coin_runs import SOURCE

    chosen = _mode(mode)
    app: App = context.obj.open()
    source = _coingecko(app)
    waiting = source.least_seconds(top)
    label = f"{SOURCE} top {top}, {source.tier.name}" + (f" (about {waiting:.0f} s)" if waiting > 5 else "")
    if waiting > 5:
        Console(stderr=True).print(f"{label}: the vendor's limit; a free demo key is faster", highlight=False)
    with progress(label, 2) as tell:
        loaded = flow.refresh(source, app.stores, top=top, mode=chosen, progress=tell)
    _show([loaded], as_json)


@coins.command("replay")
def replay_command(
    context: typer.Context,
    run: RunArgument = "latest",
    every: Annotated[bool, typer.Option("--all", help="Every kept run, oldest first: rebuilds the history.")] = False,
    mode: ModeFlag = "incremental",
    despite_drift: DriftFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Load a kept run again, without asking anyone: staging and marts become as they were then.

    Example: cryptolake coins replay latest
    """
    from rich.console import Console

    from cryptolake.work import coin_runs
    from cryptolake.work import coins as flow

    chosen = _mode(mode)
    app: App = context.obj.open()
    source = _coingecko(app)
    with app.stores.held() as stores:
        if every:
            done = flow.replay_all(source, stores, despite_drift=despite_drift)
            found = done.loaded
        else:
            named = coin_runs.find_run(stores.runs, run)
            found = [flow.load_run(source, named, stores, mode=chosen, despite_drift=despite_drift, replay=True)]
            done = flow.Replayed(found, {}, {})
    for left_out in (*done.kept_out.values(), *done.unreadable.values()):
        Console(stderr=True).print(f"[yellow]left out[/] {left_out}", highlight=False)
    if not found:
        raise BadInput("no run could be loaded; see `cryptolake coins runs`, or run `cryptolake coins refresh`")
    _show(found, as_json, failed=bool(done.unreadable))


@coins.command("runs")
@only_reads
def runs_command(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest runs are shown.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """List the kept runs, newest first.

    Example: cryptolake coins runs
    """
    from cryptolake.sources.coingecko import COINS_MARKETS
    from cryptolake.work import coin_runs

    app: App = context.obj.open()
    runs = app.stores.runs
    kept = coin_runs.kept_runs(runs)[::-1][:limit]
    states = app.ledger.states(COINS_MARKETS.name)
    rows = [
        (
            str(run),
            coin_runs.instant_of(run).isoformat(),
            states[run].rows if run in states else None,
            _size(runs, run),
        )
        for run in kept
    ]
    if as_json:
        print_json([dict(zip(("run", "processed_at", "rows", "bytes"), row, strict=True)) for row in rows])
        return
    print_table("Kept runs", ("run", "asked at (UTC)", "rows", "bytes"), rows)
    if kept:
        print_next("coins replay latest", "coins prune --keep-days 90 --dry-run")
    else:
        print_next("coins refresh")


def _size(runs: Runs, run: Partition) -> int:
    from cryptolake.work import coin_runs
    from cryptolake.work.coin_runs import SOURCE

    return runs.size(run, SOURCE) + runs.size(coin_runs.totals_of(run), SOURCE)


@coins.command("prune")
def prune_command(
    context: typer.Context,
    keep_days: Annotated[int, typer.Option("--keep-days", min=1, help="Runs younger than this stay.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken away.")] = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Take away the raw JSON and Parquet of old runs. The newest run always stays, and so does the history in PostgreSQL.

    A run that is taken away cannot be replayed, nor asked for again: the vendor only tells the present. So it asks first, and
    a run that was never loaded into the history stays.

    Example: cryptolake coins prune --keep-days 90 --dry-run
    """
    from cryptolake.work import coin_runs
    from cryptolake.work import coins as flow
    from cryptolake.work.coins import lake_tables

    app: App = context.obj.open()
    with app.warehouse() as warehouse:
        held = flow.held(warehouse)
    today = datetime.now(UTC).date()

    def prune(*, dry: bool) -> coin_runs.Pruning:
        return coin_runs.prune(app.stores, lake_tables(), keep_days=keep_days, today=today, held=held, dry_run=dry)

    done = prune(dry=True)
    if not dry_run and (done.found or done.version_bytes):
        size = sum(one.bytes for one in done.found) + done.version_bytes
        confirm(
            f"Take away {counted(len(done.found), 'run')} ({size / 1e6:,.1f} MB)? They cannot be asked for again.",
            yes=yes,
        )
        done = prune(dry=False)
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "version_bytes": done.version_bytes,
                "runs": [{"run": str(one.run), "bytes": one.bytes} for one in done.found],
                "kept": [str(one) for one in done.kept],
            }
        )
    else:
        _print_pruning(done, keep_days, dry_run=dry_run)
    raise typer.Exit(1 if done.kept else 0)


def _print_pruning(done: coin_runs.Pruning, keep_days: int, *, dry_run: bool) -> None:
    if done.found:
        title = "Would be taken away" if dry_run else "Taken away"
        print_table(title, ("run", "bytes"), [(str(one.run), one.bytes) for one in done.found])
    total = sum(one.bytes for one in done.found)
    extra = f" and {done.version_bytes / 1e6:,.1f} MB of replaced table versions" if done.version_bytes else ""
    print_line(
        f"{counted(len(done.found), 'run')}, {total / 1e6:,.1f} MB{extra}{' (nothing was changed)' if dry_run else ''}"
    )
    for run in done.kept:
        print_line(f"[yellow]stays[/] {run}: not in the history; load it with [bold]cryptolake coins replay {run}[/]")
    if dry_run and (done.found or done.version_bytes):
        print_next(f"coins prune --keep-days {keep_days}")


@coins.command("check")
@only_reads
def check_command(context: typer.Context, as_json: JsonFlag = False) -> None:
    """Check the tables as they rest: freshness within the hour, prices, ranks, volumes, partitions.

    Example: cryptolake coins check
    """
    from cryptolake.quality.results import exit_code
    from cryptolake.work import coins as flow

    app: App = context.obj.open()
    results = flow.check_now(app.stores, datetime.now(UTC))
    if as_json:
        print_json([_result(one) for one in results])
    else:
        _print_results(results)
        print_next("coins refresh")
    raise typer.Exit(exit_code(results))


@coins.command("history")
def history_command(
    context: typer.Context,
    key: Annotated[list[str] | None, typer.Option("--key", help="Coin id, repeatable; any the vendor knows.")] = None,
    top: Annotated[int | None, typer.Option("--top", min=1, help="The largest coins of the last loaded run.")] = None,
    workers: WorkersFlag = None,
    resume: ResumeFlag = True,
    as_json: JsonFlag = False,
) -> None:
    """Backfill daily PRICE, MARKET_CAP and VOLUME_24H into `metrics`: 365 days, everything with a pro key.

    Example: cryptolake coins history --key bitcoin --key ethereum
    """
    from cryptolake.silver.staging_crypto_market import TABLE as STAGING
    from cryptolake.sources.coingecko import MARKET_CHART
    from cryptolake.work.series import pull_or_backfill

    app: App = context.obj.open(workers=workers)
    source = _coingecko(app)
    with app.stores.held() as stores, stores.warehouse() as warehouse:
        ids = list(key or ())
        if top is not None:
            sql = f"SELECT id FROM {STAGING.quoted} WHERE market_cap_rank <= %s ORDER BY market_cap_rank"
            ids += warehouse.query(sql, (top,))["id"].to_list()
        if not ids and top is not None:
            raise BadInput("no run is loaded yet, so there are no largest coins; run `cryptolake coins refresh`")
        chosen = source.watching(ids) if ids else source
        with progress("history", len(chosen.coins)) as tell:
            result = pull_or_backfill(
                "backfill",
                chosen,
                stores,
                keys=None,
                datasets=[MARKET_CHART.name],
                workers=app.settings.workers,
                resume=resume,
                progress=tell,
            )
    clamp = source.tier.history_days
    if as_json:
        print_json(
            {
                "coins": len(chosen.coins),
                "clamped_to_days": clamp,
                "records": result.records,
                "inserted": result.inserted,
                "failures": [{"coin": e.partition.key, "error": e.error} for e in result.collected.failures],
            }
        )
    else:
        row = (len(chosen.coins), result.status, result.records, result.inserted, result.unchanged)
        print_table("Loaded into metrics", ("coins", "status", "records", "inserted", "unchanged"), [row])
        for entry in result.collected.failures[:5]:
            print_line(f"[red]failed[/] {entry.partition}: {entry.error}")
        if clamp:
            print_line(
                f"[yellow]cut to {counted(clamp, 'day')}[/]: {source.tier.name} access reaches no "
                "further; a pro key does"
            )
        if result.collected.failed:
            print_again(said="What failed is asked again by the same command")
        else:
            print_next("query --source coingecko --latest")
    raise typer.Exit(1 if result.collected.failed else 0)


def _show(results: list[CoinsLoaded], as_json: bool, *, failed: bool = False) -> None:
    failed = failed or bool(results[-1].failed)
    if as_json:
        print_json([_document(one) for one in results])
    else:
        for one in results:
            print_table(
                f"{one.run}: {counted(one.coins, 'coin')} in {one.seconds:.1f} s",
                ("table", "rows", "what changed"),
                _rows(one),
            )
        last = results[-1]
        _print_results(last.results)
        if failed:
            print_next("coins refresh", "coins runs")
        else:
            print_next('query --sql "select * from market_segment_analysis"')
    raise typer.Exit(1 if failed else 0)


def _rows(one: CoinsLoaded) -> list[tuple[object, ...]]:
    from cryptolake.silver.crypto_market_history import TABLE as HISTORY
    from cryptolake.silver.staging_crypto_market import TABLE as STAGING

    if one.staging is None:
        staging: tuple[object, ...] = (STAGING.name, None, "left alone: it holds a newer run")
    else:
        counts = one.staging
        words = f"{counts.inserted:,} new, {counts.updated:,} changed, {counts.unchanged:,} same, {counts.deleted:,} removed"
        staging = (STAGING.name, one.coins, words)
    history = (HISTORY.name, one.coins, f"{one.history.inserted:,} new, {one.history.updated:,} changed")
    return [staging, history, *((name, rows, "rebuilt") for name, rows in one.marts.items())]


def _document(one: CoinsLoaded) -> dict[str, object]:
    from cryptolake.work import coin_runs

    return {
        "run": str(one.run),
        "processed_at": coin_runs.instant_of(one.run),
        "coins": one.coins,
        "repeated": one.repeated,
        "staging": one.staging,
        "history": one.history,
        "marts": one.marts,
        "seconds": one.seconds,
        "checks": [_result(result) for result in one.results],
    }


def _result(one: Result) -> dict[str, object]:
    return {
        "check": one.check,
        "severity": one.severity,
        "blocks": one.blocks,
        "passed": one.passed,
        "rows": one.rows,
        "detail": one.detail,
    }


def _print_results(results: Sequence[Result]) -> None:
    marks = {"error": "❌", "warning": "⚠️", "info": "ℹ️"}
    rows = [("✅" if one.passed else marks[one.severity], one.check, one.detail) for one in results]
    print_table("Checks", ("", "check", "finding"), rows)
