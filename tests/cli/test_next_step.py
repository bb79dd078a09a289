"""What `Next:` says is typed as it stands, in the state that said it; every call of ours that says it is walked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cli import test_remedies
from tests.cli.walking import FOLDER, Done, sites, starts, walk
from tests.orchestration.conftest import sandbox_variables
from tests.server_folder import server_folder

from cryptolake.cli.found import Commands
from cryptolake.demo.journey import KEY, KEYS
from cryptolake.demo.replay import Replay
from cryptolake.files.lock import held
from cryptolake.state.folder import DataFolder

ROOT = Path(__file__).resolve().parents[2]
SPAN = ("--start-date", "2024-12-01", "--end-date", "2024-12-03")
MARKET = ("--csu", "aave_v3_sandbox", *SPAN)


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a study, and the calls of ours that must have said what is next."""

    words: tuple[str, ...]
    says: tuple[str, ...] = ()
    scheduler_at_work: bool = False


# In the order of a study: each may use what the ones before it left.
LENDING = [
    Step(("monitor", *MARKET), ("monitor._print: plan", "monitor._print: collect")),
    Step(("plan", *MARKET), ("onchain.plan_command: collect",)),
    Step(("blocks", "build", "--chain", "sandbox", *SPAN), ("rpc.build_command: plan",)),
    Step(("collect", *MARKET), ("onchain.collect_command: refine",)),
    Step(("refine",), ("onchain.refine_command: build",)),
    Step(("refine", *MARKET), ("onchain.refine_command: build",)),
    Step(("build",), ("onchain.build_command: publish", "results.print_made")),
    Step(("publish",), ('onchain.publish_command: query --sql "select * from daily_panel limit 5"',)),
    Step(("run", *MARKET), ('onchain.run_command: query --sql "select * from daily_panel limit 5"',)),
    Step(
        ("daily", "--end-date", "2024-12-04"),
        ('extend.daily_command: query --sql "select * from daily_panel order by date desc limit 5"',),
    ),
    Step(("monitor", *MARKET), ("monitor._print: monitor --serve", "monitor._print: refine")),
    Step(("extend", "--until", "2024-12-01", "--csu", "aave_v3_sandbox", "--end-date", "2024-12-03"),
         ("extend.extend_command: refine", "extend.extend_command: build")),
    Step(("rpc", "probe", "--csu", "aave_v3_sandbox"), ("rpc.probe_command: rpc probe --keep",)),
    Step(("ledger", "inspect"), ("ledger.inspect_command: monitor",)),
    Step(("ledger", "repair")),
    Step(("ledger", "export"), ("ledger.export_command: ledger import x",)),
    Step(("ledger", "import", "my lake/checkpoints/tvl_progress.json"), ("ledger.import_command: collect",)),
    Step(("setup",), ("vendors.setup_command: run --days 7", "vendors.setup_command: backfill defillama")),
    Step(("db", "status"), ("db.status_command: db stop",)),
    Step(("db", "stop"), ("db.stop_command: db status",)),
    Step(("db", "status"), ("db.status_command: setup",)),
]  # fmt: skip
RESEARCH = [
    Step(("prices", "list", *MARKET), ("prices._print_nothing: collect", "prices._print_nothing: refine")),
    Step(("run", *MARKET)),
    Step(("panel", "describe", *MARKET), ("panel.describe_command: panel export --format stata --balance longest",)),
    Step(("why", "aave_v3_sandbox", "2024-12-02"), ("why.why_command: verify show x",)),
    Step(("panel", "export", *MARKET), ("panel.export_command: panel describe",)),
    Step(("prices", "list"), ("prices.list_command: prices collect",)),
    Step(
        ("prices", "collect", *MARKET),
        ("prices._print_collected: prices list --missing", "prices._print_collected: build"),
    ),
    Step(("prices", "import", "mine.csv"), ("prices.import_command: build",)),
    Step(("prices", "versions"), ("prices.versions_command: reprice",)),
    Step(("reprice",), ("prices._end: panel describe",)),
    Step(("quality", *MARKET), ("quality.quality_command: monitor",)),
    Step(("release", "v1", *MARKET), ("release.release_command: release freeze x --check",)),
    Step(
        ("explain", "aave_v3_sandbox", "2024-12-02", "--against", "theirs.csv"),
        ("release._print: prices list", "release._print: monitor"),
    ),
    Step(("adopt", "kept"), ("adopt.adopt_command: plan", "adopt.adopt_command: collect")),
    Step(("markets", "--chain", "sandbox"), ("markets.list_command: markets show x",)),
    Step(("markets", "sets"), ("markets.sets_command: plan --set x",)),
    Step(("markets", "show", "aave_v3_sandbox"), ("markets.show_command: markets check --live --csu x",)),
    Step(("markets", "check", "--csu", "aave_v3_sandbox"), ("markets._offline: markets check --live",)),
    Step(
        ("init", "--yes", "--csu", "aave_v3_sandbox", "--days", "2"),
        ("init._show: run --csu x --days 1", "init._show: run"),
    ),
]
VENDORS = [
    Step(("sources",), ("vendors.sources_command: sources --metrics", "vendors.sources_command: backfill defillama")),
    Step(("entities",), ("vendors.entities_command: query --entity solana --metric FEES",)),
    Step(("pull", "defillama"), ("vendors._operate: query --latest",)),
    Step(
        ("backfill", "defillama", "--key", "usd-coin", "--dataset", "stablecoin_supply"),
        ("vendors._operate: query --latest",),
    ),
    Step(("coins", "runs"), ("coins.runs_command: coins refresh",)),
    Step(("coins", "check"), ("coins.check_command: coins refresh",)),
    Step(("coins", "refresh", "--top", "10"), ('coins._show: query --sql "select * from market_segment_analysis"',)),
    Step(
        ("coins", "runs"),
        ("coins.runs_command: coins replay latest", "coins.runs_command: coins prune --keep-days 90 --dry-run"),
    ),
    Step(
        ("coins", "history", "--key", "bitcoin"),
        ("coins.history_command: query --source coingecko --latest",),
    ),
    Step(("exchanges", "tickers"), ('exchanges._show: query --sql "x"',)),
    Step(("scheduler", "status"), ("schedule._status: scheduler",)),
    Step(("scheduler", "status"), ("schedule._status: monitor",), scheduler_at_work=True),
]
WALKS = {"lending": LENDING, "research": RESEARCH, "vendors": VENDORS}
# Reached by a test of its own, which names the call.
ELSEWHERE = {
    "new.new_command": "cli/test_new.py",
    "markets._print_checked: markets check --live --patch corrections.yaml": "cli/test_markets.py",
    "coins._print_pruning: coins prune --keep-days x": "coins/test_cli.py",
    "coins._show: coins refresh": "coins/test_cli.py",
    "coins._show: coins runs": "coins/test_cli.py",
    "monitor._print: collect --retry-failed": "cli/test_remedies.py",
    "monitor._print": "cli/test_remedies.py",
    "prices._print_collected": "cli/test_remedies.py",
}
# These run until they are stopped: each with the first it says when it works.
ENDLESS = {("monitor", "--serve"): "The monitor is at", ("scheduler",): "scheduler: "}
# The sandbox cannot answer them whole, and then they say so, with what can be done.
HONEST = {
    "backfill defillama": "What failed is asked again by the same command. Next: ",
    "markets check --live": "set an archive endpoint",
}


