"""The log scanner: one union filter over an exact block range, in parallel windows whose span each endpoint teaches.

Every block of the range is covered exactly once; what was answered before is not asked again (`known`). What does not
belong here: how one window is asked (windows), reading what comes (logs), and doubting an answer (audit).
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue

from cryptolake.errors import Retry, Stop
from cryptolake.net.blocks import BlockRange
from cryptolake.net.endpoint import Station
from cryptolake.net.faults import Behind, Doubtful, Elsewhere, Malformed, NotAwaited, TooBig, TooFast
from cryptolake.net.logs import METHOD, AnsweredWindow, BlockWindow, LogFilter, LogQuestion, place
from cryptolake.net.rpc import Pool
from cryptolake.net.windows import ask_window, teach

_LOOK_AGAIN_S = 0.1  # while another scan of the same endpoints finds their span, which nobody tells this one
_ATTEMPTS = 6  # per window, each at the endpoint that is best then
_IN_A_HURRY = 2  # where only those are asked who are not waited for
# What may be in flight, and so be lost when this process is killed: so many windows, so many blocks, or this part of what
# was answered or of what is left, whichever is most.
_WINDOWS, _BLOCKS, _PART = 2, 4000, 1 / 25
_NO_SIZE = (Behind, Elsewhere, TooFast, NotAwaited, Stop)  # whatever it is, it is not too much
_SAME_SIZE = 3  # so many of them with the window as it is; after that its halves


def scan(
    pool: Pool,
    filters: Sequence[LogFilter],
    block_range: BlockRange,
    *,
    known: Iterable[AnsweredWindow] = (),
    keep: Callable[[AnsweredWindow], None] = lambda _answered: None,
) -> Generator[AnsweredWindow]:
    """Ask for every wanted log of the range; yields windows as they are answered, in no strict order.

    `known` are windows answered by an earlier, interrupted scan: they come first and are not asked again. `keep` is given
    every new window the moment it is answered, by the thread that asked, however busy the caller is. Together the windows
    yielded cover the range exactly once; where nobody gives readable logs of an emitter, the window says so (`unread`).
    Raises Stop when even one block of one contract is refused, Retry when a window cannot be answered by anybody. Closing the
    iterator ends the questions.
    """
    question = LogQuestion(pool.chain, filters)
    done = _within(known, block_range) if question.addresses else []
    yield from done
    left = len(block_range) - sum(one.window.end - one.window.start for one in done)
    if not question.addresses or not left:
        return
    work = _Work(pool, question, _gaps(block_range, done), keep, len(block_range) - left)
    try:
        while left:
            answered = work.next()
            left -= answered.window.end - answered.window.start
            yield answered
    finally:
        work.end()


class _Work:
    """The windows still to be asked, and the threads that ask: lowest blocks first, as many as the limits can feed.

    What is in flight is lost when this process is killed, so it stays a small part of what was answered before, or of what
    is to be asked anyway.
    """

    def __init__(
        self,
        pool: Pool,
        question: LogQuestion,
        gaps: list[tuple[int, int]],
        keep: Callable[[AnsweredWindow], None],
        answered: int,
    ) -> None:
        self._answered = answered  # blocks
        self._attempts = _IN_A_HURRY if pool.hurried else _ATTEMPTS
        self._total = answered + sum(end - start for start, end in gaps)
        self._pool, self._question, self._gaps, self._keep = pool, question, gaps, keep
        heapq.heapify(self._gaps)
        self._state = threading.Condition()
        self._busy, self._threads, self._ended = 0, 0, False
        self._failures: dict[int, int] = {}
        self._misread: dict[int, frozenset[str]] = {}  # by window, the endpoints whose answer was none
        self._outcomes: SimpleQueue[AnsweredWindow | BaseException] = SimpleQueue()
        with self._state:
            self._grow()

    def next(self) -> AnsweredWindow:
        """The next answered window; raises what ended the work."""
        outcome = self._outcomes.get()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def end(self) -> None:
        """Ask nothing more."""
        with self._state:
            self._ended = True
            self._state.notify_all()

    def _grow(self) -> None:
        while self._threads < min(self._pool.parallel(METHOD), self._at_once()):
            self._threads += 1
            threading.Thread(target=self._run, name=f"logs-{self._pool.chain}-{self._threads}", daemon=True).start()

    def _at_once(self) -> int:
        """How many windows may be in flight, as wide as they are now."""
        widest = max((one.learned.span for one in self._pool.stations if one.stopped is None), default=1)
        most = max(self._answered, self._total - self._answered)
        return max(_WINDOWS, _BLOCKS // widest, round(_PART * most / widest))

    def _run(self) -> None:
        try:
            while (task := self._take()) is not None:
                self._answer(*task)
        except BaseException as error:  # noqa: BLE001  # handed to the caller of next(), never lost
            self._outcomes.put(error)
            self.end()

    def _take(self) -> tuple[Station, int, int] | None:
        """The next window and where to ask it; waits while every endpoint is busy finding its span, or too much is in flight.

        None at the end.
        """
        with self._state:
            while not self._ended and (self._gaps or self._busy):
                is_free = self._gaps and self._busy < self._at_once()
                if is_free and (station := self._pool.free_for_logs(self._gaps[0][0])) is not None:
                    start, end = heapq.heappop(self._gaps)
                    station = self._other(station, start)
                    span = station.learned.span
                    # While nothing is known of its limit, a remainder that is smaller than half a window is asked along.
                    stop = end if station.learned.blocks.untested and 2 * (end - start) <= 3 * span else start + span
                    if stop < end:
                        heapq.heappush(self._gaps, (stop, end))
                    self._busy += 1
                    return station, start, min(stop, end)
                self._state.wait(_LOOK_AGAIN_S)
            self._state.notify_all()
            return None

    def _other(self, station: Station, start: int) -> Station:
        """Somebody else where this endpoint's answer to the window was none before and there is somebody."""
        misread = self._misread.get(start, frozenset())
        if station.endpoint.name in misread:
            with suppress(Retry, Stop):
                other = self._pool.pick(METHOD, start, avoid=misread)
                station.learned.failed()  # it is not asked after all: the next window may be
                return other
        return station

    def _answer(self, station: Station, start: int, stop: int) -> None:
        """Ask for a window; put back what of it is to be asked in another way."""
        attempt = self._failures.get(start, 0)
        back: list[tuple[int, int]] = []
        unread: set[str] | None = (
            set() if attempt + 1 == self._attempts else None
        )  # what nobody gave well fails whose it is
        try:
            if attempt:
                self._pool.rest(attempt)
            logs = ask_window(self._pool, station, self._question, start, stop, unread=unread)
        except (TooBig, Doubtful) as error:
            if isinstance(error, Doubtful) and self._pool.hurried:
                raise error.otherwise from None
            back = teach(station.learned, error, start, stop)
        except (Retry, Stop) as error:
            station.learned.failed()
            if attempt + 1 >= self._attempts or (isinstance(error, Stop) and station.stopped is None):
                raise
            if isinstance(error, NotAwaited) and not self._pool.waits_for(METHOD):
                raise
            self._failures[start] = attempt + 1
            if isinstance(error, Malformed):
                self._misread[start] = self._misread.get(start, frozenset()) | {station.endpoint.name}
            # What goes wrong again and again may be too much, whatever it is called. Only these are never a matter of size.
            whole = attempt + 1 < _SAME_SIZE or isinstance(error, _NO_SIZE)
            middle = start + (stop - start) // 2
            back = [(start, stop)] if whole or middle == start else [(start, middle), (middle, stop)]
        else:
            station.learned.answered(stop - start, len(logs))
            window = BlockWindow(start, stop, station.endpoint.name, len(logs))
            answered = AnsweredWindow(window, tuple(sorted(logs, key=place)), frozenset(unread or ()))
            self._keep(answered)
            self._outcomes.put(answered)
        with self._state:
            self._answered += 0 if back else stop - start
            self._busy -= 1
            self._put_back(back)
            self._grow()
            self._state.notify_all()

    def _put_back(self, pieces: list[tuple[int, int]]) -> None:
        """Leave pieces to be asked; the last one joins what follows it, so that no small window is left between."""
        if pieces:
            start, stop = pieces.pop()
            following = next((gap for gap in self._gaps if gap[0] == stop), None)
            if following is not None:
                self._gaps.remove(following)
                stop = following[1]
            self._gaps += [*pieces, (start, stop)]
            heapq.heapify(self._gaps)


