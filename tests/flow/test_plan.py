"""The plan: what is wanted, what the ledger already has, what the rest would cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples

from cryptolake.contracts.entry import SUSPECT, Entry, State
from cryptolake.contracts.partition import Partition, Period
from cryptolake.flow.increment import due
from cryptolake.flow.plan import Span, make_plan
from cryptolake.flow.resume import compare, wish_for
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.limiter import SHARE
from cryptolake.net.logs import LogFilter
from cryptolake.net.voices import same_voice
from cryptolake.registry.endpoints import endpoints_of
from cryptolake.registry.event_rates import event_rates, events_a_day
from cryptolake.registry.loader import Registry, load_registry
from cryptolake.registry.providers import OWN, PUBLIC, plan_of, rpc_plans
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.history import History
from cryptolake.sources.onchain.planning import Habit, event_headers, habit
from cryptolake.state.ledger import Ledger
from cryptolake.work.estimate import costs, duration_s, offers
from cryptolake.work.habits import kept_histories
from cryptolake.work.workload import Workload, work

BOTH = ("tvl", "liquidations")
AT = datetime(2025, 1, 1, tzinfo=UTC)
PARTITIONS = [
    Partition(dataset, key, Period.of_day(date(2024, 12, day)))
    for dataset in ("tvl", "liquidations")
    for key in ("aave_v3_ethereum", "aave_v3_base")
    for day in (1, 2, 3)
]
ledgers = st.dictionaries(
    st.sampled_from(PARTITIONS),
    st.tuples(st.sampled_from(get_args(State)), st.sampled_from([None, "rpc", "suspect"])),
)
Known = dict[Partition, tuple[State, str | None]]


def entries_of(known: Known) -> dict[Partition, Entry]:
    return {partition: Entry(partition, state, AT, reason=reason) for partition, (state, reason) in known.items()}


@given(ledgers, st.booleans())
def test_missing_and_settled_split_the_wanted_exactly(known: Known, resume: bool) -> None:
    entries = entries_of(known)
    plan = make_plan(PARTITIONS, entries, resume=resume)
    assert len(plan.missing) + plan.settled == len(plan.wanted) == len(PARTITIONS)
    for partition in plan.missing:
        assert not resume or partition not in entries or not entries[partition].settled


def test_a_settled_answer_whose_bronze_is_damaged_is_asked_again() -> None:
    one = PARTITIONS[0]
    entries = {one: Entry(one, "done", AT, digest="00")}
    assert make_plan([one], entries, intact=lambda _partition, _digest: False).missing == (one,)
    assert make_plan([one], entries, intact=lambda _partition, _digest: True).missing == ()


def test_markets_of_one_chain_share_their_requests() -> None:
    registry = load_registry(declared())
    names = [name for name, csu in registry.csus.items() if csu.chain == "ethereum"][:5]
    period = Period.of_day(date(2024, 12, 31))

    def logs(csus: list[str]) -> int:
        asked = [Partition(dataset, name, period) for dataset in ("tvl", "liquidations") for name in csus]
        found = costs(work(asked, registry.csus, registry.chains), lambda _chain: [], log_span=10)
        return sum(cost.calls for cost in found if cost.method == "eth_getLogs")

    # 7,158 blocks in a day, 10 at a time (not 43 x 31 x 720 for everybody together: trap T2).
    assert logs(names) == logs(names[:1]) == 716


def test_real_blocks_are_counted_where_they_are_known() -> None:
    """Trap T1, T2: 31 days are not 31 x 7,200 blocks, and no two chains make the same number."""
    registry = load_registry(declared())
    periods = Span(date(2024, 12, 1), date(2024, 12, 31)).periods()
    asked = [Partition("liquidations", "aave_v3_ethereum", period) for period in periods]
    (one,) = work(asked, registry.csus, registry.chains, blocks=lambda _chain, _period: 7160)
    assert one.scans == (31 * 7160,)
    assert one.calls(10)["eth_getLogs"] == 22_196


def test_markets_that_do_not_exist_yet_cost_nothing() -> None:
    """Trap T3: a chain or market that did not exist in the range is not asked."""
    registry = load_registry(declared())
    asked = [Partition("tvl", "aave_v3_plasma", Period.of_day(date(2024, 12, 1)))]
    assert work(asked, registry.csus, registry.chains) == []


@pytest.mark.parametrize(
    ("chain", "calls"),
    [("binance", 447), ("celo", 268), ("opbnb", 1340), ("mantle", 670), ("sei", 3348), ("ethereum", 111)],
)
def test_block_times_are_those_of_the_dates_asked(chain: str, calls: int) -> None:
    """BSC makes a block in 0.45 s today and made one in 3 s in December 2024."""
    registry = load_registry(declared())
    name = next(name for name, csu in registry.csus.items() if csu.chain == chain)
    csus = {name: replace(registry.csus[name], deployed_on=None)}
    asked = [
        Partition("liquidations", name, period) for period in Span(date(2024, 12, 1), date(2024, 12, 31)).periods()
    ]
    (one,) = work(asked, csus, registry.chains)
    assert one.calls(2000)["eth_getLogs"] == calls


def test_chains_that_did_not_run_yet_are_left_out() -> None:
    """Ink began in December 2024; one of its markets has no known deployment."""
    registry = load_registry(declared())
    name = next(name for name, csu in registry.csus.items() if csu.chain == "ink")
    csus = {name: replace(registry.csus[name], deployed_on=None)}

    def periods(month: int) -> list[Partition]:
        return [Partition("tvl", name, Period.of_day(date(2024, month, day))) for day in range(1, 31)]

    assert work(periods(11), csus, registry.chains) == []
    (one,) = work(periods(12), csus, registry.chains)
    assert one.snapshots == 25


def _month(registry: Registry) -> list[Workload]:
    periods = Span(date(2024, 12, 1), date(2024, 12, 31)).periods()
    asked = [Partition("liquidations", "aave_v3_ethereum", period) for period in periods]
    return work(asked, registry.csus, registry.chains)


def test_every_endpoint_of_a_chain_counts_and_a_free_key_makes_no_plan_dearer() -> None:
    """With one free key Ethereum's December was shown as 22,573 calls, though a public endpoint answers 50,000 blocks."""
    registry = load_registry(declared())
    chains = _month(registry)
    public = Endpoint("public", SecretUrl("x"), rpc_plans()["publicnode"].limits, "public")
    key = Endpoint("key", SecretUrl("x"), rpc_plans()["alchemy_free"].limits, "key")

    def total(*known: Endpoint) -> tuple[int, float]:
        calls = sum(cost.calls for cost in costs(chains, lambda _chain: known))
        return calls, duration_s(chains, lambda _chain: known)

    alone, with_key, only_key = total(public), total(key, public), total(key)
    assert only_key[0] > 20_000
    assert with_key[0] <= alone[0] + 1  # the key is asked for its chain
    assert with_key[0] - chains[0].headers < 200
    assert with_key[1] <= alone[1] < only_key[1] / 40


