"""After a failure the line names the remedy: it is typed as it stands, and it mends, or says honestly what comes next.

A row of `FAILURES` is what went wrong, the command that met it, and the commands that it must have named, in order.
"""

from __future__ import annotations

import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.cli.walking import Done, starts, walk
from tests.orchestration.conftest import sandbox_variables
from tests.server_folder import server_folder
from tests.vendors.server import Reply, in_turn, vendor

from cryptolake.demo.journey import KEY, KEYS, mark
from cryptolake.demo.replay import Replay, sandbox_registry
from cryptolake.publish.server import stop_embedded

SPAN = ("--start-date", "2024-12-01", "--end-date", "2024-12-03")
MARKET = ("--csu", "aave_v3_sandbox", *SPAN)
OF_MARKET = "--csu aave_v3_sandbox --start-date 2024-12-01 --end-date 2024-12-03"
NOBODY = "http://127.0.0.1:1"
ASKED_AGAIN = "What failed is asked again by the same command"


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, and what is said of it.

    `variables` are in force while the command meets it and are right again for the remedies (None: not set); `spoils`
    harms the data folder; `answers` is what every vendor gives meanwhile. `remedies` are typed after the data folder; the
    command works afterwards, unless `still` says what it honestly says then.
    """

    name: str
    words: tuple[str, ...]
    remedies: tuple[str, ...]
    code: int = 1
    says: tuple[str, ...] = ()
    shows: str = ""
    variables: Mapping[str, str | None] = field(default_factory=dict)
    spoils: Callable[[Path], object] = lambda _data: None
    answers: Reply | None = None
    still: str | None = None


def _lose(*names: str) -> Callable[[Path], None]:
    def lose(data: Path) -> None:
        for name in names:
            shutil.rmtree(data / name, ignore_errors=True)
            (data / name).unlink(missing_ok=True)

    return lose


def _empty(data: Path) -> None:
    for path in data.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "watched.csv":
            path.unlink()


def _hurt_an_index(data: Path) -> None:
    """A page of the ledger is lost that no plain question reads."""
    with closing(sqlite3.connect(data / "ledger.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'unsettled'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with (data / "ledger.sqlite").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def _damage(data: Path) -> None:
    """An answer of the chain is cut short."""
    answer = data / "bronze" / "tvl" / "aave_v3_sandbox" / "2024-12-02.raw.json.gz"
    answer.write_bytes(answer.read_bytes()[:-9])


FAILURES = [
    Failure(
        "an endpoint that refuses",
        ("collect", *MARKET),
        (f"collect --retry-failed {OF_MARKET}", f"refine {OF_MARKET}"),
        says=("onchain.collect_command: collect --retry-failed",),
        variables={"CRYPTOLAKE_RPC_SANDBOX": NOBODY},
        spoils=_empty,
    ),
    Failure(
        "no endpoint",
        ("collect", *MARKET),
        (f"collect --retry-failed {OF_MARKET}",),
        shows="set CRYPTOLAKE_RPC_SANDBOX=url or ALCHEMY_KEY_1",
        variables={"CRYPTOLAKE_RPC_SANDBOX": None},
        spoils=_empty,
    ),
    Failure(
        "an endpoint that refuses, in a whole run",
        ("run", *MARKET),
        (f"collect --retry-failed {OF_MARKET}",),
        says=("results.print_made: collect --retry-failed",),
        variables={"CRYPTOLAKE_RPC_SANDBOX": NOBODY},
        spoils=_empty,
    ),
    Failure(
        "an endpoint that refuses what is due",
        ("daily", "--no-publish", "--end-date", "2024-12-04"),
        ("collect --retry-failed --end-date 2024-12-04",),
        says=("extend.daily_command: collect --retry-failed",),
        variables={"CRYPTOLAKE_RPC_SANDBOX": NOBODY},
    ),
    Failure(
        "an endpoint that refuses on the way back",
        ("extend", "--until", "2024-12-01", "--csu", "aave_v3_sandbox", "--end-date", "2024-12-03"),
        ("collect --retry-failed --csu aave_v3_sandbox --end-date 2024-12-03",),
        says=("extend.extend_command: collect --retry-failed",),
        variables={"CRYPTOLAKE_RPC_SANDBOX": NOBODY},
        spoils=_empty,
    ),
    Failure(
        "an endpoint that refuses blocks",
        ("blocks", "build", "--chain", "sandbox", *SPAN),
        ("rpc probe --chain sandbox",),
        says=("rpc.build_command: rpc probe",),
        variables={"CRYPTOLAKE_RPC_SANDBOX": NOBODY},
        spoils=_empty,
    ),
    Failure(
        "days missing from silver",
        ("build",),
        ("refine",),
        spoils=_lose("silver"),
    ),
    Failure(
        "days missing from silver, in a release",
        ("release", "v1"),
        ("build", "refine", "build"),
        spoils=_lose("silver"),
    ),
    Failure("no panel", ("panel", "describe"), ("build",), code=2, spoils=_lose("gold")),
    Failure("a lost ledger", ("build",), ("ledger repair", "rebuild"), spoils=_lose("ledger.sqlite")),
    Failure(
        "a ledger of which a page is damaged",
        ("ledger", "inspect"),
        ("ledger repair",),
        says=("ledger.inspect_command: ledger repair",),
        spoils=_hurt_an_index,
    ),
    Failure(
        "a damaged answer",
        ("ledger", "repair"),
        ("collect --retry-failed",),
        code=0,
        says=("ledger.repair_command: collect --retry-failed",),
        spoils=_damage,
    ),
    Failure(
        "a damaged answer of the demo",  # that `demo` brings it back is proven in tests/journey/test_demo.py
        ("ledger", "repair"),
        (),
        code=0,
        says=("ledger.repair_command: demo",),
        spoils=lambda data: (_damage(data), mark(data)),
    ),
    Failure(
        "a lost ledger, repaired",
        ("ledger", "repair"),
        ("refine",),
        code=0,
        says=("ledger.repair_command: refine",),
        spoils=_lose("ledger.sqlite"),
    ),
    Failure(
        "an unreadable ledger",
        ("monitor",),
        ("ledger repair",),
        spoils=lambda data: (data / "ledger.sqlite").write_bytes(b"no database at all" * 500),
    ),
    Failure("nothing collected, refined", ("refine",), ("collect",), code=2, spoils=_empty),
    Failure("nothing collected, built", ("build",), ("run",), code=2, spoils=_empty),
    Failure(
        "nothing collected, asked again",
        ("collect", "--retry-failed"),
        ("collect",),
        code=2,
        spoils=_empty,
    ),
    Failure(
        "a database that is away",
        ("publish",),
        (),
        shows="check DATABASE_URL",
        variables={"DATABASE_URL": "postgresql://me@127.0.0.1:1/prices"},
    ),
    Failure(
        "a vendor that refuses the key",
        ("pull", "artemis", "--key", "eth"),
        ("pull artemis --key eth",),
        shows="ARTEMIS_API_KEY",
        answers=Reply(401),
    ),
    Failure(
        "a vendor that does not know it",
        ("backfill", "defillama", "--key", "usd-coin", "--dataset", "stablecoin_supply"),
        ("backfill defillama --key usd-coin --dataset stablecoin_supply",),
        says=("vendors._operate",),
        shows=ASKED_AGAIN,
        answers=Reply(404),
    ),
    Failure(
        "a vendor that is down",
        ("coins", "history", "--key", "bitcoin"),
        ("coins history --key bitcoin",),
        says=("coins.history_command",),
        shows=ASKED_AGAIN,
        answers=Reply(500, headers={"Retry-After": "0"}),
    ),
    Failure(
        "an exchange that asks to wait",
        ("exchanges", "tickers", "--exchange", "kraken"),
        ("exchanges tickers --exchange kraken",),
        says=("exchanges._show",),
        shows=ASKED_AGAIN,
        answers=Reply(429, headers={"Retry-After": "0"}),
    ),
]


@dataclass
class Lake:
    """A lake of three days that was refined and built, and where its chain and vendors answer."""

    place: Path
    variables: dict[str, str]


@pytest.fixture(scope="module")
def made() -> Iterator[Lake]:
    with server_folder("remedies", "my lake") as place, Replay() as replay:
        variables = sandbox_variables(replay, place / "my lake")
        del variables["CRYPTOLAKE_DATA"], variables["CRYPTOLAKE_MARKETS"]
        variables |= {f"CRYPTOLAKE_URL_{host.upper()}": url for host, url in replay.urls.items()}
        variables |= dict.fromkeys(KEYS, KEY) | {"CRYPTOLAKE_TEST_CSU": "aave_v3_sandbox"}
        for words in (("collect", *MARKET), ("refine",), ("build",)):
            done = walk(place, ("--data", "my lake", *words), variables)
            assert done.code == 0, done.err
        yield Lake(place, variables)


@pytest.fixture
def lake(made: Lake) -> Iterator[Lake]:
    """A copy of it for one test."""
    with server_folder("remedy", "my lake") as place:
        shutil.copytree(made.place / "my lake", place / "my lake", dirs_exist_ok=True)
        yield Lake(place, made.variables)


def _in_trouble(lake: Lake, one: Failure, stack: ExitStack) -> dict[str, str]:
    changed = dict(one.variables)
    if one.answers is not None:
        down = stack.enter_context(vendor(in_turn(one.answers)))
        changed |= {name: down.url for name in lake.variables if name.startswith("CRYPTOLAKE_URL_")}
    return {name: value for name, value in {**lake.variables, **changed}.items() if value is not None}


def _run(lake: Lake, *words: str, variables: Mapping[str, str] | None = None) -> Done:
    return walk(lake.place, ("--data", "my lake", *words), lake.variables if variables is None else variables)


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(one, id=one.name, marks=pytest.mark.xdist_group(f"remedies-{number % 3}"))
        for number, one in enumerate(FAILURES)
    ],
)
def test_the_remedy_is_named_as_it_is_typed_and_mends(one: Failure, lake: Lake) -> None:
    one.spoils(lake.place / "my lake")
    with ExitStack() as stack:
        failed = _run(lake, *one.words, variables=_in_trouble(lake, one, stack))
    assert failed.code == one.code, failed
    assert failed.reached >= set(one.says), failed
    assert one.shows in failed.said, failed
    assert "Traceback" not in failed.err
    told, said = failed, failed.said
    for remedy in one.remedies:
        typed = f"cryptolake --data 'my lake' {remedy}"
        assert typed in said, (typed, told)
        told = _run(lake, *shlex.split(remedy))
        said += told.said
        assert "Traceback" not in told.err
    assert not one.remedies or told.code == 0, told
    if one.remedies[-1:] != (shlex.join(one.words),):
        after = _run(lake, *one.words)
        assert after.code == 0 if one.still is None else one.still in after.said, after


@pytest.mark.xdist_group("remedies-0")
def test_what_failed_is_asked_again_whatever_its_market_and_day(lake: Lake) -> None:
    """The settings' market and days are others than those that failed."""
    elsewhere = {**lake.variables, "CRYPTOLAKE_TEST_CSU": "aave_v3_ethereum", "CRYPTOLAKE_END_DATE": "2024-12-31"}
    refused = {**lake.variables, "CRYPTOLAKE_RPC_SANDBOX": NOBODY}
    days = ("--start-date", "2024-12-05", "--end-date", "2024-12-06")
    assert _run(lake, "collect", "--csu", "aave_v3_sandbox", *days, variables=refused).code == 1
    seen = _run(lake, "monitor", variables=elsewhere)
    assert "monitor._print: collect --retry-failed" in seen.reached
    ((_, *step),) = seen.steps
    assert walk(lake.place, step, elsewhere).code == 0
    assert "failed" not in " ".join(_run(lake, "monitor", variables=elsewhere).out.split("not finished")[1:])
    assert _run(lake, *step[2:], variables=elsewhere).out.count("done") == 1, "nothing is left to ask"


