"""Whoever lies about a price moves no other market, and no figure that is wrong by it is `ok`.

The markets are invented (no public contract lies on demand); every number goes the way real answers go, from the answer's
raw integers to the panel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from cryptolake.gold.daily_panel import EXPECTED, build
from cryptolake.gold.daily_panel import TABLE as PANEL
from cryptolake.silver import bad_debt, liquidations, prices, tvl
from cryptolake.silver.prices import Pricing, pricing_of
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.work.refine import _wanted

DAY = date(2024, 12, 10)
WETH, WBTC, USDC, TOY = (f"0x{number:040x}" for number in (1, 2, 3, 4))
AGES = {"chainlink": 90_000.0, "file": 86_400.0}
ORACLE_FIRST = pricing_of("protocol_oracle,chainlink", AGES, 0.02)


@dataclass(frozen=True)
class Held:
    """One asset of a market on a day: amounts in tokens and what the market's own oracle says of it."""

    csu: str
    asset: str
    own: float | None = None
    supplied: float = 0.0
    borrowed: float = 0.0
    collateral: float = 0.0
    quote: str = "usd"
    day: date = DAY

    def row(self) -> dict[str, object]:
        raw = {"supplied": self.supplied, "borrowed": self.borrowed, "collateral": self.collateral}
        named = {"supplied": "total_supplied_raw", "borrowed": "total_borrowed_raw", "collateral": "collateral_raw"}
        return {
            **head(self.csu, self.day),
            "asset": self.asset,
            "symbol": "T",
            "decimals": 6,
            **{named[name]: str(int(amount * 10**6)) for name, amount in raw.items()},
            "cash_raw": str(int(max(0.0, self.supplied - self.borrowed) * 10**6)),
            "price_raw": None if self.own is None else str(int(self.own * 10**12)),
            "price_unit": str(10**12),
            "price_quote": self.quote,
        }


def head(csu: str, day: date) -> dict[str, object]:
    at = datetime(day.year, day.month, day.day, 23, 59, 48, tzinfo=UTC)
    return {
        "csu": csu,
        "date": day,
        "chain": "ethereum",
        "block": 1,
        "block_hash": "0x1",
        "timestamp": int(at.timestamp()),
    }


def seized(csu: str, collateral: float, own: float | None, debt: float, day: date = DAY) -> dict[str, object]:
    """A liquidation: so much WBTC taken, which the market's oracle prices so, for so much USDC."""
    sides: dict[str, object] = {}
    for side, asset, amount, price in (("collateral", WBTC, collateral, own), ("debt", USDC, debt, 1.0)):
        sides |= {
            f"{side}_asset": asset,
            f"{side}_symbol": "T",
            f"{side}_decimals": 6,
            f"{side}_amount_raw": str(int(amount * 10**6)),
            f"{side}_price_raw": None if price is None else str(int(price * 10**12)),
            f"{side}_price_unit": str(10**12),
            f"{side}_price_quote": "usd",
        }
    more = {"tx": f"0x{csu}", "log_index": 1, "liquidator": "0x1", "borrower": None, "extra": "{}"}
    return {**head(csu, day), **more, **sides}


def said(asset: str, price: float, source: str = "chainlink", **more: object) -> dict[str, object]:
    """A quote of somebody whose word counts for all markets."""
    row = {
        "date": DAY,
        "chain": "ethereum",
        "asset": asset,
        "source": source,
        "quoted_by": source,
        "quote_price": price,
        "quote": "usd",
        "age_s": 0.0,
        "weight": 1.0,
        **more,
    }
    return {**row, "observed_at": datetime(2024, 12, 10, tzinfo=UTC)}


@dataclass(frozen=True)
class Made:
    """What silver and gold give."""

    held: pl.DataFrame
    events: pl.DataFrame
    panel: pl.DataFrame
    prices: pl.DataFrame

    def day(self, csu: str, day: date = DAY) -> dict[str, object]:
        return self.panel.row(by_predicate=(pl.col("csu") == csu) & (pl.col("date") == day), named=True)

    def asset(self, csu: str, asset: str, day: date = DAY) -> dict[str, object]:
        here = (pl.col("csu") == csu) & (pl.col("asset") == asset) & (pl.col("date") == day)
        return self.held.row(by_predicate=here, named=True)


