"""The price of every grade beside counted requests of the real collection at that grade. Synthetic chains and providers.

As in `test_plan_comes_true`: requests go without HTTP, time is what the limiters add up. Blocks that receipts prove are linked
and hashed as real ones; other chains' rules are not known, and there less is done.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from itertools import combinations
from pathlib import Path

import pytest
from benchmarks.linked_ethereum import Linked
from benchmarks.simulated_ethereum import Simulated
from tests.command import cryptolake
from tests.flow.test_plan_comes_true import Mix, clock_of, counted, mixed, registry, simulated, unprovable
from tests.net.simulated_clock import SimulatedClock

from cryptolake.contracts.grades import GRADES
from cryptolake.contracts.partition import Partition, days
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.voices import same_voice
from cryptolake.registry.loader import Registry
from cryptolake.work.estimate import costs, duration_s
from cryptolake.work.grade_prices import WORDS, GradePrice, emitters_of, grade_prices
from cryptolake.work.workload import work

EVERY_GRADE = list(WORDS)
AUDIT = 0.02


def priced(mix: Mix, *, doubted: bool = True, known: Registry | None = None) -> dict[str, GradePrice]:
    known = known or registry()
    csus = known.csus
    chains = work(mix.partitions, csus, known.chains, doubted=doubted)

    def endpoints(chain: str) -> Sequence[Endpoint]:
        return mix.endpoints[chain]

    found = grade_prices(
        chains,
        endpoints,
        costs,
        duration_s,
        emitters=emitters_of(csus, mix.partitions),
        rules={one.chain: known.chains[one.chain].receipts for one in chains},
        audit=AUDIT,
        doubted=doubted,
    )
    return {one.grade: one for one in found}


def collected(mix: Mix, word: str, folder: Path, made: Callable[..., Simulated] = simulated) -> tuple[int, float]:
    mix = replace(mix, grade=WORDS[word], audit=AUDIT)
    real, seconds = counted(mix, folder, lively=made is simulated, made=made)
    return sum(one.total() for one in real.values()), seconds


@pytest.mark.parametrize("seed", range(3, 9))
@pytest.mark.parametrize("word", [one for one in EVERY_GRADE if one != "receipts"])
def test_the_price_of_a_grade_comes_true(tmp_path: Path, seed: int, word: str) -> None:
    mix = mixed(seed)
    told = priced(mix, known=unprovable())[word]
    calls, seconds = collected(mix, word, tmp_path)
    assert told.calls == pytest.approx(calls, rel=0.1)
    assert told.seconds == pytest.approx(seconds, rel=0.2, abs=1.0)


PERIODS = list(days(date(2024, 12, 3), date(2024, 12, 4)))


def of_ethereum(*operators: str) -> tuple[Mix, Callable[..., Linked], int]:
    """Two days of logs of two markets, a chain that is linked for them, and how many blocks they have."""
    markets = ["aave_v3_ethereum", "compound_v3_eth_usdc"]
    limits = Limits(rate=25.0, log_span=2000, max_batch=100)
    endpoints = [
        Endpoint(f"{n}", SecretUrl(f"{n}"), limits, f"{n}", "own", 0.0, name) for n, name in enumerate(operators)
    ]
    partitions = [Partition("liquidations", name, period) for name in markets for period in PERIODS]
    at = clock_of("ethereum")
    first, end = (bisect_left(range(at.head), one.timestamp(), key=at) for one in (PERIODS[0].start, PERIODS[-1].end))

    def linked(full: bool, chain: str, clock: SimulatedClock, names: Sequence[str]) -> Linked:
        return Linked(chain, first - 10, end + 10, {}, full=full, time=clock, head=clock.head, only=names)

    return Mix({"ethereum": markets}, {"ethereum": endpoints}, partitions, AUDIT), linked, end - first


@pytest.mark.parametrize("full", [True, False])
def test_the_price_of_proofs_by_receipts_comes_true(tmp_path: Path, full: bool) -> None:
    """Filters as full blocks have them promise in vain; empty ones promise nothing, and cost less than told."""
    mix, linked, blocks = of_ethereum("first", "second")
    told = priced(mix)["receipts"]
    calls, seconds = collected(mix, "receipts", tmp_path, partial(linked, full))
    assert calls > blocks, "every header is asked for"
    assert told.calls == pytest.approx(calls, rel=0.1)
    assert told.seconds == pytest.approx(seconds, rel=0.2)
    assert told.not_on == ()


def test_where_nobody_can_agree_on_a_block_proofs_cost_next_to_nothing(tmp_path: Path) -> None:
    mix, linked, _ = of_ethereum("first", "first")
    told = priced(mix)
    made = partial(linked, True)
    more = collected(mix, "receipts", tmp_path / "1", made)[0] - collected(mix, "two_voices", tmp_path / "2", made)[0]
    assert told["receipts"].calls - told["two_voices"].calls == more == len(PERIODS)
    assert told["receipts"].not_on == ("ethereum",)


@pytest.mark.parametrize("seed", range(20))
def test_a_stronger_grade_never_costs_less_and_says_where_it_cannot_be_had(seed: int) -> None:
    mix = mixed(seed)
    found = priced(mix)
    assert list(found) == EVERY_GRADE
    assert [WORDS[one] for one in found] == list(GRADES)
    calls = [one.calls for one in found.values()]
    assert calls == sorted(calls)
    assert found == priced(mix, doubted=False)
    alone = {
        chain
        for chain, some in mix.endpoints.items()
        if all(same_voice(one, other) for one, other in combinations(some, 2))
    }
    unknown = {chain for chain in mix.endpoints if registry().chains[chain].receipts is None}
    assert {word: set(one.not_on) for word, one in found.items()} == {
        "one_voice": set(),
        "two_voices_sampled": alone,
        "two_voices": alone,
        "receipts": alone | unknown,
    }


def test_plan_shows_the_prices_within_a_hundred_columns(tmp_path: Path) -> None:
    words = ["plan", "--set", "thesis-43", "--start-date", "2024-12-01", "--end-date", "2024-12-03"]
    shown = cryptolake(tmp_path, *words, COLUMNS="100", CRYPTOLAKE_PUBLIC_RPC="1")  # a plan asks nobody
    assert shown.returncode == 0, shown.stderr
    head, _, table = shown.stdout.partition("at each grade of evidence")
    assert head
    for word in EVERY_GRADE:
        assert any(line.split()[:1] == [word] for line in table.splitlines()), word
    # The last line is the command to go on with, for copying.
    assert max(map(len, shown.stdout.splitlines()[:-1])) <= 100
    told = json.loads(cryptolake(tmp_path, *words, "--json", CRYPTOLAKE_PUBLIC_RPC="1").stdout)["grades"]
    assert [one["grade"] for one in told] == EVERY_GRADE
    assert [one["calls"] for one in told] == sorted(one["calls"] for one in told)
    assert all(one["seconds"] > 0 for one in told)
