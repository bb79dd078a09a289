"""The demo command: every river on the bundled sandbox, through the real transport, without keys or internet."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.collecting import watched
from cryptolake.cli.options import chosen_csus
from cryptolake.cli.quality import check_and_report
from cryptolake.cli.screens import PANEL, Step
from cryptolake.cli.selecting import Selected
from cryptolake.cli.show import print_line, print_table, print_whole
from cryptolake.cli.state import State
from cryptolake.cli.vendors import operate
from cryptolake.errors import BadInput, Stop

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.demo import journey
    from cryptolake.demo.replay import Replay
    from cryptolake.work.series import Pulled

_DEFAULT = Path("sandbox")
_NO_LIMIT = 100_000  # calls a minute: nobody's server has to be spared here


STEPS = {"demo": Step(PANEL, 10, "A whole lake from recorded answers: no keys, no internet")}


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("demo", rich_help_panel="Start")(demo_command)


def demo_command(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Option(help="Where the sandbox's data goes (default: --data, else sandbox).")
    ] = None,
    breaking: Annotated[
        bool,
        typer.Option("--break", help="Break copies of it in many ways instead, and show who notices; keeps nothing."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --break: print one JSON document.")] = False,
) -> None:
    """Run everything on the bundled sandbox: a recorded local chain, recorded and invented vendor answers.

    With --break nothing of it is kept: a score of faults is planted, each in a copy of the lake that is made for it or by a
    node or vendor that lies, and who notices is shown. Exits 1 when a fault was not caught.

    Example: cryptolake demo --break
    """
    if breaking:
        from cryptolake.cli.breaking import show_broken

        if folder is not None:
            raise BadInput("--break keeps nothing in any folder; leave out --folder")
        show_broken(context.obj, _alone(), as_json=as_json)
        return
    if as_json:
        raise BadInput("--json goes with --break; without it `cryptolake query --json` reads what the demo made")
    from rich.text import Text

    from cryptolake.demo import journey
    from cryptolake.demo.replay import Replay, sandbox_registry
    from cryptolake.files.atomic import write_bytes
    from cryptolake.work import lending
    from cryptolake.work.selection import chosen_wish

    started = monotonic()
    state: State = context.obj
    place = _place(state, folder)
    state.says_sandbox = False
    with Replay() as replay:
        app = state.open(
            data=place,
            registry=sandbox_registry(),
            rpc={"sandbox": [replay.rpc_url]},
            start_date=journey.FIRST,
            end_date=journey.LAST,
            **_alone(),
        )
        # Later commands on this folder know its market without being told, and say what it holds.
        journey.mark(app.folder.root)
        write_bytes(app.folder.registry, sandbox_registry().read_bytes())
        print_line(
            f"Sandbox: market {journey.CSU}, {journey.FIRST} .. {journey.LAST}, real Aave V3 contracts on a local chain, "
            "and vendors whose answers are recorded or invented, all over HTTP on this machine"
        )
        csus = chosen_csus(app, Selected(csu=[journey.CSU]))
        with watched() as seen:
            ran = lending.run(app, csus, chosen_wish(app, csus, None), stopping=seen.stopping, show=seen.show)
        if ran.built is None:
            seen.end(ran.collected)
            return
        invented = _permissionless(state, app.folder.root)
        app = _vendors_app(state, place, replay)
        pulled = [(step, one) for step in steps() for one in _ask(app, step)]
        replay.correct()
        pulled += [(journey.CORRECTION, one) for one in _ask(app, journey.CORRECTION)]
    checked = check_and_report(app)
    _print_panel(app)
    _print_permissionless(invented)
    _print_vendors(pulled)
    _print_tables(app)
    broken = sum(1 for one in checked.results if one.rows)
    print_line(f"{broken} of {len(checked.results)} quality checks found something: {checked.path}")
    if find_spec("ccxt") is None:
        print_line("The exchanges were left out; they need an extra: pip install 'cryptolake[exchanges]'")
    print_line(
        f"{journey.NOTE} All of it lies in {app.folder.root}, which says so (sandbox.json, bronze, metadata.json)."
    )
    print_line(f"Done in {monotonic() - started:.0f} s. Next:")
    for words in _next(app.folder.root):
        print_whole(Text(f"  {words}", "bold"))
    if ran.collected.failed or ran.built.lacking.height or any(one.status != "success" for _, one in pulled):
        raise Stop("the sandbox did not answer everything; please report this with the lines above")


def _place(state: State, folder: Path | None) -> Path:
    """The folder meant. Raises BadInput for a contradiction, and for a folder that holds data of its own."""
    from cryptolake.demo import journey
    from cryptolake.demo.replay import sandbox_registry

    if folder is not None and state.data is not None and folder != state.data:
        raise BadInput(f"--data {state.data} and --folder {folder} contradict each other; give one of them")
    place = folder or state.data or _DEFAULT
    if journey.is_taken(place, sandbox_registry()):
        raise BadInput(f"{place} holds data that are not this version's sandbox; name another --folder")
    return place


def _alone() -> dict[str, object]:
    """Settings that keep the user's own database, keys and watch lists out of the sandbox and the sandbox out of them."""
    from cryptolake.demo import journey
    from cryptolake.sources.found import find_sources

    found = find_sources()
    names = [file.vendor.name for file in found.files if file.vendor is not None]
    watch_lists = {f"CRYPTOLAKE_{name}_CONFIG".upper(): "" for name in names}
    keys = dict.fromkeys(found.keys, "") | dict.fromkeys(journey.KEYS, journey.KEY)
    return {
        "environment": "prod",
        "database_url": "",
        "reader_url": "",
        "budgets": "folder",
        "variables": watch_lists | keys,
        "vendor_rates": dict.fromkeys(names, _NO_LIMIT),
    }