def made(
    held: Iterable[Held],
    quotes: Sequence[Mapping[str, object]] = (),
    events: Sequence[Mapping[str, object]] = (),
    how: Pricing | None = None,
    anyone: Sequence[str] = (),
) -> Made:
    """Answers of markets, and what others say, all the way to the panel; in `anyone` anyone may open markets."""
    how = how or Pricing()
    frame, seizures = tvl.conform([one.row() for one in held]), liquidations.conform(list(events))
    told = prices.tidy(pl.DataFrame([dict(one) for one in quotes], schema=QUOTES.polars_schema()))
    chosen = prices.choose(told, _wanted(frame, seizures, bad_debt.TABLE.empty()), how)
    valued, worth = tvl.value(frame, chosen, how), liquidations.value(seizures, chosen, frame, how)
    for table, rows in ((tvl.TABLE, valued), (liquidations.TABLE, worth), (prices.TABLE, chosen)):
        assert table.violations(rows) == []
    keys = [
        (csu, day, "ethereum", "f", "p", "done", None, "two_voices", "done", None, "two_voices")
        for csu, day in sorted({*frame.select("csu", "date").iter_rows(), *seizures.select("csu", "date").iter_rows()})
    ]
    expected = pl.DataFrame(keys, schema=EXPECTED, orient="row")
    panel = build(valued, worth, expected.with_columns(pl.col("csu").is_in(list(anyone)).alias("anyone")))
    assert PANEL.violations(panel) == []
    return Made(valued, worth, panel, chosen)


COMET = [Held("comet", USDC, 1.0, supplied=60e6, borrowed=30e6), Held("comet", WBTC, 40_000.0, collateral=900.0)]


@pytest.mark.parametrize("quotes", [[], [said(USDC, 1.0)], [said(USDC, 1.0), said(WBTC, 40_000.0)]], ids=len)
@pytest.mark.parametrize("how", [Pricing(), ORACLE_FIRST], ids=["default", "oracle first"])
def test_a_toy_market_with_huge_holdings_moves_nobody(quotes: list[dict[str, object]], how: Pricing) -> None:
    """By any token it shares with others: as what it lends, as collateral, and as what its oracle quotes in."""
    toy = [
        Held("toy", USDC, 0.3, supplied=1e12, borrowed=1e12),
        Held("toy", WBTC, 110_000.0, collateral=1e12),
        Held("toy", TOY, 900.0, collateral=1e6, quote=WBTC),
        Held("toy", WETH, 7e9, supplied=1e12),
    ]
    bystander = [Held("other", TOY, None, collateral=5.0), Held("other", WETH, 1.5, supplied=1.0, quote=USDC)]
    alone = made([*COMET, *bystander], quotes, [seized("comet", 1.0, 40_000.0, 38_000.0)], how)
    beside = made([*COMET, *bystander, *toy], quotes, [seized("comet", 1.0, 40_000.0, 38_000.0)], how)
    for csu in ("comet", "other"):
        assert beside.day(csu) == alone.day(csu)
        assert beside.held.filter(csu=csu).equals(alone.held.filter(csu=csu))
    assert beside.events.equals(alone.events)
    assert beside.day("comet")["total_tvl_usd"] == pytest.approx(30e6 + 36e6)
    assert beside.day("comet")["collateral_seized_usd"] == pytest.approx(40_000.0)
    assert beside.day("comet")["status"] == beside.day("comet")["liquidations_status"] == "ok"
    assert beside.asset("other", TOY)["price"] is None, "a toy's price is nobody else's"
    assert beside.asset("toy", TOY)["price_source"] == "protocol_oracle", "and says whose it is"


