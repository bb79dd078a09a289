"""What a block says of itself inside every multicall: whose state was read is compared with the header, never taken on trust.

A node may answer from an older block, or from another chain's. Number, parent hash and timestamp are therefore asked in the
same breath as everything else. What does not belong here: merging calls (multicall) and finding headers (blocks).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cryptolake.net.abi import WORD, call_data
from cryptolake.net.faults import Malformed

KnownBlock = Literal["header", "number_and_time", "arbsys", "block_hash"]
"""What contracts of a chain know of the block they are read at, which every reading is compared by.

`header`: number, time and parent hash as in the header. `number_and_time`: BLOCKHASH gives something else there. `arbsys`:
NUMBER is that of Ethereum, ArbSys knows the chain's own. `block_hash`: calls run in another block than the one whose state
they read, so the block is named by its hash (EIP-1898).
"""

ARBSYS = "0x0000000000000000000000000000000000000064"


class Unidentified(Malformed):
    """An answer from another block than the one asked for, or one that does not say from which."""


@dataclass(frozen=True, slots=True)
class BlockIdentity:
    """The block whose state is wanted, by its header; an empty `parent` hash is not known and not compared.

    `kind` says what the chain's own contracts know of their block (see `KnownBlock`).
    """

    number: int
    timestamp: int
    hash: str
    parent: str = ""
    kind: KnownBlock = "header"

    @property
    def by_hash(self) -> bool:
        """Whether contracts cannot tell the block, so that it is named by its hash instead."""
        return self.kind == "block_hash"

    def calls(self, multicall3: str) -> list[tuple[str, bytes]]:
        """The calls that must stand before all others in an aggregate."""
        clock = (multicall3, call_data("getCurrentBlockTimestamp()"))
        match self.kind:
            case "block_hash":
                return []
            case "arbsys":
                parent = (ARBSYS, call_data("arbBlockHash(uint256)", max(0, self.number - 1)))
                return [(ARBSYS, call_data("arbBlockNumber()")), clock, parent]
            case "number_and_time":
                return [(multicall3, call_data("getBlockNumber()")), clock]
            case _:
                return [
                    (multicall3, call_data("getBlockNumber()")),
                    clock,
                    (multicall3, call_data("getLastBlockHash()")),
                ]

    def check(self, answers: Sequence[tuple[bool, bytes]]) -> None:
        """Compare the answers to `calls` with the header. Raises Unidentified."""
        if self.by_hash:
            return
        number, timestamp = (int.from_bytes(_word(good, data)) for good, data in answers[:2])
        if (number, timestamp) != (self.number, self.timestamp):
            raise Unidentified(
                f"state of block {number} was given where block {self.number} was asked for; set another endpoint"
                if number != self.number
                else f"block {number} has another time in its state than in its header; set another endpoint"
            )
        for good, data in answers[2:]:
            if self.kind == "arbsys" and not good:
                continue  # before Nitro ArbSys told the number only
            if self.parent and "0x" + _word(good, data).hex() != self.parent:
                raise Unidentified(f"block {number} of another fork was read; set another endpoint, or run again")


def _word(good: bool, data: bytes) -> bytes:
    if not good or len(data) != WORD:
        raise Unidentified("an aggregate does not say which block it was read at; it is asked elsewhere")
    return data