def _vendors_app(state: State, place: Path, replay: Replay) -> App:
    """The same folder, with every vendor at the replay and the newest finished days to ask exchanges for."""
    from cryptolake.demo import journey
    from cryptolake.demo.replay import sandbox_registry

    last = datetime.now(UTC).date() - timedelta(days=1)
    first = last - timedelta(days=journey.CANDLE_DAYS - 1)
    return state.open(
        data=place, registry=sandbox_registry(), urls=replay.urls, start_date=first, end_date=last, **_alone()
    )


def steps() -> list[journey.VendorStep]:
    """The steps whose extra is installed."""
    from cryptolake.demo import journey

    return [one for one in journey.STEPS if not one.needs or find_spec(one.needs) is not None]


def _ask(app: App, step: journey.VendorStep) -> list[Pulled]:
    return operate(
        app,
        step.operation,
        step.source,
        key=list(step.keys),
        dataset=list(step.datasets) if step.datasets else None,
        restate=step.restate,
        resume=not step.restate,
        provenance=step.provenance,
    )


def _print_panel(app: App) -> None:
    from cryptolake.demo import journey

    with app.warehouse() as warehouse:
        frame = warehouse.query(
            "SELECT date, status, total_supplied_usd AS supplied_usd, total_borrowed_usd AS borrowed_usd, "
            "utilization_rate AS used, liquidations_usd AS liquidated_usd, liquidation_count AS events "
            "FROM daily_panel ORDER BY date"
        )
    print_table(f"daily_panel of {journey.CSU} (sandbox)", frame.columns, frame.rows())


_OF_TOTALS = ("date", "status", "total_tvl_usd", "unfiltered_tvl_usd", "excluded")


def _permissionless(state: State, folder: Path) -> list[tuple[object, ...]]:
    """Make a small lake of an invented permissionless market in a folder of its own; what its panel says of totals."""
    from cryptolake.demo import journey, permissionless
    from cryptolake.files.atomic import write_bytes
    from cryptolake.gold.daily_panel import TABLE
    from cryptolake.work.permissionless_demo import fill

    place = folder / permissionless.FOLDER
    write_bytes(place / "registry.yaml", permissionless.registry().encode())
    app = state.open(data=place, registry=place / "registry.yaml", **_alone())
    journey.mark(app.folder.root)
    fill(app, [journey.FIRST + timedelta(days=number) for number in range(permissionless.DAYS)])
    return app.tables.read(TABLE).select(_OF_TOTALS).rows()


def _print_permissionless(rows: list[tuple[object, ...]]) -> None:
    from cryptolake.demo import permissionless

    print_table(f"daily_panel of {permissionless.CSU} (invented): totals leave out what a list names", _OF_TOTALS, rows)


def _print_vendors(pulled: Sequence[tuple[journey.VendorStep, Pulled]]) -> None:
    rows = [
        (
            one.source,
            "restate" if step.restate else one.operation,
            step.answers,
            one.table,
            one.status,
            one.records,
            one.inserted,
            one.updated,
        )
        for step, one in pulled
    ]
    columns = ("source", "operation", "answers", "into", "status", "records", "new", "changed")
    print_table("Asked of the vendors (sandbox)", columns, rows)
    for _, one in pulled:
        for entry in one.collected.failures:
            print_line(f"[red]failed[/] {entry.partition}: {entry.error}")
        for alert in one.alerts:
            print_line(f"[yellow]alert[/] {one.source}: {alert}")


def _print_tables(app: App) -> None:
    """Every table that there is, with its rows."""
    from cryptolake.catalogue import contracts

    with app.warehouse() as warehouse:
        rows = [
            (
                table.name,
                table.layer,
                int(warehouse.query(f"SELECT count(*) AS n FROM {table.quoted}").item())
                if table.in_postgres
                else app.tables.read(table).height,
                table.grain,
            )
            for table in contracts()
        ]
    print_table("Every table (sandbox)", ("table", "layer", "rows", "one row"), rows)


def _next(folder: Path) -> list[str]:
    """Commands that show the rest, as they can be typed here."""
    from cryptolake.demo import journey, permissionless
    from cryptolake.settings import load_settings

    local = Path(".venv/bin/cryptolake")
    name = str(local) if local.exists() and Path(sys.prefix).resolve() == Path(".venv").resolve() else "cryptolake"
    # The user's own database would be asked instead of the sandbox's.
    settings = load_settings()
    own = "".join(f"{one.upper()}= " for one in ("database_url", "reader_url") if getattr(settings, one) is not None)
    command = f"{own}{name} --data {shlex.quote(str(folder))}"
    invented = f"{own}{name} --data {shlex.quote(str(folder / permissionless.FOLDER))}"
    return [
        f"{invented} why {permissionless.CSU} {journey.FIRST}",
        f'{command} query --sql "select * from market_segment_analysis" --json',
        f"{command} query --coverage",
        f"{command} monitor",
        f"{command} coins runs",
        f"{command} quality",
    ]
