"""What an endpoint's error means is told from its body, in the wordings providers really use."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cryptolake.errors import Narrow, Retry, Stop
from cryptolake.net.faults import Elsewhere, RpcFault, Spent, TooFast, classify
from cryptolake.net.http import retry_after


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("eth_getLogs is limited to a 10,000 range", 10_000),
        ("exceed maximum block range: 50000", 50_000),
        ("Max range: 800", 800),
        ("requested too many blocks from 1 to 9, maximum is set to 2048", 2048),
        ("Maximum allowed number of requested blocks is 1000", 1000),
        ("range 5000 exceeds limit of 1000", 1000),
        ("query exceeds max block range 50", 50),
        ("eth_getLogs range is too large, max is 1k blocks", 1000),
        ("this block range should work: [0x10, 0x1f]", 16),
        ("block range is too wide", None),
        ("Block range limit exceeded.", None),
        ("query returned more than 10000 results", None),
        ("query exceeds max results 20000", None),
    ],
)
def test_a_refused_range_names_what_would_do(message: str, hint: int | None) -> None:
    fault = classify(-32000, message)
    assert isinstance(fault, Narrow)
    assert fault.hint == hint


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (3, "execution reverted: 57", RpcFault),
        (-32000, "execution reverted", RpcFault),
        (-32000, "missing trie node 0xabc (path ) state is not available", Elsewhere),
        (-32000, "header not found", Elsewhere),
        (-32601, "the method eth_getLogs does not exist/is not available", Elsewhere),
        (429, "Your app has exceeded its compute units per second capacity", TooFast),
        (-32005, "daily request count exceeded, request rate limited", Spent),
        (-32000, "invalid api key", Stop),
        (-32603, "internal error", Retry),
    ],
)
def test_errors_are_told_apart(code: int, message: str, kind: type) -> None:
    assert isinstance(classify(code, message), kind)


def test_the_wait_asked_for() -> None:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    assert retry_after("2", now) == 2
    assert retry_after("0.5", now) == 0.5
    assert retry_after("0", now) == 0
    assert retry_after("Mon, 01 Jan 2024 00:00:09 GMT", now) == 9
    assert retry_after("soon", now) is retry_after(None, now) is None
