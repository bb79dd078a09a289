"""The plan: what is wanted, what the ledger already has, what the rest would cost."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptolake.contracts.entry import SETTLED, Entry, State
from cryptolake.contracts.partition import Partition, Period
from cryptolake.flow.plan import Span, make_plan
from cryptolake.flow.resume import compare, wish_for
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.registry.loader import load_registry
from cryptolake.registry.providers import OWN, PUBLIC, plan_of, rpc_plans
from cryptolake.sources.onchain.families import declared
from cryptolake.state.ledger import Ledger
from cryptolake.work.estimate import costs, duration_s, offers, work

BOTH = ("tvl", "liquidations")
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
    assert make_plan([one], entries, intact=lambda _partition, _digest: False).missing == (one,)
    assert make_plan([one], entries, intact=lambda _partition, _digest: True).missing == ()


def test_markets_of_one_chain_share_their_requests() -> None:
    registry = load_registry(declared())
    names = [name for name, csu in registry.csus.items() if csu.chain == "ethereum"][:5]
    period = Period.of_day(date(2024, 12, 31))

    def total(csus: list[str]) -> int:
        asked = [Partition(dataset, name, period) for dataset in ("tvl", "liquidations") for name in csus]
        found = costs(work(asked, registry.csus, registry.chains), lambda _chain: [], log_span=10)
        return sum(cost.calls for cost in found)

    assert total(names) == total(names[:1])
    # 7,158 blocks in a day, 10 at a time (not 43 x 31 x 720 for everybody together: trap T2).
    assert total(names) == 716 + 2 + 2 * 5 + 1


def test_real_blocks_are_counted_where_they_are_known() -> None:
    """Trap T1, T2: 31 days are not 31 x 7,200 blocks, and no two chains make the same number."""
    registry = load_registry(declared())
    periods = Span(date(2024, 12, 1), date(2024, 12, 31)).periods()
    asked = [Partition("liquidations", "aave_v3_ethereum", period) for period in periods]
    (one,) = work(asked, registry.csus, registry.chains, lambda _chain, _period: 7160)
    assert one.scans == (31 * 7160,)
    assert one.calls(10)["eth_getLogs"] == 22_196


def test_markets_that_do_not_exist_yet_cost_nothing() -> None:
    """Trap T3: a chain or market that did not exist in the range is not asked."""
    registry = load_registry(declared())
    asked = [Partition("tvl", "aave_v3_plasma", Period.of_day(date(2024, 12, 1)))]
    assert work(asked, registry.csus, registry.chains) == []


def test_three_hundred_units_a_second_are_five_log_calls() -> None:
    """Trap T5: a free account's 300 a second are compute units, 60 for each eth_getLogs."""
    registry = load_registry(declared())
    asked = [Partition("liquidations", "aave_v3_ethereum", Period.of_day(date(2024, 12, 1)))]
    plan = rpc_plans()["alchemy_free"]
    chains = work(asked, registry.csus, registry.chains)
    keys = [Endpoint(f"key-{n}", SecretUrl("x"), plan.limits, f"account-{n}") for n in range(3)]
    one, three = (duration_s(chains, lambda _chain, n=n: keys[:n], None) for n in (1, 3))
    assert one == pytest.approx((716 * 60 + 10 * 20) / 300)
    assert three == pytest.approx(one / 3)
    (cost, *_) = costs(chains, lambda _chain: keys)
    assert (cost.method, cost.calls, cost.units) == ("eth_getLogs", 716, 716 * 60)
    free = next(offer for offer in offers(chains, [plan]))
    assert free.fits
    assert free.usd == 0


def test_the_limits_of_a_provider_are_read_from_its_host() -> None:
    assert plan_of("https://ethereum-rpc.publicnode.com", PUBLIC).name == "publicnode"
    assert plan_of("https://eth-mainnet.g.alchemy.com/v2/key", OWN).limits.cost("eth_getLogs") == 60
    assert plan_of("https://notpublicnode.com", PUBLIC).name == PUBLIC
    assert plan_of("http://127.0.0.1:8545", OWN).limits.rate == 10_000
    assert Limits().cost("eth_call") == 1


def test_a_year_of_days_and_a_day_of_hours() -> None:
    assert len(Span(date(2024, 1, 1), date(2024, 12, 31)).periods()) == 366
    assert len(Span(date(2024, 1, 1), date(2024, 1, 1), "hour").periods()) == 24


@settings(max_examples=30)
@given(ledgers, st.booleans(), st.booleans())
def test_comparing_as_text_is_the_same_as_comparing_partitions(
    tmp_path_factory: pytest.TempPathFactory, states: dict[Partition, State], resume: bool, only_failed: bool
) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("plan") / "ledger.sqlite")
    entries = {partition: Entry(partition, state, AT) for partition, state in states.items()}
    ledger.append_many(entries.values())
    left = compare(wish_for(PARTITIONS), ledger, resume=resume, only_failed=only_failed)
    if only_failed:
        assert set(left.missing) == {one for one, state in states.items() if state not in SETTLED}
    else:
        assert sorted(left.missing) == list(make_plan(PARTITIONS, entries, resume=resume).missing)
    ledger.close()
