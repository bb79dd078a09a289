"""The causes of a difference add up to it exactly, whatever the figures; each cause is recognised where it is planted."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.errors import BadInput
from cryptolake.net.access import Access
from cryptolake.net.http import Http
from cryptolake.quality.compare import Event, Holding, explain_liquidations, explain_tvl
from cryptolake.quality.reconcile import reconcile
from cryptolake.research.explain import liquidations_against_file, read_figures
from cryptolake.sources.defillama.protocol import DefiLlamaProtocols

money = st.floats(1.0, 1e9)
holding = st.builds(Holding, money, st.one_of(st.none(), money), st.one_of(st.none(), money))


@settings(max_examples=examples(200))
@given(
    st.dictionaries(st.sampled_from("ABCDE"), holding, max_size=5),
    money,
    money,
    st.one_of(st.none(), st.dictionaries(st.sampled_from("ABCDE"), holding, max_size=5)),
)
def test_the_parts_add_up(
    ours: dict[str, Holding], gross: float, total: float, theirs: dict[str, Holding] | None
) -> None:
    found = explain_tvl(ours, gross, total, theirs)
    # Parts may be far larger than what they add up to: then the float itself is the limit.
    tolerance = 1e-3 + 1e-14 * max((abs(part.usd) for part in found.parts), default=0.0)
    assert math.fsum(part.usd for part in found.parts) == pytest.approx(found.difference, abs=tolerance, rel=1e-9)
    assert math.fsum(found.by_cause().values()) == pytest.approx(found.difference, abs=tolerance, rel=1e-9)


def causes(mine: Holding, other: Holding) -> dict[str, float]:
    return explain_tvl({"A": mine}, 0.0, other.usd, {"A": other}).by_cause()


def test_each_cause_is_told_from_the_others() -> None:
    assert causes(Holding(100.0, 100.0), Holding(110.0, 100.0)) == {"price": pytest.approx(-10.0)}
    assert causes(Holding(100.0, 100.0), Holding(90.0, 90.0)) == {"amount": pytest.approx(10.0)}
    near = Holding(100.0, 100.0, None, 85.0, 101.0)
    assert causes(near, Holding(90.0, 90.0)) == {"snapshot_instant": pytest.approx(10.0)}
    assert causes(Holding(60.0, 60.0, 100.0), Holding(100.0, 100.0)) == {"definition": pytest.approx(-40.0)}
    assert explain_tvl({"A": Holding(5.0, 5.0)}, 5.0, 7.0, {"B": Holding(7.0, 7.0)}).by_cause() == {
        "missing_assets": -2.0
    }
    assert explain_tvl({"A": Holding(100.0, 1.0)}, 100.0, 100.4, {"A": Holding(100.0, 1.0)}).by_cause() == {
        "rounding": pytest.approx(-0.4)
    }
    assert explain_tvl({"A": Holding(60.0)}, 100.0, 101.0, None).by_cause() == {"definition": -40.0, "rounding": -1.0}
    assert explain_tvl({"A": Holding(60.0)}, 100.0, 61.5, None).by_cause() == {"unexplained": -1.5}


def test_liquidations_by_event_and_by_total() -> None:
    ours = [Event("a:1", 100.0, 100.0), Event("b:1", 50.0, 50.0)]
    theirs = [Event("a:1", 110.0, 100.0), Event("c:1", 30.0)]
    found = explain_liquidations(ours, theirs, 160.0)
    assert found.by_cause() == {"missing_events": 20.0, "price": pytest.approx(-10.0)}
    assert explain_liquidations(ours, [], 160.0, 160.0).by_cause() == {"definition": -10.0}


def silver_events() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "tx": ["0xAA", "0xAA"],
            "log_index": [3, 7],
            "debt_usd": [10.0, 20.0],
            "debt_amount": [1.0, 2.0],
            "collateral_usd": [11.0, 21.0],
        }
    )


def test_a_file_of_events_is_matched_by_transaction_and_log_index() -> None:
    figures = pl.DataFrame({"tx": ["0xaa", "0xbb"], "usd": [10.0, 5.0]})
    found = liquidations_against_file(silver_events(), figures)
    assert found.by_cause() == {"missing_events": 15.0}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "no column 'usd'"),
        ("csu,usd\nother,2\n", "no row for m"),
        ("usd\nmany\n", "must be numbers"),
        ("", "CSV"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=words):
        read_figures(path, "m", date(2024, 12, 31))


def test_their_midnight_point_belongs_to_the_day_that_ended_and_now_is_left_out() -> None:
    midnight = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())
    series = {
        "tvl": [{"date": midnight, "totalLiquidityUSD": 130.0}, {"date": midnight + 4321, "totalLiquidityUSD": 999.0}],
        "tokens": [{"date": midnight, "tokens": {"USDC": 100.0}}],
        "tokensInUsd": [{"date": midnight, "tokens": {"USDC": 100.0, "DAI": 30.0}}],
    }
    document = {"chainTvls": {"Ethereum": series, "Ethereum-borrowed": series, "borrowed": series}}
    at = datetime(2025, 1, 2, tzinfo=UTC)
    partition = Partition("defillama_protocol", "aave-v3", Period.of_day(date(2025, 1, 2)))
    rows = DefiLlamaProtocols(Access(Http()), []).parse(Raw(partition, "x", at, at, json.dumps(document).encode()))
    theirs = pl.DataFrame(list(rows))
    assert theirs["chain"].unique().to_list() == ["Ethereum"]
    assert theirs["date"].unique().to_list() == [date(2024, 12, 31)]
    ours = pl.DataFrame(
        {
            "csu": ["m", "m"], "chain": ["ethereum"] * 2, "date": [date(2024, 12, 31)] * 2, "symbol": ["usdc", "WETH"],
            "supplied": [150.0, 1.0], "cash": [100.0, 1.0], "collateral": [0.0, 0.0], "supplied_usd": [150.0, 3000.0],
            "cash_usd": [100.0, 3000.0], "collateral_usd": [0.0, 0.0],
        }
    )  # fmt: skip
    (found,) = reconcile("aave-v3", ours, theirs, {"ethereum": "Ethereum"})
    assert found.verdict == "differs"
    assert found.explanation.by_cause() == {"missing_assets": 2970.0}
    (agrees,) = reconcile(
        "aave-v3", ours.head(1), theirs.with_columns(pl.lit(101.0).alias("usd")), {"ethereum": "Ethereum"}
    )
    assert agrees.verdict == "agrees"
