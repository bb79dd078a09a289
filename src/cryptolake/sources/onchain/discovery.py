"""Keeps the logs that name a market's parts (e.g. CreateMarket), so that each block is scanned once for ever.

One journal per chain and emitter; it is only a cache and may be deleted. What does not belong here: how windows are asked
(net/logs) and what the events mean (families).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptolake.contracts.counting import counted
from cryptolake.errors import Skip
from cryptolake.net.audit import second_opinions
from cryptolake.net.blocks import BlockRange
from cryptolake.net.faults import Malformed
from cryptolake.net.journal import ScanJournal
from cryptolake.net.logs import AnsweredWindow, Log, LogFilter, LogQuestion, gather
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan

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

    A killed scan goes on where it was. `audit` is the share of new windows that a second endpoint is asked for too.
    """

    def __init__(self, folder: Path | None = None, audit: float = 0.0) -> None:
        self._folder, self._audit, self._lock = folder, audit, threading.Lock()
        self._histories: dict[tuple[str, LogFilter], _History] = {}

    def upto(
        self, pool: Pool, wanted: LogFilter, blocks: BlockRange, watch: Callable[[int], None] = lambda _done: None
    ) -> list[Log]:
        """Every wanted log of `blocks`, in order. Asks only for blocks not known; `watch` is told how many are.

        Raises Skip: `log_history` when the endpoints answer so few blocks a question that it would take for ever,
        `suspect` when two endpoints disagree.
        """
        history = self._history(pool.chain, wanted)
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
            self._doubt(pool, wanted, blocks, history, fresh, logs)
            return logs

    def _history(self, chain: str, wanted: LogFilter) -> _History:
        with self._lock:
            if (chain, wanted) not in self._histories:
                journal = None if self._folder is None else ScanJournal(self._folder, chain, [wanted])
                self._histories[chain, wanted] = _History(journal, journal.read() if journal is not None else [])
            return self._histories[chain, wanted]

    def _doubt(
        self,
        pool: Pool,
        wanted: LogFilter,
        blocks: BlockRange,
        history: _History,
        fresh: list[AnsweredWindow],
        logs: list[Log],
    ) -> None:
        """A sample of the new windows elsewhere; where two disagree, nothing of the history is believed."""
        question = LogQuestion(pool.chain, [wanted])
        opinions, _ = second_opinions(pool, question, [one.window for one in fresh], logs, blocks, self._audit)
        differing = [one for one in opinions if one.verdict == "different"]
        if not differing:
            return
        history.known.clear()
        if history.journal is not None:
            history.journal.forget()
        one = differing[0]
        raise Skip(
            f"{pool.chain}: {one.first} and {one.second} disagree about events of blocks {one.start} to {one.end - 1}; "
            "the history is scanned again on the next run, leave out the endpoint that is wrong",
            reason="suspect",
        )


def _upto(answered: AnsweredWindow, end: int) -> AnsweredWindow:
    """A known window, cut off at `end`: an earlier day needs no question when a later one was asked."""
    window = answered.window
    if window.end <= end:
        return answered
    logs = tuple(log for log in answered.logs if log.block < end)
    return AnsweredWindow(replace(window, end=end, logs=len(logs)), logs)
