"""`Memory`: what endpoints have taught us, kept between runs, one small JSON file each, and forgotten when it is old.

A file may be deleted at any time: what it held is learned anew within a few questions. Nothing in it is a secret. What does
not belong here: what a run learns (endpoint, bounds, speed) and the count of the month (limiter).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson

from cryptolake.errors import Stop
from cryptolake.files.atomic import write_bytes
from cryptolake.net.bounds import Bound
from cryptolake.net.endpoint import SURE, Learned, Station
from cryptolake.net.limiter import KEPT_S

_EVERY_S = 10.0  # how often a file is written at most

Value = float | dict[str, int]


class Memory:
    """The files in `folder`, named by chain and account. Thread-safe. `wall` gives seconds since 1970."""

    def __init__(self, folder: Path, *, wall: Callable[[], float] = time.time) -> None:
        self._folder, self._wall = folder, wall
        self._lock = threading.Lock()
        self._kept: dict[Path, dict[str, tuple[Value, float]]] = {}  # each with the time it was learned
        self._written: dict[Path, float] = {}

    def recall(self, chain: str, station: Station) -> None:
        """Let the station begin with what was learned in the latest week; a file that cannot be read is none."""
        path, now = self._path(chain, station), self._wall()
        try:
            stored = orjson.loads(path.read_bytes())
            kept = {
                str(name): (one["value"], float(one["learned"]))
                for name, one in stored["known"].items()
                if 0 <= now - float(one["learned"]) <= KEPT_S
            }
            _teach(station, {name: value for name, (value, _) in kept.items()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return
        with self._lock:
            self._kept[path] = kept

    def note(self, chain: str, station: Station, *, now: bool = False) -> None:
        """Keep what the station knows, if that is news and was not done just before (`now`: in any case)."""
        path, at = self._path(chain, station), self._wall()
        with self._lock:
            if not now and at - self._written.get(path, 0.0) < _EVERY_S:
                return
            self._written[path] = at
            before = self._kept.get(path, {})
            found = {name: (value, _learned(value, at, before.get(name))) for name, value in _known(station).items()}
            if found == before:
                return
            self._kept[path] = found
            document = {
                "about": f"what endpoint {station.endpoint.name} has taught; may be deleted",
                "known": {name: {"value": value, "learned": learned} for name, (value, learned) in found.items()},
            }
            try:
                write_bytes(path, orjson.dumps(document, option=orjson.OPT_INDENT_2), synced=False)
            except Stop:
                self._written[path] = float("inf")  # a folder that cannot be written keeps nothing; the run goes on

    def _path(self, chain: str, station: Station) -> Path:
        return self._folder / f"{chain}-{station.endpoint.account or station.endpoint.name}.json"


def _learned(value: Value, at: float, before: tuple[Value, float] | None) -> float:
    """When a value was learned: what has not changed is as old as it was, so that it is doubted one day."""
    return before[1] if before is not None and before[0] == value else at


def _bounds(learned: Learned) -> dict[str, Bound]:
    return {
        "blocks": learned.blocks,
        "calls": learned.batch,
        "addresses": learned.addresses,
        "topics": learned.topics,
        "together": learned.together,
    }


def _depths(learned: Learned) -> dict[str, dict[str, int]]:
    # That something was missing once may have been a bad moment.
    sure = {kind: block for kind, block in learned.missing.items() if learned.misses.get(kind, 0) >= SURE}
    return {"oldest": learned.oldest, "missing": sure}


def _known(station: Station) -> dict[str, Value]:
    """What is worth keeping: limits whose search has ended, a rate that nobody told, how far back answers reach."""
    found: dict[str, Value] = {name: one.size for name, one in _bounds(station.learned).items() if one.settled}
    if not station.endpoint.limits.told:
        found["rate"] = round(station.limiter.rate, 1)
    return found | {name: dict(blocks) for name, blocks in _depths(station.learned).items() if blocks}


def _teach(station: Station, known: Mapping[str, Value]) -> None:
    bounds, learned = _bounds(station.learned), station.learned
    depths = {"oldest": learned.oldest, "missing": learned.missing}
    for name, value in known.items():
        if name in depths and isinstance(value, dict):
            depths[name].update({str(kind): int(block) for kind, block in value.items()})
            learned.misses.update(dict.fromkeys(learned.missing, SURE))
        elif name in bounds and isinstance(value, int):
            bounds[name].begin_at(value)
        elif name == "rate" and isinstance(value, int | float) and value > 0 and not station.endpoint.limits.told:
            station.limiter.begin_at(float(value))
