"""The HTTP client: bytes in, bytes out, transport failures as Retry. Knows no vendor, no JSON and no limits.

The only file that imports the HTTP library. URLs never appear in an error: they may hold a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Protocol

from pyreqwest.client import SyncClientBuilder
from pyreqwest.exceptions import BuilderError, PyreqwestError, RequestTimeoutError

from cryptolake.errors import BadInput, Narrow, Retry

MAX_ANSWER = 256 * 1024 * 1024  # bytes; the largest honest answer seen is about 20 MB (DefiLlama, USDT history)


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
    """A pooled, thread-safe, blocking client. `timeout_s` bounds one whole request."""

    def __init__(self, *, timeout_s: float = 60.0, max_connections: int = 64) -> None:
        self._client = (
            SyncClientBuilder()
            .timeout(timedelta(seconds=timeout_s))
            .connect_timeout(timedelta(seconds=min(10.0, timeout_s)))
            .max_connections(max_connections)
            .user_agent("cryptolake")
            .gzip(True)
            .build()
        )

    def get(
        self, url: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """GET `url`. Any status is an answer; raises Retry when there was none (refused, reset, timeout, cut short)."""
        return self._send("GET", url, params=params, body=None, headers=headers)

    def post(self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None) -> Answer:
        """POST `body` to `url`; as `get`."""
        return self._send("POST", url, params=None, body=body, headers=headers)

    def _send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        started = monotonic()
        try:
            request = self._client.request(method, url)
            if params:
                request = request.query(dict(params))
            if headers:
                request = request.headers(dict(headers))
            built = request.body_bytes(body).build() if body is not None else request.build()
            response = built.send()
            length = response.headers.get("content-length")
            if length is not None and length.isdigit() and int(length) > MAX_ANSWER:
                raise Narrow(f"an answer of {int(length) // 2**20} MB was refused; ask for less at a time")
            content = bytes(response.bytes())
        except RequestTimeoutError:
            raise Retry("no answer in time; try again later or another endpoint") from None
        except (BuilderError, ValueError):  # ValueError: no scheme or host, seen before anything is built
            raise BadInput("an address to ask is no URL; look at CRYPTOLAKE_RPC_* and CRYPTOLAKE_URL_*") from None
        except PyreqwestError as error:
            kind = type(error).__name__.removesuffix("Error").lower()
            raise Retry(f"the connection failed ({kind}); try again later or another endpoint") from None
        return Answer(
            int(response.status), {k.lower(): v for k, v in response.headers.items()}, content, monotonic() - started
        )

    def close(self) -> None:
        """Close the pooled connections."""
        self._client.close()


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait from a Retry-After header: a number (also fractional) or an HTTP date. None when absent or garbage."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if seconds == seconds and seconds != float("inf") else None
