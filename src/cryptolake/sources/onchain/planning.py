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
from cryptolake.net.multicall import MAX_CALLS as MAX_CALLS
from cryptolake.net.reverts import TRUSTED_BLOCKS
from cryptolake.registry.chains import Chain
from cryptolake.registry.event_rates import events_a_day
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.presence import beginnings

HEADER, CALL, LOGS, CODE = "eth_getBlockByNumber", "eth_call", "eth_getLogs", "eth_getCode"
QUIET_BLOCKS = 4  # headers of blocks without events that a doubted period looks at (net/audit)
_ENDS = 3  # the finalized block's number, and the headers of both ends of the chain
_NEW_ASSETS = 0.5  # of the periods with events have one of an asset that the first of them had none of
_PILOTS = 1  # more headers for the first boundaries, which are looked for from far away
_STEADY, _SLOTS, _UNEVEN, _CROWDED = 2.0, 3.05, 3.3, 4.5  # headers a boundary, by how even blocks are (net/boundary)


@dataclass(frozen=True, slots=True)
class Habit:
    """What one market asks of a chain.

    A snapshot takes `rounds` of `calls` contract reads in all the first time, one request of all of them later on; `alone` of
    them revert and have to prove it by themselves, once for many blocks. `emitters` calls find the contracts whose events are
    wanted and prove the market.
    `event_blocks` are the blocks with events of a day on average, `settling` the rounds of contract reads that value them.
    """

    rounds: int = 3
    calls: int = 100
    alone: int = 0
    emitters: int = 0
    lists: bool = False
    event_blocks: float = 0.0
    settling: int = 3


# Counted against simulated contracts (benchmarks/simulated_ethereum); sizes are about those of 2025. What a market really
# asked takes their place as soon as the lake holds an answer.
_HABITS = {
    "aave_v2": Habit(3, 112, emitters=2, lists=True),
    "aave_v3": Habit(3, 91, emitters=2),
    "cap": Habit(3, 80, emitters=3, settling=2, lists=True),
    "compound_v2": Habit(3, 95, alone=2, emitters=3, settling=4, lists=True),
    "compound_v3": Habit(3, 66, emitters=1),
    "euler_v2": Habit(4, 400, emitters=1, lists=True),
    "fluid": Habit(3, 150, emitters=2, lists=True),
    "gearbox": Habit(6, 250, emitters=6, lists=True),
    "morpho_blue": Habit(3, 1200, emitters=1),
}


def habit(csu: Csu) -> Habit:
    """What a market asks as far as is known without having asked it: its family's size, its events by the registry's rates."""
    return replace(_HABITS.get(csu.family, Habit()), event_blocks=events_a_day(csu))


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
        rounds = max(len(one["context"]) for one in days) or found.settling
        found = replace(found, event_blocks=blocks, settling=rounds)
    return found


def snapshot_calls(habits: Sequence[Habit], periods: int, together: int = MAX_CALLS) -> int:
    """Contract calls for snapshots of markets of one chain over so many periods: the first period teaches what to ask.

    `together` calls of contracts go in one, at most.
    """
    if not habits or not periods:
        return 0
    every, alone = sum(one.calls for one in habits), sum(one.alone for one in habits)
    teaching = first_rounds(habits, together)
    return teaching + periods * math.ceil(every / together) + math.ceil(periods / TRUSTED_BLOCKS) * alone


def first_rounds(habits: Sequence[Habit], together: int = MAX_CALLS) -> int:
    """Contract calls more that a first snapshot takes, whose answers say what to ask next; who asks the same again knows."""
    deepest = max((one.rounds for one in habits), default=0)
    by_round = [sum(one.calls / one.rounds for one in habits if one.rounds > place) for place in range(deepest)]
    first = sum(max(1, round(calls / together + 0.4)) for calls in by_round)
    return first - math.ceil(sum(one.calls for one in habits) / together)


def emitter_calls(habits: Sequence[Habit], periods: int) -> int:
    """Contract calls that name the emitters at both ends of one run of touching periods."""
    return _ends_asked(habits, periods) * max((one.emitters for one in habits), default=0)


def _ends_asked(habits: Iterable[Habit], periods: int) -> int:
    """At how many blocks the emitters are named: lists that the chain holds before the first period, too."""
    return 2 if periods > 1 or any(one.lists for one in habits) else 1


def settling_calls(habits: Iterable[Habit], periods: int, days: float) -> int:
    """Contract calls that value the events of one run of so many periods, `days` in all.

    All markets' programs run side by side, once a period with events of any of them, once more where an asset is new; the
    first period teaches what to ask.
    """
    every = list(habits)
    some = _lively(every, periods, days)
    return round(some * (1 + _NEW_ASSETS) + max(one.settling for one in every if one.event_blocks) - 1) if some else 0


def _lively(habits: Sequence[Habit], periods: int, days: float) -> float:
    """How many of so many periods have events of any market."""
    if not periods:
        return 0.0
    return periods * -math.expm1(-sum(one.event_blocks for one in habits) * days / periods)


def borne_out_calls(habits: Iterable[Habit], periods: int, days: float) -> int:
    """Contract calls that ask again what logs rest on, for one run of so many periods, `days` in all: one for each reading.

    Emitters are named at both ends of the run, events are valued once a period with any.
    """
    every = list(habits)
    return _ends_asked(every, periods) * bool(every) + round(_lively(every, periods, days))


def birth_calls(csus: Iterable[Csu], chain: Chain) -> int:
    """Questions of code that bear out the deployment blocks of rows (births): just before each block and at it."""
    blocks, asked, facts = set[int](), 0, declared()
    for csu in csus:
        if (block := csu.deployed_block) is None or csu.family not in facts:
            continue
        sides = [block, *([block - 1] if block else [])]
        asked += len(beginnings(csu, facts[csu.family])) * len(sides)
        blocks |= {one for one in sides if chain.multicall3_address and one >= (chain.multicall3_block or 0)}
    return asked + len(blocks)  # of Multicall3, at every block at which it is known to be there


def event_headers(habits: Iterable[Habit], periods: int, days: float, *, doubted: bool) -> int:
    """Headers of blocks with events, and of some without, for so many periods, `days` in all."""
    return round(days * sum(one.event_blocks for one in habits) + periods * (QUIET_BLOCKS if doubted else 0))


def boundary_headers(clock: BlockClock | None, unknown: Sequence[datetime]) -> int:
    """Headers for boundaries that are not known yet."""
    if not unknown:
        return 0
    each = [_per_boundary(clock, instant) for instant in unknown]
    far = 0 if all(one == _STEADY for one in each) else _PILOTS
    return round(_ENDS + far + sum(each))


def borne_out_headers(habits: Iterable[Habit], boundaries: int, days: float, *, provable: bool) -> int:
    """Headers of boundaries, and of blocks with events of so many days, that a second operator is asked for.

    Where headers hash to their hashes the one behind a boundary proves both, and a log's block hash its time.
    """
    return boundaries if provable else 2 * boundaries + round(days * sum(one.event_blocks for one in habits))


def _per_boundary(clock: BlockClock | None, instant: datetime) -> float:
    if clock is None:
        return _UNEVEN
    time = clock.at(instant)
    if time.fixed:
        return _STEADY
    if time.seconds < 1:
        return _CROWDED
    return _SLOTS if time.seconds >= 5 or time.seconds == 3 else _UNEVEN
