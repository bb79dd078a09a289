"""Known events: every one that ships is dated, sourced and sound; they fall on the market-days that they touch alone."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.errors import BadInput
from cryptolake.gold import event_days
from cryptolake.gold.daily_panel import EXPECTED
from cryptolake.registry.known_events import KINDS, KnownEvent
from cryptolake.registry.loader import load_registry
from cryptolake.silver import known_events
from cryptolake.sources.onchain.families import declared

REGISTRY = load_registry(declared())
FIRST = date(2024, 5, 1)
MARKETS = {"a": ("ethereum", "aave"), "b": ("base", "aave"), "c": ("base", "venus")}


def event(**values: Any) -> KnownEvent:
    given: dict[str, Any] = {
        "name": "e",
        "kind": "depeg",
        "first": FIRST,
        "last": FIRST,
        "what": "w",
        "sources": ("s",),
    }
    return KnownEvent(**{**given, **values})


def expected(days: int = 3) -> pl.DataFrame:
    rows = [
        {"csu": csu, "date": FIRST + timedelta(days=n), "chain": chain, "protocol": protocol}
        for csu, (chain, protocol) in MARKETS.items()
        for n in range(days)
    ]
    frame = pl.DataFrame(rows)
    absent = [pl.lit(None).alias(name) for name in EXPECTED if name not in frame.columns]
    return frame.with_columns(absent).select(EXPECTED.names()).cast(EXPECTED)


def held(*rows: tuple[str, int, str, float, float]) -> pl.DataFrame:
    schema = {"csu": pl.String, "date": pl.Date, "asset": pl.String, "symbol": pl.String,
              "supplied": pl.Float64, "collateral": pl.Float64}  # fmt: skip
    made = [(csu, FIRST + timedelta(days=n), symbol, symbol, one, two) for csu, n, symbol, one, two in rows]
    return pl.DataFrame(made, schema=schema, orient="row")


def touched(*events: KnownEvent, tvl: pl.DataFrame | None = None) -> list[tuple[str, int, str, str | None]]:
    listed = known_events.conform(events)
    known_events.TABLE.require(listed)
    rows = event_days.build(listed, expected(), held() if tvl is None else tvl)
    event_days.TABLE.require(rows)
    return [(csu, (day - FIRST).days, by, tokens) for csu, day, by, tokens in
            rows.select("csu", "date", "touched_by", "tokens").iter_rows()]  # fmt: skip


def test_an_event_falls_on_the_days_of_the_markets_it_names() -> None:
    assert touched(event(csus=("b",), last=FIRST + timedelta(days=1))) == [
        ("b", 0, "market", None),
        ("b", 1, "market", None),
    ]
    assert touched(event(csus=("b",), first=date(2020, 1, 1), last=date(2020, 1, 2))) == [], (
        "no day that nobody asked for"
    )


def test_of_a_protocol_it_touches_the_chains_that_it_names_or_all() -> None:
    assert [csu for csu, *_ in touched(event(protocols=("aave",)))] == ["a", "b"]
    assert touched(event(protocols=("aave",), chains=("base",))) == [("b", 0, "protocol", None)]
    assert touched(event(protocols=("nobody",))) == []


def test_of_a_token_it_touches_who_holds_it_on_that_day() -> None:
    tvl = held(
        ("a", 0, "USDC", 1.0, 0.0), ("a", 0, "DAI", 0.0, 2.0), ("b", 0, "USDC", 0.0, 0.0), ("c", 1, "USDC", 1.0, 0.0)
    )
    assert touched(event(symbols=("USDC", "DAI")), tvl=tvl) == [("a", 0, "token", "DAI;USDC")]
    both = touched(event(csus=("a",), symbols=("USDC",)), tvl=tvl)
    assert both == [("a", 0, "market", None)], "once, and by what says more"


@given(order=st.permutations(range(4)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    events = [event(name=f"e{n}", csus=("a", "b"), symbols=("USDC",)) for n in range(4)]
    tvl = held(*(("c", 0, "USDC", 1.0, 0.0) for _ in range(1)))
    assert touched(*(events[n] for n in order), tvl=tvl) == touched(*events, tvl=tvl)


def test_what_ships_is_dated_sourced_and_sound() -> None:
    assert len(REGISTRY.events) >= 60
    assert {one.kind for one in REGISTRY.events} == set(KINDS)
    for one in REGISTRY.events:
        assert one.sources, one.name
        assert all(where.startswith("https://") for where in one.sources), one.name
        assert one.first <= one.last <= one.first + timedelta(days=14), one.name
        assert one.name.endswith(one.first.isoformat().replace("-", "_")), one.name
    known_events.TABLE.require(known_events.conform(REGISTRY.events))
    protocols = {csu.protocol for csu in REGISTRY.csus.values()}
    for one in REGISTRY.events:
        assert not one.chains or set(one.protocols) <= protocols, (
            f"{one.name}: chains narrow a protocol that nobody has"
        )
        assert set(one.chains) <= set(REGISTRY.chains), one.name


GOOD = "{name: e, kind: exploit, first: 2024-01-01, what: w, csus: [aave_v3_ethereum], sources: [s]}"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("kind: exploit", "kind: bad luck"), "kind 'bad luck' must be one of"),
        (("first: 2024-01-01", "first: soon"), "must be days"),
        (("what: w", "what: w, last: 2023-01-01"), "lies before first"),
        (("csus: [aave_v3_ethereum], ", ""), "says whom it touches"),
        (("csus: [aave_v3_ethereum]", "csus: [nobody]"), "unknown market 'nobody'"),
        (("what: w", "chains: [base], what: w"), "chains narrows protocols"),
        (("sources: [s]", "sources: []"), "at least one source"),
        (("what: w, ", ""), "what must say the facts"),
    ],
)
def test_a_faulty_row_of_the_user_s_is_named(change: tuple[str, str], fault: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"events: [{GOOD}]")
    assert [one.name for one in load_registry(declared(), file).events if one.name == "e"] == ["e"]
    file.write_text(f"events: [{GOOD.replace(*change)}]")
    with pytest.raises(BadInput, match=fault):
        load_registry(declared(), file)
