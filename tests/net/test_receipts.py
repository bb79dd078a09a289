"""Receipts rebuild the root of their header, whatever fork and type; anything left out, changed or added does not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.chain.anvil import Anvil, Tx
from tests.chain.fixtures import require_chain
from tests.net.emitting import EMITTERS, TOPICS, emit

from cryptolake.net import rlp
from cryptolake.net.abi import keccak
from cryptolake.net.bloom import bloom_of, may_hold
from cryptolake.net.faults import Malformed
from cryptolake.net.headers import proven_header
from cryptolake.net.receipts import OtherRules, encoded, logs_of, receipts_root

PUBLISHED = json.loads((Path(__file__).parent / "data" / "published_blocks.json").read_text("utf-8"))
LOCAL = json.loads((Path(__file__).parent / "data" / "local_block.json").read_text("utf-8"))
FORKS = ["london", "cancun", "prague", "osaka"]
# 128 is where the keys of the trie get a second byte; 0 is a block without transactions.
EVENTS = [0, 1, 2, 17, 200]

Block = tuple[dict[str, Any], list[dict[str, Any]]]


def blocks(node: Anvil, numbers: list[int]) -> list[Block]:
    """Header and receipts of blocks, as the node gives them."""
    tags = [hex(number) for number in numbers]
    return [(node.rpc("eth_getBlockByNumber", tag, False), node.rpc("eth_getBlockReceipts", tag)) for tag in tags]


@pytest.fixture(scope="module", params=FORKS)
def mined(request: pytest.FixtureRequest) -> Iterator[list[Block]]:
    """Blocks of one fork, genesis first."""
    require_chain()
    with Anvil(fork=request.param) as node:
        yield blocks(node, [0, *emit(node, EVENTS)])


@pytest.mark.chain
def test_the_local_nodes_blocks_are_rebuilt(mined: list[Block]) -> None:
    for (header, receipts), count in zip(mined, [0, *EVENTS], strict=True):
        proven = proven_header(header)
        logs = logs_of(proven, receipts, "standard")
        assert [log.index for log in logs] == list(range(count))
        assert {log.block_hash for log in logs} <= {header["hash"]}
        assert [log.tx for log in logs] == header["transactions"]
        assert all(proven.may_hold(log.address, log.topics[0]) for log in logs)
    headers = [proven_header(header) for header, _ in mined]
    assert [one.parent for one in headers[1:]] == [one.hash for one in headers[:-1]]


@pytest.mark.chain
def test_every_type_was_there(mined: list[Block]) -> None:
    assert {receipt["type"] for _, receipts in mined for receipt in receipts} == {"0x0", "0x1", "0x2"}


@pytest.mark.chain
@pytest.mark.parametrize("fork", ["canyon", "isthmus"])
def test_deposits_of_the_op_stack_since_canyon_are_rebuilt(fork: str) -> None:
    """Beside ordinary transactions, with events; the node gives the deposits' nonce and version, and hashes both."""
    require_chain()
    with Anvil(fork=fork, network="optimism") as node:
        (number,) = emit(node, [3])
        for place, more in enumerate(
            ({"type": "0x7e", "sourceHash": "0x" + "11" * 32, "mint": "0x0", "isSystemTx": False}, {})
        ):
            tx = Tx(node.accounts[place], EMITTERS[place], TOPICS[place])
            node.rpc("eth_sendTransaction", tx.fields() | more)
        node.rpc("evm_mine")
        for header, receipts in blocks(node, [number, number + 1]):
            logs = logs_of(proven_header(header), receipts, "op_stack")
            assert [log.index for log in logs] == list(range(len(header["transactions"])))
        deposit = next(one for one in receipts if int(one["type"], 16) == 0x7E)
        assert deposit["depositReceiptVersion"] == "0x1"
        for changed in ({"depositNonce": hex(int(deposit["depositNonce"], 16) + 1)}, {"depositReceiptVersion": None}):
            told = [one | changed if one is deposit else one for one in receipts]
            with pytest.raises(Malformed):
                logs_of(proven_header(header), told, "op_stack")
        with pytest.raises(OtherRules):
            logs_of(proven_header(header), receipts, "standard")


def test_blobs_and_set_codes_are_rebuilt() -> None:
    """A recorded block of the local node: mining a blob takes it half a minute."""
    header, receipts = LOCAL["header"], LOCAL["receipts"]
    assert [one["type"] for one in receipts] == ["0x3", "0x4"]
    proven = proven_header(header)
    logs = logs_of(proven, receipts, "standard")
    assert [(log.index, log.tx, log.topics) for log in logs] == [
        (place, tx, (TOPICS[0],)) for place, tx in enumerate(header["transactions"])
    ]
    for place in range(2):
        told = copy.deepcopy(receipts)
        told[place]["type"] = "0x2"
        with pytest.raises(Malformed):
            logs_of(proven, told, "standard")


