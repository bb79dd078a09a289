"""Family morpho_blue equals what Morpho's own published contract says on a real node, to the last wei."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.anvil import Anvil
from tests.chain.fixtures import require_chain
from tests.chain.morpho_blue import DONATED, FIRST_DAY, LAST_DAY, MorphoBlue, cannot_play, play
from tests.chain.solidity import call_data

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition, Period, hours
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Row
from cryptolake.errors import Skip
from cryptolake.gold import daily_panel
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.net.abi import checksum, selector
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl, Station
from cryptolake.net.envelope import Json
from cryptolake.net.http import Http
from cryptolake.net.logs import Log, parse_logs
from cryptolake.net.multicall import replay, transcript_from_json
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.exclusions import Exclusion
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.silver import isolated_markets, quotes, refined
from cryptolake.sources.onchain import morpho_blue
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.work.panel import panel_now
from cryptolake.work.refine import refine

DAYS = [FIRST_DAY + timedelta(days=number) for number in range((LAST_DAY - FIRST_DAY).days + 1)]


@pytest.fixture(scope="module")
def morpho() -> Iterator[MorphoBlue]:
    """Six days of Morpho Blue on a running node."""
    require_chain()
    if (why := cannot_play()) is not None:
        pytest.skip(why)
    with Anvil() as node:
        yield play(node)


class CountingPool(Pool):
    """A pool that remembers the block ranges whose logs were asked for."""

    def __init__(self, url: str) -> None:
        super().__init__("local", 31337, [Endpoint("anvil", SecretUrl(url), Limits(rate=10_000))], Http())
        self.scanned: list[tuple[int, int]] = []

    def ask(self, station: Station, method: str, params: Sequence[Json], block: int | None = None) -> bytes:
        if method == "eth_getLogs":
            question = params[0]
            assert isinstance(question, dict)
            self.scanned.append((int(str(question["fromBlock"]), 16), int(str(question["toBlock"]), 16)))
        return super().ask(station, method, params, block)


def csu_on(morpho: MorphoBlue, **more: object) -> Csu:
    values: dict[str, object] = {"protocol": "morpho", "deployed_block": morpho.deployed_block, **more}
    return Csu("local", "morpho_blue", version="1", chain="local", chain_id=31337,
               entry={"morpho": checksum(morpho.address)}, **values)  # type: ignore[arg-type]  # fmt: skip


def source_on(pool: Pool, csu: Csu, discovered: Path | None = None) -> OnchainSource:
    chain = Chain("local", 31337, multicall3_address="0xcA11bde05977b3631167028862bE2a173976CA11", multicall3_block=0)
    registry = Registry({csu.name: csu}, {"local": chain})
    return OnchainSource(registry=registry, csus=[csu], pools=lambda _: pool, discovered=discovered)


def collected(source: OnchainSource, dataset: str, *when: date) -> Iterator[Raw | Miss]:
    for trip in source.trips([Partition(dataset, "local", Period.of_day(day)) for day in when]):
        yield from source.fetch(trip)


def rows_on(morpho: MorphoBlue, day: date, **more: object) -> dict[str, Row]:
    source = source_on(CountingPool(morpho.node.url), csu_on(morpho, **more))
    (raw,) = collected(source, "tvl", day)
    assert isinstance(raw, Raw), raw
    return {morpho.symbol_of(str(row["asset"]).lower()): row for row in source.parse(raw)}


@pytest.mark.chain
@pytest.mark.xdist_group("morpho")
class TestOnTheNode:
    """Everything that needs the chain, on one worker."""

    @pytest.mark.parametrize("day", DAYS, ids=str)
    def test_every_token_on_every_day(self, morpho: MorphoBlue, day: date) -> None:
        block = morpho.last_block_of(day)
        rows = rows_on(morpho, day)
        truths = {symbol: morpho.truth(symbol, block) for symbol in morpho.tokens}
        assert set(rows) == {symbol for symbol, truth in truths.items() if any(truth)}
        gift, whole, since = DONATED
        for symbol, row in rows.items():
            supplied, borrowed, pledged = truths[symbol]
            extra = morpho.units(symbol, whole) if symbol == gift and day >= since else 0
            assert row["block"] == block
            assert int(str(row["total_supplied_raw"])) == supplied
            assert int(str(row["total_borrowed_raw"])) == borrowed
            assert int(str(row["cash_raw"])) == supplied - borrowed
            assert int(str(row["collateral_raw"])) == pledged + extra
            held = morpho.balance(morpho.tokens[symbol], morpho.address, block)
            assert int(str(row["cash_raw"])) + int(str(row["collateral_raw"])) == held

    def test_interest_runs_on_a_day_without_transactions(self, morpho: MorphoBlue) -> None:
        before, after = (rows_on(morpho, day) for day in (DAYS[4], DAYS[5]))
        for symbol in ("USDC", "WETH"):
            owed = [int(str(rows[symbol]["total_borrowed_raw"])) for rows in (before, after)]
            idle = [int(str(rows[symbol]["cash_raw"])) for rows in (before, after)]
            assert owed[1] > owed[0]
            assert idle[1] == idle[0]

    def test_prices_come_from_the_markets_oracles(self, morpho: MorphoBlue) -> None:
        rows = rows_on(morpho, DAYS[2])
        assert price(rows["WETH"]) == (3450.0, checksum(morpho.tokens["USDC"]))
        assert price(rows["wstETH"]) == (1.18, checksum(morpho.tokens["WETH"]))
        assert price(rows["WBTC"]) == (95_000.0, checksum(morpho.tokens["USDC"]))
        assert price(rows["USDC"]) is None, "a token that is only lent has no price of the protocol"

    def test_a_false_oracle_is_not_believed(self, morpho: MorphoBlue) -> None:
        rows = rows_on(morpho, DAYS[1])
        assert int(str(rows["JUNK"]["collateral_raw"])) == 10**24
        assert price(rows["JUNK"]) is None

    def test_a_token_without_metadata_counts_in_its_smallest_unit_and_loses_no_other(self, morpho: MorphoBlue) -> None:
        row = rows_on(morpho, DAYS[1])["NONAME"]
        address = checksum(morpho.tokens["NONAME"])
        assert (row["symbol"], row["decimals"]) == (f"{address[:6]}..{address[-4:]}", 0)
        assert price(row) is None

    def test_a_bytes32_symbol_and_an_oracle_that_lost_its_price(self, morpho: MorphoBlue) -> None:
        assert price(rows_on(morpho, DAYS[3])["MKR"]) == (1850.0, checksum(morpho.tokens["USDC"]))
        row = rows_on(morpho, DAYS[4])["MKR"]
        assert row["symbol"] == "MKR"
        assert price(row) is None

    def test_a_market_belongs_to_a_day_only_after_its_creation(self, morpho: MorphoBlue) -> None:
        assert "MKR" not in rows_on(morpho, DAYS[2])
        assert "MKR" in rows_on(morpho, DAYS[3])

    def test_every_liquidation_once_with_its_bad_debt(self, morpho: MorphoBlue) -> None:
        source = source_on(CountingPool(morpho.node.url), csu_on(morpho))
        rows, lost = [], []
        for raw in collected(source, "liquidations", *DAYS):
            assert isinstance(raw, Raw)
            rows += source.parse(raw)
            lost += source.bad_debt(raw)
        assert len(rows) == len(morpho.liquidations) == 2
        for row, truth in zip(rows, morpho.liquidations, strict=True):
            extra = orjson.loads(str(row["extra"]))
            assert (row["tx"], row["block"], row["timestamp"]) == (truth.tx, truth.block, truth.timestamp)
            assert (row["liquidator"], row["borrower"]) == (checksum(truth.liquidator), checksum(truth.borrower))
            assert (row["collateral_asset"], row["debt_asset"]) == (
                checksum(truth.market.collateral),
                checksum(truth.market.loan),
            )
            assert int(str(row["collateral_amount_raw"])) == truth.seized
            assert int(str(row["debt_amount_raw"])) == truth.repaid
            assert int(extra["bad_debt_raw"]) == truth.bad_debt
            assert (extra["market"], extra["write_off"]) == (truth.market.id, "false")
            assert row["collateral_price_quote"] == checksum(truth.market.loan)
        assert morpho.liquidations[1].bad_debt > 0
        assert [(one["kind"], one["tx"], one["asset"], int(str(one["amount_raw"]))) for one in lost] == [
            ("written_off", one.tx, checksum(one.market.loan), one.bad_debt)
            for one in morpho.liquidations
            if one.bad_debt
        ]

    @pytest.mark.parametrize("day", DAYS, ids=str)
    def test_every_isolated_market_on_every_day(self, morpho: MorphoBlue, day: date) -> None:
        source = source_on(CountingPool(morpho.node.url), csu_on(morpho))
        (raw,) = collected(source, "tvl", day)
        assert isinstance(raw, Raw)
        found = {str(row["market"]): row for row in source.isolated(raw)}
        block = morpho.last_block_of(day)
        truths = {market.id: (market, morpho.state(market, block)) for market in morpho.created(block)}
        assert {name for name, (_, state) in truths.items() if state[0]} <= set(found) <= set(truths)
        for name, row in found.items():
            market, state = truths[name]
            assert (int(str(row["supplied_raw"])), int(str(row["borrowed_raw"]))) == (state[0], state[2])
            assert (row["loan_asset"], row["lltv_raw"]) == (checksum(market.loan), str(market.lltv))
            assert 0 <= int(str(row["interest_raw"])) <= state[2]
            if row["collateral_raw"] is not None:  # the only market that takes the token: its positions are all of it
                assert int(str(row["collateral_raw"])) == morpho.truth(morpho.symbol_of(market.collateral), block)[2]
        self.check_sums(source, raw)

    @staticmethod
    def check_sums(source: OnchainSource, raw: Raw) -> None:
        """The tokens' rows are sums over the isolated markets'."""
        sums: dict[str, tuple[int, int]] = {}
        for row in source.isolated(raw):
            supplied, borrowed = sums.get(str(row["loan_asset"]), (0, 0))
            sums[str(row["loan_asset"])] = (
                supplied + int(str(row["supplied_raw"])),
                borrowed + int(str(row["borrowed_raw"])),
            )
        for row in source.parse(raw):
            totals = int(str(row["total_supplied_raw"])), int(str(row["total_borrowed_raw"]))
            assert sums.get(str(row["asset"]), (0, 0)) == totals

    def test_a_toy_token_raises_no_total_that_is_called_ok(self, morpho: MorphoBlue, tmp_path: Path) -> None:
        """One account lends a million to itself against 900 million of a token it minted, priced by an oracle of its own."""
        day, snapshot = LAST_DAY + timedelta(days=1), morpho.node.rpc("evm_snapshot")
        before = {name: dict(getattr(morpho, name)) for name in ("tokens", "decimals", "markets")}
        thief, start = morpho.users[8], Period.of_day(day).start + timedelta(hours=13)
        try:
            morpho.token(start, "TOY", 18)
            toy = morpho.market(
                start + timedelta(minutes=1), "TOY/USDC", loan="USDC", collateral="TOY", price=1, lltv=0.86
            )
            acts = [
                *morpho.supply(thief, "TOY/USDC", 1_000_000),
                *morpho.pledge(thief, "TOY/USDC", 900_000_000),
                *morpho.borrow(thief, "TOY/USDC", 950_000),
            ]
            morpho.node.block(start + timedelta(hours=1), acts)
            morpho.node.block(Period.of_day(day).end)
            morpho.node.empty_blocks(70, 12)
            source = source_on(CountingPool(morpho.node.url), csu_on(morpho))
            raws = [raw for raw in collected(source, "tvl", LAST_DAY, day) if isinstance(raw, Raw)]
        finally:
            morpho.node.rpc("evm_revert", snapshot)
            for name, kept in before.items():
                setattr(morpho, name, kept)
        assert len(raws) == 2
        lake = Lake(tmp_path, source, csu_on(morpho), raws, morpho)
        honest, inflated = lake.rows()
        assert float(str(inflated["total_tvl_usd"])) > 900e6
        assert inflated["status"] == "suspect"
        assert {"own_price_only", "self_dealt"} <= set(str(inflated["reason"]).split(";"))
        left_out = Exclusion("local", "market", toy.id, "self_dealt", "A test.", ("a page",))
        without, clean = lake.rows(left_out)
        assert without["total_tvl_usd"] == honest["total_tvl_usd"], "before it was opened nothing is left out"
        assert "self_dealt" not in str(without["excluded"])
        assert f"self_dealt:{toy.id[:10]}" in str(clean["excluded"]).split(";")
        for name in (
            "total_tvl_usd",
            "cash_usd",
            "collateral_usd",
        ):  # no interest of others between the days moves these
            assert float(str(clean[name])) == pytest.approx(float(str(honest[name])), rel=1e-9), name

    def test_isolated_markets_are_the_same_from_answers_and_twins(self, morpho: MorphoBlue, tmp_path: Path) -> None:
        source = source_on(CountingPool(morpho.node.url), csu_on(morpho))
        raws = [raw for raw in collected(source, "tvl", *DAYS) if isinstance(raw, Raw)]
        lake = Lake(tmp_path, source, csu_on(morpho), raws, morpho)
        first = lake.isolated()
        assert first.height
        (twin,) = (tmp_path / "bronze" / "isolated_markets" / "local").glob("*.parquet")
        kept = twin.read_bytes()
        assert lake.refine(fresh=True).isolated().equals(first)
        assert twin.read_bytes() == kept
        twin.unlink()
        assert lake.refine(fresh=True, reparse=True).isolated().equals(first)
        assert twin.read_bytes() == kept
        one_by_one = Lake(tmp_path / "again", source, csu_on(morpho), raws, morpho, refined=False)
        for raw in reversed(raws):
            one_by_one.refine(raw.partition)
        assert one_by_one.isolated().equals(first)

    def test_without_its_isolated_markets_a_day_has_no_number(self, morpho: MorphoBlue, tmp_path: Path) -> None:
        """What is to be left out could not be: such a day waits, and refining makes it good."""
        source = source_on(CountingPool(morpho.node.url), csu_on(morpho))
        raws = [raw for raw in collected(source, "tvl", *DAYS[1:3]) if isinstance(raw, Raw)]
        lake = Lake(tmp_path, source, csu_on(morpho), raws, morpho)
        whole, good = lake.isolated(), [row["status"] for row in lake.rows()]
        assert "pending" not in good
        for broken in (
            whole.filter(pl.col("date") != DAYS[1]),
            whole.filter((pl.col("date") != DAYS[1]) | (pl.col("market") != whole["market"][0])),
            whole.with_columns(pl.when(pl.col("date") == DAYS[1]).then(0.0).otherwise("supplied").alias("supplied")),
        ):
            lake.tables.write(isolated_markets.TABLE, broken)
            assert [(row["status"], row["total_tvl_usd"] is None) for row in lake.rows()] == [
                ("pending", True),
                (good[1], False),
            ]
            assert [row["status"] for row in lake.refine().rows()] == good
        recorded = lake.tables.read(refined.TABLE)
        lake.tables.write(refined.TABLE, recorded.filter(pl.col("dataset") != isolated_markets.TABLE.name))
        assert {(row["status"], row["reason"]) for row in lake.rows()} == {("pending", "not_refined")}, "an older lake"
        assert [row["status"] for row in lake.refine().rows()] == good

    def test_lista_prices_are_dollars_of_the_market_oracle(self, morpho: MorphoBlue) -> None:
        """Lista's own contracts are on no registry: Morpho's code with roles, and an oracle with peek(token)."""
        market = morpho.markets["wstETH/WETH"]
        snapshot = morpho.node.rpc("evm_snapshot")
        try:
            day = LAST_DAY + timedelta(days=1)
            for symbol, dollars in (("WETH", 3700), ("wstETH", 4366)):
                data = call_data("setPeek(address,uint256)", morpho.tokens[symbol], dollars * 10**8)
                morpho.node.rpc("eth_sendTransaction", {"from": morpho.users[0], "to": market.oracle, "data": data})
            morpho.node.rpc("evm_mine")
            morpho.take_roles()
            morpho.node.block(Period.of_day(day).end)
            morpho.node.empty_blocks(70, 12)
            rows = rows_on(morpho, day, protocol="lista")
        finally:
            morpho.node.rpc("evm_revert", snapshot)
        assert price(rows["WETH"]) == (3700.0, "usd")
        assert price(rows["wstETH"]) == (4366.0, "usd")
        assert price(rows["USDC"]) is None

    def test_an_endpoint_without_old_logs_is_noticed(self, morpho: MorphoBlue) -> None:
        late = csu_on(morpho, deployed_block=None)
        nowhere = Csu(**{**_fields(late), "entry": {"morpho": checksum(morpho.irm)}})
        (miss,) = collected(source_on(CountingPool(morpho.node.url), nowhere), "tvl", DAYS[0])
        assert isinstance(miss, Miss)
        assert (miss.state, miss.reason) == ("failed", "silence")

    def test_before_its_deployment_it_is_gone(self, morpho: MorphoBlue) -> None:
        pool, before = CountingPool(morpho.node.url), list(hours(date(2024, 11, 30), date(2024, 11, 30)))[12]
        source = source_on(pool, csu_on(morpho))
        (trip,) = source.trips([Partition("tvl", "local", before)])
        (miss,) = source.fetch(trip)
        assert isinstance(miss, Miss)
        assert (miss.state, miss.reason) == ("gone", "not_deployed")
        assert not pool.scanned

    def test_the_history_is_scanned_once_for_all_days_and_runs(self, morpho: MorphoBlue, tmp_path: Path) -> None:
        first, second = (CountingPool(morpho.node.url) for _ in range(2))
        source = source_on(first, csu_on(morpho), tmp_path)
        early = list(collected(source, "tvl", *DAYS[:3]))
        again = source_on(second, csu_on(morpho), tmp_path)
        late = list(collected(again, "tvl", *DAYS))
        known = morpho.last_block_of(DAYS[2])
        assert first.scanned[0][0] == morpho.deployed_block
        assert first.scanned[-1][1] == known
        assert second.scanned[0][0] == known + 1
        assert second.scanned[-1][1] == morpho.last_block_of(DAYS[-1])
        for old, new in zip(early, late[:3], strict=True):
            assert isinstance(old, Raw)
            assert isinstance(new, Raw)
            assert orjson.loads(old.payload) == orjson.loads(new.payload)

    def test_a_damaged_history_is_scanned_again_from_the_damage(self, morpho: MorphoBlue, tmp_path: Path) -> None:
        for days in (DAYS[:1], DAYS[:2], DAYS[:3]):
            source = source_on(CountingPool(morpho.node.url), csu_on(morpho), tmp_path)
            whole = list(collected(source, "tvl", *days))
        (path,) = tmp_path.rglob("*.jsonl")
        path.write_bytes(path.read_bytes()[:-7])  # killed while writing
        pool = CountingPool(morpho.node.url)
        repaired = list(collected(source_on(pool, csu_on(morpho), tmp_path), "tvl", *DAYS[:3]))
        assert pool.scanned == [(morpho.last_block_of(DAYS[1]) + 1, morpho.last_block_of(DAYS[2]))]
        assert [orjson.loads(one.payload) for one in repaired if isinstance(one, Raw)] == [
            orjson.loads(one.payload) for one in whole if isinstance(one, Raw)
        ]


class Lake:
    """A lake of these answers, refined, in which somebody says every day that a USDC is a dollar.

    What nobody prices is named as left out, so that there are totals.
    """

    def __init__(
        self,
        root: Path,
        source: OnchainSource,
        csu: Csu,
        raws: Sequence[Raw],
        morpho: MorphoBlue,
        *,
        refined: bool = True,
    ) -> None:
        self.source, self.csu, self._raws = source, csu, raws
        self.usdc, *priceless = (checksum(morpho.tokens[one]) for one in ("USDC", "JUNK", "NONAME", "MKR"))
        self._priceless = [Exclusion("local", "token", one, "not_said", "A test.", ("a page",)) for one in priceless]
        self.bronze, self.tables = Bronze(root), Tables(root)
        self.states = {}
        for raw in raws:
            digest, count = self.bronze.land(raw), len(source.parse(raw))
            self.states[raw.partition] = Entry(
                raw.partition, "done", raw.fetched_at, "test", rows=count, digest=digest, grade="one_voice"
            )
        if refined:
            self.refine()

    def refine(self, *asked: Partition, fresh: bool = False, reparse: bool = False) -> Lake:
        told = pl.DataFrame(
            [
                (
                    raw.partition.period.day,
                    "local",
                    self.usdc,
                    "coingecko",
                    "a vendor",
                    1.0,
                    "usd",
                    raw.observed_at,
                    0.0,
                    1.0,
                )
                for raw in self._raws
            ],
            schema=quotes.TABLE.polars_schema(),
            orient="row",
        )
        states = self.states
        refine(
            self.source,
            asked or list(states),
            bronze=self.bronze,
            tables=self.tables,
            states=states,
            quotes=told,
            fresh=fresh,
            reparse=reparse,
        )
        return self

    def isolated(self) -> pl.DataFrame:
        return self.tables.read(isolated_markets.TABLE)

    def rows(self, *left_out: Exclusion) -> list[dict[str, object]]:
        """The panel, day by day."""
        now = panel_now(
            tables=self.tables,
            bronze=self.bronze,
            states=self.states,
            csus={"local": self.csu},
            left_out=[*left_out, *self._priceless],
        )
        assert daily_panel.TABLE.violations(now.panel) == []
        return list(now.panel.sort("date").iter_rows(named=True))


def price(row: Row) -> tuple[float, str] | None:
    """The row's price of one whole token and its quote."""
    raw, unit = row["price_raw"], row["price_unit"]
    return None if raw is None else (int(str(raw)) / int(str(unit)), str(row["price_quote"]))


