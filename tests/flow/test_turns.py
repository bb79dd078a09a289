"""Trips of different parties take turns, and whoever answers has all workers, whoever else is silent."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.flow.scripted import Scripted, day, raw
from tests.waiting import PATIENCE_S

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Trip
from cryptolake.flow.collect import collect
from cryptolake.flow.turns import Turns
from cryptolake.lake.bronze import Bronze
from cryptolake.net.faults import NotAwaited
from cryptolake.state.ledger import Ledger


def trips(party: str, count: int) -> list[Trip]:
    start = date(2024, 12, 1)
    periods = [Period.of_day(start + timedelta(days=number)) for number in range(count)]
    return [Trip("onchain", f"{party} {one}", (Partition("tvl", party, one),), party) for one in periods]


def test_parties_take_turns_and_each_keeps_its_order() -> None:
    every = [*trips("a", 4), *trips("b", 2), *trips("c", 1)]
    turns, begun = Turns(every, 1, lambda _: False), list[Trip]()
    while (trip := turns.next()) is not None:
        begun.append(trip)
        assert turns.next() is None, "one worker"
        turns.ended(trip)
    assert [one.asked for one in begun] == ["a", "b", "c", "a", "b", "a", "a"]
    assert [one for one in begun if one.asked == "a"] == every[:4]


@pytest.mark.parametrize("seed", range(200))
def test_who_answers_has_all_workers_whoever_falls_silent_and_when(seed: int) -> None:
    lots = random.Random(seed)
    parties, workers = [f"party-{number}" for number in range(lots.randint(1, 6))], lots.randint(1, 7)
    every = [one for party in parties for one in trips(party, lots.randint(1, 9))]
    lots.shuffle(every)
    silent = set[str]()
    turns, under_way, begun = Turns(every, workers, silent.__contains__), list[Trip](), Counter[Trip]()
    while under_way or turns.left:
        for party in parties:
            if lots.random() < 0.1:
                silent ^= {party}
        while (trip := turns.next()) is not None:
            under_way.append(trip)
            begun[trip] += 1
        healthy = sum(one.asked not in silent for one in under_way)
        waiting = [one for one in every if one not in begun and one.asked not in silent]
        assert healthy >= workers or not waiting
        assert len(under_way) <= turns.most
        for party in silent:  # what began before it fell silent, or one that tries
            assert sum(one.asked == party for one in under_way) <= turns.most
        ends = lots.choice(under_way)
        under_way.remove(ends)
        turns.ended(ends)
    assert begun == Counter(every)


class TwoChains(Scripted):
    """`a` answers; `dead` holds its first conversations until all of `a` is answered, and then was waited for in vain."""

    def __init__(self, partitions: Sequence[Partition]) -> None:
        super().__init__()
        self.left, self.lock = {one for one in partitions if one.key == "a"}, threading.Lock()
        self.answered = threading.Event()

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        for one in sorted(partitions, key=lambda one: (one.key == "a", one)):  # the dead one's come first
            yield Trip(self.name, str(one), (one,), one.key)

    def silent(self, asked: str) -> bool:
        return asked == "dead"

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        (partition,) = trip.partitions
        with self.lock:
            self.asked[partition] += 1
        if partition.key == "dead":
            assert self.answered.wait(PATIENCE_S), "a chain that answers waits for one that does not"
            raise NotAwaited("dead: node does not answer")
        yield raw(partition)
        with self.lock:
            self.left.discard(partition)
        if not self.left:
            self.answered.set()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_dead_chain_holds_up_nobody_and_ends_at_once_with_one_notice(tmp_path: Path, workers: int) -> None:
    asked = [day(number, key) for key in ("a", "dead") for number in range(6)]
    source, ledger = TwoChains(asked), Ledger(tmp_path / "ledger.sqlite")
    with capture_logs() as told:
        result = collect(source, asked, bronze=Bronze(tmp_path), ledger=ledger, workers=workers)
    assert (result.done, result.failed) == (6, 6)
    assert set(source.asked.values()) == {1}
    assert {(one.reason, one.error) for one in result.failures} == {("unreachable", "dead: node does not answer")}
    assert sum(one["log_level"] == "warning" for one in told) == 1
    again = collect(Scripted(), asked, bronze=Bronze(tmp_path), ledger=ledger, workers=workers)
    assert (again.done, again.failed) == (6 + 6, 0), "the next run asks again"
