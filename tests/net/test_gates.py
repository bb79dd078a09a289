"""One limiter per host and key, and what it promises: never more than so many calls in any minute."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.net.gates import Gates


def test_the_same_host_and_key_share_a_limiter() -> None:
    gates = Gates()
    one = gates.at("host", "key", per_minute=900, burst=12)
    assert gates.at("host", "key", per_minute=900, burst=12) is one
    assert gates.at("host", "other", per_minute=900, burst=12) is not one
    assert gates.at("elsewhere", "key", per_minute=900, burst=12) is not one


def test_processes_share_a_limit_and_no_file_name_tells_the_key(tmp_path: Path) -> None:
    first, second = (Gates(tmp_path, clock=lambda: 1000.0, sleep=lambda _s: None) for _ in range(2))
    waits = [one.at("host", "open-sesame", per_minute=72, burst=12).reserve() for one in (first, second) * 8]
    assert waits[:12] == [0.0] * 12
    assert waits[12:] == pytest.approx([1.0, 2.0, 3.0, 4.0])
    assert [file.name.startswith("host-") and "sesame" not in file.name for file in tmp_path.iterdir()] == [True]
    first.close()
    second.close()


def test_a_plan_learned_later_holds_for_everybody() -> None:
    gates = Gates(clock=lambda: 1000.0, sleep=lambda _s: None)
    one = gates.at("host", "key", per_minute=250, burst=25)
    assert gates.resize("host", "key", per_minute=30, burst=3) is one
    assert gates.at("host", "key", per_minute=250, burst=25) is one
    assert [one.reserve() for _ in range(5)] == pytest.approx([0, 0, 0, 60 / 27, 120 / 27])


@given(st.lists(st.floats(0, 3), max_size=60), st.sampled_from([(900, 12), (480, 12), (480, 8), (10, 12), (1, 1)]))
def test_no_minute_ever_sees_more(pauses: list[float], limits: tuple[int, int]) -> None:
    """Callers that come in bursts with pauses between: the count in every window of a minute stays within the promise."""
    per_minute, burst = limits
    now = 0.0
    gate = Gates(clock=lambda: now, sleep=lambda _s: None).at("h", "k", per_minute=per_minute, burst=burst)
    granted = []
    for pause in [*pauses, 0.0]:
        now += pause
        granted += [now + gate.reserve() for _ in range(40)]
    granted.sort()
    for index, start in enumerate(granted):
        within = sum(1 for at in granted[index:] if at < start + 60)
        assert within <= per_minute
