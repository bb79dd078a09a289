"""Bad debt from answers to table: asked days have figures, others say that nobody asked, whatever way they are read."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
import polars as pl
import pytest
from benchmarks.synthetic_lake import World, _answer, _drive, _raw, fill, market, partitions, source

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Period
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.net.abi import address_word
from cryptolake.net.logs import Log, log_to_json
from cryptolake.net.multicall import transcript_to_json
from cryptolake.registry.markets import Csu
from cryptolake.silver import bad_debt, bad_debt_daily, liquidations, prices, quotes, refined, tvl
from cryptolake.sources.onchain import aave_v3
from cryptolake.sources.onchain.events import to_settle
from cryptolake.state.ledger import Ledger
from cryptolake.work.panel import expected_rows, panel_now
from cryptolake.work.refine import refine, reprice

FIRST = date(2024, 1, 29)
OLD, LOSS, QUIET, COVER = (FIRST + timedelta(days=number) for number in range(4))
LAST = COVER
USER, PAYER = "0x" + "77" * 20, "0x" + "88" * 20


def _log(csu: Csu, day: date, index: int, topics: Sequence[str], *words: int) -> Log:
    block = 10_000_000 + int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()) // 12
    data = b"".join(word.to_bytes(32, "big") for word in words)
    return Log(csu.entry["pool"], tuple(topics), data, block, "0x" + "bb" * 32, f"0x{day:%Y%m%d}{index:056d}", index)


def _indexed(address: str) -> str:
    return "0x" + address_word(address).hex()


def _answer_of(world: World, csu: Csu, day: date, logs: Sequence[Log], topics: frozenset[str]) -> tuple[Entry, object]:
    """An answer of a day's liquidations whose question named these topics."""
    events = to_settle(aave_v3.liquidations(csu, logs), aave_v3.bad_debt(csu, logs))
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())
    context = _drive(aave_v3.settle(csu, events), lambda call: _answer(world, csu, day, call)) if events else []
    payload: dict[str, object] = {
        "csu": csu.name,
        "filters": {csu.entry["pool"]: sorted(topics)},
        "logs": [log_to_json(log) for log in logs],
        "timestamps": {str(log.block): noon for log in logs},
        "context": transcript_to_json(context),
    }
    raw = _raw(csu, "liquidations", Period.of_day(day), payload)
    told = len(aave_v3.liquidations(csu, logs))
    entry = Entry(
        raw.partition, "done" if told else "empty", raw.fetched_at, rows=told, digest=raw.digest, block=raw.block
    )
    return entry, raw


ASKED = frozenset({aave_v3.LIQUIDATION_CALL, *aave_v3.BAD_DEBT})


@pytest.fixture
def lake(tmp_path: Path) -> tuple[Path, World]:
    """Four days of one market: answers of an earlier release, a deficit in two tokens, a quiet day, a deficit made good."""
    world = World([market("one", "ethereum")], assets=3)
    root = tmp_path / "lake"
    ledger = fill(root, world, FIRST, LAST, quiet_events=0)
    (csu,) = world.csus
    first, second, _ = world.listed(csu)
    seized = _log(
        csu, LOSS, 5, (aave_v3.LIQUIDATION_CALL, *map(_indexed, (second, first, USER))), 50, 60, int(PAYER, 16), 0
    )
    days: Mapping[date, Sequence[Log]] = {
        LOSS: [
            _log(csu, LOSS, 3, (aave_v3.DEFICIT_CREATED, _indexed(USER), _indexed(first)), 7_000_000),
            _log(csu, LOSS, 4, (aave_v3.DEFICIT_CREATED, _indexed(USER), _indexed(second)), 2**200),
            seized,
        ],
        QUIET: [],
        COVER: [_log(csu, COVER, 1, (aave_v3.DEFICIT_COVERED, _indexed(first)), int(PAYER, 16), 3_000_000)],
    }
    for day, logs in days.items():
        entry, raw = _answer_of(world, csu, day, logs, ASKED)
        Bronze(root).land(raw)  # type: ignore[arg-type]
        ledger.append_many([entry])
    ledger.close()
    return root, world


def made(root: Path, world: World, to: Path, **how: bool) -> Tables:
    ledger, tables = Ledger(root / "ledger.sqlite"), Tables(to)
    every = partitions(world, FIRST, LAST)
    refine(source(world), every, bronze=Bronze(root), tables=tables, states=ledger.states(), **how)
    ledger.close()
    return tables