def test_logs_are_shared_out_by_the_blocks_a_second_of_each_endpoint() -> None:
    registry = load_registry(declared())
    chains = _month(registry)
    wide, narrow = (
        Endpoint(name, SecretUrl("x"), Limits(rate=10, log_span=span), name)
        for name, span in (("wide", 2000), ("narrow", 1000))
    )
    logs = {
        cost.endpoint: cost.calls
        for cost in costs(chains, lambda _chain: (wide, narrow))
        if cost.method == "eth_getLogs"
    }
    assert logs["wide"] == pytest.approx(logs["narrow"], abs=1)  # both ask as fast as they may
    windows = {name: count - 1 for name, count in logs.items()}  # one block tells how each numbers its logs
    assert windows["wide"] * 2000 + windows["narrow"] * 1000 == pytest.approx(sum(chains[0].scans), rel=0.02)


def test_three_hundred_units_a_second_are_five_log_calls() -> None:
    """Trap T5: a free account's 300 a second are compute units, 60 for each eth_getLogs."""
    registry = load_registry(declared())
    asked = [Partition("liquidations", "aave_v3_ethereum", Period.of_day(date(2024, 12, 1)))]
    plan = rpc_plans()["alchemy_free"]
    chains = work(asked, registry.csus, registry.chains)
    keys = [Endpoint(f"key-{n}", SecretUrl("x"), plan.limits, f"account-{n}", "alchemy", 0.45) for n in range(3)]
    one, three = (duration_s(chains, lambda _chain, n=n: keys[:n], None) for n in (1, 3))
    headers = chains[0].headers
    assert one == pytest.approx((716 * 60 + headers * 20) / 300 / SHARE, rel=0.01)
    assert three == pytest.approx(one / 3, rel=0.01)
    (cost, *_) = costs(chains, lambda _chain: keys[:1])
    assert (cost.method, cost.calls, cost.units) == ("eth_getLogs", 717, 717 * 60)  # 716 windows, and one block whole
    assert cost.usd == pytest.approx(717 * 60 * 0.45 / 1e6)
    free = next(offer for offer in offers(chains, [plan]))
    assert free.fits
    assert free.usd == 0


