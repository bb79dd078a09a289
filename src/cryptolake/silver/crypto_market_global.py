"""Silver table `crypto_market_global`: totals over all coins, per loaded run. No I/O."""

from __future__ import annotations

from cryptolake.contracts.coin_fields import NUMBER_SQL, PROCESSED_AT, number
from cryptolake.contracts.table import Field, Table

INPUTS = ()
TABLE = Table(
    name="crypto_market_global",
    layer="silver",
    grain="the whole market in one run",
    key=("processed_at",),
    fields=(
        PROCESSED_AT,
        Field("active_cryptocurrencies", "int32", "coins the vendor tracks", minimum=0),
        Field("markets", "int32", "exchanges the vendor tracks", minimum=0),
        Field("total_market_cap", "float64", "capitalisation of all coins", unit="USD", minimum=0, sql=NUMBER_SQL),
        Field("total_volume", "float64", "24-hour volume of all coins", unit="USD", minimum=0, sql=NUMBER_SQL),
        number("market_cap_change_percentage_24h", "change of the whole capitalisation over 24 hours", "%"),
        number("bitcoin_dominance_pct", "share of bitcoin, as the vendor says", "%", 0),
        Field("last_updated", "timestamp", "when the vendor computed this", unit="UTC", null=True),
    ),
    doc="Totals over all coins, per loaded run.",
    enforced=True,
    in_lake=False,
    load="update",
)
