"""What reading a chain asks, counted before it is asked: calls by what the families' programs and the block finder do.

`tests/flow/test_plan_comes_true.py` holds these numbers against counted requests. What does not belong here: whom they are
asked of and what that costs (work/estimate).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from cryptolake.contracts.block_clock import BlockClock
from cryptolake.net.multicall import MAX_CALLS
from cryptolake.net.reverts import TRUSTED_BLOCKS

HEADER, CALL, LOGS = "eth_getBlockByNumber", "eth_call", "eth_getLogs"
QUIET_BLOCKS = 4  # headers of blocks without events that a doubted period looks at (net/audit)
_ENDS = 3  # the finalized block's number, and the headers of both ends of the chain
_PILOTS = 1  # more headers for the first boundaries, which are looked for from far away
_STEADY, _SLOTS, _UNEVEN, _CROWDED = 2.0, 3.05, 3.3, 4.5  # headers a boundary, by how even blocks are (net/boundary)


@dataclass(frozen=True, slots=True)
class Habit:
    """What one market asks of a chain.

    A snapshot takes `rounds` of `calls` contract reads in all the first time, one request of all of them later on; `alone` of
    them revert and have to prove it by themselves, once for many blocks. `emitters` calls find the contracts whose events are
    wanted.
    `event_blocks` and `settling` are the blocks with events of a day, and the calls that value them, on average.
    """

    rounds: int = 3
    calls: int = 100
    alone: int = 0
    emitters: int = 0
    event_blocks: float = 0.0
    settling: float = 0.0


# Counted against simulated contracts (benchmarks/simulated_ethereum); sizes are about those of 2025. What a market really
# asked takes their place as soon as the lake holds an answer.
_HABITS = {
    "aave_v2": Habit(3, 110),
    "aave_v3": Habit(3, 90),
    "cap": Habit(3, 80, emitters=3),
    "compound_v2": Habit(3, 95, alone=2, emitters=3),
    "compound_v3": Habit(3, 65),
    "euler_v2": Habit(4, 400, emitters=1),
    "fluid": Habit(3, 150, emitters=2),
    "gearbox": Habit(6, 250, emitters=6),
    "morpho_blue": Habit(3, 1200),
}


def habit(family: str) -> Habit:
    """What a market of this family asks as far as is known without having asked it."""
    return _HABITS.get(family, Habit())


def learned(before: Habit, snapshot: bytes | None, liquidations: Sequence[bytes]) -> Habit:
    """The same with what a market's stored answers tell: its latest snapshot's and some days of liquidations."""
    found = before
    if snapshot is not None:
        rounds = orjson.loads(snapshot)["rounds"]
        reverted = sum(not ok and not data for stored in rounds for _, _, ok, data in stored)
        found = replace(found, rounds=len(rounds), calls=sum(map(len, rounds)), alone=reverted)
    if liquidations:
        days = [orjson.loads(one) for one in liquidations]
        blocks = sum(len(one["timestamps"]) for one in days) / len(days)
        found = replace(found, event_blocks=blocks, settling=sum(len(one["context"]) for one in days) / len(days))
    return found


def snapshot_calls(habits: Sequence[Habit], periods: int) -> int:
    """Contract calls for snapshots of markets of one chain over so many periods: the first period teaches what to ask."""
    if not habits or not periods:
        return 0
    every, alone = sum(one.calls for one in habits), sum(one.alone for one in habits)
    deepest = max(one.rounds for one in habits)
    by_round = [sum(one.calls / one.rounds for one in habits if one.rounds > place) for place in range(deepest)]
    first = sum(max(1, round(calls / MAX_CALLS + 0.4)) for calls in by_round)
    return first + (periods - 1) * math.ceil(every / MAX_CALLS) + math.ceil(periods / TRUSTED_BLOCKS) * alone


def emitter_calls(habits: Sequence[Habit], periods: int) -> int:
    """Contract calls that name the emitters at the first and the last block of one run of touching periods."""
    return (1 if periods == 1 else 2) * max((one.emitters for one in habits), default=0)


def settling_calls(habits: Iterable[Habit], periods: int) -> int:
    """Contract calls that value the events of so many periods."""
    return round(periods * sum(one.settling for one in habits))


def event_headers(habits: Iterable[Habit], periods: int, *, doubted: bool) -> int:
    """Headers of blocks with events, and of some without, for so many periods."""
    return round(periods * (sum(one.event_blocks for one in habits) + (QUIET_BLOCKS if doubted else 0)))


def boundary_headers(clock: BlockClock | None, unknown: Sequence[datetime]) -> int:
    """Headers for boundaries that are not known yet."""
    if not unknown:
        return 0
    each = [_per_boundary(clock, instant) for instant in unknown]
    far = 0 if all(one == _STEADY for one in each) else _PILOTS
    return round(_ENDS + far + sum(each))


def _per_boundary(clock: BlockClock | None, instant: datetime) -> float:
    if clock is None:
        return _UNEVEN
    time = clock.at(instant)
    if time.fixed:
        return _STEADY
    if time.seconds < 1:
        return _CROWDED
    return _SLOTS if time.seconds >= 5 or time.seconds == 3 else _UNEVEN
