"""No number without the answers it claims: whatever is lost, killed or interleaved, and the remedy restores the panel."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import polars as pl
import pytest
from benchmarks import synthetic_lake
from benchmarks.synthetic_lake import World, fill, market, partitions, source
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples
from tests.stores import stores_of

from cryptolake.app import App
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition, hours
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Row, Source
from cryptolake.contracts.table import Table
from cryptolake.errors import Skip
from cryptolake.flow.reading import interpret
from cryptolake.gold.daily_panel import TABLE as PANEL
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.registry.markets import Csu
from cryptolake.settings import Settings
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.silver.prices import Pricing
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.silver.refined import TABLE as REFINED
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.state.ledger import Ledger
from cryptolake.work import lending
from cryptolake.work import prices as river
from cryptolake.work.evidence import lines
from cryptolake.work.market_days import MarketDays
from cryptolake.work.panel import panel_now
from cryptolake.work.price_sources import pricing
from cryptolake.work.refine import refine, reprice
from cryptolake.work.repair import repair

FIRST = date(2024, 1, 30)
DAYS = [FIRST + timedelta(days=number) for number in range(3)]  # over the end of a month
NUMBERS = ("ok", "missing_price", "suspect")
FIGURES = {
    "status": ("total_tvl_usd", "total_supplied_usd", "total_borrowed_usd", "num_assets", "block"),
    "liquidations_status": ("liquidations_usd", "liquidation_count", "collateral_seized_usd"),
}


class Steady(World):
    """A world whose prices are the same whatever its amounts are, so that one market's answer does not move another's."""

    def price(self, chain: str, asset: str, day: date) -> int:
        return World(self.csus, self.assets).price(chain, asset, day)


MARKETS = [market("one", "ethereum"), market("two", "ethereum")]
EVERY = partitions(Steady(MARKETS), DAYS[0], DAYS[-1])


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Partition, Raw]]:
    """What the chain says to every question, at two times: the second time other amounts, and one event more."""
    found = []
    for seed, events in ((7, 3), (8, 4)):
        root = tmp_path_factory.mktemp("said")
        fill(root, Steady(MARKETS, assets=2, seed=seed), DAYS[0], DAYS[-1], quiet_events=events).close()
        found.append({one: raw for one in EVERY if (raw := Bronze(root).read(one, "onchain")) is not None})
    return found


class Reader:
    """The real reader, which at times does not understand an answer (`unreadable`) or finds one row less (`shorter`)."""

    name = "onchain"

    def __init__(self, csus: Sequence[Csu]) -> None:
        self._real = source(Steady(list(csus), assets=2))
        self.unreadable: set[Partition] = set()
        self.shorter: set[Partition] = set()

    def parse(self, raw: Raw) -> Sequence[Row]:
        if raw.partition in self.unreadable:
            raise Skip(f"{raw.partition}: the answer has an unknown layout", reason="layout")
        return self._real.parse(raw)[raw.partition in self.shorter :]

    def isolated_reader(self, key: str) -> None:
        """Its markets are of no permissionless contract."""

    def reader(self, key: str) -> str:
        """The same whatever it does not understand: an upgrade is told by `forget_readings`."""
        return self._real.reader(key)

    def bad_debt(self, raw: Raw) -> Sequence[Row]:
        if raw.partition in self.unreadable:
            raise Skip(f"{raw.partition}: the answer has an unknown layout", reason="layout")
        return self._real.bad_debt(raw)

    def bad_debt_reader(self, key: str) -> str | None:
        return self._real.bad_debt_reader(key)


class Killed(BaseException):
    """Stands for the end of the process between two commits; each commit is atomic by itself."""


class Mortal(Tables):
    """Tables whose process ends before the n-th write from now; None: it lives."""

    left: int | None = None

    def write(
        self, table: Table, frame: pl.DataFrame, *, replace_where: Mapping[str, Sequence[str | date]] | None = None
    ) -> None:
        if self.left is not None:
            if self.left == 0:
                raise Killed
            self.left -= 1
        super().write(table, frame, replace_where=replace_where)


@dataclass
class Lake:
    """A lake in a folder of its own with the parts an app has."""

    root: Path
    said: list[dict[Partition, Raw]]
    csus: Sequence[Csu] = tuple(MARKETS)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.root / "ledger.sqlite")
        self.bronze, self.tables = Bronze(self.root), Mortal(self.root)
        self.source = Reader(self.csus)

    def app(self) -> App:
        """What `work` needs of an app."""
        parts = SimpleNamespace(
            ledger=self.ledger,
            bronze=self.bronze,
            tables=self.tables,
            registry=SimpleNamespace(csus={csu.name: csu for csu in self.csus}, chains={}, exclusions=(), events=()),
            onchain=lambda _csus: self.source,
            found=SimpleNamespace(told=lambda *_: {}, price_sources={}),
            access=dict,
            settings=Settings(),
            stores=stores_of(self.root, self.ledger, tables=self.tables, bronze=self.bronze),
        )
        return cast(App, parts)

    def collect(self, partition: Partition, *, time: int = 0, upto: str = "done") -> None:
        """Land an answer; `upto` says how far it came before the process ended."""
        raw = self.said[time][partition]
        digest = self.bronze.land(raw)
        if upto != "bronze":
            self.ledger.append(Entry(partition, "landed", datetime.now(UTC), digest=digest))
        if upto == "done":
            self.ledger.append(interpret(cast(Source, self.source), raw, self.bronze))

    def mortally(self, step: Callable[[], object], writes: int | None) -> None:
        """Do a step and end before that many of its writes are done."""
        self.tables.left = writes
        try:
            step()
        except Killed:
            pass
        finally:
            self.tables.left = None

    def build(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The panel, and what has no number."""
        built = lending.build(self.app())
        return self.tables.read(PANEL), built.lacking

    def undisturbed(self) -> pl.DataFrame:
        """The panel of the same ledger and answers made in one go elsewhere."""
        states, tables = self.ledger.states(), Tables(self.root / "elsewhere")
        how = pricing(self.app())
        refine(
            cast(Source, self.source), states, bronze=self.bronze, tables=tables, states=states, pricing=how, fresh=True
        )
        csus = {csu.name: csu for csu in self.csus}
        return panel_now(tables=tables, bronze=self.bronze, states=states, csus=csus, left_out=()).panel


