"""Sixty simulated days under restarts, kills at every kind of moment and clock jumps: every slot is settled exactly once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cryptolake.errors import Retry
from cryptolake.flow.schedule import ScheduledJob
from cryptolake.flow.scheduler import Outcome, Scheduler
from cryptolake.state.slots import Slots

BEGIN = datetime(2026, 2, 20, 11, 17, 3, tzinfo=UTC)  # spans both changes to summer time (US 8 March, EU 29 March)
DAYS = 60
JOBS = (
    ScheduledJob("defillama_hourly", "defillama", ("tvl",), "hour", 5),
    ScheduledJob("coingecko_hourly", "coingecko", ("markets",), "hour", 5),
    ScheduledJob("artemis_daily", "artemis", ("metrics",), "day", 5),
    ScheduledJob("onchain_daily", "onchain", ("tvl", "liquidations"), "day", 30),
)


class Killed(BaseException):
    """The process ended here, as by SIGKILL: nothing after this line was done."""


class World:
    """A clock that jumps, a process that is killed, vendors that fail; and what really happened, outside the process."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = BEGIN
        self.high = BEGIN  # the latest the clock ever showed
        self.worked: Counter[tuple[str, datetime]] = Counter()
        self.settled: Counter[tuple[str, datetime]] = Counter()
        self.kills = self.jumps = self.alerts = self.pieces = 0

    def read(self) -> datetime:
        self.high = max(self.high, self.now)
        return self.now

    def wait(self, seconds: float) -> bool:
        assert 0 <= seconds <= 30
        self.now += timedelta(seconds=max(seconds, 0.5) * 5)  # a busy machine wakes late
        chance = self.random.random()
        if chance < 0.003:  # asleep, or a correction forwards
            self.now += timedelta(minutes=self.random.choice([7, 61, 60 * 9, 60 * 31]))
            self.jumps += 1
        elif chance < 0.005:  # a correction backwards
            self.now -= timedelta(minutes=self.random.choice([1, 3, 59, 61, 60 * 5]))
            self.jumps += 1
        if chance > 0.9985:
            self.die()
        return self.now >= BEGIN + timedelta(days=DAYS)

    def die(self) -> None:
        self.kills += 1
        raise Killed

    def maybe_die(self, probability: float) -> None:
        if self.random.random() < probability:
            self.die()

    def backfill(self, job: ScheduledJob) -> Iterator[Outcome]:
        for _ in range(3 if job.source == "onchain" else 1):
            self.maybe_die(0.01)
            self.now += timedelta(seconds=20)
            self.pieces += 1
            if self.random.random() < 0.05:
                raise Retry("the vendor does not answer")
            yield Outcome(True, 1, "a piece")

    def run(self, job: ScheduledJob, slots: Sequence[datetime]) -> Outcome:
        assert list(slots) == sorted(set(slots))
        assert all(slot <= self.now for slot in slots), "nothing is run before it is due"
        self.maybe_die(0.02)
        self.now += timedelta(seconds=self.random.choice([2, 15, 240]))
        for slot in slots:
            assert (job.name, slot) not in self.settled, "a settled slot is never run again"
            self.worked[job.name, slot] += 1
        if self.random.random() < 0.03:
            return Outcome(False, note="the vendor does not answer")
        self.maybe_die(0.02)  # all work done, nothing noted yet
        return Outcome(True, 1, "done")

    def alert(self, title: str, text: str) -> None:
        self.alerts += 1


class Journal(Slots):
    """The real journal, in a process that may be killed just before or just after a commit."""

    world: World

    def begin(self, job: str, slots: Sequence[datetime], now: datetime) -> None:
        self.world.maybe_die(0.005)
        super().begin(job, slots, now)
        self.world.maybe_die(0.005)

    def settle(self, job: str, slots: Sequence[datetime], state: str, now: datetime, note: str) -> None:
        self.world.maybe_die(0.005)
        super().settle(job, slots, state, now, note)  # type: ignore[arg-type]
        if state in {"done", "given_up"}:
            self.world.settled.update((job, slot) for slot in slots)
        self.world.maybe_die(0.005)


def live(world: World, path: Path) -> None:
    """Processes one after another, each started as soon as the one before was killed, until the sixty days are over."""
    while True:
        journal = Journal(path)
        journal.world = world
        try:
            scheduler = Scheduler(JOBS, journal, world, wait=world.wait, now=world.read)
            scheduler.start()
            scheduler.run()
        except Killed:
            world.now += timedelta(seconds=world.random.choice([1, 40, 4000]))
        else:
            return
        finally:
            journal.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_every_slot_exactly_once_under_kills_restarts_and_clock_jumps(tmp_path: Path, seed: int) -> None:
    world = World(seed)
    live(world, tmp_path / "scheduler.sqlite")
    assert world.kills > 30
    assert world.jumps > 30
    journal = Slots(tmp_path / "scheduler.sqlite")
    for job in JOBS:
        since = journal.since(job.name, world.now)
        rows = journal.rows(job.name)
        newest = rows[-1].slot
        assert [row.slot for row in rows] == job.between(since, newest), "no slot is missing, none is invented"
        # The clock may have jumped by its longest 31 hours while the last process was being stopped.
        assert newest >= job.between(since, world.now)[-1] - timedelta(hours=32)
        due = [row for row in rows if row.slot <= world.now - timedelta(hours=6)]
        assert {row.state for row in due} <= {"done", "given_up"}
        assert sum(row.state == "given_up" for row in rows) <= 2
        for row in rows:
            if row.state == "done":
                assert world.settled[job.name, row.slot] == 1
                assert world.worked[job.name, row.slot] >= 1
    assert max(world.settled.values()) == 1
    once = sum(1 for count in world.worked.values() if count == 1)
    assert once > 0.85 * len(world.worked), "work is repeated only after a kill or a failure"


def test_a_clock_that_ran_far_ahead_does_not_swallow_the_real_slots(tmp_path: Path) -> None:
    world = World(3)
    world.maybe_die = lambda probability: None  # type: ignore[method-assign]
    world.random.random = lambda: 0.5  # type: ignore[method-assign]
    job = JOBS[0]
    journal = Slots(tmp_path / "s.sqlite")
    scheduler = Scheduler([job], journal, world, wait=world.wait, now=world.read)
    scheduler.start()
    world.now = BEGIN + timedelta(days=400)
    scheduler.step()
    assert journal.last(job.name) == job.between(BEGIN, world.now)[-1]
    world.now = BEGIN + timedelta(days=2, hours=1)
    scheduler.step()
    assert journal.last(job.name) == job.between(BEGIN, world.now + timedelta(days=1))[-1]
    world.now = BEGIN + timedelta(days=5)
    scheduler.step()
    assert [row.slot for row in journal.rows(job.name)] == job.between(BEGIN, world.now)