def drop_a_log(receipts: list[dict[str, Any]]) -> None:
    receipts[1]["logs"] = []


def add_a_log(receipts: list[dict[str, Any]]) -> None:
    receipts[1]["logs"] *= 2


def change_a_topic(receipts: list[dict[str, Any]]) -> None:
    receipts[1]["logs"][0]["topics"] = [TOPICS[2]]


def change_the_data(receipts: list[dict[str, Any]]) -> None:
    receipts[1]["logs"][0]["data"] = "0x01"


def change_the_emitter(receipts: list[dict[str, Any]]) -> None:
    receipts[1]["logs"][0]["address"] = EMITTERS[2].lower()


def swap_two_logs(receipts: list[dict[str, Any]]) -> None:
    receipts[0]["logs"], receipts[1]["logs"] = receipts[1]["logs"], receipts[0]["logs"]


def drop_the_last_receipt(receipts: list[dict[str, Any]]) -> None:
    receipts.pop()


def drop_the_first_receipt(receipts: list[dict[str, Any]]) -> None:
    receipts.pop(0)


def give_one_twice(receipts: list[dict[str, Any]]) -> None:
    receipts.append(copy.deepcopy(receipts[-1]))


def fail_one(receipts: list[dict[str, Any]]) -> None:
    receipts[1]["status"] = "0x0"


def misspell(receipts: list[dict[str, Any]]) -> None:
    receipts[1]["cumulativeGasUsed"] = 21000


def lose_the_logs(receipts: list[dict[str, Any]]) -> None:
    receipts[1].pop("logs")


LIES: list[Callable[[list[dict[str, Any]]], None]] = [
    drop_a_log,
    add_a_log,
    change_a_topic,
    change_the_data,
    change_the_emitter,
    swap_two_logs,
    drop_the_last_receipt,
    drop_the_first_receipt,
    give_one_twice,
    fail_one,
    misspell,
    lose_the_logs,
]


@pytest.mark.chain
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_no_lie_about_receipts_is_believed(mined: list[Block], lie: Callable[[list[dict[str, Any]]], None]) -> None:
    for header, receipts in mined[3:]:
        told = copy.deepcopy(receipts)
        lie(told)
        with pytest.raises(Malformed):
            logs_of(proven_header(header), told, "standard")


@pytest.mark.chain
def test_whose_transaction_a_log_is_of_no_receipt_proves(mined: list[Block]) -> None:
    header, receipts = mined[-1]
    told = copy.deepcopy(receipts)
    told[1]["transactionHash"] = told[0]["transactionHash"]
    honest = logs_of(proven_header(header), receipts, "standard")
    assert logs_of(proven_header(header), told, "standard") != honest
    assert logs_of(proven_header(header), told, "standard", header["transactions"]) == honest


@pytest.mark.chain
def test_what_a_node_adds_or_misnumbers_changes_nothing(mined: list[Block]) -> None:
    """Places are counted here: some nodes count a log's place per transaction, and blooms may be missing or wrong."""
    header, receipts = mined[-1]
    told = copy.deepcopy(receipts)
    for receipt in told:
        receipt["logsBloom"] = "0x" + "ff" * 256
        for log in receipt["logs"]:
            log["logIndex"] = "0x0"
    told.reverse()  # receipts say themselves where they belong
    assert logs_of(proven_header(header), told, "standard") == logs_of(proven_header(header), receipts, "standard")


@pytest.mark.chain
def test_every_field_of_a_header_counts(mined: list[Block]) -> None:
    header, _ = mined[-1]
    free = {"hash", "transactions", "size", "uncles", "totalDifficulty", "withdrawals"}  # not hashed
    fields = [name for name in header if name not in free]
    assert {"receiptsRoot", "logsBloom", "parentHash", "timestamp", "number"} <= set(fields)
    for name in fields:
        last = header[name][-1]
        with pytest.raises(Malformed):
            proven_header(header | {name: header[name][:-1] + ("1" if last == "0" else "0")})
        with pytest.raises(Malformed):
            proven_header({key: value for key, value in header.items() if key != name})
        with pytest.raises(Malformed):
            proven_header(header | {name: 1})


@pytest.mark.parametrize("name", ["mainnet_46147", "regolith"])
def test_published_receipts_are_rebuilt(name: str) -> None:
    assert "0x" + receipts_root(PUBLISHED[name]["receipts"], "op_stack").hex() == PUBLISHED[name]["receiptsRoot"]