def test_what_the_lake_knows_of_a_market_is_counted() -> None:
    """Blocks with events bring a header each, and calls that value them; a market that asks much takes several calls."""
    registry = load_registry(declared())
    periods = Span(date(2024, 12, 1), date(2024, 12, 10)).periods()
    name = "aave_v3_ethereum"
    asked = [Partition(dataset, name, period) for dataset in BOTH for period in periods]
    (quiet,) = work(asked, registry.csus, registry.chains, habits={name: Habit(event_blocks=0, emitters=2)})
    busy = {name: Habit(rounds=3, calls=1200, alone=1, emitters=2, event_blocks=30, settling=2)}
    (told,) = work(asked, registry.csus, registry.chains, habits=busy)
    assert told.headers - quiet.headers == 300
    assert told.eth_calls - quiet.eth_calls >= 10 + 1 + 1 + 9 * 2  # what reverts is asked alone once


def test_a_market_that_nobody_has_collected_is_planned_with_the_events_it_has_on_average() -> None:
    registry = load_registry(declared())
    periods = Span(date(2024, 12, 1), date(2024, 12, 10)).periods()
    name = "aave_v3_ethereum"
    asked = [Partition("liquidations", name, period) for period in periods]
    quiet, fresh = (
        work(asked, registry.csus, registry.chains, habits=habits)[0]
        for habits in ({name: Habit(event_blocks=0, emitters=2)}, {})
    )
    assert fresh.headers - quiet.headers == pytest.approx(10 * events_a_day(registry.csus[name]), abs=1)
    assert fresh.eth_calls - quiet.eth_calls >= 10


def test_a_day_of_hours_has_the_events_of_a_day() -> None:
    registry = load_registry(declared())
    hours, days = (Span(date(2024, 12, 1), date(2024, 12, 1), step).periods() for step in ("hour", "day"))
    of_hours, of_days = (
        event_headers([habit(registry.csus["aave_v3_ethereum"])], len(some), 1.0, doubted=False)
        for some in (hours, days)
    )
    assert of_hours == of_days


def test_the_rate_of_events_that_is_nearest_to_a_market_holds() -> None:
    registry = load_registry(declared())
    for family, chain, market in event_rates():
        assert not family or family in declared()
        assert not chain or chain in registry.chains
        assert not market or market in registry.csus
    one = replace(registry.csus["aave_v3_arbitrum"], chain="nowhere")
    assert events_a_day(registry.csus["aave_v3_arbitrum"]) == event_rates()["aave_v3", "arbitrum", ""]
    assert events_a_day(one) == event_rates()["", "", ""]


def test_the_limits_of_a_provider_are_read_from_its_host() -> None:
    assert plan_of("https://ethereum-rpc.publicnode.com", PUBLIC).name == "publicnode"
    assert plan_of("https://eth-mainnet.g.alchemy.com/v2/key", OWN).limits.cost("eth_getLogs") == 60
    assert plan_of("https://notpublicnode.com", PUBLIC).name == PUBLIC
    assert plan_of("http://127.0.0.1:8545", OWN).limits.rate == 10_000
    assert Limits().cost("eth_call") == 1


