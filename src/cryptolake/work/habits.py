"""What the lake knows of how markets ask their chain: their latest stored answers, as the plan takes them.

What does not belong here: what is typical of a family (sources/onchain/planning) and what it all costs (estimate).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.lake.bronze import Bronze
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.history import History
from cryptolake.sources.onchain.planning import Habit, habit, learned
from cryptolake.sources.onchain.stretches import blocks_in, without

_DAYS = 5  # of liquidations that are looked at for each market
_SOURCE = "onchain"


def known_habits(csus: Mapping[str, Csu], states: Mapping[Partition, Entry], bronze: Bronze) -> dict[str, Habit]:
    """The habits of the markets (by name) that have answered before. Reads a few answers of each."""
    answered: dict[tuple[str, str], list[Partition]] = {}
    for partition, entry in states.items():
        if partition.key in csus and entry.state in {"done", "empty"}:
            answered.setdefault((partition.key, partition.dataset), []).append(partition)
    found = {}
    for name, csu in csus.items():
        snapshots = _latest(answered.get((name, "tvl"), []), 1, bronze)
        events = _latest(answered.get((name, "liquidations"), []), _DAYS, bronze)
        if snapshots or events:
            found[name] = learned(habit(csu), snapshots[0] if snapshots else None, events)
    return found


def _latest(partitions: list[Partition], count: int, bronze: Bronze) -> list[bytes]:
    """The payloads of the newest answers that are whole."""
    newest = sorted(partitions, key=lambda one: one.period, reverse=True)[:count]
    return [raw.payload for one in newest if (raw := bronze.read(one, _SOURCE)) is not None]


def kept_histories(folder: Path) -> dict[str, tuple[int, ...]]:
    """The chains whose histories of naming events are kept, so that only new blocks are scanned, each with the blocks of every
    history that no second operator told.
    """
    found: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*-*.jsonl")) if folder.is_dir() else ():
        history, chain = History(path), path.name.rpartition("-")[0]
        found[chain] = (*found.get(chain, ()), blocks_in(without(history.once(), history.twice())))
    return found