def claimed() -> dict[str, str]:
    """Every call that a walk or a test promises to reach, with where."""
    walked = {name: walk_name for walk_name, steps in WALKS.items() for step in steps for name in step.says}
    failed = {name: "test_remedies" for one in test_remedies.FAILURES for name in one.says}
    return {**walked, **failed, **ELSEWHERE}


def unwalked(folder: Path) -> set[str]:
    """The calls in the modules of a folder that no walk and no test promises to reach."""
    return {name for site in sites(folder) for name in site.names()} - set(claimed())


def test_every_call_that_says_next_is_walked() -> None:
    assert unwalked(FOLDER) == set(), "add the command that says it to a walk, to FAILURES or to ELSEWHERE"
    every = {name for site in sites(FOLDER) for name in site.names()}
    assert set(claimed()) - every == set(), "walked for a call that is no more"
    for name, file in ELSEWHERE.items():
        assert f'"{name}" in ' in (ROOT / "tests" / file).read_text("utf-8"), f"{file} does not look for it"


def test_a_call_that_nobody_walks_is_found(tmp_path: Path) -> None:
    (tmp_path / "monitor.py").write_text(
        'def _print():\n    print_next("plan", "collect")\n    print_next("monitor" if new else f"collect --csu {csu}")\n'
        "def _other():\n    print_again()\n    print_made(rows, 'quality')\n"
    )
    assert unwalked(tmp_path) == {
        "monitor._print: monitor",
        "monitor._print: collect --csu x",
        "monitor._other",
        "monitor._other: quality",
    }


@pytest.mark.parametrize("name", sorted({name for site in sites(FOLDER) for name in site.names() if ": " in name}))
def test_the_command_exists_with_its_flags(name: str) -> None:
    words = shlex.split(name.partition(": ")[2])
    command = Commands()[words[0]]
    rest = words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]  # type: ignore[union-attr]  # a group's
    known = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
    assert {one for one in rest if one.startswith("--")} <= known
    assert not hasattr(command, "commands"), "a group alone prints its help"


def test_nothing_says_next_in_another_way() -> None:
    found = {path.name for path in FOLDER.rglob("*.py") if re.search(r"\bNext:", path.read_text("utf-8"))}
    assert found - {"next_step.py"} == {"sandbox.py"}, "the demo names another folder; see journey/test_demo"


# Where nothing was collected yet, `Next:` is what brings the first of it.
EMPTY = {
    ("prices", "list"): "collect",
    ("prices", "list", "--missing"): "collect",
    ("prices", "list", "--csu", "aave_v3_base"): "collect",
    ("prices", "versions"): "collect",
    ("coins", "runs"): "coins refresh",
    ("monitor",): "plan",
}


