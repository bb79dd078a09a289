"""DefiLlama's series of a protocol is asked once a day, kept, and compared by chain and day with ours."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from tests.sources.test_price_vendors import Vendor, vendor

from cryptolake.errors import BadInput, Retry
from cryptolake.lake.bronze import Bronze
from cryptolake.registry.loader import load_registry
from cryptolake.sources.defillama.protocol import DefiLlamaProtocols
from cryptolake.sources.onchain.families import declared
from cryptolake.state.ledger import Ledger
from cryptolake.work.reconciliation import compared, slug_of, theirs

__all__ = ["vendor"]
MIDNIGHT = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())
REGISTRY = load_registry(declared())


def body(total: float) -> dict[str, object]:
    point = {"date": MIDNIGHT, "totalLiquidityUSD": total}
    return {
        "chainTvls": {"Ethereum": {"tvl": [point]}, "Binance": {"tvl": [point]}, "Ethereum-borrowed": {"tvl": [point]}}
    }


def ours() -> pl.DataFrame:
    rows = [
        ("aave_v3_ethereum", "ethereum", 60.0),
        ("aave_v3_binance", "binance", 70.0),
        ("compound_v3_eth_usdc", "ethereum", 9.0),
    ]
    return pl.DataFrame(
        [
            {
                "csu": csu, "chain": chain, "date": date(2024, 12, 31), "symbol": "USDC", "supplied": 100.0,
                "cash": cash, "collateral": 0.0, "supplied_usd": 100.0, "cash_usd": cash, "collateral_usd": 0.0,
            }
            for csu, chain, cash in rows
        ]
    )  # fmt: skip


def test_asked_once_a_day_and_compared_by_chain(vendor: Vendor, tmp_path: Path) -> None:
    vendor.reply = lambda _path, _query: (200, body(61.0))
    source = DefiLlamaProtocols(vendor.access, ["aave-v3"], patience=vendor.patience)
    bronze, ledger = Bronze(tmp_path), Ledger(tmp_path / "ledger.sqlite")
    today = datetime(2025, 1, 2, 12, tzinfo=UTC)
    for _ in range(2):
        said = theirs(source, "aave-v3", bronze=bronze, ledger=ledger, today=today)
    assert [path for path, _ in vendor.asked] == ["/protocol/aave-v3"]
    aave = [csu for csu in REGISTRY.csus.values() if (csu.protocol, csu.version) == ("aave", "3")]
    found = {one.chain: one for one in compared("aave-v3", aave, ours(), said, REGISTRY.chains)}
    assert set(found) == {"ethereum", "binance"}, "a market of another protocol does not count"
    assert (found["ethereum"].explanation.ours, found["ethereum"].verdict) == (60.0, "agrees")
    assert (found["binance"].explanation.ours, found["binance"].verdict) == (70.0, "differs")
    ledger.close()


def test_a_refusal_is_said_and_nothing_is_compared(vendor: Vendor, tmp_path: Path) -> None:
    vendor.reply = lambda _path, _query: (404, {})
    source = DefiLlamaProtocols(vendor.access, ["nobody"], patience=vendor.patience)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    with pytest.raises(Retry, match="does not know"):
        theirs(source, "nobody", bronze=Bronze(tmp_path), ledger=ledger)
    ledger.close()


def test_a_name_is_known_or_given() -> None:
    market = REGISTRY.csus["aave_v3_ethereum"]
    assert slug_of(market) == "aave-v3"
    assert slug_of(market, "mine") == "mine"
    unknown = next(csu for csu in REGISTRY.csus.values() if csu.protocol == "sumer")
    with pytest.raises(BadInput, match="--slug"):
        slug_of(unknown)