def test_a_header_without_its_transactions_hashes_to_its_hash() -> None:
    """With every field that a header has since Prague."""
    header = {name: said for name, said in LOCAL["header"].items() if name != "transactions"}
    proven = proven_header(header)
    assert (proven.hash, proven.number) == (header["hash"], int(header["number"], 16))
    assert proven.transactions is None


def test_a_deposits_nonce_is_hashed_with_its_version_only() -> None:
    deposit = PUBLISHED["regolith"]["receipts"][0]
    assert encoded(deposit, "op_stack") == encoded(deposit | {"depositNonce": "0x1"}, "op_stack")
    since = deposit | {"depositReceiptVersion": "0x1"}
    content = [b"\x01", rlp.whole(46913), bytes(256), [], rlp.whole(4012991), b"\x01"]
    assert encoded(since, "op_stack") == b"\x7e" + rlp.encode(content)
    with pytest.raises(OtherRules):
        encoded(deposit, "standard")


@pytest.mark.parametrize("kind", ["0x5", "0x64", "0x7b", "0x7f", "0xff"])
def test_a_type_that_nobody_knows_proves_nothing(kind: str) -> None:
    receipt = {"type": kind, "status": "0x1", "cumulativeGasUsed": "0x1", "logs": []}
    for rule in ("standard", "op_stack"):
        with pytest.raises(OtherRules):
            encoded(receipt, rule)


def test_an_empty_block_has_the_root_of_nothing() -> None:
    assert receipts_root([], "standard").hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"


@pytest.mark.parametrize(
    ("item", "spelled"),  # from the specification's own examples
    [
        (b"dog", "83646f67"),
        ([b"cat", b"dog"], "c88363617483646f67"),
        (b"", "80"),
        ([], "c0"),
        (b"\x00", "00"),
        (b"\x0f", "0f"),
        (b"\x04\x00", "820400"),
        ([[], [[]], [[], [[]]]], "c7c0c1c0c3c0c1c0"),
        (b"Lorem ipsum dolor sit amet, consectetur adipisicing elit", "b8384c6f72656d20697073756d20646f6c6f7220736974206"
         "16d65742c20636f6e7365637465747572206164697069736963696e6720656c6974"),
    ],
)  # fmt: skip
def test_rlp(item: rlp.Item, spelled: str) -> None:
    assert rlp.encode(item).hex() == spelled


def slow_root(values: list[bytes]) -> bytes:
    """The same trie by its definition: one branch per nibble, each key looked for among all keys."""

    def node(pairs: dict[str, bytes]) -> rlp.Item:
        if len(pairs) == 1:
            ((key, value),) = pairs.items()
            return [packed(key, 2), value]
        first = sorted(pairs)[0]
        shared = next(at for at in range(len(first) + 1) if not all(key.startswith(first[: at + 1]) for key in pairs))
        if shared:
            return [packed(first[:shared], 0), link({key[shared:]: value for key, value in pairs.items()})]
        groups = [{key[1:]: value for key, value in pairs.items() if key[0] == nibble} for nibble in "0123456789abcdef"]
        return [*(link(group) if group else b"" for group in groups), b""]

    def link(pairs: dict[str, bytes]) -> rlp.Item:
        found = node(pairs)
        return found if len(rlp.encode(found)) < 32 else keccak(rlp.encode(found))

    def packed(path: str, flag: int) -> bytes:
        return bytes.fromhex(f"{flag + 1:x}{path}" if len(path) % 2 else f"{flag:x}0{path}")

    return keccak(rlp.encode(node({rlp.encode(rlp.whole(place)).hex(): value for place, value in enumerate(values)})))


@given(st.integers(1, 300), st.binary(min_size=1, max_size=60))
def test_the_root_is_that_of_the_definition(count: int, seed: bytes) -> None:
    values = [
        keccak(seed + bytes([place % 256, place // 256]))[: 1 + place % 32] * (1 + place % 3) for place in range(count)
    ]
    assert rlp.ordered_root(values) == slow_root(values)


@given(st.lists(st.binary(min_size=20, max_size=32), max_size=20), st.binary(min_size=20, max_size=32))
def test_a_bloom_never_denies_what_it_holds(items: list[bytes], other: bytes) -> None:
    bloom = bloom_of([*items, other])
    assert all(may_hold(bloom, "0x" + one.hex()) for one in [*items, other])
    assert not may_hold(bytes(256), "0x" + other.hex())
    assert not may_hold(b"", "0x" + other.hex())
