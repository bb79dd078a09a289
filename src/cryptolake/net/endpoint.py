"""`Endpoint`: one provider account on one chain, its published limits, and what it has taught us since. No I/O.

What does not belong here: which endpoints there are (app, registry) and how a call is made (rpc).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptolake.net.limiter import Limiter


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
    many blocks one eth_getLogs may cover; the true span is learned. `monthly` units a month, None when unknown.
    """

    rate: float = 25.0
    unit: str = "calls"
    weights: Mapping[str, float] = field(default_factory=dict)
    log_span: int = 2000
    max_batch: int = 100
    monthly: float | None = None

    def cost(self, method: str) -> float:
        """What one call of `method` costs, in units."""
        return self.weights.get(method, self.weights.get("*", 1.0))

    @property
    def dearest(self) -> float:
        """The cost of the dearest method, in units."""
        return max(self.weights.values(), default=1.0)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One account of a provider on one chain. Endpoints of one account share its `account` name and so its limiter."""

    name: str
    url: SecretUrl
    limits: Limits = field(default_factory=Limits)
    account: str = ""


# Limits that providers really set; the search for an unknown one walks these, so it ends within six questions.
_RUNGS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 800, 1000, 2000, 3000, 5000, 10_000, 20_000, 50_000, 100_000)


class Learned:
    """What one endpoint has taught us: its log span, its archive depth, its latency. Thread-safe, kept by the pool.

    The span is searched by halving over the limits providers really set, from the published guess; a refusal that names
    the limit ends the search at once. A limit on results instead of blocks refuses only dense windows, so the next rung
    is tried again after a while, and less and less often.
    """

    def __init__(self, span: int) -> None:
        self._lock = threading.Lock()
        self._span = max(1, span)
        self._answered = 0  # the largest span answered
        self._refused = 2 * _RUNGS[-1]  # the smallest span refused
        self._since, self._patience = 0, 64  # windows answered since the search ended, and how many until another try
        self._probing = False
        self.latency_s = self.last_s = 0.1  # moving average and latest, seconds
        self.oldest: dict[str, int] = {}  # the oldest block of a kind that was answered
        self.missing: dict[str, int] = {}  # the newest block of a kind that is taken to be missing
        self._margin = 500  # blocks

    @property
    def span(self) -> int:
        """Blocks to ask for next in one eth_getLogs."""
        with self._lock:
            return self._span

    @property
    def settled(self) -> bool:
        """Whether the search for the span has ended."""
        with self._lock:
            return self._span == self._answered

    def may_ask(self) -> bool:
        """Whether another window may be asked now: while the span is searched, one question at a time."""
        with self._lock:
            if self._span == self._answered:
                return True
            free, self._probing = not self._probing, True
            return free

    def answered(self, blocks: int) -> None:
        """A window of `blocks` was answered."""
        with self._lock:
            self._probing = False
            if blocks < self._span:
                return
            if blocks > self._answered:
                self._answered = blocks
                self._step()
                return
            self._since += 1
            if self._since >= self._patience and self._refused > self._answered + 1 and self._between(_RUNGS[-1] + 1):
                self._since, self._patience = 0, 2 * self._patience
                self._span = self._between(_RUNGS[-1] + 1)[0]

    def refused(self, blocks: int, hint: int | None) -> None:
        """A window of `blocks` was refused; `hint` is the largest size the endpoint said it accepts."""
        with self._lock:
            self._probing = False
            if hint is not None and hint < blocks:
                self._refused, self._span = hint + 1, hint
                self._answered = min(self._answered, hint)
            elif blocks <= self._span:
                self._refused = blocks
                self._answered = min(self._answered, max(0, blocks - 1))
                self._step()

    def failed(self) -> None:
        """A window was neither answered nor refused."""
        with self._lock:
            self._probing = False

    def _between(self, below: int) -> list[int]:
        return [rung for rung in _RUNGS if self._answered < rung < below]

    def _step(self) -> None:
        open_rungs = self._between(self._refused)
        if not open_rungs:
            self._span = self._answered or max(1, self._refused // 2)
        else:
            self._span = open_rungs[len(open_rungs) // 2]

    def took(self, seconds: float) -> None:
        """A request took this long; a moving average."""
        with self._lock:
            self.last_s = seconds
            self.latency_s += 0.2 * (seconds - self.latency_s)

    def reaches(self, kind: str, block: int | None) -> bool:
        """Whether `kind` ("state" or "logs") of `block` may be asked here, by what was answered and refused before."""
        return block is None or block > self.missing.get(kind, -1)

    def pruned(self, kind: str, block: int | None) -> None:
        """`kind` of `block` was missing here.

        What is kept reaches back from the head, so blocks a little newer are taken to be missing too, and more of them
        after every disappointment; an answer corrects it.
        """
        if block is not None:
            with self._lock:
                self._margin = min(2 * self._margin, 1_000_000)
                guess = max(block + self._margin, self.missing.get(kind, -1))
                self.missing[kind] = min(guess, self.oldest.get(kind, guess + 1) - 1)

    def proved(self, kind: str, block: int | None) -> None:
        """`kind` of `block` was answered here: what was missing at it or above before was no limit of depth."""
        if block is not None and block < self.oldest.get(kind, block + 1):
            with self._lock:
                self.oldest[kind] = block
                if block <= self.missing.get(kind, -1):
                    self.missing[kind] = block - 1


@dataclass(slots=True)
class Station:
    """An endpoint at work in a pool: its limiter, what it taught us, and whether it is well."""

    endpoint: Endpoint
    limiter: Limiter
    learned: Learned
    back_at: float = 0.0
    stopped: str | None = None
    chain_ok: bool = False
    requests: int = 0
    units: float = 0.0
    retries: int = 0
    failures: int = 0  # in a row
    lock: threading.Lock = field(default_factory=threading.Lock)
