"""Commands that decide themselves which days to ask for: extend (backwards) and daily (what is due)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from cryptolake.app import App
from cryptolake.cli.collecting import Gathered, collected_live, end
from cryptolake.cli.onchain import _print_collected, _print_made, print_lacking
from cryptolake.cli.options import (
    ChainFlag,
    CsuFlag,
    DatasetFlag,
    EndFlag,
    FamilyFlag,
    GranularityFlag,
    JsonFlag,
    SetFlag,
    WorkersFlag,
    chosen_csus,
    chosen_datasets,
    dates,
)
from cryptolake.cli.show import print_json, print_line, print_table
from cryptolake.contracts.partition import Partition
from cryptolake.errors import BadInput
from cryptolake.flow.collect import Collected
from cryptolake.flow.extend import Walk, extend
from cryptolake.flow.resume import Wish
from cryptolake.sources.onchain.families import families
from cryptolake.work.selection import collected_csus, due_wish
from cryptolake.work.travel import travel_on


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    cli.command("extend", rich_help_panel="Lending markets")(extend_command)
    cli.command("daily", rich_help_panel="Lending markets")(daily_command)


def extend_command(
    context: typer.Context,
    until: Annotated[datetime, typer.Option("--until", formats=["%Y-%m-%d"], help="Oldest day wanted, included.")],
    csu: CsuFlag = None,
    chain: ChainFlag = None,
    family: FamilyFlag = None,
    market_set: SetFlag = None,
    dataset: DatasetFlag = None,
    end_date: EndFlag = None,
    workers: WorkersFlag = None,
    granularity: GranularityFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Walk back month by month and chain by chain; stops where the deployment or the archive ends, and says why.

    Example: cryptolake extend --until 2021-01-01 --chain ethereum
    """
    app: App = context.obj.open(workers=workers, granularity=granularity, **dates(None, end_date, None))
    oldest, (_, newest) = until.date(), app.settings.span()
    if oldest > newest:
        raise BadInput(f"--until {oldest} is after the newest day {newest}; give an earlier day")
    csus = [one for one in chosen_csus(app, csu, chain, family, market_set) if one.family in families()]
    total, code = Collected(), None

    def ask(wish: Wish) -> bool:
        nonlocal code
        months = sorted({period.day.strftime("%Y-%m") for periods in wish.values() for period in periods})
        gathered = collected_live(app, csus, wish, what=f"extend {months[0]}")
        total.join(gathered.collected)
        code = gathered.exit_code
        return code is None

    def told(walk: Walk) -> None:
        if not as_json:
            print_line(f"{walk.chain}: back to {walk.reached}{f'; {walk.ended}' if walk.ended else ''}")

    walks = extend(
        csus,
        until=oldest,
        newest=newest,
        ledger=app.ledger,
        datasets=chosen_datasets(dataset),
        ask=ask,
        granularity=app.settings.granularity,
        boundary=app.settings.day_boundary,
        told=told,
    )
    if as_json:
        shown = [{"chain": w.chain, "reached": w.reached, "months": w.months, "ended": w.ended} for w in walks]
        print_json({"chains": shown, "done": total.done, "empty": total.empty, "failed": total.failed})
    else:
        rows = [(w.chain, len(w.csus), w.reached, w.months, w.ended) for w in walks]
        print_table("Extended", ("chain", "markets", "back to", "months", "ended because"), rows)
        print_line("Next: [bold]cryptolake refine[/] and [bold]cryptolake build[/] with the new first day")
    end(Gathered(total, code))


def daily_command(
    context: typer.Context,
    csu: CsuFlag = None,
    chain: ChainFlag = None,
    family: FamilyFlag = None,
    market_set: SetFlag = None,
    dataset: DatasetFlag = None,
    end_date: EndFlag = None,
    workers: WorkersFlag = None,
    granularity: GranularityFlag = None,
    publish: Annotated[bool, typer.Option("--publish/--no-publish", help="Also refine, build and publish.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """Collect what is due since the last time, and bring tables up to date. For cron: catches up after downtime.

    Without a selection every market that was ever collected is meant. Two at once do nothing twice.

    Example: cryptolake daily --csu all
    """
    app: App = context.obj.open(workers=workers, granularity=granularity, **dates(None, end_date, None))
    if csu or chain or family or market_set:
        csus = [one for one in chosen_csus(app, csu, chain, family, market_set) if one.family in families()]
    else:
        csus = collected_csus(app)
    if not csus:
        raise BadInput("nothing was collected yet; name markets the first time, e.g. cryptolake daily --csu all")
    wish = due_wish(app, csus, dataset, end_date.date() if end_date else None)
    gathered = collected_live(app, csus, wish, what="daily")
    asked = [Partition(name, key, period) for (name, key), periods in wish.items() for period in periods]
    built = travel_on(app, asked) if publish and asked and gathered.exit_code is None else None
    _print_collected(gathered.collected, as_json)
    if built is not None and not as_json:
        _print_made(built.made, 'cryptolake query --sql "select * from daily_panel order by date desc limit 5"')
        print_lacking(built.lacking)
    if built is not None and built.lacking.height:
        raise typer.Exit(1)
    end(gathered)
