"""Whose events are wanted is asked at both ends of a scan: a list that was replaced counts whole, an odd one not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from benchmarks.synthetic_lake import market
from tests.net.node import CHAIN_ID, Node, block_named, linear, pool_of
from tests.sources.answering import array, at

from cryptolake.contracts.partition import Partition, Period, days
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.net.abi import call_data
from cryptolake.net.blocks import Blocks
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.scans import LiquidationScan

FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
HOURLY = linear(int(FIRST_DAY.timestamp()) - 1, 3600)  # block 1 is the first of day 1, block 25 of day 2
REGISTRY, PROVIDER, BEFORE, AFTER = at(1), at(2), at(3), at(4)
PERIODS = list(days(FIRST_DAY.date(), FIRST_DAY.date().replace(day=2)))
LISTED = Csu(
    "listed",
    "aave_v2",
    "synthetic",
    "2",
    "test",
    CHAIN_ID,
    {"pool": "resolve_on_chain:getLendingPool()", "addresses_provider_registry": REGISTRY},
)
PLAIN = market("plain", "test")
Answer = Callable[[int], str]


def word(address: str) -> str:
    return f"0x{int(address, 16):064x}"


@dataclass
class Town(Node):
    """A chain with one registry, whose list is answered as `listed` says by block; None is a refusal, an error what it says."""

    listed: Callable[[int], str | None] = lambda _: "0x"
    pool: Answer = lambda _: word(AFTER)

    def _one(self, question: Mapping[str, Any]) -> dict[str, object]:
        if question["method"] != "eth_call":
            return super()._one(question)
        head: dict[str, object] = {"jsonrpc": "2.0", "id": question["id"]}
        data, block = question["params"][0]["data"], block_named(question["params"][1])
        if data == "0x" + call_data("ADDRESSES_PROVIDER()").hex():
            return head | {"result": word(PROVIDER)}
        if data == "0x" + call_data("getPool()").hex():
            return head | {"result": word(PLAIN.entry["pool"])}
        if data == "0x" + call_data("getLendingPool()").hex():
            return head | {"result": self.pool(block)}
        answer = self.listed(block)
        if answer is None:
            return head | {"error": {"code": -32000, "message": "response size exceeded"}}
        if answer == "revert":
            return head | {"error": {"code": 3, "message": "execution reverted"}}
        return head | {"result": answer}


def collected(node: Town, periods: Sequence[Period] = PERIODS) -> dict[str, list[Raw | Miss]]:
    """What a scan over two days (or these) gives for each market, in the order of the days."""
    pool = pool_of(node)
    scan = LiquidationScan(
        source="onchain",
        pool=pool,
        blocks=Blocks(pool),
        chain=Chain("test", CHAIN_ID),
        csus={"listed": LISTED, "plain": PLAIN},
        provenance={},
        journals=None,
        audit=0.0,
        watch=lambda _: None,
    )
    asked = [Partition("liquidations", name, period) for name in ("listed", "plain") for period in periods]
    found: dict[str, list[Raw | Miss]] = {"listed": [], "plain": []}
    for one in scan.run(asked):
        found[one.partition.key].append(one)
    return found


def emitters(raw: Raw | Miss) -> set[str]:
    assert isinstance(raw, Raw), raw
    return set(orjson.loads(raw.payload)["filters"])


SOUND = "0x" + array(PROVIDER).hex()


def town(at_first: str | None, **more: Any) -> Town:
    """The list is sound at the last block of the scan; at the first one it is as given."""
    nothing = at_first == "0x"
    return Town(
        HOURLY,
        1000,
        logs_of=lambda _: [],
        listed=lambda block: at_first if block < 30 else SOUND,
        code=lambda _to, block: "0x" if nothing and block < 30 else "0x6001",
        **more,
    )


def test_an_emitter_that_was_replaced_counts_on_every_day_of_the_scan() -> None:
    found = collected(town(SOUND, pool=lambda block: word(BEFORE if block < 30 else AFTER)))
    assert [emitters(one) for one in found["listed"]] == [{BEFORE, AFTER}] * 2


@pytest.mark.parametrize("answer", ["0x", "revert"])
def test_a_market_born_on_the_way_has_the_emitters_of_the_end(answer: str) -> None:
    found = collected(town(answer))
    assert [emitters(one) for one in found["listed"]] == [{AFTER}] * 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(None, "rpc"), ("0x1234", "layout"), ("0x" + "ff" * 64, "layout")],
    ids=["refused", "cut short", "odd"],
)
def test_a_list_that_is_refused_or_odd_is_no_empty_list(answer: str | None, reason: str) -> None:
    """The market fails by name on every day, it alone; no day of it passes for one without events."""
    found = collected(town(answer))
    assert [(one.state, one.reason) for one in found["listed"] if isinstance(one, Miss)] == [("failed", reason)] * 2
    assert len(found["listed"]) == 2
    assert [emitters(one) for one in found["plain"]] == [{PLAIN.entry["pool"]}] * 2


@pytest.mark.parametrize("replaced_at", [1, 2, 12, 24, 25, 36, 48])
@pytest.mark.parametrize("periods", [PERIODS, PERIODS[:1], PERIODS[1:]], ids=["both days", "the first", "the second"])
def test_whoever_was_replaced_within_any_day_of_a_scan_is_asked_for_logs(
    replaced_at: int, periods: Sequence[Period]
) -> None:
    """At noon of the first or the only day too; `replaced_at` is the first block that lists the other one."""
    node = Town(
        HOURLY,
        1000,
        logs_of=lambda _: [],
        listed=lambda _: SOUND,
        pool=lambda block: word(BEFORE if block < replaced_at else AFTER),
        code=lambda _to, _block: "0x6001",
    )
    found = collected(node, periods)
    first, last = (1 if periods[0] == PERIODS[0] else 25), (24 if periods[-1] == PERIODS[0] else 48)
    wanted = {BEFORE if block < replaced_at else AFTER for block in range(first, last + 1)}
    for one in found["listed"]:
        assert emitters(one) >= wanted
        grounds = orjson.loads(one.payload)["certificate"]["grounds"] if isinstance(one, Raw) else []
        assert [ground["block"] for ground in grounds if ground["what"] == "emitters"] == [first - 1, last]
