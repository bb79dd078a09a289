"""Silver table `quotes`: what everybody says a token costs whose word does not depend on which markets are in the lake. No I/O.

What does not belong here: which quote becomes the price (`prices`), and what a market's own oracle says (a column of the
rows of `tvl` and `liquidations`: it prices nothing but them).
"""

from __future__ import annotations

from cryptolake.contracts.prices import ANY_CHAIN as ANY_CHAIN
from cryptolake.contracts.prices import ORACLE as ORACLE
from cryptolake.contracts.table import Field, Former, Table

# Everybody on it but a market's own oracle has a file in sources.
LADDER = ("chainlink", "governed_oracle", "defillama", "coingecko", "file", ORACLE)
# Who repeats another: governed oracles read the same feeds, so both together are one voice against a price.
REPEATS = {"governed_oracle": "chainlink"}
INPUTS = ()
TABLE = Table(
    name="quotes",
    layer="silver",
    grain="what one price source (a feed, a governed oracle, a vendor, a file) says one token costs on one day",
    key=("date", "chain", "asset", "source", "quoted_by"),
    partition="date",
    fields=(
        Field("date", "date", "day of the snapshot"),
        Field("chain", "text", "chain of the token; `any` for the plain names eth and btc"),
        Field("asset", "text", "token address, EIP-55; or eth, btc"),
        Field("source", "text", "kind of price source: a name on the ladder"),
        Field(
            "quoted_by",
            "text",
            "the feed or oracle address, vendor or file that says so",
            formerly=(Former("teller"),),
        ),
        Field("quote_price", "float64", "price of one token", unit="quote", minimum=0),
        Field("quote", "text", "what the price is in: usd, a token's address on the same chain, eth or btc"),
        Field("observed_at", "timestamp", "the price's own instant", unit="UTC"),
        Field("age_s", "float64", "snapshot instant - observed_at; negative for a later point", unit="s"),
        Field("weight", "float64", "who goes first among several of one kind: the larger", minimum=0),
    ),
    doc="Every price that was seen, by everybody whose word counts for all markets.",
    methodology="A governed oracle gives no time: its price counts as observed at the snapshot block. `weight` is the "
    "registry's order (a token's own feed before a stand-in's, dollars before a detour), never an amount that somebody holds. "
    "What a market's own oracle says stands in `tvl.oracle_price`. Zero, negative and unanswered prices are no quotes.",
    in_postgres=False,
)
