"""The scan journal: answered log windows, appended as they come, so that a killed scan goes on inside a day.

Holds only what no landed answer holds yet; it is forgotten when the scan's days have landed. Not the record of progress
(that is the ledger), only saved work. It says who answered (`net.voices.told_by`): by the next run the same name may be
somebody else's.
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
from cryptolake.net.endpoint import Endpoint
from cryptolake.net.logs import AnsweredWindow, BlockWindow, LogFilter, log_to_json, parse_logs
from cryptolake.net.voices import tells_apart, told_by

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

    `endpoints` are those that are asked now. `of` tells journals of the same filters apart, such as that of what was asked
    again.
    """

    def __init__(
        self, folder: Path, chain: str, filters: Iterable[LogFilter], endpoints: Iterable[Endpoint], of: str = ""
    ) -> None:
        self._told = {one.name: told_by(one) for one in endpoints}
        wanted = sorted(f"{one.address} {' '.join(sorted(one.topics0))}" for one in filters)
        digest = hashlib.sha256(chr(10).join(wanted).encode()).hexdigest()[:16]
        self._path = folder / f"{chain}-{digest}{of and f'-{of}'}.jsonl"
        self._lock = threading.Lock()
        self._file: int | None = None
        self._synced = time.monotonic()
        _sweep(folder)

    def read(self, *, strangers: bool = False) -> list[AnsweredWindow]:
        """Every window kept, under the present name of who answered it; a line cut short by a kill is left out.

        So are windows of those that are asked no more, or of whom an earlier version did not say who they are: they are asked
        again. With `strangers` they are given too, as nobody's (their endpoint is empty).
        """
        if not self._path.exists():
            return []
        found = []
        for line in self._path.read_bytes().split(b"\n"):
            try:
                start, end, endpoint, logs, *who = orjson.loads(line)
                parsed = tuple(parse_logs(orjson.dumps(logs)))
            except (orjson.JSONDecodeError, ValueError, TypeError, Retry):
                continue
            name = self._now(str(endpoint), str(who[0]) if who else "")
            if name or strangers:
                found.append(AnsweredWindow(BlockWindow(start, end, name, len(parsed)), parsed))
        return found

    def _now(self, name: str, told: str) -> str:
        """The name that who was kept so has now; empty for a stranger."""
        if not tells_apart(told):
            return ""
        return name if self._told.get(name) == told else next((n for n, one in self._told.items() if one == told), "")

    def keep(self, answered: AnsweredWindow) -> None:
        """Append one window, unless parts of it could not be read. Thread-safe.

        It survives the end of this process at once, a power cut after a second: what is lost is asked again. Raises Stop with
        the remedy when the disk refuses.
        """
        if answered.unread:
            return
        window = answered.window
        logs, told = [log_to_json(log) for log in answered.logs], self._told.get(window.endpoint, "")
        line = orjson.dumps([window.start, window.end, window.endpoint, logs, told])
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
