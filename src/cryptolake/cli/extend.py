"""Commands that decide themselves which days to ask for: extend (backwards) and daily (what is due)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.collecting import watched
from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import (
    DatasetFlag,
    GranularityFlag,
    JsonFlag,
    MaxCallsFlag,
    MaxUsdFlag,
    WorkersFlag,
    chosen_csus,
    refuse_recorded,
)
from cryptolake.cli.results import print_collected, print_lacking, print_made
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_json, print_line, print_table
from cryptolake.errors import BadInput

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.flow.extend import Walk


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    cli.command("extend", rich_help_panel="Lending markets")(extend_command)
    cli.command("daily", rich_help_panel="Lending markets")(daily_command)


@selecting(days=("end_date",))
def extend_command(
    context: typer.Context,
    until: Annotated[datetime, typer.Option("--until", formats=["%Y-%m-%d"], help="Oldest day wanted, included.")],
    selected: Selected = NOTHING,
    dataset: DatasetFlag = None,
    workers: WorkersFlag = None,
    max_calls: MaxCallsFlag = None,
    max_usd: MaxUsdFlag = None,
    granularity: GranularityFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Walk back month by month and chain by chain; stops where the deployment or the archive ends, and says why.

    Example: cryptolake extend --until 2021-01-01 --chain ethereum
    """
    from cryptolake.sources.onchain.families import families
    from cryptolake.work import lending
    from cryptolake.work.selection import chosen_datasets

    app: App = context.obj.open(
        workers=workers, max_calls=max_calls, max_usd=max_usd, granularity=granularity, **selected.settings
    )
    csus = [one for one in chosen_csus(app, selected) if one.family in families()]
    refuse_recorded(app, csus)

    def told(walk: Walk) -> None:
        if not as_json:
            print_line(f"{walk.chain}: back to {walk.reached}{f'; {walk.ended}' if walk.ended else ''}")

    with watched() as seen:
        found = lending.extend(
            app,
            csus,
            until=until.date(),
            datasets=chosen_datasets(dataset),
            stopping=seen.stopping,
            show=seen.show,
            told=told,
        )
    total = found.collected
    if as_json:
        shown = [{"chain": w.chain, "reached": w.reached, "months": w.months, "ended": w.ended} for w in found.walks]
        print_json({"chains": shown, "done": total.done, "empty": total.empty, "failed": total.failed})
    else:
        rows = [(w.chain, len(w.csus), w.reached, w.months, w.ended) for w in found.walks]
        print_table("Extended", ("chain", "markets", "back to", "months", "ended because"), rows)
        if total.failed:
            print_next("collect --retry-failed", selection=True)
        else:
            print_next("refine", "build", joined="then")
    seen.end(total)


@selecting(days=("end_date",))
def daily_command(
    context: typer.Context,
    selected: Selected = NOTHING,
    dataset: DatasetFlag = None,
    workers: WorkersFlag = None,
    max_calls: MaxCallsFlag = None,
    max_usd: MaxUsdFlag = None,
    granularity: GranularityFlag = None,
    publish: Annotated[bool, typer.Option("--publish/--no-publish", help="Also refine, build and publish.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """Collect what is due since the last time, and bring tables up to date. For cron: catches up after downtime.

    Without a selection every market that was ever collected is meant. Two at once do nothing twice.

    Example: cryptolake daily --csu all
    """
    from cryptolake.sources.onchain.families import families
    from cryptolake.work import daily, lending
    from cryptolake.work.selection import chosen_datasets

    app: App = context.obj.open(
        workers=workers, max_calls=max_calls, max_usd=max_usd, granularity=granularity, **selected.settings
    )
    named = selected.named
    csus = chosen_csus(app, selected) if named else daily.begun(app)
    csus = [one for one in csus if one.family in families()]
    if not csus:
        raise BadInput("nothing was collected yet; name markets the first time, e.g. `cryptolake daily --csu all`")
    refuse_recorded(app, csus)
    until = selected.end or datetime.now(UTC).date() - timedelta(days=1)
    wish = daily.due(app, csus, chosen_datasets(dataset), until)
    with watched() as seen:
        ran = lending.run(
            app, csus, wish, what="daily", tables=publish and bool(wish), stopping=seen.stopping, show=seen.show
        )
    print_collected(ran.collected, as_json)
    if ran.built is not None and not as_json:
        print_made(
            ran.built.outputs,
            'query --sql "select * from daily_panel order by date desc limit 5"',
            lacking=ran.built.lacking,
            collected=ran.collected,
        )
        print_lacking(ran.built.lacking)
    elif ran.collected.failed and not as_json:
        print_next("collect --retry-failed", selection=True)
    if ran.built is not None and ran.built.lacking.height:
        raise typer.Exit(1)
    seen.end(ran.collected)
