"""Which price is taken, how a quote in another token becomes USD, and what is flagged instead of guessed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.silver.prices import Pricing, choose, pricing_of, tidy
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


@pytest.mark.parametrize("order", ["file,defillama", "defillama,file", "file,chainlink", "chainlink,file"])
def test_any_order_of_the_ladder_prices_alike_whether_ages_are_whole_seconds_or_not(order: str) -> None:
    how = pricing_of(order, {"chainlink": 90_000.0, "defillama": 14_400, "file": 86_400}, 0.02)
    rows = [quote(WETH, source, 100.0) for source in order.split(",")]
    assert chosen(*rows, pricing=how)[WETH]["price_source"] == order.partition(",")[0]


def test_the_ladder_is_followed() -> None:
    rows = [
        quote(WETH, source, 100.0 + n * 1e-3)
        for n, source in enumerate(("file", "coingecko", "defillama", "chainlink"))
    ]
    for left, source in ((4, "chainlink"), (3, "defillama"), (2, "coingecko"), (1, "file")):
        assert chosen(*rows[:left])[WETH]["price_source"] == source
    assert chosen(*rows[:3], quote(WETH, "governed_oracle", 99.9))[WETH]["price"] == 99.9
    swapped = Pricing(ladder=("file", "chainlink"))
    assert chosen(*rows, pricing=swapped)[WETH]["price_source"] == "file"


@pytest.mark.parametrize("ladder", [Pricing(), Pricing(ladder=("protocol_oracle", "chainlink"))])
def test_a_markets_own_oracle_has_no_say_in_what_all_markets_share(ladder: Pricing) -> None:
    """Whatever it says, whatever weight it has (as earlier versions kept it), and whatever the ladder puts first."""
    toy = quote(WETH, "protocol_oracle", 50_000.0, quoted_by="toy", weight=1e12)
    numeraire = quote(USDC, "protocol_oracle", 0.3, weight=1e12)
    said = [quote(WETH, "chainlink", 3_400.0), quote(WSTETH, "chainlink", 1.19, WETH)]
    alone, beside = chosen(*said, pricing=ladder), chosen(toy, numeraire, *said, pricing=ladder)
    assert beside == alone
    assert (beside[WETH]["price"], beside[WETH]["flag"], beside[WETH]["quotes"]) == (3_400.0, "ok", 1)
    assert (beside[USDC]["price"], beside[USDC]["flag"]) == (None, "no_source")


def test_within_a_rung_the_registrys_order_decides_and_dollars_go_before_a_detour() -> None:
    rows = [
        quote(WBTC, "chainlink", 0.9, WETH, quoted_by="a_detour"),
        quote(WBTC, "chainlink", 2_900.0, quoted_by="z_dollars"),
        quote(WETH, "chainlink", 3_000.0),
    ]
    assert chosen(*rows)[WBTC]["quoted_by"] == "z_dollars"
    first = quote(WBTC, "chainlink", 2_800.0, quoted_by="zz_named_first", weight=2.0)
    assert chosen(*rows, first)[WBTC]["quoted_by"] == "zz_named_first"


def test_a_chains_own_feed_tells_its_ether_and_no_other_chain_changes_that() -> None:
    mine = [quote(USDC, "chainlink", 1 / 3_400.0, "eth"), quote("eth", "chainlink", 3_400.0, quoted_by="mine")]
    elsewhere = quote("eth", "chainlink", 3_000.0, chain="any", quoted_by="elsewhere", weight=9.0)
    for rows in (mine, [*mine, elsewhere], [*mine, quote("eth", "chainlink", 1.0, chain="base")]):
        assert chosen(*rows)[USDC]["price"] == pytest.approx(1.0)
    assert chosen(mine[0], elsewhere)[USDC]["price"] == pytest.approx(3_000.0 / 3_400.0), (
        "where it has none, the other's is taken"
    )


def test_a_governed_oracle_that_repeats_a_dead_feed_is_as_dead() -> None:
    """It gives no time; a number that Chainlink itself calls too old does not become fresh by being repeated."""
    dead = quote(USDC, "chainlink", 0.3, age_s=400_000.0)
    echo, vendor = quote(USDC, "governed_oracle", 0.3), quote(USDC, "defillama", 1.0)
    assert chosen(dead, echo)[USDC]["flag"] == "stale"
    assert chosen(dead, echo, vendor)[USDC]["price"] == 1.0
    other = quote(USDC, "governed_oracle", 0.999)
    assert chosen(dead, other, vendor)[USDC]["price_source"] == "governed_oracle"
    assert chosen(quote(USDC, "chainlink", 0.3), echo)[USDC]["price_source"] == "chainlink"


def test_of_three_who_speak_for_themselves_the_one_off_the_median_is_flagged() -> None:
    agreeing = [quote(USDC, "defillama", 1.0), quote(USDC, "coingecko", 1.001)]
    assert chosen(quote(USDC, "chainlink", 1_000.0), *agreeing)[USDC]["flag"] == "disagrees"
    assert chosen(quote(USDC, "chainlink", 1.002), *agreeing[:1], quote(USDC, "coingecko", 7.0))[USDC]["flag"] == "ok"
    repeated = [quote(USDC, "chainlink", 0.3), quote(USDC, "governed_oracle", 0.3), quote(USDC, "defillama", 1.0)]
    assert chosen(*repeated)[USDC]["flag"] == "disagrees", "who repeats another outvotes nobody"


def test_a_quote_in_eth_in_a_token_or_in_btc_is_converted_by_that_days_price() -> None:
    rows = [
        quote(WSTETH, "defillama", 1.19, WETH),
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
    found = chosen(quote(WETH, "chainlink", 1.0, WETH, quoted_by="base"), quote(WETH, "chainlink", 3_400.0, weight=2.0))
    assert found[WETH]["price"] == 3_400.0


def test_two_tokens_quoted_in_each_other_do_not_go_in_circles() -> None:
    circle = [quote(WETH, "chainlink", 0.04, WBTC), quote(WBTC, "chainlink", 25.0, WETH)]
    assert {chosen(*circle)[one]["flag"] for one in (WETH, WBTC)} == {"no_numeraire"}
    found = chosen(*circle, quote(WETH, "defillama", 3_000.0), quote(WBTC, "defillama", 90_000.0))
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
    found = chosen(quote(USDC, "chainlink", 1.0), quote(USDC, "defillama", other))[USDC]
    assert (found["price"], found["flag"], found["quotes"]) == (1.0, flag, 2)


@settings(max_examples=examples(40))
@given(
    st.lists(
        st.tuples(
            st.sampled_from([WETH, WBTC, USDC, WSTETH]),
            st.sampled_from(["governed_oracle", "chainlink", "defillama", "file"]),
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
