"""The Fear & Greed index over real HTTP, in every way of not answering, and its recorded year read back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from tests.loopback import Answer, serving
from tests.waiting import PATIENCE_S

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.errors import Skip
from cryptolake.net.access import Access
from cryptolake.net.conversation import Patience
from cryptolake.net.gates import Gates
from cryptolake.net.http import Http
from cryptolake.silver.metrics import TABLE as METRICS
from cryptolake.silver.metrics import conform_backfill, conform_live
from cryptolake.sources.alternative_me import KEY, AlternativeMe, open_source

NOW = datetime(2025, 4, 22, 13, 0, tzinfo=UTC)
DAY = Partition("fear_greed", KEY, Period.of_day(NOW.date()))
BODY = json.dumps(
    {
        "name": "Fear and Greed Index",
        "data": [
            {"value": "47", "value_classification": "Neutral", "timestamp": "1745280000", "time_until_update": "6023"},
            {"value": "0", "value_classification": "Extreme Fear", "timestamp": "1745193600"},
        ],
        "metadata": {"error": None},
    }
).encode()


class Vendor:
    """Answers from a list (the last reply repeats) and remembers what it was asked."""

    def __init__(self) -> None:
        self.url, self.replies, self.asked = "", [(200, BODY)], list[str]()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    found = Vendor()

    def answer(asked: str, _headers: Mapping[str, str]) -> Answer:
        found.asked.append(asked)
        status, body = found.replies.pop(0) if len(found.replies) > 1 else found.replies[0]
        return status, {}, body

    with serving(answer) as found.url:
        yield found


@pytest.fixture
def source(vendor: Vendor) -> Iterator[AlternativeMe]:
    http = Http(timeout_s=PATIENCE_S)
    access = Access(http, urls={"alternative_me": vendor.url}, gates=Gates(sleep=lambda _s: None))
    yield AlternativeMe(access, patience=Patience(sleep=lambda _s: None), asked_at=lambda: NOW)
    http.close()


def ask(source: AlternativeMe, *partitions: Partition) -> list[Raw | Miss]:
    return [outcome for trip in source.trips(partitions or (DAY,)) for outcome in source.fetch(trip)]


def raw(body: bytes) -> Raw:
    return Raw(DAY, "alternative_me", NOW, NOW, body)


def test_one_question_holds_the_whole_history(source: AlternativeMe, vendor: Vendor) -> None:
    hour = Partition("fear_greed", KEY, Period.of_hour(NOW))
    other = Partition("fear_greed", KEY, Period.of_day(NOW.date() - timedelta(days=1)))
    found = ask(source, DAY, other, hour)
    assert len(found) == 3
    assert sorted(vendor.asked) == ["/fng/?limit=0&format=json", "/fng/?limit=2&format=json"]
    assert isinstance(found[0], Raw)
    rows = source.parse(found[0])
    assert [row["value"] for row in rows] == [47.0, 0.0], "zero is a value"
    assert conform_live(rows, NOW).rows() == [(datetime(2025, 4, 22), "alternative_me", KEY, "FEAR_GREED_INDEX", 47.0)]
    assert conform_backfill(rows, NOW).height == 1, "the running day belongs to live pulls"


@pytest.mark.parametrize(
    ("status", "body", "reason", "questions"),
    [
        (429, b"", "rate_limited", 5),
        (502, b"", "unreachable", 5),
        (404, b"", "refused", 1),
        (200, b'{"data":[],"metadata":{"error":null}}', "empty_answer", 1),
        (200, b'{"data":[{"value":"1"}],"metadata":{"error":"maintenance"}}', "vendor_error", 1),
    ],
)
def test_a_refusal_is_told_apart(
    source: AlternativeMe, vendor: Vendor, status: int, body: bytes, reason: str, questions: int
) -> None:
    vendor.replies = [(status, body)]
    (outcome,) = ask(source)
    assert isinstance(outcome, Miss)
    assert (outcome.state, outcome.reason) == ("failed", reason)
    assert vendor.url not in outcome.message
    assert len(vendor.asked) == questions


def test_an_unreadable_body_is_kept(source: AlternativeMe, vendor: Vendor) -> None:
    vendor.replies = [(200, b"<html>")]
    (outcome,) = ask(source)
    assert isinstance(outcome, Raw)
    assert outcome.payload == b"<html>"
    with pytest.raises(Skip, match="no JSON"):
        source.parse(outcome)


@pytest.mark.parametrize(
    "point",
    [
        {"value": "101"},
        {"value": "-1"},
        {"value": "high"},
        {"value": None},
        {"value": "nan"},
        {"timestamp": "yesterday"},
        7,
    ],
)
def test_a_changed_layout_is_drift(source: AlternativeMe, point: object) -> None:
    whole = {"value": "47", "timestamp": "1745280000"}
    body = json.dumps({"data": [{**whole, **point} if isinstance(point, dict) else point]}).encode()
    with pytest.raises(Skip) as caught:
        source.parse(raw(body))
    assert caught.value.reason == "schema_drift"


def test_the_app_may_move_the_host(vendor: Vendor) -> None:
    http = Http()
    (outcome,) = ask(open_source(Access(http, urls={"alternative_me": vendor.url + "/"})))
    http.close()
    assert isinstance(outcome, Raw)


def test_a_year_is_read_whole(source: AlternativeMe) -> None:
    midnight = int(datetime(2025, 4, 22, tzinfo=UTC).timestamp())
    points = [{"value": str(n * 37 % 101), "timestamp": str(midnight - n * 86_400)} for n in range(365)]
    rows = source.parse(raw(json.dumps({"data": points}).encode()))
    assert [row["value"] for row in rows] == [float(point["value"]) for point in points]
    frame = conform_backfill(rows, NOW)
    assert frame.height == len(points) - 1
    assert not METRICS.violations(frame)
    assert frame["pulled_at"].dt.hour().max() == 0