def test_a_stale_isolated_oracle_is_found_by_what_the_others_say_of_the_token() -> None:
    isolated = Held("isolated", USDC, 0.3, supplied=1e6)
    found = made([*COMET, isolated], [said(USDC, 1.0)])
    assert found.asset("isolated", USDC)["price"] == 1.0
    assert found.asset("isolated", USDC)["price_flag"] == "disagrees"
    assert found.day("isolated")["total_tvl_usd"] == pytest.approx(1e6)
    assert found.day("isolated")["total_tvl_own_usd"] == pytest.approx(0.3e6)
    assert (found.day("isolated")["status"], found.day("isolated")["reason"]) == ("suspect", "price_disagrees")
    assert found.day("comet")["status"] == "ok"


@pytest.mark.parametrize(
    ("own", "feeds", "how"),
    [
        (40_000.0 * 1_000, {"chainlink": 40_000.0}, Pricing()),
        (40_000.0 * 1_000, {"chainlink": 40_000.0}, ORACLE_FIRST),
        (40_000.0, {"chainlink": 40_000.0 * 1_000}, Pricing()),
        (None, {"chainlink": 40_000.0 * 1_000, "defillama": 40_000.0}, Pricing()),
        (None, {"chainlink": 40_000.0, "defillama": 40_000.0 / 1_000}, Pricing()),
        (40_000.0, {"chainlink": 40_000.0 / 1_000}, Pricing()),
        (40_000.0 / 1_000, {"chainlink": 40_000.0}, ORACLE_FIRST),
        (4e7, {"chainlink": 4e7, "file": 4e4}, pricing_of("protocol_oracle,chainlink,file", AGES, 0.02)),
        (None, {"chainlink": 4e7, "governed_oracle": 4e7, "defillama": 4e4}, Pricing()),
        (None, {"chainlink": 4e7, "coingecko": 4e4, "defillama": 4e4}, Pricing()),
    ],
)
def test_a_contradicted_price_of_collateral_is_never_ok(
    own: float | None, feeds: dict[str, float], how: Pricing
) -> None:
    """A thousand times too high or too low, whoever is wrong: it is weighed by the larger of the two values."""
    held = [COMET[0], replace(COMET[1], own=own)]
    found = made(held, [said(USDC, 1.0), *(said(WBTC, price, source) for source, price in feeds.items())], how=how)
    assert (found.day("comet")["status"], found.day("comet")["reason"]) == ("suspect", "price_disagrees")


def test_a_contradicted_price_of_what_is_only_owed_is_never_ok() -> None:
    """What a facilitator mints is owed and never supplied; and a thousandth of the whole contradicts nothing."""
    minted = Held("cdp", TOY, 1.0, borrowed=50e6)
    found = made([Held("cdp", WETH, 3_000.0, collateral=1e5), minted], [said(WETH, 3_000.0), said(TOY, 0.8)])
    assert found.day("cdp")["reason"] == "price_disagrees"
    small = replace(minted, borrowed=1e5)
    assert made([Held("cdp", WETH, 3_000.0, collateral=1e5), small], [said(TOY, 0.8)]).day("cdp")["status"] == "ok"


def test_a_liquidation_at_prices_that_contradict_each_other_is_never_ok() -> None:
    """WBTC at 110,000 by a source where the market, which sold it, says 40,000; and a seizure worth twice what it paid."""
    quotes = [said(USDC, 1.0), said(WBTC, 110_000.0)]
    found = made(COMET, quotes, [seized("comet", 1.0, 40_000.0, 38_000.0)]).day("comet")
    assert (found["liquidations_status"], found["liquidations_reason"]) == ("suspect", "seizure_disagrees")
    silent = made([COMET[0]], quotes, [seized("comet", 1.0, None, 38_000.0)]).day("comet")
    assert silent["liquidations_reason"] == "seizure_disagrees"
    real = made(COMET, [said(USDC, 1.0)], [seized("comet", 1.0, 40_000.0, 60_000.0)]).day("comet")
    assert real["liquidations_status"] == "ok", "bad debt: less was seized than was repaid"
    for repaid in (100_000.0, 4e15):
        dear = made(COMET, [said(USDC, 1.0)], [seized("comet", 1.0, 40_000.0, repaid)]).day("comet")
        assert "seizure_disagrees" in dear["liquidations_reason"].split(";"), "nobody repays twice what he gets"


