"""Commands about endpoints, block boundaries and proof: rpc probe, blocks build, verify, verify show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cryptolake.cli.certificates import show_command
from cryptolake.cli.collecting import watched
from cryptolake.cli.next_step import print_next
from cryptolake.cli.options import (
    JsonFlag,
    chosen_chains,
    chosen_csus,
    refuse_recorded,
)
from cryptolake.cli.reading import only_reads
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_json, print_line, print_note, print_table
from cryptolake.contracts.counting import counted
from cryptolake.contracts.grades import EVIDENCE, Grade
from cryptolake.contracts.partition import MARKET_DATASETS
from cryptolake.errors import BadInput

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.contracts.partition import Partition
    from cryptolake.net.probe import Probed


def add_commands(cli: typer.Typer) -> None:
    """Register this module's commands."""
    group = "Endpoints and proof"
    rpc = typer.Typer(no_args_is_help=True, help="Endpoints: what they can do.\n\nExample: cryptolake rpc probe")
    rpc.command("probe")(probe_command)
    rpc.command("clear")(clear_command)
    cli.add_typer(rpc, name="rpc", rich_help_panel=group)
    blocks = typer.Typer(no_args_is_help=True, help="Block boundaries of days.\n\nExample: cryptolake blocks build")
    blocks.command("build")(build_command)
    cli.add_typer(blocks, name="blocks", rich_help_panel=group)
    verify = typer.Typer(
        invoke_without_command=True,
        help="Check the proof that no liquidation is missing; open the certificate of one cell.\n\n"
        "Example: cryptolake verify --csu aave_v3_ethereum --days 7",
    )
    verify.callback()(verify_command)
    verify.command("show")(show_command)
    cli.add_typer(verify, name="verify", rich_help_panel=group)


