"""The plan: what is wanted, what the ledger already has, what the rest would cost."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from cryptolake.contracts.entry import SETTLED, Entry, State
from cryptolake.contracts.partition import Partition, Period
from cryptolake.flow.plan import Span, costs, make_plan
from cryptolake.registry.loader import load_registry

AT = datetime(2025, 1, 1, tzinfo=UTC)
PARTITIONS = [
    Partition(dataset, key, Period.of_day(date(2024, 12, day)))
    for dataset in ("tvl", "liquidations")
    for key in ("aave_v3_ethereum", "aave_v3_base")
    for day in (1, 2, 3)
]
ledgers = st.dictionaries(st.sampled_from(PARTITIONS), st.sampled_from(get_args(State)))


@given(ledgers, st.booleans())
def test_missing_and_settled_split_the_wanted_exactly(states: dict[Partition, State], resume: bool) -> None:
    entries = {partition: Entry(partition, state, AT) for partition, state in states.items()}
    plan = make_plan(PARTITIONS, entries, resume=resume)
    assert len(plan.missing) + plan.settled == len(plan.wanted) == len(PARTITIONS)
    for partition in plan.missing:
        assert not resume or states.get(partition) not in SETTLED


def test_a_settled_answer_whose_bronze_is_damaged_is_asked_again() -> None:
    one = PARTITIONS[0]
    entries = {one: Entry(one, "done", AT, digest="00")}
    assert make_plan([one], entries, intact=lambda _: False).missing == (one,)
    assert make_plan([one], entries, intact=lambda _: True).missing == ()


def test_markets_of_one_chain_share_their_requests() -> None:
    registry = load_registry()
    names = [name for name, csu in registry.csus.items() if csu.chain == "ethereum"][:5]
    period = Period.of_day(date(2024, 12, 31))

    def total(csus: list[str]) -> int:
        asked = [Partition(dataset, name, period) for dataset in ("tvl", "liquidations") for name in csus]
        return sum(cost.requests for cost in costs(asked, registry.csus, registry.chains, log_span=10))

    assert total(names) == total(names[:1])
    # 7,200 blocks of 12 s in a day, 10 at a time (not 43 x 31 x 720 for everybody together: trap T2).
    assert total(names) == 720 + 6


def test_a_year_of_days_and_a_day_of_hours() -> None:
    assert len(Span(date(2024, 1, 1), date(2024, 12, 31)).periods()) == 366
    assert len(Span(date(2024, 1, 1), date(2024, 1, 1), "hour").periods()) == 24
