"""Block headers whose hash is recomputed: what a header says is only worth something when it hashes to the block's hash.

What does not belong here: asking for headers (blocks, proof), and who must agree on a hash (proof).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptolake.net import rlp
from cryptolake.net.abi import keccak
from cryptolake.net.answers import stated_data, stated_quantity
from cryptolake.net.bloom import LENGTH, may_hold
from cryptolake.net.faults import Malformed

_HEADER = "a header"

# The fields that are hashed, in their order: bytes of a fixed length, bytes of any length (None), or whole numbers (0).
_FIRST: dict[str, int | None] = {
    "parentHash": 32,
    "sha3Uncles": 32,
    "miner": 20,
    "stateRoot": 32,
    "transactionsRoot": 32,
    "receiptsRoot": 32,
    "logsBloom": LENGTH,
    "difficulty": 0,
    "number": 0,
    "gasLimit": 0,
    "gasUsed": 0,
    "timestamp": 0,
    "extraData": None,
    "mixHash": 32,
    "nonce": 8,
}
# What later forks appended, in this order where a header has it. Nothing that is read here stands among them, so that nobody
# gains by calling one another.
_APPENDED: dict[str, int | None] = {
    "baseFeePerGas": 0,
    "withdrawalsRoot": 32,
    "blobGasUsed": 0,
    "excessBlobGas": 0,
    "parentBeaconBlockRoot": 32,
    "requestsHash": 32,
    "blockAccessListHash": 32,
}


@dataclass(frozen=True, slots=True)
class ProvenHeader:
    """What the hash of a block commits to: hashes and roots 0x hex, lower case; `timestamp` seconds since 1970, UTC."""

    number: int
    hash: str
    parent: str
    timestamp: int
    receipts_root: str
    transactions_root: str
    bloom: bytes
    transactions: tuple[str, ...] | None
    """The hashes of its transactions as the endpoint listed them, which its hash does not cover; None when not listed."""

    def may_hold(self, *texts: str) -> bool:
        """Whether its logs may hold all of these addresses and topics (0x hex). False is certain, True is not."""
        return all(may_hold(self.bloom, text) for text in texts)


def proven_header(answer: object) -> ProvenHeader:
    """The header in an answer to eth_getBlockBy…. Raises Malformed when it lacks a field or hashes to something else."""
    if not isinstance(answer, Mapping):
        raise Malformed("a header was answered with something else; it is asked elsewhere")
    given = str(answer.get("hash")).lower()
    fields = _FIRST | {name: length for name, length in _APPENDED.items() if answer.get(name) is not None}
    encoded = rlp.encode([_field(answer, name, length) for name, length in fields.items()])
    if "0x" + keccak(encoded).hex() != given:
        raise Malformed(
            f"the header of block {_number(answer, 'number')} does not hash to its hash; it is asked elsewhere"
        )
    listed = answer.get("transactions")
    return ProvenHeader(
        number=_number(answer, "number"),
        hash=given,
        parent=str(answer["parentHash"]).lower(),
        timestamp=_number(answer, "timestamp"),
        receipts_root=str(answer["receiptsRoot"]).lower(),
        transactions_root=str(answer["transactionsRoot"]).lower(),
        bloom=_field(answer, "logsBloom", LENGTH),
        transactions=_hashes(listed) if isinstance(listed, Sequence) else None,
    )


def _field(answer: Mapping[str, object], name: str, length: int | None) -> bytes:
    """A field as it is hashed. Raises Malformed when it is missing or no such field."""
    if length == 0:
        return rlp.whole(_number(answer, name))
    return stated_data(answer, name, _HEADER, length=length)


def _number(answer: Mapping[str, object], name: str) -> int:
    return stated_quantity(answer, name, _HEADER)


def _hashes(listed: Sequence[object]) -> tuple[str, ...]:
    """Transactions are listed by hash, or whole with their hash."""
    return tuple(str(one.get("hash") if isinstance(one, Mapping) else one).lower() for one in listed)
