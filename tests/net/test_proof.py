"""A proof says the truth or says that it is none, whatever endpoints leave out, make up or refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.chain.anvil import Anvil
from tests.chain.fixtures import require_chain
from tests.net.emitting import EMITTERS, TOPICS, Lie, Telling, emit, honest, telling

from cryptolake.net import rlp
from cryptolake.net.abi import keccak
from cryptolake.net.blocks import BlockRange
from cryptolake.net.headers import proven_header
from cryptolake.net.logs import Log, LogFilter, LogQuestion
from cryptolake.net.proof import ProvenBlock, Prover, Unproven
from cryptolake.net.receipts import receipts_root

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("proof")]
COUNTS = [0, 5, 3, 0, 9, 1, 0, 12, 2, 0]
FILTERS = [LogFilter(EMITTERS[0], frozenset(TOPICS)), LogFilter(EMITTERS[1], frozenset(TOPICS[1:2]))]
QUESTION = LogQuestion("test", FILTERS)


@dataclass(frozen=True)
class World:
    """A node with events, its blocks, and what the node itself answers to eth_getLogs, each block by itself."""

    node: Anvil
    within: BlockRange
    truth: dict[int, tuple[Log, ...]]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    require_chain()
    with Anvil(fork="prague") as node:
        numbers = emit(node, COUNTS)
        within = BlockRange(numbers[0], numbers[-1] + 1)
        pool = telling(node, Telling())
        truth = {}
        for number in numbers:
            answer = pool.ask(pool.stations[0], "eth_getLogs", QUESTION.params(number, number + 1, QUESTION.addresses))
            truth[number] = tuple(QUESTION.read(answer, number, number + 1))
        assert [len(truth[number]) for number in numbers] != [0] * len(numbers)
        yield World(node, within, truth)


def prover(world: World, *endpoints: Telling, rule: Any = "standard") -> Prover:
    return Prover(telling(world.node, *endpoints), rule)


def proven(found: ProvenBlock | Unproven) -> ProvenBlock:
    assert isinstance(found, ProvenBlock), found
    return found


# -- lies: each is a way to answer wrongly, for one block or for all


def of_receipts(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Lie:
    def lie(method: str, _params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockReceipts":
            return change(result)
        return change([result])[0] if method == "eth_getTransactionReceipt" else result

    return lie


def without_logs(receipts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [receipt | {"logs": []} for receipt in receipts]


def invented(receipts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [receipt | {"logs": receipt["logs"] * 2} for receipt in receipts]


def of_headers(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Lie:
    return lambda method, _params, result: change(result) if method == "eth_getBlockByNumber" else result


_HASHED = [
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty"),
    *(
        "number",
        "gasLimit",
        "gasUsed",
        "timestamp",
        "extraData",
        "mixHash",
        "nonce",
        "baseFeePerGas",
        "withdrawalsRoot",
    ),
    *("blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash"),
]


def sealed(header: dict[str, Any]) -> dict[str, Any]:
    """The header with the hash that it has now: no lie of its own can be seen in it."""
    names = [name for name in _HASHED if name in header]
    numbers = {
        "difficulty",
        "number",
        "gasLimit",
        "gasUsed",
        "timestamp",
        "baseFeePerGas",
        "blobGasUsed",
        "excessBlobGas",
    }
    items = [rlp.whole(int(header[n], 16)) if n in numbers else bytes.fromhex(header[n][2:]) for n in names]
    return header | {"hash": "0x" + keccak(rlp.encode(items)).hex()}


def no_receipts(header: dict[str, Any]) -> dict[str, Any]:
    """Another block: empty, with the right hash for that."""
    empty = {
        "receiptsRoot": "0x" + receipts_root([], "standard").hex(),
        "logsBloom": "0x" + "00" * 256,
        "transactions": [],
    }
    return sealed(header | empty)


def another_transaction(method: str, _params: list[Any], result: Any) -> Any:
    """Names the transactions of a block in another order, wherever it names them."""
    if method == "eth_getBlockByNumber" and len(result["transactions"]) > 1:
        result["transactions"] = rotated(result["transactions"])
    for receipt, tx in (
        zip(result, rotated([one["transactionHash"] for one in result]), strict=True)
        if isinstance(result, list)
        else ()
    ):
        receipt["transactionHash"] = tx
    return result


def rotated(some: list[Any]) -> list[Any]:
    """The same in another order; whole transactions keep their places and change their hashes."""
    if not some or not isinstance(some[0], dict):
        return some[1:] + some[:1]
    return [one | {"hash": other["hash"]} for one, other in zip(some, some[1:] + some[:1], strict=True)]


LIES: dict[str, Lie] = {
    "names other transactions": another_transaction,
    "leaves out logs": of_receipts(without_logs),
    "invents logs": of_receipts(invented),
    "changes the type": of_receipts(lambda receipts: [receipt | {"type": "0x7b"} for receipt in receipts]),
    "leaves out a receipt": of_receipts(lambda receipts: receipts[:-1] or receipts),
    "empties the bloom": of_headers(lambda header: header | {"logsBloom": "0x" + "00" * 256}),
    "names another root": of_headers(lambda header: header | {"receiptsRoot": header["stateRoot"]}),
    "forges an empty block": of_headers(no_receipts),
    "answers another block": of_headers(lambda header: header | {"number": "0x1"}),
    "answers nothing": lambda _method, _params, _result: [],
    "has no such methods": lambda method, _params, result: result if method == "eth_chainId" else None,
    "is empty-handed": lambda method, _params, result: None if "Receipt" in method else result,
}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("name", LIES)
def test_one_liar_among_three_changes_nothing(world: World, name: str, place: int) -> None:
    endpoints = [Telling(), Telling()]
    endpoints.insert(place, Telling(LIES[name]))
    found = list(prover(world, *endpoints).blocks(QUESTION, world.within))
    assert {one.number: proven(one).logs for one in found} == world.truth


@pytest.mark.parametrize("name", LIES)
def test_with_one_honest_voice_it_is_the_truth_or_no_proof(world: World, name: str) -> None:
    for endpoints in ([Telling(), Telling(LIES[name])], [Telling(LIES[name]), Telling()]):
        for one in prover(world, *endpoints).blocks(QUESTION, world.within):
            assert isinstance(one, Unproven) or one.logs == world.truth[one.number]


def test_who_gives_receipts_need_not_be_trusted(world: World) -> None:
    """Two liars who agree on every log are found out by the root, while they do not forge the chain itself."""
    liars = [Telling(LIES["leaves out logs"]), Telling(LIES["leaves out logs"]), Telling()]
    found = list(prover(world, *liars).blocks(QUESTION, world.within))
    assert {one.number: proven(one).logs for one in found} == world.truth
    assert {proven(one).endpoint for one in found if proven(one).receipts} == {"voice-2"}
    alone = list(prover(world, *liars[:2]).blocks(QUESTION, world.within))
    assert {one.why for one in alone if isinstance(one, Unproven)} == {"receipts"}
    assert all(one.logs == world.truth[one.number] for one in alone if isinstance(one, ProvenBlock))


def test_two_keys_of_one_operator_are_one_voice(world: World) -> None:
    found = prover(world, Telling(operator="a"), Telling(operator="a")).block(QUESTION, world.within.start)
    assert isinstance(found, Unproven)
    assert found.why == "one_voice"
    assert "another operator" in found.says


def test_different_hashes_prove_nothing(world: World) -> None:
    found = prover(world, Telling(LIES["forges an empty block"]), Telling()).block(QUESTION, world.within.start + 1)
    assert isinstance(found, Unproven)
    assert (found.why, "voice-0 and voice-1" in found.says) == ("hashes_differ", True)


def test_a_range_needs_two_voices_for_its_last_block_only(world: World) -> None:
    first, second = Telling(), Telling()
    assert len(list(prover(world, first, second).blocks(QUESTION, world.within))) == len(world.within)
    asked = [one for one in first.asked + second.asked if one == "eth_getBlockByNumber"]
    whole = sum(bool(logs) for logs in world.truth.values())  # with their transactions, which say whose the logs are
    assert len(asked) == len(world.within) + 1 + whole


def test_where_nobody_agrees_on_the_last_block_no_other_is_asked_for(world: World) -> None:
    alone = Telling(operator="a")
    assert isinstance(next(iter(prover(world, alone).blocks(QUESTION, world.within))), Unproven)
    assert alone.asked.count("eth_getBlockByNumber") == 1


def test_a_bloom_that_excludes_what_is_wanted_saves_the_receipts(world: World) -> None:
    first, second = Telling(), Telling()
    found = [proven(one) for one in prover(world, first, second).blocks(QUESTION, world.within)]
    assert [one.number for one in found if not one.receipts] == [
        number for number in reversed(range(world.within.start, world.within.end)) if not world.truth[number]
    ]
    assert (first.asked + second.asked).count("eth_getBlockReceipts") == sum(1 for logs in world.truth.values() if logs)


def test_receipts_come_one_by_one_where_they_cannot_come_together(world: World) -> None:
    def apart(method: str, params: list[Any], result: Any) -> Any:
        return None if method == "eth_getBlockReceipts" else honest(method, params, result)

    first, second = Telling(apart), Telling(apart)
    found = list(prover(world, first, second).blocks(QUESTION, world.within))
    assert {one.number: proven(one).logs for one in found} == world.truth
    assert "eth_getTransactionReceipt" in first.asked


def test_a_break_in_the_chain_is_mended_by_two_voices_again(world: World) -> None:
    """Nobody gives one header: that block is not proven, those before it are, by two voices anew."""
    gone = world.within.start + 6

    def lacking(method: str, params: list[Any], result: Any) -> Any:
        return None if method == "eth_getBlockByNumber" and params[0] == hex(gone) else result

    found = {
        one.number: one for one in prover(world, Telling(lacking), Telling(lacking)).blocks(QUESTION, world.within)
    }
    assert isinstance(found[gone], Unproven)
    assert {number: proven(one).logs for number, one in found.items() if number != gone} == {
        number: logs for number, logs in world.truth.items() if number != gone
    }


def test_other_rules_are_said_and_nothing_is_asked(world: World) -> None:
    first, second = Telling(), Telling()
    found = list(prover(world, first, second, rule=None).blocks(QUESTION, world.within))
    assert {one.why for one in found if isinstance(one, Unproven)} == {"rules"}
    assert len(found) == len(world.within)
    assert first.asked + second.asked == []


def test_a_type_of_receipt_that_nobody_knows_is_said(world: World) -> None:
    strange = of_receipts(lambda receipts: [receipt | {"type": "0x7b"} for receipt in receipts])
    found = list(prover(world, Telling(strange), Telling(strange)).blocks(QUESTION, world.within))
    assert {one.why for one in found if isinstance(one, Unproven)} == {"rules"}
    assert all(not world.truth[one.number] for one in found if isinstance(one, ProvenBlock))


def test_the_forged_block_is_a_good_forgery(world: World) -> None:
    """The lie that the tests above rest on is one that only a second voice finds out."""
    header = world.node.rpc("eth_getBlockByNumber", hex(world.within.start + 1), False)
    forged = proven_header(no_receipts(header))
    assert forged.number == world.within.start + 1
    assert forged.hash != header["hash"]
