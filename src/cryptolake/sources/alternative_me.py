"""alternative.me: the Fear & Greed index of the crypto market, one value a day since 2018. See docs/sources/alternative_me.md.

What does not belong here: which point of a series counts (`silver.metrics`) and where answers are kept.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.reading import drift, instant, read_json, typed
from cryptolake.contracts.source import Dataset, Row, Trip
from cryptolake.errors import Skip
from cryptolake.net.access import Access
from cryptolake.net.asking import Conversation, Refusal
from cryptolake.net.http import Answer, Http, retry_after
from cryptolake.net.limiter import Limiter

FEAR_GREED = Dataset(
    "fear_greed",
    feeds="metrics",
    doc="Fear & Greed index of the crypto market, 0 (extreme fear) to 100 (extreme greed), since 2018",
    reach="whole_history",
)
URL = "https://api.alternative.me"
KEY = "crypto"  # the index knows one market; also the `asset` of its rows
METRIC = "FEAR_GREED_INDEX"
_HOST = "alternative_me"  # the setting that overrides the base URL
_CALLS_PER_S = 1.0  # the vendor publishes 60 a minute


class AlternativeMe:
    """One host, one series. `sleep`, `jitter` (0 to 1) and `asked_at` are replaceable for tests."""

    name = "alternative_me"
    datasets: Sequence[Dataset] = (FEAR_GREED,)

    def __init__(
        self,
        http: Http,
        *,
        url: str = URL,
        provenance: Mapping[str, str] | None = None,
        attempts: int = 5,
        asked_at: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._url, self._asked_at = url.rstrip("/"), asked_at
        self._provenance = {"endpoint": _HOST, **(provenance or {})}
        limiter = Limiter(_CALLS_PER_S, sleep=sleep)
        self._conversation = Conversation(http, limiter, _judge, attempts=attempts, sleep=sleep, jitter=jitter)

    def keys(self, dataset: str) -> Sequence[str]:
        """The one series."""
        del dataset
        return [KEY]

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """One per granularity: an answer holds the whole history (days) or the newest values (hours, live pulls)."""
        by_kind: dict[str, list[Partition]] = {}
        for partition in sorted(partitions):
            by_kind.setdefault(partition.period.granularity, []).append(partition)
        for members in by_kind.values():
            yield Trip(self.name, FEAR_GREED.name, tuple(members))

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Ask once for the trip. Refusals become Misses; an unreadable body is kept as Raw."""
        asked_at = self._asked_at()
        params = {"limit": "2" if trip.partitions[0].period.granularity == "hour" else "0", "format": "json"}
        answer = self._conversation.ask(f"{self._url}/fng/", params=params)
        for partition in trip.partitions:
            if isinstance(answer, Refusal) and answer.body is None:
                yield Miss(partition, "failed", answer.reason, f"{self.name}: {answer.message}")
            else:
                request = {"method": "GET", "path": "/fng/", **params}
                yield Raw(partition, self.name, asked_at, asked_at, answer.body or b"", request, self._provenance)

    def parse(self, raw: Raw) -> Sequence[Row]:
        """Rows of `metrics` in the vendor's order (newest first). Raises Skip for a changed layout."""
        what = f"{self.name} {raw.partition.key}"
        try:
            document = read_json(raw.payload)
        except ValueError:
            raise Skip(f"{what}: the stored answer is no JSON; collect it again", reason="unreadable") from None
        points = document.get("data") if isinstance(document, dict) else None
        if not isinstance(points, list):
            raise drift(what, "data (a list)")
        rows: list[Row] = []
        for point in points:
            if not isinstance(point, dict):
                raise drift(what, "point (an object)")
            rows.append(
                {
                    "pulled_at": instant(what, "timestamp", point.get("timestamp")),
                    "source": self.name,
                    "asset": KEY,
                    "metric_name": METRIC,
                    "value": _index(what, point.get("value")),
                }
            )
        return rows


def open_source(access: Access) -> AlternativeMe:
    """The source as the app opens it; CRYPTOLAKE_URL_ALTERNATIVE_ME overrides the host."""
    return AlternativeMe(access.http, url=access.url(_HOST, URL), provenance=access.provenance, asked_at=access.now)


def _index(what: str, value: object) -> float:
    """0 to 100; the vendor writes it as text. Anything else is a changed format, not a value."""
    try:
        number = typed(what, "value", "float64", float(value) if isinstance(value, str) else value)
    except ValueError:
        raise drift(what, "value (a number)") from None
    if not isinstance(number, float) or not 0 <= number <= 100:
        raise drift(what, "value between 0 and 100")
    return number


def _judge(answer: Answer) -> Refusal | None:
    """Why an answer is none; None for a good one. The vendor puts errors into `metadata.error` with status 200."""
    status = answer.status
    after_s = retry_after(answer.headers.get("retry-after"))
    if status == 429:
        return Refusal("rate_limited", "too many requests (429); wait, then run again", True, after_s, limited=True)
    if status >= 500 or status == 408:
        return Refusal("unreachable", f"the vendor is in trouble ({status}); run the same command later", True, after_s)
    if status != 200:
        return Refusal("refused", f"answered with status {status}; check CRYPTOLAKE_URL_{_HOST.upper()}")
    try:
        document = read_json(answer.body)
    except ValueError:
        return Refusal("unreadable", "the answer is no JSON", again=True, body=answer.body)
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if isinstance(metadata, dict) and metadata.get("error"):
        return Refusal("vendor_error", "an error came inside a good answer; run the same command later")
    if isinstance(document, dict) and document.get("data") == []:
        return Refusal("empty_answer", "the answer holds no values; run the same command later")
    return None
