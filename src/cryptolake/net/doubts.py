"""Whether a refusal is believed: the smallest question of its kind tells a matter of size, a simple one a refusal for good.

Words are a shortcut that may mislead. So a question that could be smaller is never given up for what its refusal is called,
and no endpoint for one answer. What does not belong here: what the words seem to say (faults), and asking elsewhere (rpc).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cryptolake.errors import CryptolakeError, Retry
from cryptolake.net.backends import from_another_node
from cryptolake.net.choice import LOGS
from cryptolake.net.endpoint import Station
from cryptolake.net.envelope import Json, Reply
from cryptolake.net.faults import Behind, Denied, Doubtful, Elsewhere, TooBig, TooFast, Unsaid
from cryptolake.net.http import TooSlow
from cryptolake.net.pauses import pause
from cryptolake.net.questions import Question, divisible, parts_of, smallest
from cryptolake.net.wire import Wire

LATER_S = 2.0  # after which a refusal for good must still hold
_AGAIN = 3  # refusals of one question for its rate or for no reason, after which it is found out whether it is itself
_STRIKES = 3  # refusals for good of single questions, while simple ones are answered, that end an endpoint


class Doubts:
    """Asks through `wire` what tells a refusal's worth. Thread-safe."""

    def __init__(self, wire: Wire, sleep: Callable[[float], None]) -> None:
        self._wire, self._sleep = wire, sleep

    def ask(self, station: Station, calls: Sequence[Question]) -> list[Json | Reply]:
        """What came for each call. Raises by reaction; Doubtful where a smaller question is answered and this one is not."""
        try:
            return self._wire.send(station, calls)
        except (Denied, Elsewhere, Behind) as error:
            refusal = error
        known = (calls[0][0], type(refusal)) in station.of_size and not station.uneven
        if isinstance(refusal, Behind) and not known:
            found = from_another_node(self._wire, station, calls)
            if found is not None:
                return found
        if not divisible(calls):
            station.of_size.discard((calls[0][0], type(refusal)))
            raise refusal
        if isinstance(refusal, Denied) and station.doubted is not None:
            raise refusal  # that is being found out
        if (calls[0][0], type(refusal)) in station.of_size:
            raise Doubtful(refusal, spoken=True)
        if not self._passes(station, smallest(calls, newest=isinstance(refusal, Behind))):
            raise refusal
        return self._again(station, calls, refusal)

    def of_itself(self, station: Station, calls: Sequence[Question], refusal: Retry) -> list[Json | Reply] | None:
        """What came for a question that was refused for its rate again and again; None when it is the rate indeed.

        Raises what it means when the smallest question of its kind passes (a simple one where it is that itself), and this
        one at once after it does not: Doubtful where it can be made smaller.
        """
        small = smallest(calls) if divisible(calls) else [("eth_blockNumber", [])]
        if not self._passes(station, small):
            return None
        return self._again(station, calls, refusal)

    def of_parts(
        self, station: Station, calls: Sequence[Question], error: CryptolakeError
    ) -> list[Json | Reply] | None:
        """What came for one aggregate that failed without a word, asked again; None where one of its calls fails alone too.

        Raises TooBig when that is answered and the aggregate is not: fewer of its calls may be.
        """
        if len(calls) > 1 or parts_of(calls[0]) == 1 or not isinstance(error, Doubtful) or error.spoken:
            return None
        if not station.chain_ok or isinstance(error.otherwise, TooSlow) or not self._passes(station, smallest(calls)):
            return None
        try:
            return self._wire.send(station, calls)
        except Doubtful:
            raise TooBig(of="gas") from None

    def looked_at(
        self, station: Station, calls: Sequence[Question], refused: int, ask: Callable[[], list[Json | Reply]]
    ) -> list[Json | Reply]:
        """What `ask` gives; what it is refused for the `refused`-th time is looked at: whether it is the rate (`of_itself`)."""
        try:
            return ask()
        except TooFast as error:
            one = calls[0][0] == LOGS or len(calls) == 1  # a batch is made smaller for its rate as it is
            if isinstance(error, Unsaid) or (one and divisible(calls)):
                known = (calls[0][0], type(error)) in station.of_size
                if (known or refused % _AGAIN == 0) and (found := self.of_itself(station, calls, error)):
                    return found
            raise

    def rest_after(self, error: TooFast, refused: int) -> None:
        """Rest where a limiter does not see to it. Raises what it is after several times."""
        if isinstance(error, Unsaid) and not error.of_rate:
            if refused >= _AGAIN:
                raise Retry(str(error), after_s=error.after_s)
            self._sleep(pause(refused - 1, error))

    def denied(self, station: Station, error: Denied, *, others: bool) -> CryptolakeError:
        """What a refusal for good of one question means: it is believed when a simple one is refused for good later.

        That is found out after a pause where there are no others who can be asked meanwhile, else when it is asked next.
        """
        sent_at = self._wire.sent_at
        again = Retry(str(error))
        if station.doubted is None and sent_at > station.cleared_at:
            station.doubted, station.doubted_at = str(error), station.limiter.now()
        if others:
            return again
        with station.lock:
            if station.stopped is not None:
                return error
            if sent_at <= station.cleared_at:  # the same moment's trouble, which is over
                return again
            self._confirm(station)
        station.strikes += 1
        return again if station.strikes < _STRIKES else error

    def settle(self, station: Station) -> None:
        """Find out about a refusal that is not believed yet. Raises Denied when it is now, else by reaction."""
        if station.doubted is not None:
            with station.lock:
                if station.doubted is not None:
                    self._confirm(station)
        if station.stopped is not None:
            raise Denied(station.stopped)

    def _confirm(self, station: Station) -> None:
        if (wait := station.doubted_at + LATER_S - station.limiter.now()) > 0:
            self._sleep(wait)
        try:
            self._wire.alone(station, "eth_blockNumber")
        except Denied as error:
            station.stopped, station.doubted = str(error), None
            raise
        except Elsewhere:
            pass  # who does not have this method lets us in
        station.doubted, station.cleared_at = None, station.limiter.now()

    def _passes(self, station: Station, calls: Sequence[Question]) -> bool:
        try:
            self._wire.send(station, calls)
        except CryptolakeError:
            return False
        station.limiter.answered(self._wire.sent_at)
        return True

    def _again(self, station: Station, calls: Sequence[Question], refusal: CryptolakeError) -> list[Json | Reply]:
        """The same question once more: what was wrong may have passed, else it is its size."""
        try:
            return self._wire.send(station, calls)
        except (type(refusal), Doubtful) as error:
            if divisible(calls):
                station.of_size.add((calls[0][0], type(refusal)))
            raise error if isinstance(error, Doubtful) else Doubtful(error, spoken=True) from None