def assert_supported(found: pl.DataFrame, wanted: pl.DataFrame) -> None:
    """Every number is the one that the answers give; where they give none, there is none."""
    for side, figures in FIGURES.items():
        both = found.join(wanted, on=["csu", "date"], how="left", suffix="_wanted")
        for row in both.filter(pl.col(side).is_in(NUMBERS)).iter_rows(named=True):
            assert row[f"{side}_wanted"] in NUMBERS, row
            for name in figures:
                assert row[name] == pytest.approx(row[f"{name}_wanted"]), (name, row)
        for name in figures:
            assert (
                found.filter(~pl.col(side).is_in(NUMBERS))[name].null_count()
                == both.filter(~pl.col(side).is_in(NUMBERS)).height
            )


TABLES = (TVL, LIQUIDATIONS, REFINED, PRICES, QUOTES)
asked = st.sampled_from(EVERY)
writes = st.none() | st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("collect"), asked, st.integers(0, 1), st.sampled_from(["bronze", "landed", "done", "done"])),
    st.tuples(st.just("fail"), asked),
    st.tuples(st.just("refine"), st.lists(asked, max_size=4), writes),
    st.tuples(st.just("reprice"), writes),
    st.tuples(st.just("build"), st.just(None)),
    st.tuples(st.just("lose_rows"), st.sampled_from(TABLES), st.integers(0, 10**6)),
    st.tuples(st.just("lose_day"), st.sampled_from(TABLES), st.sampled_from(DAYS)),
    st.tuples(st.just("lose_table"), st.sampled_from(TABLES)),
    st.tuples(st.just("go_back"), st.sampled_from(TABLES), st.integers(0, 3)),
)  # fmt: skip


def do(lake: Lake, step: tuple[object, ...]) -> None:
    match step:
        case ("collect", Partition() as one, int(time), str(upto)):
            lake.collect(one, time=time, upto=upto)
        case ("fail", Partition() as one):
            lake.ledger.append(Entry(one, "failed", datetime.now(UTC), reason="rpc", error="refused"))
        case ("refine", list(some), kill):
            lake.mortally(lambda: lending.refine(lake.app(), some), cast("int | None", kill))
        case ("reprice", kill):
            lake.mortally(lambda: reprice(tables=lake.tables), cast("int | None", kill))
        case ("lose_rows", Table() as table, int(seed)):
            frame = lake.tables.read(table)
            if frame.height:
                lake.tables.write(table, frame.sample(fraction=0.8, seed=seed))
        case ("lose_day", Table() as table, date() as day):
            if lake.tables.version(table) is not None:
                lake.tables.write(table, lake.tables.read(table).filter(pl.col("date") != day))
        case ("lose_table", Table() as table):
            shutil.rmtree(lake.tables.path(table), ignore_errors=True)
        case ("go_back", Table() as table, int(back)):
            number = lake.tables.version(table)
            if number is not None and number > back:
                lake.tables.write(table, lake.tables.read(table, version=number - back))
        case _:
            pass


