"""What one person can put into a permissionless market is left out where it is named, and suspect where it is large.

The rows are synthetic: each case is one that has happened, at the sizes at which it happened, beside an honest market.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.gold import daily_panel, flagged_markets
from cryptolake.gold.daily_panel import EXPECTED
from cryptolake.registry.exclusions import Exclusion
from cryptolake.silver import exclusions, isolated_markets
from cryptolake.silver.isolated_markets import TABLE as ISOLATED
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.tvl import TABLE as TVL

DAY = date(2025, 3, 10)
USDC, WETH, JUNK = (f"0x{number:040x}" for number in (1, 2, 3))
HONEST, TOY = (f"0x{number:064x}" for number in (10, 11))
ORACLE = f"0x{99:040x}"
OWN, VENDOR = "protocol_oracle", "coingecko"


def token(
    asset: str,
    *,
    price: float | None,
    source: str | None = VENDOR,
    supplied: float = 0.0,
    borrowed: float = 0.0,
    collateral: float = 0.0,
    day: date = DAY,
) -> dict[str, object]:
    """A row of silver tvl; cash is what is not lent."""
    amounts = {"supplied": supplied, "borrowed": borrowed, "cash": supplied - borrowed, "collateral": collateral}
    return {
        **dict.fromkeys(TVL.columns),
        **amounts,
        **{f"{name}_usd": None if price is None else amount * price for name, amount in amounts.items()},
        **{f"{name}_raw": "0" for name in amounts},
        "csu": "m", "date": day, "chain": "c", "block": 1, "block_hash": "0x1", "asset": asset, "symbol": asset[-3:],
        "decimals": 6, "price": price, "price_source": source if price is not None else None, "price_age_s": 0.0,
        "price_flag": "ok" if price is not None else "no_source",
        "block_time": datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC),
    }  # fmt: skip


def pair(
    market: str = HONEST,
    *,
    collateral: str | None = WETH,
    supplied: float,
    borrowed: float,
    pledged: float = 0.0,
    own_price: float | None = 2000.0,
    takers: int = 1,
    day: date = DAY,
    idle_days: float = 0.0,
    loan: str = USDC,
) -> dict[str, object]:
    """A row of silver isolated_markets."""
    end = datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC)
    return {
        **dict.fromkeys(ISOLATED.columns),
        "csu": "m", "date": day, "chain": "c", "block": 1, "market": market, "loan_asset": loan, "loan_symbol": "L",
        "collateral_asset": collateral, "collateral_symbol": "C", "oracle": ORACLE, "rate_model": f"0x{98:040x}",
        "lltv": 0.86, "supplied": supplied, "borrowed": borrowed,
        "utilization": borrowed / supplied if supplied else None, "interest": 0.0,
        "touched_at": end - timedelta(days=idle_days), "collateral": pledged if takers == 1 else None,
        "pledged": pledged, "takers": takers, "own_price": own_price, "supplied_raw": "0", "borrowed_raw": "0",
    }  # fmt: skip


def named(kind: str, what: str, first: date | None = None, last: date | None = None) -> Exclusion:
    return Exclusion("m", kind, what, "self_dealt", "A test.", ("a page",), first, last)


def frames(
    tokens: Sequence[dict[str, object]], pairs: Sequence[dict[str, object]], left_out: Sequence[Exclusion] = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The flagged markets and the panel that these rows give, both held against their contracts."""
    tvl = pl.DataFrame(list(tokens), schema=TVL.polars_schema(), orient="row")
    isolated = pl.DataFrame(list(pairs), schema=ISOLATED.polars_schema(), orient="row")
    days = tvl["date"].unique().sort()
    expected = pl.DataFrame(
        [("m", day, "c", "f", "p", "done", None, "one_voice", "empty", None, "one_voice") for day in days],
        schema=EXPECTED,
        orient="row",
    )
    flagged = flagged_markets.build(tvl, isolated, exclusions.conform(left_out))
    panel = daily_panel.build(tvl, LIQUIDATIONS.empty(), expected, flagged)
    assert flagged_markets.TABLE.violations(flagged) == []
    assert daily_panel.TABLE.violations(panel) == []
    assert exclusions.TABLE.violations(exclusions.conform(left_out)) == []
    return flagged, panel


def one_day(
    tokens: Sequence[dict[str, object]], pairs: Sequence[dict[str, object]], left_out: Sequence[Exclusion] = ()
) -> dict[str, object]:
    """The panel's last row."""
    return frames(tokens, pairs, left_out)[1].sort("date").row(-1, named=True)


HONEST_TOKENS = [
    token(USDC, price=1.0, supplied=2_000_000, borrowed=1_000_000),
    token(WETH, price=2000.0, collateral=790),
]
HONEST_PAIR = pair(supplied=2_000_000, borrowed=1_000_000, pledged=790)


