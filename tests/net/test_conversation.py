"""A conversation over real HTTP: who waits how long after which trouble, what is counted and what stays as evidence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import pytest
from tests.loopback import LoopbackServer
from tests.waiting import PATIENCE_S

from cryptolake.contracts.source import Asked
from cryptolake.net.conversation import Patience, Refusal, Tally, converse, judge_plainly, worth_keeping
from cryptolake.net.http import Http
from cryptolake.net.limiter import Limiter

Reply = tuple[int, dict[str, str], bytes]
GOOD: Reply = (200, {}, b'{"a":1}')
LIMITED: Reply = (429, {}, b"")
BROKEN: Reply = (500, {}, b"")
CUT: Reply = (200, {}, b'{"a":')


@dataclass
class Talk:
    """A vendor that answers `replies` in turn, and what the other side slept, by limiter and by its own pause."""

    url: str
    replies: list[Reply] = field(default_factory=list)
    held_up: list[float] = field(default_factory=list)
    paused: list[float] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.limiter = Limiter(1e6, clock=lambda: 0.0, sleep=self.held_up.append)

    def ask(self, *replies: Reply, refused: Refusal | None = None) -> bytes | Refusal:
        self.replies[:] = replies
        client = Http(timeout_s=PATIENCE_S)
        try:
            return converse(
                client,
                self.url,
                limiter=self.limiter,
                tally=self.tally,
                judge=judge_plainly,
                patience=Patience(4, pause_s=1.0, limited_pause_s=20.0, sleep=self.paused.append, jitter=lambda: 0.5),
                refused=lambda: refused,
            )
        finally:
            client.close()


@pytest.fixture
def talk() -> Iterator[Talk]:
    replies: list[Reply] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = replies.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay quiet."""

    server = LoopbackServer(Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield Talk(f"http://127.0.0.1:{server.server_address[1]}", replies)
    server.shutdown()
    server.server_close()
    thread.join()


def test_trouble_pauses_this_thread_and_a_429_everybody(talk: Talk) -> None:
    assert talk.ask(BROKEN, BROKEN, BROKEN, GOOD) == GOOD[2]
    assert (talk.paused, max(talk.held_up, default=0.0) < 1) == ([1.0, 2.0, 4.0], True)
    talk.paused.clear()
    assert talk.ask(LIMITED, GOOD) == GOOD[2]
    assert talk.paused == []
    assert max(talk.held_up) == pytest.approx(20.0, abs=0.01)
    assert talk.limiter.rate < 1e6, "the limit was too high"
    assert talk.tally.asked == Asked(6, 1)


def test_pauses_end_somewhere_and_a_longer_wish_is_obeyed(talk: Talk) -> None:
    assert talk.ask(LIMITED, LIMITED, (429, {"Retry-After": "100"}, b""), GOOD) == GOOD[2]
    waited = [wait for wait in talk.held_up if wait > 1]
    assert waited == pytest.approx([20.0, 40.0, 100.0], abs=0.01), (
        "the third of 80 s is cut to 60 s; the vendor wants 100"
    )


def test_a_wish_that_is_too_long_ends_it(talk: Talk) -> None:
    answer = talk.ask((503, {"Retry-After": "3600"}, b""), GOOD)
    assert isinstance(answer, Refusal)
    assert (answer.reason, answer.after_s, len(talk.replies)) == ("unreachable", 3600.0, 1)


def test_a_body_nobody_can_read_is_evidence_if_nothing_better_came(talk: Talk) -> None:
    cut = talk.ask(*[CUT] * 4)
    assert isinstance(cut, Refusal)
    assert (cut.reason, worth_keeping(cut)) == ("unreadable", CUT[2])
    assert talk.ask(CUT, GOOD) == worth_keeping(GOOD[2]) == GOOD[2]
    later = talk.ask(CUT, BROKEN, BROKEN, BROKEN)
    assert isinstance(later, Refusal)
    assert (later.reason, worth_keeping(later)) == ("unreachable", later)


def test_what_another_thread_learned_spares_the_question(talk: Talk) -> None:
    known = Refusal("entitlement", "needs a paid key")
    assert talk.ask(GOOD, refused=known) is known
    assert talk.tally.asked == Asked(0, 0)