def remedied(lake: Lake) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the lines of `build` tell a person to do: repair the ledger, ask again what failed, refine, build."""
    repair(lake.ledger, lake.bronze, cast(Source, lake.source), known=lambda _: True)
    for entry in lake.ledger.unsettled():
        lake.collect(entry.partition, time=1)
    lending.refine(lake.app())
    return lake.build()


stories = st.lists(steps, min_size=3, max_size=8)


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory, said: list[dict[Partition, Raw]]) -> Path:
    """Half of everything is collected and refined: where every story begins, in a copy."""
    lake = Lake(tmp_path_factory.mktemp("half"), said)
    for one in EVERY[::2]:
        lake.collect(one)
    lending.refine(lake.app())
    lake.ledger.close()
    return lake.root


@settings(max_examples=examples(9))  # many more in `test_nor_in_any_of_many_stories`
@given(stories)
def test_no_number_without_its_answers_and_the_remedy_restores_the_panel(
    tmp_path_factory: pytest.TempPathFactory,
    said: list[dict[Partition, Raw]],
    half: Path,
    story: list[tuple[object, ...]],
) -> None:
    live(Lake(shutil.copytree(half, tmp_path_factory.mktemp("story") / "lake"), said), story)


@pytest.mark.soak
@settings(max_examples=500)
@given(stories)
def test_nor_in_any_of_many_stories(
    tmp_path_factory: pytest.TempPathFactory,
    said: list[dict[Partition, Raw]],
    half: Path,
    story: list[tuple[object, ...]],
) -> None:
    live(Lake(shutil.copytree(half, tmp_path_factory.mktemp("story") / "lake"), said), story)


def live(lake: Lake, story: list[tuple[object, ...]]) -> None:
    """The story happens to a lake that is half done; what the panel says holds all along."""
    for step in story:
        do(lake, step)
        if step[0] == "build":
            assert_supported(lake.build()[0], lake.undisturbed())
    assert_supported(lake.build()[0], lake.undisturbed())
    panel, lacking = remedied(lake)
    assert lacking.is_empty()
    assert panel.equals(lake.undisturbed())
    lake.ledger.close()


@pytest.fixture
def whole(tmp_path: Path, said: list[dict[Partition, Raw]]) -> Lake:
    """Everything collected, refined and built."""
    lake = Lake(tmp_path, said)
    for one in EVERY:
        lake.collect(one)
    lending.refine(lake.app())
    lake.build()
    return lake


def reasons(lacking: pl.DataFrame) -> set[str]:
    return set(lacking["reason"])


def test_nothing_is_lacking_after_an_undisturbed_run(whole: Lake) -> None:
    panel, lacking = whole.build()
    assert lacking.is_empty()
    assert panel.equals(whole.undisturbed())
    assert set(panel["status"]) == {"ok"}
    assert lending.refine(whole.app()) == [], "there is nothing to make good"


def test_without_silver_there_is_no_number(whole: Lake) -> None:
    wanted = whole.tables.read(PANEL)
    shutil.rmtree(whole.root / "silver")
    panel, lacking = whole.build()
    assert lacking.height == len(EVERY)
    assert reasons(lacking) == {"not_refined"}
    assert set(panel["status"]) | set(panel["liquidations_status"]) == {"pending"}
    assert panel["total_tvl_usd"].null_count() == panel["liquidation_count"].null_count() == panel.height
    lending.refine(whole.app())
    assert whole.build()[0].equals(wanted)


def test_an_answer_collected_after_refining_is_pending_until_it_is_refined(whole: Lake) -> None:
    new = EVERY[0]
    whole.collect(new, time=1)
    for step in (lambda: None, lambda: reprice(tables=whole.tables)):
        step()
        panel, lacking = whole.build()
        assert list(lacking.select("csu", "date", "reason").iter_rows()) == [(new.key, new.period.day, "not_refined")]
        assert panel.filter(pl.col("status") == "pending").height == 1
    lending.refine(whole.app())
    assert whole.build()[1].is_empty()
    whole.collect(EVERY[1], time=1)
    river.reprice(whole.app())
    assert whole.build()[1].is_empty(), "the river's own step makes silver good before it values it"


@pytest.mark.parametrize("table", [TVL, LIQUIDATIONS], ids=lambda one: one.name)
def test_one_row_missing_from_silver_is_seen(whole: Lake, table: Table) -> None:
    frame = whole.tables.read(table)
    gone = frame.row(0, named=True)
    whole.tables.write(table, frame[1:])
    _, lacking = whole.build()
    assert list(lacking.select("dataset", "csu", "date", "reason").iter_rows()) == [
        (table.name, gone["csu"], gone["date"], "silver_differs")
    ]


def test_another_day_s_rows_under_the_same_count_are_seen(whole: Lake) -> None:
    """The rows of an answer that was superseded, as a kill between two commits leaves them."""
    lost = EVERY[0]
    whole.collect(lost, time=1)
    whole.mortally(lambda: lending.refine(whole.app()), 1)
    whole.collect(lost, time=0)  # the ledger says again what `refined` says; silver holds the other answer's rows
    panel, lacking = whole.build()
    assert reasons(lacking) == {"silver_differs"}
    assert_supported(panel, whole.undisturbed())


def forget_readings(root: Path) -> None:
    """Nothing is left of what answers were read as: they have to be read again."""
    for path in root.glob("bronze/*/*/*.parquet"):
        path.unlink()


def test_an_answer_that_the_reader_cannot_read_is_failed_and_no_zero(whole: Lake) -> None:
    bad = [one for one in EVERY if one.key == "one"]
    shutil.rmtree(whole.root / "silver")
    forget_readings(whole.root)
    whole.source.unreadable = set(bad)
    lending.refine(whole.app())
    panel, lacking = whole.build()
    assert reasons(lacking) == {"unreadable"}
    assert lacking.height == len(bad)
    mine = pl.col("csu") == "one"
    assert set(panel.filter(mine)["status"]) | set(panel.filter(mine)["liquidations_status"]) == {"failed"}
    assert panel.filter(mine)["liquidations_usd"].null_count() == len(DAYS)
    assert set(panel.filter(~mine)["status"]) == {"ok"}
    assert (whole.tables.read(LIQUIDATIONS)["csu"] == "two").all()
    whole.source.unreadable = set()  # an upgrade
    lending.refine(whole.app())
    assert whole.build()[0].equals(whole.undisturbed())


def test_a_damaged_answer_is_failed_and_asked_again(whole: Lake) -> None:
    lost = EVERY[0]
    whole.bronze.raw_path(lost, "onchain").unlink()
    forget_readings(whole.root)
    shutil.rmtree(whole.tables.path(TVL))
    lending.refine(whole.app())
    panel, lacking = whole.build()
    assert list(lacking.select("csu", "date", "state", "reason").iter_rows()) == [
        (lost.key, lost.period.day, "failed", "damaged")
    ]
    whole.collect(lost)
    lending.refine(whole.app())
    assert whole.build()[1].is_empty()
    assert panel.height == 6


def test_what_was_answered_and_is_lost_is_named_by_build_and_what_was_never_answered_is_not(whole: Lake) -> None:
    """However the ledger came to know that it has no answer any more."""
    one, two, three = EVERY[0], EVERY[1], EVERY[2]
    whole.bronze.raw_path(one, "onchain").write_bytes(b"")
    repair(whole.ledger, whole.bronze, cast(Source, whole.source), known=lambda _: True)
    whole.source.unreadable = {two}
    whole.collect(two)  # the ledger's own word for it is that of the reader
    whole.ledger.append(Entry(three, "failed", datetime.now(UTC), reason="rpc", error="refused"))
    for step in (lambda: None, lambda: lending.refine(whole.app()), lambda: river.reprice(whole.app())):
        step()
        panel, lacking = whole.build()
        assert set(lacking.select("csu", "date", "reason").iter_rows()) == {
            (one.key, one.period.day, "damaged"),
            (two.key, two.period.day, "layout"),
        }
        said = " ".join(lines(lacking))
        assert "run `cryptolake ledger repair`" in said
        assert f"{two.dataset}/{two.key}" in said
        assert panel.filter(pl.col("status") == "failed").height == 3
    assert whole.tables.read(TVL)["date"].n_unique() == len(DAYS)


def test_a_twin_that_lost_rows_is_not_trusted(whole: Lake) -> None:
    for path in whole.root.glob("bronze/liquidations/one/*.parquet"):
        note = {name: text for name, text in pl.read_parquet_metadata(path).items() if name.startswith("cryptolake")}
        pl.read_parquet(path)[1:].write_parquet(path, metadata=note)
    shutil.rmtree(whole.root / "silver")
    lending.refine(whole.app())
    assert whole.build()[0].equals(whole.undisturbed())
    assert whole.build()[1].is_empty()


def test_a_reader_that_finds_another_number_of_rows_is_told_and_repair_takes_it_over(whole: Lake) -> None:
    one = next(one for one in EVERY if one.dataset == "liquidations")
    whole.source.shorter = {one}
    forget_readings(whole.root)
    shutil.rmtree(whole.root / "silver")
    lending.refine(whole.app())
    panel, lacking = whole.build()
    assert list(lacking["reason"]) == ["rows_differ"]
    assert panel.filter(pl.col("liquidations_status") == "failed").height == 1
    found = repair(whole.ledger, whole.bronze, cast(Source, whole.source), known=lambda _: True)
    assert found.read_anew == (one,)
    lending.refine(whole.app())
    assert whole.build()[1].is_empty()


def test_a_step_killed_between_rows_and_prices_is_seen(whole: Lake) -> None:
    quotes = file_of(whole, 2)
    dearer = Pricing(ladder=("file", "protocol_oracle"))
    whole.mortally(lambda: reprice(tables=whole.tables, quotes=quotes, pricing=dearer), 1)
    panel, lacking = whole.build()
    assert reasons(lacking) == {"prices_differ"}
    assert set(panel["status"]) == {"pending"}
    reprice(tables=whole.tables, quotes=quotes, pricing=dearer)
    assert whole.build()[1].is_empty()


def file_of(lake: Lake, times: float) -> pl.DataFrame:
    """A price file that says so many times what the markets' own oracles say."""
    return (
        lake.tables.read(TVL)
        .select(
            *("date", "chain", "asset"),
            pl.lit("file").alias("source"),
            pl.lit("mine.csv").alias("quoted_by"),
            (pl.col("oracle_price") * times).alias("quote_price"),
            pl.lit("usd").alias("quote"),
            pl.col("block_time").alias("observed_at"),
            pl.lit(0.0).alias("age_s"),
            pl.lit(1.0).alias("weight"),
        )
        .unique(subset=["date", "chain", "asset"])
    )


