"""Two days of the fortnight, one with liquidations, read through servers that change answers; and which days claim too much.

Real node, real HTTP. What does not belong here: what is changed (the tests), and what a whole lake makes of it (lakes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from tests.chain.anvil import MULTICALL3
from tests.chain.scenario import Fortnight
from tests.hostile.middleman import Change, Middleman, honest
from tests.hostile.server import Hostile
from tests.net.node import Node
from tests.sources.test_onchain_equals_contracts import DAYS, csu_on

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.receipt_rules import ReceiptRule
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.sources.onchain.grading import graded
from cryptolake.sources.onchain.source import OnchainSource

EVENTFUL = DAYS[4:6]  # three liquidations on the first, none on the second
Header = dict[str, Any]


def midnight(header: Header, fortnight: Fortnight) -> Header:
    return {**header, "timestamp": hex(fortnight_end(EVENTFUL[0]))}


def fortnight_end(day: Any) -> int:
    return int(Period.of_day(day).end.timestamp())


def places(fortnight: Fortnight) -> Mapping[str, Sequence[int]]:
    """The blocks of each use."""
    last = fortnight.last_block_of(EVENTFUL[0])
    events = sorted({one.block for one in fortnight.liquidations_on(EVENTFUL[0])})
    return {
        "last of the day": [last],
        "last two of the day": [last - 1, last],
        "first of the next": [last + 1],
        "events": events,
        "from the last event on": list(range(events[-1], last + 1)),
        "the chain's first": [0],
        "all": list(range(1000)),
    }


@dataclass(frozen=True)
class Day:
    """What a partition came to: rows where it landed, and how far they are said to be proven."""

    rows: Sequence[Mapping[str, Any]] | None
    grade: str
    suspect: bool = False
    liars: tuple[str, ...] = ()


@dataclass
class World:
    """Reads two days of the fortnight through middlemen."""

    fortnight: Fortnight

    def read(
        self,
        *changes: Change,
        rule: ReceiptRule | None = "standard",
        grade: Grade = "two_voices",
        cache: Path | None = None,
        besides: Sequence[int] = (),
        unknown: Sequence[int] = (),
    ) -> dict[Partition, Day]:
        csu = csu_on(self.fortnight)
        wanted = [Partition(name, csu.name, Period.of_day(day)) for name in ("liquidations", "tvl") for day in EVENTFUL]
        with ExitStack() as stack:
            http = Http()
            stack.callback(http.close)
            urls = [
                stack.enter_context(Hostile(cast(Node, Middleman(self.fortnight.node.url, change)))).url
                for change in changes
            ]
            endpoints = [
                Endpoint(
                    f"server-{n}",
                    SecretUrl(url),
                    Limits(rate=500 if n else 10_000, log_span=10, most_blocks=10),
                    operator="" if n in unknown else f"operator-{n}",
                    besides=n in besides,
                )
                for n, url in enumerate(urls)
            ]
            pool = Pool("local", 31337, endpoints, http, sleep=lambda _: None)
            chain = Chain("local", 31337, multicall3_address=MULTICALL3, multicall3_block=0, receipts=rule)
            source = OnchainSource(
                registry=Registry({csu.name: csu}, {"local": chain}),
                csus=[csu],
                pools=lambda _: pool,
                block_cache=None if cache is None else FileBlockCache(cache),
                audit=0.02,
                grade=grade,
            )
            return {one: day for trip in source.trips(wanted) for one, day in _days(source, source.fetch(trip))}


def _days(source: OnchainSource, outcomes: Iterator[Raw | Miss]) -> Iterator[tuple[Partition, Day]]:
    for one in outcomes:
        if isinstance(one, Miss):
            yield one.partition, Day(None, one.state)
        else:
            told = orjson.loads(one.payload).get("certificate", {})
            rows = [{**row, "hash of its block": one.block_hash} for row in source.parse(one)]
            yield (
                one.partition,
                Day(rows, graded(one).grade, told.get("verdict") == "suspect", tuple(told.get("liars", ()))),
            )


def lying(change: Callable[[Header, Fortnight], Header], blocks: Sequence[int], fortnight: Fortnight) -> Change:
    """Says otherwise of the headers of these blocks."""

    def answered(question: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
        if question["method"] != "eth_getBlockByNumber":
            return None
        reply = ask(question)
        header = reply.get("result")
        if isinstance(header, dict) and int(header["number"], 16) in blocks:
            reply["result"] = change(header, fortnight)
        return reply

    return answered


def over_claimed(found: Mapping[Partition, Day], truth: Mapping[Partition, Day]) -> list[tuple[str, Day]]:
    """Days that are wrong, and say that two operators bear them out."""
    return [
        (str(one), day)
        for one, day in found.items()
        if day.grade not in ("one_voice", "failed") and not day.suspect and day.rows != truth[one].rows
    ]


@pytest.fixture(scope="module", name="world")
def world_of_two_days(aave_fortnight: Fortnight) -> World:
    """The two days; a test module takes this fixture by importing it."""
    return World(aave_fortnight)


@pytest.fixture(scope="module", name="truth")
def truth_of_two_days(world: World) -> dict[Partition, Day]:
    """What an honest endpoint alone gives: every day, as one operator's word."""
    found = world.read(honest)
    assert all(one.rows is not None for one in found.values())
    assert {one.grade for one in found.values()} == {"one_voice"}
    return found