def _fields(csu: Csu) -> dict[str, object]:
    return {name: getattr(csu, name) for name in csu.__slots__}


# Facts of the protocol's own repository, written out so that a slip in a signature cannot agree with itself.
def test_topics_and_selectors_are_the_documented_ones() -> None:
    assert morpho_blue.CREATE_MARKET == "0xac4b2400f169220b0c0afdde7a0b32e775ba727ea1cb30b35f935cdaab8683ac"
    assert morpho_blue.LIQUIDATE == "0xa4946ede45d0c6f06a0f5ce92c9ad3b4751452d2fe0e25010783bcab57a67e41"
    params, state = "(address,address,address,address,uint256)", "(uint128,uint128,uint128,uint128,uint128,uint128)"
    documented = {
        "market(bytes32)": "5c60e39a",
        "idToMarketParams(bytes32)": "2c3c9157",
        "price()": "a035b1fe",
        "peek(address)": "acefafae",
        f"borrowRateView({params},{state})": "8c00bf6b",
    }
    assert {one: selector(one).hex() for one in documented} == documented


CSU = Csu("m", "morpho_blue", "lista", "1", "binance", 56, {"morpho": "0x8F73b65B4caAf64FBA2aF91cC5D4a2A1318E5D8C"})
# Two markets of Ethereum as Morpho publishes them: id, loan, collateral, oracle, rate model, LLTV.
PUBLISHED = {
    "WBTC/USDC": (
        "0x3a85e619751152991742810df6ec69ce473daef99e28a64ab2340d7b7ccfee49",
        "a0b86991c6218b36c1d19d4a2e9eb0ce3606eb48",
        "2260fac5e5542a773aa44fbcfedf7c193bc2c599",
        "dddd770badd886df3864029e4b377b5f6a2b6b83",
        "870ac11d48b15db9a138cf899d20f13f79ba00bc",
        860000000000000000,
    ),
    "wstETH/WETH": (
        "0xc54d7acf14de29e0e5527cabd7a576506870346a78a11a6762e2cca66322ec41",
        "c02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
        "7f39c581f595b53c5cb19bd0b3f8da6c935e2ca0",
        "2a01eb9496094da03c4e364def50f5ad1280ad72",
        "870ac11d48b15db9a138cf899d20f13f79ba00bc",
        945000000000000000,
    ),
}