@pytest.mark.xdist_group("remedies-1")
def test_what_a_vendor_did_not_answer_is_asked_of_that_vendor(lake: Lake) -> None:
    _empty(lake.place / "my lake")
    with vendor(in_turn(Reply(404))) as down:
        urls = {name: down.url for name in lake.variables if name.startswith("CRYPTOLAKE_URL_")}
        asked = ("backfill", "defillama", "--key", "usd-coin", "--dataset", "stablecoin_supply")
        assert _run(lake, *asked, variables={**lake.variables, **urls}).code == 1
    seen = _run(lake, "monitor")
    assert "monitor._print" in seen.reached
    ((_, *step),) = seen.steps
    assert step[2:] == ["backfill", "defillama"]


@pytest.mark.xdist_group("remedies-2")
def test_missing_prices_are_asked_for_then_listed_then_brought(lake: Lake) -> None:
    days = ("--csu", "aave_v3_sandbox", "--start-date", "2024-12-08", "--end-date", "2024-12-14")
    ran = _run(lake, "run", *days)
    assert ran.code == 0, ran.err
    for words in ("prices collect", "build"):
        assert f"cryptolake --data 'my lake' {words}" in ran.said
    asked = _run(lake, "prices", "collect")
    assert asked.code == 0, asked.err
    assert "prices._print_collected: prices list --missing" in asked.reached
    listed = _run(lake, "prices", "list", "--missing")
    assert "cryptolake --data 'my lake' prices import" in listed.said
    assert _run(lake, "build").code == 0


