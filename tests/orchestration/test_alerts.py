"""An alert reaches the webhook and the mail server for real, hides secrets, and never breaks the job that raised it."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cryptolake.app import App
from cryptolake.errors import BadInput, Retry
from cryptolake.net.mail import send_mail
from cryptolake.settings import load_settings
from cryptolake.work import daily


class Hook(BaseHTTPRequestHandler):
    received: list[dict[str, str]]
    status = 200

    def do_POST(self) -> None:
        self.received.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        pass


class MailServer(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as one plain mail needs."""

    received: list[str]
    refuse = False

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline().decode().strip():
            if line.upper().startswith("DATA"):
                self.wfile.write(b"354 go on\r\n")
                text = ""
                while (part := self.rfile.readline().decode()) != ".\r\n":
                    text += part
                self.received.append(text)
            if line.upper().startswith("QUIT"):
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"550 no\r\n" if self.refuse and line.upper().startswith("MAIL") else b"250 ok\r\n")


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_webhook_and_mail_get_the_line_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    hook = type("H", (Hook,), {"received": []})
    post = type("M", (MailServer,), {"received": []})
    with (
        serving(HTTPServer(("127.0.0.1", 0), hook)) as web,
        serving(socketserver.TCPServer(("127.0.0.1", 0), post)) as mail,
    ):
        settings = load_settings(
            alert_webhook=f"http://127.0.0.1:{web}/hook/t0psecret",
            alert_email="me@example.org",
            smtp_url=f"smtp://127.0.0.1:{mail}",
            alchemy_keys=["keykeykey"],
            environment="staging",
        )
        app = App(settings)
        daily.alert(app, "onchain_daily failed", "endpoint keykeykey does not answer")
        app.close()
    (document,) = hook.received
    assert document["environment"] == "staging"
    assert document["text"] == "[staging] onchain_daily failed: endpoint *** does not answer"
    (text,) = post.received
    assert "Subject: cryptolake [staging] onchain_daily failed" in text
    assert "To: me@example.org" in text
    assert "keykeykey" not in text


@pytest.mark.parametrize("status", [404, 500])
def test_a_hook_that_refuses_does_not_break_the_job(status: int) -> None:
    hook = type("H", (Hook,), {"received": [], "status": status})
    with serving(HTTPServer(("127.0.0.1", 0), hook)) as web:
        app = App(
            load_settings(alert_webhook=f"http://127.0.0.1:{web}/", alert_email="a@b.c", smtp_url="smtp://127.0.0.1:9")
        )
        daily.alert(app, "a", "b")
        app.close()
    assert len(hook.received) == 1


def test_mail_mistakes_are_named() -> None:
    with pytest.raises(BadInput, match="smtp://"):
        send_mail("http://host", "a@b.c", "s", "t")
    with pytest.raises(Retry, match="did not take"):
        send_mail("smtp://127.0.0.1:9", "a@b.c", "s", "t")
    post = type("M", (MailServer,), {"received": [], "refuse": True})
    with serving(socketserver.TCPServer(("127.0.0.1", 0), post)) as port, pytest.raises(Retry):
        send_mail(f"smtp://127.0.0.1:{port}", "a@b.c", "s", "t")