def a_log(topics: Sequence[str], data: str) -> Log:
    return Log(CSU.entry["morpho"], tuple(topics), bytes.fromhex(data), 5, "0x" + "ab" * 32, "0x" + "cd" * 32, 3)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_market_is_known_by_the_hash_of_its_parameters(name: str) -> None:
    market_id, *addresses, lltv = PUBLISHED[name]
    params = "".join(str(one).rjust(64, "0") for one in addresses) + f"{lltv:064x}"
    assert morpho_blue.discover(CSU, [a_log((morpho_blue.CREATE_MARKET, market_id), params)]).found == (params,)
    for topics, data in (((morpho_blue.CREATE_MARKET, "0x" + "11" * 32), params), ((market_id,), params[:-64])):
        with pytest.raises(Skip, match="unknown layout"):
            morpho_blue.discover(CSU, [a_log(topics, data)])


def test_interest_by_morphos_own_rate_model_equals_the_contracts_accrual() -> None:
    recorded = orjson.loads((Path(__file__).parent / "data" / "morpho_recorded.json").read_bytes())
    csu = replace(CSU, protocol="morpho", entry={"morpho": recorded["morpho"]}, found=tuple(recorded["found"]))
    reserves = replay(morpho_blue.snapshot(csu), transcript_from_json(recorded["rounds"]))
    assert {one.asset: [str(one.supplied_raw), str(one.borrowed_raw)] for one in reserves} == recorded["truth"]