def _within(known: Iterable[AnsweredWindow], block_range: BlockRange) -> list[AnsweredWindow]:
    """What earlier windows say of the range, without overlaps: a window that reaches out of it is good for its part."""
    found: list[AnsweredWindow] = []
    at = block_range.start
    for one in sorted(known, key=lambda one: (one.window.start, -one.window.end)):
        start, end = max(at, one.window.start), min(block_range.end, one.window.end)
        if start < end:
            found.append(_cut(one, start, end))
            at = end
    return found


def _cut(answered: AnsweredWindow, start: int, end: int) -> AnsweredWindow:
    """The part of a window in blocks `[start, end)`."""
    if (answered.window.start, answered.window.end) == (start, end):
        return answered
    logs = tuple(log for log in answered.logs if start <= log.block < end)
    return replace(answered, window=replace(answered.window, start=start, end=end, logs=len(logs)), logs=logs)


def _gaps(block_range: BlockRange, done: Sequence[AnsweredWindow]) -> list[tuple[int, int]]:
    """What is left of the range, as `[start, end)` pairs in order."""
    gaps, at = [], block_range.start
    for one in done:
        if at < one.window.start:
            gaps.append((at, one.window.start))
        at = one.window.end
    if at < block_range.end:
        gaps.append((at, block_range.end))
    return gaps
