"""Dagster's definitions: generated from what is there, loadable, and running the real steps on the sandbox."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

dg = pytest.importorskip("dagster", reason="the dagster extra is not installed")

from cryptolake.app import App  # noqa: E402
from cryptolake.contracts.source import Dataset  # noqa: E402
from cryptolake.definitions import definitions  # noqa: E402
from cryptolake.settings import load_settings  # noqa: E402
from cryptolake.work import daily as work  # noqa: E402
from cryptolake.work.lending import WAREHOUSE_TABLES  # noqa: E402

pytestmark = pytest.mark.xdist_group("dagster")
RANGE = {"dagster/asset_partition_range_start": "2024-12-01", "dagster/asset_partition_range_end": "2024-12-14"}


def _found(sandbox: Path) -> tuple[object, dict[str, set[str]]]:
    repository = definitions().get_repository_def()
    graph = repository.asset_graph
    parents = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    return repository, parents


def test_every_source_and_table_is_an_asset_with_its_lineage(sandbox: Path) -> None:
    _, parents = _found(sandbox)
    app = App(load_settings())
    sources = [app.onchain([]), *work.vendors(app)]
    app.close()
    for source in sources:
        for dataset in source.datasets:
            assert parents[f"bronze/{source.name}/{dataset.name}"] == set()
            assert f"bronze/{source.name}/{dataset.name}" in parents[f"silver/{dataset.feeds}"]
    for table in WAREHOUSE_TABLES:
        assert (f"{table.layer}/{table.name}" in parents) == (table.layer in {"silver", "gold"})
    assert {"silver/tvl", "silver/liquidations"} <= parents["gold/daily_panel"]
    assert "gold/daily_panel" in parents["published/lending"]


def test_cadences_are_the_datasets_own(sandbox: Path) -> None:
    repository, _ = _found(sandbox)
    crons = {schedule.job_name: schedule.cron_schedule for schedule in repository.schedule_defs}
    app = App(load_settings())
    sources = [app.onchain([]), *work.vendors(app)]
    waiting = app.settings.missing
    app.close()
    for source in sources:
        for dataset in source.datasets:
            if waiting(dataset.needs):
                continue
            hour = "*" if dataset.every == "hour" else str(dataset.at_minute // 60)
            assert f"{dataset.at_minute % 60} {hour} * * *" in {
                cron for job, cron in crons.items() if job.startswith(source.name)
            }
    assert all(schedule.execution_timezone == "UTC" for schedule in repository.schedule_defs)


def test_a_fortnight_is_one_run_and_its_numbers_are_the_command_lines(sandbox: Path) -> None:
    job = definitions().get_repository_def().get_job("onchain_daily")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, tags=RANGE, raise_on_error=True)
        assert result.success
        events = result.get_asset_materialization_events()
        tvl = [event for event in events if event.asset_key.to_user_string() == "silver/tvl"]
        assert {event.partition for event in tvl} == {f"2024-12-{day:02d}" for day in range(1, 15)}
        panel = next(event for event in events if event.asset_key.to_user_string() == "gold/daily_panel")
        metadata = panel.materialization.metadata
        assert metadata["dagster/row_count"].value == 14
        assert metadata["bytes"].value > 1000
        assert "aave_v3_sandbox" in metadata["sample"].value
        assert "total_tvl_usd" in metadata["trend"].value
        checks = result.get_asset_check_evaluations()
        assert len({(check.asset_key, check.check_name) for check in checks}) >= 15
        broken = {check.check_name: check.severity for check in checks if not check.passed}
        # What is true of the sandbox: two snapshots long before midnight, and a token that lost its price for a day.
        assert broken == dict.fromkeys(("snapshot_near_end", "unpriced_share"), dg.AssetCheckSeverity.WARN)
    file = pl.read_parquet(sandbox / "gold/daily_panel.parquet")
    assert file.height == 14
    assert file.filter(pl.col("status") == "missing_price").height > 0


def test_a_vendor_run_loads_metrics_and_says_what_is_incomplete(sandbox: Path) -> None:
    job = definitions().get_repository_def().get_job("defillama_backfill")
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
        assert result.success
        events = {one.asset_key.to_user_string(): one for one in result.get_asset_materialization_events()}
        event = events["bronze/defillama/stablecoin_supply"]
        assert event.materialization.metadata["answered"].value == 732
        assert event.materialization.metadata["complete"].value is False  # the sandbox knows two of the coins
        assert "failed" in event.materialization.metadata["outcome"].value


def test_a_broken_contract_is_a_failed_check(sandbox: Path) -> None:
    app = App(load_settings())
    with app.warehouse() as warehouse:
        (table,) = (one for one in WAREHOUSE_TABLES if one.name == "metrics")
        warehouse.setup(WAREHOUSE_TABLES)
        row = {"pulled_at": None, "source": "test", "asset": "a", "metric_name": "M", "value": float("inf")}
        frame = pl.DataFrame([row], schema=table.polars_schema()).with_columns(
            pulled_at=pl.datetime(2024, 1, 1, time_unit="us")
        )
        warehouse.load(table, frame, "nothing")
    app.close()
    repository = definitions().get_repository_def()
    name = next(
        job.name
        for job in repository.get_all_jobs()
        if job.name.startswith("defillama_") and "backfill" not in job.name
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = repository.get_job(name).execute_in_process(instance=instance)
    found = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert not found["finite"].passed
    assert found["finite"].metadata["rows"].value == 1
    assert found["not_null"].passed


def test_another_environment_has_its_own_names(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOLAKE_ENVIRONMENT", "staging")
    _, parents = _found(sandbox)
    assert {key.split("/")[0] for key in parents} == {"staging"}
    settings = load_settings()
    assert settings.data == sandbox / "staging"
    assert settings.db_schema == "staging_cryptolake"


class _Found:
    """A vendor nobody has heard of, as it would be found in `sources/`."""

    name = "newvendor"
    datasets = (
        Dataset("prices", "metrics", "prices", "whole_history", "hour", 20),
        Dataset("secret", "metrics", "more prices", "whole_history", "day", 95, needs="NEWVENDOR_KEY"),
    )

    def keys(self, dataset: str) -> list[str]:
        return ["a", "b"]


def test_a_source_that_is_added_appears_by_itself(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRYPTOLAKE_SOURCES")
    known = App.vendors
    monkeypatch.setattr(
        App, "vendors", lambda self, provenance=None: {**known(self, provenance), "newvendor": _Found()}
    )
    repository, parents = _found(sandbox)
    assert {"bronze/newvendor/prices", "bronze/newvendor/secret"} <= parents["silver/metrics"]
    crons = {schedule.job_name: schedule.cron_schedule for schedule in repository.schedule_defs}
    assert crons["newvendor_hourly"] == "20 * * * *"
    assert "newvendor_daily" not in crons, "what waits for a key is not scheduled"
    app = App(load_settings())
    jobs, waiting = work.jobs(app)
    app.close()
    assert "newvendor_hourly" in {job.name for job in jobs}
    assert any("NEWVENDOR_KEY" in line for line in waiting)
