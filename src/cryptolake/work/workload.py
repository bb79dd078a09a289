"""What the missing partitions make each chain answer: blocks of logs, contract calls, headers. Counted without asking.

What does not belong here: whom it is asked of, and what that costs (estimate).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from cryptolake.contracts.partition import Partition, Period
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import discovering, families
from cryptolake.sources.onchain.planning import (
    CALL,
    CODE,
    HEADER,
    LOGS,
    MAX_CALLS,
    QUIET_BLOCKS,
    Habit,
    birth_calls,
    borne_out_calls,
    borne_out_headers,
    boundary_headers,
    emitter_calls,
    event_headers,
    first_rounds,
    habit,
    settling_calls,
    snapshot_calls,
)

SNAPSHOTS, EVENTS = "tvl", "liquidations"
CountBlocks = Callable[[str, Period], int | None]
KnowsInstant = Callable[[str, datetime], bool]


@dataclass(frozen=True, slots=True)
class Workload:
    """What one chain has to answer, whoever is asked: blocks of every run of touching periods and of every history of
    events that names a market's parts, contract calls, headers; `scan_blocks` are the blocks of each period of logs and
    `quiet` the headers of blocks without events that two voices are asked for, `again` those of boundaries and of events that a
    second one is asked for too; `eventful` are the blocks with events. `price_calls` are contract calls of those who price for
    all, few enough that a sample of them is all. `told_once` are the blocks of each kept history that no second operator told,
    `snapshot_calls` the contract calls of snapshots among all, `snapshot_rounds` and `price_rounds` those of them that only the
    first voice needs, to learn what to ask, and `borne_out` those that ask again what logs rest on. `births`
    are the questions of code that bear out when markets began.
    """

    chain: str
    snapshots: int
    scans: tuple[int, ...]
    histories: tuple[int, ...]
    scan_blocks: tuple[int, ...]
    eth_calls: int
    headers: int
    quiet: int = 0
    price_calls: int = 0
    again: int = 0
    eventful: int = 0
    told_once: tuple[int, ...] = ()
    snapshot_calls: int = 0
    snapshot_rounds: int = 0
    price_rounds: int = 0
    borne_out: int = 0
    births: int = 0

    @property
    def log_blocks(self) -> int:
        """All blocks whose logs are asked for."""
        return sum(self.scans) + sum(self.histories)

    @property
    def once_calls(self) -> int:
        """All contract calls of the first voice."""
        return self.eth_calls + self.price_calls

    def calls(self, log_span: int) -> dict[str, int]:
        """JSON-RPC calls by method when one eth_getLogs covers `log_span` blocks."""
        logs = sum(math.ceil(blocks / log_span) for blocks in (*self.scans, *self.histories))
        found = {LOGS: logs, CALL: self.once_calls, HEADER: self.headers, CODE: self.births}
        return {method: count for method, count in found.items() if count}


def work(
    missing: Iterable[Partition],
    csus: Mapping[str, Csu],
    chains: Mapping[str, Chain],
    *,
    blocks: CountBlocks = lambda _chain, _period: None,
    known: KnowsInstant = lambda _chain, _instant: False,
    habits: Mapping[str, Habit] | None = None,
    scanned: Mapping[str, Sequence[int]] | None = None,
    doubted: bool = False,
    young: Mapping[str, Csu] | None = None,
    together: Callable[[str], int] = lambda _chain: MAX_CALLS,
) -> list[Workload]:
    """The work per chain; markets and chains that did not run yet have none.

    `blocks` gives the real number of blocks of a period and `known` whether a boundary is known already. `habits` are what
    the lake knows of how markets ask, by name; `scanned` the chains whose histories of events are kept, with how many blocks of
    each no second operator told. `doubted`: a sample of
    the answers is going to be compared (the setting `audit`). `young` are the markets whose rows may say that they began later
    (None: all). `together` gives how many calls of contracts a chain's endpoints take in one.
    """
    early: dict[str, dict[str, Csu]] = {}
    asked: dict[str, dict[str, dict[Period, list[Csu]]]] = {}
    for partition in missing:
        row = (csus if young is None else young).get(partition.key)
        if row is not None and chains[row.chain].ran_on(partition.period.day) and _later(row, partition.period.day):
            early.setdefault(row.chain, {})[row.name] = row
        csu = csus.get(partition.key)
        if csu is None or _too_early(csu, chains[csu.chain], partition.period.day):
            continue
        kind = SNAPSHOTS if partition.dataset == SNAPSHOTS else EVENTS
        asked.setdefault(csu.chain, {}).setdefault(kind, {}).setdefault(partition.period, []).append(csu)
    learned = habits or {}
    found = []
    for name in sorted({*asked, *early}):
        one = _workload(
            chains[name],
            asked.get(name, {}),
            blocks,
            known,
            learned,
            (scanned or {}).get(name),
            doubted,
            together(name),
        )
        found.append(replace(one, births=birth_calls(early.get(name, {}).values(), chains[name])))
    return found


def _too_early(csu: Csu, chain: Chain, day: date) -> bool:
    return not chain.ran_on(day) or _later(csu, day)


def _later(csu: Csu, day: date) -> bool:
    return csu.deployed_on is not None and csu.deployed_on > day


def _workload(
    chain: Chain,
    asked: Mapping[str, Mapping[Period, Sequence[Csu]]],
    blocks: CountBlocks,
    known: KnowsInstant,
    learned: Mapping[str, Habit],
    scanned: Sequence[int] | None,
    doubted: bool,
    together: int,
) -> Workload:
    snapshots, events = asked.get(SNAPSHOTS, {}), asked.get(EVENTS, {})
    runs = _runs(sorted(events))
    counted_blocks = {period: blocks(chain.name, period) or _blocks(chain, period) for period in events}
    instants = {instant for period in {*snapshots, *events} for instant in (period.start, period.end)}
    unknown = sorted(instant for instant in instants if not known(chain.name, instant))
    shot, watched = (_habits(of, learned) for of in (snapshots, events))
    shots = snapshot_calls(shot, len(snapshots), together)
    calls = shots + sum(
        emitter_calls(watched, len(run)) + settling_calls(watched, len(run), _days(run)) for run in runs
    )
    headers = boundary_headers(chain.clock, unknown) + event_headers(
        watched, len(events), _days(events), doubted=doubted
    )
    named_by_events = {csu.name: csu for of in snapshots.values() for csu in of if _by_events(csu)}
    found_by_events = {} if scanned is not None else named_by_events
    last = max((period.end for period in snapshots), default=None)
    histories = [_history(chain, csu, last) for csu in found_by_events.values()] if last is not None else []
    return Workload(
        chain.name,
        len(snapshots),
        tuple(sum(counted_blocks[period] for period in run) for run in runs),
        tuple(histories),
        tuple(counted_blocks.values()),
        calls,
        headers,
        quiet=QUIET_BLOCKS * len(events) if doubted and chain.receipts is not None else 0,
        again=borne_out_headers(watched, len(unknown), _days(events), provable=chain.receipts is not None),
        eventful=event_headers(watched, 0, _days(events), doubted=False),
        told_once=tuple(scanned or ()) if named_by_events else (),
        snapshot_calls=shots,
        snapshot_rounds=first_rounds(shot, together) if snapshots else 0,
        borne_out=sum(borne_out_calls(watched, len(run), _days(run)) for run in runs),
    )


def _habits(asked: Mapping[Period, Sequence[Csu]], learned: Mapping[str, Habit]) -> list[Habit]:
    csus = {csu.name: csu for of in asked.values() for csu in of}
    return [learned.get(name) or habit(csu) for name, csu in csus.items()]


def _days(periods: Iterable[Period]) -> float:
    return sum((period.end - period.start).total_seconds() for period in periods) / 86400


def _by_events(csu: Csu) -> bool:
    return csu.family in families() and discovering(csu.family) is not None


def _history(chain: Chain, csu: Csu, until: datetime) -> int:
    """The blocks from a market's deployment (at the latest known, its chain's start) to an instant."""
    born = csu.deployed_on or chain.launched
    if born is None or chain.clock is None:
        return 0
    return max(0, round(chain.clock.between(datetime(born.year, born.month, born.day, tzinfo=UTC), until)))


def _blocks(chain: Chain, period: Period) -> int:
    seconds = (period.end - period.start).total_seconds()
    return math.ceil(chain.clock.between(period.start, period.end) if chain.clock is not None else seconds / 12.0)


def _runs(periods: Sequence[Period]) -> list[list[Period]]:
    """Touching periods of one calendar month: they share a scan."""
    runs: list[list[Period]] = []
    for period in periods:
        last = runs[-1][-1] if runs else None
        if last is not None and last.end == period.start and last.day.replace(day=1) == period.day.replace(day=1):
            runs[-1].append(period)
        else:
            runs.append([period])
    return runs
