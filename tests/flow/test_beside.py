"""Those who price for all are asked beside every snapshot, whichever markets are collected, and the plan counts it.

Requests go to simulated chains without HTTP, as in `test_plan_comes_true`: real ones cannot be asked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from benchmarks.simulated_ethereum import Simulated, uint
from polars.testing import assert_frame_equal
from tests.flow.test_plan_comes_true import Providers, clock_of, unprovable

from cryptolake.app import App
from cryptolake.contracts.entry import SUSPECT
from cryptolake.contracts.partition import Partition
from cryptolake.flow.plan import Span
from cryptolake.flow.resume import partitions_of, wish_of
from cryptolake.gold.daily_panel import TABLE as PANEL
from cryptolake.net.abi import selector
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Answer
from cryptolake.settings import load_settings
from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.work import lending
from cryptolake.work.estimate import planned
from cryptolake.work.evidence import TOLD_SINCE

POOL, SMALL, STRANGE = "aave_v3_base", "seamless_base", "compound_v3_base_usdc"
FIRST, DAYS = date(2024, 12, 1), 4
PRICED = ("chainlink_prices", "governed_oracle_prices")


class Unsent(Providers):
    """Nothing is sent and nothing is open; public endpoints answer nothing."""

    def post(self, url: str, body: bytes, **how: Any) -> Answer:
        """As the simulated providers, and nobody else."""
        return super().post(url, body, **how) if url in self.endpoints else Answer(503, {}, b"", 0.0)

    def close(self) -> None:
        """Nothing to close."""


class LyingOracle(Simulated):
    """A node that makes every price of the governed oracles half of what it is; all else is true."""

    def call(self, to: str, data: bytes, block: int) -> bytes | None:
        """As the chain's, but for that."""
        answer = super().call(to, data, block)
        return uint(5 * 10**7) if data[:4] == selector("getAssetPrice(address)") and answer else answer


@contextmanager
def lake(
    folder: Path,
    *,
    mute: Sequence[str] = (),
    chains: Sequence[str] = ("base", "ethereum"),
    nodes: Sequence[type[Simulated]] = (Simulated,),
    grade: str = "one_voice",
    public: bool = False,
) -> Iterator[tuple[App, Providers]]:
    """An app whose endpoints are simulated chains.

    `mute` are contracts' functions that revert on all of them, `nodes` whom each chain's endpoints belong to.
    """
    http, urls = Unsent(), dict[str, list[str]]()
    for chain in chains:
        for number, kind in enumerate(nodes):
            clock = clock_of(chain)
            made = kind(chain, time=clock, head=clock.head, only=[POOL, SMALL, STRANGE, "aave_v3_ethereum"])
            made.signatures = {key: one for key, one in made.signatures.items() if one not in mute}
            name, url = f"{chain}-{number}", f"http://{chain}.operator-{number}.example"
            http.chains[name] = made
            http.endpoints[url] = name, Endpoint(name, SecretUrl(url), Limits(log_span=2000))
            urls.setdefault(chain, []).append(url)
    said = {
        f"{chain}-own-{number + 1}": {"operator": f"operator-{number}"}
        for chain in chains
        for number in range(len(nodes))
    }
    settings = {"rpc": urls, "rpc_rate": 1e6, "public_rpc": public, "endpoints": said, "grade": grade, "workers": 2}
    app = App(load_settings(data=folder, **settings))
    app.http = http  # type: ignore[misc]  # nothing is sent
    app.registry = unprovable()  # type: ignore[misc]  # without blocks of deployment, and of blocks that hash to nothing
    try:
        yield app, http
    finally:
        app.close()


def span(last: int = DAYS) -> Span:
    return Span(FIRST, FIRST + timedelta(days=last - 1))


def collect(app: App, *names: str, last: int = DAYS) -> lending.Collected:
    csus = [app.registry.csus[name] for name in names]
    return lending.collect(app, csus, wish_of(app.onchain(csus), ("tvl",), names, span(last)))


def told(app: App) -> set[tuple[str, str, date]]:
    """Who answered, of which chain and day; the simulated chains have oracles and no feed."""
    return {
        (one.dataset, one.key, one.period.day)
        for one, entry in app.ledger.states().items()
        if one.dataset in PRICED and entry.settled
    }


def test_every_snapshot_is_asked_beside_whichever_market_was_wanted(tmp_path: Path) -> None:
    with lake(tmp_path) as (app, http):
        assert collect(app, STRANGE).failed == 0
        days = [FIRST + timedelta(days=number) for number in range(DAYS)]
        assert told(app) == {(one, chain, day) for one in PRICED for chain in ("base", "ethereum") for day in days}
        asked = {chain: sum(count.values()) for chain, count in http.asked.items()}
        assert collect(app, STRANGE).done == 0
        assert {chain: sum(count.values()) for chain, count in http.asked.items()} == asked, (
            "what is settled is not asked again"
        )


def test_where_the_chain_that_names_ether_has_no_endpoint_the_others_are_asked(tmp_path: Path) -> None:
    with lake(tmp_path, chains=("base",)) as (app, _):
        assert collect(app, STRANGE, last=1).failed == 0
        assert told(app) == {(one, "base", FIRST) for one in PRICED}


