"""`Endpoint`: one provider account on one chain, its published limits, and what it has taught us since. No I/O.

What does not belong here: which endpoints there are (app, registry) and how a call is made (rpc).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from cryptolake.net.bounds import NO_LIMIT, Bound
from cryptolake.net.limiter import Limiter
from cryptolake.net.patience import Forbearance
from cryptolake.net.rate_trial import RateTrial

MOST_TOGETHER = 500  # about 100 kB of call data, accepted by every provider listed
SURE = 2  # times that something must be said to be missing until that is believed for good
_MISSES = 3
_LOOK_AGAIN_S, _LOOK_AGAIN_MOST_S = 5.0, 3600.0


class SecretUrl:
    """An endpoint's URL; may hold a key, so it never prints."""

    def __init__(self, url: str) -> None:
        self._url = url

    def reveal(self) -> str:
        """The URL itself, for the transport only."""
        return self._url

    def __repr__(self) -> str:
        return "SecretUrl(***)"


@dataclass(frozen=True, slots=True)
class Limits:
    """A provider's published limits in its own unit.

    `rate` units a second (a unit is a call, or a compute unit weighted by method). `log_span` is the first guess of how
    many blocks one eth_getLogs may cover; the true span is learned. `monthly` units a month, None when unknown. `told`: the
    user or the provider has said the rate, and it is never exceeded; else it is a guess, and a faster one is looked for.
    `max_batch`, `most_blocks` and `most_addresses` are never exceeded, whatever is learned; `archive` is how many blocks behind
    the head state may be asked for, None when nobody said.
    """

    rate: float = 25.0
    unit: str = "calls"
    weights: Mapping[str, float] = field(default_factory=dict)
    log_span: int = 2000
    max_batch: int = 100
    monthly: float | None = None
    told: bool = False
    most_blocks: int = NO_LIMIT
    most_addresses: int = NO_LIMIT
    archive: int | None = None

    def cost(self, method: str) -> float:
        """What one call of `method` costs, in units."""
        return self.weights.get(method, self.weights.get("*", 1.0))

    @property
    def dearest(self) -> float:
        """The cost of the dearest method, in units."""
        return max(self.weights.values(), default=1.0)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One account of a provider on one chain. Endpoints of one account share its `account` name and so its limiter.

    `provider` names whose it is, for ceilings and prices; `usd_per_million` is the price of a million units, None when it is
    not known. `operator` is who runs it and `upstream` whose nodes it passes questions on to, as far as that is known ("":
    it is not); `called` is who the user says runs it, where its host tells that already: by these it counts as a voice of its
    own or not. `dataset_of` is set where no node answers but an archive in
    a protocol of its own (portal): the id of the chain whose data the URL names. `besides` says that it is only asked for a
    second opinion, beside what others answered: it may fail, and is not waited for.
    """

    name: str
    url: SecretUrl
    limits: Limits = field(default_factory=Limits)
    account: str = ""
    provider: str = ""
    usd_per_million: float | None = None
    operator: str = ""
    upstream: str = ""
    called: str = ""
    dataset_of: int | None = None
    besides: bool = False

    def answers(self, method: str) -> bool:
        """Whether it is worth asking: an archive has logs only."""
        return self.dataset_of is None or method == "eth_getLogs"


class Learned:
    """What one endpoint has taught us: its limits, its head, its archive depth, its latency. Thread-safe, kept by the pool.

    Every limit is a dimension of its own: blocks, addresses and first topics of a log question, calls of a batch, calls of
    contracts in one eth_call. How many
    results an answer may hold limits the blocks of dense places only: there the span is smaller for as long as it must be.
    """

    def __init__(
        self,
        span: int,
        batch: int = 100,
        *,
        most_blocks: int = NO_LIMIT,
        most_addresses: int = NO_LIMIT,
        archive: int | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self.blocks, self.batch = Bound(span, ceiling=most_blocks), Bound(batch, ceiling=batch)
        self.together = Bound(MOST_TOGETHER, ceiling=MOST_TOGETHER)  # calls of contracts that one eth_call holds
        self.addresses, self.topics = Bound(most_addresses, ceiling=most_addresses), Bound()
        self.finding_filters = threading.Lock()  # held by who finds out how many addresses and topics it takes
        self.filters_in_vain: set[tuple[int, int]] = set()  # so many were refused, and so was the smallest question
        self._archive = archive  # blocks behind the head whose state may be asked for
        self._dense: int | None = None  # blocks to ask for where logs are dense
        self._most_results = 0  # the most logs that an answer held
        self._told_results = 0  # how many it may hold, as told
        self._crowded = False  # whether the last window was refused for its logs
        self._asking = False  # whether a window is asked while that is so
        self._grown = False  # whether the dense span was raised last
        self._calm, self._patience = 0, 1  # answers since it was changed, and how many until it grows
        self.misnamed: frozenset[str] = frozenset()  # what its words name when they mean something else
        self.head = -1  # the newest block it is known to have
        self.tells_head = True
        self.latency_s = self.last_s = 0.1  # moving average and latest, seconds
        self.oldest: dict[str, int] = {}  # the oldest block of a kind that was answered
        self.missing: dict[str, int] = {}  # the newest block of a kind that is taken to be missing
        self.misses: dict[str, int] = {}  # how often that was said, at different times
        self._look_at: dict[str, float] = {}  # when it is looked whether that still holds
        self._missed_at: dict[str, float] = {}
        self._margin = 500  # blocks

    @classmethod
    def within(cls, limits: Limits) -> Self:
        """Nothing learned yet, under these limits."""
        return cls(
            limits.log_span,
            limits.max_batch,
            most_blocks=limits.most_blocks,
            most_addresses=limits.most_addresses,
            archive=limits.archive,
        )

    @property
    def span(self) -> int:
        """Blocks to ask for next in one eth_getLogs."""
        with self._lock:
            return min(self.blocks.size, self._dense or self.blocks.size)

    @property
    def settled(self) -> bool:
        """Whether the search for the span has ended."""
        return self.blocks.settled

    def may_ask(self) -> bool:
        """Whether another window may be asked now: while the span is searched, one question at a time."""
        with self._lock:
            if self._crowded:
                free, self._asking = not self._asking, True
                return free
            dense = self._dense is not None
        return dense or self.blocks.may_ask()

    def answered(self, blocks: int, logs: int = 0) -> None:
        """A window of `blocks` was answered with so many logs."""
        self.blocks.answered(blocks)
        with self._lock:
            self._most_results = max(self._most_results, logs)
            self._crowded = self._asking = False
            if self._dense is None or blocks < self._dense:
                return
            self._calm, self._grown = self._calm + 1, False
            if 2 * logs <= (self._told_results or self._most_results) and self._calm >= self._patience:
                self._dense, self._calm, self._grown = 2 * blocks, 0, True
            elif self._told_results and logs:
                self._dense = max(blocks, int(0.9 * self._told_results * blocks / logs))
            if self._dense >= self.blocks.size:
                self._dense = None

    def refused(self, blocks: int, hint: int | None) -> None:
        """A window of `blocks` was refused for its blocks; `hint` is the largest size the endpoint said it accepts."""
        self._asking = False
        self.blocks.refused(blocks, hint)

    def crowded(self, blocks: int, hint: int | None, results: int | None) -> int:
        """A window of `blocks` has too many or too large logs; how many blocks to ask for instead (`hint` if given)."""
        self.blocks.failed()
        with self._lock:
            if hint is None:  # a range that is suggested was reckoned by who knows the limit in force
                self._told_results = results or self._told_results
            self._crowded, self._asking = True, False
            self._patience = min(64, 2 * self._patience) if self._grown else self._patience
            self._calm, self._grown = 0, False
            smaller = hint if hint is not None and 0 < hint < blocks else max(1, blocks // 2)
            self._dense = min(self._dense or smaller, smaller)
            return smaller

    def doubted(self, blocks: int, *, spoken: bool) -> None:
        """A window of `blocks` failed for a reason that was not said."""
        self._asking = False
        self.blocks.doubted(blocks, spoken=spoken)

    def forgive(self, called: Iterable[str]) -> None:
        """What windows were refused for was not their blocks, whatever it was `called`: they are asked whole again."""
        self.blocks.forget()
        with self._lock:
            self.misnamed |= {"blocks"} & set(called)
            self._dense, self._crowded = None, False

    def misname(self, of: str) -> None:
        """The endpoint speaks of addresses or topics where it means blocks: what was learned of them is forgotten."""
        with self._lock:
            self.misnamed |= {of}
        self.addresses.forget()
        self.topics.forget()

    def failed(self) -> None:
        """A window was neither answered nor refused."""
        self._asking = False
        self.blocks.failed()

    def saw(self, block: int) -> None:
        """The endpoint has this block."""
        with self._lock:
            self.head = max(self.head, block)

    def took(self, seconds: float) -> None:
        """A request took this long; a moving average."""
        with self._lock:
            self.last_s = seconds
            self.latency_s += 0.2 * (seconds - self.latency_s)

    def allows(self, kind: str, block: int | None) -> bool:
        """Whether the user lets `kind` of `block` be asked here, as far as the head is known."""
        if self._archive is None or kind != "state" or block is None or self.head < 0:
            return True
        return block >= self.head - self._archive

    def reaches(self, kind: str, block: int | None, now: float | None = None) -> bool:
        """Whether `kind` ("state" or "logs") of `block` may be asked here, by what was answered and refused before.

        With `now`, also when it is time to look whether what was missing still is.
        """
        if block is None or block > self.missing.get(kind, -1):
            return True
        return now is not None and now >= self._look_at.get(kind, 0.0)

    def surely_missing(self, kind: str, block: int | None) -> bool:
        """Whether `kind` of `block` was said to be missing more than once."""
        return self.misses.get(kind, 0) >= SURE and not self.reaches(kind, block)

    def pruned(self, kind: str, block: int | None, now: float = 0.0, asked_at: float = 0.0) -> None:
        """`kind` of `block`, asked for at `asked_at`, was missing here.

        What is kept reaches back from the head, so blocks a little newer are taken to be missing too, and more of them
        after every disappointment; an answer corrects it. One such word may be a bad moment's: soon it is looked again, and
        more and more seldom while it holds. What was under way at the first of several says nothing new.
        """
        if block is None:
            return
        with self._lock:
            if asked_at >= self._missed_at.get(kind, asked_at):
                self._missed_at[kind] = now
                self.misses[kind] = self.misses.get(kind, 0) + 1
                self._look_at[kind] = now + min(_LOOK_AGAIN_S * 2.0 ** (self.misses[kind] - 1), _LOOK_AGAIN_MOST_S)
                self._margin = min(2 * self._margin, 1_000_000)
            guess = max(block + self._margin, self.missing.get(kind, -1))
            self.missing[kind] = min(guess, self.oldest.get(kind, guess + 1) - 1)

    def proved(self, kind: str, block: int | None) -> None:
        """`kind` of `block` was answered here: what was missing at it or above before was no limit of depth."""
        if block is None:
            return
        with self._lock:
            self.oldest[kind] = min(block, self.oldest.get(kind, block))
            if block <= self.missing.get(kind, -1):
                self.missing[kind] = block - 1
                self.misses[kind] = 0


@dataclass(slots=True)
class Station:
    """An endpoint at work in a pool: its limiter, what it taught us, and whether it is well."""

    endpoint: Endpoint
    limiter: Limiter
    learned: Learned
    back_at: float = 0.0
    stopped: str | None = None
    lied: str | None = None  # what an earlier run proved of its logs: it gives none while another one can
    chain_ok: bool = False
    requests: int = 0
    units: float = 0.0
    retries: int = 0
    failures: int = 0  # in a row; those of one burst are one
    failed_at: float = float("-inf")  # the latest failure that counted
    uneven: bool = False  # whether several nodes answer behind its address, of which some lag behind the others
    lagging: bool = False  # whether it had not come to the block that it was asked last
    doubted: str | None = None  # why it refuses for good, which is not believed yet
    doubted_at: float = float("-inf")
    cleared_at: float = float("-inf")  # when a simple question was answered after such a refusal
    strikes: int = 0  # such refusals of single questions since one was answered
    of_size: set[tuple[str, type[Exception]]] = field(default_factory=set)
    """Methods and refusals that speak of something else and mean the size of a question, as was found out."""
    unheard: int = 0  # times that it did not say which chain it is on
    answered_at: float = float("-inf")
    slowed_at: float = float("-inf")  # the latest complaint about the rate that was news
    held: int = 0  # such complaints since the latest answer
    lock: threading.Lock = field(default_factory=threading.Lock)
    patience: Forbearance = field(default_factory=Forbearance)
    rate_trial: RateTrial = field(default_factory=RateTrial)
    hurried: bool = False  # whether somebody else can answer what it was asked last
    odd: set[str] = field(default_factory=set)  # the words of errors that nobody knows
    missed: int = 0  # opinions that it did not give, where it is only asked besides

    def miss(self, why: object) -> None:
        """It did not answer: who is only asked besides is soon asked no more."""
        self.missed += 1
        if self.endpoint.besides and self.missed >= _MISSES:
            self.stopped = f"{self.endpoint.name} sits out as a second voice: {why}"

    def silent(self, now: float) -> bool:
        """Whether it did not say which chain it is on when it was asked just before: not worth a deadline for an opinion."""
        return not self.chain_ok and self.unheard > 0 and self.back_at > now
