"""Commands of the lending-market river: plan, collect, refine, build, publish, run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from cryptolake.cli.cluster import ClusterFlag, print_workers
from cryptolake.cli.collecting import watched
from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import (
    DatasetFlag,
    EventPricesFlag,
    GradeFlag,
    GranularityFlag,
    JsonFlag,
    MaxCallsFlag,
    MaxUsdFlag,
    ResumeFlag,
    RetryFailedFlag,
    WorkersFlag,
    chosen_csus,
    chosen_market_days,
    note_panel,
    refuse_recorded,
    refuse_unfinished,
)
from cryptolake.cli.planned import print_plan, totals
from cryptolake.cli.reading import only_reads
from cryptolake.cli.results import end_lacking, note_others, print_collected, print_made, print_unpriced
from cryptolake.cli.screens import PANEL, Step
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_json
from cryptolake.contracts.entry import SETTLED
from cryptolake.contracts.partition import Partition
from cryptolake.errors import BadInput

if TYPE_CHECKING:
    from cryptolake.app import App


STEPS = {
    "plan": Step(PANEL, 30, "What a collection would ask and what it would cost"),
    "run": Step(PANEL, 40, "Collect, refine, build and publish in one go"),
}


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    group = "Lending markets"
    cli.command("plan", rich_help_panel=group)(plan_command)
    cli.command("collect", rich_help_panel=group)(collect_command)
    cli.command("refine", rich_help_panel=group)(refine_command)
    cli.command("build", rich_help_panel=group)(build_command)
    cli.command("publish", rich_help_panel=group)(publish_command)
    cli.command("run", rich_help_panel=group)(run_command)


@only_reads
@selecting()
def plan_command(
    context: typer.Context,
    selected: Selected = NOTHING,
    dataset: DatasetFlag = None,
    granularity: GranularityFlag = None,
    assume_log_span: int | None = typer.Option(
        None, min=1, help="Blocks per eth_getLogs call to plan with; default: what the endpoint's plan publishes."
    ),
    resume: ResumeFlag = True,
    event_prices: EventPricesFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what a collection would ask and what it would cost. Needs no network.

    Example: cryptolake plan --csu aave_v3_ethereum --start-date 2024-12-01 --end-date 2024-12-31
    """
    from cryptolake.work.estimate import planned
    from cryptolake.work.selection import chosen_partitions

    app: App = context.obj.open(granularity=granularity, event_prices=event_prices, **selected.settings)
    csus = chosen_csus(app, selected)
    found = planned(app, csus, chosen_partitions(app, csus, dataset), log_span=assume_log_span, resume=resume)
    if as_json:
        print_json({**asdict(found), "markets": [csu.name for csu in csus]})
        return
    print_plan(found, len(csus))
    print_next("collect", said=totals(found), selection=True)