def daily(root: Path, world: World, tables: Tables) -> pl.DataFrame:
    ledger = Ledger(root / "ledger.sqlite")
    csus = {csu.name: csu for csu in world.csus}
    now = panel_now(tables=tables, bronze=Bronze(root), states=ledger.states(), csus=csus, left_out=())
    ledger.close()
    frame = bad_debt_daily.build(
        tables.read(bad_debt.TABLE), tables.read(refined.TABLE), expected_rows(now.evidence, csus)
    )
    bad_debt_daily.TABLE.require(frame)
    return frame


def test_zero_is_said_only_of_days_that_were_asked(lake: tuple[Path, World], tmp_path: Path) -> None:
    root, world = lake
    tables = made(root, world, tmp_path / "t", fresh=True)
    rows = tables.read(bad_debt.TABLE)
    first, second, _ = world.listed(world.csus[0])
    assert rows.select("date", "kind", "asset", "amount_raw", "borrower").rows() == [
        (LOSS, "created", first, "7000000", "0x" + "77" * 20),
        (LOSS, "created", second, str(2**200), "0x" + "77" * 20),
        (COVER, "covered", first, "3000000", None),
    ]
    assert rows["price"].null_count() == 0
    assert rows["amount_usd"].to_list() == pytest.approx((rows["amount"] * rows["price"]).to_list())
    assert tables.read(liquidations.TABLE).select("date", "log_index").rows() == [(LOSS, 5)]
    frame = daily(root, world, tables)
    assert frame.select("date", "status", "reason", "events").rows() == [
        (OLD, "not_asked", "not_asked", None),
        (LOSS, "ok", None, 2),
        (QUIET, "ok", None, 0),
        (COVER, "ok", None, 1),
    ]
    assert frame.select("created_usd", "covered_usd", "written_off_usd").row(0) == (None, None, None)
    assert frame.select("created_usd", "covered_usd", "written_off_usd").row(2) == (0.0, 0.0, 0.0)
    assert frame["created_usd"][1] == pytest.approx(rows["amount_usd"][:2].sum())
    assert frame["covered_usd"][3] == pytest.approx(rows["amount_usd"][2])


def test_twins_and_any_order_of_days_give_what_the_answers_give(lake: tuple[Path, World], tmp_path: Path) -> None:
    root, world = lake
    wanted = made(root, world, tmp_path / "answers", fresh=True, reparse=True)
    twins = made(root, world, tmp_path / "twins", fresh=True)
    every = partitions(world, FIRST, LAST)
    dice = random.Random(3)
    dice.shuffle(every)
    step, ledger = Tables(tmp_path / "step"), Ledger(root / "ledger.sqlite")
    for one in every:
        refine(source(world), [one], bronze=Bronze(root), tables=step, states=ledger.states())
    ledger.close()
    for table in (bad_debt.TABLE, refined.TABLE, prices.TABLE):
        assert wanted.read(table).equals(twins.read(table)), table.name
        assert wanted.read(table).equals(step.read(table)), table.name


def test_rows_that_are_gone_or_changed_are_no_zero(lake: tuple[Path, World], tmp_path: Path) -> None:
    root, world = lake
    tables = made(root, world, tmp_path / "t", fresh=True)
    rows = tables.read(bad_debt.TABLE)
    tables.write(bad_debt.TABLE, rows.filter(pl.col("date") != LOSS))
    frame = daily(root, world, tables)
    assert frame.filter(pl.col("date") == LOSS).select("status", "reason", "created_usd").row(0) == (
        "pending", "silver_differs", None,
    )  # fmt: skip
    assert frame.filter(pl.col("date") == COVER)["status"].to_list() == ["ok"]
    tables.write(bad_debt.TABLE, rows.with_columns(pl.lit("1").alias("amount_raw")))
    assert daily(root, world, tables)["status"].to_list() == ["not_asked", "pending", "ok", "pending"]


def test_a_lake_of_an_earlier_release_says_that_it_was_not_read(lake: tuple[Path, World], tmp_path: Path) -> None:
    root, world = lake
    tables = made(root, world, tmp_path / "t", fresh=True)
    recorded = tables.read(refined.TABLE)
    tables.write(refined.TABLE, recorded.filter(pl.col("dataset") != "bad_debt"))
    tables.write(bad_debt.TABLE, bad_debt.TABLE.empty())
    frame = daily(root, world, tables)
    assert frame["status"].unique().to_list() == ["not_asked"]
    assert frame["reason"].unique().to_list() == ["not_read"]
    assert frame["events"].null_count() == frame.height


