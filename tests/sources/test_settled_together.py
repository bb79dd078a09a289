"""Days that are settled together give what they give alone, for fewer calls, from a real EVM node."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
from tests.chain.scenario import PRICELESS, Fortnight
from tests.sources.test_onchain_equals_contracts import DAYS, csu_on

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Answer, Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.sources.onchain.source import OnchainSource

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"


class Counting(Http):
    """Real HTTP that counts the calls by method."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self._counting = threading.Lock()

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        document = orjson.loads(body)
        with self._counting:
            self.calls.update(one["method"] for one in (document if isinstance(document, list) else [document]))
        return super().post(url, body, headers=headers)


def counting_source(fortnight: Fortnight) -> tuple[OnchainSource, Counting]:
    http, csu = Counting(), csu_on(fortnight)
    chain = Chain("local", 31337, multicall3_address=MULTICALL3, multicall3_block=0)
    pool = Pool("local", 31337, [Endpoint("anvil", SecretUrl(fortnight.node.url), Limits(rate=10_000))], http)
    registry = Registry({csu.name: csu}, {"local": chain})
    return OnchainSource(registry=registry, csus=[csu], pools=lambda _: pool, audit=0.02), http


def told(raw: object) -> dict[str, Any]:
    """An answer without the instant of asking."""
    assert isinstance(raw, Raw)
    document: dict[str, Any] = orjson.loads(raw.payload)
    document["certificate"].pop("asked_at")
    return document


def facts(document: Mapping[str, Any]) -> set[str]:
    """The calls and answers behind an answer, in whatever rounds they were asked."""
    return {str(call) for stored in document["context"] for call in stored}


def test_days_settled_together_are_those_settled_alone_for_fewer_calls(aave_fortnight: Fortnight) -> None:
    source, http = counting_source(aave_fortnight)
    partitions = [Partition("liquidations", "local", Period.of_day(day)) for day in DAYS]
    (trip,) = source.trips(partitions)
    together = {raw.partition: told(raw) for raw in source.fetch(trip) if isinstance(raw, Raw)}
    apart, alone = {}, Counter[str]()
    for partition in partitions:
        lonely, counted = counting_source(aave_fortnight)
        (trip,) = lonely.trips([partition])
        (raw,) = lonely.fetch(trip)
        apart[partition] = told(raw)
        alone += counted.calls
    assert list(together) == partitions
    for partition in partitions:
        one, other = together[partition], apart[partition]
        assert facts(one) == facts(other)
        for document in (one, other):
            document.pop("context")
            document["certificate"].pop("windows")  # a window may cover several days
            document["certificate"].pop("grounds")  # so may the blocks at which the emitters were named
        assert one == other
    assert http.calls["eth_call"] < alone["eth_call"]
    assert http.calls["eth_getBlockByNumber"] <= alone["eth_getBlockByNumber"]


def test_the_first_snapshot_teaches_all_that_were_begun_with_it(aave_fortnight: Fortnight) -> None:
    untaught, counted = counting_source(aave_fortnight)
    listed = {day: aave_fortnight.market.listed(aave_fortnight.last_block_of(day)) for day in DAYS}
    alike = [day for day in DAYS if listed[day] == listed[DAYS[-1]] and day != PRICELESS[1]]
    days = [Partition("tvl", "local", Period.of_day(day)) for day in alike]
    assert len(days) > 2
    (trip,) = untaught.trips(days[:1])
    list(untaught.fetch(trip))
    source, http = counting_source(aave_fortnight)
    with ThreadPoolExecutor(len(days)) as threads:
        answers = list(threads.map(lambda trip: list(source.fetch(trip)), source.trips(days)))
    assert all(isinstance(raw, Raw) for (raw,) in answers)
    assert http.calls["eth_chainId"] == 1
    assert http.calls["eth_call"] == counted.calls["eth_call"] + len(days) - 1
    assert counted.calls["eth_call"] > 1