def test_an_honest_market_is_ok_and_nothing_is_flagged() -> None:
    flagged, panel = frames(HONEST_TOKENS, [HONEST_PAIR])
    row = panel.row(0, named=True)
    assert flagged.is_empty()
    assert (row["status"], row["total_tvl_usd"], row["unfiltered_tvl_usd"]) == ("ok", 2_580_000.0, 2_580_000.0)
    assert row["excluded"] is None


SELF_DEALT_TOKENS = [
    token(USDC, price=1.0, supplied=3_000_000, borrowed=1_900_000),
    token(WETH, price=2000.0, collateral=790),
    token(JUNK, price=1.0, source=OWN, collateral=900_000_000),
]
SELF_DEALT = [HONEST_PAIR, pair(TOY, collateral=JUNK, supplied=1_000_000, borrowed=900_000, pledged=9e8, own_price=1.0)]


def test_a_toy_tokens_worth_is_suspect_and_kept() -> None:
    row = one_day(SELF_DEALT_TOKENS, SELF_DEALT)
    assert row["total_tvl_usd"] == row["unfiltered_tvl_usd"] == 902_680_000.0
    assert (row["status"], row["reason"]) == ("suspect", "own_price_only;self_dealt")


@pytest.mark.parametrize("kind", ["market", "oracle"])
def test_a_named_market_is_left_out_with_the_token_that_nobody_else_takes(kind: str) -> None:
    own_oracle = {**SELF_DEALT[1], "oracle": f"0x{97:040x}"}
    left_out = [named(kind, TOY if kind == "market" else str(own_oracle["oracle"]))]
    row = one_day(SELF_DEALT_TOKENS, [HONEST_PAIR, own_oracle], left_out)
    assert (row["total_tvl_usd"], row["unfiltered_tvl_usd"]) == (2_580_000.0, 902_680_000.0)
    assert (row["total_supplied_usd"], row["total_borrowed_usd"], row["cash_usd"]) == (2_000_000.0, 1_000_000.0, 1e6)
    assert (row["gross_tvl_usd"], row["collateral_usd"]) == (3_580_000.0, 1_580_000.0)
    assert (row["status"], row["excluded"]) == ("ok", f"self_dealt:{TOY[:10]}")


def test_a_named_token_is_left_out_alone() -> None:
    row = one_day(SELF_DEALT_TOKENS, SELF_DEALT, [named("token", JUNK)])
    assert row["total_tvl_usd"] == 2_680_000.0, "the loan tokens of a market are not what the list names"
    assert row["total_supplied_usd"] == 3_000_000.0
    assert row["status"] == "suspect", "deposits of a third rest on nobody else's word"
    unpriced = [*SELF_DEALT_TOKENS[:2], token(JUNK, price=None, collateral=9e8)]
    assert one_day(unpriced, [HONEST_PAIR])["status"] == "missing_price"
    row = one_day(unpriced, [HONEST_PAIR], [named("token", JUNK)])
    assert (row["status"], row["total_tvl_usd"]) == ("ok", 2_680_000.0), "what is left out needs no price"


def test_what_is_pledged_stays_where_another_market_takes_the_token_too() -> None:
    shared = [
        {**one, "takers": 2, "collateral": None, "collateral_asset": WETH, "pledged": 790.0} for one in SELF_DEALT
    ]
    tokens = SELF_DEALT_TOKENS[:2]
    row = one_day(tokens, shared, [named("market", TOY)])
    assert (row["collateral_usd"], row["cash_usd"]) == (1_580_000.0, 1_000_000.0), "by market, not by balance"
    both = one_day(tokens, shared, [named("market", TOY), named("market", HONEST)])
    assert (both["total_tvl_usd"], both["total_supplied_usd"], both["status"]) == (0.0, 0.0, "ok")


@pytest.mark.parametrize(
    ("first", "last", "holds"),
    [
        (None, None, True),
        (DAY, DAY, True),
        (DAY + timedelta(days=1), None, False),
        (None, DAY - timedelta(days=1), False),
    ],
)
def test_an_exclusion_holds_on_its_days(first: date | None, last: date | None, holds: bool) -> None:
    row = one_day(SELF_DEALT_TOKENS, SELF_DEALT, [named("market", TOY, first, last)])
    assert (row["total_tvl_usd"] == 2_580_000.0) is holds
    assert (row["excluded"] is not None) is holds


def test_another_markets_list_takes_nothing_out() -> None:
    other = Exclusion("other", "market", TOY, "self_dealt", "A test.", ("a page",))
    assert one_day(SELF_DEALT_TOKENS, SELF_DEALT, [other])["excluded"] is None


