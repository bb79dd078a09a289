"""Collecting: retries by class of error, nothing twice, asked to stop, landed answers never asked again."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from tests.flow.scripted import Scripted, day, raw
from tests.waiting import PATIENCE_S, until

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss
from cryptolake.contracts.source import Trip
from cryptolake.errors import Retry, Stop
from cryptolake.flow.collect import Collected, collect
from cryptolake.lake.bronze import Bronze
from cryptolake.net.faults import Behind, Elsewhere
from cryptolake.state.ledger import Ledger


class Lake:
    """A data folder with its bronze and ledger."""

    def __init__(self, folder: Path) -> None:
        self.bronze, self.ledger = Bronze(folder), Ledger(folder / "ledger.sqlite")
        self.waits: list[int] = []

    def collect(
        self, source: Scripted, partitions: list[Partition], stopping: threading.Event | None = None, workers: int = 1
    ) -> Collected:
        def note(failed: int) -> float:
            self.waits.append(failed)
            return 0.0

        return collect(
            source,
            partitions,
            bronze=self.bronze,
            ledger=self.ledger,
            workers=workers,
            stopping=stopping,
            backoff=note,
        )

    def entry(self, partition: Partition) -> Entry:
        found = self.ledger.state(partition)
        assert found is not None
        return found


@pytest.fixture(autouse=True)
def own_log() -> None:
    """A test before may have left the log with a stream that is closed by now."""
    structlog.reset_defaults()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def test_what_may_pass_is_asked_again_with_growing_waits_and_then_failed(lake: Lake) -> None:
    once, always = day(0), day(1)
    source = Scripted({once: [Retry("down")], always: [Retry("down")] * 9})
    result = lake.collect(source, [once, always, day(2)])
    assert (result.done, result.failed) == (2, 1)
    assert source.asked == {once: 2, always: 3, day(2): 1}
    assert lake.waits == [1, 2]
    assert (lake.entry(once).state, lake.entry(once).attempt) == ("done", 2)
    failed = lake.entry(always)
    assert (failed.state, failed.attempt, failed.reason, failed.error) == ("failed", 3, "unreachable", "down")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Stop("bad key"), "stopped"),
        (Elsewhere("missing trie node"), "no_archive"),
        (Miss(day(0), "failed", "layout", "odd"), "layout"),
    ],
)
def test_what_waiting_does_not_mend_is_asked_once(lake: Lake, answer: Exception | Miss, reason: str) -> None:
    source = Scripted({day(0): [answer]})
    assert lake.collect(source, [day(0)]).failed == 1
    assert source.asked[day(0)] == 1
    assert lake.entry(day(0)).reason == reason


@pytest.mark.parametrize("message", ["ethereum: 2024-12-{day} is not final yet; run again later", "not there yet"])
def test_a_chain_that_stands_still_is_pending_with_one_notice(lake: Lake, message: str) -> None:
    days = [day(number) for number in range(9)]
    source = Scripted({one: [Miss(one, "failed", "not_yet", message.format(day=n))] for n, one in enumerate(days)})
    result = lake.collect(source, days)
    assert (result.failed, result.pending, len(result.notices)) == (0, 9, 1)
    assert not result.failures
    assert {source.asked[one] for one in days} == {1}
    assert {lake.entry(one).reason for one in days} == {"not_yet"}


def test_a_block_nobody_has_yet_is_pending_too(lake: Lake) -> None:
    result = lake.collect(Scripted({day(0): [Behind("ethereum: nobody has block 9 yet")]}), [day(0)])
    assert (result.failed, result.pending, result.notices) == (0, 1, ["ethereum: nobody has block 9 yet"])


def test_attempts_are_counted_over_runs(lake: Lake) -> None:
    source = Scripted({day(0): [Stop("bad key"), Stop("bad key")]})
    for attempt, state in ((1, "failed"), (2, "failed"), (3, "done")):
        lake.collect(source, [day(0)])
        assert (lake.entry(day(0)).attempt, lake.entry(day(0)).state) == (attempt, state)


def test_an_answer_landed_but_not_read_is_not_asked_again(lake: Lake) -> None:
    digest = lake.bronze.land(raw(day(0)))
    landed = Entry(day(0), "landed", datetime.now(UTC), "somebody", digest=digest)
    lake.ledger.append_many([landed, replace(landed, partition=day(1))])
    source = Scripted()
    assert lake.collect(source, [day(0), day(1)]).done == 2
    assert source.order == [day(1)], "the one whose answer is not there is asked"


def test_asked_to_stop_it_keeps_the_answer_at_hand_and_gives_back_the_rest(lake: Lake) -> None:
    stopping = threading.Event()
    source = Scripted(per_trip=3, told=lambda partition: stopping.set() if partition == day(1) else None)
    result = lake.collect(source, [day(number) for number in range(9)], stopping)
    assert source.order == [day(0), day(1)]
    assert (result.done, result.released) == (2, 7)
    assert lake.ledger.holders() == []
    source.told = lambda _partition: None
    assert lake.collect(source, [day(number) for number in range(2, 9)]).done == 7
    assert set(source.asked.values()) == {1}


def test_a_failure_that_waits_for_its_next_attempt_stands_when_asked_to_stop(lake: Lake) -> None:
    stopping = threading.Event()
    source = Scripted(
        {day(0): [Retry("down")] * 9}, told=lambda partition: stopping.set() if partition == day(1) else None
    )
    result = lake.collect(source, [day(0), day(1)], stopping)
    assert (result.failed, result.done, source.asked[day(0)]) == (1, 1, 1)
    assert lake.entry(day(0)).state == "failed"


def test_two_runs_at_once_ask_everything_exactly_once(lake: Lake) -> None:
    wanted = [day(number) for number in range(40)]
    begun = threading.Event()
    both = threading.Barrier(2, action=begun.set)

    def told(partition: Partition) -> None:  # nobody is answered before both have taken their share
        if partition in (day(0), day(39)):
            both.wait(PATIENCE_S)
        assert begun.wait(PATIENCE_S)

    source = Scripted(told=told)
    found: list[Collected] = []

    def run_over(some: list[Partition]) -> None:  # what only one of them has comes first
        found.append(
            collect(
                source,
                some,
                bronze=lake.bronze,
                ledger=lake.ledger,
                workers=2,
                order=lambda trip: float(trip.partitions[0] in (day(0), day(39))),
            )
        )

    runs = [threading.Thread(target=run_over, args=(some,)) for some in (wanted[:25], wanted[15:])]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sum(one.done + one.elsewhere for one in found) == 50
    assert source.asked == dict.fromkeys(wanted, 1)


def test_what_another_run_settled_since_the_caller_looked_is_not_asked_again(lake: Lake) -> None:
    source, looked = Scripted(), datetime.now(UTC)
    assert lake.collect(source, [day(0), day(1)]).done == 2
    late = collect(source, [day(0), day(1), day(2)], bronze=lake.bronze, ledger=lake.ledger, workers=1, since=looked)
    assert (late.done, late.elsewhere, late.released) == (1, 2, 0)
    assert source.asked == dict.fromkeys([day(0), day(1), day(2)], 1)
    assert lake.ledger.holders() == []
    again = collect(source, [day(0)], bronze=lake.bronze, ledger=lake.ledger, workers=1, since=datetime.now(UTC))
    assert again.done == 1, "what was settled before is asked anew when it is wanted"


def test_a_run_that_lasts_longer_than_its_lease_keeps_its_claims(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    other = Ledger(tmp_path / "ledger.sqlite")
    stolen: list[set[Partition]] = []

    def outlast(partition: Partition) -> None:
        (_, _, first), *_ = other.claims()
        until(lambda: other.claims()[0][2] > first, "a renewed lease")
        stolen.append(other.claim([day(0), day(1)], "thief", 60))

    lake_run = collect(Scripted(told=outlast), [day(0)], bronze=lake.bronze, ledger=lake.ledger, workers=1, lease_s=8.0)
    assert lake_run.done == 1
    assert stolen == [{day(1)}]


def test_the_largest_markets_come_first(lake: Lake) -> None:
    source = Scripted()
    held = {"a": 1.0, "b": 3.0, "c": 2.0}

    def order(trip: Trip) -> float:
        return held[trip.partitions[0].key]

    partitions = [day(number, key) for number in range(2) for key in held]
    collect(source, partitions, bronze=lake.bronze, ledger=lake.ledger, workers=1, order=order)
    assert [one.key for one in source.order] == ["b", "b", "c", "c", "a", "a"]
    assert source.order[0].period < source.order[1].period


@pytest.mark.parametrize("killed", [False, True])
def test_only_a_worker_whose_sign_of_life_is_free_has_died(lake: Lake, tmp_path: Path, killed: bool) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.flow.scripted import Scripted, day; "
        "from tests.flow.test_collect import Lake; "
        "said = lambda _: (print('asked', flush=True), sys.stdin.read()); "
        "Lake(Path(sys.argv[1])).collect(Scripted(told=said), [day(0)])"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "asked\n"
    if killed:
        run.kill()
        run.wait()
    assert lake.ledger.holders() != []
    result = lake.collect(Scripted(), [day(0)])
    assert (result.done, result.elsewhere) == ((1, 0) if killed else (0, 1))
    run.communicate()
    assert lake.entry(day(0)).state == "done"
    assert list((tmp_path / "claims").iterdir()) == [], "no sign outlives its worker for long"


def test_a_worker_without_a_sign_of_life_keeps_its_claims_until_their_lease_ends(lake: Lake) -> None:
    nobody = f"{socket.gethostname()}:{2**22 + 1}#1"  # no process of ours, but of another machine or container perhaps
    lake.ledger.claim([day(0)], nobody, 60)
    assert lake.collect(Scripted(), [day(0)]).elsewhere == 1
    lake.ledger.claim([day(0)], nobody, -1)
    assert lake.collect(Scripted(), [day(0)]).done == 1
