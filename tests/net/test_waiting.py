"""One wait for everybody: it ends when the process is asked to stop, says what it is for, and gives up what hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from tests.loopback import LoopbackServer
from tests.waiting import PATIENCE_S, until

from cryptolake import waiting
from cryptolake.cli.show import telling_waits
from cryptolake.net.http import Http, TooSlow


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that sends a byte and then no more."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "10")
            self.end_headers()
            self.wfile.write(b"1")
            self.wfile.flush()
            over.wait(PATIENCE_S)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = LoopbackServer(Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    over.set()
    server.shutdown()
    server.server_close()


class Ended(threading.Thread):
    """Work in a thread of its own, and what it was ended by."""

    def __init__(self, work: object) -> None:
        super().__init__(daemon=True)
        self.work, self.by = work, None
        self.start()

    def run(self) -> None:
        try:
            self.work()  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001  # it is what the test is about
            self.by = error

    def outcome(self) -> object:
        self.join(PATIENCE_S)
        return type(self.by)


def test_a_pause_of_hours_ends_when_the_process_is_asked_to_stop() -> None:
    asleep = Ended(lambda: waiting.pause(86_400, "a day"))
    until(waiting.what_is_waited_for, "the pause")
    assert waiting.what_is_waited_for().startswith("a day for ")
    with waiting.stopped():
        assert asleep.outcome() is waiting.Interrupted
    assert waiting.what_is_waited_for() == ""
    assert not waiting.STOP.is_set()
    waiting.pause(0)


def test_an_answer_that_does_not_come_is_given_up_and_nothing_more_is_asked(silent: str) -> None:
    client = Http(timeout_s=PATIENCE_S)
    asking = Ended(lambda: client.get(silent))
    until(waiting.what_is_waited_for, "the question")
    with waiting.stopped():
        assert asking.outcome() is waiting.Interrupted
        with pytest.raises(waiting.Interrupted):
            client.get(silent)
    client.close()


def test_a_request_has_one_deadline_for_all_of_it(silent: str) -> None:
    client = Http(timeout_s=0.2)  # the server never ends its answer, however long it is given
    with pytest.raises(TooSlow, match="no whole answer within"):
        client.get(silent)
    client.close()


def test_who_hears_nothing_is_told_what_is_waited_for() -> None:
    told = threading.Event()
    lines: list[str] = []

    def tell(waits: str) -> None:
        lines.append(waits)
        told.set()

    with telling_waits(tell, quiet_s=0.001), waiting.waited_for("an answer"), waiting.waited_for("an answer"):
        assert told.wait(PATIENCE_S)
    assert lines[0].startswith("an answer (2 times, the longest for ")