@only_reads
@selecting(days=())
def probe_command(
    context: typer.Context,
    selected: Selected = NOTHING,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Put what was measured into cryptolake.toml, as limits that are never exceeded."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Ask endpoints what they can do: chain, head, archive depth, span, batch, addresses, calls at once, latency, key.

    A selection of markets means their chains. At most 400 calls are sent to an endpoint.

    Example: cryptolake rpc probe --chain ethereum
    """
    from cryptolake.net.probe import MOST_CALLS
    from cryptolake.work.endpoints import chains_of, kept, probe_all

    app: App = context.obj.open()
    chains = chains_of(app, chosen_chains(app, selected))
    asked = sum(len(app.nodes(one)) for one in chains)
    print_note(
        f"At most {counted(MOST_CALLS, 'call')} to each of {counted(asked, 'endpoint')}, members of batches counted"
    )
    found = probe_all(app, chains)
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        print_table(
            f"{counted(len(found), 'endpoint')} of {counted(len(chains), 'chain')}",
            ("endpoint", "ok", "lag s", "archive", "log span", "batch", "addresses", "at once", "ms", "calls"),
            [_row(one) for one in found],
        )
        for one in found:
            if one.problem:
                print_line(f"[red]{one.endpoint}[/]: {one.problem}")
        if not found:
            print_line("no endpoint is configured; set CRYPTOLAKE_RPC_<CHAIN>=url or ALCHEMY_KEY_1")
    if keep:
        _keep(kept(found))
    elif not as_json and any(not one.problem for one in found):
        print_next("rpc probe --keep", said="Measured limits can be kept as settings", selection=True)
    raise typer.Exit(0 if found and not any(one.problem for one in found) else 1)


def _row(one: Probed) -> tuple[object, ...]:
    depth = "full" if one.archive_full else None if one.archive_days is None else f"{one.archive_days:,.1f} days"
    latency = None if one.latency_s is None else round(one.latency_s * 1000)
    limits = one.log_span, one.batch, one.addresses, one.burst
    return one.endpoint, not one.problem, one.lag_s, depth, *limits, latency, one.calls


def _keep(tables: Mapping[str, Mapping[str, int]]) -> None:
    """Put the limits into the settings' file, which holds no secret of them, and show what changes."""
    from cryptolake.settings import Settings
    from cryptolake.work.setting_files import content, difference, merged_tables, replace_file

    path = Path(Settings.defaults_file)
    new = merged_tables(content(path), "endpoints", tables) if tables else content(path)
    changes = difference(path, new)
    for line in changes:
        print_note(line.replace("[", r"\["))
    copy = replace_file(path, new) if changes else None
    said = f"; what was there is in {copy}" if copy is not None else ""
    print_note(f"Kept in {path}{said}" if changes else "Nothing to keep: no limit changed")


def clear_command(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Endpoint or operator to believe again; without one, who is not believed.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Believe an endpoint again that was proven to drop logs; without a name, list those that were.

    Days that it alone answered stay suspect until they are asked again, or read again by `ledger repair`.

    Example: cryptolake rpc clear ethereum-own-1
    """
    app: App = context.obj.open()
    found = app.liars.named() if name is None else app.liars.clear(name)
    if name is not None and not found:
        raise BadInput(
            f"{name}: nothing was proven of an endpoint or operator of this name; `cryptolake rpc clear` lists them"
        )
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        title = "Proven to drop logs" if name is None else "Believed again"
        columns = ("chain", "endpoint", "operator", "block", "proven at (UTC)")
        print_table(title, columns, [(one.chain, one.endpoint, one.voice, one.block, one.proven) for one in found])


@selecting()
def build_command(
    context: typer.Context,
    selected: Selected = NOTHING,
    as_json: JsonFlag = False,
) -> None:
    """Find and keep the first and last block of every day, a month in a few requests per chain.

    A selection of markets means their chains.

    Example: cryptolake blocks build --chain ethereum --start-date 2024-12-01 --end-date 2024-12-31
    """
    from cryptolake.work.endpoints import chains_of, find_boundaries

    app: App = context.obj.open(**selected.settings)
    first, last = app.settings.span()
    found = find_boundaries(app, chains_of(app, chosen_chains(app, selected)))
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        columns = ("chain", "periods", "first block", "last block", "requests", "problem")
        print_table(f"Boundaries {first} .. {last}", columns, [astuple(one) for one in found])
        if any(one.problem for one in found):
            print_next(
                "rpc probe", said="This says what the endpoints can do, and which does not answer", selection=True
            )
        else:
            print_next("plan", said="Plans count with the real blocks now", selection=True)
    raise typer.Exit(1 if any(one.problem for one in found) else 0)


@only_reads
@selecting()
def verify_command(
    context: typer.Context,
    selected: Selected = NOTHING,
    min_grade: Annotated[
        Literal["one_voice", "two_voices_sampled", "two_voices", "receipts"],
        typer.Option(
            "--min-grade", help="How far every day must be proven, TVL too; one that is proven less far is weak."
        ),
    ] = "one_voice",
    repair: Annotated[bool, typer.Option("--repair", help="Ask again for every day that is found wanting.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Check the proof that no liquidation is missing: every block covered, by whom, and whether anybody disagreed.

    Every answer of both datasets is read: a snapshot that was collected and is missing or damaged is a gap too.

    Without dates: everything that was ever collected, and a gap on each of those days for a market that was named and
    never was. Exits 1 when a day has a gap, is suspect or weak. Needs no network but for --repair, which asks again for
    these days alone and checks once more.

    Example: cryptolake verify --csu aave_v3_ethereum --days 7
    """
    from cryptolake.work.attainable import what_can_be_had
    from cryptolake.work.selection import chosen_partitions, held_partitions, named_partitions, snapshots_asked
    from cryptolake.work.verify import worth_asking
    from cryptolake.work.vouched import verify_kept

    if context.invoked_subcommand is not None:
        if selected.named or selected.dated or as_json or repair or min_grade != "one_voice":
            raise BadInput(f"flags go after the subcommand: `cryptolake verify {context.invoked_subcommand} ...`")
        return
    wish = {"grade": min_grade} if repair and min_grade != "one_voice" else {}
    app: App = context.obj.open(**wish, **selected.settings)
    if selected.dated:
        csus = chosen_csus(app, selected)
        partitions = chosen_partitions(app, csus, ["liquidations"])
        days = {one.period.day for one in partitions}
        partitions += snapshots_asked(app, {csu.name for csu in csus}, days)
    elif selected.named:
        csus = chosen_csus(app, selected)
        partitions = named_partitions(app, csus, "liquidations")
        partitions += snapshots_asked(app, {csu.name for csu in csus})
    else:
        partitions = held_partitions(app, list(app.registry.csus.values()), None)
    least: Grade = "receipts_root" if min_grade == "receipts" else min_grade
    found = verify_kept(app, partitions, least=least)
    weak = [app.registry.csu(one.partition.key) for one in found if one.verdict == "weak"]
    if repair and (wanting := worth_asking(found, what_can_be_had(app, weak, least))):
        _ask_again(app, [one.partition for one in wanting if not one.by_prices_alone])
        _ask_prices_again(app, [one.partition for one in wanting if one.by_prices], least)
        found = verify_kept(app, partitions, least=least)
    counts: Counter[str] = Counter(one.verdict for one in found)
    grades = {
        dataset: Counter(one.grade for one in found if one.grade is not None and one.partition.dataset == dataset)
        for dataset in MARKET_DATASETS
    }
    verdicts = ["complete", *(["weak"] if min_grade != "one_voice" or counts["weak"] else []), "suspect", "gap"]
    wrong = [one for one in found if one.verdict != "complete"]
    if as_json:
        print_json(
            {
                "counts": {name: counts[name] for name in verdicts},
                "grades": {name: grades["liquidations"][name] for name in EVIDENCE},
                "alike": sorted({names for one in found for names in one.alike}),
                "tvl_grades": {name: grades["tvl"][name] for name in EVIDENCE},
                "findings": [
                    {
                        "dataset": one.partition.dataset,
                        "csu": one.partition.key,
                        "period": str(one.partition.period),
                        "verdict": one.verdict,
                        "says": one.says,
                    }
                    for one in wrong
                ],
            }
        )
    else:
        print_table("Verified", ("verdict", "market-days"), [(n, counts[n]) for n in verdicts])
        named = [n for n in EVIDENCE if any(of[n] for of in grades.values())]
        rows = [(n, *(grades[dataset][n] for dataset in reversed(MARKET_DATASETS))) for n in named]
        print_table("Proven by", ("grade", *reversed(MARKET_DATASETS)), rows)
        why = Counter(
            (one.partition.dataset, f"{one.grade}: {one.problem}")
            for one in found
            if one.problem and one.verdict == "complete"
        )
        for (dataset, problem), count in why.most_common(5):
            print_line(f"{dataset}: {counted(count, 'market-day is', 'market-days are')} proven by {problem}")
        for names, count in Counter(names for one in found for names in one.alike).most_common(5):
            words = f"{names} err alike in {counted(count, 'market-day')} and are probably one"
            print_line(f"{words}; give both the same `operator` in the settings")
        for one in wrong[:20]:
            print_line(f"[red]{one.verdict}[/] {one.partition}: {'; '.join(one.says)}")
        if len(wrong) > 20:
            print_line(f"... and {len(wrong) - 20:,} more; [bold]--json[/] lists them all")
        if counts["suspect"]:
            print_line(
                _settling({app.registry.csu(one.partition.key).chain for one in wrong if one.verdict == "suspect"})
            )
    raise typer.Exit(1 if wrong else 0)


def _settling(chains: Collection[str]) -> str:
    """What is to be done about days that somebody contradicts, in one line."""
    variables = ", ".join(f"CRYPTOLAKE_RPC_{name.upper()}" for name in sorted(chains))
    return (
        "What is suspect stays so until one more operator bears out either side: name an endpoint of another one in "
        f"[bold]{variables}[/], leave out one that you do not believe, and run [bold]cryptolake verify --repair[/]"
    )


def _ask_again(app: App, partitions: Sequence[Partition]) -> None:
    """Collect these days anew, whatever is known of them."""
    from cryptolake.flow.resume import wish_for
    from cryptolake.work import lending

    if not partitions:
        return
    csus = [app.registry.csu(name) for name in sorted({one.key for one in partitions})]
    refuse_recorded(app, csus)
    with watched() as seen:
        wish = wish_for(partitions)
        lending.collect(app, csus, wish, resume=False, what="verify", stopping=seen.stopping, show=seen.show)
    print_note(f"{counted(len(partitions), 'day was', 'days were')} asked again")


def _ask_prices_again(app: App, partitions: Sequence[Partition], least: Grade) -> None:
    """Ask those who price for all what is wanting of the days of these, in the words of the chain itself."""
    from cryptolake.work.beside import ask_prices
    from cryptolake.work.lending import workers_of

    if not partitions:
        return
    csus = [app.registry.csu(name) for name in sorted({one.key for one in partitions})]
    refuse_recorded(app, csus)
    days = {(app.registry.csu(one.key).chain, one.period.day) for one in partitions}
    with watched() as seen:
        found = ask_prices(app, days, workers=workers_of(app, csus), stopping=seen.stopping, proven=least)
    print_note(f"{counted(found.done + found.empty + found.failed, 'answer')} of prices asked again")
