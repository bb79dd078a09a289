"""Silver table `prices`: the shared price of a token and day, chosen among `quotes`. No I/O.

The price of a (chain, token, day) is the first of the ladder that has a fresh quote:

    chainlink         `latestRoundData` at the snapshot block, scaled by the feed's own `decimals()`
    governed_oracle   the oracle contract that the registry names for the chain and day, at the snapshot block
    defillama         the nearest historical point
    coingecko         the nearest historical point
    file              the user's own

Of several quotes of one rung the one that the registry puts first is taken, never the one of whoever holds most: who tells
a token's price does not depend on which markets are in the lake, nor on what lies in them. A quote in another token, in
`eth` or in `btc` is multiplied by that numeraire's own price of the same day and chain. What does not belong here: asking
anybody for a price (sources, `flow.prices`), what a market's own oracle says of its own rows (`own_prices`), and putting
prices to amounts (`tvl`, `liquidations`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
import polars as pl

from cryptolake.contracts.prices import ADOPTED
from cryptolake.contracts.table import Field, Former, Table
from cryptolake.errors import BadInput
from cryptolake.silver.quotes import ANY_CHAIN, LADDER, ORACLE, REPEATS
from cryptolake.silver.quotes import TABLE as QUOTES

FLAGS = ("ok", "disagrees", "unproven", "stale", "no_numeraire", "no_source")

INPUTS = ("quotes",)
TABLE = Table(
    name="prices",
    layer="silver",
    grain="one token of one chain on one day",
    key=("date", "chain", "asset"),
    partition="date",
    fields=(
        Field("date", "date", "day of the snapshot"),
        Field("chain", "text", "chain of the token; `any` for the plain names eth and btc where no chain is meant"),
        Field("asset", "text", "token address, EIP-55; or eth, btc"),
        Field("price", "float64", "price of one token; null when there is none", unit="USD", null=True, minimum=0),
        Field("price_source", "text", "kind of price source that was taken", null=True),
        Field(
            "quoted_by",
            "text",
            "the feed or oracle address, vendor or file that was taken",
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
            "ok; disagrees (with the other sources by more than the tolerance); unproven (from a file that was taken over); or "
            "why there is no price: stale (every quote too old), no_numeraire (quoted in something that has no price), "
            "no_source (nobody quotes it)",
            allowed=FLAGS,
        ),
        Field(
            "median_usd",
            "float64",
            "median of what the independent sources say (a governed oracle repeats Chainlink); null when none does",
            unit="USD",
            null=True,
            minimum=0,
            added=True,
        ),
        Field(
            "highest_usd", "float64", "the highest of the fresh quotes", unit="USD", null=True, minimum=0, added=True
        ),
        Field(
            "stale_usd",
            "float64",
            "what a feed said too long ago to count: whoever repeats it is as old",
            unit="USD",
            null=True,
            minimum=0,
            added=True,
        ),
    ),
    doc="The price of every token and day that all markets share; what only a market's own oracle prices has none here.",
    methodology="First of the ladder chainlink, governed_oracle, defillama, coingecko, file with a fresh quote. Chainlink "
    "answers may be 25 hours old, vendors' points 4 hours away from the snapshot, a file's 24 hours. A governed oracle that "
    "repeats a Chainlink answer which is too old is as old as that. `disagrees` marks a price that is more than 2 % off the "
    "median of three or more independent sources, or a spread above 2 % where there are fewer; the ladder's price is kept and "
    "the flag goes with it.",
    publish_as="silver/prices.parquet",
)


# How the ladder is used: shared sources price everybody's rows, a market's oracle its own. Before that, of all markets' oracles
# the one of the market that held most of a token priced everybody's rows; days valued so name no rule.
RULE, RULE_BEFORE = "own_rows", "largest_holder"


@dataclass(frozen=True, slots=True)
class Pricing:
    """How prices are chosen: the ladder, the largest age (seconds, either way) per source, the tolerated spread (share).

    `told` is the order in the words it was given in, empty for everybody. It says what the ladder is once another source
    comes or goes. `rule` is how the ladder was used: `RULE`, or what an earlier version did and nobody does any more.
    """

    ladder: tuple[str, ...] = LADDER
    max_age_s: Mapping[str, float] = field(
        # Chainlink: the slowest heartbeat is 24 h, an hour's grace. Vendors: the search width they are asked with.
        default_factory=lambda: {
            "chainlink": 90_000.0,
            "governed_oracle": 0.0,
            "defillama": 14_400.0,
            "coingecko": 14_400.0,
            "file": 86_400.0,
            ORACLE: 0.0,
        }
    )
    tolerance: float = 0.02
    told: str = ""
    rule: str = RULE

    def text(self) -> str:
        """The same as text (JSON), equal for equal ones: what is kept beside the days that were priced so."""
        ages = [[name, float(self.max_age_s.get(name, 0.0))] for name in self.ladder]
        rule = {} if self.rule == RULE_BEFORE else {"rule": self.rule}
        return orjson.dumps({"order": self.told, "max_age_s": ages, "tolerance": self.tolerance, **rule}).decode()

    def document(self) -> dict[str, object]:
        """The same for a reader of the data: the ladder in order, its largest ages in seconds, the tolerance, the rule."""
        ages = {name: float(self.max_age_s.get(name, 0.0)) for name in self.ladder}
        return {"ladder": list(self.ladder), "max_age_s": ages, "tolerance": self.tolerance, "rule": self.rule}

    @classmethod
    def read(cls, text: str) -> Pricing | None:
        """What `text` made; None for anything else: how a day was priced is not known then."""
        try:
            kept = orjson.loads(text)
            ages = {str(name): float(age) for name, age in kept["max_age_s"]}
            found = cls(
                tuple(ages), ages, float(kept["tolerance"]), str(kept["order"]), str(kept.get("rule", RULE_BEFORE))
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return found if found.text() == text else None


def pricing_of(order: str, max_age_s: Mapping[str, float], tolerance: float) -> Pricing:
    """The ladder in the words of a setting (names with commas; empty: everybody, a market's own oracle last).

    `max_age_s` names everybody else who tells prices, the lowest rung first. Raises BadInput for another name.
    """
    known = (*max_age_s, ORACLE)
    ladder = tuple(name.strip() for name in order.split(",") if name.strip())
    if unknown := [name for name in ladder if name not in known]:
        raise BadInput(f"price_order: unknown source {unknown[0]!r}; known: {', '.join(known)}")
    if twice := [name for name, count in Counter(ladder).items() if count > 1]:
        raise BadInput(f"price_order: {twice[0]!r} stands in it twice; name each source once, whom you believe first")
    told = ",".join(ladder)
    return Pricing(ladder=ladder or known, max_age_s={**max_age_s, ORACLE: 0.0}, tolerance=tolerance, told=told)


def tidy(quotes: pl.DataFrame) -> pl.DataFrame:
    """One row per key, the weightiest, sorted: the form in which quotes are stored, whatever order they came in."""
    return (
        quotes.with_columns((-pl.col("weight")).alias("_lightest_last"))
        .sort(*QUOTES.key, "_lightest_last", "observed_at", "quote_price", "quote", "age_s")
        .drop("_lightest_last")
        .unique(subset=QUOTES.key, keep="first", maintain_order=True)
    )


def choose(quotes: pl.DataFrame, wanted: pl.DataFrame, pricing: Pricing | None = None) -> pl.DataFrame:
    """One row per wanted (date, chain, asset) and per numeraire in use, by the ladder. Order of the rows does not matter.

    What `quotes` has of markets' own oracles, as earlier versions kept it, prices nothing here.
    """
    how = pricing or Pricing()
    ladder = [source for source in how.ladder if source != ORACLE]
    rank = {source: number for number, source in enumerate([*ladder, ORACLE])}
    caps = {source: float(how.max_age_s.get(source, 0.0)) for source in rank}  # a source may say whole seconds
    of_ladder = quotes.filter(pl.col("source").is_in(ladder))
    in_use = of_ladder.filter(pl.col("quote") != "usd").select("date", "chain", pl.col("quote").alias("asset"))
    wanted = pl.concat([wanted.select("date", "chain", "asset"), in_use]).unique()
    asked = pl.concat([wanted, wanted.filter(_plain()).with_columns(pl.lit(ANY_CHAIN).alias("chain"))]).unique()
    known = _for_every_chain(of_ladder, asked).with_columns(
        pl.col("source").replace_strict(rank, return_dtype=pl.Int32).alias("rank"),
        (pl.col("age_s").abs() <= pl.col("source").replace_strict(caps, return_dtype=pl.Float64)).alias("is_fresh"),
    )
    known = _without_echoes(known)
    fresh = known.filter("is_fresh")
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
        pl.col("usd").max().alias("highest_usd"),
    )
    voices = _first(
        every.with_columns(pl.col("source").replace_strict(REPEATS, default=pl.col("source")).alias("voice")), ["voice"]
    )
    medians = voices.group_by("date", "chain", "asset").agg(
        pl.col("usd").median().alias("median_usd"), pl.len().alias("voices")
    )
    repeated = pl.col("source").is_in(list(REPEATS.values())) & (pl.col("quote") == "usd") & ~pl.col("is_fresh")
    known_keys = (
        known.sort("quote_price")
        .group_by("date", "chain", "asset")
        .agg(
            pl.col("is_fresh").any().alias("has_fresh"),
            pl.col("quote_price").filter(repeated).first().alias("stale_usd"),
        )
    )
    apart = pl.max_horizontal("usd", "median_usd") / pl.min_horizontal("usd", "median_usd") - 1
    # Of two nobody knows who is right; a third tells.
    differ = pl.when(pl.col("voices") > 2).then(apart).otherwise("spread").fill_null(0.0) > how.tolerance
    return (
        asked.join(_best(every), on=["date", "chain", "asset"], how="left")
        .join(facts, on=["date", "chain", "asset"], how="left")
        .join(medians, on=["date", "chain", "asset"], how="left")
        .join(known_keys, on=["date", "chain", "asset"], how="left")
        .with_columns(
            pl.col("usd").alias("price"),
            pl.col("source").alias("price_source"),
            pl.when(pl.col("numeraire_age_s").abs() > pl.col("age_s").abs())
            .then("numeraire_age_s")
            .otherwise("age_s")
            .alias("price_age_s"),
            pl.col("quotes").fill_null(0),
            pl.when(pl.col("usd").is_not_null() & differ)
            .then(pl.lit("disagrees"))
            .when(pl.col("usd").is_not_null() & pl.col("quoted_by").str.starts_with(ADOPTED))
            .then(pl.lit("unproven"))
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


def _plain() -> pl.Expr:
    """Whether an asset is a plain name (eth, btc) and no token."""
    return ~pl.col("asset").str.starts_with("0x")


def _for_every_chain(quotes: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """`quotes`, with what is said of a plain name for no chain said for every chain that asks, after that chain's own.

    So a chain's figures are in its own feed's ether, whatever other chains are in the lake.
    """
    plain = quotes.filter(_plain() & (pl.col("chain") == ANY_CHAIN))
    chains = asked.filter(_plain() & (pl.col("chain") != ANY_CHAIN)).rename({"chain": "for"})
    copies = plain.join(chains, on=["date", "asset"], how="inner").with_columns(
        pl.col("for").alias("chain"), (pl.col("weight") - _ELSEWHERE).alias("weight")
    )
    return pl.concat([quotes, copies.select(quotes.columns)])


_ELSEWHERE = 1e6  # more than any weight a source gives: what another chain says goes after it


def _without_echoes(known: pl.DataFrame) -> pl.DataFrame:
    """The same, but what only repeats at the block what its source said too long ago is not fresh (`is_fresh`) either."""
    stale = known.filter(~pl.col("is_fresh") & pl.col("source").is_in(list(REPEATS.values())))
    if stale.is_empty():
        return known
    key = ["date", "chain", "asset", "quote", "repeated"]
    said = stale.with_columns(pl.col("source").alias("repeated")).group_by(key).agg(pl.col("quote_price").alias("then"))
    repeated = pl.col("source").replace_strict(REPEATS, default=None, return_dtype=pl.String)
    same = ((pl.col("then") / pl.col("quote_price") - 1).list.eval(pl.element().abs())).list.min()
    return (
        known.with_columns(repeated.alias("repeated"))
        .join(said, on=key, how="left")
        .with_columns((pl.col("is_fresh") & ~(same < SAME).fill_null(value=False)).alias("is_fresh"))
        .drop("repeated", "then")
    )


SAME = 1e-6  # relative; two scales of one answer differ by less; two answers hardly ever do


def _converted(indirect: pl.DataFrame, numeraires: pl.DataFrame, hops: int) -> pl.DataFrame:
    """Quotes in something else, brought to USD where that something has a price."""
    prices = numeraires.select(
        "date",
        "chain",
        pl.col("asset").alias("quote"),
        pl.col("usd").alias("numeraire_usd"),
        # of a chain of numeraires the oldest price counts
        pl.max_horizontal(pl.col("age_s").abs(), pl.col("numeraire_age_s").abs()).alias("numeraire_age_s"),
    )
    return indirect.join(prices, on=["date", "chain", "quote"], how="inner").with_columns(
        pl.lit(hops).alias("hops"), (pl.col("quote_price") * pl.col("numeraire_usd")).alias("usd")
    )


def _best(candidates: pl.DataFrame) -> pl.DataFrame:
    """The first of the ladder per token and day; within a rung by the registry's order, dollars first, then by name."""
    named = candidates if "usd" in candidates.columns else candidates.with_columns(pl.col("quote_price").alias("usd"))
    return _first(named, [])


def _first(candidates: pl.DataFrame, more: list[str]) -> pl.DataFrame:
    order = ["date", "chain", "asset", "rank", "weight", "hops", "quoted_by"]
    return candidates.sort(order, descending=[name == "weight" for name in order]).unique(
        subset=["date", "chain", "asset", *more], keep="first", maintain_order=True
    )
