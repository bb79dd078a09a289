"""The HTTP client: bytes in, bytes out, transport failures as Retry. Knows no vendor, no JSON and no limits.

Every request of vendors and chains goes through it and has `DEADLINE_S` for all of it, however slowly it drips.

The only file that imports the HTTP library. URLs never appear in an error: they may hold a key.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import isfinite
from time import monotonic
from typing import Protocol

from pyreqwest.client import SyncClient, SyncClientBuilder
from pyreqwest.exceptions import BuilderError, ClientClosedError, PyreqwestError, RequestTimeoutError
from pyreqwest.response import SyncResponse

from cryptolake.errors import BadInput, Narrow, Retry
from cryptolake.waiting import STOP, Interrupted, cut_when_stopped, waited_for

MAX_ANSWER = 256 * 1024 * 1024  # bytes, decompressed; the largest honest answer seen is about 20 MB (USDT's history)
_PIECE = 1024 * 1024  # bytes read at a time
_NO_URL = "an address to ask is no URL; look at CRYPTOLAKE_RPC_* and CRYPTOLAKE_URL_*"
_DIGITS = 19  # of the longest length that any answer has

DEADLINE_S = 60.0  # for one whole request, from the first byte sent to the last one received


class TooSlow(Retry):
    """No whole answer came before the deadline: asking again costs as much time again."""


class TooLarge(Narrow):
    """The answer is larger than MAX_ANSWER; no more of it was read, and the same question would bring it again."""

    def __init__(self) -> None:
        super().__init__(f"an answer of more than {MAX_ANSWER // 2**20} MB was refused; ask for less at a time")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, headers with lower-case names, the decompressed body, and how long it took in seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_s: float


class _Builds(Protocol):
    def headers(self, headers: Mapping[str, str], /) -> _Builds: ...


class Http:
    """A pooled, thread-safe, blocking client. `timeout_s` bounds one whole request, connecting and reading included.

    When the process is asked to stop (`cryptolake.waiting`), nothing more is asked, and what does not come soon is given
    up: both raise Interrupted.
    """

    def __init__(self, *, timeout_s: float = DEADLINE_S, max_connections: int = 64) -> None:
        self._timeout_s, self._max_connections = timeout_s, max_connections
        self._client = self._opened()
        self._beside: ThreadPoolExecutor | None = None
        cut_when_stopped(self)

    def _opened(self) -> SyncClient:
        return (
            SyncClientBuilder()
            .timeout(timedelta(seconds=self._timeout_s))
            .connect_timeout(timedelta(seconds=min(10.0, self._timeout_s)))
            .max_connections(self._max_connections)
            .user_agent("cryptolake")
            .gzip(True)
            .build()
        )

    def cut(self) -> None:
        """Give up every request that is on its way; the next one finds a new client."""
        before, self._client = self._client, self._opened()
        before.close()

    def get(
        self, url: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """GET `url`. Any status is an answer; raises Retry when there was none (refused, reset, timeout, cut short).

        Raises TooLarge for a body beyond MAX_ANSWER.
        """
        return self._send("GET", url, params=params, body=None, headers=headers)

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        """POST `body` to `url`; as `get`. `timeout_s` bounds this request, where it is less than for all."""
        return self._send("POST", url, params=None, body=body, headers=headers, timeout_s=timeout_s)

    def _send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        timeout_s: float | None = None,
    ) -> Answer:
        if STOP.is_set():
            raise Interrupted
        with waited_for("an answer"):
            if threading.current_thread() is not threading.main_thread():
                return self._exchange(method, url, params, body, headers, timeout_s)
            # The main thread is the one that hears Ctrl-C, and hears nothing inside the library: it waits beside it.
            if self._beside is None:
                self._beside = ThreadPoolExecutor(1, "http")
            asked = self._beside.submit(self._exchange, method, url, params, body, headers, timeout_s)
            try:
                return asked.result()
            except KeyboardInterrupt:
                if not STOP.is_set():
                    self.cut()
                raise

    def _exchange(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        timeout_s: float | None,
    ) -> Answer:
        started, most_s = monotonic(), min(timeout_s or self._timeout_s, self._timeout_s)
        try:
            request = self._client.request(method, url)
            if most_s < self._timeout_s:
                request = request.timeout(timedelta(seconds=most_s))
            if params:
                request = request.query(dict(params))
            if headers:
                request = request.headers(dict(headers))
            asked = (request.body_bytes(body) if body is not None else request).build_streamed()
        except ClientClosedError:
            raise Interrupted from None
        except (PyreqwestError, ValueError):  # ValueError: no scheme or host
            raise BadInput(_NO_URL) from None
        try:
            with asked as response:
                told = _headers(response)
                content = _body(response, told.get("content-length", ""))
        except RequestTimeoutError:
            waited = f"{most_s:.0f} s"
            raise TooSlow(f"no whole answer within {waited}; try again later or another endpoint") from None
        except ClientClosedError:
            raise Interrupted from None
        except (PyreqwestError, ValueError) as error:  # ValueError: what came cannot be read, wherever that is seen
            if isinstance(error, BuilderError) and not url.lower().startswith(("http://", "https://")):
                raise BadInput(_NO_URL) from None
            kind = type(error).__name__.removesuffix("Error").lower()
            raise Retry(f"the connection failed ({kind}); try again later or another endpoint") from None
        return Answer(int(response.status), told, content, monotonic() - started)

    def close(self) -> None:
        """Close the pooled connections."""
        self._client.close()
        if self._beside is not None:
            self._beside.shutdown(wait=False)


def _headers(response: SyncResponse) -> dict[str, str]:
    """The headers by lower-case name, without those that cannot be read: any server on the way may write anything there.

    The library raises for a value that is no plain text, wherever it is looked at; nowhere else are its headers read.
    """
    found = dict[str, str]()
    for name in response.headers:
        with suppress(ValueError):
            found[name.lower()] = response.headers.getall(name)[-1]
    return found


def _body(response: SyncResponse, length: str) -> bytes:
    """The whole decompressed body, read piece by piece: a small compressed one may be of any size. Raises TooLarge.

    `length` is what the headers say, whatever that is.
    """
    if length.isascii() and length.isdigit() and (len(length) > _DIGITS or int(length) > MAX_ANSWER):
        raise TooLarge
    pieces, size = list[bytes](), 0
    while (piece := response.body_reader.read(_PIECE)) is not None:
        size += len(piece)
        if size > MAX_ANSWER:
            raise TooLarge
        pieces.append(bytes(piece))
    return b"".join(pieces)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait from a Retry-After header: a number (also fractional) or an HTTP date. None when absent or garbage."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            seconds = (moment - (now or datetime.now(UTC))).total_seconds()
        except (ValueError, ArithmeticError, LookupError, TypeError):  # dates that no calendar or zone has
            return None
    return max(0.0, seconds) if isfinite(seconds) else None