def recorded_lista() -> tuple[Csu, dict[str, Any]]:
    """Answers of Lista's own Moolah contract on a local node; see data/README.md."""
    recorded = orjson.loads((Path(__file__).parent / "data" / "lista_recorded.json").read_bytes())
    csu = replace(CSU, entry={"morpho": recorded["moolah"]})
    return morpho_blue.discover(csu, parse_logs(orjson.dumps(recorded["create_market"]))), recorded


@pytest.mark.parametrize("number", [0, 1])
def test_a_snapshot_of_listas_own_contract_equals_its_truth(number: int) -> None:
    csu, recorded = recorded_lista()
    stored = recorded["snapshots"][number]
    reserves = replay(morpho_blue.snapshot(csu), transcript_from_json(stored["rounds"]))
    found = {one.asset: [str(one.supplied_raw), str(one.borrowed_raw), str(one.collateral_raw)] for one in reserves}
    assert found == stored["truth"]
    assert {one.symbol: str(one.price_raw) for one in reserves} == stored["prices"]
    assert {(one.price_unit, one.price_quote) for one in reserves} == {(10**8, "usd")}


@pytest.mark.parametrize("number", [0, 1])
def test_isolated_markets_of_listas_own_contract_add_up_and_have_prices(number: int) -> None:
    csu, recorded = recorded_lista()
    transcript = transcript_from_json(recorded["snapshots"][number]["rounds"])
    totals = {one.asset: one for one in replay(morpho_blue.snapshot(csu), transcript)}
    markets = replay(morpho_blue.isolated(csu), transcript)
    for asset, total in totals.items():
        mine = [one for one in markets if one.loan == asset]
        assert sum(one.supplied_raw for one in mine) == total.supplied_raw
        assert sum(one.borrowed_raw for one in mine) == total.borrowed_raw
    for one in markets:
        assert one.collateral is not None
        dollars = [totals[token].price_raw for token in (one.collateral, one.loan)]
        assert one.own_price == tuple(dollars)


