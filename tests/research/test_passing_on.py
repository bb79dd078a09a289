"""What may not be passed on is in no row that leaves: left out, replaced by the market's own oracle, or null; and told."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from cryptolake.errors import BadInput
from cryptolake.registry.loader import load_registry
from cryptolake.registry.terms import terms_of
from cryptolake.research.passing_on import attributions, passed_on, terms_document
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.sources.found import find_sources
from cryptolake.sources.onchain.families import declared

TERMS = load_registry(declared()).terms
SOURCES = ("chainlink", "coingecko", "defillama", "protocol_oracle", "somebody")
SECRET = 1234.5  # the figure that a vendor said, which must not leave


def rows(table: object, column: str, **values: object) -> pl.DataFrame:
    """A row of the table per source, with these values."""
    schema = table.polars_schema()  # type: ignore[attr-defined]
    frame = pl.DataFrame({column: SOURCES, "date": [date(2024, 1, 1)] * len(SOURCES)})
    made = frame.with_columns(pl.lit(value).alias(name) for name, value in values.items())
    absent = [pl.lit(None).alias(name) for name in schema if name not in made.columns]
    return made.with_columns(absent).select(list(schema)).cast(schema)


def numbers(frame: pl.DataFrame) -> set[float]:
    return {float(v) for name, t in frame.schema.items() if t.is_float() for v in frame[name].drop_nulls()}


def test_quotes_and_prices_of_others_are_left_out() -> None:
    quotes, told = passed_on("quotes", rows(QUOTES, "source"), TERMS)
    assert set(quotes["source"]) == {"chainlink", "protocol_oracle"}
    assert [(one.source, one.rows, one.how) for one in told] == [
        ("coingecko", 1, "left out"), ("defillama", 1, "left out"), ("somebody", 1, "left out")
    ]  # fmt: skip
    frame = rows(PRICES, "price_source", price=1.0, quotes=2, highest_usd=SECRET, median_usd=SECRET, spread=SECRET)
    prices, _ = passed_on("prices", frame, TERMS)
    assert set(prices["price_source"]) == {"chainlink", "protocol_oracle"}
    assert SECRET not in numbers(prices), "the highest of several quotes may be a vendor's"


@pytest.mark.parametrize("own", [7.0, None])
def test_a_reserve_is_valued_by_its_market_s_own_oracle_instead(own: float | None) -> None:
    usd = {f"{one}_usd": SECRET for one in ("supplied", "borrowed", "cash", "collateral")}
    mine = {f"{one}_own_usd": own for one in ("supplied", "borrowed", "cash", "collateral")}
    frame = rows(TVL, "price_source", price=SECRET, highest_price=SECRET, own_price=own, **usd, **mine)
    out, told = passed_on("tvl", frame, TERMS)
    closed = out.filter(pl.Series([one in {"coingecko", "defillama", "somebody"} for one in SOURCES]))
    assert SECRET not in numbers(closed)
    assert set(closed["price_source"]) == ({"protocol_oracle"} if own else {None})
    assert set(closed["supplied_usd"]) == {own}
    kept = out.filter(pl.col("price_source") == "chainlink")
    assert kept["price"].to_list() == [SECRET], "what stands in a contract may be passed on"
    assert {one.how for one in told} == {"replaced by the market's own oracle" if own else "left empty"}
    assert str(told[0]).startswith("tvl: 1 of coingecko ")


def test_an_event_is_too() -> None:
    values = {f"{side}_{name}": SECRET for side in ("debt", "collateral") for name in ("price", "usd")}
    frame = rows(LIQUIDATIONS, "price_source", collateral_price_source="defillama", debt_own_usd=3.0, **values)
    out, told = passed_on("liquidations", frame, TERMS)
    open_debt = out.filter(pl.col("price_source").is_in(["chainlink"]))
    assert open_debt["debt_usd"].to_list() == [SECRET]
    assert out["collateral_usd"].drop_nulls().is_empty()
    assert set(out["collateral_price_source"]) == {None}
    assert len(told) == 4


def test_other_tables_stay() -> None:
    frame = pl.DataFrame({"source": ["defillama"]})
    assert passed_on("ledger", frame, TERMS) == (frame, [])


def test_every_source_that_ships_has_terms_with_a_source() -> None:
    found = find_sources()
    shipped = {*found.price_sources, *(one.vendor.name for one in found.files if one.vendor is not None)}
    assert shipped | {"onchain", "protocol_oracle"} <= set(TERMS)
    assert all(one.sources and one.read_on for one in TERMS.values())
    assert not terms_of(TERMS, "nobody-knows").allows
    assert attributions(["coingecko", "onchain"], TERMS) == ["Powered by CoinGecko"]
    assert [one["source"] for one in terms_document(["onchain", "coingecko"], TERMS)] == ["coingecko", "onchain"]


def registry(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_a_user_says_otherwise_in_the_registry_file(tmp_path: Path) -> None:
    said = "terms:\n- {source: defillama, pass_on: yes, says: We asked., sources: [letter], read_on: 2026-01-02}\n"
    said += "dataset: {title: Mine, licence: CC0-1.0, authors: [{name: Ada, orcid: 0000-0002-1825-0097}]}\n"
    found = load_registry(declared(), registry(tmp_path, said))
    assert found.terms["defillama"].allows
    assert found.terms["coingecko"] == TERMS["coingecko"]
    assert found.dataset is not None
    assert (found.dataset.licence, found.dataset.authors[0].name) == ("CC0-1.0", "Ada")
    assert found.dataset.licence_url == "https://spdx.org/licenses/CC0-1.0.html"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("terms: [{source: x, pass_on: maybe, says: s, sources: [a], read_on: 2026-01-02}]", "pass_on must be one of"),
        ("terms: [{source: x, pass_on: no, says: s, sources: [], read_on: 2026-01-02}]", "at least one source"),
        ("terms: [{source: x, pass_on: no, says: s, sources: [a]}]", "read_on must be a day"),
        ("terms: [{source: x, pass_on: attribution, says: s, sources: [a], read_on: 2026-01-02}]", "how it is named"),
        ("terms: [{sauce: x}]", "unknown key 'sauce'"),
        ("dataset: {title: t, licence: my own words, authors: [a]}", "SPDX name"),
        ("dataset: {title: t, licence: MIT, authors: []}", "at least one author"),
        ("dataset: {title: t, licence: MIT, authors: [{name: a, orcid: '12'}]}", "orcid '12' is written as"),
    ],
)
def test_faulty_rows_are_named(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=fault):
        load_registry(declared(), registry(tmp_path, text))
