"""Limits used to the full and hardly ever exceeded, against every way to enforce one; on a simulated clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from benchmarks.enforcing import CALLS, KINDS, UNITS, Bucket, Fixed, LockedOut, Rule, Sliding
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


FEW = 10.0  # units a second on average, of the rules that count otherwise
WINDOWS = [(kind, seconds) for kind in ("sliding", "strict", "fixed") for seconds in (2.0, 5.0, 10.0, 30.0, 60.0)]
LOCKS = [(seconds, renewed) for seconds in (5.0, 10.0, 60.0) for renewed in (False, True)]


def window(kind: str, seconds: float) -> Rule:
    if kind == "fixed":
        return Fixed(FEW * seconds, seconds)
    return Sliding(FEW * seconds, seconds, strict=kind == "strict")


@pytest.mark.parametrize(("kind", "seconds"), WINDOWS)
def test_a_limit_of_any_window_is_used_when_told(kind: str, seconds: float) -> None:
    world = simulated(window(kind, seconds), FEW, told=True, jitter_s=0.01)
    world.run(120)
    assert world.rate(120) >= 0.9 * FEW
    assert world.refused_share <= 0.01


def refused_since(world: Simulation, seconds: float) -> float:
    """The share of requests refused in the latest seconds."""
    refused, sent = (sum(at > world.now[0] - seconds for at in found) for found in (world.refused, world.sent))
    return refused / sent


@pytest.mark.parametrize(("kind", "seconds"), WINDOWS)
def test_a_limit_of_any_window_is_found_within_minutes(kind: str, seconds: float) -> None:
    """What a limit counts over shows in how long nothing helps: where it is none by the second, it may be by ten of them."""
    world = simulated(window(kind, seconds), 25.0, told=False, jitter_s=0.01)
    world.run(600)
    assert world.rate(300) >= 0.8 * FEW
    assert refused_since(world, 300) <= 0.02


@pytest.mark.parametrize(("seconds", "renewed"), LOCKS)
def test_who_is_locked_out_for_a_while_finds_the_limit_of_the_second(seconds: float, renewed: bool) -> None:
    world = simulated(LockedOut(FEW, seconds, renewed), 25.0, told=False, jitter_s=0.01)
    world.run(900)
    assert world.rate(600) >= 0.8 * FEW
    assert refused_since(world, 600) <= 0.01


def test_one_call_in_two_seconds_is_found() -> None:
    world = simulated(Sliding(1, 2.0), 25.0, told=False, jitter_s=0.01)
    world.run(900)
    assert world.rate(600) >= 0.8 / 2


def test_what_was_learned_too_low_finds_its_way_back() -> None:
    world = simulated(Sliding(1.0, 2.0), 25.0, told=False)
    world.run(120)
    world.rule = Sliding(10 * FEW, 10.0)
    world.run(600)
    assert world.rate(300) >= 0.8 * FEW


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


@dataclass
class ByChance:
    """Refuses this share of what the rule admits, whatever the rate is."""

    rule: Rule
    share: float
    lots: random.Random = field(default_factory=lambda: random.Random(1))

    def admits(self, now: float, cost: float) -> bool:
        return self.rule.admits(now, cost) and self.lots.random() >= self.share


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1])
def test_refusals_by_chance_do_not_cost_the_rate_that_was_told(share: float) -> None:
    world = simulated(ByChance(Sliding(CALLS), share), CALLS, told=True)
    world.run(300)
    assert world.rate(150) >= 0.9 * (1 - share) * CALLS


@pytest.mark.parametrize("share", [0.01, 0.03])
def test_refusals_by_chance_do_not_cost_a_rate_that_is_searched(share: float) -> None:
    world = simulated(ByChance(Sliding(CALLS), share), 25.0, told=False)
    world.run(300)
    assert world.rate(300) >= 0.3 * CALLS


def test_a_limit_is_found_where_refusals_come_by_chance_too() -> None:
    world = simulated(ByChance(Sliding(CALLS), 0.02), CALLS, told=True)
    world.run(100)
    world.rule = ByChance(Sliding(CALLS / 5), 0.02)
    world.run(100)
    assert world.limiters[0].rate <= CALLS / 3
    assert refused_since(world, 50) <= 0.15


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
