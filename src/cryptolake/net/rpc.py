"""The endpoint pool of one chain: JSON-RPC over many accounts and providers, within their limits.

Chooses by health, archive depth and expected wait; an endpoint that fails sits out and comes back; what an error means is
told from its body (faults). What does not belong here: what a call means, and how a question is made smaller.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from cryptolake.errors import BadInput, CryptolakeError, Retry, Skip, Stop
from cryptolake.net.choice import LOGS, fitting, in_flight, kept, next_for_logs, order, surely_missing, worth_asking
from cryptolake.net.doubts import Doubts
from cryptolake.net.endpoint import Endpoint, Learned, Station
from cryptolake.net.envelope import Json, Reply, by_place
from cryptolake.net.faults import (
    Behind,
    Denied,
    Doubtful,
    Elsewhere,
    Malformed,
    NotAwaited,
    Overdue,
    RpcFault,
    TooBig,
    TooFast,
    Unsaid,
    passing,
)
from cryptolake.net.finality import FinalBlock, settled
from cryptolake.net.http import Http
from cryptolake.net.liars import Liars
from cryptolake.net.limiter import Limiter, for_limit
from cryptolake.net.memory import Memory
from cryptolake.net.outcome import answered, failed
from cryptolake.net.pauses import SIT_OUT_S, pause
from cryptolake.net.purse import CeilingReached, Purse
from cryptolake.net.questions import Question, learn_batch, of_one, state_block
from cryptolake.net.voices import by_voice
from cryptolake.net.waits import all_silent, answers_besides, any_awaited
from cryptolake.net.wire import Wire

_REFUSALS = 20  # of one question for the rate alone, each after a pause, until it counts as a failure


class Pool:
    """The endpoints of one chain. Thread-safe. Errors name endpoints, never their URLs.

    `limiters` gives the limiter of an account, so that one account's budget holds over all its chains; by default each
    endpoint has its own. `purse` says what may be spent, `memory` keeps what endpoints teach, `liars` who gave wrong logs.
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
        liars: Liars | None = None,
        attempts: int = 4,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not endpoints:
            raise BadInput(f"no endpoint for chain {chain}; set CRYPTOLAKE_RPC_{chain.upper()}=url")
        self.chain, self.chain_id, self.purse, self._memory = chain, chain_id, purse, memory
        self._attempts, self._clock, self._sleep, self._local = attempts, clock, sleep, threading.local()
        self._wire = Wire(chain_id, http, purse)
        self._doubts = Doubts(self._wire, sleep)
        own = limiters or (
            lambda one: for_limit(one.limits.rate, cost=one.limits.dearest, told=one.limits.told, sleep=sleep)
        )
        self._patience = _REFUSALS if attempts > 1 else 1
        stations = [Station(one, own(one), Learned.within(one.limits)) for one in endpoints]
        self.stations = [one for one in stations if not one.endpoint.besides]
        self.besides = [one for one in stations if one.endpoint.besides]  # found by `voices` alone
        self._all = self.everybody  # of the chain, also where fewer are asked (`besides.among`)
        for station in self._all:
            station.lied = None if liars is None else liars.words_of(chain, station.endpoint)
            if memory is not None:
                memory.recall(chain, station)
        self.finality_assumed = False  # whether the chain has no `finalized` tag, as far as it was asked

    @property
    def everybody(self) -> list[Station]:
        """Every station, also those that only give second opinions."""
        return [*self.stations, *self.besides]

    @property
    def hurried(self) -> bool:
        """Whether everybody is asked besides, and so not waited for."""
        return all(one.endpoint.besides for one in self.stations)

    @property
    def last_endpoint(self) -> str:
        """Who gave this thread its latest answer; empty before the first."""
        return str(getattr(self._local, "endpoint", ""))

    @property
    def last_givers(self) -> Sequence[str]:
        """Who gave this thread each of its latest answers, in the order asked."""
        return [name for _, name in sorted(getattr(self._local, "givers", {}).items())]

    @property
    def last_endpoints(self) -> frozenset[str]:
        """Everybody who gave this thread a part of its latest answers."""
        return frozenset(self.last_givers)

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""
        return sum(station.requests for station in self.everybody)

    def call(self, method: str, params: Sequence[Json]) -> Json:
        """One call. Raises Skip(reason="revert") for a revert, Narrow when too big, Retry or Stop when nobody answers."""
        (answer,) = self.batch([(method, params)])
        if isinstance(answer, RpcFault):
            raise Skip(f"{method} on {self.chain} was answered with an error by the contract", reason="revert")
        return answer

    def batch(self, calls: Sequence[Question]) -> list[Json | RpcFault]:
        """Many calls in few requests; answers in the order asked. An error object of one call is that call's answer."""
        found, self._local.givers = dict[int, Json | RpcFault](), dict[int, str]()
        while len(found) < len(calls):
            found |= self._somewhere(calls, [number for number in range(len(calls)) if number not in found])
        return [found[number] for number in range(len(calls))]

    def pick(
        self, method: str, block: int | None = None, *, avoid: frozenset[str] = frozenset(), calls: int = 1
    ) -> Station:
        """The endpoint to ask next for so many calls at `block`: well, deep enough, through with them soonest; for logs, one of
        those whose budget yields blocks. Raises Stop or Retry when there is none besides those to `avoid`.
        """
        now = self._clock()
        others = [one for one in self.stations if one.endpoint.name not in avoid and not (avoid and one.silent(now))]
        if found := order(
            worth_asking(others, block, now) if method == LOGS else others, method, block, now, calls=calls
        ):
            return found[0]
        raise self._nobody(Retry("no endpoint is left to ask"))

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
        try:
            answer = self._patiently(station, (method, params), block)
        except NotAwaited as error:
            raise self._nobody(error) from None
        if isinstance(answer, CryptolakeError):
            raise answer
        if isinstance(answer, RpcFault):
            raise Elsewhere(f"{station.endpoint.name} answered {method} with an error; it is asked elsewhere")
        return answer

    def remember(self) -> None:
        """Keep what the endpoints have taught for the next run."""
        if self._memory is not None:
            for station in self.everybody:
                if station.requests:
                    self._memory.note(self.chain, station, now=True)

    def rest(self, attempt: int) -> None:
        """Sleep before asking again for the `attempt`-th time."""
        self._sleep(pause(attempt - 1, Retry("")))

    def parallel(self, method: str) -> int:
        """How many requests in flight the limits can feed: rate x latency, with room to spare (Little's law)."""
        return in_flight(self.stations, method)

    def finalized(self, until: float | None = None) -> int:
        """The newest block that cannot be reorganised away; 64 below the head where the chain has no such tag.

        With `until`, a time (seconds since 1970, UTC) that is to be final, none of one's own operators denies it (`settled`).
        """
        told, first = None, ""
        with suppress(Elsewhere):
            (block,) = self.batch([("eth_getBlockByNumber", ["finalized", False])])
            told, first = FinalBlock.stated(block), self.last_endpoint
        self.finality_assumed = False
        if told is not None and told.sound(time.time(), until):
            return told.number
        words = {} if told is None else {first: told}
        words |= self._finalized_by([one for one in self.stations if one.endpoint.name != first])
        if not words:
            self.finality_assumed = True
            head: Question = ("eth_blockNumber", [])
            ours = FinalBlock.behind(self.call(*head))
            words = {self.last_endpoint: ours}
            others = [one for one in self.stations if one.endpoint.name != self.last_endpoint]
            words |= {name: FinalBlock.behind(one) for name, one in self._each(others, head).items()}
        groups = [[one.endpoint.name for one in some] for some in by_voice(self.stations, lambda one: one.endpoint)]
        return settled([[words[name] for name in some if name in words] for some in groups], time.time())

    def finalized_below(self, number: int) -> int:
        """The newest block that another endpoint calls final, below `number`, which nobody has. Raises Behind if none is."""
        words = self._finalized_by(self.stations if len(self.stations) > 1 else ()).values()
        if found := [one.number for one in words if 0 < one.number < number]:
            return max(found)
        raise Behind(f"{self.chain}: the endpoint does not have block {number} yet; run again later")

    def _finalized_by(self, stations: Sequence[Station]) -> dict[str, FinalBlock]:
        """What each of these calls final, by its name, besides those that do not say."""
        told = self._each(stations, ("eth_getBlockByNumber", ["finalized", False]))
        return {name: said for name, one in told.items() if (said := FinalBlock.stated(one)) is not None}

    def _each(self, stations: Sequence[Station], question: Question) -> dict[str, Json | Reply]:
        """What each of these answers at the first try, by its name."""
        found: dict[str, Json | Reply] = {}
        for station in stations:
            if station.stopped is None and not station.silent(self._clock()):
                with suppress(CryptolakeError):
                    (found[station.endpoint.name],) = self._try(station, [question], None)
        return found

    def _somewhere(self, calls: Sequence[Question], left: Sequence[int]) -> dict[int, Json | RpcFault]:
        """Ask until somebody answers some of what is left: other endpoints first, then later. Answers by place."""
        method, block = calls[left[0]][0], state_block(calls[number] for number in left)
        last: CryptolakeError = Retry("no endpoint answered")
        for attempt in range(1 if self.hurried else self._attempts):
            errors: list[CryptolakeError] = []
            stations = order(self.stations, method, block, self._clock(), calls=len(left))
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
                    self._local.givers |= dict.fromkeys(found, station.endpoint.name)
                    return found
            for big in (error for error in errors if isinstance(error, TooBig)):
                raise big  # it is made smaller only once nobody takes it as it is
            awaited = [error for error in errors if not isinstance(error, NotAwaited)]
            # That somebody may be well later matters more than that another can never answer.
            last = next((error for error in (*awaited, *errors) if passing(error)), errors[-1] if errors else last)
            if errors and not any(passing(one) for one in awaited) and len(awaited) < len(errors):
                break  # who is waited for has spoken, and the others are asked later
            silent = isinstance(last, TooFast) and all(one.limiter.silent for one in stations)
            missing = not isinstance(last, Elsewhere) or surely_missing(self.stations, kept(method), block)
            hopeless = not passing(last) and (attempt or missing)
            if silent or hopeless or all(station.stopped for station in self.stations):
                break
            if attempt + 1 < self._attempts:
                self._sleep(pause(attempt, last))
        raise self._nobody(last)

    def _piece(
        self, station: Station, calls: Sequence[Question], left: Sequence[int], block: int | None, *, patiently: bool
    ) -> dict[int, Json | RpcFault]:
        """As much of what is left as the endpoint takes in one request, less and less of it where it refuses.

        What it answers counts, though it refused others beside it. Raises what it says to one call alone.
        """
        bound = station.learned.batch
        methods = [calls[number][0] for number in left]
        size = min(len(left), bound.size, fitting(station, methods))
        refused = too_many = 0  # times for the rate, and the calls of the latest that should have fitted it
        while True:
            numbers = left[:size]
            try:
                asked = [calls[number] for number in numbers]
                answers = self._doubts.looked_at(station, asked, refused + 1, partial(self._try, station, asked, block))
            except TooFast as error:
                refused += 1
                if not patiently or station.limiter.silent or refused >= self._patience or self.hurried:
                    raise
                self._doubts.rest_after(error, refused)
                fits = min(size, fitting(station, methods))
                if fits > size // 2 and not isinstance(error, Unsaid):
                    # It should have fitted, so it may be too many calls at once whatever the rate is.
                    too_many, fits = size, max(1, size // 4)
                size = fits
                continue
            except (TooBig, Doubtful) as error:
                if not self.hurried and (found := self._doubts.of_parts(station, asked, error)):
                    return by_place(numbers, found)
                if size == 1 or (self.hurried and isinstance(error, Doubtful)):
                    raise of_one(calls[numbers[0]], error) from None
                if isinstance(error, TooBig) and error.of == "batch":
                    bound.refused(size, error.hint)
                else:  # too much to answer at once may be these calls only
                    bound.doubted(size, spoken=isinstance(error, TooBig) or error.spoken)
                size = bound.size if bound.size < size else size // 2
                continue
            learn_batch(bound, size, [one for one in answers if not (station.uneven and isinstance(one, Behind))])
            if too_many > size:
                bound.doubted(too_many, spoken=True)
            return by_place(numbers, answers)

    def _patiently(self, station: Station, call: Question, block: int | None) -> Json | Reply:
        """Ask one endpoint for one thing; while it is asked too fast, again when its limiter lets us."""
        for refused in range(1, 1 if station.endpoint.besides else self._patience):
            try:
                return self._doubts.looked_at(station, [call], refused, partial(self._try, station, [call], block))[0]
            except TooFast as error:
                if station.limiter.silent:
                    raise
                self._doubts.rest_after(error, refused)
        return self._try(station, [call], block)[0]

    def _try(self, station: Station, calls: Sequence[Question], block: int | None) -> list[Json | Reply]:
        """Ask one endpoint once and remember how it went. Raises where not one of the calls was answered."""
        method = calls[0][0]
        kind, asked_at, unheard = kept(method), self._clock(), station.unheard
        station.hurried = answers_besides(self._all, station, method, asked_at)
        replaced = station.hurried or station.patience.given_up(method)
        if not station.patience.may_ask(method, asked_at) and replaced:
            raise NotAwaited(f"{station.endpoint.name} does not answer; it is asked again later")
        try:
            with station.patience.asking(self._clock):
                answers = self._heard(station, calls)
        except Stop as error:
            self.go_on()  # a ceiling over all providers is nothing that an endpoint did
            station.stopped = str(error)
            raise
        except Elsewhere:
            station.learned.pruned(kind, block, self._clock(), asked_at)
            raise
        except Behind:
            # Nothing is wrong with it: others are asked meanwhile.
            station.back_at, station.lagging = self._clock() + SIT_OUT_S, True
            raise
        except Retry as error:
            raise failed(
                station,
                calls,
                error,
                sent_at=self._wire.sent_at,
                asked_at=asked_at,
                now=self._clock(),
                greeted=station.unheard == unheard,
            ) from None
        answered(station, method, answers, self._wire.sent_at)
        station.learned.proved(kind, block)
        if self._memory is not None:
            self._memory.note(self.chain, station)
        return answers

    def go_on(self) -> None:
        """Raise CeilingReached where a ceiling over all providers ended the run: whoever did not answer since then is not
        silent, so nothing may be concluded from it.
        """
        if self.purse is not None and self.purse.reached is not None:
            raise CeilingReached(self.purse.reached)

    def waits_for(self, method: str) -> bool:
        """Whether anybody here is waited for: none was found not to answer, or there is nobody to be asked instead."""
        return any_awaited(self.stations, self._all, method, self._clock())

    @property
    def silent(self) -> bool:
        """Whether nobody who answers first has answered anything for some seconds, though all of them are asked."""
        return all_silent(self.stations, self._clock())

    def hope(self) -> None:
        """A new run begins: whoever was given up in an earlier one is asked again."""
        for station in self._all:
            station.patience.hope()

    def _heard(self, station: Station, calls: Sequence[Question]) -> list[Json | Reply]:
        """Ask one endpoint, unless it is on another chain, not there yet, or gone for good. Raises what is believed of it."""
        self._doubts.settle(station)
        try:
            if not station.chain_ok:
                self._wire.check_chain(station)
                station.patience.greeted()
            self._wire.check_head(station, calls)
            return self._doubts.ask(station, calls)
        except Denied as error:
            now = self._clock()
            others = any(one is not station and not one.stopped and one.back_at <= now for one in self.stations)
            raise self._doubts.denied(station, error, others=others) from None

    def _nobody(self, last: CryptolakeError) -> CryptolakeError:
        if self.purse is not None and self.purse.reached is not None:
            return CeilingReached(self.purse.reached)
        names = ", ".join(one.endpoint.name for one in self.stations)
        stopped = all(one.stopped for one in self.stations)
        reason = next((one.stopped for one in self.stations if one.stopped), str(last)) if stopped else str(last)
        message = f"{self.chain}: {reason} (asked {names})"
        told = type(last) if isinstance(last, Elsewhere | Behind | Overdue | Malformed | NotAwaited) else Retry
        return Stop(message) if stopped else told(message)
