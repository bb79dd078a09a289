"""One job, whoever does it: command line, scheduler and Dagster leave the same ledger, tables, files, report and `pulls`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from tests.orchestration.conftest import sandbox_variables
from tests.server_folder import server_folder
from typer.testing import CliRunner

dg = pytest.importorskip("dagster", reason="the dagster extra is not installed")

from cryptolake.app import App  # noqa: E402
from cryptolake.catalogue import contracts  # noqa: E402
from cryptolake.cli import app as command_line  # noqa: E402
from cryptolake.contracts.entry import Entry  # noqa: E402
from cryptolake.contracts.table import Table  # noqa: E402
from cryptolake.definitions import definitions  # noqa: E402
from cryptolake.demo.replay import Replay  # noqa: E402
from cryptolake.settings import load_settings  # noqa: E402
from cryptolake.silver.pulls import TABLE as PULLS  # noqa: E402
from cryptolake.watch.health import read_runs  # noqa: E402
from cryptolake.work import daily, lending  # noqa: E402

pytestmark = pytest.mark.xdist_group("dagster")
FIRST, LAST = "2024-12-01", "2024-12-14"
ONE_DAY_ON = datetime(2024, 12, 2, 2, tzinfo=UTC)  # a slot that was missed since: every day up to the last is due
RANGE = {"dagster/asset_partition_range_start": FIRST, "dagster/asset_partition_range_end": LAST}
VENDOR = "defillama"
MARKET = "aave_v3_sandbox"


@contextmanager
def opened() -> Iterator[App]:
    app = App(load_settings())
    try:
        yield app
    finally:
        app.close()


def commanded(*words: str) -> None:
    CliRunner().invoke(command_line, [*words], catch_exceptions=False)


def job_of(app: App, source: str) -> daily.Job:
    """The source's job with the fewest datasets, so that the sandbox is asked little."""
    return min((one for one in daily.jobs(app)[0] if one.source == source), key=lambda one: len(one.datasets))


def by_command_line() -> None:
    commanded("run", "--csu", MARKET, "--start-date", FIRST, "--end-date", LAST)
    with opened() as app:
        datasets = [word for name in job_of(app, VENDOR).datasets for word in ("--dataset", name)]
    commanded("pull", VENDOR, *datasets)


def by_scheduler() -> None:
    with opened() as app:
        work = daily.AppWork(app)
        work.run(job_of(app, daily.ONCHAIN), [ONE_DAY_ON])
        work.run(job_of(app, VENDOR), [])


def by_dagster() -> None:
    with opened() as app:
        names = {source: job_of(app, source).name for source in (daily.ONCHAIN, VENDOR)}
    repository = definitions().get_repository_def()
    for source, tags in ((daily.ONCHAIN, RANGE), (VENDOR, {})):
        with dg.DagsterInstance.ephemeral() as instance:
            assert repository.get_job(names[source]).execute_in_process(instance=instance, tags=tags).success


DRIVERS: dict[str, Callable[[], None]] = {
    "command line": by_command_line,
    "scheduler": by_scheduler,
    "dagster": by_dagster,
}


@dataclass
class Left:
    """What a driver left behind; times and the names of workers are its own."""

    entries: set[tuple[object, ...]]
    tables: dict[str, pl.DataFrame]
    files: set[str]
    reports: list[tuple[int, int, int, bool]]
    pulls: pl.DataFrame
    ordered: list[str] = field(default_factory=list)


def _entry(one: Entry) -> tuple[object, ...]:
    """What must be the same. The proof about liquidations says when it was asked for, and a vendor's pull has its hour."""
    partition = one.partition
    period = str(partition.period) if partition.key == MARKET else ""
    digest = one.digest if partition.dataset == "tvl" else None
    return partition.dataset, partition.key, period, one.state, one.rows, digest, one.reason


def _repeatable(table: Table) -> list[str]:
    """The table's columns without digests of answers that say when they were asked for."""
    return [one for one in table.columns if (table.name, one) != ("refined", "answers")]


def left_in(folder: Path) -> Left:
    with opened() as app:
        entries = {_entry(one) for one in app.ledger.states().values()}
        lake = [one for one in contracts() if one.layer in {"silver", "gold"} and app.tables.version(one) is not None]
        tables = {one.name: app.tables.read(one).select(_repeatable(one)).sort(one.key) for one in lake}
        with app.warehouse() as warehouse:
            # Which of several failures comes first is up to the threads.
            own = ", ".join(one for one in PULLS.columns if one not in {"pulled_at", "duration_s", "error"})
            pulls = warehouse.query(f"SELECT {own}, error IS NULL AS whole FROM pulls ORDER BY 1, 2")
            in_postgres = [one for one in lake if one.in_postgres]
            tables |= {
                f"PostgreSQL {one.name}": warehouse.query(
                    f"SELECT {', '.join(_repeatable(one))} FROM {one.quoted}"
                ).sort(one.key)
                for one in in_postgres
            }
    files = {
        path.relative_to(folder).as_posix()
        for part in ("silver", "gold", "checkpoints")
        for path in (folder / part).rglob("*")
        if path.is_file() and "delta" not in path.parts
    }
    reports = [(one.total, one.done, one.failed, one.ended is not None) for one in read_runs(folder / "runs")]
    return Left(entries, tables, files, reports, pulls)


@pytest.fixture(scope="module")
def left(replay: Replay) -> dict[str, Left]:
    """What every driver left behind after the same work, each in a folder of its own."""
    found = {}
    for name, drive in DRIVERS.items():
        with server_folder("driver") as folder, pytest.MonkeyPatch.context() as patch:
            for variable, value in sandbox_variables(replay, folder).items():
                patch.setenv(variable, value)
            asked: list[str] = []
            largest_first = lending.largest_first

            def noted(*parts: object, _real: Callable[..., object] = largest_first, _to: list[str] = asked) -> object:
                _to.append("largest first")
                return _real(*parts)

            patch.setattr(lending, "largest_first", noted)
            drive()
            found[name] = left_in(folder)
            found[name].ordered = asked
    return found


@pytest.mark.parametrize("driver", [name for name in DRIVERS if name != "command line"])
def test_a_driver_leaves_what_the_command_line_leaves(left: dict[str, Left], driver: str) -> None:
    mine, wanted = left[driver], left["command line"]
    assert mine.entries == wanted.entries
    assert mine.files == wanted.files
    assert mine.tables.keys() == wanted.tables.keys()
    for name, frame in wanted.tables.items():
        assert mine.tables[name].equals(frame), name
    assert mine.pulls.to_dicts() == wanted.pulls.to_dicts()


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_driver_reports_its_run_and_asks_the_largest_first(left: dict[str, Left], driver: str) -> None:
    answered = [one for one in left[driver].entries if one[1] == MARKET]
    assert answered
    assert left[driver].reports == [(len(answered), len(answered), 0, True)]
    assert left[driver].ordered == ["largest first"]
    assert left[driver].pulls.height == 1