def test_valuing_anew_reaches_bad_debt_and_an_event_without_a_price_has_no_sum(
    lake: tuple[Path, World], tmp_path: Path
) -> None:
    root, world = lake
    tables = made(root, world, tmp_path / "t", fresh=True)
    before = tables.read(bad_debt.TABLE)
    held = tables.read(tvl.TABLE).filter(pl.col("own_price").is_not_null())
    made_up = {"source": "file", "quoted_by": "mine.csv", "quote": "usd"}
    said = held.select(
        *("date", "chain", "asset", pl.col("block_time").alias("observed_at")),
        (pl.col("own_price") * 3).alias("quote_price"),
        *(pl.lit(what).alias(name) for name, what in made_up.items()),
    )
    rest = [pl.lit(None, dtype).alias(name) for name, dtype in quotes.TABLE.polars_schema().items() if name not in said]
    said = (
        said.with_columns(rest)
        .with_columns(pl.lit(0.0).alias("age_s"), pl.lit(1.0).alias("weight"))
        .select(quotes.TABLE.columns)
    )
    reprice(tables=tables, quotes=said.unique(["date", "chain", "asset"]), pricing=prices.Pricing(ladder=("file",)))
    after = tables.read(bad_debt.TABLE)
    assert after["amount_usd"].to_list() == pytest.approx((before["amount_usd"] * 3).to_list())
    assert daily(root, world, tables)["status"].to_list() == ["not_asked", "ok", "ok", "ok"]
    dear = world.listed(world.csus[0])[1]
    unpriced = bad_debt.conform(
        pl.DataFrame(
            [{**dict.fromkeys(bad_debt.ANSWER), "csu": "one", "date": LOSS, "chain": "ethereum", "kind": "created",
              "block": 1, "block_hash": "0xb", "timestamp": 1, "tx": "0x1", "log_index": 1, "asset": dear,
              "symbol": "X", "decimals": 0, "amount_raw": "5"}],
            schema=bad_debt.ANSWER,
        )
    )  # fmt: skip
    recorded = pl.concat(
        [
            refined.contents("bad_debt", unpriced).with_columns(dataset=pl.lit("bad_debt")),
            refined.contents("liquidations", liquidations.TABLE.empty()).with_columns(dataset=pl.lit("x")),
        ]
    ).with_columns(answers=pl.lit("a"), answer_rows=pl.lit(1, pl.Int64), reason=pl.lit(None, pl.String))
    recorded = pl.concat([recorded, recorded.with_columns(dataset=pl.lit("liquidations"))]).select(
        refined.TABLE.columns
    )
    expected = pl.DataFrame(
        {"csu": ["one"], "date": [LOSS], "chain": ["ethereum"], "liq_state": ["done"], "liq_reason": [None]},
        schema_overrides={"liq_reason": pl.String},
    )
    frame = bad_debt_daily.build(unpriced, recorded, expected)
    assert frame.select("status", "created_usd", "covered_usd", "events").row(0) == ("missing_price", None, 0.0, 1)


def test_a_day_of_hours_is_known_only_when_every_hour_was_asked() -> None:
    hour = {**dict.fromkeys(bad_debt.ANSWER), "csu": "one", "date": LOSS, "chain": "ethereum"}
    event = {
        **hour, "kind": "created", "block": 1, "block_hash": "0xb", "timestamp": 1, "tx": "0x1", "log_index": 1,
        "asset": "0xa", "symbol": "A", "decimals": 0, "amount_raw": "5",
    }  # fmt: skip
    answers = pl.DataFrame([event, {**hour, "kind": bad_debt.NOT_ASKED}], schema=bad_debt.ANSWER)
    assert bad_debt.not_asked(answers) == {("one", LOSS)}
    assert bad_debt.conform(answers).is_empty()
    assert bad_debt.conform(answers.head(1)).height == 1


def test_the_answers_say_what_was_asked(lake: tuple[Path, World]) -> None:
    """By the filters in the answer: without one of the events, or without filters, nothing is known."""
    _, world = lake
    (csu,) = world.csus
    onchain = source(world)
    for topics, rows in (
        (ASKED, []),
        (ASKED - {aave_v3.DEFICIT_COVERED}, ["not_asked"]),
        (frozenset({aave_v3.LIQUIDATION_CALL}), ["not_asked"]),
    ):
        _, raw = _answer_of(world, csu, QUIET, [], topics)
        assert [row["kind"] for row in onchain.bad_debt(raw)] == rows  # type: ignore[arg-type]
    _, raw = _answer_of(world, csu, QUIET, [], ASKED)
    document = orjson.loads(raw.payload)  # type: ignore[attr-defined]
    del document["filters"]
    bare = _raw(csu, "liquidations", Period.of_day(QUIET), document)
    assert [row["kind"] for row in onchain.bad_debt(bare)] == ["not_asked"]
