"""DefiLlama's totals for our protocols: asked once a day, kept, and put beside ours.

What does not belong here: how a difference is split (`quality.compare`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import polars as pl

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.source import Source
from cryptolake.errors import BadInput, Retry
from cryptolake.flow.collect import collect, read_rows
from cryptolake.lake.bronze import Bronze
from cryptolake.quality.reconcile import Reconciled, reconcile
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu
from cryptolake.registry.protocol_slugs import SLUGS
from cryptolake.state.ledger import Ledger

THEIRS = pl.Schema(
    {"chain": pl.String(), "date": pl.Date(), "token": pl.String(), "amount": pl.Float64(), "usd": pl.Float64()}
)
# DefiLlama's display names, old and new, where title case of its short name is not it.
_DISPLAY: Mapping[str, tuple[str, ...]] = {
    "bsc": ("Binance", "BSC"),
    "xdai": ("xDai", "Gnosis"),
    "optimism": ("OP Mainnet", "Optimism"),
    "avax": ("Avalanche",),
    "era": ("ZKsync Era", "zkSync Era", "Era"),
    "op_bnb": ("opBNB", "Op_Bnb"),
}


def slug_of(csu: Csu, given: str | None = None) -> str:
    """What DefiLlama calls the market's protocol. Raises BadInput when nobody said."""
    slug = given or SLUGS.get((csu.protocol, csu.version))
    if slug is None:
        raise BadInput(
            f"no DefiLlama name is known for {csu.protocol} {csu.version}; give --slug, as in the address of its page"
        )
    return slug


def theirs(source: Source, slug: str, *, bronze: Bronze, ledger: Ledger, today: datetime | None = None) -> pl.DataFrame:
    """Their whole history of one protocol; asked at most once a day. Raises Retry with the reason when it was refused."""
    day = (today or datetime.now(UTC)).date()
    partition = Partition("defillama_protocol", slug, Period.of_day(day))
    if bronze.read(partition, source.name) is None:
        result = collect(source, [partition], bronze=bronze, ledger=ledger, workers=1)
        if result.failures:
            raise Retry(f"DefiLlama {slug}: {result.failures[0].error}")
    return pl.DataFrame(list(read_rows(source, [partition], bronze)), schema=THEIRS, strict=False)


def compared(
    name: str, csus: Sequence[Csu], tvl: pl.DataFrame, said: pl.DataFrame, chains: Mapping[str, Chain]
) -> list[Reconciled]:
    """Every chain-day of these markets that both sides have."""
    ours = tvl.filter(pl.col("csu").is_in([csu.name for csu in csus]))
    known = set(said["chain"].unique())
    names = {}
    for chain in {csu.chain for csu in csus}:
        short = chains[chain].defillama_name or chain
        candidates = (*_DISPLAY.get(short, ()), short, short.title(), chain.title())
        wanted = [one for one in candidates if one in known]
        names[chain] = wanted[0] if wanted else ""
    return reconcile(name, ours, said, names)
