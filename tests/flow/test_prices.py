"""A token nobody on the chain prices is asked of a vendor once, valued with the answer, and not asked again."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from benchmarks.synthetic_lake import World, fill, market, partitions, source
from tests.sources.test_price_vendors import Vendor, vendor

from cryptolake.contracts.source import Source
from cryptolake.errors import Stop
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.registry.loader import load_registry
from cryptolake.silver import liquidations, prices, tvl
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.sources.defillama.prices import DATASET, DefiLlamaPrices
from cryptolake.sources.onchain.families import declared
from cryptolake.state.ledger import Ledger
from cryptolake.work import prices as flow
from cryptolake.work.price_sources import read_quotes
from cryptolake.work.refine import refine, reprice
from cryptolake.work.repair import repair

__all__ = ["vendor"]
FIRST = date(2024, 3, 1)
LAST = FIRST + timedelta(days=2)
CHAINS = load_registry(declared()).chains


class Priceless(World):
    """A world whose oracle has no price (0) for one token."""

    def price(self, chain: str, asset: str, day: date) -> int:
        return 0 if asset == self.listed(self.csus[0])[0] else super().price(chain, asset, day)


def test_missing_prices_are_asked_once_and_used(vendor: Vendor, tmp_path: Path) -> None:
    world = Priceless([market("one", "ethereum")], assets=1)
    token = world.listed(world.csus[0])[0]
    fill(tmp_path, world, FIRST, LAST, quiet_events=0).close()
    bronze, tables, ledger = Bronze(tmp_path), Tables(tmp_path), Ledger(tmp_path / "ledger.sqlite")
    refine(source(world), partitions(world, FIRST, LAST), bronze=bronze, tables=tables)
    wanted = flow.wanted_of(tables, DATASET.name)
    assert {(p.key, p.period.day, *asked) for p, asked in wanted.items()} == {
        ("ethereum", FIRST + timedelta(days=n), token) for n in range(3)
    }

    def reply(_path: str, query: dict[str, list[str]]) -> tuple[int, object]:
        asked = json.loads(query["coins"][0])
        return 200, {
            "coins": {name: {"prices": [{"timestamp": at, "price": 7.0} for at in ats]} for name, ats in asked.items()}
        }

    vendor.reply = reply
    left = flow.unanswered(wanted, DATASET.name, bronze, ledger.states())
    assert left == wanted
    asked_source = DefiLlamaPrices(vendor.access, CHAINS, left, patience=vendor.patience)
    result = flow.ask(asked_source, list(left), bronze=bronze, ledger=ledger, workers=2, resume=False)
    assert (result.done, result.failed) == (3, 0)
    quotes = read_quotes({"defillama": asked_source}, bronze, ledger.states())
    reprice(tables=tables, quotes=quotes)
    valued = tables.read(tvl.TABLE).filter(pl.col("asset") == token)
    assert valued["price"].unique().to_list() == [7.0]
    assert valued["price_source"].unique().to_list() == ["defillama"]
    assert tables.read(tvl.TABLE)["price"].null_count() == 0
    assert flow.wanted_of(tables, DATASET.name) == {}
    assert flow.unanswered(wanted, DATASET.name, bronze, ledger.states()) == {}
    more = flow.wanted_of(tables, DATASET.name, everything=True)
    again = flow.unanswered(more, DATASET.name, bronze, ledger.states())
    assert all(token in asked for p, asked in again.items() if p.key == "ethereum"), (
        "a new answer must hold the old tokens"
    )
    # A day refined again keeps what the vendor said; a rebuild from bronze finds it again.
    refine(source(world), partitions(world, LAST, LAST), bronze=bronze, tables=tables, quotes=quotes)
    before = tables.read(tvl.TABLE)
    assert before["price"].null_count() == 0
    refine(source(world), partitions(world, FIRST, LAST), bronze=bronze, tables=tables, quotes=quotes, fresh=True)
    assert tables.read(tvl.TABLE).equals(before)
    _a_lost_price_answer_is_never_silent(asked_source, source(world), bronze, ledger)
    ledger.close()


def test_a_token_that_only_its_own_market_prices_is_asked_of_vendors_too(tmp_path: Path) -> None:
    """What one market's oracle says is nobody else's price, and a vendor's word is heard before it."""
    world = World([market("one", "ethereum")], assets=2)
    fill(tmp_path, world, FIRST, FIRST, quiet_events=0).close()
    tables = Tables(tmp_path)
    refine(source(world), partitions(world, FIRST, FIRST), bronze=Bronze(tmp_path), tables=tables)
    assert tables.read(tvl.TABLE)["price_source"].to_list() == ["protocol_oracle"] * 2
    (asked,) = flow.wanted_of(tables, DATASET.name).values()
    assert sorted(asked) == sorted(world.listed(world.csus[0]))


