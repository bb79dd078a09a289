"""No window holds more than the limit; processes share one; a complaint slows it down."""

from __future__ import annotations

import multiprocessing
import struct
import time
from multiprocessing.queues import Queue
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples
from tests.net.grants import assert_spaced, bounds_of_a_grant
from tests.waiting import PATIENCE_S

from cryptolake.errors import Stop
from cryptolake.net.limiter import KEPT_S, SHARE, Limiter, SharedLimiter, for_limit
from cryptolake.net.speed import FIRST_PAUSE_S


@settings(max_examples=examples(100))
@given(
    st.floats(1, 500),
    st.floats(1, 50),
    st.lists(st.tuples(st.floats(0, 0.5), st.floats(0.1, 20)), min_size=1, max_size=60),
)
def test_no_window_holds_more_than_the_limit(rate: float, burst: float, steps: list[tuple[float, float]]) -> None:
    now = 0.0
    granted: list[tuple[float, float]] = []
    limiter = Limiter(rate, burst, clock=lambda: now, sleep=lambda _: None)
    for pause, cost in steps:
        now += pause
        granted.append((now + limiter.reserve(cost), cost))
    for first in range(len(granted)):
        total = 0.0
        for at, cost in granted[first:]:
            total += cost
            # the first grant of a window may end a reservation that began before it
            assert total <= rate * (at - granted[first][0]) + burst + granted[first][1] + 1e-6


@settings(max_examples=examples(60))
@given(st.integers(1, 400), st.floats(1, 60), st.lists(st.floats(0, 0.3), min_size=5, max_size=400))
def test_calls_of_one_cost_never_exceed_a_providers_second(calls: int, cost: float, pauses: list[float]) -> None:
    """`for_limit` is exact: any one-second window, however it lies, holds at most the provider's limit."""
    limit = calls * cost
    made = for_limit(limit, cost=cost)
    now = 0.0
    limiter = Limiter(made.rate, cost, clock=lambda: now, sleep=lambda _: None)
    granted = []
    for pause in pauses:
        now += pause
        granted.append(now + limiter.reserve(cost))
    granted.sort()
    for first, start in enumerate(granted):
        assert sum(cost for at in granted[first:] if at < start + 1.0 - 1e-9) <= limit + 1e-6


@settings(max_examples=examples(100))
@given(
    st.integers(5, 400),
    st.lists(st.tuples(st.floats(0, 0.6), st.integers(1, 120)), min_size=1, max_size=120),
    st.integers(1, 3),
)
def test_no_second_holds_more_whatever_the_costs_are(
    tmp_path_factory: pytest.TempPathFactory, limit: int, steps: list[tuple[float, int]], processes: int
) -> None:
    """Mixed single calls and batches, of several processes: every window of a second is within the provider's limit."""
    now, folder = 0.0, tmp_path_factory.mktemp("limits")
    limiters = [
        SharedLimiter(folder / "one", SHARE * limit, exact=True, clock=lambda: now, wall=lambda: now)
        for _ in range(processes)
    ]
    granted = []
    for number, (pause, cost) in enumerate(steps):
        now += pause
        granted.append((now + limiters[number % processes].reserve(cost), cost))
    for limiter in limiters:
        limiter.close()
    assert granted == sorted(granted, key=lambda one: one[0]), "first come, first served"
    for first, (start, alone) in enumerate(granted):
        inside = sum(cost for at, cost in granted[first:] if at < start + 1.0)
        assert inside <= max(limit, alone), "what is more than a second's limit goes alone"


def test_batches_do_not_cost_the_limit(tmp_path: Path) -> None:
    now = 0.0
    limiter = Limiter(SHARE * 50, exact=True, clock=lambda: now)
    piece = int(limiter.at_once)
    for _ in range(40):
        for cost in [*[1] * 20, piece]:
            now += limiter.reserve(cost)
    assert 40 * (20 + piece) / now >= 0.95 * 50


def test_a_burst_of_refusals_is_one_complaint(tmp_path: Path) -> None:
    """Eight requests in flight, all refused: one slow-down, one short pause; whoever waited for a place waits on."""
    now = 0.0
    first, second = (
        SharedLimiter(tmp_path / "one", SHARE * 50, exact=True, clock=lambda: now, wall=lambda: now) for _ in range(2)
    )
    now = 10.0
    waiting = [one.take() for one in (first, second) * 8]
    now = 10.1
    assert [limiter.refused(10.0 + number / 100) for number, limiter in enumerate([first, second] * 4)] == [
        True, *[False] * 7
    ]  # fmt: skip
    assert first.backlog() == second.backlog() == pytest.approx(FIRST_PAUSE_S)
    assert second.rate == pytest.approx(SHARE * 50, rel=0.05)
    assert {second.use(place) for place in waiting if place.at > now} == {False}
    assert {first.use(place) for place in waiting if place.at <= now} == {True}
    now = 10.3
    assert first.refused(10.25), "sent after the pause, refused again"
    places = [one.take(again=True) for one in (first, second)]
    assert [place.at for place in places] == pytest.approx(
        [now + 2 * FIRST_PAUSE_S, now + 2 * FIRST_PAUSE_S + 1.5 * 0.05], abs=0.001
    ), "the first goes alone until its refusal would be back"
    assert first.used() == 16


