"""One row per account in a real PostgreSQL holds the limit over processes; nobody goes on without it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import Queue
from pathlib import Path

import pytest
from tests.net.grants import assert_spaced, bounds_of_a_grant
from tests.waiting import PATIENCE_S

from cryptolake.errors import BadInput, Retry, Stop
from cryptolake.publish.server import ensure_running
from cryptolake.state.budgets import BudgetLimiter, Budgets

CLOCKS = 0.05  # what the server's clock and ours may drift apart within a test, seconds


@pytest.fixture
def budgets(pg_data: Path) -> Iterator[Budgets]:
    opened = Budgets(ensure_running(pg_data))
    yield opened
    opened.close()


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


def test_accounts_do_not_share(budgets: Budgets) -> None:
    BudgetLimiter(budgets, "busy", 1.0).reserve(50)
    assert BudgetLimiter(budgets, "idle", 1.0).reserve() == 0.0


def test_units_of_the_month_survive_their_process_and_a_new_month_begins_at_nothing(budgets: Budgets) -> None:
    BudgetLimiter(budgets, "month", 1000.0).reserve(30)
    assert BudgetLimiter(budgets, "month", 1000.0).used() == 30
    budgets.ask("UPDATE rate_budgets SET month = month - 1 WHERE account = %s RETURNING month", ("month",))
    later = BudgetLimiter(budgets, "month", 1000.0)
    assert later.used() == 0
    later.reserve(2)
    assert later.used() == 2


def test_a_server_clock_that_was_set_back_does_not_stop_the_work(budgets: Budgets) -> None:
    limiter = BudgetLimiter(budgets, "clock", 10.0)
    limiter.reserve()
    budgets.ask("UPDATE rate_budgets SET full_at = full_at + 1e6 WHERE account = %s RETURNING 1", ("clock",))
    assert limiter.reserve() <= 601


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
    killer = Budgets(budgets._url)
    killer.ask(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND query LIKE %s AND backend_type = 'client backend'",
        ("%rate_budgets%",),
    )
    killer.close()
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
