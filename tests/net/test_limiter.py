"""No window holds more than the limit; processes share one; a complaint slows it down."""

from __future__ import annotations

import multiprocessing
from multiprocessing.queues import Queue
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.grants import assert_spaced, bounds_of_a_grant
from tests.waiting import PATIENCE_S

from cryptolake.net.limiter import Limiter, SharedLimiter, for_limit


@settings(max_examples=100)
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


@settings(max_examples=60)
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


def test_a_complaint_slows_down_and_answers_speed_up_again() -> None:
    limiter = Limiter(100)
    for _ in range(50):
        limiter.slow_down()
    assert limiter.rate == 5
    for _ in range(1000):
        limiter.speed_up()
    assert limiter.rate == 100


def test_a_slow_limit_needs_few_answers_to_speed_up_again() -> None:
    limiter = Limiter(4 / 60)
    for _ in range(50):
        limiter.slow_down()
    assert limiter.rate == pytest.approx(0.2 / 60)
    for _ in range(20):
        limiter.speed_up()
    assert limiter.rate == pytest.approx(4 / 60)


def test_another_limit_keeps_what_was_taken() -> None:
    limiter = Limiter(1.0, 2.0, clock=lambda: 0.0, sleep=lambda _: None)
    assert [limiter.reserve() for _ in range(3)] == [0.0, 0.0, 1.0]
    limiter.resize(2.0, 4.0)
    assert limiter.reserve() == 1.5  # three seconds' worth are taken, two may be ahead, this one costs half a second
    limiter.slow_down()
    limiter.resize(2.0, 4.0)
    assert limiter.rate == 1.6, "the same limit again is no news"


def test_a_pause_asked_for_is_kept() -> None:
    now = 0.0
    limiter = Limiter(10, clock=lambda: now, sleep=lambda _: None)
    limiter.push_back(7.0)
    assert limiter.reserve() >= 7.0


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
