"""`Bound`: how much of one thing (blocks, calls, addresses, topics) an endpoint takes in one question, found by asking.

What does not belong here: what a refusal means (faults), and how a question is cut (logs, rpc).
"""

from __future__ import annotations

import threading

# Limits that providers really set; the search for an unknown one walks these, so it ends within six questions.
_RUNGS = (1, 2, 3, 5, 10, 20, 25, 50, 100, 200, 500, 800, 1000, 2000, 3000, 5000, 10_000, 20_000, 50_000, 100_000)
NO_LIMIT = 2 * _RUNGS[-1]
_PATIENCE_NAMED, _PATIENCE_UNNAMED = 64, 32  # answers until a settled limit is doubted, at first
_STRIKES = 3


class Bound:
    """One limit of one endpoint. Thread-safe.

    Searched by halving over the limits providers really set, from a first guess. A number that a refusal names is tried
    next, and is the limit when it is answered and the next larger one is refused: words may name another thing. A failure
    that does not say why may have been trouble: what was taken before must fail three times, with answers between, before it
    counts as refused, and what was found so is tried again sooner. A settled limit is tried again after a while, and less
    and less often, for limits are raised, and trouble passes.
    """

    def __init__(self, guess: int = NO_LIMIT, ceiling: int = NO_LIMIT) -> None:
        self._lock = threading.Lock()
        self._guess, self._end = max(1, guess), max(1, ceiling) + 1  # more than the ceiling is never asked for
        self._start()

    def _start(self) -> None:
        self._size = self._guess
        self._most = 0  # the largest size answered
        self._refused = self._end  # the smallest size refused, for whatever reason
        self._named = self._end  # the smallest size refused by words that name this limit
        self._since, self._patience = 0, _PATIENCE_NAMED
        self._in_doubt, self._strikes = False, 0
        self._probing = False
        self._again = 0  # a size that is tried again, though it was refused before
        self._hint = 0  # a size that was named and is tried or was answered just now
        self._hints = True  # whether such numbers are still worth trying

    def begin_at(self, size: int) -> None:
        """Begin with a size that was answered in an earlier run; it is tried again like any that was found."""
        with self._lock:
            if 1 <= size < self._end and not self._most:
                self._size = self._most = size

    @property
    def size(self) -> int:
        """How much to ask for next."""
        with self._lock:
            return self._size

    @property
    def most(self) -> int:
        """The most that was answered; 0 for nothing yet."""
        with self._lock:
            return self._most

    @property
    def untested(self) -> bool:
        """Whether nothing has been answered or refused yet, so that more than the guess may be tried."""
        with self._lock:
            return not self._most and self._refused == self._end

    def took(self, size: int) -> bool:
        """Whether as much was answered in one question before, and not refused since."""
        with self._lock:
            return size <= self._most

    @property
    def settled(self) -> bool:
        """Whether the search has ended."""
        with self._lock:
            return self._size == self._most

    def may_ask(self) -> bool:
        """Whether another question may be asked now: while the limit is searched, one at a time."""
        with self._lock:
            if self._size == self._most:
                return True
            free, self._probing = not self._probing, True
            return free

    def answered(self, size: int) -> None:
        """A question of this size was answered."""
        with self._lock:
            self._probing = self._in_doubt = False
            if size < self._size:
                self._most = max(self._most, size)
                return
            self._strikes = 0
            if size > self._most:
                hinted, again = size == self._hint, size == self._again
                if self._hint and not hinted:
                    self._hint, self._hints = 0, False  # more than the number named is taken: it meant something else
                self._most, self._again = size, 0
                self._named = max(self._named, size + 1) if not again or size < self._named else self._end
                self._refused = self._named if again else max(self._refused, size + 1)
                self._step(next_only=hinted)
                if self._size == size:
                    self._hint = 0
                return
            self._since += 1
            if self._since >= self._patience and (above := self._between(self._end)):
                self._since, self._patience = 0, 2 * self._patience
                self._size = self._again = above[0]  # what was refused may have been trouble, or the limit was raised

    def answered_in_part(self, size: int) -> None:
        """Of a question of this size some was answered and much was not: that is less than the endpoint was asked."""
        with self._lock:
            self._probing = self._in_doubt = False
            if 1 < size <= self._size:
                self._lower(size, _PATIENCE_UNNAMED)

    def refused(self, size: int, hint: int | None = None) -> None:
        """A question of this size was refused as too big; `hint` is the largest size the endpoint said it accepts."""
        with self._lock:
            self._probing = False
            if size > self._size:  # more than is asked for by now
                if hint is not None and self._hints and self._most < hint <= self._size:
                    self._refused, self._hint, self._size = min(self._refused, size), hint, hint
                return
            self._named = min(self._named, size)
            self._hints = self._hints and size != self._hint
            self._hint = self._again = 0
            believed = (
                hint is not None and hint == self._most
            )  # the words name what was answered before: that is the limit
            self._lower(self._most + 1 if believed else size, _PATIENCE_NAMED)
            if hint is not None and self._hints and self._most < hint < size:
                self._hint = self._size = hint

    def doubted(self, size: int, *, spoken: bool) -> None:
        """A question of this size failed and nobody said why; `spoken` when the endpoint itself did answer with an error.

        Failures in a row may all be one trouble: only the first of them, or one that was spoken, counts as a refusal.
        """
        with self._lock:
            self._probing = False
            if not 1 < size <= self._size:
                return
            again, self._in_doubt = self._in_doubt, True
            if size <= self._most:
                self._strikes += not again
                if self._strikes < _STRIKES:
                    return
                self._strikes = self._most = 0
            if again and not spoken:
                self._size = self._middle(size) or max(1, size // 2)
            else:
                self._lower(size, _PATIENCE_UNNAMED)

    def forget(self) -> None:
        """Whatever was refused had another reason, which is known now: start again from the guess."""
        with self._lock:
            self._start()

    def failed(self) -> None:
        """A question was neither answered nor refused."""
        with self._lock:
            self._probing = False

    def _lower(self, size: int, patience: int) -> None:
        self._refused, self._patience = size, min(self._patience, patience)
        self._most = self._most if self._most < size else 0  # what was answered before is not any more
        self._step()

    def _between(self, below: int) -> list[int]:
        return [rung for rung in _RUNGS if self._most < rung < below]

    def _middle(self, below: int) -> int:
        rungs = self._between(below)
        return rungs[len(rungs) // 2] if rungs else 0

    def _step(self, *, next_only: bool = False) -> None:
        rungs = self._between(self._refused)
        middle = rungs[0] if rungs and next_only else self._middle(self._refused)
        self._size = middle or self._most or max(1, self._refused // 2)
