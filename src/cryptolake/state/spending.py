"""What was spent on chains' endpoints, by run, month and provider: in a file for one machine, in PostgreSQL for several.

What does not belong here: what may be spent, and what happens then (net/purse).
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from cryptolake.errors import Stop
from cryptolake.files.atomic import refused
from cryptolake.files.lock import locked
from cryptolake.net.purse import Amount, Ceiling
from cryptolake.state.budgets import Budgets

_KEPT_S = 40 * 86400.0  # longer than any month
_LENGTH = 8  # bytes before the document that tell its length, so that a shorter one may lie over a longer one
_threads = threading.Lock()


class SpendingFile:
    """Counts in one small file, shared by every process of this machine that names it. A kill at any moment loses none."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, -1

    def add(self, spent: Amount, ceilings: Mapping[str, Ceiling]) -> tuple[str, Amount] | None:
        """See `net.purse.Spending`.

        Raises Stop when the file cannot be written or is damaged while there is a ceiling: what is not counted is not sent.
        Without one a damaged file is begun anew, and in a folder that may not be written nothing is counted.
        """
        unbounded = all(one.is_none for one in ceilings.values())
        if unbounded and not self._may_be_written():
            return None
        with self._alone():
            try:
                known = self._read()
            except (ValueError, TypeError, LookupError):
                if not unbounded:
                    raise Stop(
                        f"{self._path} is damaged, so that nobody knows what was spent; delete it to count from zero, "
                        "lower the ceilings by what was spent, then run the same command again"
                    ) from None
                known = {}
            found = {name: Amount(*known.get(name, (0, 0, 0))[:3]) for name in ceilings}
            for name, ceiling in ceilings.items():
                if ceiling.broken_by(found[name].plus(spent)):
                    return name, found[name]
            for name, before in found.items():
                now = before.plus(spent)
                known[name] = (now.calls, now.units, now.usd, time.time())
            self._write(known)
            return None

    def _may_be_written(self) -> bool:
        there = next(one for one in (self._path, *self._path.parents) if one.exists())
        return os.access(there, os.W_OK)

    def _read(self) -> dict[str, tuple[float, float, float, float]]:
        os.lseek(self._file, 0, os.SEEK_SET)
        head = os.read(self._file, _LENGTH)
        if len(head) < _LENGTH:
            return {}
        if (length := int.from_bytes(head, "big")) > os.fstat(self._file).st_size:
            raise ValueError("longer than the file")
        body = os.read(self._file, length)
        known: dict[str, tuple[float, float, float, float]] = orjson.loads(body)
        if not isinstance(known, dict):
            raise TypeError("no counts")
        oldest = time.time() - _KEPT_S
        return {name: _count(count) for name, count in known.items() if count[3] >= oldest}

    def _write(self, known: Mapping[str, tuple[float, float, float, float]]) -> None:
        body = orjson.dumps(known)
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, len(body).to_bytes(_LENGTH, "big") + body)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else uses the file: no other process, and no other thread of this one."""
        with _threads:
            try:
                if self._file < 0:
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
                with locked(self._file):
                    yield
            except OSError as error:
                raise refused(error, self._path) from None

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _count(told: Sequence[float]) -> tuple[float, float, float, float]:
    """Calls, units, dollars and when. Raises ValueError or TypeError for anything else."""
    calls, units, usd, at = (float(one) for one in told)
    if not all(math.isfinite(one) and one >= 0 for one in (calls, units, usd, at)):
        raise ValueError("no count")
    return calls, units, usd, at


class SpendingTable:
    """The same in the table `spending` of the database, shared by every machine that uses it."""

    def __init__(self, budgets: Budgets) -> None:
        self._budgets = budgets

    def add(self, spent: Amount, ceilings: Mapping[str, Ceiling]) -> tuple[str, Amount] | None:
        """See `net.purse.Spending`. Raises Retry when the server stays away: what is not counted is not sent."""

        def decide(held: Mapping[str, tuple[float, float, float]]) -> tuple[str, Amount] | None:
            for name, ceiling in ceilings.items():
                if ceiling.broken_by(Amount(*held[name]).plus(spent)):
                    return name, Amount(*held[name])
            return None

        return self._budgets.spend(sorted(ceilings), (spent.calls, spent.units, spent.usd), decide)

    def close(self) -> None:
        """Nothing to close: the budgets own the connections."""