def test_liquidations_of_listas_own_contract_equal_what_changed_hands() -> None:
    csu, recorded = recorded_lista()
    stored = recorded["liquidations"]
    events = morpho_blue.liquidations(csu, parse_logs(orjson.dumps(stored["logs"])))
    settled = replay(morpho_blue.settle(csu, events), transcript_from_json(stored["rounds"]))
    *real, write_off = settled.events
    assert [
        [one.liquidator, one.borrower, one.collateral_asset, str(one.collateral_amount_raw),
         one.debt_asset, str(one.debt_amount_raw)] for one in real
    ] == stored["truth"]  # fmt: skip
    assert all(one.extra["write_off"] == "false" for one in real)
    assert int(real[1].extra["bad_debt_raw"]) > 0
    assert (write_off.tx, write_off.extra["write_off"]) == (stored["write_off"], "true")
    assert (write_off.debt_amount_raw, write_off.collateral_amount_raw) == (0, 0)


def test_a_brokers_write_off_repays_nothing() -> None:
    words = [900, 900_000_000, 0, 900, 900_000_000]
    who = "0x" + "00" * 12 + "22" * 20
    log = a_log((morpho_blue.LIQUIDATE, "0x" + "33" * 32, who, who), "".join(f"{one:064x}" for one in words))
    (event,) = morpho_blue.liquidations(CSU, [log])
    assert (event.debt_amount_raw, event.collateral_amount_raw) == (0, 0)
    assert (event.extra["write_off"], event.extra["bad_debt_raw"]) == ("true", "900")


