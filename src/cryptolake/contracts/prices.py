"""`PriceSource`: what a file that tells prices declares of itself; and what it is asked. No I/O, no prices.

What does not belong here: which quote becomes the price (`silver.prices`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cryptolake.contracts.partition import Partition, can_name
from cryptolake.contracts.wellformed import require_types

ORACLE = "protocol_oracle"  # the rung of a market's own oracle, which prices that market's own rows alone
ADOPTED = (
    "adopted:"  # begins the name of a file whose prices were taken over: nobody was asked, and so it stands beside them
)
ANY_CHAIN = "any"  # the chain of a plain-name numeraire (eth, btc)

# Partition of a chain and period -> asset (EIP-55 address, or eth / btc) -> the snapshot's instant, seconds since 1970.
Wanted = Mapping[Partition, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class PriceSource:
    """Somebody who tells what tokens cost.

    `name` is `quotes.source`, the name on the ladder and that of `prices collect --source`. The lower `rung` goes first.
    A quote counts up to `max_age_s` seconds before or after the snapshot. `asked`: for every chain-day that silver holds
    (`snapshots`), for tokens that have no price yet (`missing`), or not at all, because the user brings it (`never`).
    Asked for snapshots, `names_from` is the chain that tells what eth and btc are to chains whose own answer does not, and
    `rounds` how many requests build on each other where a chain is asked for the first time; after that it is one.
    """

    name: str
    rung: int
    max_age_s: float
    asked: Literal["snapshots", "missing", "never"] = "missing"
    names_from: str | None = None
    rounds: int = 1

    def __post_init__(self) -> None:
        require_types(self)
        if not can_name(self.name) or self.max_age_s < 0:
            raise ValueError(
                f"price source {self.name!r}: write a name of letters, digits and _, and an age of 0 s or more"
            )
