"""The log scanner covers a range exactly once, learns each endpoint's span, and believes nothing it did not ask for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import examples
from tests.net.node import ADDRESSES, EMITTER, TOPIC, Node, pool_of
from tests.waiting import PATIENCE_S, until

from cryptolake.errors import Retry, Stop
from cryptolake.net.blocks import BlockRange
from cryptolake.net.endpoint import Learned
from cryptolake.net.journal import ScanJournal
from cryptolake.net.logs import AnsweredWindow, LogFilter, gather
from cryptolake.net.scan import scan

FILTERS = [LogFilter(EMITTER, frozenset({TOPIC}))]
NODES = [one.endpoint for one in pool_of(Node()).stations]
HINTS = (
    "eth_getLogs is limited to a {limit} range",
    "this block range should work: [{start}, {until}]",
    "block range is too wide",
)


@settings(max_examples=examples(120))
@given(
    st.integers(0, 500),
    st.integers(0, 500),
    st.integers(1, 120),
    st.integers(1, 400),
    st.sampled_from(HINTS),
    st.data(),
)
def test_windows_cover_the_range_exactly_once(
    start: int, length: int, limit: int, span: int, wording: str, data: st.DataObject
) -> None:
    node = Node(limit=limit, wording=wording)
    asked = BlockRange(start, start + length)
    bounds = data.draw(st.lists(st.integers(start, start + length), max_size=6))
    known = _answered(Node(), sorted(set(bounds)))
    logs, windows = gather(scan(pool_of(node, span=span), FILTERS, asked, known=known))
    covered = [number for window in windows for number in range(window.start, window.end)]
    assert covered == list(range(asked.start, asked.end))
    assert [one.block for one in logs] == [number for number in covered if number % 7 == 0]
    questions = [number for first, last in node.asked for number in range(first, last + 1)]
    assert len(questions) == len(set(questions))
    assert not set(questions) & {n for one in known for n in range(one.window.start, one.window.end)}


def _answered(node: Node, bounds: list[int]) -> list[AnsweredWindow]:
    """Windows kept by an earlier scan: every second piece between the bounds."""
    pieces = list(pairwise(bounds))[::2]
    return [one for first, end in pieces for one in scan(pool_of(node, span=10**6), FILTERS, BlockRange(first, end))]


@pytest.mark.parametrize("limit", [1, 3, 5, 10, 50, 100, 500, 800, 1000, 1024, 2000, 5000, 7777, 10_000, 50_000])
@pytest.mark.parametrize("guess", [10, 2000, 10_000])
def test_the_span_is_learned_within_eight_questions(limit: int, guess: int) -> None:
    learned = Learned(guess)
    questions = 0
    while not learned.settled:
        questions += 1
        if (span := learned.span) <= limit:
            learned.answered(span)
        else:
            learned.refused(span, None)
    assert questions <= 8
    assert limit / 2 <= learned.span <= limit


def test_a_named_limit_is_believed_at_once() -> None:
    learned = Learned(2000)
    learned.refused(2000, 1024)
    assert learned.span == 1024
    learned.answered(1024)
    assert learned.settled


def test_dense_windows_are_split_without_losing_the_span_for_ever() -> None:
    node = Node(most_logs=40, logs_of=lambda number: range(30) if 5000 <= number < 5020 else [])
    logs, windows = gather(scan(pool_of(node), FILTERS, BlockRange(0, 300_000)))
    assert len(logs) == 600
    assert max(one.end - one.start for one in windows[-20:]) > 1000


def test_a_log_that_was_not_asked_for_is_not_believed() -> None:
    class Strays(Node):
        def log(self, number: int, index: int) -> dict[str, object]:
            return super().log(number + 10**6, index)

    with pytest.raises(Retry, match="not asked for"):
        gather(scan(pool_of(Strays()), FILTERS, BlockRange(0, 100)))


def test_logs_given_twice_count_once() -> None:
    logs, _ = gather(scan(pool_of(Node(logs_of=lambda n: [0, 0, 1] if n == 3 else [])), FILTERS, BlockRange(0, 10)))
    assert [(one.block, one.index) for one in logs] == [(3, 0), (3, 1)]


def test_a_provider_that_refuses_one_block_stops() -> None:
    with pytest.raises(Stop):
        gather(scan(pool_of(Node(limit=0, wording="block range is too wide")), FILTERS, BlockRange(0, 100)))


def test_a_long_address_list_is_asked_in_parts() -> None:
    filters = [LogFilter(one, frozenset({TOPIC})) for one in [*ADDRESSES, EMITTER]]
    node = Node(most_addresses=7)
    logs, _ = gather(scan(pool_of(node), filters, BlockRange(0, 30)))
    assert [one.block for one in logs] == [0, 7, 14, 21, 28]


def test_the_endpoint_that_has_the_history_is_asked_for_it() -> None:
    recent, archive = Node(pruned_below=500_000), Node()
    logs, windows = gather(scan(pool_of(recent, archive), FILTERS, BlockRange(0, 100_000)))
    assert len(logs) == len(range(0, 100_000, 7))
    assert {window.endpoint for window in windows} == {"node-1"}


def test_a_second_endpoint_helps_out_where_the_first_goes_down() -> None:
    class Dying(Node):
        def answer(self, body: bytes) -> bytes:
            return super().answer(body) if self.requests < 4 else b"<html>502 Bad Gateway</html>"

    logs, windows = gather(scan(pool_of(Dying(limit=1000), Node(limit=500)), FILTERS, BlockRange(0, 50_000)))
    assert len(logs) == len(range(0, 50_000, 7))
    assert windows[-1].endpoint == "node-1"


def test_a_closed_scan_ends_its_questions() -> None:
    def asking() -> list[threading.Thread]:
        return [one for one in threading.enumerate() if one.name.startswith("logs-test")]

    answers = scan(pool_of(Node(limit=10)), FILTERS, BlockRange(0, 100_000))
    next(answers)
    assert asking()
    answers.close()
    for thread in asking():
        thread.join(timeout=PATIENCE_S)
    assert asking() == []


def test_a_journal_cut_short_anywhere_loses_one_window_at_most(tmp_path: Path) -> None:
    answered = list(scan(pool_of(Node(limit=10), span=10), FILTERS, BlockRange(0, 100)))
    journal = ScanJournal(tmp_path, "test", FILTERS, NODES)
    for one in answered:
        journal.keep(one)
    journal.close()
    assert journal.read() == answered
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        assert journal.read() == answered[: len(journal.read())]
        complete = whole[:cut].count(b"\n")
        assert len(journal.read()) >= complete - 1
    path.write_bytes(whole[:-5])
    journal.keep(answered[-1])
    assert journal.read()[-1] == answered[-1]
    journal.forget()
    assert not path.exists()


def test_a_journal_nobody_went_on_with_is_removed_after_a_month(tmp_path: Path) -> None:
    for name, age_days in (("old.jsonl", 31), ("young.jsonl", 29)):
        (tmp_path / name).touch()
        then = time.time() - 86400 * age_days
        os.utime(tmp_path / name, (then, then))
    ScanJournal(tmp_path, "test", FILTERS, NODES)
    assert [path.name for path in tmp_path.iterdir()] == ["young.jsonl"]


def test_other_filters_have_another_journal(tmp_path: Path) -> None:
    answered = list(scan(pool_of(Node(), span=100), FILTERS, BlockRange(0, 100)))
    ScanJournal(tmp_path, "test", FILTERS, NODES).keep(answered[0])
    others = [*FILTERS, LogFilter(ADDRESSES[0], frozenset({TOPIC}))]
    assert ScanJournal(tmp_path, "test", others, NODES).read() == []


def test_a_window_is_kept_when_it_is_answered_however_busy_the_caller_is() -> None:
    kept: list[AnsweredWindow] = []
    answers = scan(pool_of(Node(limit=10), span=10), FILTERS, BlockRange(0, 200), keep=kept.append)
    first = next(answers)  # and asks for no other one
    until(lambda: sum(one.window.end - one.window.start for one in kept) == 200, "all windows are kept")
    assert first in kept
    assert sorted(map(str, answers)) == sorted(str(one) for one in kept if one is not first)


class Watched(Node):
    """Notes how many blocks are in flight and how many were answered, whenever one more window is asked."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.flying, self.known = 0, 0
        self.seen: list[tuple[int, int, int]] = []  # in flight, answered, of this window

    def answer(self, body: bytes) -> bytes:
        question = orjson.loads(body)
        if question["method"] != "eth_getLogs":
            return super().answer(body)
        first, last = (int(question["params"][0][name], 16) for name in ("fromBlock", "toBlock"))
        with self.lock:
            self.flying += last + 1 - first
            self.seen.append((self.flying, self.known, last + 1 - first))
        found = super().answer(body)
        with self.lock:
            self.flying -= last + 1 - first
            self.known += last + 1 - first
        return found


