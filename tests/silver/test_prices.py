"""Which price is taken, how a quote in another token becomes USD, and what is flagged instead of guessed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.silver.prices import Pricing, choose, oracle_quotes, pricing_of, tidy
from cryptolake.silver.quotes import TABLE as QUOTES

DAY = date(2024, 12, 31)
SNAPSHOT = datetime(2024, 12, 31, 23, 59, 48, tzinfo=UTC)
WETH, WBTC, USDC, WSTETH = (f"0x{number:040x}" for number in (1, 2, 3, 4))
WANTED = pl.DataFrame(
    [(DAY, "ethereum", asset) for asset in (WETH, WBTC, USDC, WSTETH)],
    schema={"date": pl.Date, "chain": pl.String, "asset": pl.String},
    orient="row",
)


def quote(asset: str, source: str, price: float, quoted: str = "usd", **more: object) -> dict[str, object]:
    row: dict[str, object] = {
        "date": DAY,
        "chain": "ethereum",
        "asset": asset,
        "source": source,
        "quoted_by": "one",
        "quote_price": price,
        "quote": quoted,
        "age_s": 0.0,
        "weight": 1.0,
        **more,
    }
    row["observed_at"] = SNAPSHOT - timedelta(seconds=float(str(row["age_s"])))
    return row


def chosen(*rows: dict[str, object], pricing: Pricing | None = None) -> dict[str, dict[str, object]]:
    frame = choose(pl.DataFrame(list(rows), schema=QUOTES.polars_schema()), WANTED, pricing)
    assert PRICES.violations(frame) == []
    return {str(row["asset"]): row for row in frame.iter_rows(named=True)}


@pytest.mark.parametrize("order", ["file,protocol_oracle", "protocol_oracle,file", "file,chainlink", "chainlink,file"])
def test_any_order_of_the_ladder_prices_alike_whether_ages_are_whole_seconds_or_not(order: str) -> None:
    how = pricing_of(order, {"chainlink": 90_000.0, "file": 86_400}, 0.02)
    rows = [quote(WETH, source, 100.0) for source in order.split(",")]
    assert chosen(*rows, pricing=how)[WETH]["price_source"] == order.partition(",")[0]


def test_the_ladder_is_followed() -> None:
    rows = [
        quote(WETH, source, 100.0 + n * 1e-3)
        for n, source in enumerate(("file", "coingecko", "defillama", "chainlink"))
    ]
    for left, source in ((4, "chainlink"), (3, "defillama"), (2, "coingecko"), (1, "file")):
        assert chosen(*rows[:left])[WETH]["price_source"] == source
    assert chosen(*rows, quote(WETH, "protocol_oracle", 99.9))[WETH]["price"] == 99.9
    swapped = Pricing(ladder=("file", "chainlink"))
    assert chosen(*rows, pricing=swapped)[WETH]["price_source"] == "file"


def test_of_several_markets_the_one_that_holds_most_is_believed() -> None:
    toy = quote(WETH, "protocol_oracle", 50_000.0, quoted_by="a_toy", weight=0.5)
    deep = quote(WETH, "protocol_oracle", 3_400.0, quoted_by="z_deep", weight=1e6)
    found = chosen(toy, deep)[WETH]
    assert (found["price"], found["quoted_by"]) == (3_400.0, "z_deep")
    assert found["flag"] == "disagrees"
    assert found["spread"] == pytest.approx(50_000 / 3_400 - 1)


def test_a_quote_in_eth_in_a_token_or_in_btc_is_converted_by_that_days_price() -> None:
    rows = [
        quote(WSTETH, "protocol_oracle", 1.19, WETH),
        quote(WETH, "chainlink", 3_400.0),
        quote(WBTC, "chainlink", 0.99, "btc"),
        quote("btc", "chainlink", 93_000.0, chain="any", age_s=1_800.0),
        quote(USDC, "chainlink", 1 / 3_400.0, "eth"),
        quote("eth", "chainlink", 3_401.0, chain="any"),
    ]
    found = chosen(*rows)
    assert found[WSTETH]["price"] == 1.19 * 3_400.0
    assert (found[WSTETH]["quote"], found[WSTETH]["numeraire_usd"]) == (WETH, 3_400.0)
    assert found[WBTC]["price"] == 0.99 * 93_000.0
    assert found[WBTC]["price_age_s"] == 1_800.0, "of two prices the older counts"
    assert found[USDC]["price"] == pytest.approx(3_401 / 3_400)
    assert found["btc"]["price"] == 93_000.0, "a numeraire in use is listed too"


def test_a_constant_feed_on_a_weth_market_is_not_dollars() -> None:
    """Trap: a Comet on WETH prices WETH at the constant 1.0; read as USD it is wrong by the price of ether."""
    found = chosen(quote(WETH, "protocol_oracle", 1.0, WETH), quote(WETH, "chainlink", 3_400.0))
    assert found[WETH]["price"] == 3_400.0


def test_two_tokens_quoted_in_each_other_do_not_go_in_circles() -> None:
    circle = [quote(WETH, "protocol_oracle", 0.04, WBTC), quote(WBTC, "protocol_oracle", 25.0, WETH)]
    assert {chosen(*circle)[one]["flag"] for one in (WETH, WBTC)} == {"no_numeraire"}
    found = chosen(*circle, quote(WETH, "chainlink", 3_000.0), quote(WBTC, "chainlink", 90_000.0))
    assert (found[WETH]["price"], found[WBTC]["price"]) == (0.04 * 90_000, 25 * 3_000)


def test_an_address_means_another_token_on_another_chain() -> None:
    found = chosen(quote(USDC, "chainlink", 1.0, chain="binance"))
    assert (found[USDC]["price"], found[USDC]["flag"]) == (None, "no_source")


@pytest.mark.parametrize(("age", "flag"), [(90_000.0, "ok"), (90_001.0, "stale"), (122_400.0, "stale")])
def test_a_stale_feed_is_no_price(age: float, flag: str) -> None:
    found = chosen(quote(WETH, "chainlink", 3_400.0, age_s=age))[WETH]
    assert found["flag"] == flag
    assert (found["price"] is None) == (flag == "stale")


def test_a_vendors_point_may_be_on_either_side_but_near() -> None:
    assert chosen(quote(WETH, "defillama", 3_400.0, age_s=-14_000.0))[WETH]["price_age_s"] == -14_000.0
    assert chosen(quote(WETH, "defillama", 3_400.0, age_s=-15_000.0))[WETH]["flag"] == "stale"


@pytest.mark.parametrize(("other", "flag"), [(1.019, "ok"), (1.021, "disagrees")])
def test_sources_that_disagree_are_flagged_and_the_ladder_still_decides(other: float, flag: str) -> None:
    found = chosen(quote(USDC, "protocol_oracle", 1.0), quote(USDC, "defillama", other))[USDC]
    assert (found["price"], found["flag"], found["quotes"]) == (1.0, flag, 2)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([WETH, WBTC, USDC, WSTETH]),
            st.sampled_from(["protocol_oracle", "chainlink", "defillama", "file"]),
            st.sampled_from(["a", "b"]),
            st.floats(1e-6, 1e6),
            st.sampled_from(["usd", WETH, WBTC, "eth"]),
            st.floats(0, 10),
        ),
        max_size=24,
    ),
    st.randoms(),
)
def test_the_order_of_the_quotes_does_not_matter(rows: list[tuple[str, ...]], dice: object) -> None:
    made = [
        quote(asset, source, float(price), quoted, quoted_by=teller, weight=float(weight))
        for asset, source, teller, price, quoted, weight in rows
    ]
    shuffled = list(made)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    schema = QUOTES.polars_schema()
    first, second = (tidy(pl.DataFrame(some, schema=schema)) for some in (made, shuffled))
    assert first.equals(second)
    assert choose(first, WANTED).equals(choose(second.reverse(), WANTED))
    assert QUOTES.violations(first) == []


def test_wrapped_ether_prices_eth_for_every_chain() -> None:
    held = pl.DataFrame(
        {
            "date": [DAY],
            "chain": ["ethereum"],
            "asset": [WETH],
            "csu": ["m"],
            "oracle_price": [3_400.0],
            "oracle_quote": ["usd"],
            "block_time": [SNAPSHOT],
            "supplied": [5.0],
            "collateral": [0.0],
        },
        schema_overrides={"block_time": pl.Datetime("us", "UTC")},
    )
    none = pl.DataFrame(
        schema={
            "date": pl.Date,
            "chain": pl.String,
            "csu": pl.String,
            "block_time": pl.Datetime("us", "UTC"),
            **{f"{side}_asset": pl.String for side in ("collateral", "debt")},
            **{f"{side}_oracle_price": pl.Float64 for side in ("collateral", "debt")},
            **{f"{side}_oracle_quote": pl.String for side in ("collateral", "debt")},
        }
    )
    aliases = pl.DataFrame({"chain": ["ethereum"], "asset": [WETH], "name": ["eth"]})
    quotes = oracle_quotes(held, none, aliases)
    assert [(row["chain"], row["asset"], row["quoted_by"]) for row in quotes.iter_rows(named=True)] == [
        ("any", "eth", "ethereum:m"),
        ("ethereum", WETH, "m"),
    ]