@selecting()
def collect_command(
    context: typer.Context,
    selected: Selected = NOTHING,
    dataset: DatasetFlag = None,
    workers: WorkersFlag = None,
    max_calls: MaxCallsFlag = None,
    max_usd: MaxUsdFlag = None,
    cluster: ClusterFlag = None,
    granularity: GranularityFlag = None,
    resume: ResumeFlag = True,
    retry_failed: RetryFailedFlag = False,
    grade: GradeFlag = None,
    event_prices: EventPricesFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask the chains and keep every answer in bronze. Skips what is done; killed, it goes on where it stopped.

    With --retry-failed and no selection everything that failed, whatever its market and day.

    Example: cryptolake collect --csu aave_v3_ethereum --days 7 --workers 5
    """
    from cryptolake.cluster.worker_list import read_workers
    from cryptolake.work import lending
    from cryptolake.work.selection import chosen_wish, collected_csus, unsettled_wish

    app: App = context.obj.open(
        workers=workers,
        max_calls=max_calls,
        max_usd=max_usd,
        granularity=granularity,
        grade=grade,
        event_prices=event_prices,
        **selected.settings,
    )
    everywhere = retry_failed and not (selected.named)
    if everywhere:
        csus = collected_csus(app)
        if not csus:
            raise BadInput("nothing was collected yet; run `cryptolake collect` without --retry-failed first")
    else:
        csus = chosen_csus(app, selected)
    if retry_failed and not (selected.start or selected.days):
        csus, wish = unsettled_wish(app, csus, dataset, until=selected.end)
    else:
        wish = chosen_wish(app, csus, dataset)
    refuse_recorded(app, csus)
    with watched() as seen:
        result = lending.collect(
            app,
            csus,
            wish,
            resume=resume,
            only_failed=retry_failed,
            cluster=cluster,
            stopping=seen.stopping,
            show=seen.show,
            proven=app.settings.wanted_grade if grade is not None else None,
        )
    print_collected(result, as_json)
    if not as_json and not seen.stopping.is_set():
        print_next("collect --retry-failed" if result.failed else "refine", selection=not everywhere)
    if cluster is not None and not as_json:
        print_workers(read_workers(app.folder.root))
    seen.end(result)


@selecting()
def refine_command(
    context: typer.Context,
    selected: Selected = NOTHING,
    dataset: DatasetFlag = None,
    granularity: GranularityFlag = None,
) -> None:
    """Bronze to silver: scale, price and check what was collected. Needs no network.

    Without a selection everything that was collected and that silver lacks; with one, its days anew as well (without days:
    every day of it that was ever asked for).

    Example: cryptolake refine --csu aave_v3_ethereum --days 7
    """
    from cryptolake.watch.coverage import markets
    from cryptolake.work import lending
    from cryptolake.work.selection import chosen_partitions, held_partitions

    app: App = context.obj.open(granularity=granularity, **selected.settings)
    dated = selected.dated
    partitions: list[Partition] = []
    if selected.named or dataset or dated or granularity:
        csus = chosen_csus(app, selected)
        partitions = chosen_partitions(app, csus, dataset) if dated else held_partitions(app, csus, dataset)
        if not any(entry.state in SETTLED for entry in app.ledger.of(partitions).values()):
            raise BadInput("nothing of this selection was collected; run `cryptolake collect` with the same flags")
    elif not markets(app.ledger):
        raise BadInput("nothing was collected yet; run `cryptolake collect` first")
    made = lending.refine(app, partitions)
    lacking = lending.not_in_silver(app)
    if made:
        print_made(made, "build", lacking=lacking)
        print_unpriced(app)
    elif not lacking.height:
        print_next("build", said="Silver holds everything that was collected")
    end_lacking(lacking)


@selecting()
def build_command(
    context: typer.Context,
    selected: Selected = NOTHING,
) -> None:
    """Silver to gold: the balanced daily panel. Exit code 1 when answered days have no number, with the remedy.

    The panel is made whole; a selection narrows what is said of it, and which missing numbers end in failure.

    Example: cryptolake build --set thesis-43
    """
    from cryptolake.watch.coverage import markets
    from cryptolake.work import lending
    from cryptolake.work.lost import require_ledger

    app: App = context.obj.open()
    refuse_unfinished(app)
    only = chosen_market_days(app, selected)
    require_ledger(app)
    if not markets(app.ledger):
        raise BadInput("nothing was collected yet; run `cryptolake run` first")
    built = lending.build(app)
    lacking = only.of(built.lacking)
    print_made(built.outputs, "publish", lacking=lacking, selection=True)
    note_panel(app, only)
    note_others(built.lacking, lacking)
    end_lacking(lacking)


@selecting()
def publish_command(
    context: typer.Context,
    selected: Selected = NOTHING,
) -> None:
    """Write the finished tables to Parquet files, checkpoints and PostgreSQL.

    The tables are published whole; a selection must have figures among them, and its markets and days are said.

    Example: cryptolake publish --set thesis-43
    """
    from cryptolake.work import lending

    app: App = context.obj.open()
    refuse_unfinished(app)
    only = chosen_market_days(app, selected)
    made = lending.publish(app)
    note_panel(app, only)
    print_made(made, 'query --sql "select * from daily_panel limit 5"')


@selecting()
def run_command(
    context: typer.Context,
    selected: Selected = NOTHING,
    dataset: DatasetFlag = None,
    granularity: GranularityFlag = None,
    workers: WorkersFlag = None,
    max_calls: MaxCallsFlag = None,
    max_usd: MaxUsdFlag = None,
    cluster: ClusterFlag = None,
    resume: ResumeFlag = True,
    grade: GradeFlag = None,
    event_prices: EventPricesFlag = None,
) -> None:
    """Everything in one go: collect, refine, build, publish.

    Example: cryptolake run --csu aave_v3_ethereum --days 7
    """
    from cryptolake.work import lending
    from cryptolake.work.selection import chosen_wish

    app: App = context.obj.open(
        workers=workers,
        max_calls=max_calls,
        max_usd=max_usd,
        granularity=granularity,
        grade=grade,
        event_prices=event_prices,
        **selected.settings,
    )
    csus = chosen_csus(app, selected)
    refuse_recorded(app, csus)
    wish = chosen_wish(app, csus, dataset)
    with watched() as seen:
        ran = lending.run(
            app,
            csus,
            wish,
            resume=resume,
            cluster=cluster,
            stopping=seen.stopping,
            show=seen.show,
            proven=app.settings.wanted_grade if grade is not None else None,
        )
    if ran.built is None:
        seen.end_if_stopped(ran.collected)
        return
    print_collected(ran.collected, as_json=False)
    print_made(
        ran.built.outputs,
        'query --sql "select * from daily_panel limit 5"',
        lacking=ran.built.lacking,
        collected=ran.collected,
    )
    print_unpriced(app)
    end_lacking(ran.built.lacking)
    seen.end(ran.collected)