@pytest.mark.parametrize("words", EMPTY, ids=" ".join)
def test_an_empty_folder_is_filled_first(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = walk(tmp_path, words, {})
    assert done.code == 0, done.err
    assert " ".join(done.steps[0][1:]).startswith(EMPTY[words])


@contextmanager
def sandbox(name: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """An empty folder whose data folder is `my lake`, and the settings under which the demo's answers are given."""
    with server_folder(name, "my lake") as place, Replay() as replay:
        variables = sandbox_variables(replay, place / "my lake")
        del variables["CRYPTOLAKE_DATA"]
        variables |= {f"CRYPTOLAKE_URL_{host.upper()}": url for host, url in replay.urls.items()}
        variables |= dict.fromkeys(KEYS, KEY) | {"CRYPTOLAKE_TEST_CSU": "aave_v3_sandbox"}
        (place / "kept").mkdir()
        (place / "kept" / "blocks.csv").write_text("chain,date,block\nsandbox,2024-12-03,10\n")
        (place / "mine.csv").write_text(
            "date,chain,asset,price\n2024-12-01,sandbox,0x2260fac5e5542a773aa44fbcfedf7c193bc2c599,99000\n"
        )
        (place / "theirs.csv").write_text("date,usd\n2024-12-02,1000\n")
        yield place, variables


def attempt(place: Path, step: tuple[str, ...], variables: Mapping[str, str]) -> str:
    """Why a printed step does not work where it was printed; nothing when it does."""
    words = step[3:]
    if (sign := ENDLESS.get(words)) is not None:
        port = ("--port", "0") if words[0] == "monitor" else ()
        return "" if starts(place, [*step[1:], *port], sign, variables) else "says nothing"
    done = walk(place, step[1:], variables)
    if done.code == 0:
        return ""
    honest = next((text for begins, text in HONEST.items() if " ".join(words).startswith(begins)), None)
    return "" if honest is not None and honest in done.said else f"{done.code}: {done.out[-400:]} {done.err[-400:]}"


def kept_selection(words: tuple[str, ...], step: tuple[str, ...]) -> bool:
    """Whether the next step is about the days that the command was about, where it can be."""
    about_days = step[3] in {"collect", "plan", "monitor", "panel"} and "--serve" not in step
    return words[-2:] != SPAN[-2:] or not about_days or SPAN[-1] in step


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=pytest.mark.xdist_group(f"next-{one}")) for one in sorted(WALKS)]
)
def test_every_next_step_works_where_it_is_said(name: str) -> None:
    with sandbox(f"next-{name}") as (place, variables):
        wrong: list[object] = []
        tried: set[tuple[str, ...]] = set()
        for one in WALKS[name]:
            done = _run(place, one, variables)
            if (done.code and one.words != ("coins", "check")) or not done.reached >= set(one.says):
                wrong.append((one, sorted(done.reached), done.code, done.out[-400:], done.err[-400:]))
                continue
            for step in done.steps:
                assert step[:3] == ("cryptolake", "--data", "my lake"), (one.words, step)
                assert kept_selection(one.words, step), (one.words, step)
                if step not in tried:
                    tried.add(step)
                    if why := attempt(place, step, variables):
                        wrong.append((one.words, step, why))
        assert wrong == [], "\n".join(map(str, wrong))


def _run(place: Path, one: Step, variables: Mapping[str, str]) -> Done:
    words = ("--data", "my lake", *one.words)
    if not one.scheduler_at_work:
        return walk(place, words, variables)
    with held(DataFolder(place / "my lake").scheduler_lock) as mine:
        assert mine
        return walk(place, words, variables)


ODD = [
    "two  blanks",
    'it\'s "quoted"',
    "$HOME and `date`",
    "-dash",
    "--data",
    "Ünï—代",
    "a;b&c|d",
    "tab\tbed",
    "[bold]x[/]",
]


@pytest.mark.parametrize("name", ODD)
def test_a_folder_of_any_name_is_named_as_it_is_typed(name: str, tmp_path: Path) -> None:
    typed: Callable[..., Done] = lambda *words: walk(tmp_path, (f"--data={name}", *words), {})  # noqa: E731
    done = typed("plan", "--csu", "aave_v3_ethereum", *SPAN)
    if done.code:  # names that the table format takes for another folder are refused before anything is written
        assert "in a folder's name would lead to another folder" in done.said
        assert list(tmp_path.iterdir()) == []
        return
    assert [step[1:4] for step in done.steps] == [("--data", name, "collect")]
    refused = typed("refine")
    assert f"`{shlex.join(['cryptolake', '--data', name])} collect`" in refused.err.replace("\n", " "), refused.err
    again = walk(tmp_path, ("--data", name, "plan", "--csu", "aave_v3_ethereum", *SPAN), {})
    assert (again.code, again.out) == (0, done.out)