def _a_lost_price_answer_is_never_silent(vendor: Source, chain: Source, bronze: Bronze, ledger: Ledger) -> None:
    """Gone, cut short or another one: whoever values says so, until it is asked again or the ledger says that it is lost."""
    told = [one for one in ledger.states() if one.dataset == DATASET.name]
    path = bronze.raw_path(told[0], vendor.name)
    whole, other = path.read_bytes(), bronze.raw_path(told[1], vendor.name).read_bytes()
    for content in (None, whole[:-9], b"", other):
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(
            Stop, match=f"1 answer of price source defillama cannot be found .*{told[0]}.*prices collect"
        ):
            read_quotes({"defillama": vendor}, bronze, ledger.states())
        again = flow.ask(vendor, told, bronze=bronze, ledger=ledger, workers=1)
        assert (again.done, again.failed) == (1, 0), "what is lost is asked again, and nothing else"
        assert read_quotes({"defillama": vendor}, bronze, ledger.states()).height == len(told)
    assert read_quotes({"defillama": vendor}, bronze, ledger.states()).height == len(told)
    path.unlink()
    found = repair(ledger, bronze, chain, known=lambda _key: True, prices=[vendor])
    assert found.damaged == (told[0],)
    lost = ledger.state(told[0])
    assert lost is not None
    assert (lost.state, lost.reason) == ("failed", "damaged")
    assert "prices collect" in str(lost.error)
    assert read_quotes({"defillama": vendor}, bronze, ledger.states()).height == len(told) - 1


def test_an_event_counts_once_and_is_worth_what_the_token_is_worth_in_dollars() -> None:
    """Traps: joins that multiply events, and a market's own `usdValue` in ether taken for dollars."""
    weth, collateral = "0x" + "11" * 20, "0x" + "22" * 20
    row: dict[str, object] = {
        "csu": "comet_weth", "date": FIRST, "chain": "ethereum", "block": 5, "block_hash": "0x1", "timestamp": 1709337599,
        "tx": "0xaa", "log_index": 1, "liquidator": "0x3", "borrower": None, "extra": '{"usdValue": "2.0"}',
        "collateral_asset": collateral, "collateral_symbol": "C", "collateral_decimals": 18,
        "collateral_amount_raw": str(3 * 10**18), "collateral_price_raw": "700000000000000000",
        "collateral_price_unit": str(10**18), "collateral_price_quote": weth,
        "debt_asset": weth, "debt_symbol": "WETH", "debt_decimals": 18, "debt_amount_raw": str(2 * 10**18),
        "debt_price_raw": str(10**18), "debt_price_unit": str(10**18), "debt_price_quote": weth,
    }  # fmt: skip
    events = liquidations.conform([row, row, {**row, "log_index": 2}])
    assert events.height == 2
    at = events["block_time"][0]
    usd = {
        "date": FIRST, "chain": "ethereum", "asset": weth, "source": "chainlink", "quoted_by": "feed",
        "quote_price": 3_000.0, "quote": "usd", "observed_at": at, "age_s": 0.0, "weight": 1.0,
    }  # fmt: skip
    wanted = pl.DataFrame({"date": [FIRST] * 2, "chain": ["ethereum"] * 2, "asset": [weth, collateral]})
    chosen = prices.choose(pl.DataFrame([usd], schema=QUOTES.polars_schema()), wanted)
    valued = liquidations.value(events, chosen)
    assert valued["debt_usd"].to_list() == [6_000.0, 6_000.0]
    assert valued["collateral_usd"].to_list() == pytest.approx([6_300.0, 6_300.0])
    assert valued["price_source"].unique().to_list() == ["chainlink"]
    assert valued["collateral_price_source"].unique().to_list() == ["protocol_oracle"]
    assert valued["collateral_own_usd"].to_list() == pytest.approx([6_300.0, 6_300.0])
    assert liquidations.TABLE.violations(valued) == []
