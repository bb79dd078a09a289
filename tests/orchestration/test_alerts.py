"""An alert reaches the webhook and the mail server for real, hides secrets, and never breaks the job that raised it."""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tests.docs.examples import example

from cryptolake import alerts
from cryptolake.app import App
from cryptolake.errors import BadInput, Retry
from cryptolake.logs import configure_logging
from cryptolake.net.mail import send_mail
from cryptolake.settings import load_settings
from cryptolake.work.alerts import alert

DECLARED = """
from cryptolake.contracts.alert import Setting
SETTINGS = (Setting("CRYPTOLAKE_ODD_URL", "where"), Setting("CRYPTOLAKE_ODD_KEY", "a key", secret=True))
"""


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


def test_webhook_and_mail_get_the_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = type("H", (Hook,), {"received": []})
    post = type("M", (MailServer,), {"received": []})
    with (
        serving(HTTPServer(("127.0.0.1", 0), hook)) as web,
        serving(socketserver.TCPServer(("127.0.0.1", 0), post)) as mail,
    ):
        monkeypatch.setenv("CRYPTOLAKE_ALERT_WEBHOOK", f"http://127.0.0.1:{web}/hook/t0psecret")
        monkeypatch.setenv("CRYPTOLAKE_ALERT_EMAIL", "me@example.org")
        monkeypatch.setenv("CRYPTOLAKE_SMTP_URL", f"smtp://127.0.0.1:{mail}")
        app = App(load_settings(alchemy_keys=["keykeykey"], environment="staging"))
        alert(app, "onchain_daily failed", "endpoint keykeykey does not answer")
        app.close()
    (document,) = hook.received
    assert document["environment"] == "staging"
    assert document["text"] == "[staging] onchain_daily failed: endpoint *** does not answer"
    (text,) = post.received
    assert "Subject: cryptolake [staging] onchain_daily failed" in text
    assert "To: me@example.org" in text
    assert "keykeykey" not in text


@pytest.mark.parametrize("status", [404, 500])
def test_a_hook_that_refuses_does_not_break_the_job(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = type("H", (Hook,), {"received": [], "status": status})
    with serving(HTTPServer(("127.0.0.1", 0), hook)) as web:
        monkeypatch.setenv("CRYPTOLAKE_ALERT_WEBHOOK", f"http://127.0.0.1:{web}/")
        monkeypatch.setenv("CRYPTOLAKE_ALERT_EMAIL", "a@b.c")
        monkeypatch.setenv("CRYPTOLAKE_SMTP_URL", "smtp://127.0.0.1:9")
        app = App(load_settings())
        alert(app, "a", "b")
        app.close()
    assert len(hook.received) == 1


@pytest.fixture
def more_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a file among the ways for one test."""
    monkeypatch.setattr(alerts, "__path__", [*alerts.__path__, str(tmp_path)])

    def add(name: str, content: str) -> None:
        (tmp_path / f"{name}.py").write_text(content)
        monkeypatch.delitem(sys.modules, f"{alerts.__name__}.{name}", raising=False)
        monkeypatch.delattr(alerts, name, raising=False)

    return add


def test_the_documented_way_is_one_file(
    more_ways: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, content = example("add-an-alert.md")
    more_ways(Path(file).stem, content)
    hook = type("H", (Hook,), {"received": []})
    with serving(HTTPServer(("127.0.0.1", 0), hook)) as web:
        monkeypatch.setenv("CRYPTOLAKE_PAGER_URL", f"http://127.0.0.1:{web}/")
        monkeypatch.setenv("CRYPTOLAKE_PAGER_KEY", "pagerpager")
        settings = load_settings()
        configure_logging(settings)
        app = App(settings)
        alert(app, "a job", "the key pagerpager was not taken")
        app.close()
    assert hook.received == [{"summary": "[prod] a job", "details": "the key *** was not taken"}]
    assert "pagerpager" not in capsys.readouterr().err


FAULTY = {
    "no_import": "import nothing_of_that_name",
    "no_settings": "def send(alert, values, http): ...",
    "no_send": DECLARED,
    "raises": f"{DECLARED}\ndef send(alert, values, http): raise RuntimeError(values['CRYPTOLAKE_ODD_KEY'])",
    "is_half_set": DECLARED.replace("ODD", "EVEN") + "\ndef send(alert, values, http): raise AssertionError",
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_way_is_named_and_stops_no_other(
    name: str,
    more_ways: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    more_ways(f"a_{name}", FAULTY[name])  # before the others in their order
    hook = type("H", (Hook,), {"received": []})
    with serving(HTTPServer(("127.0.0.1", 0), hook)) as web:
        monkeypatch.setenv("CRYPTOLAKE_ALERT_WEBHOOK", f"http://127.0.0.1:{web}/")
        monkeypatch.setenv("CRYPTOLAKE_ODD_KEY", "oddoddodd")
        monkeypatch.setenv("CRYPTOLAKE_ODD_URL", "http://here")
        monkeypatch.setenv("CRYPTOLAKE_EVEN_URL", "http://here")
        settings = load_settings()
        configure_logging(settings)
        app = App(settings)
        alert(app, "a", "b oddoddodd")
        app.close()
    said = capsys.readouterr().err
    assert [one["text"] for one in hook.received] == [
        "[prod] a: b oddoddodd" if name in {"no_import", "no_settings", "is_half_set"} else "[prod] a: b ***"
    ]
    assert f"a_{name}" in said
    assert ("CRYPTOLAKE_EVEN_KEY" in said) == (name == "is_half_set")
    if name in {"no_send", "raises"}:
        assert "oddoddodd" not in said


def test_mail_mistakes_are_named() -> None:
    with pytest.raises(BadInput, match="smtp://"):
        send_mail("http://host", "a@b.c", "s", "t")
    with pytest.raises(Retry, match="did not take"):
        send_mail("smtp://127.0.0.1:9", "a@b.c", "s", "t")
    post = type("M", (MailServer,), {"received": [], "refuse": True})
    with serving(socketserver.TCPServer(("127.0.0.1", 0), post)) as port, pytest.raises(Retry):
        send_mail(f"smtp://127.0.0.1:{port}", "a@b.c", "s", "t")
