"""Transactions rebuild the root of their header, whatever fork and type; whoever names another one for a log is found out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from tests.chain.anvil import Anvil, Tx
from tests.chain.fixtures import require_chain
from tests.net.emitting import EMITTERS, TOPICS, emit

from cryptolake.net.abi import keccak
from cryptolake.net.faults import Malformed
from cryptolake.net.headers import proven_header
from cryptolake.net.transactions import encoded, hashes_of

pytestmark = pytest.mark.chain
FORKS = ["london", "cancun", "prague", "osaka"]
FREE = {
    "hash",
    "blockHash",
    "blockNumber",
    "blockTimestamp",
    "transactionIndex",
    "from",
}  # of no transaction's own content
_CODE = {
    "type": "0x4",
    "maxFeePerGas": "0x0",
    "maxPriorityFeePerGas": "0x0",
    "authorizationList": [
        {"chainId": "0x1", "address": EMITTERS[1], "nonce": "0x0", "yParity": "0x0", "r": "0x1", "s": "0x2"}
    ],
}
_DEPOSIT = {"type": "0x7e", "sourceHash": "0x" + "11" * 32, "mint": "0x0", "isSystemTx": False}


def whole(node: Anvil, number: int | None = None) -> dict[str, Any]:
    """A block with its transactions, as the node gives it."""
    found: dict[str, Any] = node.rpc("eth_getBlockByNumber", "latest" if number is None else hex(number), True)
    return found


@pytest.fixture(scope="module", params=FORKS)
def mined(request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    """Blocks of one fork with transactions of types 0 to 2; 128 is where the keys of the trie get a second byte."""
    require_chain()
    with Anvil(fork=request.param) as node:
        yield [whole(node, number) for number in [0, *emit(node, [0, 1, 3, 130])]]


def test_the_local_nodes_transactions_are_rebuilt(mined: list[dict[str, Any]]) -> None:
    for block in mined:
        assert list(hashes_of(proven_header(block), block["transactions"])) == [
            one["hash"] for one in block["transactions"]
        ]
    assert {one["type"] for block in mined for one in block["transactions"]} == {"0x0", "0x1", "0x2"}


def test_the_order_is_theirs_and_the_hashes_are_counted_here(mined: list[dict[str, Any]]) -> None:
    block = mined[3]
    told = [one | {"hash": "0x" + "00" * 32} for one in reversed(block["transactions"])]
    assert list(hashes_of(proven_header(block), told)) == [one["hash"] for one in block["transactions"]]


def test_any_other_content_is_found_out(mined: list[dict[str, Any]]) -> None:
    block = mined[3]
    proven, count = proven_header(block), 0
    for place, one in enumerate(block["transactions"]):
        for name in one.keys() - FREE - {"gasPrice", "v", "yParity"} | (
            {"gasPrice", "v"} if one["type"] == "0x0" else set()
        ):
            for other in ("0x77", None, 7):
                told = copy.deepcopy(block["transactions"])
                told[place][name] = other
                if one["type"] == "0x0" and (name == "chainId" or (name, other) == ("type", None)):
                    continue  # the signature holds the one, and this is how the other was spelt before there were types
                with pytest.raises(Malformed):
                    hashes_of(proven, told)
                count += 1
    assert count > 60


@pytest.mark.parametrize(
    "told",
    [None, "0x", [None], {}, [], ["0x" + "11" * 32]],
    ids=["none", "text", "nothing", "object", "empty", "hashes"],
)
def test_what_is_no_list_of_whole_transactions_proves_nothing(mined: list[dict[str, Any]], told: Any) -> None:
    with pytest.raises(Malformed):
        hashes_of(proven_header(mined[3]), told)


@pytest.mark.parametrize(("fork", "network", "more"), [("prague", "", _CODE), ("isthmus", "optimism", _DEPOSIT)])
def test_set_codes_and_deposits_are_rebuilt(fork: str, network: str, more: dict[str, Any]) -> None:
    require_chain()
    with Anvil(fork=fork, **({"network": network} if network else {})) as node:
        emit(node, [1])
        node.rpc("eth_sendTransaction", Tx(node.accounts[0], EMITTERS[0], TOPICS[0]).fields() | more)
        node.rpc("evm_mine")
        block = whole(node)
        (hashed,) = hashes_of(proven_header(block), block["transactions"])
        assert (hashed, block["transactions"][0]["type"]) == (block["transactions"][0]["hash"], more["type"])


def test_a_blob_is_hashed_as_its_standard_orders_it() -> None:
    """EIP-4844: what pays for blobs, and their hashes, stand behind the access list. Mining one takes long."""
    address, word = "0x" + "22" * 20, "0x01" + "33" * 31
    fields = {
        "type": "0x3",
        "chainId": "0x1",
        "nonce": "0x1",
        "maxPriorityFeePerGas": "0x2",
        "maxFeePerGas": "0x3",
        "gas": "0x4",
        "to": address,
        "value": "0x0",
        "input": "0x",
        "accessList": [],
        "maxFeePerBlobGas": "0x5",
        "blobVersionedHashes": [word],
        "yParity": "0x1",
        "r": "0x6",
        "s": "0x7",
    }
    body = "0102030494" + "22" * 20 + "8080c005e1a0" + word[2:] + "010607"
    body = "01" + body
    assert encoded(fields).hex() == "03" + "f8" + f"{len(body) // 2:02x}" + body
    assert len(keccak(encoded(fields))) == 32


@pytest.mark.parametrize("kind", ["0x5", "0x64", "0x7b", "0x7f", "0xff"])
def test_a_type_that_nobody_knows_proves_nothing(kind: str) -> None:
    amounts = {"gas": "0x0", "value": "0x0", "nonce": "0x0", "gasPrice": "0x0", "v": "0x0", "r": "0x0", "s": "0x0"}
    with pytest.raises(Malformed, match=kind):
        encoded({"type": kind, "to": None, "input": "0x", **amounts})
