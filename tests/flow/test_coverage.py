"""What the monitor says is what the ledger holds; what Prometheus scrapes can be read by its own rules."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from tests.flow.scripted import day

from cryptolake.contracts.entry import Entry, State
from cryptolake.flow.workers import suggested
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.state.ledger import Ledger
from cryptolake.watch.coverage import failures, heat, markets, newest_day, pace, status
from cryptolake.watch.health import EndpointHealth, Reporter, RunHealth, latencies, read_runs
from cryptolake.watch.metrics import metrics
from cryptolake.watch.progress import report, ticks

NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Market `a`, 1 to 6 December: one day of every state; `b` failed twice for two causes."""
    found = Ledger(tmp_path / "ledger.sqlite")
    states: list[State] = ["done", "empty", "gone", "failed", "claimed", "landed"]
    at = NOW - timedelta(minutes=3)
    found.append_many(
        Entry(day(n), state, at, reason="rpc" if state == "failed" else None) for n, state in enumerate(states)
    )
    found.append(Entry(day(0, "b"), "failed", at, reason="rpc", error="one", attempt=2))
    found.append(Entry(day(1, "b"), "failed", at + timedelta(minutes=1), reason='odd "one"\n', error="two"))
    found.append(Entry(day(2, "b", "liquidations"), "done", NOW - timedelta(hours=2)))
    return found


def run(**changes: object) -> RunHealth:
    one = EndpointHealth("ethereum", "mine", requests=10, retries=1, latency_s=0.25, rate=25.0, log_span=2000)
    base = RunHealth(
        "host:1", "collect", NOW - timedelta(seconds=100), NOW, total=30, done=10, failed=1, endpoints=[one]
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def test_a_letter_for_every_state(ledger: Ledger) -> None:
    assert markets(ledger) == ["a", "b"]
    assert newest_day(ledger, ["a", "b"]) == date(2024, 12, 6)
    first, second = heat(ledger, ["a", "b"], date(2024, 11, 30), date(2024, 12, 7))
    assert first == {"market": "a", "tvl": ".deufww.", "liquidations": "........"}
    assert second["liquidations"] == "...d...."


def test_a_day_of_hours_shows_its_least_settled_hour(tmp_path: Path) -> None:
    from cryptolake.contracts.partition import Partition, hours

    ledger = Ledger(tmp_path / "l")
    every = [Partition("tvl", "a", hour) for hour in hours(date(2024, 12, 1), date(2024, 12, 2))]
    ledger.append_many(Entry(one, "done", NOW) for one in every)
    ledger.append(Entry(every[30], "failed", NOW))
    ledger.append(Entry(every[4], "done", NOW, reason="suspect"))
    (row,) = heat(ledger, ["a"], date(2024, 12, 1), date(2024, 12, 2))
    assert row["tvl"] == "sf"


def test_failures_are_grouped_by_cause_with_a_remedy(ledger: Ledger) -> None:
    first, second = failures(ledger)
    assert (first["reason"], first["count"]) == ("rpc", 2)
    assert "another endpoint" in str(first["remedy"])
    assert second["remedy"] == "two", "an unknown cause shows its own message"


def test_pace_counts_final_answers_by_minute(ledger: Ledger) -> None:
    minutes = pace(ledger, NOW)
    assert len(minutes) == 60
    assert minutes[57] == 4 + 1
    assert sum(minutes) == 6, "claims and landings are no answers, and two hours ago is not the last hour"


def test_time_left_comes_from_the_work_that_remains() -> None:
    assert run().left_s() == pytest.approx(200)
    assert run(chains={"ethereum": (10, 100)}).left_s() == pytest.approx(900), (
        "a scan may take longer than its days say"
    )
    assert run(done=0).left_s() is None
    assert run(done=30).left_s() == 0
    assert run().at_work(NOW)
    assert not run().at_work(NOW + timedelta(minutes=5)), "silent"
    assert not run(ended=NOW).at_work(NOW)


def test_a_report_is_written_while_a_run_lasts_and_says_when_it_ended(tmp_path: Path) -> None:
    with Reporter(tmp_path, lambda: run(), every_s=60):
        (during,) = read_runs(tmp_path)
        assert during == run()
    (after,) = read_runs(tmp_path)
    assert after.ended == NOW
    (tmp_path / "broken.json").write_text("{")
    assert read_runs(tmp_path) == [after]
    assert latencies([after]) == {"mine": 0.25}


def test_workers_follow_limits_and_measured_latency() -> None:
    def endpoint(name: str, rate: float, account: str) -> Endpoint:
        return Endpoint(name, SecretUrl("x"), Limits(rate=rate), account)

    slow = [endpoint("one", 25, "a")]
    assert suggested(slow, {}) == 5
    assert suggested(slow, {"one": 0.8}) == 20
    assert suggested([*slow, endpoint("two", 25, "a")], {"one": 0.8, "two": 0.8}) == 20, "one account, one limit"
    assert suggested([*slow, endpoint("two", 25, "b")], {"one": 0.8, "two": 0.8}) == 40
    assert suggested([endpoint("one", 10_000, "a")], {"one": 1.0}) == 64


def test_the_documented_tick_line(ledger: Ledger) -> None:
    done, failed = Entry(day(0), "done", NOW), Entry(day(0), "failed", NOW)
    assert ticks({"liquidations": done, "tvl": done}) == "✅ TVL + Liquidations"
    assert ticks({"liquidations": failed, "tvl": done}) == "✅ TVL  ❌ Liquidations"
    found = report(ledger.states(), ["a"])
    assert "  2024-12-01: ✅ TVL" in found.lines()
    assert found.counts()["failed"] == 1


def test_the_status_holds_everything_the_page_shows(ledger: Ledger) -> None:
    found = status(ledger, [run(), run(ended=NOW)], {"a": "ethereum"}, now=NOW, days=6)
    assert (found["first"], found["last"]) == ("2024-12-01", "2024-12-06")
    assert [one["chain"] for one in found["markets"]] == ["ethereum", ""]  # type: ignore[attr-defined]
    assert [one["at_work"] for one in found["runs"]] == [True, False]  # type: ignore[attr-defined]
    assert found["runs"][0]["left_s"] == pytest.approx(200)  # type: ignore[index]


SAMPLE = re.compile(r'cryptolake_[a-z_]+(?:\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? -?[0-9.e+]+')


def test_every_metric_is_well_formed_and_declared_once(ledger: Ledger) -> None:
    text = metrics(ledger, [run(), run(worker="host:2", ended=NOW)], NOW)
    assert text.endswith("\n")
    families: list[str] = []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            families.append(line.split()[2])
        elif not line.startswith("#"):
            assert SAMPLE.fullmatch(line), line
            assert line.startswith(families[-1]), "samples stand under their own family"
    assert len(families) == len(set(families))
    assert 'cryptolake_partitions{dataset="tvl",state="failed"} 3' in text
    assert 'cryptolake_failures{reason="odd \\"one\\"\\n"} 1' in text
    assert 'cryptolake_endpoint_up{chain="ethereum",endpoint="mine",worker="host:1"} 1' in text
    assert "host:2" not in text, "a run that has ended reports no rates"