def test_hours_give_the_same_by_steps_and_from_scratch(tmp_path: Path) -> None:
    """One hour of 24 failed: neither way gives a sum of the others, and both give the same tables."""
    world, day = Steady(MARKETS[:1], assets=2), DAYS[0]
    lake = Lake(tmp_path, [{}], csus=MARKETS[:1])
    every = [Partition(name, "one", hour) for hour in hours(day, day) for name in ("tvl", "liquidations")]
    for one in every:
        make = synthetic_lake._snapshot if one.dataset == "tvl" else partial(synthetic_lake._events, count=1)
        lake.said[0][one] = make(world, MARKETS[0], one.period)
        lake.collect(one)
    missing = every[2 * 7 + 1]
    assert missing.dataset == "liquidations"
    lake.ledger.append(Entry(missing, "failed", datetime.now(UTC), reason="rpc", error="refused"))
    lending.refine(lake.app(), every)
    (row,) = lake.build()[0].iter_rows(named=True)
    assert (row["status"], row["liquidations_status"], row["liquidations_usd"]) == ("ok", "failed", None)
    assert lake.build()[0].equals(lake.undisturbed())
    for table in (TVL, LIQUIDATIONS, REFINED, PRICES):
        assert lake.tables.read(table).equals(Tables(tmp_path / "elsewhere").read(table)), table.name
    lake.collect(missing)
    lending.refine(lake.app())
    (row,) = lake.build()[0].iter_rows(named=True)
    assert (row["liquidations_status"], row["liquidation_count"]) == ("ok", 24)
    assert lake.build()[0].equals(lake.undisturbed())


