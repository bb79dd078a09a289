"""Boundaries are proven, one function serves snapshots and events, and a month of them costs a handful of requests."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples
from tests.net.node import Node, linear, pool_of

from cryptolake.contracts.block_clock import BlockClock, BlockTime
from cryptolake.contracts.partition import Period, days
from cryptolake.errors import Skip
from cryptolake.net.agreement import Contradicted
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.blocks import BlockRange, Blocks

# First Ethereum block of each UTC day of December 2024 and of 1 January 2025, and of the months around: public facts.
DECEMBER = [
    21303934, 21311106, 21318260, 21325416, 21332579, 21339733, 21346895, 21354048, 21361218, 21368390, 21375546,
    21382703, 21389869, 21397031, 21404197, 21411357, 21418530, 21425700, 21432853, 21440010, 21447176, 21454315,
    21461472, 21468618, 21475765, 21482925, 21490078, 21497236, 21504402, 21511572, 21518735, 21525891,
]  # fmt: skip


clocks = st.none() | st.builds(BlockClock.steady, st.floats(0.1, 5000), fixed=st.booleans())  # right or wrong


@settings(max_examples=examples(150))
@given(st.lists(st.integers(1, 5000), min_size=2, max_size=300), st.integers(0, 2**20), clocks)
def test_the_boundary_block_equals_a_full_search(gaps: list[int], offset: int, clock: BlockClock | None) -> None:
    times = [1_600_000_000]
    for gap in gaps:
        times.append(times[-1] + gap)
    wanted = times[0] + offset
    blocks = Blocks(pool_of(Node(time=times.__getitem__, head=len(times) - 1)), clock=clock)
    instant = datetime.fromtimestamp(wanted, UTC)
    if wanted > times[-1]:
        with pytest.raises(Skip) as caught:
            blocks.last_before(instant)
        assert caught.value.reason == "not_yet"
    elif wanted <= times[0]:
        with pytest.raises(Skip) as caught:
            blocks.last_before(instant)
        assert caught.value.reason == "not_deployed"
    else:
        assert blocks.last_before(instant).number == max(n for n, time in enumerate(times) if time < wanted)


@settings(max_examples=examples(60))
@given(
    st.lists(st.integers(0, 90_000), min_size=2, max_size=400),
    st.lists(st.integers(0, 2**22), min_size=1, max_size=12),
    clocks,
)
def test_many_boundaries_at_once_equal_one_by_one(
    gaps: list[int], offsets: list[int], clock: BlockClock | None
) -> None:
    times = [1_600_000_000]
    for gap in gaps:
        times.append(times[-1] + gap)
    node = Node(time=times.__getitem__, head=len(times) - 1)
    instants = [datetime.fromtimestamp(times[0] + offset, UTC) for offset in offsets]
    found = Blocks(pool_of(node), clock=clock).prefetch(instants)
    for instant in instants:
        at = int(instant.timestamp())
        truth = [number for number, time in enumerate(times) if time < at]
        assert (at in found) == bool(truth and at <= times[-1])
        if at in found:
            assert found[at].number == truth[-1]


def ethereum(number: int) -> int:
    """Times that put the first block of every day of December 2024 where it really was; straight lines between."""
    midnight = int(datetime(2024, 12, 1, tzinfo=UTC).timestamp())
    day = max(0, min(30, next((n for n, first in enumerate(DECEMBER) if first > number), 32) - 1))
    share = (number - DECEMBER[day]) / (DECEMBER[day + 1] - DECEMBER[day])
    return midnight + 86400 * day + 11 + int(86388 * share) if 0 <= share < 1 else midnight + int(86400 * (day + share))


def test_the_days_of_december_2024_start_at_their_real_blocks(tmp_path: Path) -> None:
    node = Node(time=ethereum, head=DECEMBER[-1] + 5000)
    blocks = Blocks(pool_of(node), FileBlockCache(tmp_path / "blocks.json"))
    month = list(days(date(2024, 12, 1), date(2024, 12, 31)))
    blocks.prefetch([month[0].start, *(period.end for period in month)])
    assert node.requests <= 8  # chain id, the two ends of the chain, and a few rounds of many headers
    assert [blocks.range_of(period)[0].start for period in month] == DECEMBER[:-1]
    assert [blocks.range_of(period)[0].end for period in month] == DECEMBER[1:]
    before = node.requests
    again = Blocks(pool_of(node), FileBlockCache(tmp_path / "blocks.json"))
    assert [again.range_of(period)[0].start for period in month] == DECEMBER[:-1]
    assert node.requests == before  # boundaries are cached


def test_the_first_block_of_base_in_december_2024() -> None:
    node = Node(time=lambda number: 1_686_789_347 + 2 * number, head=25_000_000)
    within, _ = Blocks(pool_of(node)).range_of(Period.of_day(date(2024, 12, 1)))
    assert within == BlockRange(23_110_927, 23_110_927 + 43_200)


def test_two_chains_do_not_share_a_boundary(tmp_path: Path) -> None:
    cache = FileBlockCache(tmp_path / "blocks.json")
    period = Period.of_day(date(2024, 12, 1))
    found = []
    for name, per_block in (("slow", 12.0), ("fast", 2.0)):
        pool = pool_of(Node(time=linear(1_600_000_000, per_block), head=10**8))
        pool.chain = name
        found.append(Blocks(pool, cache).range_of(period)[0].start)
    assert found[0] != found[1]


def test_a_head_that_goes_backwards_is_not_believed_ahead_of_time() -> None:
    node = Node(time=linear(1_733_000_000, 12), head=50_000)
    blocks = Blocks(pool_of(node))
    instant = datetime.fromtimestamp(node.time(40_000), UTC)
    node.head = 30_000
    with pytest.raises(Skip) as caught:
        blocks.last_before(instant)
    assert caught.value.reason == "not_yet"
    node.head = 60_000
    assert blocks.last_before(instant).number == 39_999


def test_adjacent_periods_share_no_block() -> None:
    start = int(datetime(2024, 10, 30, tzinfo=UTC).timestamp())
    blocks = Blocks(pool_of(Node(time=linear(start, 997), head=1499)))
    ranges = [blocks.range_of(period)[0] for period in days(date(2024, 11, 1), date(2024, 11, 8), "ny")]
    assert all(len(one) for one in ranges)
    assert all(one.end == two.start for one, two in pairwise(ranges))


def test_the_two_days_when_new_york_changes_its_clock() -> None:
    start = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp())
    blocks = Blocks(pool_of(Node(time=linear(start, 1), head=300 * 86400)))
    lengths = {
        period.day: len(blocks.range_of(period)[0])
        for first in (date(2024, 3, 9), date(2024, 11, 2))
        for period in days(first, first + timedelta(days=2), "ny")
    }
    assert lengths[date(2024, 3, 10)] == 23 * 3600
    assert lengths[date(2024, 11, 3)] == 25 * 3600
    assert lengths[date(2024, 3, 9)] == lengths[date(2024, 3, 11)] == lengths[date(2024, 11, 2)] == 24 * 3600


MONTH = list(days(date(2024, 12, 1), date(2024, 12, 31)))
MIDNIGHTS = [MONTH[0].start, *(period.end for period in MONTH)]


@pytest.mark.parametrize("seconds", [0.25, 0.5, 1, 2, 12])
@pytest.mark.parametrize("offset", [0, 1, 7])
def test_a_boundary_of_a_fixed_clock_costs_two_headers(seconds: float, offset: int) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    node = Node(time=linear(int(start.timestamp()) + offset, seconds), head=int(400 * 86400 / seconds))
    found = Blocks(pool_of(node), clock=BlockClock.steady(seconds, fixed=True)).prefetch(MIDNIGHTS)
    assert [found[int(at.timestamp())].time < at for at in MIDNIGHTS] == [True] * len(MIDNIGHTS)
    ends = 3  # the finalized block, and both ends of the chain
    unknown = 12 if seconds < 1 else 0  # where in its second a block is, is found out with the first and last boundary
    assert node.methods["eth_getBlockByNumber"] <= ends + 2 * len(MIDNIGHTS) + unknown


@pytest.mark.parametrize("wrong", [1.9, 2.1, 0.4, 12, 3000])
def test_a_clock_that_is_wrong_costs_headers_and_not_the_truth(wrong: float) -> None:
    node = Node(time=lambda number: 1_686_789_347 + 2 * number, head=25_000_000)
    found = Blocks(pool_of(node), clock=BlockClock.steady(wrong, fixed=True)).prefetch(MIDNIGHTS)
    assert [found[int(at.timestamp())].number for at in MIDNIGHTS[:2]] == [23_110_926, 23_154_126]
    assert len(found) == len(MIDNIGHTS)
    assert node.methods["eth_getBlockByNumber"] <= 8 * len(MIDNIGHTS)


def test_a_clock_that_changed_since_is_followed_back() -> None:
    """opBNB in December 2024: a block a second, four a second since."""
    half, quarter = (datetime(2025, 4, 21, 3, tzinfo=UTC), datetime(2026, 1, 7, 3, tzinfo=UTC))
    clock = BlockClock(tuple(BlockTime(at, s, True) for at, s in ((MIDNIGHTS[0], 1), (half, 0.5), (quarter, 0.25))))
    start = datetime(2023, 8, 11, tzinfo=UTC)
    counts = [round(clock.between(start, at)) for at in (half, quarter)]

    def time(number: int) -> int:
        if number < counts[0]:
            return int(start.timestamp()) + number
        base, count, s = (half, counts[0], 0.5) if number < counts[1] else (quarter, counts[1], 0.25)
        return int(base.timestamp() + (number - count) * s)

    node = Node(time=time, head=counts[1] + 10**7)
    found = Blocks(pool_of(node), clock=clock).prefetch(MIDNIGHTS)
    assert [header.timestamp for header in found.values()] == [int(at.timestamp()) - 1 for at in MIDNIGHTS]
    assert node.methods["eth_getBlockByNumber"] <= 3 * len(MIDNIGHTS)


def test_a_guess_on_an_uneven_clock_costs_little_more_than_its_proof() -> None:
    """Missed slots: 3.2 headers a boundary, where five were asked."""
    node = Node(time=ethereum, head=DECEMBER[-1] + 5000)
    found = Blocks(pool_of(node), clock=BlockClock.steady(12.07)).prefetch(MIDNIGHTS)
    assert [header.number + 1 for header in found.values()] == DECEMBER
    assert node.methods["eth_getBlockByNumber"] <= 4 * len(MIDNIGHTS)


@pytest.mark.parametrize("clock", [BlockClock.steady(2.0), None])
def test_days_of_different_pace_cost_three_headers_a_boundary(clock: BlockClock | None) -> None:
    """The blocks just behind a guess tell the pace of the rest of the way, better than a clock or both far ends do."""
    lengths = [43_200 + 150 * (7 * day % 17 - 8) for day in range(400)]
    firsts = list(accumulate(lengths, initial=0))
    start = int(datetime(2024, 6, 1, tzinfo=UTC).timestamp())

    def time(number: int) -> int:
        day = bisect_right(firsts, number) - 1
        return start + 86400 * day + 86400 * (number - firsts[day]) // lengths[day]

    node = Node(time=time, head=firsts[-1] - 1)
    found = Blocks(pool_of(node), clock=clock).prefetch(MIDNIGHTS)
    assert [header.number + 1 for header in found.values()] == [firsts[183 + day] for day in range(len(MIDNIGHTS))]
    assert node.methods["eth_getBlockByNumber"] <= 3.4 * len(MIDNIGHTS)


EVERYBODYS_HEAD = 1  # the other one is asked too what is final on a chain that stands still


def headers_asked(*nodes: Node) -> int:
    return sum(node.methods["eth_getBlockByNumber"] for node in nodes)


def two_second_chain() -> Node:
    return Node(time=lambda number: 1_686_789_347 + 2 * number, head=25_000_000)


def test_bearing_boundaries_out_costs_two_headers_each_where_none_hash_and_nothing_once_kept(tmp_path: Path) -> None:
    """Both blocks of a boundary, for all boundaries in one request; where headers hash, the second of them proves both."""
    clock = BlockClock.steady(2.0, fixed=True)
    one, first, second = two_second_chain(), two_second_chain(), two_second_chain()
    alone = Blocks(pool_of(one), clock=clock).prefetch(MIDNIGHTS)
    cache = FileBlockCache(tmp_path / "blocks.json")
    found = Blocks(pool_of(first, second), cache, clock, again=True).prefetch(MIDNIGHTS)
    assert {at: header.number for at, header in found.items()} == {at: header.number for at, header in alone.items()}
    assert {header.grade for header in alone.values()} == {"one_voice"}
    assert {header.grade for header in found.values()} == {"two_voices"}
    assert headers_asked(first, second) - headers_asked(one) == 2 * len(MIDNIGHTS) + EVERYBODYS_HEAD
    before = headers_asked(first, second)
    again = Blocks(pool_of(first, second), FileBlockCache(tmp_path / "blocks.json"), clock, again=True)
    assert {header.grade for header in again.prefetch(MIDNIGHTS).values()} == {"two_voices"}
    assert headers_asked(first, second) == before


def test_a_boundary_kept_as_one_voices_is_looked_at_again_only_where_a_second_is_there(tmp_path: Path) -> None:
    clock, node, other = BlockClock.steady(2.0, fixed=True), two_second_chain(), two_second_chain()
    Blocks(pool_of(node), FileBlockCache(tmp_path / "blocks.json"), clock).prefetch(MIDNIGHTS)
    before = headers_asked(node)
    kept = FileBlockCache(tmp_path / "blocks.json")
    for operators in (["one"], ["one", "one"]):
        nodes = [node, other][: len(operators)]
        blocks = Blocks(pool_of(*nodes, operators=operators), kept, clock, again=True)
        assert {header.grade for header in blocks.prefetch(MIDNIGHTS).values()} == {"one_voice"}
        assert blocks.standing(MIDNIGHTS[3]).problem == "no second operator is configured"
    assert headers_asked(node, other) == before
    found = Blocks(pool_of(node, other), kept, clock, again=True).prefetch(MIDNIGHTS)
    assert {header.grade for header in found.values()} == {"two_voices"}
    ends = 3
    assert headers_asked(node, other) - before == 4 * len(MIDNIGHTS) + ends + EVERYBODYS_HEAD
    assert {header.grade for header in Blocks(pool_of(node), kept, clock, again=True).prefetch(MIDNIGHTS).values()} == {
        "two_voices"
    }
    assert not kept.moved()


def test_operators_that_differ_about_a_boundary_leave_it_open_until_a_third_decides() -> None:
    lying = Node(time=lambda number: 1_686_789_347 + 2 * number + (number >= 23_110_926), head=25_000_000)
    for nodes in ((lying, two_second_chain()), (two_second_chain(), lying)):
        with pytest.raises(Contradicted, match=r"node-\d and node-\d give different headers"):
            Blocks(pool_of(*nodes), again=True).last_before(MIDNIGHTS[0])
        blocks = Blocks(pool_of(*nodes, two_second_chain()), again=True)
        assert blocks.last_before(MIDNIGHTS[0]).number == 23_110_926
        assert blocks.standing(MIDNIGHTS[0]).grade == "two_voices"


def test_that_a_chain_had_not_begun_is_no_single_voices_word() -> None:
    late = Node(time=lambda number: 1_800_000_000 if number == 0 else 1_686_789_347 + 2 * number, head=25_000_000)
    with pytest.raises(Contradicted):
        Blocks(pool_of(late, two_second_chain()), again=True).last_before(MIDNIGHTS[0])
    third = Blocks(pool_of(late, two_second_chain(), two_second_chain()), again=True)
    assert third.last_before(MIDNIGHTS[0]).number == 23_110_926
    with pytest.raises(Skip) as caught:
        Blocks(pool_of(two_second_chain(), two_second_chain()), again=True).last_before(
            datetime(2020, 1, 1, tzinfo=UTC)
        )
    assert caught.value.reason == "not_deployed"
