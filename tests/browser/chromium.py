"""A real headless Chromium, driven by its own debugging protocol over one WebSocket. Knows no page of ours."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import PATIENCE_S, until
from websockets.sync.client import ClientConnection, connect

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
)


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number = socket, 0
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def _call(self, method: str, **parameters: object) -> dict[str, object]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(str(message["params"]["exceptionDetails"].get("exception", {}).get("description")))
            if message.get("id") == self._number:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return dict(message["result"])

    def open(self, url: str) -> None:
        """Go to the address; does not wait for its scripts."""
        self._call("Page.navigate", url=url)

    def evaluate(self, script: str) -> object:
        """The value of a JavaScript expression; a promise is awaited."""
        found = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise AssertionError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")  # type: ignore[attr-defined]

    def wait_for(self, condition: str, seconds: float = PATIENCE_S) -> object:
        """Wait until the JavaScript expression is truthy, and return it; the page itself watches."""
        deadline = time.monotonic() + seconds
        script = (
            "new Promise(done => { const end = Date.now() + 3000; const look = () => { let v = null;"
            f" try {{ v = {condition} }} catch (e) {{}} if (v || Date.now() > end) done(v || null);"
            " else setTimeout(look, 50) }; look() })"
        )
        while time.monotonic() < deadline:
            try:
                if (value := self.evaluate(script)) is not None:
                    return value
            except AssertionError:  # the page navigated while it was asked
                continue
        raise AssertionError(f"not within {seconds} s: {condition}\n{self.text()[:1500]}")

    def text(self) -> str:
        """What a person can read on the page."""
        return str(self.evaluate("document.body.innerText"))

    def click(self, words: str, kind: str = "button, a") -> None:
        """Click the visible element that has exactly these words, with a real mouse event."""
        find = (
            f"[...document.querySelectorAll({json.dumps(kind)})].find(e => e.innerText.trim() === {json.dumps(words)}"
            " && e.getClientRects().length && !e.disabled)"
        )
        # Dialogs move while they open: wait until the element has rested for a while and nothing lies over it.
        rested = (
            f"(() => {{ const e = {find}; if (!e) return null; const r = e.getBoundingClientRect();"
            " const at = [r.x + r.width / 2, r.y + r.height / 2], key = at.join(); const now = performance.now();"
            " const top = document.elementFromPoint(...at);"
            " if (window.__rest?.key !== key || !top || !(e.contains(top) || top.contains(e)))"
            " { window.__rest = { key, since: now }; return null }"
            " return now - window.__rest.since > 400 ? at : null })()"
        )
        x, y = self.wait_for(rested)  # type: ignore[misc]
        for kind_of in ("mouseMoved", "mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind_of, x=x, y=y, button="left", clickCount=1)

    def picture(self, path: Path) -> None:
        """A PNG of what is visible."""
        found = self._call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(str(found["data"])))


@contextmanager
def page(width: int = 1600, height: int = 900) -> Iterator[Page]:
    """A fresh browser with one tab."""
    assert PROGRAM is not None, "no Chromium on this machine; run: make test-services"
    profile = Path(tempfile.mkdtemp(prefix="cryptolake-chromium-"))
    command = [
        PROGRAM,
        *_FLAGS,
        f"--window-size={width},{height}",
        f"--user-data-dir={profile}",
        "--remote-debugging-port=0",
    ]
    process = subprocess.Popen([*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        note = profile / "DevToolsActivePort"
        until(lambda: process.poll() is not None or (note.exists() and "\n" in note.read_text()), "a browser's port")
        assert process.poll() is None, "the browser ended at once"
        port = note.read_text().splitlines()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE_S) as answer:
            target = next(one for one in json.load(answer) if one["type"] == "page")
        with connect(target["webSocketDebuggerUrl"], max_size=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        shutil.rmtree(profile, ignore_errors=True)