def test_many_small_toys_are_one_large_one() -> None:
    """No market is large, no token is, and together they are most of it."""
    toys = [f"0x{1000 + number:040x}" for number in range(200)]
    tokens = [*HONEST_TOKENS, *(token(one, price=1.0, source=OWN, collateral=10_000) for one in toys)]
    pairs = [
        HONEST_PAIR,
        *(pair(f"0x{number:064x}", collateral=one, supplied=0, borrowed=0, pledged=10_000, own_price=None)
          for number, one in enumerate(toys, 100)),
    ]  # fmt: skip
    assert one_day(tokens, pairs)["reason"] == "own_price_only"


def test_circular_loans_against_a_token_without_a_price_are_suspect() -> None:
    """One supplier and one borrower lend the same dollars round and round: deposits and debt are real tokens' names."""
    tokens = [token(USDC, price=1.0, supplied=202_000_000, borrowed=201_000_000), HONEST_TOKENS[1]]
    loops = pair(TOY, collateral=JUNK, supplied=200e6, borrowed=200e6, pledged=3e8, own_price=1.0)
    priced, unpriced = (token(JUNK, price=price, source=OWN, collateral=3e8) for price in (1e-6, None))
    for junk in (priced, unpriced):
        row = one_day([*tokens, junk], [HONEST_PAIR, loops])
        assert (row["status"], row["reason"]) == ("suspect", "self_dealt")


@pytest.mark.parametrize(("own_price", "suspect"), [(2_150.0, False), (1_500.0, False), (2_300.0, True), (1e12, True)])
def test_circular_loans_against_a_pinch_of_a_real_token_are_suspect(own_price: float, suspect: bool) -> None:
    """The pinch is told from the others' collateral by nothing but what its market's oracle says of it."""
    tokens = [
        token(USDC, price=1.0, supplied=202_000_000, borrowed=201_000_000),
        token(WETH, price=2000.0, collateral=790_000),
    ]
    honest = pair(supplied=2_000_000, borrowed=1_000_000, pledged=790_000, takers=2)
    loops = pair(TOY, supplied=200e6, borrowed=190e6, pledged=790_000, takers=2, own_price=own_price)
    row = one_day(tokens, [honest, loops])
    assert (row["status"], row["reason"]) == (("suspect", "overpriced") if suspect else ("ok", None))


def stuck_days(*, poked: bool, days: int) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    tokens, pairs = [], []
    for number in range(days):
        day, debt = DAY + timedelta(days=number), 1_180_000 * 1.0122**number
        tokens += [
            token(USDC, price=1.0, supplied=3_000_000 + debt, borrowed=1_000_000 + debt, day=day),
            token(WETH, price=2000.0, collateral=2000, day=day),
        ]
        pairs += [
            pair(supplied=3_000_000, borrowed=1_000_000, pledged=2000, takers=2, day=day),
            pair(TOY, supplied=debt, borrowed=debt, pledged=2000, takers=2, day=day, idle_days=0 if poked else number),
        ]
    return tokens, pairs


@pytest.mark.parametrize("poked", [False, True], ids=["untouched", "touched every day"])
def test_a_stuck_debt_is_suspect_from_the_seventh_day_on(poked: bool) -> None:
    """Anybody can touch a market at no cost, so that it does not count alone that nobody did."""
    tokens, pairs = stuck_days(poked=poked, days=10)
    _, panel = frames(tokens, pairs)
    flags = panel.sort("date")["flags"].to_list()
    assert ["stuck_debt" in one for one in flags] == [number >= 6 for number in range(10)]
    assert panel.sort("date")["status"].to_list()[-1] == "suspect"
    alone = one_day(tokens[-2:], pairs[-2:])
    assert ("stuck_debt" in str(alone["flags"])) is not poked, "a market says itself when it was last touched"


def test_later_days_change_no_earlier_flag() -> None:
    tokens, pairs = stuck_days(poked=True, days=10)
    until = DAY + timedelta(days=4)
    early = [[row for row in rows if str(row["date"]) <= str(until)] for rows in (tokens, pairs)]
    of_part, part = frames(early[0], early[1])
    of_whole, whole = frames(tokens, pairs)
    rows, later = whole.filter(pl.col("date") <= until), ("flags", "status", "reason")  # a spike looks at both sides
    assert rows.drop(later).equals(part.drop(later))
    assert of_whole.filter(pl.col("date") <= until).equals(of_part)


