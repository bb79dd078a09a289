"""Which on-chain answers were found whole, and what their files looked like then, so that asking again costs no reading.

An answer is whole when its bytes have the digest that was recorded; to know it all of it must be read. What is kept here says
of a file that was read: with this size, changed last at this time, it held the answer of this digest. As long as that is so it
is taken for whole. What this cannot see: bytes that were changed, or that rotted, without a change of size and time;
`cryptolake verify`, `ledger repair` and `rebuild --reparse` read them. May be deleted: every answer is read once then.

What does not belong here: reading an answer (bronze), and what a day without it is called (evidence).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import orjson

from cryptolake.contracts.partition import Partition
from cryptolake.files.atomic import write_bytes

_Marks = dict[str, dict[str, str]]  # dataset/key -> period -> what its file looked like, and its digest


class WholeAnswers:
    """What is known of the answers in the folder `bronze`, kept in its `whole.json`. Thread-safe."""

    def __init__(self, bronze: Path) -> None:
        self._file = bronze / "whole.json"
        self._lock = threading.Lock()
        self._new: _Marks = {}  # since it was kept last
        self._known: _Marks | None = None

    def note(self, partition: Partition, looked: os.stat_result, digest: str) -> None:
        """The file that looked like this, before it was read or after it was written, holds this very answer."""
        with self._lock:
            for marks in (self._new, self._known):
                if marks is not None:
                    marks.setdefault(f"{partition.dataset}/{partition.key}", {})[str(partition.period)] = _mark(
                        looked, digest
                    )

    def lost(
        self,
        answers: Iterable[tuple[Partition, str]],
        intact: Callable[[Partition, str], bool],
        place: Callable[[Partition, str], Path | str],
    ) -> set[Partition]:
        """Those whose answer is not there or is not that of the digest; `place` says where it lies, given its period's text
        too, `intact` reads those that nothing is known of, and those that lie in no file of their own.
        """
        with self._lock:
            if self._known is None:
                self._known = _merged(_read(self._file), self._new)
            known = self._known
        found = set()
        nothing: dict[str, str] = {}
        for partition, digest in answers:
            series, period = f"{partition.dataset}/{partition.key}", str(partition.period)
            try:
                looks = os.stat(place(partition, period))
            except FileNotFoundError:
                looks = None
            if looks is not None and known.get(series, nothing).get(period) == _mark(looks, digest):
                continue
            if not intact(partition, digest):
                found.add(partition)
            elif looks is not None:
                self.note(partition, looks, digest)
        return found

    def keep(self) -> None:
        """Write down what was noted, beside what other processes did."""
        with self._lock:
            new, self._new = self._new, {}
        if new:
            write_bytes(self._file, orjson.dumps(_merged(_read(self._file), new)), synced=False)


def _mark(looked: os.stat_result, digest: str) -> str:
    return f"{looked.st_size} {looked.st_mtime_ns} {digest}"


def _merged(older: _Marks, newer: _Marks) -> _Marks:
    return {series: {**older.get(series, {}), **newer.get(series, {})} for series in {**older, **newer}}


def _read(file: Path) -> _Marks:
    """What was kept; nothing where it cannot be read: the answers themselves are read then."""
    try:
        found = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    sound = isinstance(found, dict) and all(isinstance(one, dict) for one in found.values())
    return found if sound else {}
