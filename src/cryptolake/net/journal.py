"""The scan journal: answered log windows, appended as they come, so that a killed scan goes on inside a day.

Holds only what no landed answer holds yet; it is forgotten when the scan's days have landed. Not the record of progress
(that is the ledger), only saved work.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import orjson

from cryptolake.errors import Retry
from cryptolake.files.atomic import refused
from cryptolake.net.logs import AnsweredWindow, BlockWindow, LogFilter, log_to_json, parse_logs

_SYNC_S = 1.0  # a sync costs as much as a question; what a power cut takes is asked again
_KEPT_S = 30 * 86400.0  # a journal that nobody went on with: its run was killed after its last day had landed


def _sweep(folder: Path) -> None:
    """Remove journals nobody has written to for a month."""
    for path in folder.glob("*.jsonl"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _KEPT_S:
                path.unlink()


class ScanJournal:
    """The answered windows of one chain and one set of filters, a JSON line each, in `folder`.

    `of` tells journals of the same filters apart, such as that of what was asked again.
    """

    def __init__(self, folder: Path, chain: str, filters: Iterable[LogFilter], of: str = "") -> None:
        wanted = sorted(f"{one.address} {' '.join(sorted(one.topics0))}" for one in filters)
        digest = hashlib.sha256(chr(10).join(wanted).encode()).hexdigest()[:16]
        self._path = folder / f"{chain}-{digest}{of and f'-{of}'}.jsonl"
        self._lock = threading.Lock()
        self._file: int | None = None
        self._synced = time.monotonic()
        _sweep(folder)

    def read(self) -> list[AnsweredWindow]:
        """Every window kept; a line cut short by a kill is left out, its window is asked again."""
        if not self._path.exists():
            return []
        found = []
        for line in self._path.read_bytes().split(b"\n"):
            try:
                start, end, endpoint, logs = orjson.loads(line)
                parsed = tuple(parse_logs(orjson.dumps(logs)))
            except (orjson.JSONDecodeError, ValueError, TypeError, Retry):
                continue
            found.append(AnsweredWindow(BlockWindow(start, end, endpoint, len(parsed)), parsed))
        return found

    def keep(self, answered: AnsweredWindow) -> None:
        """Append one window, unless parts of it could not be read. Thread-safe.

        It survives the end of this process at once, a power cut after a second: what is lost is asked again. Raises Stop with
        the remedy when the disk refuses.
        """
        if answered.unread:
            return
        window = answered.window
        line = orjson.dumps([window.start, window.end, window.endpoint, [log_to_json(log) for log in answered.logs]])
        with self._lock:
            try:
                if self._file is None:
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                # The leading newline ends a line that a kill may have cut short.
                os.write(self._file, b"\n" + line)
                if time.monotonic() - self._synced >= _SYNC_S:
                    os.fsync(self._file)
                    self._synced = time.monotonic()
            except OSError as error:
                raise refused(error, self._path) from None

    def close(self) -> None:
        """Close the file and keep it."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def forget(self) -> None:
        """Everything has landed: remove the journal."""
        self.close()
        self._path.unlink(missing_ok=True)