@pytest.mark.parametrize(("shared", "suspect"), [(False, True), (True, False)])
def test_toys_that_are_liquidated_for_toys_are_never_ok(shared: bool, suspect: bool) -> None:
    """Opened, lent, liquidated and emptied again between two snapshots: no amount that is held tells of it."""
    toys = [seized("open", 900e6, 1.0, 890e6)]
    quotes = [said(WBTC, 1.0), said(USDC, 1.0)] if shared else [said(WETH, 2_000.0)]
    held = [Held("open", WETH, 2_000.0, supplied=1e6, borrowed=9e5)]
    found = made(held, quotes, toys, anyone=["open"]).day("open")
    assert found["liquidations_usd"] == 890e6
    assert ("repaid_own_price_only" in str(found["flags"])) is suspect
    assert (found["liquidations_status"] == "suspect") is suspect
    alone = made(held, quotes, toys).day("open")
    assert "repaid_own_price_only" not in str(alone["flags"]), (
        "where nobody can, the market's own oracle is its governance's"
    )


def days(count: int) -> list[date]:
    return [DAY + timedelta(days=number) for number in range(count)]


def test_a_feed_that_stands_still_while_the_other_moves_is_found() -> None:
    """The shared feed with the market's oracle moving, and the other way round; a lasting constant is no fault by itself."""
    moving = [100.0, 101.0, 104.0, 107.0, 108.0, 101.0, 100.5, 100.0, 100.0, 100.0, 100.0, 100.0]
    for still, moved in (("price", "own"), ("own", "price")):
        held, quotes = [], []
        for day, value in zip(days(12), moving, strict=True):
            own, feed = (value, 100.0) if moved == "own" else (100.0, value)
            held.append(Held("m", TOY, own, supplied=1e6, day=day))
            quotes.append({**said(TOY, feed), "date": day})
        found = made(held, quotes)
        flags = dict(found.panel.select("date", "flags").iter_rows())
        assert "price_frozen" in flags[days(12)[5]], (still, "back within the tolerance, and not to be believed yet")
        assert found.day("m", days(12)[5])["status"] == "suspect"
        assert flags[days(12)[11]] == "", "five days later nothing moves any more"
        assert flags[days(12)[0]] == ""


def test_a_feed_that_its_operator_calls_old_gives_way_to_the_next() -> None:
    frozen = said(WBTC, 110_000.0, age_s=5e5)
    found = made(COMET, [frozen, said(WBTC, 40_000.0, "defillama")])
    assert (found.asset("comet", WBTC)["price_source"], found.day("comet")["status"]) == ("defillama", "ok")
    repeating = made([COMET[0], replace(COMET[1], own=110_000.0)], [frozen])
    assert repeating.asset("comet", WBTC)["price_flag"] == "stale"
    assert repeating.day("comet")["reason"] == "price_disagrees", "by its own oracle a dead feed is no younger"
    own = made(COMET, [frozen])
    assert (own.asset("comet", WBTC)["price"], own.asset("comet", WBTC)["price_source"]) == (
        40_000.0,
        "protocol_oracle",
    )


def test_the_teller_does_not_flip_inside_the_tolerance() -> None:
    """Whoever holds most, and whoever is higher that day: the same feed speaks every day."""
    held, quotes = [], []
    for number, day in enumerate(days(30)):
        swing = 1.017 if number % 2 else 1.0
        held += [Held("a", TOY, 1.0, supplied=1e6 * (10 + number % 3), day=day)]
        held += [Held("b", TOY, swing, supplied=1e6 * (12 - number % 3), day=day)]
        quotes += [{**said(TOY, 1.0, weight=2.0, quoted_by="first"), "date": day}]
        quotes += [{**said(TOY, swing, quoted_by="second"), "date": day}]
    found = made(held, quotes)
    assert set(found.held["price"]) == {1.0}
    assert set(found.prices["quoted_by"]) == {"first"}
    assert set(found.panel["status"]) == {"ok"}