def test_a_longer_pause_that_is_asked_for_is_kept() -> None:
    now = 1.0
    limiter = Limiter(10, clock=lambda: now, sleep=lambda _: None)
    limiter.refused(0.5)
    assert not limiter.refused(0.6, 7.0)
    assert limiter.reserve() == pytest.approx(7.0)


def test_the_month_is_never_exceeded() -> None:
    limiter = Limiter(1e6, clock=lambda: 0.0)
    for _ in range(10):
        limiter.take(9, monthly=95)
    with pytest.raises(Stop):
        limiter.take(9, monthly=95)
    assert limiter.take(5, monthly=95)
    assert limiter.used() == 95


def test_another_limit_keeps_what_was_taken() -> None:
    limiter = Limiter(1.0, 2.0, clock=lambda: 0.0, sleep=lambda _: None)
    assert [limiter.reserve() for _ in range(3)] == [0.0, 0.0, 1.0]
    limiter.resize(2.0, 4.0)
    assert limiter.reserve() == 1.5  # three seconds' worth are taken, two may be ahead, this one costs half a second
    limiter.refused(0.0)
    limiter.resize(2.0, 4.0)
    assert limiter.rate == 1.6, "the same limit again is no news"


def test_what_was_learned_is_kept_for_a_week_and_over_a_reboot(tmp_path: Path) -> None:
    def opened(clock: float, wall: float, given: float = 100.0) -> SharedLimiter:
        return SharedLimiter(tmp_path / "one", given, exact=True, clock=lambda: clock, wall=lambda: wall)

    opened(500.0, 1e9).refused(499.0)
    assert opened(600.0, 1e9 + 100).rate < 100
    assert opened(5.0, 1e9 + 200).rate < 100, "after a reboot"
    assert opened(5.0, 1e9 + 200).reserve() == 0.0
    assert opened(700.0, 1e9 + KEPT_S + 1).rate == 100
    assert opened(700.0, 1e9 + 300, given=40.0).rate == 40, "what is told anew holds"


def test_a_rate_of_an_earlier_run_is_begun_with_unless_something_newer_is_known(tmp_path: Path) -> None:
    one, other = (SharedLimiter(tmp_path / "one", 5.0, exact=True, told=False) for _ in range(2))
    one.begin_at(42.0)
    one.reserve()
    other.begin_at(7.0)
    other.reserve()
    assert (one.rate, other.rate) == (42.0, 42.0)


def test_the_count_of_a_former_files_month_holds(tmp_path: Path) -> None:
    wall = 1_800_000_000.0
    month = time.gmtime(wall).tm_year * 12 + time.gmtime(wall).tm_mon
    (tmp_path / "one").write_bytes(struct.pack("<dddi", 1.0, 2.0, 77.0, month))
    assert SharedLimiter(tmp_path / "one", 1.0, wall=lambda: wall).used() == 77


def _take(path: Path, count: int, out: Queue[list[tuple[float, float]]]) -> None:
    limiter = SharedLimiter(path, 200.0)
    out.put([bounds_of_a_grant(limiter) for _ in range(count)])


def test_processes_share_one_limit(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    out: Queue[list[tuple[float, float]]] = context.Queue()
    workers = [context.Process(target=_take, args=(tmp_path / "limits" / "one", 40, out)) for _ in range(3)]
    for worker in workers:
        worker.start()
    taken = [one for _ in workers for one in out.get(timeout=PATIENCE_S)]
    for worker in workers:
        worker.join()
    assert_spaced(taken, 200.0)
    assert SharedLimiter(tmp_path / "limits" / "one", 200.0).used() == 120


def test_a_value_from_before_a_reboot_is_ignored(tmp_path: Path) -> None:
    late = SharedLimiter(tmp_path / "one", 1.0, clock=lambda: 1e9)
    late.reserve()
    assert SharedLimiter(tmp_path / "one", 1.0, clock=lambda: 5.0).reserve() == 0.0


def test_a_long_queue_is_no_reboot(tmp_path: Path) -> None:
    """A slow limit that many wait for: what lies far ahead was still written before now."""
    first, second = (SharedLimiter(tmp_path / "one", 1 / 300, clock=lambda: 5.0, sleep=lambda _s: None) for _ in "ab")
    assert [limiter.reserve() for limiter in (first, second) * 3] == pytest.approx([300 * n for n in range(6)])


def test_a_file_cut_short_is_a_fresh_start(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"\1\2\3")
    assert SharedLimiter(tmp_path / "one", 1.0).reserve() == 0.0
