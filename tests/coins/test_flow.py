"""The river over a real HTTP vendor and a real PostgreSQL: loaded, replayed, pruned, checked; readers see whole runs only."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.coins.vendor import ASKED_AT, Vendor, coin, coins_of

from cryptolake.catalogue import contracts
from cryptolake.contracts.partition import Partition
from cryptolake.errors import BadInput, Stop
from cryptolake.publish.stores import Stores
from cryptolake.publish.warehouse import Loaded, Warehouse
from cryptolake.sources.coingecko import CoinGecko
from cryptolake.work import coin_runs
from cryptolake.work import coins as flow
from cryptolake.work.coins import HISTORY, STAGING, CoinsLoaded

STAGED = f"SELECT * FROM {STAGING.name} ORDER BY id"


def refresh(source: CoinGecko, stores: Stores, minutes: int = 0, **options: object) -> CoinsLoaded:
    at = ASKED_AT + timedelta(minutes=minutes)
    source._asked_at = lambda: at
    return flow.refresh(source, stores, now=lambda: at, **options)  # type: ignore[arg-type]


def test_a_refresh_fills_every_table(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse, tmp_path: Path
) -> None:
    vendor.coins = coins_of(620)
    loaded = refresh(source, stores, top=600)
    assert loaded.staging == Loaded(600, 0, 0)
    assert loaded.marts == {"crypto_analytics_mart": 50, "market_segment_analysis": 3, "crypto_market_summary": 1}
    assert not loaded.failed
    assert [path for path, *_ in vendor.asked].count("/coins/markets") == 4  # the page after a short one
    folder = tmp_path / "bronze" / "coingecko" / "coins_markets" / "2026-11-21"
    assert {path.name for path in folder.iterdir()} == {"top600-072337Z.raw.json.gz", "top600-072337Z.parquet"}
    summary = warehouse.query("SELECT * FROM crypto_market_summary").row(0, named=True)
    assert summary["total_cryptocurrencies"] == 600
    assert summary["gainers"] + summary["losers"] + summary["unchanged"] + summary["change_unknown"] == 600
    assert summary["global_market_cap"] == 2.5e12
    pulled = warehouse.query("SELECT status, records_count FROM pulls ORDER BY pull_id DESC LIMIT 1").rows()
    assert pulled == [("success", 620)]


@pytest.mark.parametrize("mode", ["incremental", "full"])
def test_full_and_incremental_give_the_same_table(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse, mode: flow.Mode
) -> None:
    vendor.coins = coins_of(120)
    refresh(source, stores, top=100, mode="full")
    vendor.coins = [coin(rank, current_price=rank * 1.5) for rank in range(21, 121)]  # twenty leave, twenty come
    second = refresh(source, stores, 60, top=100, mode=mode)
    found = warehouse.query(STAGED)
    flow.load_run(source, second.run, stores, mode="full", replay=True)
    assert found.equals(warehouse.query(STAGED))
    if mode == "incremental":
        assert second.staging == Loaded(inserted=20, updated=80, unchanged=0, deleted=20)
    again = flow.load_run(source, second.run, stores, mode="incremental", replay=True)
    assert again.staging == Loaded(0, 0, 100, 0)
    assert again.history == Loaded(0, 0, 100)


def test_the_types_hold_the_recorded_extremes(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse
) -> None:
    vendor.coins = coins_of(50)
    refresh(source, stores, top=50)
    sql = (
        f"SELECT (SELECT atl_change_percentage::text FROM {STAGING.name} WHERE id = 'coin-3'), "
        f"(SELECT current_price::text FROM {STAGING.name} WHERE id = 'coin-4')"
    )
    large, small = warehouse.query(sql).row(0)
    assert (large, small) == ("15770767167073295000000000000000000000", "0.000000001206")
    types = warehouse.query(
        f"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{STAGING.name}'"
    )
    kinds = dict(types.rows())
    assert kinds["current_price"] == "numeric"
    assert kinds["last_updated"] == kinds["processed_at"] == "timestamp with time zone"
    assert (kinds["record_hash"], kinds["market_cap_rank"]) == ("bigint", "integer")


def test_the_documented_keys_and_indexes_are_real(stores: Stores, warehouse: Warehouse) -> None:
    warehouse.setup(contracts())
    indexes = set(warehouse.query("SELECT indexname FROM pg_indexes")["indexname"])
    assert indexes >= {
        "idx_market_cap_rank",
        "idx_market_cap_category",
        "idx_processed_at",
        "idx_mart_rank",
        "idx_mart_price_trend",
        "idx_mart_liquidity",
        "idx_mart_dominance",
        "idx_segment_sentiment",
    }
    keys = warehouse.query(
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p'"
    )
    assert dict(keys.rows()).items() >= {
        (STAGING.name, "PRIMARY KEY (id)"),
        ("crypto_analytics_mart", "PRIMARY KEY (id)"),
        ("market_segment_analysis", "PRIMARY KEY (segment)"),
    }
    for wrong in ("market_cap_rank = 0", "market_cap_category = 'huge'"):
        column = wrong.split()[0]
        with pytest.raises(Exception, match=f"{STAGING.name}_{column}_check"):
            warehouse._connection.execute(
                f"INSERT INTO {STAGING.name} (id, symbol, name, market_cap_category, processed_at, record_hash) "
                f"VALUES ('x', 'X', 'x', 'unranked', now(), 1); UPDATE {STAGING.name} SET {wrong}"
            )


def test_a_table_another_program_made_is_refused(stores: Stores, warehouse: Warehouse) -> None:
    warehouse._connection.execute(f"DROP TABLE {STAGING.name}")
    warehouse._connection.execute(f"CREATE TABLE {STAGING.name} (id text, current_price double precision)")
    with pytest.raises(Stop, match="rename or drop"):
        warehouse.setup(contracts())


def test_readers_see_one_whole_run_in_all_tables_while_it_is_rebuilt(
    source: CoinGecko, vendor: Vendor, stores: Stores, pg_data: Path
) -> None:
    vendor.coins = coins_of(200)
    runs = [refresh(source, stores, minutes, top=200).run for minutes in (0, 1)]
    stopping, seen = threading.Event(), []
    sql = (
        "SELECT (SELECT count(*) FROM crypto_analytics_mart), (SELECT count(*) FROM market_segment_analysis), "
        "(SELECT min(processed_at) FROM staging_crypto_market), (SELECT max(processed_at) FROM crypto_analytics_mart), "
        "(SELECT processed_at FROM crypto_market_summary)"
    )

    def read() -> None:
        with Warehouse.open(pg_data, None) as reader:
            while not stopping.is_set():
                seen.append(reader.query(sql).row(0))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for number in range(10):
            flow.load_run(source, runs[number % 2], stores, replay=True, mode="full" if number % 3 else "incremental")
    finally:
        stopping.set()
        thread.join()
    assert {row[:2] for row in seen} == {(50, 3)}
    assert all(len(set(row[2:])) == 1 for row in seen)
    assert len({row[2] for row in seen}) == 2, "both runs were seen"


def test_two_loaders_at_once_end_with_one_whole_run(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse, pg_data: Path
) -> None:
    vendor.coins = coins_of(100)
    runs = [refresh(source, stores, minutes, top=100).run for minutes in (0, 1)]
    failures: list[Exception] = []

    def load(number: int) -> None:
        try:
            with Warehouse.open(pg_data, None) as own:
                rooms = replace(stores, warehouse=lambda: nullcontext(own))
                for _ in range(4):
                    flow.load_run(source, runs[number], rooms, replay=True, mode=("full", "incremental")[number])
        except Exception as error:  # noqa: BLE001  # any failure at all is the finding
            failures.append(error)

    threads = [threading.Thread(target=load, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    instants = warehouse.query(f"SELECT DISTINCT processed_at FROM {STAGING.name}").rows()
    assert len(instants) == 1


def test_an_older_run_does_not_overwrite_a_newer_one_unless_replayed(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse
) -> None:
    vendor.coins = coins_of(60)
    first, second = (refresh(source, stores, minutes, top=60).run for minutes in (0, 5))
    late = flow.load_run(source, first, stores)
    assert late.staging is None
    assert late.marts == {}
    newest = f"SELECT DISTINCT processed_at FROM {STAGING.name}"
    assert warehouse.query(newest).rows() == [(coin_runs.instant_of(second),)]
    flow.load_run(source, first, stores, replay=True)
    assert warehouse.query(newest).rows() == [(coin_runs.instant_of(first),)]


def test_replaying_everything_rebuilds_a_lost_database(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse
) -> None:
    for minutes in (0, 60, 120):
        vendor.coins = [coin(rank, current_price=minutes + rank) for rank in range(1, 41)]
        refresh(source, stores, minutes, top=40)
    tables = (STAGING.name, HISTORY.name, "crypto_analytics_mart", "crypto_market_global", "crypto_market_summary")
    before = {name: warehouse.query(f"SELECT * FROM {name} ORDER BY 1, 2") for name in tables}
    assert before[HISTORY.name].height == 120
    for table in contracts():
        warehouse._connection.execute(f"DROP TABLE IF EXISTS {table.name} CASCADE")
    warehouse.setup(contracts())  # as every command does first
    vendor.asked.clear()
    assert len(flow.replay_all(source, stores).loaded) == 3
    assert vendor.asked == [], "a replay asks nobody"
    for name in tables:
        assert warehouse.query(f"SELECT * FROM {name} ORDER BY 1, 2").equals(before[name]), name


def test_a_run_that_lost_pages_is_kept_but_not_loaded(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse
) -> None:
    vendor.coins = coins_of(100)
    refresh(source, stores, top=100)
    vendor.coins = coins_of(80)
    with pytest.raises(Stop, match=r"row_count_drift.*80 coins after 100.*nothing was loaded.*--despite-drift"):
        refresh(source, stores, 60, top=100)
    assert warehouse.query(f"SELECT count(*) FROM {STAGING.name}").rows() == [(100,)]
    failed = warehouse.query("SELECT check_name FROM market_checks WHERE NOT passed AND severity = 'block'")
    assert failed.rows() == [("row_count_drift",)]
    blocking = warehouse.query("SELECT severity, broken_rows FROM quality_results WHERE NOT passed AND blocks")
    assert blocking.rows() == [("error", 20)]
    kept = coin_runs.find_run(stores.runs, "latest")
    flow.load_run(source, kept, stores, despite_drift=True)
    assert warehouse.query(f"SELECT count(*) FROM {STAGING.name}").rows() == [(80,)]


def test_a_shallower_run_is_not_compared_with_a_deeper_one(source: CoinGecko, vendor: Vendor, stores: Stores) -> None:
    vendor.coins = coins_of(300)
    refresh(source, stores, top=300)
    assert refresh(source, stores, 1, top=50).coins == 50


def test_without_totals_the_global_share_is_unknown_and_said(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse
) -> None:
    vendor.coins = coins_of(50)
    vendor.before = lambda path, _query: vendor.replies.append((404, {}, b"{}")) if path == "/global" else None
    loaded = refresh(source, stores, top=50)
    assert [one.check for one in loaded.results if not one.passed] == ["whole_market"]
    shares = warehouse.query(
        f"SELECT sum(market_dominance_pct), count(market_dominance_global_pct) FROM {STAGING.name}"
    )
    assert shares.row(0) == (pytest.approx(100), 0)


def test_history_lands_in_month_partitions_opened_ahead(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse
) -> None:
    vendor.coins = coins_of(50)
    refresh(source, stores, top=50)
    refresh(source, stores, -60 * 24 * 90, top=50)
    stray, months = warehouse.month_state(HISTORY)
    assert stray == 0
    assert {date(2026, 8, 1), date(2026, 11, 1), date(2026, 12, 1), date(2027, 2, 1)} <= set(months)
    sql = f"SELECT tableoid::regclass::text, count(*) FROM {HISTORY.name} GROUP BY 1 ORDER BY 1"
    assert warehouse.query(sql).rows() == [(f"{HISTORY.name}_2026_08", 50), (f"{HISTORY.name}_2026_11", 50)]


def test_rows_in_the_default_partition_are_seen_and_moved(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse
) -> None:
    vendor.coins = coins_of(50)
    refresh(source, stores, top=50)
    warehouse._connection.execute(
        f"INSERT INTO {HISTORY.name} (id, processed_at, symbol, record_hash) VALUES ('x', '2019-02-28 23:59:59+00', 'X', 1)"
    )
    found = {one.check: one for one in flow.check_now(stores, ASKED_AT)}
    assert not found["history_default_partition"].passed
    warehouse.setup(contracts())
    assert warehouse.month_state(HISTORY)[0] == 0
    assert warehouse.query(f"SELECT id FROM {HISTORY.name}_2019_02").rows() == [("x",)]


@pytest.mark.parametrize(
    ("age", "passes"), [(timedelta(0), True), (timedelta(minutes=59), True), (timedelta(minutes=61), False)]
)
def test_the_tables_at_rest_are_checked_against_the_clock(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse, age: timedelta, passes: bool
) -> None:
    vendor.coins = [coin(rank, last_updated=ASKED_AT.isoformat()) for rank in range(1, 51)]
    refresh(source, stores, top=50)
    found = {one.check: one.passed for one in flow.check_now(stores, ASKED_AT + age)}
    assert found["freshness"] is passes
    assert found["contract"]
    kept = "SELECT check_name, passed FROM quality_results WHERE about = 'coins' AND run = 'now' AND run_at = %s"
    assert dict(warehouse.query(kept, (ASKED_AT + age,)).iter_rows()) == found


def test_checks_of_an_empty_table_fail_and_do_not_crash(stores: Stores) -> None:
    found = {one.check: one.passed for one in flow.check_now(stores, ASKED_AT)}
    assert not found["row_count"]
    assert not found["freshness"]


def pruning(stores: Stores, keep: int, *, dry: bool) -> coin_runs.Pruning:
    with stores.warehouse() as warehouse:
        held = flow.held(warehouse)
    return coin_runs.prune(
        stores,
        flow.lake_tables(),
        keep_days=keep,
        today=ASKED_AT.date(),
        held=held,
        dry_run=dry,
    )


def test_pruning_spares_a_run_that_the_history_does_not_hold(source: CoinGecko, vendor: Vendor, stores: Stores) -> None:
    vendor.coins = coins_of(30)
    first = refresh(source, stores, -60 * 24 * 101, top=30).run
    vendor.coins = coins_of(5)
    with pytest.raises(flow.KeptOut):
        refresh(source, stores, -60 * 24 * 100, top=30)
    vendor.coins = coins_of(30)
    last = refresh(source, stores, top=30).run
    kept_out = coin_runs.kept_runs(stores.runs)[1]
    done = pruning(stores, 90, dry=False)
    assert [one.run for one in done.found] == [first]
    assert done.kept == [kept_out]
    assert coin_runs.kept_runs(stores.runs) == [kept_out, last]
    flow.load_run(source, kept_out, stores, despite_drift=True, replay=True)
    assert [one.run for one in pruning(stores, 90, dry=False).found] == [kept_out]


def test_pruning_spares_the_young_the_newest_and_a_dry_run(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse, tmp_path: Path
) -> None:
    vendor.coins = coins_of(30)
    days = (100, 91, 90, 89)
    runs = [refresh(source, stores, -60 * 24 * day, top=30).run for day in days]

    def prune(keep: int, dry: bool) -> list[coin_runs.Pruned]:
        return pruning(stores, keep, dry=dry).found

    planned = prune(90, True)
    assert [one.run for one in planned] == runs[:2]
    assert all(one.bytes > 1000 for one in planned)
    assert coin_runs.kept_runs(stores.runs) == runs
    assert prune(90, False) == planned
    assert coin_runs.kept_runs(stores.runs) == runs[2:]
    assert prune(90, False) == []
    assert not (tmp_path / "bronze" / "coingecko" / "coins_markets" / "2026-08-13").exists()
    entry = stores.ledger.state(runs[0])
    assert entry is not None
    assert (entry.state, entry.reason) == ("gone", "pruned")
    prune(1, False)
    assert coin_runs.kept_runs(stores.runs) == runs[-1:], "the newest run always stays"
    with pytest.raises(BadInput, match="names 0 kept runs"):
        coin_runs.find_run(stores.runs, str(runs[0]))
    counted = warehouse.query(f"SELECT count(DISTINCT processed_at) FROM {HISTORY.name}").row(0)
    assert counted == (4,), "history stays in PostgreSQL"


def test_an_unanswered_run_stops_with_the_vendors_reason_and_is_logged(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse
) -> None:
    vendor.before = lambda _path, _query: vendor.replies.append((401, {}, b'{"status":{"error_code":10002}}'))
    with pytest.raises(Stop, match="COINGECKO_DEMO_API_KEY"):
        refresh(source, stores)
    sql = "SELECT status, records_count, error LIKE '%10002%' FROM pulls ORDER BY pull_id DESC LIMIT 1"
    assert warehouse.query(sql).rows() == [("error", 0, True)]
    assert coin_runs.kept_runs(stores.runs) == []


def test_run_names_and_instants_are_one_to_one() -> None:
    at = datetime(2026, 2, 3, 4, 5, 6, tzinfo=ASKED_AT.tzinfo)
    run = coin_runs.run_of(250, at)
    assert str(run) == "coins_markets/top250-040506Z/2026-02-03"
    assert coin_runs.instant_of(run) == at
    assert str(coin_runs.totals_of(run)) == "market_global/all-040506Z/2026-02-03"
    with pytest.raises(BadInput):
        coin_runs.instant_of(Partition("coins_markets", "top250", run.period))


def test_the_parquet_twin_holds_the_vendors_rows(source: CoinGecko, vendor: Vendor, stores: Stores) -> None:
    vendor.coins = coins_of(40)
    run = refresh(source, stores, top=40).run
    twin = pl.read_parquet(stores.runs.typed(run, "coingecko"))
    assert twin["id"].to_list() == [one["id"] for one in vendor.coins]
    assert twin["current_price"].to_list() == [one["current_price"] for one in vendor.coins]
    assert twin.schema["last_updated"] == pl.Datetime("us", "UTC")


def test_rebuilding_leaves_out_what_checks_kept_out_and_what_is_damaged(
    source: CoinGecko, vendor: Vendor, stores: Stores, warehouse: Warehouse
) -> None:
    kept = []
    for minutes, count in ((0, 100), (60, 50), (120, 50), (180, 100)):
        vendor.coins = coins_of(count)
        if count == 50:  # the second short run is measured against the last good one, not against the first short one
            with pytest.raises(flow.KeptOut, match="50 coins after 100"):
                refresh(source, stores, minutes, top=100)
        else:
            kept.append(refresh(source, stores, minutes, top=100).run)
    everything = coin_runs.kept_runs(stores.runs)
    stores.bronze.raw_path(everything[1], "coingecko").write_bytes(b"damaged")
    for table in contracts():
        warehouse._connection.execute(f"DROP TABLE IF EXISTS {table.name} CASCADE")
    warehouse.setup(contracts())
    done = flow.replay_all(source, stores)
    assert list(done.unreadable) == [everything[1]]
    assert list(done.kept_out) == [everything[2]]
    assert [one.run for one in done.loaded] == kept
    assert warehouse.query(f"SELECT DISTINCT processed_at FROM {STAGING.name}").rows() == [
        (coin_runs.instant_of(kept[-1]),)
    ]


def test_old_versions_in_the_lake_are_taken_away_and_the_table_stays(
    source: CoinGecko, vendor: Vendor, stores: Stores
) -> None:
    for minutes in range(3):
        vendor.coins = coins_of(60)
        refresh(source, stores, minutes, top=60)
    before = stores.tables.read(STAGING)
    planned = stores.tables.expire(STAGING, keep_days=0, dry_run=True)
    assert planned > 0
    assert stores.tables.expire(STAGING, keep_days=1, dry_run=True) == 0
    assert stores.tables.expire(STAGING, keep_days=0, dry_run=False) == planned
    assert stores.tables.expire(STAGING, keep_days=0, dry_run=True) == 0
    assert stores.tables.read(STAGING).equals(before)
    assert before.height == 60
