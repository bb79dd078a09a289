"""Walking backwards and catching up: every day wanted is asked for exactly once, and every end says why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.examples import examples

from cryptolake.contracts.entry import Entry, State
from cryptolake.contracts.partition import Partition, Period
from cryptolake.flow.extend import extend
from cryptolake.flow.increment import due
from cryptolake.flow.resume import Wish, compare
from cryptolake.registry.markets import Csu
from cryptolake.state.ledger import Ledger

NOW = datetime(2025, 1, 1, tzinfo=UTC)
BOTH = ("tvl", "liquidations")


def csu(name: str, chain: str, born: date | None = None) -> Csu:
    return Csu(name, "f", "p", "", chain, 1, {}, deployed_on=born)


class World:
    """Answers wishes into the ledger: `gone` before a market's real birth, `failed` before a chain's archive begins."""

    def __init__(self, folder: Path, born: Mapping[str, date], archive: Mapping[str, date]) -> None:
        self.ledger, self.born, self.archive = Ledger(folder / "l"), born, archive
        self.wishes: list[Wish] = []
        self.asked: list[Partition] = []
        self.stop_after = 10**9

    def ask(self, wish: Wish) -> bool:
        self.wishes.append(wish)
        missing = compare(wish, self.ledger).missing
        self.asked += missing
        self.ledger.append_many(self._entry(one) for one in missing)
        return len(self.wishes) < self.stop_after

    def _entry(self, one: Partition) -> Entry:
        state: State = "done"
        reason = None
        if one.period.day < self.born.get(one.key, date.min):
            state, reason = "gone", "not_deployed"
        elif one.period.day < self.archive.get(one.key, date.min):
            state, reason = "failed", "no_archive"
        return Entry(one, state, NOW, reason=reason)


def test_every_chain_stops_where_it_must_and_says_why(tmp_path: Path) -> None:
    csus = [csu("a", "one"), csu("b", "two", date(2024, 5, 10)), csu("c", "three"), csu("d", "four")]
    world = World(tmp_path, {"d": date(2024, 7, 3)}, {"c": date(2024, 8, 15)})
    walks = {
        walk.chain: walk
        for walk in extend(
            csus, until=date(2024, 3, 5), newest=date(2024, 9, 10), ledger=world.ledger, datasets=BOTH, ask=world.ask
        )
    }
    assert walks["one"].ended == "reached 2024-03-05"
    assert walks["one"].reached == date(2024, 3, 5)
    assert walks["two"].ended == "its first market was deployed on 2024-05-10"
    assert walks["two"].reached == date(2024, 5, 1)
    assert "archive endpoint" in str(walks["three"].ended)
    assert walks["three"].reached == date(2024, 8, 1), "July was asked, nothing of it was answered"
    assert walks["four"].ended == "in 2024-06 no market was there: not_deployed"
    mine = sorted(one.period.day for one in world.asked if (one.key, one.dataset) == ("a", "tvl"))
    assert mine == [
        date(2024, 3, 5) + timedelta(days=n) for n in range((date(2024, 9, 10) - date(2024, 3, 5)).days + 1)
    ]
    assert {len(p) for p in world.wishes[1].values()} == {31}, "a month at a time"


def test_it_goes_on_behind_the_oldest_day_and_mends_what_was_cut_short(tmp_path: Path) -> None:
    world = World(tmp_path, {}, {})
    world.ledger.append_many(
        Entry(Partition(dataset, "a", Period.of_day(date(2024, 12, n))), "done", NOW)
        for dataset in BOTH
        for n in range(1, 32)
    )
    hole = Partition("tvl", "a", Period.of_day(date(2024, 12, 7)))
    world.ledger.append(Entry(hole, "claimed", NOW))
    (walk,) = extend(
        [csu("a", "one")],
        until=date(2024, 11, 1),
        newest=date(2026, 1, 1),
        ledger=world.ledger,
        datasets=BOTH,
        ask=world.ask,
    )
    assert walk.ended == "reached 2024-11-01"
    assert world.asked[0] == hole
    assert {one.period.day.month for one in world.asked[1:]} == {11}


def test_a_market_that_lags_behind_its_chain_is_not_left_behind(tmp_path: Path) -> None:
    world = World(tmp_path, {}, {})
    for key, first in (("a", date(2024, 6, 1)), ("b", date(2024, 8, 20))):
        days = [first + timedelta(days=n) for n in range((date(2024, 8, 31) - first).days + 1)]
        world.ledger.append_many(
            Entry(Partition(d, key, Period.of_day(one)), "done", NOW) for d in BOTH for one in days
        )
    csus = [csu("a", "one"), csu("b", "one")]
    extend(csus, until=date(2024, 6, 1), newest=date(2024, 8, 31), ledger=world.ledger, datasets=BOTH, ask=world.ask)
    asked = {one.period.day for one in world.asked if one.key == "b"}
    assert (min(asked), max(asked), len(asked)) == (date(2024, 6, 1), date(2024, 8, 19), 80)
    assert {one.key for one in world.asked} == {"b"}


def test_asked_to_stop_it_stops_and_goes_on_later(tmp_path: Path) -> None:
    world = World(tmp_path, {}, {})
    world.stop_after = 2
    arguments = {"until": date(2024, 6, 1), "newest": date(2024, 8, 31), "ledger": world.ledger, "datasets": BOTH}
    (walk,) = extend([csu("a", "one")], ask=world.ask, **arguments)  # type: ignore[arg-type]
    assert walk.ended == "stopped as asked"
    world.stop_after = 10**9
    extend([csu("a", "one")], ask=world.ask, **arguments)  # type: ignore[arg-type]
    assert len(world.asked) == len(set(world.asked)) == 2 * 92


@example(runs=[(0, {0}), (2, set())], hourly=False)  # a first day that never settled, then two days of silence
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(st.tuples(st.integers(0, 5), st.sets(st.integers(0, 60), max_size=8)), min_size=1, max_size=8),
    hourly=st.booleans(),
)
def test_increments_after_any_downtime_and_kills_leave_no_hole(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[int, set[int]]], hourly: bool
) -> None:
    """Each run comes some days after the one before; of what it claims, some partitions never settle in that run."""
    ledger = Ledger(tmp_path_factory.mktemp("increment") / "l")
    granularity = "hour" if hourly else "day"
    today = first = date(2024, 12, 1)
    for gap, lost in [*runs, (0, set[int]())]:
        today += timedelta(days=gap)
        wish = due(["a"], datasets=("tvl",), until=today, ledger=ledger, granularity=granularity)  # type: ignore[arg-type]
        missing = compare(wish, ledger).missing
        ledger.append_many(Entry(one, "claimed", NOW) for one in missing)
        ledger.append_many(Entry(one, "done", NOW) for n, one in enumerate(missing) if n not in lost)
    settled = {one.partition.period.day for one in ledger.edge("tvl", "a")}
    count = len(list(ledger.edge("tvl", "a")))
    assert settled == {first + timedelta(days=gap) for gap in range(-0, (today - first).days + 1)} - (
        {first + timedelta(days=gap) for gap in range(runs[0][0])}
    )
    assert count == len(settled) * (24 if hourly else 1)
    assert not ledger.unsettled()
