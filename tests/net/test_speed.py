"""Limits used to the full and hardly ever exceeded, against every way to enforce one; on a simulated clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.enforcing import CALLS, KINDS, UNITS, Bucket, Fixed, Rule, Sliding
from tests.net.simulated import Simulation, simulated

from cryptolake.net.limiter import SHARE, Limiter, SharedLimiter
from cryptolake.net.speed import FIRST_PAUSE_S, LONGEST_PAUSE_S, Speed

RULES: dict[str, Callable[[], Rule]] = {
    "sliding second": lambda: Sliding(CALLS),
    "sliding second that counts refusals": lambda: Sliding(CALLS, strict=True),
    "token bucket": lambda: Bucket(CALLS, CALLS),
    "small bucket": lambda: Bucket(CALLS, 10),
    "sliding minute": lambda: Sliding(60 * CALLS, 60.0),
    "fixed minute": lambda: Fixed(60 * CALLS, 60.0),
}


@pytest.mark.parametrize("jitter_s", [0.0, 0.03])
@pytest.mark.parametrize("name", RULES)
def test_a_limit_that_was_told_is_used_and_kept(name: str, jitter_s: float) -> None:
    world = simulated(RULES[name](), CALLS, told=True, jitter_s=jitter_s)
    world.run(100)
    assert world.rate(100) >= 0.95 * CALLS
    assert world.refused_share <= (0.01 if jitter_s else 0.0)


def test_requests_that_meet_on_a_busy_machine_do_not_cost_the_limit_that_was_told() -> None:
    """What waited together is refused together; that says nothing of the limit, so it is soon used to the full again."""
    worlds = [simulated(Sliding(CALLS), CALLS, told=True, stalls=0.5, stall_s=0.03, workers=12 + n) for n in range(6)]
    for world in worlds:
        world.run(100)
    assert sum(world.rate(100) for world in worlds) >= 6 * 0.945 * CALLS
    assert all(world.refused_share <= 0.01 for world in worlds)


@pytest.mark.parametrize("guess", [5.0, 25.0, 10_000.0])
@pytest.mark.parametrize("name", RULES)
def test_a_limit_that_nobody_told_is_found(name: str, guess: float) -> None:
    world = simulated(RULES[name](), guess, told=False, jitter_s=0.01)
    world.run(100)
    assert world.rate(100) >= (0.9 if guess == 25 else 0.85) * CALLS, "a start from 5/s takes its seconds"
    assert world.refused_share <= 0.01
    world.run(100)
    assert world.rate(200) >= 0.9 * CALLS


@pytest.mark.parametrize("name", RULES)
def test_a_limit_that_was_told_too_high_is_found(name: str) -> None:
    world = simulated(RULES[name](), 300.0, told=True)
    world.run(100)
    assert world.rate(100) >= 0.9 * CALLS
    assert world.refused_share <= 0.02


def test_compute_units_are_spaced_by_what_a_request_costs() -> None:
    world = simulated(
        KINDS["compute units"].rule(), UNITS, cost=60.0, told=True, costs=[60.0] * 20 + [200.0] + [26.0] * 5
    )
    world.run(100)
    assert world.rate(100) >= 0.95 * UNITS
    assert not world.refused


def test_a_faster_endpoint_than_was_thought_is_soon_used() -> None:
    world = simulated(Sliding(100), 5.0, told=False, workers=24)
    world.run(60)
    assert world.rate(10) >= 90


def test_what_was_told_is_never_exceeded() -> None:
    world = simulated(Sliding(1e9), CALLS, told=True, workers=64)
    world.run(60)
    for first in range(len(world.sent) - int(CALLS)):
        assert world.sent[first + int(CALLS)] - world.sent[first] >= 1.0


def test_an_idle_limiter_learns_nothing_upwards() -> None:
    world = simulated(Sliding(1e9), 100.0, told=False, workers=2)
    world.run(60)
    assert world.limiters[0].rate == SHARE * 100, "two workers with 80 ms latency need 25 a second"


@pytest.mark.parametrize("told", [True, False])
def test_processes_learn_together(tmp_path: Path, told: bool) -> None:
    now = [1000.0]
    given = SHARE * (CALLS if told else 10_000.0)
    limiters = [
        SharedLimiter(tmp_path / "one", given, exact=True, told=told, clock=lambda: now[0], wall=lambda: 1e9 + now[0])
        for _ in range(3)
    ]
    world = Simulation(Sliding(CALLS), limiters, now=now)
    world.run(60)
    for limiter in limiters:
        limiter.close()
    assert world.rate(60) >= (0.95 if told else 0.9) * CALLS
    assert world.refused_share <= 0.01


def test_pauses_are_short_while_answers_come_and_long_when_none_does() -> None:
    speed = Speed(100.0, 100.0)
    pauses = []
    now = 0.0
    for _ in range(12):
        speed.complaint(now, now, None, 90.0, 90.0)
        pauses.append(speed.resumes_at - now)
        now = speed.resumes_at + 0.1
    assert pauses == pytest.approx([min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**n) for n in range(12)])
    assert speed.silent
    speed.answer(now, now, busy=True)
    speed.complaint(now + 0.1, now + 0.1, None, 90.0, 90.0)
    assert speed.resumes_at - (now + 0.1) == pytest.approx(FIRST_PAUSE_S)


def test_a_vendors_limit_finds_back_to_what_was_given() -> None:
    now = 0.0
    limiter = Limiter(10.0, 5.0, clock=lambda: now)
    for _ in range(30):
        now += 1
        limiter.refused(now - 0.5)
    assert limiter.rate == 0.5
    for _ in range(3000):
        now += limiter.reserve()
        limiter.answered(now)
        now += 0.05
    assert limiter.rate == 10.0
