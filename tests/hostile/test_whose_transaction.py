"""Whatever an endpoint says of whose transaction a log is: no wrong hash that is called proven, and nobody honest is named.

Every place where transactions are named x who lies x grade x whether receipts can be proven. Real node, real HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import pytest
from tests.examples import representative
from tests.hostile.middleman import Change, honest
from tests.hostile.two_days import Day, World, over_claimed, truth_of_two_days, world_of_two_days

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.receipt_rules import ReceiptRule

FIXTURES = (world_of_two_days, truth_of_two_days)
pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
NAMED_IN = ("logs", "headers", "receipts", "whole blocks")
TOGETHER = [some for count in (1, 2, 4) for some in combinations(NAMED_IN, count)]


def other(tx: str) -> str:
    """Another transaction's hash."""
    return "0x" + f"{int(tx, 16) ^ 1:064x}"


def naming_others(*where: str) -> Change:
    """Names other transactions there."""

    def answered(question: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
        reply = ask(question)
        found, method = reply.get("result"), question["method"]
        if method == "eth_getLogs" and "logs" in where and isinstance(found, list):
            for log in found:
                log["transactionHash"] = other(log["transactionHash"])
        elif method == "eth_getBlockByNumber" and isinstance(found, dict):
            whole = bool(question["params"][1])
            if ("whole blocks" if whole else "headers") in where:
                found["transactions"] = [
                    one | {"hash": other(one["hash"]), "nonce": "0x7"} if whole else other(one)
                    for one in found["transactions"]
                ]
        elif method == "eth_getBlockReceipts" and "receipts" in where and isinstance(found, list):
            for receipt in found:
                receipt["transactionHash"] = other(receipt["transactionHash"])
        return reply

    return answered


@pytest.mark.parametrize(
    ("where", "grade", "rule"),
    representative(product(TOGETHER, ["two_voices", "receipts_root"], ["standard", None])),
)
def test_no_wrong_transaction_is_called_proven_and_nobody_honest_is_named(
    world: World, truth: dict[Partition, Day], where: tuple[str, ...], grade: Grade, rule: ReceiptRule | None
) -> None:
    liar = naming_others(*where)
    for changes in ((liar, honest), (honest, liar), (liar, honest, honest)):
        found = world.read(*changes, grade=grade, rule=rule)
        assert not over_claimed(found, truth), changes
        lying = {f"server-{changes.index(liar)}"}
        assert {name for day in found.values() for name in day.liars} <= lying
        if rule is None and "logs" in where:  # nothing proves whose it is
            assert any(day.suspect for day in found.values())
        elif rule is not None:
            assert {one: day.rows for one, day in found.items()} == {one: day.rows for one, day in truth.items()}
