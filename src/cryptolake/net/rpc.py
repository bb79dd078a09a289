"""The endpoint pool of one chain: JSON-RPC over many accounts and providers, within their limits.

Chooses by health, archive depth and expected wait; an endpoint that fails sits out and comes back; what an error means is
told from its body (faults). What does not belong here: what a call means, and how a question is made smaller.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import orjson

from cryptolake.errors import BadInput, CryptolakeError, Narrow, Retry, Skip, Stop
from cryptolake.net.choice import Question, in_flight, kept, next_for_logs, order, state_block
from cryptolake.net.endpoint import Endpoint, Learned, Station
from cryptolake.net.envelope import Json, decoded, match, parse
from cryptolake.net.faults import Elsewhere, RpcFault, TooFast
from cryptolake.net.http import Http
from cryptolake.net.limiter import Limiter, for_limit

_HEADERS = {"content-type": "application/json"}
_SIT_OUT_S = 15.0  # how long an endpoint that failed is passed over while others are well
_LONGEST_WAIT_S = 60.0


class Pool:
    """The endpoints of one chain. Thread-safe. Errors name endpoints, never their URLs.

    `limiters` gives the limiter of an account, so that one account's budget holds over all its chains; by default each
    endpoint has its own. `attempts` bounds the rounds over all endpoints.
    """

    def __init__(
        self,
        chain: str,
        chain_id: int,
        endpoints: Sequence[Endpoint],
        http: Http,
        *,
        limiters: Callable[[Endpoint], Limiter] | None = None,
        attempts: int = 4,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not endpoints:
            raise BadInput(f"no endpoint for chain {chain}; set CRYPTOLAKE_RPC_{chain.upper()}=url")
        self.chain, self.chain_id = chain, chain_id
        self._http, self._attempts, self._clock, self._sleep = http, attempts, clock, sleep
        own = limiters or (lambda one: for_limit(one.limits.rate, cost=one.limits.dearest, sleep=sleep))
        self.stations = [Station(one, own(one), Learned(one.limits.log_span)) for one in endpoints]
        self._local = threading.local()
        self.finality_assumed = False  # whether the chain has no `finalized` tag, as far as it was asked

    @property
    def last_endpoint(self) -> str:
        """Who gave this thread its latest answer; empty before the first."""
        return str(getattr(self._local, "endpoint", ""))

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""
        return sum(station.requests for station in self.stations)

    def call(self, method: str, params: Sequence[Json]) -> Json:
        """One call. Raises Skip(reason="revert") for a revert, Narrow when too big, Retry or Stop when nobody answers."""
        (answer,) = self.batch([(method, params)])
        if isinstance(answer, RpcFault):
            raise Skip(f"{method} on {self.chain} was answered with an error by the contract", reason="revert")
        return answer

    def batch(self, calls: Sequence[Question]) -> list[Json | RpcFault]:
        """Many calls in few requests; answers in the order asked. An error object of one call is that call's answer."""
        answers: list[Json | RpcFault] = []
        size = min(station.endpoint.limits.max_batch for station in self.stations)
        for start in range(0, len(calls), size):
            answers += self._halving(calls[start : start + size])
        return answers

    def _halving(self, calls: Sequence[Question]) -> list[Json | RpcFault]:
        """A batch, in halves where it is too big for whoever was asked. Raises Narrow when a single call is."""
        try:
            return self._somewhere(calls)
        except Narrow:
            if len(calls) == 1:
                raise
            half = len(calls) // 2
            return self._halving(calls[:half]) + self._halving(calls[half:])

    def pick(self, method: str, block: int | None = None, *, avoid: frozenset[str] = frozenset()) -> Station:
        """The endpoint to ask next for `method` at `block`: well, deep enough, soonest to answer.

        Raises Stop or Retry when there is none besides those to `avoid`.
        """
        now = self._clock()
        found = [one for one in order(self.stations, method, block, now) if one.endpoint.name not in avoid]
        if not found:
            raise self._nobody(Retry("no endpoint is left to ask"))
        return found[0]

    def free_for_logs(self, block: int) -> Station | None:
        """The endpoint that takes the next log window at `block`; None while all worth asking are finding their span.

        Raises Stop when none is left.
        """
        try:
            return next_for_logs(self.stations, block, self._clock())
        except Stop as error:
            raise self._nobody(error) from None

    def ask(self, station: Station, method: str, params: Sequence[Json], block: int | None = None) -> bytes:
        """One call at one endpoint, for callers that learn per endpoint; the undecoded JSON of its result.

        Raises by reaction and marks the endpoint's health.
        """
        (answer,) = self._try(station, [(method, params)], block)
        if isinstance(answer, RpcFault):
            raise Retry(f"{station.endpoint.name} answered {method} with an error; it is asked elsewhere")
        return answer

    def rest(self, attempt: int) -> None:
        """Sleep before asking again for the `attempt`-th time."""
        self._sleep(self._pause(attempt - 1, Retry("")))

    def parallel(self, method: str) -> int:
        """How many requests in flight the limits can feed: rate x latency, with room to spare (Little's law)."""
        return in_flight(self.stations, method)

    def finalized(self) -> int:
        """The newest block that cannot be reorganised away; 64 below the head where the chain has no such tag."""
        try:
            (block,) = self.batch([("eth_getBlockByNumber", ["finalized", False])])
        except Elsewhere:
            block = None
        self.finality_assumed = not (isinstance(block, Mapping) and isinstance(block.get("number"), str))
        if isinstance(block, Mapping) and not self.finality_assumed:
            return int(str(block["number"]), 16)
        return max(0, int(str(self.call("eth_blockNumber", [])), 16) - 64)

    def _somewhere(self, calls: Sequence[Question]) -> list[Json | RpcFault]:
        """Ask until somebody answers: other endpoints first, then later."""
        method, block = calls[0][0], state_block(calls)
        last: CryptolakeError = Retry("no endpoint answered")
        for attempt in range(self._attempts):
            errors: list[CryptolakeError] = []
            for station in order(self.stations, method, block, self._clock()):
                try:
                    answers = [
                        one if isinstance(one, RpcFault) else decoded(one) for one in self._try(station, calls, block)
                    ]
                except (Retry, Stop) as error:
                    errors.append(error)
                else:
                    self._local.endpoint = station.endpoint.name
                    return answers
            # That somebody may be well later matters more than that another can never answer.
            last = next((error for error in errors if _worth_waiting(error)), errors[-1] if errors else last)
            if not _worth_waiting(last) or all(station.stopped for station in self.stations):
                break
            if attempt + 1 < self._attempts:
                self._sleep(self._pause(attempt, last))
        raise self._nobody(last)

    def _try(self, station: Station, calls: Sequence[Question], block: int | None) -> list[bytes | RpcFault]:
        """Ask one endpoint and remember how it went."""
        kind = kept(calls[0][0])
        try:
            if not station.chain_ok:
                with station.lock:
                    if not station.chain_ok:
                        self._check_chain(station)
            answers = self._exchange(station, calls)
        except Stop as error:
            station.stopped = str(error)
            raise
        except Elsewhere:
            station.learned.pruned(kind, block)
            raise
        except Retry as error:
            station.retries += 1
            station.failures += 1
            pause = self._pause(min(station.failures, 8) - 1, error)
            if isinstance(error, TooFast):
                station.limiter.slow_down()
                station.limiter.push_back(pause)
            station.back_at = self._clock() + max(pause, _SIT_OUT_S if error.after_s is None else 0.0)
            raise
        station.back_at, station.failures = 0.0, 0
        station.limiter.speed_up()
        station.learned.proved(kind, block)
        return answers

    def _nobody(self, last: CryptolakeError) -> CryptolakeError:
        names = ", ".join(station.endpoint.name for station in self.stations)
        stopped = all(station.stopped for station in self.stations)
        reason = next((one.stopped for one in self.stations if one.stopped), str(last)) if stopped else str(last)
        message = f"{self.chain}: {reason} (asked {names})"
        if stopped:
            return Stop(message)
        return Elsewhere(message) if isinstance(last, Elsewhere) else Retry(message)

    def _pause(self, attempt: int, last: CryptolakeError) -> float:
        """Exponential back-off with jitter, at least what the other side asked for, capped at a minute."""
        asked = last.after_s if isinstance(last, Retry) and last.after_s is not None else 0.0
        backoff = random.uniform(0.1, 0.5) * float(2**attempt)  # noqa: S311  # jitter, not a secret
        return min(_LONGEST_WAIT_S, max(asked, backoff))

    def _check_chain(self, station: Station) -> None:
        (answer,) = self._exchange(station, [("eth_chainId", [])])
        name = None if isinstance(answer, RpcFault) else decoded(answer)
        found = int(name, 16) if isinstance(name, str) else None
        if found != self.chain_id:
            raise Stop(f"endpoint {station.endpoint.name} is on chain id {found}, not {self.chain_id}; correct its URL")
        station.chain_ok = True

    def _exchange(self, station: Station, calls: Sequence[Question]) -> list[bytes | RpcFault]:
        cost = sum(station.endpoint.limits.cost(method) for method, _ in calls)
        budget = station.endpoint.limits.monthly
        if budget is not None and station.limiter.used() + cost > budget:
            unit = station.endpoint.limits.unit
            raise Stop(f"{station.endpoint.name} has used its {budget:,.0f} {unit} of this month; set another key")
        station.limiter.acquire(cost)
        questions = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        body = orjson.dumps(questions[0] if len(questions) == 1 else questions)
        station.requests += 1
        station.units += cost
        answer = self._http.post(station.endpoint.url.reveal(), body, headers=_HEADERS)
        station.learned.took(answer.elapsed_s)
        return match(parse(answer), len(calls))


def _worth_waiting(last: CryptolakeError) -> bool:
    return isinstance(last, Retry) and not isinstance(last, Elsewhere)
