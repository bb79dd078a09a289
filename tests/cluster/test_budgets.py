"""One row per account in a real PostgreSQL holds the limit over processes; nobody goes on without it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.queues import Queue
from pathlib import Path

import psycopg
import pytest
from benchmarks.enforcing import CALLS, Sliding
from tests.net.grants import assert_spaced, bounds_of_a_grant
from tests.net.simulated import Simulation
from tests.waiting import PATIENCE_S

from cryptolake.errors import BadInput, Retry, Stop
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.limiter import SHARE
from cryptolake.net.limiter_state import packed, unpacked
from cryptolake.publish.server import ensure_running
from cryptolake.state.account_limits import AccountLimits
from cryptolake.state.budget_limiter import BudgetLimiter
from cryptolake.state.budgets import AccountRow, Budgets

CLOCKS = 0.05  # what the server's clock and ours may drift apart within a test, seconds


@pytest.fixture
def budgets(pg_data: Path) -> Iterator[Budgets]:
    opened = Budgets(ensure_running(pg_data))
    yield opened
    opened.close()


def said(budgets: Budgets, statement: str) -> tuple[object, ...]:
    """What the server answers a statement of nobody's limiter."""
    with psycopg.connect(budgets._url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return tuple(cursor.fetchone() or ()) if cursor.description else ()


def test_grants_are_spaced_by_the_rate_and_bursts_are_free(budgets: Budgets) -> None:
    limiter = BudgetLimiter(budgets, "spaced", 10.0, 5.0)
    before = time.monotonic()
    waits = [limiter.reserve() for _ in range(8)]
    asking = time.monotonic() - before + CLOCKS
    assert waits[:5] == [0.0] * 5
    assert 0.3 - asking <= waits[7] <= 0.3  # the eighth unit is earned 0.3 s after the first five
    assert limiter.used() == 8
    assert limiter.backlog() <= 0.8


def test_a_pause_asked_for_is_kept_by_everybody(budgets: Budgets) -> None:
    one, other = BudgetLimiter(budgets, "paused", 10.0), BudgetLimiter(budgets, "paused", 10.0)
    before = time.monotonic()
    assert one.refused(one.now(), 500.0)
    reserved, backlog = other.reserve(), one.backlog()
    asking = time.monotonic() - before + CLOCKS
    assert reserved >= 500.0 - asking
    assert backlog >= 500.0 - asking


def test_a_trip_that_took_long_does_not_set_the_clock_back(budgets: Budgets, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first reading that came late made the first unit look granted long ago, and the others follow it in a burst."""
    limiter = BudgetLimiter(budgets, "late", 200.0)
    behind, rows = [0.1, 0.0, 0.2], budgets.row

    @contextmanager
    def late(account: str) -> Iterator[AccountRow]:
        with rows(account) as row:
            row.ahead_s -= behind.pop(0)
            yield row

    monkeypatch.setattr(budgets, "row", late)
    grants = [bounds_of_a_grant(limiter) for _ in range(3)]
    assert not behind
    (now,) = said(budgets, "SELECT extract(epoch FROM clock_timestamp())::float8")
    assert limiter.now() == pytest.approx(now, abs=CLOCKS)
    assert_spaced(grants[1:], 200.0)


def test_accounts_do_not_share(budgets: Budgets) -> None:
    BudgetLimiter(budgets, "busy", 1.0).reserve(50)
    assert BudgetLimiter(budgets, "idle", 1.0).reserve() == 0.0


def test_units_of_the_month_survive_their_process_and_a_new_month_begins_at_nothing(budgets: Budgets) -> None:
    before = BudgetLimiter(budgets, "month", 1000.0, wall=lambda: time.time() - 40 * 86400)
    before.reserve(30)
    assert before.used() == 30
    now = BudgetLimiter(budgets, "month", 1000.0)
    assert now.used() == 0
    now.reserve(2)
    assert BudgetLimiter(budgets, "month", 1000.0).used() == 2


def test_the_month_of_a_table_from_before_holds(budgets: Budgets) -> None:
    BudgetLimiter(budgets, "former", 1000.0).reserve(30)
    said(budgets, "UPDATE rate_budgets SET state = NULL WHERE account = 'former'")
    assert BudgetLimiter(budgets, "former", 1000.0).used() == 30
    (month,) = said(budgets, "SELECT month FROM rate_budgets WHERE account = 'former'")
    assert month == int(time.strftime("%Y%m", time.gmtime()))


def test_a_server_clock_that_was_set_back_does_not_stop_the_work(budgets: Budgets) -> None:
    limiter = BudgetLimiter(budgets, "clock", 10.0)
    limiter.reserve(100)
    with budgets.row("clock") as row:
        later = time.monotonic() + row.ahead_s + 1e6
        state = unpacked(row.state, limiter._fresh(), later)
        state.full_at += 1e6
        row.keep(packed(state, later), state.full_at, row.used, row.month)
    assert limiter.reserve() <= 1
    limiter.answered(limiter.now())


@pytest.mark.parametrize(("told", "given"), [(True, CALLS), (False, 10_000.0), (False, 5.0)])
def test_machines_learn_together_in_both_directions(budgets: Budgets, told: bool, given: float) -> None:
    """The rule of the processes of one machine: a limit that nobody told is found from above and from below."""
    now = [1000.0]
    account = f"learned-{told}-{given}"
    limiters = [
        BudgetLimiter(
            budgets, account, SHARE * given, exact=True, told=told, clock=lambda: now[0], wall=lambda: 1e9 + now[0]
        )
        for _ in range(3)
    ]
    world = Simulation(Sliding(CALLS), limiters, now=now)
    world.run(40)
    assert world.rate(15) >= (0.95 if told else 0.9) * CALLS
    assert world.refused_share <= 0.01
    fresh = BudgetLimiter(
        budgets, account, SHARE * given, exact=True, told=told, clock=lambda: now[0], wall=lambda: 1e9
    )
    fresh.backlog()
    assert fresh.rate == limiters[0].rate or fresh.rate > 0.9 * CALLS * SHARE


def test_a_rate_that_was_told_is_never_exceeded_over_machines(budgets: Budgets) -> None:
    now = [1000.0]
    limiters = [
        BudgetLimiter(budgets, "told", SHARE * CALLS, exact=True, told=True, clock=lambda: now[0]) for _ in range(2)
    ]
    world = Simulation(Sliding(1e9), limiters, now=now)
    world.run(10)
    for first in range(len(world.sent) - int(CALLS)):
        assert world.sent[first + int(CALLS)] - world.sent[first] >= 1.0


@pytest.mark.parametrize("told", [True, False])
def test_an_account_is_limited_alike_on_one_machine_and_on_several(
    budgets: Budgets, tmp_path: Path, told: bool
) -> None:
    """What an endpoint's limits say reaches the rule wherever the account's state is kept."""
    endpoint = Endpoint("one", SecretUrl("x"), Limits(rate=20.0, told=told), f"alike-{told}")
    here, there = AccountLimits(tmp_path).of(endpoint), AccountLimits(None, lambda: budgets).of(endpoint)
    for limiter in (here, there):
        for _ in range(60):
            limiter.take()
    assert there.at_once == here.at_once
    assert there.rate == here.rate == SHARE * 20
    assert there.backlog() == pytest.approx(here.backlog(), abs=CLOCKS + 0.05)


def test_threads_that_come_together_each_get_their_own_place(budgets: Budgets) -> None:
    limiter = BudgetLimiter(budgets, "together", 100.0)
    with ThreadPoolExecutor(40) as threads:
        taken = list(threads.map(lambda _: bounds_of_a_grant(limiter), range(200)))
    assert limiter.used() == 200
    assert_spaced(taken, 100.0)


def test_without_the_server_nothing_is_granted(pg_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptolake.state.budgets._PATIENCE_S", 0.3)
    budgets = Budgets(ensure_running(pg_data))
    limiter = BudgetLimiter(budgets, "gone", 100.0)
    budgets._url = "postgresql://127.0.0.1:1/none"
    for _ in range(4):
        connection = budgets._idle.get()
        if connection is not None:
            connection.close()
        budgets._idle.put(None)
    with ThreadPoolExecutor(8) as threads:
        found = [threads.submit(limiter.reserve) for _ in range(8)]
        assert all(isinstance(one.exception(), Retry) for one in found)


def test_an_unreachable_server_is_one_clear_line() -> None:
    with pytest.raises(Stop, match="check DATABASE_URL") as caught:
        Budgets("postgresql://user:hidden@127.0.0.1:1/none")
    assert "hidden" not in str(caught.value)
    with pytest.raises(BadInput):
        Budgets("no url at all")


def test_a_lost_connection_is_opened_again(budgets: Budgets) -> None:
    limiter = BudgetLimiter(budgets, "lost", 100.0)
    limiter.reserve()
    said(
        budgets,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND query = 'COMMIT' AND backend_type = 'client backend'",
    )
    limiter.reserve()
    assert limiter.used() >= 2


def _take(url: str, count: int, out: Queue[list[tuple[float, float]]]) -> None:
    limiter = BudgetLimiter(Budgets(url), "shared", 200.0)
    out.put([bounds_of_a_grant(limiter) for _ in range(count)])


def test_processes_share_one_limit(budgets: Budgets, pg_data: Path) -> None:
    context = multiprocessing.get_context("spawn")
    out: Queue[list[tuple[float, float]]] = context.Queue()
    url = ensure_running(pg_data)
    workers = [context.Process(target=_take, args=(url, 40, out)) for _ in range(3)]
    for worker in workers:
        worker.start()
    taken = [one for _ in workers for one in out.get(timeout=PATIENCE_S)]
    for worker in workers:
        worker.join()
    assert_spaced(taken, 200.0)
    assert BudgetLimiter(budgets, "shared", 200.0).used() == 120