@pytest.mark.parametrize(
    ("pledged", "own_price", "weth"),
    [
        (100.0, 2000.0, 2000.0),  # by its own price
        (100.0, 1e9, 2000.0),  # its own oracle is wrong, an outside price is not
        (0.0, None, None),  # nothing is pledged any more
    ],
)
def test_debt_that_nothing_backs_is_suspect(pledged: float, own_price: float | None, weth: float | None) -> None:
    tokens = [token(USDC, price=1.0, supplied=2_000_000, borrowed=1_000_000)]
    tokens += [token(WETH, price=weth, collateral=pledged)] if weth is not None else []
    row = one_day(tokens, [pair(supplied=2_000_000, borrowed=1_000_000, pledged=pledged, own_price=own_price)])
    assert row["status"] == "suspect"
    assert "insolvent" in str(row["reason"]).split(";")


@pytest.mark.parametrize(("moves", "frozen"), [(0.02, True), (0.001, False)])
def test_an_oracle_that_stands_still_while_others_move_is_suspect(moves: float, frozen: bool) -> None:
    tokens, pairs = [], []
    for number in range(8):
        day = DAY + timedelta(days=number)
        tokens += [
            token(USDC, price=1.0, supplied=2_000_000, borrowed=100_000, day=day),
            token(WETH, price=2000.0 * (1 - moves) ** number, collateral=790, day=day),
        ]
        pairs.append(pair(supplied=2_000_000, borrowed=100_000, pledged=790, day=day))
    panel = frames(tokens, pairs)[1].sort("date")
    assert ["frozen_oracle" in one for one in panel["flags"]] == [frozen and number >= 6 for number in range(8)]


AMOUNT = st.integers(0, 10**12).map(float)


@given(
    st.lists(st.tuples(AMOUNT, st.floats(0, 1)), min_size=1, max_size=6),
    st.data(),
)
def test_what_is_left_is_what_the_others_hold(drawn: list[tuple[float, float]], data: st.DataObject) -> None:
    """Taking markets out gives the totals of a contract in which they had never been opened; nothing is below zero."""
    ids = [f"0x{number:064x}" for number in range(len(drawn))]
    gone = data.draw(st.sets(st.sampled_from(ids)))

    def total(members: Sequence[int], left_out: Sequence[Exclusion]) -> dict[str, object]:
        lent = [(drawn[one][0], float(int(drawn[one][0] * drawn[one][1]))) for one in members]
        supplied, borrowed = sum(one for one, _ in lent), sum(one for _, one in lent)
        pairs = [
            pair(ids[one], collateral=None, supplied=amounts[0], borrowed=amounts[1], takers=0)
            for one, amounts in zip(members, lent, strict=True)
        ]
        return one_day([token(USDC, price=1.0, supplied=supplied, borrowed=borrowed)], pairs, left_out)

    everyone = range(len(drawn))
    found = total(everyone, [named("market", one) for one in sorted(gone)])
    wanted = total([one for one in everyone if ids[one] not in gone], [])
    rounding = 1e-3 + 2e-9 * sum(one for one, _ in drawn)  # what is left of an amount by rounding is nothing
    for name in ("total_tvl_usd", "total_supplied_usd", "total_borrowed_usd", "gross_tvl_usd", "cash_usd"):
        assert found[name] == pytest.approx(wanted[name], rel=1e-6, abs=rounding), name
    assert found["unfiltered_tvl_usd"] == total(everyone, [])["total_tvl_usd"]


def test_silver_says_what_the_stored_words_say() -> None:
    answer = {
        "csu": "m", "date": DAY, "chain": "c", "block": 7, "timestamp": 1_741_650_000, "market": TOY, "loan_asset": USDC,
        "loan_symbol": "USDC", "loan_decimals": 6, "collateral_asset": WETH, "collateral_symbol": "WETH",
        "collateral_decimals": 18, "oracle": ORACLE, "rate_model": None, "lltv_raw": str(86 * 10**16),
        "supplied_raw": "4000000", "borrowed_raw": "1000000", "interest_raw": "500000", "touched": 1_741_600_000,
        "collateral_raw": None, "pledged_raw": str(3 * 10**18), "takers": 2, "price_raw": str(2000 * 10**24),
        "price_unit": str(10**24),
    }  # fmt: skip
    (row,) = isolated_markets.conform([answer]).iter_rows(named=True)
    assert (row["supplied"], row["borrowed"], row["interest"], row["utilization"]) == (4.0, 1.0, 0.5, 0.25)
    assert (row["lltv"], row["own_price"], row["pledged"], row["collateral"]) == (0.86, 2000.0, 3.0, None)
    assert row["touched_at"] == datetime.fromtimestamp(1_741_600_000, UTC)
    assert ISOLATED.violations(isolated_markets.conform([answer])) == []
    unknown = {"collateral_decimals": None, "collateral_symbol": None}
    gone = isolated_markets.conform(
        [{**answer, **unknown, "pledged_raw": "0"}, {**answer, **unknown, "market": HONEST}]
    )
    assert dict(gone.select("market", "pledged").iter_rows()) == {TOY: 0.0, HONEST: None}, "none is not unknown"
