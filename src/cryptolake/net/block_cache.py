"""Boundaries of days that were found, kept for ever with how they were borne out; a moved one is noted until it is looked into.

What does not belong here: finding them and bearing them out (blocks), and what becomes of days that rest on a moved one (work).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from cryptolake.contracts.grades import UNPROVEN, at_least
from cryptolake.contracts.partition import Period
from cryptolake.files.atomic import write_bytes
from cryptolake.net.stated_header import Header

_Row = list[Any]
# Places in a row. Boundaries kept by earlier versions lack them, or have a word in the place of who bore them out.
_BORNE, _MOVED = 4, 5


@dataclass(frozen=True, slots=True)
class Moved:
    """A boundary of a chain that was kept at another block before, for the `moved`-th time: days may rest on the wrong one."""

    chain: str
    instant: datetime
    moved: int


class FileBlockCache:
    """Boundaries of all chains in one JSON file: `{chain: {timestamp: [number, timestamp, hash, parent hash, borne, moved]}}`.

    `borne` are the pairs of who stated a header that the boundary rests on and who bore it out (`net.stated_header.Header`),
    `unproven` for one that somebody's file named.
    `moved` counts the blocks that stood there before and were not looked into. Writes are atomic; a damaged file is put aside
    as `.damaged` and rebuilt, it is only a cache.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._known = self._read()

    def _read(self) -> dict[str, dict[str, _Row]]:
        try:
            known: dict[str, dict[str, _Row]] = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except orjson.JSONDecodeError:
            self._path.rename(self._path.with_suffix(".damaged"))
            return {}
        return known

    def get(self, chain: str, timestamp: int) -> Header | None:
        """The last block before `timestamp` if it was found before; its grade says who bears that out."""
        found = self._known.get(chain, {}).get(str(timestamp))
        return None if found is None else _header(found)

    def blocks(self, chain: str, period: Period) -> int | None:
        """The real number of blocks of a period, None when one of its boundaries is not known yet."""
        start, end = (self.get(chain, int(instant.timestamp())) for instant in (period.start, period.end))
        return None if start is None or end is None else end.number - start.number

    def put(self, chain: str, proven: Mapping[int, Header]) -> None:
        """Keep boundaries, by timestamp; one that two voices bear out is replaced by another such one alone."""
        with self._lock:
            known = self._merged()
            rows = known.setdefault(chain, {})
            for at, header in proven.items():
                before = rows.get(str(at))
                borne = UNPROVEN if before is None else _header(before).grade
                if before is not None and not at_least(header.grade, borne):
                    continue
                moved = 0 if before is None or len(before) <= _MOVED else int(before[_MOVED])
                # On a boundary that somebody's file named no day rests.
                moved += before is not None and borne != UNPROVEN and _header(before).hash != header.hash
                borne_by = UNPROVEN if header.adopted else header.borne
                rows[str(at)] = [header.number, header.timestamp, header.hash, header.parent, borne_by, moved]
            self._write(known)

    def moved(self) -> list[Moved]:
        """The boundaries of all chains that stood elsewhere and were not looked into yet."""
        return [
            Moved(chain, datetime.fromtimestamp(int(at), UTC), int(row[_MOVED]))
            for chain, rows in self._known.items()
            for at, row in rows.items()
            if len(row) > _MOVED and row[_MOVED]
        ]

    def looked_into(self, some: Iterable[Moved]) -> None:
        """Note that the days which rest on these are told."""
        with self._lock:
            known = self._merged()
            for one in some:
                row = known.get(one.chain, {}).get(str(int(one.instant.timestamp())))
                if row is not None and row[_MOVED:] == [one.moved]:
                    row[_MOVED] = 0
            self._write(known)

    def _merged(self) -> dict[str, dict[str, _Row]]:
        """What is known with what another process may have written meanwhile."""
        for chain, found in self._read().items():
            self._known.setdefault(chain, {}).update(found)
        return self._known

    def _write(self, known: dict[str, dict[str, _Row]]) -> None:
        # Lost in a power cut it is found again: not worth a sync for every day.
        write_bytes(self._path, orjson.dumps(known, option=orjson.OPT_SORT_KEYS), synced=False)


def _header(row: _Row) -> Header:
    parent, borne = str(row[3]) if len(row) > 3 else "", row[_BORNE] if len(row) > _BORNE else ()
    pairs = tuple((str(one), str(other)) for one, other in borne) if isinstance(borne, list | tuple) else ()
    return Header(int(row[0]), int(row[1]), str(row[2]), parent=parent, borne=pairs, adopted=borne == UNPROVEN)