@pytest.mark.parametrize(("span", "blocks"), [(10, 20_000), (2000, 1_000_000), (10_000, 2_000_000)])
def test_what_a_kill_may_lose_stays_a_small_part_of_what_was_answered_or_is_left(span: int, blocks: int) -> None:
    """Two windows, 4,000 blocks, or a twenty-fifth of what was answered or is left: whichever is most, in whole windows."""
    node = Watched(limit=span, head=3_000_000, logs_of=lambda _number: ())
    gather(scan(pool_of(node, span=span), FILTERS, BlockRange(0, blocks)))
    assert node.known >= blocks
    for flying, known, width in node.seen:
        # What was answered on the way is not counted at the endpoint's side at the same moment: one window either way.
        most = max(known, blocks - known) + max(width, span)
        assert flying <= max(2 * span, 4000, most / 25 + span / 2) or width > span


def test_a_scan_that_goes_on_counts_what_was_answered_before() -> None:
    before = gather(scan(pool_of(Node(limit=2000), span=2000), FILTERS, BlockRange(0, 1_000_000)))[1]
    node = Watched(limit=2000, head=3_000_000)
    kept = [AnsweredWindow(one, ()) for one in before]
    barrier = threading.Barrier(8)  # passed only where eight windows are in flight together

    def together(number: int) -> list[int]:
        if number % 2000 == 0:
            barrier.wait(PATIENCE_S)
        return []

    node.logs_of = together
    pool = pool_of(node, span=2000)
    pool.stations[0].learned.refused(2001, 2000)
    pool.stations[0].learned.answered(2000)
    gather(scan(pool, FILTERS, BlockRange(0, 1_032_000), known=kept))
    assert node.known == 32_000


