"""alternative.me: the Fear & Greed index of the crypto market, one value a day since 2018. See docs/sources/alternative_me.md.

What does not belong here: which point of a series counts (`silver.metrics`) and where answers are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from cryptolake.contracts.contact import Assumption, readable, told
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.reading import drift, instant, no_json, read_json, typed
from cryptolake.contracts.source import Asked, Dataset, Row, Trip
from cryptolake.contracts.vendor import Vendor
from cryptolake.net.access import Access
from cryptolake.net.conversation import Patience, Refusal, Tally, converse, worth_keeping
from cryptolake.net.http import Answer, retry_after

FEAR_GREED = Dataset(
    "fear_greed",
    feeds="metrics",
    doc="Fear & Greed index of the crypto market, 0 (extreme fear) to 100 (extreme greed), since 2018",
    reach="whole_history",
)
VENDOR = Vendor(  # the vendor publishes 60 calls a minute
    name="alternative_me", hosts={"alternative_me": "https://api.alternative.me"}, per_minute=60, burst=1
)
KEY = "crypto"  # the index knows one market; also the `asset` of its rows
METRIC = "FEAR_GREED_INDEX"
_LIMITED_PAUSE_S = 5.0


class AlternativeMe:
    """One host, one series. `patience`, `asked_at` and the gates of `access` are replaceable for tests."""

    name = VENDOR.name
    datasets: Sequence[Dataset] = (FEAR_GREED,)

    def __init__(
        self, access: Access, *, patience: Patience | None = None, asked_at: Callable[[], datetime] | None = None
    ) -> None:
        self._access, self._asked_at = access, asked_at or access.now
        self._provenance = {"endpoint": self.name, **access.provenance}
        self._patience = patience or Patience(limited_pause_s=_LIMITED_PAUSE_S)
        self._tally = Tally()

    @property
    def asked(self) -> Asked:
        """Requests sent since the source was opened, and how many met a 429."""
        return self._tally.asked

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
        answer = worth_keeping(
            converse(
                self._access.http,
                f"{self._access.base(VENDOR)}/fng/",
                params=params,
                limiter=self._access.limiter(VENDOR),
                tally=self._tally,
                judge=_judge,
                patience=self._patience,
            )
        )
        for partition in trip.partitions:
            if isinstance(answer, Refusal):
                yield Miss(partition, "failed", answer.reason, f"{self.name}: {answer.message}")
            else:
                request = {"method": "GET", "path": "/fng/", **params}
                yield Raw(partition, self.name, asked_at, asked_at, answer, request, self._provenance)

    def parse(self, raw: Raw) -> Sequence[Row]:
        """Rows of `metrics` in the vendor's order (newest first). Raises Skip for a changed layout."""
        what = f"{self.name} {raw.partition.key}"
        try:
            document = read_json(raw.payload)
        except ValueError:
            raise no_json(what) from None
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
    return AlternativeMe(access)


def first_contact(access: Access) -> Iterator[Assumption]:
    """The whole history is read, and is as long as it is said to be."""
    source = AlternativeMe(access, patience=Patience(attempts=2))
    yield from readable(source, access.now())
    today = Partition(FEAR_GREED.name, KEY, Period.of_day(access.now().date()))
    yield Assumption(
        "anchor",
        "the history reaches back to 2018",
        lambda: told(source, today, lambda row: isinstance(at := row["pulled_at"], datetime) and at.year == 2018),
    )


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
        return Refusal("rate_limited", "too many requests (429); wait, then run again", True, after_s)
    if status >= 500 or status == 408:
        return Refusal("unreachable", f"the vendor is in trouble ({status}); run the same command later", True, after_s)
    if status != 200:
        return Refusal("refused", f"answered with status {status}; check CRYPTOLAKE_URL_ALTERNATIVE_ME")
    try:
        document = read_json(answer.body)
    except ValueError:
        return Refusal("unreadable", "the answer is no JSON", again=True)
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if isinstance(metadata, dict) and metadata.get("error"):
        return Refusal("vendor_error", "an error came inside a good answer; run the same command later")
    if isinstance(document, dict) and document.get("data") == []:
        return Refusal("empty_answer", "the answer holds no values; run the same command later")
    return None