def test_an_unknown_layout_of_a_liquidation_is_refused() -> None:
    who = "0x" + "00" * 12 + "22" * 20
    with pytest.raises(Skip, match="unknown layout"):
        morpho_blue.liquidations(CSU, [a_log((morpho_blue.LIQUIDATE, "0x" + "33" * 32, who, who), "00" * 128)])


TOKENS = [checksum(f"0x{number:040x}") for number in range(1, 7)]


@given(
    st.lists(
        st.tuples(st.sampled_from(TOKENS), st.sampled_from(TOKENS), st.integers(1, 10**24), st.integers(0, 10**40)),
        max_size=20,
    )
)
def test_quotes_never_run_in_a_circle(drawn: list[tuple[str, str, int, int]]) -> None:
    markets = [
        morpho_blue._Market(number, b"", loan, collateral, "", "", borrowed=debt, price=price)
        for number, (loan, collateral, debt, price) in enumerate(drawn)
    ]
    quotes = morpho_blue._quotes(markets, dict.fromkeys(TOKENS, ("T", 18)), {})
    for start in quotes:
        token, seen = start, set[str]()
        while token in quotes:
            assert token not in seen
            seen.add(token)
            token = quotes[token][2]
    offered = {collateral for loan, collateral, _, price in drawn if price and loan != collateral}
    assert set(quotes) <= offered
    assert quotes or not offered, "the first price of all cannot lead back to itself"


def test_the_largest_debt_in_the_most_lent_token_gives_the_price() -> None:
    usdc, weth, wsteth, junk, *_ = TOKENS
    drawn = [
        (usdc, weth, 900, 3000), (usdc, weth, 10, 7), (usdc, junk, 50, 10**30),
        (weth, wsteth, 10**6, 2), (usdc, wsteth, 1, 6000), (junk, weth, 10**9, 1),
    ]  # fmt: skip
    markets = [
        morpho_blue._Market(number, b"", loan, collateral, "", "", borrowed=debt, price=price * 10**36)
        for number, (loan, collateral, debt, price) in enumerate(drawn)
    ]
    held = {weth: 5, wsteth: 1000, junk: 1}
    quotes = morpho_blue._quotes(markets, dict.fromkeys(TOKENS, ("T", 18)), held)
    assert quotes[weth] == (3000 * 10**36, 10**36, usdc)
    assert quotes[wsteth] == (2 * 10**36, 10**36, weth), "the USDC market's debt is too small for what is held"
    assert junk not in quotes