def test_a_journal_that_cannot_be_written_ends_the_scan_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "full").touch()  # a file where the folder should be: refused for root, too
    journal = ScanJournal(tmp_path / "full" / "scans", "test", FILTERS, NODES)
    with pytest.raises(Stop, match="permissions or set --data"):
        list(scan(pool_of(Node(limit=10), span=10), FILTERS, BlockRange(0, 100), keep=journal.keep))


ODD_LOGS = [{"data": "0x123"}, {"data": None}, {"topics": ["0xzz"]}, {"blockHash": "0x"}, {"logIndex": "0x1_0"}]


@pytest.mark.parametrize("odd", ODD_LOGS, ids=str)
def test_an_emitter_whose_logs_nobody_gives_well_is_named_and_costs_no_other_its_logs(odd: dict[str, object]) -> None:
    class Odd(Node):
        def _logs(self, asked: Mapping[str, Any]) -> dict[str, object]:
            answer = super()._logs(asked)
            found = answer.get("result")
            if isinstance(found, list) and int(asked["fromBlock"], 16) <= 50 <= int(asked["toBlock"], 16):
                found.append({**self.log(50, 9), "address": ADDRESSES[0].lower()} | odd)
            return answer

    filters = [*FILTERS, LogFilter(ADDRESSES[0], frozenset({TOPIC}))]
    answered = list(scan(pool_of(Odd(), Odd(), span=40), filters, BlockRange(0, 120)))
    logs, _ = gather(answered)
    assert [one.block for one in logs] == list(range(0, 120, 7))
    assert {one.unread for one in answered if one.window.start <= 50 < one.window.end} == {frozenset({ADDRESSES[0]})}
    assert not any(one.unread for one in answered if not one.window.start <= 50 < one.window.end)