def test_a_year_of_days_and_a_day_of_hours() -> None:
    assert len(Span(date(2024, 1, 1), date(2024, 12, 31)).periods()) == 366
    assert len(Span(date(2024, 1, 1), date(2024, 1, 1), "hour").periods()) == 24


@settings(max_examples=examples(30))
@given(ledgers, st.booleans(), st.booleans())
def test_comparing_as_text_is_the_same_as_comparing_partitions(
    tmp_path_factory: pytest.TempPathFactory, known: Known, resume: bool, only_failed: bool
) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("plan") / "ledger.sqlite")
    entries = entries_of(known)
    ledger.append_many(entries.values())
    left = compare(wish_for(PARTITIONS), ledger, resume=resume, only_failed=only_failed)
    if only_failed:
        assert set(left.missing) == {one for one, entry in entries.items() if not entry.settled}
    else:
        assert sorted(left.missing) == list(make_plan(PARTITIONS, entries, resume=resume).missing)
    ledger.close()


@pytest.mark.parametrize("state", ["done", "empty"])
def test_an_answer_that_somebody_contradicts_is_wanted_again_by_every_road(tmp_path: Path, state: State) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    doubted, *sound = PARTITIONS
    ledger.append_many(Entry(one, state, AT, digest="00") for one in sound)
    ledger.append(Entry(doubted, state, AT, digest="00", reason=SUSPECT))
    assert compare(wish_for(PARTITIONS), ledger).missing == [doubted]
    assert compare(wish_for(PARTITIONS), ledger, only_failed=True).missing == [doubted]
    assert make_plan(PARTITIONS, ledger.states()).missing == (doubted,)
    assert [one.partition for one in ledger.unsettled()] == [doubted]
    by_series = due([one.key for one in PARTITIONS], datasets=BOTH, until=date(2024, 12, 3), ledger=ledger)
    assert doubted.period in by_series[doubted.dataset, doubted.key]
    ledger.append(Entry(doubted, state, AT, digest="00"))
    assert not compare(wish_for(PARTITIONS), ledger).missing


def test_every_chain_has_a_price_of_two_voices() -> None:
    """Whatever endpoints it has, several addresses of one provider among them: more is asked only where somebody else is."""
    registry = load_registry(declared())
    for chain in registry.chains.values():
        known = endpoints_of(chain, own=[], rate=None, keys=["a", "b"], plan="free", public=True)
        if not known:
            continue
        month = [Workload(chain.name, 0, (7_000_000,), (), (700_000,) * 10, 0, 0)]
        asked = [costs(month, dict.fromkeys([chain.name], known).__getitem__, audit=share) for share in (0.0, 1.0)]
        once, twice = (sum(one.calls for one in some if one.method == "eth_getLogs") for some in asked)
        assert (twice > once) == any(not same_voice(known[0], one) for one in known), chain.name


@pytest.mark.parametrize("operators", [["one"], ["one", "two"]])
def test_a_kept_history_that_one_operator_told_is_counted_until_a_second_did(
    tmp_path: Path, operators: list[str]
) -> None:
    market = next(csu for csu in load_registry(declared()).csus.values() if csu.family == "morpho_blue")
    kept = History.of(tmp_path, market.chain, LogFilter(market.entry["morpho"], frozenset({"0x" + "ab" * 32})))
    for name in operators:
        kept.keep(name, [(100, 500_100)], [])
    partitions = [Partition("tvl", market.name, Period.of_day(date(2025, 1, 1)))]
    registry = load_registry(declared())
    (asked,) = work(partitions, registry.csus, registry.chains, scanned=kept_histories(tmp_path))
    endpoints = [Endpoint(name, SecretUrl(name), Limits(log_span=1000), operator=name) for name in ("three", "four")]
    logs = [
        sum(one.calls for one in costs([asked], lambda _: endpoints, audit=share) if one.method == "eth_getLogs")
        for share in (0.0, 1.0)
    ]
    assert logs == [0, 500 if len(operators) == 1 else 0]
