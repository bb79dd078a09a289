"""Our TVL against DefiLlama's series for the same protocol and chain, by their definition (net), day by day. Pure.

Their point at 00:00 UTC of a day is the state at the end of the day before, so it is compared with that day's snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from cryptolake.quality.compare import Explanation, Holding, explain_tvl

TOLERANCE = 0.05  # their adapters round, price by their own server and read at another block


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One chain-day of one protocol."""

    protocol: str
    chain: str
    day: date
    explanation: Explanation

    @property
    def gap(self) -> float:
        """(ours - theirs) / theirs."""
        return self.explanation.difference / self.explanation.theirs if self.explanation.theirs else float("inf")

    @property
    def verdict(self) -> str:
        """`agrees` within 5 %, else `differs`."""
        return "agrees" if abs(self.gap) <= TOLERANCE else "differs"

    @property
    def why(self) -> str:
        """The two largest causes."""
        return "; ".join(f"{cause} {usd:+,.0f}" for cause, usd in list(self.explanation.by_cause().items())[:2])


def net_by_symbol(tvl: pl.DataFrame, around: pl.DataFrame | None = None) -> dict[str, Holding]:
    """Our net holdings (cash + collateral) by upper-case symbol; unpriced tokens count as amounts worth nothing.

    `around` are the same markets' rows of the days before and after: they give the range of amounts.
    """
    upper = pl.col("symbol").str.to_uppercase()
    net = pl.col("cash") + pl.col("collateral")
    rows = tvl.group_by(upper).agg(
        (pl.col("cash_usd") + pl.col("collateral_usd")).sum().alias("usd"),
        net.sum().alias("amount"),
        (pl.col("supplied") + pl.col("collateral")).sum().alias("gross"),
    )
    near = pl.concat([tvl, around]) if around is not None else tvl
    ranges = (
        near.group_by(upper, "date")
        .agg(net.sum().alias("net"))
        .group_by("symbol")
        .agg(pl.col("net").min().alias("low"), pl.col("net").max().alias("high"))
    )
    merged = rows.join(ranges, on="symbol", how="left").sort("symbol")
    return {
        str(row["symbol"]): Holding(float(row["usd"]), row["amount"], row["gross"], row["low"], row["high"])
        for row in merged.iter_rows(named=True)
    }


def reconcile(protocol: str, tvl: pl.DataFrame, theirs: pl.DataFrame, chains: Mapping[str, str]) -> list[Reconciled]:
    """Compare every chain-day that both have. `theirs`: columns chain (their name), date, token, amount, usd; token null
    for totals. `chains` maps our chain names to theirs.
    """
    found = []
    for (chain, day), rows in sorted(
        tvl.partition_by("chain", "date", as_dict=True).items(), key=lambda item: str(item[0])
    ):
        said = theirs.filter((pl.col("chain") == chains.get(str(chain), "")) & (pl.col("date") == day))
        total = said.filter(pl.col("token").is_null())["usd"]
        if not total.len():
            continue
        tokens = {
            str(row["token"]).upper(): Holding(float(row["usd"]), row["amount"])
            for row in said.filter(pl.col("token").is_not_null()).iter_rows(named=True)
        }
        gross = float((rows["supplied_usd"].fill_null(0.0) + rows["collateral_usd"].fill_null(0.0)).sum())
        near = tvl.filter(
            (pl.col("chain") == chain) & pl.col("date").is_in([day - timedelta(days=1), day + timedelta(days=1)])
        )
        explained = explain_tvl(net_by_symbol(rows, near), gross, float(total[0]), tokens or None)
        found.append(Reconciled(protocol, str(chain), day, explained))
    return found
