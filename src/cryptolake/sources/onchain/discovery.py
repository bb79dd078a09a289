"""Keeps the logs that name a market's parts (e.g. CreateMarket), so that each block is scanned once for ever.

One journal per chain and emitter; it is only a cache and may be deleted. What does not belong here: how windows are asked
(net/logs) and what the events mean (families).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptolake.contracts.counting import counted
from cryptolake.errors import Skip
from cryptolake.net.blocks import BlockRange
from cryptolake.net.faults import Malformed
from cryptolake.net.journal import ScanJournal
from cryptolake.net.logs import AnsweredWindow, Log, LogFilter, LogQuestion, gather, place
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan
from cryptolake.net.settlement import Said, differing, settle
from cryptolake.net.witness import Testimony, Witness

_MOST_QUESTIONS = 250_000  # of one history: about three hours at 25 a second
_FIRST_WINDOWS = 50  # after so many the spans are learned, and the whole can be reckoned


@dataclass(slots=True)
class _History:
    """The windows known of one emitter, and where they are kept."""

    journal: ScanJournal | None
    known: list[AnsweredWindow] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Discoveries:
    """Log histories of all chains, kept in `folder`; in memory only when it is None. Thread-safe.

    A killed scan goes on where it was. `share` of the new windows are asked again at a second voice.
    """

    def __init__(self, folder: Path | None = None, share: float = 0.0) -> None:
        self._folder, self._share, self._lock = folder, share, threading.Lock()
        self._histories: dict[tuple[str, LogFilter], _History] = {}

    def upto(
        self, pool: Pool, wanted: LogFilter, blocks: BlockRange, watch: Callable[[int], None] = lambda _done: None
    ) -> list[Log]:
        """Every wanted log of `blocks`, in order. Asks only for blocks not known; `watch` is told how many are.

        Raises Skip: `log_history` when the endpoints answer so few blocks a question that it would take for ever,
        `suspect` when two endpoints disagree.
        """
        history = self._history(pool, wanted)
        with history.lock:
            known = [_upto(one, blocks.end) for one in history.known if one.window.start < blocks.end]
            answers, fresh, longest = [], [], 1
            kept, done = {one.window for one in known}, 0
            with closing(scan(pool, [wanted], blocks, known=known)) as windows:
                for answered in windows:
                    if answered.unread:
                        raise Malformed(
                            f"{pool.chain}: events of {wanted.address} cannot be read; set another endpoint"
                        )
                    answers.append(answered)
                    done += answered.window.end - answered.window.start
                    if answered.window in kept:
                        continue
                    fresh.append(answered)
                    history.known.append(answered)
                    if history.journal is not None:
                        history.journal.keep(answered)
                    watch(done)
                    longest = max(longest, answered.window.end - answered.window.start)
                    if len(fresh) >= _FIRST_WINDOWS and (len(blocks) - done) // longest > _MOST_QUESTIONS:
                        raise Skip(
                            f"{pool.chain}: the endpoints answer {counted(longest, 'block')} of logs a question, "
                            f"too few for the {len(blocks)} since the deployment; set an endpoint with a wider log range",
                            reason="log_history",
                        )
            logs, _ = gather(answers)
            return self._doubt(pool, wanted, blocks, history, fresh, logs)

    def _history(self, pool: Pool, wanted: LogFilter) -> _History:
        chain = pool.chain
        with self._lock:
            if (chain, wanted) not in self._histories:
                told = [one.endpoint for one in pool.everybody]
                journal = None if self._folder is None else ScanJournal(self._folder, chain, [wanted], told)
                known = journal.read(strangers=True) if journal is not None else []
                self._histories[chain, wanted] = _History(journal, known)
            return self._histories[chain, wanted]

    def _doubt(
        self,
        pool: Pool,
        wanted: LogFilter,
        blocks: BlockRange,
        history: _History,
        fresh: list[AnsweredWindow],
        logs: list[Log],
    ) -> list[Log]:
        """The logs, after new windows were asked again elsewhere and differences settled; what cannot be is not believed."""
        windows = [one.window for one in fresh]
        heard = Witness(pool, [wanted], self._share).hear(windows, blocks) if self._share else Testimony()
        told = [log for one in fresh for log in one.logs]
        question, truth = LogQuestion(pool.chain, [wanted]), dict[int, Said]()
        for number, said in differing(windows, told, heard.windows, heard.logs).items():
            settled, truth[number] = settle(pool, question, number, said)
            if not settled.settled:
                self._forget(history, [])
                raise Skip(
                    f"{pool.chain}: {' and '.join(said)} disagree about events of block {number}; "
                    "the history is scanned again on the next run, leave out the endpoint that is wrong",
                    reason="suspect",
                )
        if not truth:
            return logs
        self._forget(history, [_mended(one, truth) for one in history.known])
        kept = [log for log in logs if log.block not in truth]
        return sorted({*kept, *frozenset().union(*truth.values())}, key=place)

    def _forget(self, history: _History, instead: list[AnsweredWindow]) -> None:
        """Keep these windows of a history alone."""
        history.known[:] = instead
        if history.journal is not None:
            history.journal.forget()
            for one in instead:
                history.journal.keep(one)


def _mended(answered: AnsweredWindow, truth: Mapping[int, Said]) -> AnsweredWindow:
    """A window with what was settled about blocks of it."""
    window = answered.window
    settled = [truth[number] for number in truth if window.start <= number < window.end]
    if not settled:
        return answered
    kept = {log for log in answered.logs if log.block not in truth}
    logs = tuple(sorted(kept.union(*settled), key=place))
    return AnsweredWindow(replace(window, logs=len(logs)), logs)


def _upto(answered: AnsweredWindow, end: int) -> AnsweredWindow:
    """A known window, cut off at `end`: an earlier day needs no question when a later one was asked."""
    window = answered.window
    if window.end <= end:
        return answered
    logs = tuple(log for log in answered.logs if log.block < end)
    return AnsweredWindow(replace(window, end=end, logs=len(logs)), logs)
