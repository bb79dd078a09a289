"""Silver table `prices`: the one price of a token and day that everybody uses, chosen among `quotes`. No I/O.

The price of a (chain, token, day) is the first of the ladder that has a fresh quote:

    protocol_oracle   the lending markets' own oracles at the snapshot block; of several, the one of the market that
                      holds most of the token, because it guards the most money and a toy market cannot move it
    chainlink         `latestRoundData` at the snapshot block, scaled by the feed's own `decimals()`
    defillama         the nearest historical point
    coingecko         the nearest historical point
    file              the user's own

A quote in another token, in `eth` or in `btc` is multiplied by that numeraire's own price of the same day. What does not
belong here: asking anybody for a price (sources, `flow.prices`) and putting prices to amounts (`tvl`, `liquidations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
import polars as pl

from cryptolake.contracts.table import Field, Former, Table
from cryptolake.errors import BadInput
from cryptolake.silver.quotes import ANY_CHAIN, LADDER, ORACLE
from cryptolake.silver.quotes import TABLE as QUOTES

FLAGS = ("ok", "disagrees", "stale", "no_numeraire", "no_source")

INPUTS = ("quotes",)
TABLE = Table(
    name="prices",
    layer="silver",
    grain="one token of one chain on one day",
    key=("date", "chain", "asset"),
    partition="date",
    fields=(
        Field("date", "date", "day of the snapshot"),
        Field("chain", "text", "chain of the token; `any` for the plain names eth and btc"),
        Field("asset", "text", "token address, EIP-55; or eth, btc"),
        Field("price", "float64", "price of one token; null when there is none", unit="USD", null=True, minimum=0),
        Field("price_source", "text", "kind of price source that was taken", null=True),
        Field(
            "quoted_by",
            "text",
            "the market, feed address, vendor or file that was taken",
            null=True,
            formerly=(Former("teller"),),
        ),
        Field("quote", "text", "what it quoted in before conversion", null=True),
        Field("numeraire_usd", "float64", "price of that quote; 1 for usd", unit="USD", null=True, minimum=0),
        Field("observed_at", "timestamp", "the price's own instant", unit="UTC", null=True),
        Field(
            "price_age_s", "float64", "age at the snapshot; of two prices multiplied, the older", unit="s", null=True
        ),
        Field(
            "quotes",
            "int32",
            "fresh quotes that could be brought to USD",
            minimum=0,
            formerly=(Former("tellers"),),
        ),
        Field("spread", "float64", "highest / lowest of those - 1; null below two", null=True, minimum=0),
        Field(
            "flag",
            "text",
            "ok; disagrees (spread above the tolerance); or why there is no price: stale (every quote too old), "
            "no_numeraire (quoted in something that has no price), no_source (nobody quotes it)",
            allowed=FLAGS,
        ),
    ),
    doc="The one price of every token and day that all markets share.",
    methodology="First of the ladder protocol_oracle, chainlink, defillama, coingecko, file with a fresh quote. Chainlink "
    "answers may be 25 hours old, vendors' points 4 hours away from the snapshot, a file's 24 hours. `disagrees` marks a "
    "spread above 2 % between fresh quotes; the ladder's price is kept and the flag goes with it.",
    publish_as="silver/prices.parquet",
)


@dataclass(frozen=True, slots=True)
class Pricing:
    """How prices are chosen: the ladder, the largest age (seconds, either way) per source, the tolerated spread (share).

    `told` is the order in the words it was given in, empty for everybody. It says what the ladder is once another source
    comes or goes.
    """

    ladder: tuple[str, ...] = LADDER
    max_age_s: Mapping[str, float] = field(
        # Chainlink: the slowest heartbeat is 24 h, an hour's grace. Vendors: the search width they are asked with.
        default_factory=lambda: {
            ORACLE: 0.0,
            "chainlink": 90_000.0,
            "defillama": 14_400.0,
            "coingecko": 14_400.0,
            "file": 86_400.0,
        }
    )
    tolerance: float = 0.02
    told: str = ""

    def text(self) -> str:
        """The same as text (JSON), equal for equal ones: what is kept beside the days that were priced so."""
        ages = [[name, float(self.max_age_s.get(name, 0.0))] for name in self.ladder]
        return orjson.dumps({"order": self.told, "max_age_s": ages, "tolerance": self.tolerance}).decode()

    def document(self) -> dict[str, object]:
        """The same for a reader of the data: the ladder in order, its largest ages in seconds, the tolerance."""
        ages = {name: float(self.max_age_s.get(name, 0.0)) for name in self.ladder}
        return {"ladder": list(self.ladder), "max_age_s": ages, "tolerance": self.tolerance}

    @classmethod
    def read(cls, text: str) -> Pricing | None:
        """What `text` made; None for anything else: how a day was priced is not known then."""
        try:
            kept = orjson.loads(text)
            ages = {str(name): float(age) for name, age in kept["max_age_s"]}
            found = cls(tuple(ages), ages, float(kept["tolerance"]), str(kept["order"]))
        except (ValueError, TypeError, KeyError):
            return None
        return found if found.text() == text else None


def pricing_of(order: str, max_age_s: Mapping[str, float], tolerance: float) -> Pricing:
    """The ladder in the words of a setting (names with commas; empty: everybody, the markets' own oracles first).

    `max_age_s` names everybody else who tells prices, the lowest rung first. Raises BadInput for another name.
    """
    known = (ORACLE, *max_age_s)
    ladder = tuple(name.strip() for name in order.split(",") if name.strip())
    if unknown := [name for name in ladder if name not in known]:
        raise BadInput(f"price_order: unknown source {unknown[0]!r}; known: {', '.join(known)}")
    told = ",".join(ladder)
    return Pricing(ladder=ladder or known, max_age_s={ORACLE: 0.0, **max_age_s}, tolerance=tolerance, told=told)


def oracle_quotes(tvl: pl.DataFrame, liquidations: pl.DataFrame, aliases: pl.DataFrame) -> pl.DataFrame:
    """What the markets' own oracles say, as `quotes` rows; both frames need no valuation.

    `aliases` (chain, asset, name) says which tokens are a plain-name numeraire (WETH is `eth`): their USD quotes count
    for the name as well. Events name assets that are not listed any more; they weigh nothing against a snapshot.
    """
    pieces = [
        tvl.select(
            "date",
            "chain",
            "asset",
            pl.col("csu").alias("quoted_by"),
            pl.col("oracle_price").alias("quote_price"),
            pl.col("oracle_quote").alias("quote"),
            pl.col("block_time").alias("observed_at"),
            (pl.col("supplied") + pl.col("collateral") + 1e-9).alias("weight"),
        )
    ]
    pieces += [
        liquidations.select(
            "date",
            "chain",
            pl.col(f"{side}_asset").alias("asset"),
            pl.col("csu").alias("quoted_by"),
            pl.col(f"{side}_oracle_price").alias("quote_price"),
            pl.col(f"{side}_oracle_quote").alias("quote"),
            pl.col("block_time").alias("observed_at"),
            pl.lit(0.0).alias("weight"),
        )
        for side in ("collateral", "debt")
    ]
    frame = pl.concat(pieces).filter((pl.col("quote_price") > 0) & pl.col("quote_price").is_finite())
    frame = frame.with_columns(pl.lit(ORACLE).alias("source"), pl.lit(0.0).alias("age_s"))
    named = (
        frame.filter(pl.col("quote") == "usd")
        .join(aliases, on=["chain", "asset"], how="inner")
        .with_columns(
            pl.col("name").alias("asset"),
            (pl.col("chain") + ":" + pl.col("quoted_by")).alias("quoted_by"),
            pl.lit(ANY_CHAIN).alias("chain"),
        )
    )
    return tidy(pl.concat([frame.select(QUOTES.columns), named.select(QUOTES.columns)]))


def tidy(quotes: pl.DataFrame) -> pl.DataFrame:
    """One row per key, the weightiest, sorted: the form in which quotes are stored, whatever order they came in."""
    return (
        quotes.with_columns((-pl.col("weight")).alias("_lightest_last"))
        .sort(*QUOTES.key, "_lightest_last", "observed_at", "quote_price", "quote", "age_s")
        .drop("_lightest_last")
        .unique(subset=QUOTES.key, keep="first", maintain_order=True)
    )


def choose(quotes: pl.DataFrame, wanted: pl.DataFrame, pricing: Pricing | None = None) -> pl.DataFrame:
    """One row per wanted (date, chain, asset) and per numeraire in use, by the ladder. Order of the rows does not matter."""
    how = pricing or Pricing()
    rank = {source: number for number, source in enumerate(how.ladder)}
    caps = {source: float(how.max_age_s.get(source, 0.0)) for source in how.ladder}  # a source may say whole seconds
    known = quotes.filter(pl.col("source").is_in(list(how.ladder))).with_columns(
        pl.col("source").replace_strict(rank, return_dtype=pl.Int32).alias("rank"),
        pl.col("source").replace_strict(caps, return_dtype=pl.Float64).alias("cap"),
        pl.when(pl.col("quote").str.starts_with("0x")).then("chain").otherwise(pl.lit(ANY_CHAIN)).alias("quote_chain"),
    )
    fresh = known.filter(pl.col("age_s").abs() <= pl.col("cap"))
    direct = fresh.filter(pl.col("quote") == "usd").with_columns(
        pl.lit(1.0).alias("numeraire_usd"), pl.lit(0.0).alias("numeraire_age_s"), pl.lit(0).alias("hops")
    )
    indirect = fresh.filter(pl.col("quote") != "usd")
    # A numeraire is priced by its quotes in USD if it has any, else through another one: no circle can arise.
    numeraires = _best(direct)
    for hops in (1, 2, 3):
        reached = _best(_converted(indirect, numeraires, hops)).join(
            numeraires, on=["date", "chain", "asset"], how="anti"
        )
        if reached.is_empty():
            break
        numeraires = pl.concat([numeraires, reached])
    every = pl.concat([direct.with_columns(pl.col("quote_price").alias("usd")), _converted(indirect, numeraires, 1)])
    facts = every.group_by("date", "chain", "asset").agg(
        pl.len().cast(pl.Int32).alias("quotes"),
        pl.when(pl.len() > 1).then(pl.col("usd").max() / pl.col("usd").min() - 1).alias("spread"),
    )
    in_use = indirect.select("date", pl.col("quote_chain").alias("chain"), pl.col("quote").alias("asset"))
    asked = pl.concat([wanted.select("date", "chain", "asset"), in_use]).unique()
    known_keys = known.group_by("date", "chain", "asset").agg(
        (pl.col("age_s").abs() <= pl.col("cap")).any().alias("has_fresh")
    )
    return (
        asked.join(_best(every), on=["date", "chain", "asset"], how="left")
        .join(facts, on=["date", "chain", "asset"], how="left")
        .join(known_keys, on=["date", "chain", "asset"], how="left")
        .with_columns(
            pl.col("usd").alias("price"),
            pl.col("source").alias("price_source"),
            pl.when(pl.col("numeraire_age_s").abs() > pl.col("age_s").abs())
            .then("numeraire_age_s")
            .otherwise("age_s")
            .alias("price_age_s"),
            pl.col("quotes").fill_null(0),
            pl.when(pl.col("usd").is_not_null() & (pl.col("spread").fill_null(0.0) > how.tolerance))
            .then(pl.lit("disagrees"))
            .when(pl.col("usd").is_not_null())
            .then(pl.lit("ok"))
            .when(pl.col("has_fresh").is_null())
            .then(pl.lit("no_source"))
            .when(pl.col("has_fresh"))
            .then(pl.lit("no_numeraire"))
            .otherwise(pl.lit("stale"))
            .alias("flag"),
        )
        .select(TABLE.columns)
        .sort(TABLE.key)
    )


def _converted(indirect: pl.DataFrame, numeraires: pl.DataFrame, hops: int) -> pl.DataFrame:
    """Quotes in something else, brought to USD where that something has a price."""
    prices = numeraires.select(
        "date",
        pl.col("chain").alias("quote_chain"),
        pl.col("asset").alias("quote"),
        pl.col("usd").alias("numeraire_usd"),
        # of a chain of numeraires the oldest price counts
        pl.max_horizontal(pl.col("age_s").abs(), pl.col("numeraire_age_s").abs()).alias("numeraire_age_s"),
    )
    return indirect.join(prices, on=["date", "quote_chain", "quote"], how="inner").with_columns(
        pl.lit(hops).alias("hops"), (pl.col("quote_price") * pl.col("numeraire_usd")).alias("usd")
    )


def _best(candidates: pl.DataFrame) -> pl.DataFrame:
    """The first of the ladder per token and day; among equals the weightiest, then the one by name."""
    frame = candidates if "usd" in candidates.columns else candidates.with_columns(pl.col("quote_price").alias("usd"))
    order = ["date", "chain", "asset", "rank", "weight", "hops", "quoted_by"]
    return frame.sort(order, descending=[name == "weight" for name in order]).unique(
        subset=["date", "chain", "asset"], keep="first", maintain_order=True
    )
