"""`DefiLlama`: holds the conversations, tells its many ways of not answering apart, and hands out what it heard.

What is asked stands in `questions`, by which way in `asking`, how bodies are read in `readers`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from urllib.parse import quote

import structlog

from cryptolake.contracts.partition import Granularity, Partition
from cryptolake.contracts.points import Points
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.reading import no_json, read_json
from cryptolake.contracts.source import Asked, Dataset, Trip
from cryptolake.errors import Skip
from cryptolake.net.access import Access
from cryptolake.net.conversation import ENTITLEMENT, Patience, Refusal, judge_plainly, worth_keeping
from cryptolake.net.http import Answer
from cryptolake.registry.defillama import (
    Entity,
    bridges,
    chain_keys,
    defillama_entities,
    last_known_chains,
)
from cryptolake.registry.stablecoins import Stablecoin, stablecoins
from cryptolake.sources.defillama.asking import KEY, VENDOR, DefiLlamaAsking
from cryptolake.sources.defillama.identities import Identities
from cryptolake.sources.defillama.lookups import Lookups, chain_names
from cryptolake.sources.defillama.questions import (
    BY_DATASET,
    CHAINS,
    QUESTIONS,
    Ask,
    DefiLlamaQuestion,
    bulks,
)
from cryptolake.sources.defillama.readers import About, Drift

log = structlog.get_logger(__name__)

_BULK_WORKERS = 12
_UNKNOWN = Refusal("not_listed", "the vendor does not know this entity")
_NO_DATA = Refusal("no_data", "the vendor has no data of this kind for this entity")
_FOREVER = frozenset({"not_listed", "no_data"})  # reasons that are answers: the partition is settled


class DefiLlama:
    """All of DefiLlama. Hour partitions are current values (one bulk answer serves many), day partitions whole histories.

    `patience`, `asked_at` and the gates of `access` are replaceable for tests.
    """

    name = VENDOR.name

    def __init__(
        self,
        access: Access,
        *,
        entities: Mapping[str, Entity] | None = None,
        coins: Mapping[str, Stablecoin] | None = None,
        patience: Patience | None = None,
        asked_at: Callable[[], datetime] | None = None,
    ) -> None:
        self._access = access
        self._entities = defillama_entities(access.configs.get(self.name)) if entities is None else entities
        self._coins = stablecoins() if coins is None else coins
        self._asking, self._asked_at = DefiLlamaAsking(access, patience=patience), asked_at or access.now
        self._needs_key: set[str] = set()  # endpoints that answered 402: it holds for every entity and the whole run
        self._lookups = Lookups(self._ask_bulk)
        self._identities = Identities(self._entities, self._coins, self._lookups)

    @property
    def datasets(self) -> Sequence[Dataset]:
        """Every question as a dataset; those for payers are granted when a key is set."""
        return [
            Dataset(
                one.dataset,
                feeds="metrics",
                doc=one.doc,
                reach="whole_history" if one.history else "as_of",
                every="hour",
                at_minute=5,
                needs=KEY if one.pro else None,
                granted=bool(self._asking.key) or not one.pro,
                history=one.history is not None,
            )
            for one in QUESTIONS
        ]

    @property
    def asked(self) -> Asked:
        """Requests sent since the source was opened, and how many met a 429."""
        return self._asking.tally.asked

    def keys(self, dataset: str) -> Sequence[str]:
        """The watched entities the dataset is about, sorted: chains and protocols are told apart by the chain list."""
        subject = BY_DATASET[dataset].subject
        if subject == "stablecoin":
            return sorted(self._coins)
        if subject == "bridge":
            return sorted(key for key in bridges() if key in self._entities)
        listed = self._lookups.known(CHAINS)
        chains = chain_keys(self._entities, chain_names(listed) if listed else last_known_chains())
        return sorted(key for key in self._entities if (key in chains) == (subject == "chain"))

    def prepare(self, datasets: Collection[str], granularity: Granularity) -> None:
        """Ask the bulk questions these datasets need, in parallel and once; forget those of the operation before."""
        self._lookups.forget()
        self._identities.forget()
        self._needs_key = set()
        wanted = bulks(set(datasets), live=granularity == "hour")
        if not wanted:
            return
        with ThreadPoolExecutor(min(_BULK_WORKERS, len(wanted)), thread_name_prefix="bulk") as threads:
            for ask, answer in zip(wanted, threads.map(self._lookups.get, wanted), strict=True):
                if isinstance(answer, Refusal):
                    log.warning("bulk look-up refused", endpoint=ask.endpoint, reason=answer.reason)

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """One conversation per bulk answer, and one per entity where the vendor must be asked one by one."""
        groups: dict[tuple[str, ...], list[Partition]] = {}
        for partition in sorted(partitions):
            ask = self._ask_of(partition)
            one_by_one = ask is None or not ask.bulk
            group = (partition.dataset, partition.key if one_by_one else "", partition.period.granularity)
            groups.setdefault(group, []).append(partition)
        for (dataset, key, _), group_members in groups.items():
            yield Trip(self.name, f"{dataset} {key}".strip(), tuple(group_members))

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Hold one conversation. Refusals become Misses with the reason; a body that cannot be read is kept as Raw."""
        ask = self._ask_of(trip.partitions[0])
        question = BY_DATASET[trip.partitions[0].dataset]
        watched = self._coins if question.subject == "stablecoin" else self._entities
        strangers = [one for one in trip.partitions if one.key not in watched]
        for one in strangers:
            message = f"{self.name} {one.key}: not on the watch list; see `cryptolake entities`"
            yield Miss(one, "failed", "unknown_entity", message)
        if strangers:
            trip = Trip(trip.source, trip.label, tuple(one for one in trip.partitions if one.key in watched))
        if not trip.partitions:
            return
        if ask is None:
            message = f"{self.name} {question.dataset}: the vendor has no history of it; scheduled pulls accumulate it"
            yield from (Miss(one, "gone", "no_history", message) for one in trip.partitions)
        elif question.pro and not self._asking.key and not self._asking.moved(ask.host):
            message = f"{self.name} {question.dataset}: needs a paid key; set {KEY}"
            yield from (Miss(one, "failed", "entitlement", message) for one in trip.partitions)
        elif ask.bulk:
            yield from self._from_bulk(ask, question, trip.partitions)
        else:
            yield from self._one_by_one(ask, question, trip.partitions)

    def parse(self, raw: Raw) -> Points:
        """Rows of `metrics` with the vendor's own timestamps. Zero is kept; a missing value is left out.

        Raises Skip: `unreadable` when the body is no JSON, `schema_drift` (naming the field) when the layout changed.
        """
        key, ask = raw.partition.key, self._ask_of(raw.partition)
        if ask is None:
            raise Skip(f"{self.name} {key}: {raw.partition.dataset} has no such answers", reason="unreadable")
        if absent := raw.request.get("absent"):
            raise self._drift(key, absent)
        try:
            document = read_json(raw.payload)
        except ValueError:
            raise no_json(f"{self.name} {key}") from None
        coin = self._coins.get(key)
        if coin is None and BY_DATASET[raw.partition.dataset].subject == "stablecoin":
            raise Skip(f"{self.name} {key}: not on the stablecoin watch list", reason="unknown_entity")
        about = About(int(raw.observed_at.timestamp()), coin.peg if coin else "")
        try:
            found = ask.reader(document, about)
            return Points.join(Points.series(self.name, key, one.metric, one.seconds, one.values) for one in found)
        except Drift as drift:
            raise self._drift(key, str(drift)) from None
        except ValueError as error:
            raise self._drift(key, f"date (seconds since 1970; {error})") from None

    def _drift(self, key: str, field: str) -> Skip:
        return Skip(
            f"{self.name} {key}: the answer has no {field}; the vendor changed its format, the answer is kept, "
            "upgrade cryptolake and run the same command again",
            reason="schema_drift",
        )

    @staticmethod
    def _ask_of(partition: Partition) -> Ask | None:
        question = BY_DATASET[partition.dataset]
        return question.live if partition.period.granularity == "hour" else question.history

    # Bulk answers

    def _ask_bulk(self, ask: Ask) -> bytes | Refusal:
        return self._converse(ask, ask.path, ask.params, judge_plainly)

    def _from_bulk(
        self, ask: Ask, question: DefiLlamaQuestion, partitions: Sequence[Partition]
    ) -> Iterator[Raw | Miss]:
        asked_at = self._asked_at()
        listed = self._lookups.get(ask)
        if isinstance(listed, Refusal):
            yield from (self._miss(partition, listed) for partition in partitions)
            return
        if listed.broken:
            # The whole body is evidence, kept once; what it lacks is said for every entity.
            yield self._raw(partitions[0], ask, listed.body, asked_at, {"absent": listed.broken})
            message = f"the bulk answer has no {listed.broken}; it is kept with {partitions[0].key}"
            drift = Refusal("schema_drift", message)
            yield from (self._miss(partition, drift) for partition in partitions[1:])
            return
        for partition in partitions:
            index, by = self._identities.place(question, listed, partition.key)
            if index is None:
                yield self._miss(partition, _UNKNOWN)
                continue
            request = {"matched_by": by, **({"absent": listed.absent} if listed.absent else {})}
            yield self._raw(partition, ask, listed.raws[index], asked_at, request)

    # One entity at a time

    def _one_by_one(
        self, ask: Ask, question: DefiLlamaQuestion, partitions: Sequence[Partition]
    ) -> Iterator[Raw | Miss]:
        key = partitions[0].key
        asked_at = self._asked_at()
        answer: bytes | Refusal = _UNKNOWN
        asked_as, params = "", dict(ask.params)
        names = self._identities.names(question, key)
        if isinstance(names, Refusal):
            answer, names = names, []
        for asked_as in names:
            values = {
                "id": asked_as,
                "since": str(int((asked_at - timedelta(days=1)).timestamp())),
                "until": str(int(asked_at.timestamp())),
            }
            path = ask.path
            for name, value in values.items():
                path = path.replace(f"{{{name}}}", quote(value, safe=""))
            params = {name: value.format(**values) for name, value in ask.params.items()}
            answer = self._converse(ask, path, params, self._judge(ask, question, asked_as))
            if not (isinstance(answer, Refusal) and answer.reason == "not_listed"):
                break
        for partition in partitions:
            if isinstance(answer, Refusal):
                yield self._miss(partition, answer)
            else:
                yield self._raw(partition, ask, answer, asked_at, {**params, "asked_as": asked_as})

    def _judge(self, ask: Ask, question: DefiLlamaQuestion, asked_as: str) -> Callable[[Answer], Refusal | None]:
        """Judges an answer about one entity: the vendor says "nothing here" with 400, 404 and, for chains, with 500."""
        with_data = self._lookups.known(question.listing) if question.listing else None
        chains = with_data.chains if with_data else None

        def judge(answer: Answer) -> Refusal | None:
            text = answer.body[:400].decode("utf-8", "replace").lower()
            unknown = any(words in text for words in ("not found", "no chain", "no data"))
            if answer.status in {400, 404} and unknown and "page not found" not in text:
                return _NO_DATA if "/summary/" in ask.path or "no data" in text else _UNKNOWN
            # No branch of the vendor's server says "not found" for a chain without such data: it breaks down instead.
            # Its list of chains with data tells that from a real breakdown.
            if answer.status == 500 and chains is not None and asked_as.lower() not in chains:
                return _NO_DATA
            if answer.status == 200 and ask.nothing_is_fine and answer.body.strip() == b"[]":
                return _NO_DATA
            return judge_plainly(answer)

        return judge

    def _converse(
        self, ask: Ask, path: str, params: Mapping[str, str], judge: Callable[[Answer], Refusal | None]
    ) -> bytes | Refusal:
        def refused() -> Refusal | None:
            return ENTITLEMENT if ask.endpoint in self._needs_key else None

        answer = self._asking.ask(ask.host, path, params, judge, refused)
        if isinstance(answer, Refusal) and answer.reason == "entitlement":
            self._needs_key.add(ask.endpoint)
        return worth_keeping(answer)

    def _miss(self, partition: Partition, refusal: Refusal) -> Miss:
        message = f"{self.name} {partition.key}: {partition.dataset}: {refusal.message}"
        return Miss(partition, "gone" if refusal.reason in _FOREVER else "failed", refusal.reason, message)

    def _raw(self, partition: Partition, ask: Ask, body: bytes, asked_at: datetime, extra: Mapping[str, str]) -> Raw:
        request = {"method": "GET", "path": ask.path, **ask.params, **extra}
        provenance = {"endpoint": self._asking.endpoint(ask.host), **self._access.provenance}
        return Raw(partition, self.name, asked_at, asked_at, body, request, provenance)


def open_source(access: Access) -> DefiLlama:
    """The source as the app opens it; CRYPTOLAKE_URL_DEFILLAMA*, DEFILLAMA_API_KEY and the watch list come with `access`."""
    return DefiLlama(access)
