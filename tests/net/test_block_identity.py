"""Every aggregate says which block it was read at, however its contracts know it; no other block is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import pytest
from benchmarks.simulated_ethereum import SAYS_OF_ITSELF
from tests.net.node import EMITTER, Node, block_named, pool_of

from cryptolake.demo.aggregate3 import SELECTOR, decode_calls, encode_results
from cryptolake.net.block_identity import ARBSYS, BlockIdentity, KnownBlock, Unidentified
from cryptolake.net.blocks import Blocks
from cryptolake.net.multicall import MULTICALL3, Call, Finished, Program, run
from cryptolake.net.rpc import Pool

BLOCK = 700_000


@dataclass
class Speaking(Node):
    """A node whose contracts tell the block; `late` blocks behind what is asked for, on another `fork`, without Multicall3.

    A contract answers any call with the block whose state it has, and knows its block as `kind` says.
    """

    kind: KnownBlock = "header"
    late: int = 0
    fork: bool = False
    bare: bool = False

    def _one(self, question: Mapping[str, Any]) -> dict[str, object]:
        if question["method"] != "eth_call":
            return super()._one(question)
        head: dict[str, object] = {"jsonrpc": "2.0", "id": question["id"]}
        asked, tag = question["params"]
        # A node that is behind does not have a later block's hash.
        if isinstance(tag, dict) and self.late:
            return head | {"error": {"code": -32000, "message": "header for hash not found"}}
        block = block_named(tag) - self.late
        if not asked["data"].startswith(SELECTOR):
            return head | {"result": f"0x{block:064x}"}
        if self.bare:
            return head | {"result": "0x"}
        said = [self.told(one.to, one.data, block) for one in decode_calls(asked["data"])]
        return head | {"result": encode_results(said)}

    def told(self, to: str, data: str, block: int) -> tuple[bool, str]:
        """One contract's answer."""
        name = SAYS_OF_ITSELF.get(bytes.fromhex(data[2:10]))
        if name is None:
            return True, f"0x{block:064x}"
        if to == ARBSYS and self.kind != "arbsys":
            return False, "0x"
        foreign = {"arbsys": 19_000_000, "block_hash": block + 1}.get(self.kind, block)
        parent = self.hash(block - 1) if not self.fork else f"0x{'ab' * 32}"
        return True, {
            "getBlockNumber()": f"0x{foreign:064x}",
            "getCurrentBlockTimestamp()": f"0x{self.time(block):064x}",
            "getLastBlockHash()": parent if self.kind == "header" else f"0x{'cd' * 32}",
            "arbBlockNumber()": f"0x{block:064x}",
            "arbBlockHash(uint256)": parent,
        }[name]


def read(pool: Pool, kind: KnownBlock, calls: int = 3) -> list[int]:
    """The blocks whose state the calls found."""

    def program() -> Program[list[int]]:
        answers = yield [Call(EMITTER, bytes([7, number])) for number in range(calls)]
        return [int.from_bytes(one.need("a read")) for one in answers]

    blocks = Blocks(pool)
    block = blocks.identity(blocks.header(BLOCK), kind)
    outcome = run(pool, {"one": program()}, BLOCK, multicall3=MULTICALL3, max_calls=2, identity=block)["one"]
    assert isinstance(outcome, Finished), outcome
    return outcome.value


@pytest.mark.parametrize("calls", [1, 3])
@pytest.mark.parametrize("kind", get_args(KnownBlock))
def test_the_block_is_known_by_what_the_chain_tells(kind: KnownBlock, calls: int) -> None:
    assert read(pool_of(Speaking(kind=kind)), kind, calls) == [BLOCK] * calls


@pytest.mark.parametrize("late", [1, 5123])
@pytest.mark.parametrize("kind", get_args(KnownBlock))
def test_another_blocks_state_is_never_taken(kind: KnownBlock, late: int) -> None:
    stale = Speaking(kind=kind, late=late)
    assert read(pool_of(stale, Speaking(kind=kind)), kind) == [BLOCK] * 3
    with pytest.raises(Exception, match=r"was asked for|error -32000") as caught:
        read(pool_of(stale), kind)
    assert isinstance(caught.value, Unidentified) or kind == "block_hash"


@pytest.mark.parametrize("kind", ["header", "arbsys"])
def test_another_forks_state_is_never_taken(kind: KnownBlock) -> None:
    forked = Speaking(kind=kind, fork=True)
    assert read(pool_of(forked, Speaking(kind=kind)), kind) == [BLOCK] * 3
    with pytest.raises(Unidentified, match="fork"):
        read(pool_of(forked), kind)


def test_where_multicall_is_not_there_yet_the_block_is_named_by_its_hash() -> None:
    assert read(pool_of(Speaking(bare=True)), "header") == [BLOCK] * 3
    with pytest.raises(Exception, match="error -32000"):
        read(pool_of(Speaking(bare=True, late=1)), "header")


def test_a_boundary_kept_without_its_parent_is_asked_for_again() -> None:
    blocks = Blocks(pool_of(Node()))
    whole = blocks.header(BLOCK)
    assert blocks.identity(replace(whole, parent=""), "header") == BlockIdentity(
        BLOCK, whole.timestamp, whole.hash, whole.parent
    )