def test_what_vendors_said_is_read_from_their_own_answers(whole: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never from the table of quotes, which may be lost or changed."""
    asked: list[bool] = []
    app = whole.app()
    for module in (lending, river):
        read = module.read_quotes
        monkeypatch.setattr(module, "read_quotes", lambda *given, read=read: asked.append(True) or read(*given))
    for number, trip in enumerate((lambda: lending.refine(app, EVERY[:1]), lambda: river.reprice(app)), start=1):
        trip()
        assert len(asked) == number


def others(table: Table, name: str) -> list[pl.Expr]:
    """Other values for a column, each as what makes it of the one that is there."""
    field, here = next(one for one in table.fields if one.name == name), pl.col(name)
    if field.allowed:
        return [
            pl.when(here != one).then(pl.lit(one)).otherwise(here) for one in field.allowed if len(field.allowed) > 1
        ]
    match field.dtype:
        case "float64":
            return [here.fill_null(1.0) * 3 + 1, here.fill_null(1.0) * float("inf"), here.fill_null(1.0) * float("nan")]
        case "int32" | "int64":
            return [here + 1]
        case "timestamp":
            return [here + timedelta(seconds=1)]
        case "date":
            return [here + timedelta(days=1)]
        case "bool":
            return [~here.fill_null(value=True)]
        case _:
            return [here.fill_null("") + "0"]


def changes(table: Table, sound: pl.DataFrame, at_once: int) -> Iterator[tuple[pl.DataFrame, dict[date, str]]]:
    """The table with other values, so many at once, each in the first row of a day of its own, and what was changed."""
    days = sorted(sound["date"].unique())[:at_once]
    changed, said = sound, dict[date, str]()
    for name in table.columns if days else ():
        for other in others(table, name):
            if name == "date" and said:  # a row of another day is alone, or it might hide what was done to that day
                yield changed, said
                changed, said = sound, {}
            day = days[len(said)]
            first = pl.int_range(pl.len()) == sound["date"].index_of(day)
            more = changed.with_columns(pl.when(first).then(other).otherwise(pl.col(name)).alias(name))
            if more.equals(changed):
                continue
            changed, said[day] = more, f"{name}: {other}"
            if name == "date" or len(said) == len(days):
                yield changed, said
                changed, said = sound, {}
    if said:
        yield changed, said


@pytest.mark.parametrize(
    ("table", "at_once"),
    [
        pytest.param(table, at_once, id=f"{table.name}-{at_once}", marks=[pytest.mark.soak] if at_once == 1 else [])
        for table in (TVL, LIQUIDATIONS, PRICES, QUOTES)
        for at_once in (len(DAYS), 1)
    ],
)
def test_no_value_in_silver_is_changed_unseen_and_every_remedy_brings_it_back(
    whole: Lake, table: Table, at_once: int
) -> None:
    """Days do not vouch for each other, so that one value of each is changed at once; `make soak` changes one at a time."""
    wanted, sound = whole.tables.read(PANEL), whole.tables.read(table)
    for changed, said in changes(table, sound, at_once):
        whole.tables.write(table, changed)
        seen = lending.not_in_silver(whole.app())
        assert set(said) <= set(seen["date"]), said
        assert at_once == 1 or "date" in "".join(said.values()) or set(seen["date"]) == set(said), (
            "days vouch for others"
        )
    unseen = whole.tables.read(table)
    for trip in (lambda: lending.refine(whole.app()), lambda: river.reprice(whole.app())):
        whole.tables.write(table, unseen)
        trip()
        panel, lacks = whole.build()
        assert lacks.is_empty()
        assert panel.equals(wanted)
        assert whole.tables.read(table).equals(sound)


@pytest.mark.parametrize(
    ("table", "name"),
    [(TVL, "oracle_price"), *((LIQUIDATIONS, f"{side}_oracle_price") for side in ("debt", "collateral"))],
)
def test_a_changed_oracle_tells_no_other_market_its_price(whole: Lake, table: Table, name: str) -> None:
    wanted, sound = whole.tables.read(PANEL), whole.tables.read(table)
    other = [one for one in EVERY if one.key == "two"]
    mine = pl.col("csu") == "one"
    for trip in (
        lambda: lending.refine(whole.app(), other),
        lambda: lending.rebuild(whole.app(), only=MarketDays(frozenset({"two"}))),
        lambda: river.reprice(whole.app()),
    ):
        whole.tables.write(table, sound.with_columns(pl.when(mine).then(pl.col(name) * 1.25).otherwise(pl.col(name))))
        assert whole.build()[1].height
        trip()
        panel, lacks = whole.build()
        assert lacks.is_empty()
        assert panel.equals(wanted)