def test_public_endpoints_are_asked_of_no_chain_that_nobody_wanted(tmp_path: Path) -> None:
    """What others pay for is asked where a market is wanted, and for nothing beside it."""
    with lake(tmp_path, chains=("base",), public=True) as (app, _):
        assert app.endpoints(app.registry.chain("ethereum"))
        assert collect(app, STRANGE, last=1).failed == 0
        assert told(app) == {(one, "base", FIRST) for one in PRICED}


def test_who_does_not_answer_fails_the_run_and_is_asked_again(tmp_path: Path) -> None:
    with lake(tmp_path, mute=["BASE_CURRENCY_UNIT()"]) as (app, _):
        found = collect(app, STRANGE, last=1)
        assert [str(one.partition) for one in found.failures] == [f"governed_oracle_prices/base/{FIRST}"]
        assert "ethereum: governed_oracle did not say what eth and btc are (1 day; " in found.notices[0]
    with lake(tmp_path) as (app, _):
        again = collect(app, STRANGE, last=1)
        assert (again.done, again.failed) == (2, 0)


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("last", [1, DAYS])
def test_the_plan_counts_what_is_asked_beside(tmp_path: Path, last: int, nodes: int) -> None:
    """With one operator, and with another who is asked again for all that is read."""
    with lake(tmp_path, nodes=[Simulated] * nodes, grade="two_voices") as (app, http):
        csus = [app.registry.csus[STRANGE]]
        partitions = partitions_of(wish_of(app.onchain(csus), ("tvl",), [STRANGE], span(last)))
        first = planned(app, csus, partitions).total_calls
        assert collect(app, STRANGE, last=last).failed == 0
        assert first == pytest.approx(sum(sum(one.values()) for one in http.asked.values()), rel=0.1, abs=3)
        assert planned(app, csus, partitions).total_calls == 0


def test_a_markets_row_is_the_same_whatever_was_collected_with_it(tmp_path: Path) -> None:
    """A market alone, and beside others of the same chain whose tokens are not its own."""
    rows = {}
    for others in ([], [POOL], [POOL, SMALL]):
        with lake(tmp_path / str(len(others))) as (app, _):
            collect(app, STRANGE, *others)
            lending.refine(app)
            lending.build(app)
            panel = app.tables.read(PANEL)
            assert app.tables.read(PRICES).height
            assert set(app.tables.read(TVL)["csu"]) == {STRANGE, *others}
            rows[len(others)] = panel.filter(panel["csu"] == STRANGE)
    assert rows[0].height == DAYS
    for other in (1, 2):
        assert_frame_equal(rows[0], rows[other])


def test_hours_of_an_unfinished_day_ask_nobody(tmp_path: Path) -> None:
    """Prices are those of the day's end: hours before it have none of their own."""
    with lake(tmp_path) as (app, _):
        csus = [app.registry.csus[STRANGE]]
        every = wish_of(app.onchain(csus), ("tvl",), [STRANGE], Span(FIRST, FIRST, "hour"))
        hours: list[Partition] = sorted(partitions_of(every), key=lambda one: one.period.start)
        for part, prices in ((hours[:3], 0), (hours[-1:], 4)):
            lending.collect(app, csus, {(one.dataset, one.key): [one.period] for one in part})
            assert len(told(app)) == prices


def test_a_day_priced_before_its_prices_came_waits_until_it_is_priced_anew(tmp_path: Path) -> None:
    """However the steps are interleaved, what is built rests on all that was answered, and a rebuild says the same."""
    with lake(tmp_path, mute=["BASE_CURRENCY_UNIT()"]) as (app, _):
        collect(app, STRANGE, POOL, last=2)
        lending.refine(app)
    with lake(tmp_path) as (app, _):
        collect(app, STRANGE, POOL, last=1)
        lacking = lending.build(app).lacking
        assert set(lacking["reason"]) == {TOLD_SINCE}
        assert set(lacking["date"]) == {FIRST}, "of the other day nobody was asked again"
        panel = app.tables.read(PANEL).filter(pl.col("date") == FIRST)
        assert set(panel["status"]) == {"pending"}
        assert panel["total_tvl_usd"].null_count() == panel.height
        lending.refine(app)
        assert lending.build(app).lacking.is_empty()
        again = app.tables.read(PANEL)
        assert "governed_oracle" in set(app.tables.read(TVL)["price_source"])
        lending.rebuild(app)
        assert_frame_equal(app.tables.read(PANEL), again)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("honest", [1, 2])
def test_one_liar_prices_nothing(tmp_path: Path, honest: int, place: int) -> None:
    """Of two nobody can say who lies, and neither is believed; of three what two say is kept, suspect: no vote proves it."""
    nodes = [Simulated] * honest
    nodes.insert(place, LyingOracle)
    with lake(tmp_path, nodes=nodes, grade="two_voices") as (app, _):
        found = collect(app, STRANGE, last=1)
        assert {key for dataset, key, _ in told(app) if dataset == "governed_oracle_prices"} == set()
        kept = {
            one.key: (entry.state, entry.reason)
            for one, entry in app.ledger.states().items()
            if one.dataset == "governed_oracle_prices"
        }
        if honest == 1:
            assert [str(one.partition) for one in found.failures] == [f"governed_oracle_prices/base/{FIRST}"]
        else:
            assert kept == dict.fromkeys(("base", "ethereum"), ("done", SUSPECT))
            assert found.failed == 0
        lending.refine(app)
        said = app.tables.read(QUOTES).filter(pl.col("source") == "governed_oracle")["quote_price"]
        assert set(said) == ({1.0} if honest == 2 else set())
