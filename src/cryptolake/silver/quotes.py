"""Silver table `quotes`: what every source says a token costs. No I/O.

What does not belong here: which quote becomes the price (`prices`).
"""

from __future__ import annotations

from cryptolake.contracts.prices import ANY_CHAIN as ANY_CHAIN
from cryptolake.contracts.table import Field, Former, Table

ORACLE = "protocol_oracle"  # what `prices` itself makes of the markets' answers; all others have a file in sources
LADDER = (ORACLE, "chainlink", "defillama", "coingecko", "file")
INPUTS = ()
TABLE = Table(
    name="quotes",
    layer="silver",
    grain="what one price source (a market's oracle, a feed, a vendor) says one token costs on one day",
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
            "the market, feed address, vendor or file that says so",
            formerly=(Former("teller"),),
        ),
        Field("quote_price", "float64", "price of one token", unit="quote", minimum=0),
        Field("quote", "text", "what the price is in: usd, a token's address on the same chain, eth or btc"),
        Field("observed_at", "timestamp", "the price's own instant", unit="UTC"),
        Field("age_s", "float64", "snapshot instant - observed_at; negative for a later point", unit="s"),
        Field("weight", "float64", "who goes first among several of one kind: the larger", minimum=0),
    ),
    doc="Every price that was seen, by everybody who gave one.",
    methodology="A protocol's oracle gives no time: its price counts as observed at the snapshot block, where the protocol "
    "itself would act on it. Zero, negative and unanswered prices are no quotes.",
    in_postgres=False,
)