@pytest.mark.xdist_group("remedies-2")
def test_prices_that_nobody_could_be_asked_for_are_asked_again(lake: Lake) -> None:
    days = ("--csu", "aave_v3_sandbox", "--start-date", "2024-12-08", "--end-date", "2024-12-14")
    for words in (("collect", *days), ("refine",)):
        assert _run(lake, *words).code == 0
    described = sandbox_registry().read_text("utf-8")  # with a name for the chain, or the vendor is not asked at all
    (lake.place / "named.yaml").write_text(
        described.replace("defillama_name: null", "defillama_name: ethereum"), "utf-8"
    )
    with vendor(in_turn(Reply(403))) as down:
        urls = {name: down.url for name in lake.variables if name.startswith("CRYPTOLAKE_URL_")}
        urls["CRYPTOLAKE_REGISTRY"] = str(lake.place / "named.yaml")
        failed = _run(lake, "prices", "collect", "--source", "defillama", variables={**lake.variables, **urls})
    assert (failed.code, "prices._print_collected" in failed.reached) == (1, True), failed
    ((_, *step),) = failed.steps
    assert step == ["--data", "my lake", "prices", "collect", "--source", "defillama"]
    assert walk(lake.place, step, lake.variables).code == 0


@pytest.mark.xdist_group("remedies-1")
def test_an_unfinished_fresh_start_names_the_command_that_ends_it(lake: Lake) -> None:
    (lake.place / "my lake" / "fresh.json").write_text('{"aside": "aside_20241201_000000", "stage": "begun"}')
    refused = _run(lake, "collect", *MARKET)
    assert refused.code == 1
    assert "`cryptolake --data 'my lake' scheduler` goes on with it" in refused.err
    quiet = {**lake.variables, "CRYPTOLAKE_MARKETS": "aave_v3_sandbox", "CRYPTOLAKE_SOURCES": "onchain"}
    assert starts(lake.place, ("--data", "my lake", "scheduler"), "that nobody gave again were put back", quiet)
    assert _run(lake, "collect", *MARKET).code == 0
    stop_embedded(lake.place / "my lake")


@pytest.mark.parametrize("where", ["a file/lake", "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_is_named_with_the_flag(where: str, tmp_path: Path) -> None:
    if where.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("there is no /proc here")
    (tmp_path / "a file").write_text("")
    refused = walk(tmp_path, ("--data", where, "plan", *MARKET), {})
    assert refused.code == 1, refused
    assert "name another one (--data, CRYPTOLAKE_DATA)" in refused.err
    assert walk(tmp_path, ("--data", "elsewhere", "plan", "--csu", "aave_v3_ethereum", *SPAN), {}).code == 0
