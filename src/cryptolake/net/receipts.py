"""Receipts of a block, rebuilt into the root that its header names: the one proof that no log of the block was left out.

The root commits to status, gas, bloom filter and logs of every receipt in order; so a log's place in its block is counted here,
never taken from a node. It does not commit to transaction hashes: those of the logs are as the receipts' giver says.
What does not belong here: asking, and which header is the right one (proof); what proves transactions (transactions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from cryptolake.contracts.receipt_rules import ReceiptRule
from cryptolake.net import rlp
from cryptolake.net.abi import checksum
from cryptolake.net.answers import data, quantity, stated_data, stated_quantity
from cryptolake.net.bloom import bloom_of
from cryptolake.net.faults import Malformed
from cryptolake.net.headers import ProvenHeader
from cryptolake.net.logs import Log

_RECEIPT = "a receipt"

Filters = Literal["as given", "made anew"]
"""Which bloom filters are put into receipts: an endpoint need not give them, and may give wrong ones."""

_TYPES: Mapping[ReceiptRule, frozenset[int]] = {
    "standard": frozenset({0, 1, 2, 3, 4}),
    "op_stack": frozenset({0, 1, 2, 3, 4, 0x7E}),
}
_DEPOSIT = 0x7E


class OtherRules(Malformed):
    """A receipt is of a type that the chain's rule does not know: nobody's fault, and no proof either."""


def logs_of(
    header: ProvenHeader, receipts: object, rule: ReceiptRule, hashes: Sequence[str] | None = None
) -> list[Log]:
    """Every log of the block in order, proven by the header's receipts root.

    `hashes` are those of its transactions in order; where they are not known, logs have those that receipts name. Raises
    Malformed when the receipts are not the header's: one is missing, changed, in excess or of another block; OtherRules when a
    type of receipt is not known.
    """
    if (
        not isinstance(receipts, Sequence)
        or isinstance(receipts, str)
        or not all(isinstance(one, Mapping) for one in receipts)
    ):
        raise Malformed(
            f"the receipts of block {header.number} were answered with something else; they are asked elsewhere"
        )
    ordered = sorted(receipts, key=lambda one: quantity(one.get("transactionIndex")) or 0)
    wanted = bytes.fromhex(header.receipts_root[2:])
    # Filters as given are taken at first, three times as fast: one that is wrong makes the root wrong, and is made anew.
    if wanted not in (receipts_root(ordered, rule, filters=given) for given in ("as given", "made anew")):
        raise Malformed(
            f"the receipts of block {header.number} are not those that its header names; they are asked elsewhere"
        )
    found: list[Log] = []
    for place, receipt in enumerate(ordered):
        tx = str(receipt.get("transactionHash")).lower() if hashes is None else hashes[place]
        for entry in _logs(receipt):
            topics = tuple("0x" + topic.hex() for topic in _topics(entry))
            log = Log(
                checksum(_bytes(entry, "address", 20).hex()),
                topics,
                _bytes(entry, "data"),
                header.number,
                header.hash,
                tx,
                len(found),
            )
            found.append(log)
    return found


def receipts_root(
    receipts: Sequence[Mapping[str, object]], rule: ReceiptRule, *, filters: Filters = "made anew"
) -> bytes:
    """The root of these receipts in this order, as eth_getBlockReceipts gives them. Raises Malformed, OtherRules."""
    return rlp.ordered_root([encoded(one, rule, filters=filters) for one in receipts])


def encoded(receipt: Mapping[str, object], rule: ReceiptRule, *, filters: Filters = "made anew") -> bytes:
    """A receipt as it stands in the trie: its type's byte, unless it has none, and its content.

    Its bloom filter is made of its logs, or the one it was given with, where it was given with one.
    """
    kind = 0 if receipt.get("type") is None else _whole(receipt, "type")
    if kind not in _TYPES[rule]:
        raise OtherRules(f"a receipt of type {kind:#x} follows rules that are not known here; it proves nothing")
    logs: list[rlp.Item] = []
    held: list[bytes] = []
    for entry in _logs(receipt):
        address, topics = _bytes(entry, "address", 20), _topics(entry)
        logs.append([address, topics, _bytes(entry, "data")])
        held += [address, *topics]
    bloom = data(receipt.get("logsBloom")) if filters == "as given" else None
    # Until Byzantium a receipt held the state's root in place of a status, which some nodes add to it all the same.
    root = data(receipt.get("root"))
    state = root if root is not None and len(root) == 32 else rlp.whole(_whole(receipt, "status"))
    content: list[rlp.Item] = [state, rlp.whole(_whole(receipt, "cumulativeGasUsed")), bloom or bloom_of(held), logs]
    if kind == _DEPOSIT and receipt.get("depositReceiptVersion") is not None:
        # Before this version existed, the nonce was given by nodes but was not part of what is hashed.
        content += [rlp.whole(_whole(receipt, name)) for name in ("depositNonce", "depositReceiptVersion")]
    return (bytes([kind]) if kind else b"") + rlp.encode(content)


def _logs(receipt: Mapping[str, object]) -> list[Mapping[str, object]]:
    found = receipt.get("logs")
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise Malformed("a receipt lacks its logs; it is asked elsewhere")
    return found


def _topics(entry: Mapping[str, object]) -> list[bytes]:
    found = entry.get("topics")
    topics = [data(one) for one in found] if isinstance(found, list) else [None]
    if not all(topic is not None and len(topic) == 32 for topic in topics):
        raise Malformed("a receipt's log misspells its topics; it is asked elsewhere")
    return [topic for topic in topics if topic is not None]


def _bytes(entry: Mapping[str, object], name: str, length: int | None = None) -> bytes:
    return stated_data(entry, name, _RECEIPT, length=length)


def _whole(entry: Mapping[str, object], name: str) -> int:
    return stated_quantity(entry, name, _RECEIPT)
