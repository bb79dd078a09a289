"""DefiLlama's TVL of one protocol by chain and token, whole history in one answer: something to compare our TVL with.

Their headline leaves out what is lent. Their point at 00:00 UTC belongs to the day that ended then; the last point of a
series is "now" and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.reading import no_json, read_json
from cryptolake.contracts.source import Asked, Dataset, Row, Trip
from cryptolake.errors import Skip
from cryptolake.net.access import Access
from cryptolake.net.conversation import Patience, Refusal, judge_plainly, worth_keeping
from cryptolake.net.http import Answer
from cryptolake.sources.defillama.asking import DefiLlamaAsking

DATASET = Dataset(
    "defillama_protocol",
    feeds="reconciliation",
    doc="TVL by chain and token as DefiLlama has it",
    reach="whole_history",
)
_HOST = "defillama"


class DefiLlamaProtocols:
    """`/protocol/<slug>`; a partition is keyed by the slug."""

    name = "defillama_protocol"
    datasets: Sequence[Dataset] = (DATASET,)

    def __init__(self, access: Access, slugs: Sequence[str], *, patience: Patience | None = None) -> None:
        self._slugs, self._now = sorted(slugs), access.now
        self._asking = DefiLlamaAsking(access, patience=patience)
        self._provenance = {"endpoint": self._asking.endpoint(_HOST), **access.provenance}

    @property
    def asked(self) -> Asked:
        """Requests sent since the source was opened, and how many met a 429."""
        return self._asking.tally.asked

    def keys(self, dataset: str) -> Sequence[str]:
        """The slugs, sorted."""
        del dataset
        return self._slugs

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """One per protocol."""
        for partition in sorted(partitions):
            yield Trip(self.name, str(partition), (partition,))

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """The whole answer as it came."""
        for partition in trip.partitions:
            at = self._now()
            path = f"/protocol/{quote(partition.key, safe='')}"
            body = worth_keeping(self._asking.ask(_HOST, path, {}, _judge))
            if isinstance(body, Refusal):
                yield Miss(partition, "failed", body.reason, f"DefiLlama {partition.key}: {body.message}")
                continue
            request = {"method": "GET", "path": f"/protocol/{partition.key}"}
            yield Raw(partition, self.name, at, at, body, request, self._provenance)

    def parse(self, raw: Raw) -> Sequence[Row]:
        """Rows of chain (their name), date, token (null: the total), amount, usd. Raises Skip when the layout changed."""
        try:
            document = read_json(raw.payload)
        except ValueError:
            raise no_json(f"DefiLlama {raw.partition.key}") from None
        chains = document.get("chainTvls") if isinstance(document, dict) else None
        if not isinstance(chains, dict):
            raise Skip(
                f"DefiLlama {raw.partition.key}: no `chainTvls`; the vendor changed its format", reason="schema_drift"
            )
        rows: list[Row] = []
        for chain, series in chains.items():
            if "-" in chain or chain in {"borrowed", "staking", "pool2", "vesting", "doublecounted", "treasury"}:
                continue
            amounts = {point["date"]: point["tokens"] for point in series.get("tokens") or ()}
            dollars = {point["date"]: point["tokens"] for point in series.get("tokensInUsd") or ()}
            for point in series.get("tvl") or ():
                at = datetime.fromtimestamp(int(point["date"]), UTC)
                if at.hour or at.minute or at.second:
                    continue  # "now"
                about = {"chain": chain, "date": (at - timedelta(days=1)).date()}
                rows.append({**about, "token": None, "amount": None, "usd": float(point["totalLiquidityUSD"])})
                rows += _tokens(about, amounts.get(point["date"], {}), dollars.get(point["date"], {}))
        return rows


def _tokens(about: Row, amounts: Mapping[str, float], dollars: Mapping[str, float]) -> list[Row]:
    return [
        {**about, "token": token, "amount": float(amounts[token]) if token in amounts else None, "usd": float(usd)}
        for token, usd in dollars.items()
    ]


def _judge(answer: Answer) -> Refusal | None:
    """As everywhere; and the vendor says with 400 or 404 that it has no such protocol."""
    if answer.status in {400, 404}:
        return Refusal("unknown_entity", "the vendor does not know this protocol; check the name")
    return judge_plainly(answer)
