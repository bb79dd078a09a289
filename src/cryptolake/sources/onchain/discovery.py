"""Keeps the logs that name a market's parts (e.g. CreateMarket), so that each block is scanned once for ever.

One file of JSON lines per emitter, a line per scanned window; it is only a cache and may be deleted. What does not belong
here: what the events mean (families).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from cryptolake.errors import Skip
from cryptolake.net.blocks import BlockRange
from cryptolake.net.logs import Log, LogFilter, Window, log_to_json, parse_log, scan
from cryptolake.net.rpc import Pool

_MOST_QUESTIONS = 250_000  # of one history: about three hours at 25 a second


@dataclass(slots=True)
class _History:
    """The logs of blocks `[start, until)`, in order."""

    until: int
    logs: list[Log] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, start: int, end: int, logs: list[Log]) -> bool:
        """Take a window if it continues the history; blocks already known are not taken twice."""
        if not start <= self.until < end:
            return False
        self.logs += [log for log in logs if log.block >= self.until]
        self.until = end
        return True


class Discoveries:
    """Log histories of all chains under `folder`; kept in memory only when it is None. Thread-safe.

    A killed scan continues where its last whole window ended. Two processes may scan the same: each line says which
    blocks it covers, and a line that adds nothing is passed over.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._histories: dict[tuple[str, LogFilter, int], _History] = {}

    def upto(self, pool: Pool, wanted: LogFilter, blocks: BlockRange) -> list[Log]:
        """Every wanted log of `blocks`, in order. Asks only for blocks beyond those known.

        Raises Skip(reason="log_history") when the endpoints answer so few blocks a question that it would take for ever.
        """
        path = self._path(pool.chain, wanted, blocks.start)
        with self._lock:
            key = (pool.chain, wanted, blocks.start)
            history = self._histories.setdefault(key, _History(blocks.start))
        with history.lock:
            if path is not None and history.until == blocks.start:
                _load(path, history)
            if history.until < blocks.end:

                def keep(window: Window, logs: list[Log]) -> None:
                    if history.add(window.start, window.end, logs) and path is not None:
                        _append(path, window, logs)
                    if (blocks.end - window.end) // (window.end - window.start) > _MOST_QUESTIONS:
                        raise Skip(
                            f"{pool.chain}: the endpoint answers {window.end - window.start} blocks of logs a question, "
                            f"too few for the {blocks.end - blocks.start} since the deployment; set another endpoint",
                            reason="log_history",
                        )

                scan(pool, [wanted], BlockRange(history.until, blocks.end), on_window=keep)
            return [log for log in history.logs if log.block < blocks.end]

    def _path(self, chain: str, wanted: LogFilter, start: int) -> Path | None:
        events = "-".join(sorted(one[2:10] for one in wanted.topics0))
        return None if self._folder is None else self._folder / chain / f"{wanted.address}-{events}-{start}.jsonl"


def _load(path: Path, history: _History) -> None:
    """Every whole line that continues the history; a line cut short by a kill is passed over."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            stored = orjson.loads(line)
            history.add(stored["start"], stored["end"], [parse_log(one) for one in stored["logs"]])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            continue


def _append(path: Path, window: Window, logs: list[Log]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    line = orjson.dumps({"start": window.start, "end": window.end, "logs": [log_to_json(log) for log in logs]})
    with path.open("ab") as file:
        file.write(b"\n" + line)  # the break comes first: it also ends a line that a kill cut short
