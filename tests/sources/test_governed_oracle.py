"""Governed oracles on real Aave contracts: the whole list in one conversation, by date range, the first named speaks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import polars as pl
import pytest
from tests.chain.scenario import Fortnight
from tests.sources.answering import array, at, run_by_book, uint
from tests.sources.test_onchain_equals_contracts import DAYS, csu_on, source_on

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.errors import BadInput, Skip
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.chainlink import feeds
from cryptolake.registry.chains import Chain
from cryptolake.registry.price_oracles import PriceOracle, price_oracles, read_oracles
from cryptolake.registry.tables import lines_of
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.sources.governed_oracle import GovernedOraclePrices, spoken
from cryptolake.sources.onchain.for_all import ForAll

SIGNATURES = (
    *("getReservesList()", "ADDRESSES_PROVIDER()", "getPriceOracle()", "BASE_CURRENCY_UNIT()", "BASE_CURRENCY()"),
    "getAssetPrice(address)",
)
POOL, OTHER, LATER, PROVIDER, ORACLE, ELSE, TOKEN, DEAD = (at(number) for number in range(101, 109))


@pytest.mark.chain
@pytest.mark.xdist_group("fortnight")
def test_it_says_what_the_markets_own_reading_of_the_same_contracts_says(aave_fortnight: Fortnight) -> None:
    csu = csu_on(aave_fortnight)
    chain = Chain("local", 31337, multicall3_address="0xcA11bde05977b3631167028862bE2a173976CA11", multicall3_block=0)
    pool = Pool("local", 31337, [Endpoint("anvil", SecretUrl(aave_fortnight.node.url), Limits(rate=10_000))], Http())
    named = PriceOracle("local", csu.entry["pool"], DAYS[1], DAYS[-1], (), ("test",))
    read = ForAll({"local": chain}, "one_voice", 0.0)
    source = GovernedOraclePrices(chains={"local": chain}, pools=lambda _: pool, read=read, known=[named])
    partitions = [Partition("governed_oracle_prices", "local", Period.of_day(day)) for day in (DAYS[0], DAYS[4])]
    before, raw = [answer for trip in source.trips(partitions) for answer in source.fetch(trip)]
    assert isinstance(before, Miss)
    assert before.state == "gone", "the registry names it from the second day on"
    assert isinstance(raw, Raw)
    quotes = pl.DataFrame(list(source.parse(raw)), schema=QUOTES.polars_schema(), strict=False)
    assert QUOTES.violations(quotes) == []
    onchain = source_on(aave_fortnight, csu)
    (trip,) = onchain.trips([Partition("tvl", "local", Period.of_day(DAYS[4]))])
    (snapshot,) = onchain.fetch(trip)
    assert isinstance(snapshot, Raw)
    own = {
        row["asset"]: int(str(row["price_raw"])) / int(str(row["price_unit"]))
        for row in onchain.parse(snapshot)
        if row["price_raw"] is not None
    }
    assert dict(quotes.select("asset", "quote_price").iter_rows()) == own
    assert set(quotes["quote"]) == {"usd"}
    assert raw.block == snapshot.block


def book(**more: bytes | None) -> dict[tuple[str, str], bytes | None]:
    """Two pools that share a token, one that is not there yet; the first oracle has no price of one token."""
    return {
        (POOL, "getReservesList()"): array(TOKEN, DEAD),
        (POOL, "ADDRESSES_PROVIDER()"): uint(int(PROVIDER, 16)),
        (OTHER, "getReservesList()"): array(TOKEN),
        (OTHER, "ADDRESSES_PROVIDER()"): uint(int(POOL, 16)),
        (PROVIDER, "getPriceOracle()"): uint(int(ORACLE, 16)),
        (POOL, "getPriceOracle()"): uint(int(ELSE, 16)),
        **{(one, "BASE_CURRENCY_UNIT()"): uint(10**8) for one in (ORACLE, ELSE)},
        **{(one, "BASE_CURRENCY()"): uint(0) for one in (ORACLE, ELSE)},
        (ORACLE, f"getAssetPrice(address){TOKEN}"): uint(3 * 10**8),
        (ORACLE, f"getAssetPrice(address){DEAD}"): uint(0),
        (ELSE, f"getAssetPrice(address){TOKEN}"): uint(4 * 10**8),
        **{(ORACLE, f"{name}()"): value for name, value in more.items()},
    }


def test_three_rounds_whatever_the_number_of_pools_and_what_is_not_there_says_nothing() -> None:
    said, rounds = run_by_book(spoken([POOL, OTHER, LATER]), book(), SIGNATURES)
    assert len(rounds) == 3
    assert {pool: {asset: one.price_raw / one.unit for asset, one in of.items()} for pool, of in said.items()} == {
        POOL: {TOKEN: 3.0},
        OTHER: {TOKEN: 4.0},
    }
    in_ether, _ = run_by_book(spoken([POOL]), book(BASE_CURRENCY=uint(int(DEAD, 16))), SIGNATURES)
    assert in_ether[POOL][TOKEN].quote == DEAD
    with pytest.raises(Skip, match="unknown layout"):
        run_by_book(spoken([POOL]), book(BASE_CURRENCY_UNIT=None), SIGNATURES)


def test_the_named_oracles_are_whole_and_no_token_has_a_constant_for_a_price() -> None:
    named = price_oracles()
    assert len({(one.chain, one.pool, one.since) for one in named}) == len(named)
    assert named[0].speaks(date(2024, 12, 31))
    minted = {(one.chain, one.token) for one in feeds() if one.symbol == "GHO"}
    for chain, token in minted:
        for one in named:
            assert one.chain != chain or token in one.left_out, (chain, "GHO is 1 USD to Aave whatever it is worth")
    ended = replace(named[0], until=date(2023, 6, 1))
    assert ended.speaks(date(2023, 6, 1))
    assert not ended.speaks(date(2023, 6, 2))
    assert not ended.speaks(date(2022, 12, 31))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("nowhere,{pool},2023-01-01,,,,s", "unknown chain 'nowhere'"),
        ("ethereum,0x12,2023-01-01,,,,s", "'0x12' is no address in EIP-55"),
        ("ethereum,{pool},yesterday,,,,s", "since 'yesterday' is no day"),
        ("ethereum,{pool},,,,,s", "since is empty"),
        ("ethereum,{pool},2023-01-01,2022-01-01,,,s", "until is before since"),
        ("ethereum,{pool},2023-01-01,,{pool},,s", "a note must say why"),
        ("ethereum,{pool},2023-01-01,,,,", "a source must be named"),
        ("ethereum,{pool},2023-01-01,,,,s\nethereum,{pool},2023-01-01,,,,s", "stands there twice"),
    ],
)
def test_a_faulty_row_is_named_with_its_line(row: str, words: str) -> None:
    head = "chain,pool,since,until,left_out,note,source"
    faults: list[str] = []
    lines = lines_of("mine.csv", f"{head}\n{row.format(pool=POOL)}\n", head.split(","), faults)
    with pytest.raises(BadInput, match=rf"mine.csv, line \d: .*{words}"):
        read_oracles(lines, {"ethereum"}, faults)
