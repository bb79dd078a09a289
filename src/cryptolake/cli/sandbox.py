"""The demo command: the main job on the bundled sandbox, through the real transport, without keys or internet."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.collecting import watched
from cryptolake.cli.options import chosen_csus
from cryptolake.cli.screens import PANEL, Step
from cryptolake.cli.show import print_line, print_table
from cryptolake.cli.vendors import operate, print_pulled
from cryptolake.errors import BadInput, Stop

if TYPE_CHECKING:
    from cryptolake.app import App

# The fortnight the recordings cover (UTC days, both included).
FIRST, LAST = date(2024, 12, 1), date(2024, 12, 14)
CSU = "aave_v3_sandbox"
VENDOR_KEYS = ["tether", "usd-coin"]


STEPS = {"demo": Step(PANEL, 10, "A whole lake from recorded answers: no keys, no internet")}


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("demo", rich_help_panel="Start")(demo_command)


def demo_command(
    context: typer.Context,
    folder: Annotated[Path, typer.Option(help="Where the sandbox's data goes.")] = Path("sandbox"),
) -> None:
    """Run the main job on the bundled sandbox: a recorded local chain and recorded vendor answers.

    Example: cryptolake demo
    """
    from cryptolake.demo.replay import Replay, sandbox_registry
    from cryptolake.files.atomic import write_bytes
    from cryptolake.work import lending
    from cryptolake.work.selection import chosen_wish

    started = monotonic()
    _refuse_another_lake(folder)
    with Replay() as replay:
        app: App = context.obj.open(
            data=folder,
            registry=sandbox_registry(),
            rpc={"sandbox": [replay.rpc_url]},
            urls={"defillama_stablecoins": replay.vendor_url},
            start_date=FIRST,
            end_date=LAST,
        )
        _refuse_another_database(app)
        # Later commands on this folder know its market without being told.
        write_bytes(app.folder.registry, sandbox_registry().read_bytes())
        csus = chosen_csus(app, [CSU], None, None)
        wish = chosen_wish(app, csus, None)
        print_line(
            f"Sandbox: market {CSU}, {FIRST} .. {LAST}, real Aave V3 contracts on a local chain, replayed over HTTP"
        )
        with watched() as seen:
            ran = lending.run(app, csus, wish, stopping=seen.stopping, show=seen.show)
        if ran.built is None:
            seen.end(ran.collected)
            return
        pulled = [
            one
            for operation in ("backfill", "pull")
            for one in operate(app, operation, "defillama", key=VENDOR_KEYS, provenance={"sandbox": "true"})
        ]
    print_table(
        "Made from the sandbox", ("what", "rows", "where"), [(one.what, one.rows, one.where) for one in ran.built.made]
    )
    print_pulled(pulled)
    _print_panel(app)
    print_line(f"Done in {monotonic() - started:.0f} s. Look at it:")
    print_line(f'  [bold].venv/bin/cryptolake --data {folder} query --sql "select * from liquidations"[/]')
    print_line(f"  [bold].venv/bin/cryptolake --data {folder} monitor[/]")
    if ran.collected.failed or ran.built.lacking.height or any(one.collected.failed for one in pulled):
        raise Stop("the sandbox did not answer everything; please report this with the lines above")


def _refuse_another_lake(folder: Path) -> None:
    """Raises BadInput when the folder holds data that are not the sandbox's."""
    from cryptolake.demo.replay import sandbox_registry

    registry = folder / "registry.yaml"
    if registry.exists():
        other = registry.read_bytes() != sandbox_registry().read_bytes()
    else:
        other = (folder / "ledger.sqlite").exists() or (folder / "bronze").exists()
    if other:
        raise BadInput(f"{folder} holds data that are not this version's sandbox; name another --folder")


def _refuse_another_database(app: App) -> None:
    """Raises BadInput when the user's own PostgreSQL holds rows that the sandbox's would replace or mix with."""
    if app.settings.database_url is None:
        return
    with app.warehouse() as warehouse:
        market = "SELECT FROM {} WHERE csu <> %s"
        statements = [market.format(name) for name in ("daily_panel", "tvl", "liquidations")]
        values: list[tuple[object, ...]] = [(CSU,)] * len(statements)
        statements.append("SELECT FROM metrics WHERE source <> 'defillama' OR NOT asset = ANY(%s)")
        values.append((VENDOR_KEYS,))
        for statement, given in zip(statements, values, strict=True):
            (foreign,) = warehouse.query(f"SELECT EXISTS ({statement})", given).row(0)
            if foreign:
                raise BadInput(
                    "DATABASE_URL holds data that are not the sandbox's, and the demo would replace them; unset it or name "
                    "another database"
                )


def _print_panel(app: App) -> None:
    with app.warehouse() as warehouse:
        frame = warehouse.query(
            "SELECT date, status, total_supplied_usd AS supplied_usd, total_borrowed_usd AS borrowed_usd, "
            "utilization_rate AS used, liquidations_usd AS liquidated_usd, liquidation_count AS events "
            "FROM daily_panel ORDER BY date"
        )
    print_table(f"daily_panel of {CSU} (sandbox)", frame.columns, frame.rows())
