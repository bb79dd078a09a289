"""Answers that are nested too deep: every vendor's, whole or with a pit somewhere, over real HTTP. Refused, never a crash."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from tests.examples import representative
from tests.loopback import Answer, serving, target
from tests.waiting import PATIENCE_S

from cryptolake.catalogue import fed_by_any_source
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.reading import kept_json, read_json
from cryptolake.contracts.source import Prepares, Source
from cryptolake.demo import invented
from cryptolake.errors import CryptolakeError
from cryptolake.net import conversation
from cryptolake.net.access import Access
from cryptolake.net.envelope import decoded, replies
from cryptolake.net.gates import Gates
from cryptolake.net.http import Answer as Sent
from cryptolake.net.http import Http
from cryptolake.net.logs import LogFilter, LogQuestion, parse_logs
from cryptolake.net.verbatim import members
from cryptolake.sources import exchanges
from cryptolake.sources.found import find_sources, open_all

NOW = datetime.now(UTC)
BRACKETS = (("[", "]"), ('{"a":', "}"))
PITS = (  # some writers give up at the first depth, some readers at the second, all of them at the third
    *(
        opening * depth + "1" + closing * depth
        for depth, (opening, closing) in product((300, 2_000, 100_000), BRACKETS)
    ),
    *(opening * 100_000 for opening, _ in BRACKETS),
)
PLACES = 3  # in each true answer, beside the whole of it
WAYS = ("pull", "backfill")
FOUND = find_sources()
SOURCES = [file.vendor.name for file in FOUND.files if file.vendor is not None and file.open_source is not None]


class Digger:
    """A vendor's server: its true answers (invented) with a pit at one place, counted in the order of reading."""

    def __init__(self) -> None:
        self.pit, self.place, self.url = "", -1, ""
        self.truth: Any = None  # instead of the invented one

    def answer(self, path: str, _headers: Mapping[str, str]) -> Answer:
        asked, query = target(path)
        try:
            truth = invented.answer(asked, query, NOW)
        except (KeyError, ValueError):
            truth = None
        if truth is None:
            truth = self.truth
        return 200, {}, self.dug(truth).encode()

    def dug(self, truth: object) -> str:
        """The answer's text; place -1 is the whole of it."""
        if self.place < 0 or truth is None:
            return self.pit
        spots, mark = _spots(truth), "the pit"
        if not spots:
            return self.pit
        holder, key = random.Random(self.place).choice(spots)
        holder[key] = mark
        return json.dumps(truth).replace(json.dumps(mark), self.pit)


def _spots(value: Any) -> list[tuple[Any, Any]]:
    """Every place of a document, as its holder and key."""
    inside = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [spot for key, one in inside for spot in [(value, key), *_spots(one)]]


@pytest.fixture
def digger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Digger]:
    # what is asked again is asked again at once
    monkeypatch.setattr(conversation, "_wait", lambda *_: None)
    monkeypatch.setattr(
        exchanges.Exchanges.__init__,
        "__kwdefaults__",
        {**(exchanges.Exchanges.__init__.__kwdefaults__ or {}), "sleep": lambda _s: None},
    )
    found = Digger()
    with serving(found.answer) as found.url:
        yield found


def access_to(digger: Digger, http: Http) -> Access:
    hosts = {host for file in FOUND.files if file.vendor is not None for host in file.vendor.hosts}
    return Access(
        http,
        {host: f"{digger.url}{invented.PREFIX}{host}" for host in hosts},
        dict.fromkeys(FOUND.keys, "key"),
        gates=Gates(sleep=lambda _s: None),
    )


@pytest.mark.parametrize(("name", "place"), representative(product(SOURCES, range(-1, PLACES)), times=2))
def test_no_vendors_depth_crashes(digger: Digger, name: str, place: int) -> None:
    http = Http(timeout_s=PATIENCE_S)
    digger.place = place
    try:
        for digger.pit in PITS:
            access = access_to(digger, http)
            source = open_all(FOUND, access, fed_by_any_source(), ()).all()[name]
            for way, dataset in product(WAYS, source.datasets):
                period = Period.of_hour(NOW) if way == "pull" else Period.of_day(NOW.date() - timedelta(days=1))
                for key in list(source.keys(dataset.name))[:1]:
                    refused_or_read(source, Partition(dataset.name, key, period))
            for file in FOUND.files:
                if file.vendor is not None and file.vendor.name == name and file.try_key is not None:
                    file.try_key(access)
    finally:
        http.close()


def refused_or_read(source: Source, partition: Partition) -> None:
    """What it says to the partition; anything but rows, a miss or an error with a reaction is a crash."""
    try:
        if isinstance(source, Prepares):
            source.prepare([partition.dataset], partition.period.granularity)
        for trip in source.trips([partition]):
            for one in source.fetch(trip):
                if isinstance(one, Raw):
                    source.parse(one)
    except CryptolakeError as error:
        assert str(error)


@pytest.mark.parametrize("name", [one.name for one in FOUND.price_sources.values() if one.asked == "missing"])
def test_no_price_sources_depth_crashes(digger: Digger, name: str) -> None:
    http = Http(timeout_s=PATIENCE_S)
    day = Period.of_day(NOW.date() - timedelta(days=1))
    at = int(day.end.timestamp())
    coins = {
        "prices": [[at * 1000, 1.0]],
        "coins": {"coingecko:ethereum": {"prices": [{"timestamp": at, "price": 1.0}]}},
    }
    try:
        for digger.pit, digger.place in product(PITS, range(-1, PLACES)):
            digger.truth = json.loads(json.dumps(coins))
            access = access_to(digger, http)
            (dataset,) = {one.name for one in FOUND.price_source(name, access, {}, {}).datasets}
            wanted = {Partition(dataset, "any", day): {"eth": at}}
            refused_or_read(FOUND.price_source(name, access, {}, wanted), *wanted)
    finally:
        http.close()


READERS: dict[str, Callable[[bytes], object]] = {
    "a vendor's answer": read_json,
    "its members": lambda body: members(body, "a"),
    "its error": conversation.judge_body,
    "a result": decoded,
    "an envelope": lambda body: replies(Sent(200, {}, body, 0.0), ["eth_call"]),
    "an envelope's result": lambda body: replies(Sent(200, {}, b'{"id":0,"result":' + body + b"}", 0.0), ["eth_call"]),
    "an envelope's error": lambda body: replies(Sent(200, {}, b'{"id":0,"error":' + body + b"}", 0.0), ["eth_call"]),
    "logs": lambda body: LOGS.read(body, 0, 9),
    "logs one by one": lambda body: LOGS.salvage(b"[" + body + b"]", 0, 9),
    "a field of a log": lambda body: LOGS.salvage(b'[{"address":"0x","more":' + body + b"}]", 0, 9),
    "kept logs": parse_logs,
    "a kept part": lambda body: kept_json("vendor key", read_json(body)),
}
LOGS = LogQuestion("test", [LogFilter("0x" + "0" * 40, frozenset({"0x" + "0" * 64}))])


@pytest.mark.parametrize("reader", READERS)
def test_no_readers_depth_crashes(reader: str) -> None:
    for pit in PITS:
        with suppress(CryptolakeError, ValueError):
            READERS[reader](pit.encode())