def test_what_a_market_quotes_in_is_priced_by_itself_where_nobody_else_does_and_circles_end() -> None:
    held = [
        Held("m", TOY, 2.0, supplied=1.0, quote=WBTC),
        Held("m", WBTC, 10.0, supplied=1.0, quote=WETH),
        Held("m", WETH, 3_000.0, supplied=1.0),
    ]
    assert made(held).asset("m", TOY)["price"] == pytest.approx(60_000.0)
    assert made(held, [said(WBTC, 40_000.0)]).asset("m", TOY)["price"] == pytest.approx(80_000.0)
    apart = [replace(held[2], csu="other"), *held[:2]]
    assert made(apart).asset("m", TOY)["price"] is None, "another market's word for it does not count"
    assert made(apart).asset("m", TOY)["price_flag"] == "no_numeraire"
    circle = [replace(held[0], quote=WETH), replace(held[2], quote=TOY)]
    assert made(circle).held["price"].to_list() == [None, None]


def test_an_absurd_price_stops_nothing() -> None:
    """The largest number an oracle can say, of the largest amount, three times over: no price, and the others have theirs."""
    row = {**Held("m", TOY).row(), "price_raw": str(2**256 - 1), "price_unit": "1", "price_quote": WETH}
    numeraire = {**row, "asset": WETH, "price_quote": WBTC, "collateral_raw": str(2**256 - 1), "decimals": 0}
    frame = tvl.conform([row, numeraire, Held("m", USDC, 1.0, supplied=1.0).row()])
    shared = pl.DataFrame([said(WBTC, 1e30)], schema=QUOTES.polars_schema())
    none = liquidations.conform([])
    valued = tvl.value(frame, prices.choose(shared, _wanted(frame, none, bad_debt.TABLE.empty())))
    assert tvl.TABLE.violations(valued) == []
    assert valued.filter(asset=USDC)["supplied_usd"].to_list() == [1.0]


TOKENS = st.sampled_from([WETH, WBTC, USDC, TOY])
MARKETS = st.lists(
    st.builds(
        Held,
        st.sampled_from(["a", "b", "c", "d"]),
        TOKENS,
        st.none() | st.floats(1e-3, 1e6),
        st.floats(0, 1e9),
        st.floats(0, 1e9),
        st.floats(0, 1e9),
        st.sampled_from(["usd", "usd", WETH, WBTC, "eth", "btc"]),
    ),
    max_size=14,
    unique_by=lambda one: (one.csu, one.asset),
)
SPOKEN = st.lists(
    st.tuples(
        TOKENS | st.sampled_from(["eth"]),
        st.floats(1e-3, 1e6),
        st.sampled_from(["chainlink", "governed_oracle", "defillama"]),
        st.sampled_from(["one", "two"]),
        st.sampled_from(["usd", WETH, "eth"]),
        st.sampled_from([0.0, 1e6]),
        st.sampled_from(["ethereum", "any"]),
    ),
    max_size=8,
)


@settings(max_examples=examples(60))
@given(MARKETS, SPOKEN, st.sets(st.sampled_from(["a", "b", "c", "d"])), st.booleans())
def test_a_markets_rows_are_the_same_whatever_other_markets_are_in_the_lake(
    held: list[Held], spoken: list[tuple[str, ...]], chosen: set[str], oracle_first: bool
) -> None:
    quotes = [
        said(
            asset,
            float(price),
            source,
            quoted_by=by,
            quote=quote,
            age_s=age,
            chain=chain if asset == "eth" else "ethereum",
        )
        for asset, price, source, by, quote, age, chain in spoken
    ]
    how = ORACLE_FIRST if oracle_first else Pricing()
    events = [seized(csu, 1.0, 40_000.0 if csu == "a" else None, 30_000.0) for csu in ("a", "b", "c", "d")]
    every = made(held, quotes, events, how)
    some = made(
        [one for one in held if one.csu in chosen], quotes, [one for one in events if one["csu"] in chosen], how
    )
    for name in ("held", "events", "panel"):
        mine = getattr(every, name).filter(pl.col("csu").is_in(sorted(chosen)))
        assert getattr(some, name).equals(mine), name
