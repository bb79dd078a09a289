"""The family cap without a node: recorded answers of the protocol's own code, selectors, how two events are joined."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.errors import Skip
from cryptolake.net.abi import WORD, checksum, selector, topic
from cryptolake.net.logs import Log, parse_logs
from cryptolake.net.multicall import replay, transcript_from_json
from cryptolake.registry.loader import load_registry
from cryptolake.sources.onchain import cap
from cryptolake.sources.onchain.families import declared

RECORDING: dict[str, Any] = json.loads(
    gzip.decompress((Path(__file__).parent / "data" / "cap_answers.json.gz").read_bytes())
)
CSU = load_registry(declared()).csu("cap_ethereum")
RECORDED_CSU = replace(CSU, entry=RECORDING["entry"])
LENDER = CSU.entry["lender"]
NETWORK, OTHER = checksum("0x" + "05" * 20), checksum("0x" + "06" * 20)
ASSET = 0xA55E7

SELECTORS = {
    "assets()": "71a97305",
    "totalSupplies(address)": "9782e821",
    "totalBorrows(address)": "8d730124",
    "availableBalance(address)": "a0821be3",
    "debt(address,address)": "d449300d",
    "reservesData(address)": "08cf6fec",
    "getPrice(address)": "41976e09",
}


@pytest.mark.parametrize("case", [one for one in RECORDING["answers"] if "rounds" in one], ids=lambda one: one["date"])
def test_recorded_snapshots_are_what_the_protocols_code_said(case: dict[str, Any]) -> None:
    reserves = replay(cap.snapshot(RECORDED_CSU), transcript_from_json(case["rounds"]))
    renamed = {"supplied_raw": "total_supplied_raw", "borrowed_raw": "total_borrowed_raw"}
    rows = [
        {
            renamed.get(name, name): str(value) if name.endswith(("_raw", "_unit")) and value is not None else value
            for name, value in asdict(reserve).items()
        }
        for reserve in reserves
    ]
    assert rows == case["expected"]


@pytest.mark.parametrize("case", [one for one in RECORDING["answers"] if "logs" in one], ids=lambda one: one["date"])
def test_recorded_liquidations_are_what_changed_hands(case: dict[str, Any]) -> None:
    events = cap.liquidations(RECORDED_CSU, parse_logs(orjson.dumps(case["logs"])))
    settled = replay(cap.settle(RECORDED_CSU, events), transcript_from_json(case["context"]))
    assert [
        {
            "tx": one.tx,
            "liquidator": one.liquidator.lower(),
            "agent": str(one.borrower).lower(),
            "collateral": one.collateral_asset.lower(),
            "collateral_amount": str(one.collateral_amount_raw),
            "debt": one.debt_asset.lower(),
            "debt_amount": str(one.debt_amount_raw),
        }
        for one in settled.events
    ] == case["expected"]
    assert {asset for one in settled.events for asset in (one.collateral_asset, one.debt_asset)} <= set(settled.facts)


def test_selectors_and_topics_are_the_protocols() -> None:
    assert {signature: selector(signature).hex() for signature in SELECTORS} == SELECTORS
    assert cap.LIQUIDATE == "0x8246cc71ab01533b5bebc672a636df812f10637ad720797319d5741d5ebb3962"


def test_every_call_that_is_made_is_among_the_facts() -> None:
    made = {data[:8] for one in RECORDING["answers"] for stored in one.get("rounds", ()) for _, data, _, _ in stored}
    common = ("symbol()", "decimals()", "agents()")
    assert made == {*SELECTORS.values(), *(selector(signature).hex() for signature in common)}


def padded(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(WORD, "big") for number in numbers)


def log(address: str, topics: tuple[str, *tuple[int, ...]], data: bytes, index: int, tx: str) -> Log:
    first, *rest = topics
    return Log(address, (first, *(f"0x{one:064x}" for one in rest)), data, 7, "0xbb", tx, index)


def symbiotic(agent: int, amount: int, *, index: int, network: str = NETWORK, tx: str = "0xaa") -> Log:
    return log(network, (cap.SLASH_SYMBIOTIC, agent), padded(9, amount), index, tx)


def eigen(agent: int, amount: int, *, index: int, network: str = NETWORK, tx: str = "0xaa") -> Log:
    return log(network, (cap.SLASH_EIGEN, agent, 9), padded(amount, 1_700_000_000), index, tx)


def liquidate(agent: int, amount: int, value: int, *, index: int, address: str = LENDER, tx: str = "0xaa") -> Log:
    return log(address, (cap.LIQUIDATE, agent, 9), padded(ASSET, amount, value), index, tx)


@given(
    events=st.lists(
        st.tuples(
            st.integers(1, 3),
            st.integers(0, 2**100),
            st.integers(0, 2**100),
            st.integers(1, 2**100),
            st.sampled_from([symbiotic, eigen]),
            st.sampled_from([NETWORK, OTHER]),
            st.sampled_from(["0xaa", "0xcc"]),
        ),
        max_size=8,
    )
)
def test_every_liquidate_gets_the_slash_before_it(events: list[tuple]) -> None:  # type: ignore[type-arg]
    logs: list[Log] = []
    for agent, amount, value, slashed, slash, network, tx in events:
        if value:
            logs.append(slash(agent, slashed, index=len(logs), network=network, tx=tx))
        logs.append(liquidate(agent, amount, value, index=len(logs), tx=tx))
    found = cap.liquidations(CSU, logs)
    assert [
        (one.borrower, one.debt_amount_raw, one.collateral_amount_raw, one.extra["network"], one.tx) for one in found
    ] == [
        (checksum(f"0x{agent:040x}"), amount, slashed if value else 0, network if value else "", tx)
        for agent, amount, value, slashed, _, network, tx in events
    ]
    assert len({one.log_index for one in found}) == len(found)


@pytest.mark.parametrize(
    "logs",
    [
        [liquidate(1, 5, 5, index=0)],
        [symbiotic(1, 5, index=0)],
        [symbiotic(1, 5, index=0), liquidate(2, 5, 5, index=1)],
        [symbiotic(1, 5, index=0), liquidate(1, 5, 5, index=1, tx="0xcc")],
        [symbiotic(1, 5, index=0), symbiotic(1, 5, index=1), liquidate(1, 5, 5, index=2)],
    ],
    ids=["no slash", "no liquidate", "other agent", "other transaction", "two slashes"],
)
def test_logs_that_do_not_fit_together_are_not_counted_as_something_else(logs: list[Log]) -> None:
    with pytest.raises(Skip) as caught:
        cap.liquidations(CSU, logs)
    assert caught.value.reason == "layout"


def test_the_same_topic_of_another_emitter_is_no_liquidation() -> None:
    assert topic("Liquidate(address,address,address,uint256,uint256)") == cap.LIQUIDATE  # also Euler V2's
    assert cap.liquidations(CSU, [liquidate(1, 5, 5, index=0, address=OTHER)]) == []


def test_an_event_of_unknown_layout_names_its_transaction() -> None:
    short = log(LENDER, (cap.LIQUIDATE, 1, 9), padded(ASSET, 5), 0, "0xaa")
    with pytest.raises(Skip, match="0xaa"):
        cap.liquidations(CSU, [short])
    for topics in ((cap.SLASH_SYMBIOTIC, 1, 9), (cap.SLASH_SYMBIOTIC,)):
        odd = log(NETWORK, topics, padded(9, 5), 0, "0xaa")
        with pytest.raises(Skip, match="0xaa"):
            cap.liquidations(CSU, [odd, liquidate(1, 5, 5, index=1)])
