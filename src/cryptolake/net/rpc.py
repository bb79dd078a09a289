"""The endpoint pool of one chain: JSON-RPC over many accounts and providers, within their limits.

Chooses by health, archive depth and expected wait; an endpoint that fails sits out and comes back; what an error means is
told from its body (faults). What does not belong here: what a call means, and how a question is made smaller.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import orjson

from cryptolake.errors import BadInput, CryptolakeError, Narrow, Retry, Skip, Stop
from cryptolake.net.answers import quantity, read
from cryptolake.net.choice import LOGS, fitting, in_flight, kept, next_for_logs, order, worth_asking
from cryptolake.net.endpoint import Endpoint, Learned, Station
from cryptolake.net.envelope import Json, Reply, decoded, replies
from cryptolake.net.faults import Behind, Doubtful, Elsewhere, Malformed, Overdue, RpcFault, TooBig, TooFast, passing
from cryptolake.net.http import Http
from cryptolake.net.limiter import Limiter, for_limit
from cryptolake.net.memory import Memory
from cryptolake.net.purse import Purse
from cryptolake.net.questions import Question, divisible, newest_block, of_one, state_block
from cryptolake.net.sending import send

_SIT_OUT_S = 15.0  # how long an endpoint that failed is passed over while others are well
_LONGEST_WAIT_S = 60.0
_REFUSALS = 20  # of one question for the rate alone, each after a pause, until it counts as a failure
_STALE_S = 3600.0  # a final block older than this: the chain stands still, or the endpoint, or it is a test's


class Pool:
    """The endpoints of one chain. Thread-safe. Errors name endpoints, never their URLs.

    `limiters` gives the limiter of an account, so that one account's budget holds over all its chains; by default each
    endpoint has its own. `purse` says what may be spent, `memory` keeps what endpoints teach between runs. `attempts` bounds
    the rounds over all endpoints.
    """

    def __init__(
        self,
        chain: str,
        chain_id: int,
        endpoints: Sequence[Endpoint],
        http: Http,
        *,
        limiters: Callable[[Endpoint], Limiter] | None = None,
        memory: Memory | None = None,
        purse: Purse | None = None,
        attempts: int = 4,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not endpoints:
            raise BadInput(f"no endpoint for chain {chain}; set CRYPTOLAKE_RPC_{chain.upper()}=url")
        self.chain, self.chain_id, self.purse = chain, chain_id, purse
        self._http, self._attempts, self._clock, self._sleep = http, attempts, clock, sleep
        own = limiters or (
            lambda one: for_limit(one.limits.rate, cost=one.limits.dearest, told=one.limits.told, sleep=sleep)
        )
        self._patience = _REFUSALS if attempts > 1 else 1
        self.stations = [Station(one, own(one), Learned.within(one.limits)) for one in endpoints]
        self._memory = memory
        if memory is not None:
            for station in self.stations:
                memory.recall(chain, station)
        self._local = threading.local()
        self.finality_assumed = False  # whether the chain has no `finalized` tag, as far as it was asked

    @property
    def last_endpoint(self) -> str:
        """Who gave this thread its latest answer; empty before the first."""
        return str(getattr(self._local, "endpoint", ""))

    @property
    def last_endpoints(self) -> frozenset[str]:
        """Everybody who gave this thread a part of its latest answers."""
        return frozenset(getattr(self._local, "endpoints", ()))

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
        found, self._local.endpoints = dict[int, Json | RpcFault](), frozenset()
        while len(found) < len(calls):
            found |= self._somewhere(calls, [number for number in range(len(calls)) if number not in found])
        return [found[number] for number in range(len(calls))]

    def pick(self, method: str, block: int | None = None, *, avoid: frozenset[str] = frozenset()) -> Station:
        """The endpoint to ask next for `method` at `block`: well, deep enough, soonest to answer.

        For logs, one of those whose budget yields blocks. Raises Stop or Retry when there is none besides those to `avoid`.
        """
        now = self._clock()
        others = [one for one in self.stations if one.endpoint.name not in avoid]
        found = order(worth_asking(others, block, now) if method == LOGS else others, method, block, now)
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
        """As `at`, for logs: the undecoded JSON of the result."""
        answer = self.at(station, method, params, block)
        if not isinstance(answer, bytes):
            raise Elsewhere(f"{station.endpoint.name} answered {method} with an error; it is asked elsewhere")
        return answer

    def at(self, station: Station, method: str, params: Sequence[Json], block: int | None = None) -> Json | bytes:
        """One call at one endpoint; decoded, unless it is logs. Raises by reaction (Doubtful too) and marks its health."""
        (answer,) = self._patiently(station, [(method, params)], block)
        if isinstance(answer, CryptolakeError):
            raise answer
        if isinstance(answer, RpcFault):
            raise Elsewhere(f"{station.endpoint.name} answered {method} with an error; it is asked elsewhere")
        return answer

    def remember(self) -> None:
        """Keep what the endpoints have taught for the next run."""
        if self._memory is not None:
            for station in self.stations:
                if station.requests:
                    self._memory.note(self.chain, station, now=True)

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
        number = quantity(block.get("number")) if isinstance(block, Mapping) else None
        self.finality_assumed = number is None
        if number is None:
            return max(0, (quantity(self.call("eth_blockNumber", [])) or 0) - 64)
        at = quantity(block.get("timestamp")) if isinstance(block, Mapping) else None
        # An endpoint that stands still is no chain that does: before days are called not final, the others are heard too.
        return max(number, *self._finalized_everywhere()) if time.time() - (at or 0) > _STALE_S else number

    def _finalized_everywhere(self) -> list[int]:
        """What every endpoint calls final, besides those that do not say."""
        found = [0]
        for station in self.stations if len(self.stations) > 1 else ():
            if station.stopped is None:
                with suppress(CryptolakeError):
                    (block,) = self._try(station, [("eth_getBlockByNumber", ["finalized", False])], None)
                    found.append((quantity(block.get("number")) if isinstance(block, Mapping) else None) or 0)
        return found

    def _somewhere(self, calls: Sequence[Question], left: Sequence[int]) -> dict[int, Json | RpcFault]:
        """Ask until somebody answers some of what is left: other endpoints first, then later. Answers by place."""
        method, block = calls[left[0]][0], state_block(calls[number] for number in left)
        last: CryptolakeError = Retry("no endpoint answered")
        for attempt in range(self._attempts):
            errors: list[CryptolakeError] = []
            stations = order(self.stations, method, block, self._clock())
            if not any(one.learned.allows(kept(method), block) for one in self.stations):
                words = "no endpoint may be asked for a block so old (`archive` of the settings)"
                raise Elsewhere(f"{self.chain}: {words}")
            for station in stations:
                try:
                    # Whoever is asked too fast is waited for only when nobody else is left.
                    found = self._piece(station, calls, left, block, patiently=station is stations[-1])
                except (Retry, Stop, TooBig) as error:
                    errors.append(error)
                else:
                    self._local.endpoint = station.endpoint.name
                    self._local.endpoints = {*self.last_endpoints, station.endpoint.name}
                    return found
            for big in (error for error in errors if isinstance(error, TooBig)):
                raise big  # it is made smaller only once nobody takes it as it is
            # That somebody may be well later matters more than that another can never answer.
            last = next((error for error in errors if passing(error)), errors[-1] if errors else last)
            silent = isinstance(last, TooFast) and all(one.limiter.silent for one in stations)
            if silent or not passing(last) or all(station.stopped for station in self.stations):
                break
            if attempt + 1 < self._attempts:
                self._sleep(self._pause(attempt, last))
        raise self._nobody(last)

    def _piece(
        self, station: Station, calls: Sequence[Question], left: Sequence[int], block: int | None, *, patiently: bool
    ) -> dict[int, Json | RpcFault]:
        """As much of what is left as the endpoint takes in one request, less and less of it where it refuses.

        What it answers counts, though it refused others beside it. Raises what it says to one call alone.
        """
        bound = station.learned.batch
        size = min(len(left), bound.size, fitting(station, [calls[number][0] for number in left]))
        ask = self._patiently if patiently else self._try
        while True:
            numbers = left[:size]
            try:
                answers = ask(station, [calls[number] for number in numbers], block)
            except (TooBig, Doubtful) as error:
                if size == 1:
                    raise of_one(calls[numbers[0]][0], error) from None
                if isinstance(error, TooBig) and error.of == "batch":
                    bound.refused(size, error.hint)
                else:  # too much to answer at once may be these calls only
                    bound.doubted(size, spoken=isinstance(error, TooBig) or error.spoken)
                size = bound.size if bound.size < size else size // 2
                continue
            refused = next((one for one in answers if isinstance(one, TooBig) and one.of == "batch"), None)
            if refused is None:
                bound.answered(size)
            else:
                bound.refused(size, refused.hint)
            return {
                number: decoded(answer) if isinstance(answer, bytes) else answer
                for number, answer in zip(numbers, answers, strict=True)
                if not isinstance(answer, CryptolakeError)
            }

    def _patiently(self, station: Station, calls: Sequence[Question], block: int | None) -> list[Json | Reply]:
        """Ask one endpoint; while it is asked too fast, again when its limiter lets us."""
        for _ in range(self._patience - 1):
            try:
                return self._try(station, calls, block)
            except TooFast:
                if station.limiter.silent:
                    raise
        return self._try(station, calls, block)

    def _try(self, station: Station, calls: Sequence[Question], block: int | None) -> list[Json | Reply]:
        """Ask one endpoint once and remember how it went. Raises where not one of the calls was answered."""
        kind = kept(calls[0][0])
        try:
            if not station.chain_ok:
                with station.lock:
                    if not station.chain_ok:
                        self._check_chain(station)
            self._check_head(station, calls)
            answers = self._exchange(station, calls)
            refusals = [answer for answer in answers if isinstance(answer, CryptolakeError)]
            if len(refusals) == len(answers):
                raise refusals[0]
        except Stop as error:
            station.stopped = str(error)
            raise
        except Elsewhere:
            station.learned.pruned(kind, block)
            raise
        except Behind:
            # Nothing is wrong with it: others are asked meanwhile.
            station.back_at, station.lagging = self._clock() + _SIT_OUT_S, True
            raise
        except TooFast as error:
            self._slow_down(station, error)
            raise
        except Retry as error:
            if isinstance(error, Doubtful) and error.spoken and divisible(calls):
                raise  # it is alive and may only have been asked too much
            if isinstance(error, Doubtful) and isinstance(error.otherwise, TooFast):
                self._slow_down(station, error.otherwise)
                raise error.otherwise from None
            station.retries += 1
            if self._local.sent_at > station.failed_at:  # what was under way when it failed before says nothing new
                station.failures, station.failed_at = station.failures + 1, station.limiter.now()
            pause = self._pause(min(station.failures, 8) - 1, error)
            station.back_at = self._clock() + max(pause, _SIT_OUT_S if error.after_s is None else 0.0)
            raise
        station.back_at, station.failures, station.lagging = 0.0, 0, False
        slower = next((refusal for refusal in refusals if isinstance(refusal, TooFast)), None)
        if slower is not None:
            self._slow_down(station, slower)
        else:
            station.limiter.answered(self._local.sent_at)
        station.learned.proved(kind, block)
        if self._memory is not None:
            self._memory.note(self.chain, station)
        return answers

    def _slow_down(self, station: Station, error: TooFast) -> None:
        """The endpoint was asked too fast; its limiter makes everybody wait who shares it."""
        station.retries += 1
        asked = None if error.after_s is None else min(_LONGEST_WAIT_S, error.after_s)
        station.limiter.refused(self._local.sent_at, asked)

    def _nobody(self, last: CryptolakeError) -> CryptolakeError:
        names = ", ".join(one.endpoint.name for one in self.stations)
        stopped = all(one.stopped for one in self.stations)
        reason = next((one.stopped for one in self.stations if one.stopped), str(last)) if stopped else str(last)
        message = f"{self.chain}: {reason} (asked {names})"
        if stopped:
            return Stop(message)
        return type(last)(message) if isinstance(last, Elsewhere | Behind | Overdue | Malformed) else Retry(message)

    def _pause(self, attempt: int, last: CryptolakeError) -> float:
        """Exponential back-off with jitter, at least what the other side asked for, capped at a minute."""
        asked = last.after_s if isinstance(last, Retry) and last.after_s is not None else 0.0
        backoff = random.uniform(0.1, 0.5) * float(2**attempt)  # noqa: S311  # jitter, not a secret
        return min(_LONGEST_WAIT_S, max(asked, backoff))

    def _check_chain(self, station: Station) -> None:
        found = quantity(self._alone(station, "eth_chainId"))
        if found != self.chain_id:
            raise Stop(f"endpoint {station.endpoint.name} is on chain id {found}, not {self.chain_id}; correct its URL")
        station.chain_ok = True

    def _check_head(self, station: Station, calls: Sequence[Question]) -> None:
        """Raise Behind when the endpoint has not come to what is asked: many would answer with nothing, or with the past."""
        newest = newest_block(calls)
        if newest is None or newest <= station.learned.head or not station.learned.tells_head:
            return
        try:
            self._alone(station, "eth_blockNumber")
        except Elsewhere:
            station.learned.tells_head = False
            return
        if newest > station.learned.head:
            raise Behind(f"{station.endpoint.name} has not come to block {newest} yet; it is asked elsewhere or later")

    def _alone(self, station: Station, method: str) -> Json:
        """One call about the endpoint itself. Raises by reaction."""
        try:
            (answer,) = self._exchange(station, [(method, [])])
        except Doubtful as error:
            raise error.otherwise from None
        if isinstance(answer, CryptolakeError):
            raise answer.otherwise if isinstance(answer, Doubtful) else answer
        if isinstance(answer, RpcFault | bytes):
            raise Elsewhere(f"{station.endpoint.name} does not answer {method}; set another endpoint")
        return answer

    def _exchange(self, station: Station, calls: Sequence[Question]) -> list[Json | Reply]:
        cost = sum(station.endpoint.limits.cost(method) for method, _ in calls)
        self._local.sent_at = station.limiter.now()
        if self.purse is not None:
            self.purse.take(station.endpoint, len(calls), cost)
        try:
            self._local.sent_at = station.limiter.acquire(cost, monthly=station.endpoint.limits.monthly)
        except Stop:
            budget, unit = station.endpoint.limits.monthly or 0.0, station.endpoint.limits.unit
            raise Stop(
                f"{station.endpoint.name} has used its {budget:,.0f} {unit} of this month; set another key"
            ) from None
        questions = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        body = orjson.dumps(questions[0] if len(questions) == 1 else questions)
        station.requests += 1
        station.units += cost
        try:
            answer = send(self._http, station.endpoint, body)
        except Narrow:
            raise TooBig(of="bytes") from None
        except Retry as error:
            raise Doubtful(error, spoken=False) from None
        station.learned.took(answer.elapsed_s)
        return [_read(station, call, reply) for call, reply in zip(calls, replies(answer, len(calls)), strict=True)]


def _read(station: Station, call: Question, reply: Reply) -> Json | Reply:
    """A reply's content, well formed, or why it is none; what it says of the endpoint's head is noted."""
    if not isinstance(reply, bytes):
        return reply
    method, params = call
    try:
        found = read(method, params, reply)
    except (Behind, Malformed) as error:
        return error
    told = found.get("number") if isinstance(found, Mapping) else found if method == "eth_blockNumber" else None
    if (block := quantity(told)) is not None:
        station.learned.saw(block)
    return found
