"""Whatever a figure of the panel is made of, what it is opened into comes to it: priced or not, left out or not."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gold.test_flagged_markets import DAY, HONEST, TOY, named, pair, token

from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.gold import daily_panel, flagged_markets
from cryptolake.gold.opened import OpenedFigure, opened
from cryptolake.gold.totals import EVENT_SUMS, SUMS
from cryptolake.silver import exclusions
from cryptolake.silver.isolated_markets import TABLE as ISOLATED
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.tvl import TABLE as TVL

TOKENS = tuple(f"0x{number:040x}" for number in range(1, 5))
FIGURES = [name for name, dtype in daily_panel.TABLE.polars_schema().items() if dtype.is_numeric()]
DECIMALS = 6

amounts = st.integers(0, 10**14)
price = st.one_of(st.none(), st.floats(1e-6, 1e6))


@st.composite
def held(draw: st.DrawFn, asset: str, day: int) -> dict[str, object]:
    """A row of silver as `tvl.value` makes it: priced by others, by the market's own oracle, by both, by nobody."""
    supplied, borrowed, collateral = (draw(amounts) for _ in range(3))
    dead = draw(st.integers(0, 9)) == 0
    said, own = (None, None) if dead else (draw(price), draw(price))
    taken = said if said is not None else own
    raw = {
        "supplied": supplied,
        "borrowed": borrowed,
        "cash": max(0, supplied - borrowed),
        "collateral": collateral,
    }
    tokens = {name: amount / 10**DECIMALS for name, amount in raw.items()}
    return {
        **dict.fromkeys(TVL.columns),
        **tokens,
        **{f"{name}_raw": str(amount) for name, amount in raw.items()},
        **{f"{name}_usd": None if taken is None else amount * taken for name, amount in tokens.items()},
        **{f"{name}_own_usd": None if own is None else amount * own for name, amount in tokens.items()},
        "csu": "m", "date": DAY + timedelta(days=day), "chain": "c", "block": 7 + day, "block_hash": "0x1",
        "asset": asset, "symbol": asset[-3:], "decimals": DECIMALS, "price": taken, "own_price": own,
        "price_source": None if taken is None else "coingecko" if said is not None else "protocol_oracle",
        "price_age_s": None if taken is None else draw(st.floats(-9e4, 9e4)),
        "price_flag": DEAD if dead else "no_source" if taken is None else draw(st.sampled_from(["ok", "disagrees"])),
    }  # fmt: skip


@st.composite
def event(draw: st.DrawFn, number: int) -> dict[str, object]:
    """A liquidation of two of the tokens, each with a price or without."""
    found: dict[str, object] = {
        **dict.fromkeys(LIQUIDATIONS.columns),
        "csu": "m", "date": DAY, "chain": "c", "tx": f"0x{number:x}", "log_index": number,
    }  # fmt: skip
    for side in ("debt", "collateral"):
        amount, said = draw(amounts), draw(price)
        tokens = amount / 10**DECIMALS
        found |= {
            f"{side}_asset": draw(st.sampled_from(TOKENS)),
            f"{side}_symbol": side,
            f"{side}_amount_raw": str(amount),
            f"{side}_amount": tokens,
            f"{side}_price": said,
            f"{side}_usd": None if said is None else tokens * said,
        }
    usd = found["debt_usd"]
    return {**found, "is_dust": None if not isinstance(usd, float) else usd < 5}


@st.composite
def isolated(draw: st.DrawFn, market: str, row: dict[str, object]) -> dict[str, object]:
    """An isolated market that lends part of what the row holds, against the last token."""
    share = draw(st.sampled_from([0.0, 0.3, 1.0]))
    supplied, borrowed = (float(str(row[name])) * share for name in ("supplied", "borrowed"))
    return pair(
        market,
        loan=str(row["asset"]),
        collateral=TOKENS[-1],
        supplied=supplied,
        borrowed=borrowed,
        pledged=draw(st.sampled_from([0.0, 5.0])),
        takers=draw(st.sampled_from([1, 2])),
    )


@settings(max_examples=60)
@given(st.data())
def test_every_figure_is_what_it_is_opened_into(data: st.DataObject) -> None:
    listed = data.draw(st.lists(st.sampled_from(TOKENS), unique=True))
    tokens = [data.draw(held(asset, day)) for day in (-1, 0) for asset in listed]
    today = tokens[len(listed) :]
    pairs = [data.draw(isolated(market, row)) for market, row in zip((HONEST, TOY), today, strict=False)]
    happened = [data.draw(event(number)) for number in range(data.draw(st.integers(0, 3)))]
    what = st.sampled_from([named("market", TOY), named("market", HONEST), named("token", TOKENS[0])])
    tvl = pl.DataFrame(tokens, schema=TVL.polars_schema(), orient="row")
    events = pl.DataFrame(happened, schema=LIQUIDATIONS.polars_schema(), orient="row")
    flagged = flagged_markets.build(
        tvl,
        pl.DataFrame(pairs, schema=ISOLATED.polars_schema(), orient="row"),
        exclusions.conform(data.draw(st.lists(what, unique=True))),
    )
    states = ("done" if listed else "empty", None, "one_voice", "done" if happened else "empty", None, "one_voice")
    keys = [("m", DAY + timedelta(days=day), "c", "f", "p", *states) for day in (-1, 0)]
    expected = pl.DataFrame(keys, schema=daily_panel.EXPECTED, orient="row")
    row = daily_panel.build(tvl, events, expected, flagged).filter(pl.col("date") == DAY).row(0, named=True)
    flagged = flagged.filter(pl.col("date") == DAY)
    for column in FIGURES:
        found = opened(column, row, tvl, events, flagged)
        adds_up(column, row[column], found)


def adds_up(column: str, value: float | int | None, found: OpenedFigure) -> None:
    """What is opened comes to the figure, and each product to its own part, the raw amount to what is left and what is not."""
    assert found.formula
    if value is not None:
        assert found.adds_up == pytest.approx(value, rel=1e-9, abs=1e-9), column
    elif column in {*SUMS, *EVENT_SUMS} and found.terms:
        assert found.adds_up is not None, "the part that has a price is shown where there is no total"
    for term in found.terms:
        if term.usd is not None:
            assert term.usd == pytest.approx(term.amount * (term.price or 0.0), rel=1e-9)
        whole = int(term.raw) / 10**DECIMALS
        assert term.amount + term.left_out == pytest.approx(whole, rel=1e-9)
        assert term.left_out >= 0


def test_what_is_left_out_in_part_is_shown_beside_the_rest() -> None:
    raw = dict.fromkeys(("supplied_raw", "borrowed_raw", "cash_raw", "collateral_raw"), str(10 * 10**DECIMALS))
    row = {**token(TOKENS[0], price=2.0, supplied=10.0, borrowed=4.0), **raw}
    tvl = pl.DataFrame([row], schema=TVL.polars_schema(), orient="row")
    toy = pair(TOY, loan=TOKENS[0], collateral=TOKENS[-1], supplied=3.0, borrowed=1.0)
    markets = pl.DataFrame([toy], schema=ISOLATED.polars_schema(), orient="row")
    flagged = flagged_markets.build(tvl, markets, exclusions.conform([named("market", TOY)]))
    panel = {"date": DAY, "total_supplied_usd": 14.0}
    (term,) = opened("total_supplied_usd", panel, tvl, LIQUIDATIONS.empty(), flagged).terms
    assert (term.raw, term.left_out, term.amount, term.usd) == ("10000000", 3.0, 7.0, 14.0)
