"""Transactions of a block, rebuilt into the root that its header names: what proves which transaction a log belongs to.

Receipts say nothing of transaction hashes, and nodes list them as they like. What does not belong here: asking (proof).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryptolake.net import rlp
from cryptolake.net.abi import keccak
from cryptolake.net.answers import quantity, stated_data, stated_quantity
from cryptolake.net.faults import Malformed
from cryptolake.net.headers import ProvenHeader

_TRANSACTION = "a transaction"
_LEGACY, _ACCESS_LIST, _FEES, _BLOBS, _CODE, _DEPOSIT = 0, 1, 2, 3, 4, 0x7E
_Fields = Mapping[str, object]


def hashes_of(header: ProvenHeader, transactions: object) -> tuple[str, ...]:
    """The hashes of a block's transactions in order, 0x hex, proven by the header's transactions root.

    Raises Malformed when they are not the header's, or of a type that is not known here.
    """
    listed = transactions if isinstance(transactions, Sequence) and not isinstance(transactions, str) else [None]
    whole = [one for one in listed if isinstance(one, Mapping)]
    if len(whole) != len(listed):
        raise Malformed(f"the transactions of block {header.number} were not answered whole; they are asked elsewhere")
    ordered = sorted(whole, key=lambda one: quantity(one.get("transactionIndex")) or 0)
    found = [encoded(one) for one in ordered]
    if "0x" + rlp.ordered_root(found).hex() != header.transactions_root:
        raise Malformed(
            f"the transactions of block {header.number} are not those that its header names; they are asked elsewhere"
        )
    return tuple("0x" + keccak(one).hex() for one in found)


def encoded(one: _Fields) -> bytes:
    """A transaction as it stands in the trie, and as it is hashed: its type's byte, unless it has none, and its content.

    Raises Malformed where a field is missing, or for another type than Ethereum's 0 to 4 and the OP stack's deposits.
    """
    kind = 0 if one.get("type") is None else _number(one, "type")
    gas_limit, to, value, content = (
        _whole(one, "gas"),
        _to(one),
        _whole(one, "value"),
        stated_data(one, "input", _TRANSACTION),
    )
    if kind == _DEPOSIT:
        minted = b"" if one.get("mint") is None else _whole(one, "mint")
        system = rlp.whole(int(one.get("isSystemTx") is True))
        source, sender = (
            stated_data(one, name, _TRANSACTION, length=size) for name, size in (("sourceHash", 32), ("from", 20))
        )
        return bytes([kind]) + rlp.encode([source, sender, to, minted, value, gas_limit, system, content])
    nonce = _whole(one, "nonce")
    if kind == _LEGACY:
        return rlp.encode([nonce, _whole(one, "gasPrice"), gas_limit, to, value, content, *_signature(one, "v")])
    if kind not in (_ACCESS_LIST, _FEES, _BLOBS, _CODE):
        raise Malformed(f"a transaction of type {kind:#x} follows rules that are not known here; it proves nothing")
    names = ("gasPrice",) if kind == _ACCESS_LIST else ("maxPriorityFeePerGas", "maxFeePerGas")
    prices = [_whole(one, name) for name in names]
    parts: list[rlp.Item] = [_whole(one, "chainId"), nonce, *prices, gas_limit, to, value, content, _accesses(one)]
    if kind == _BLOBS:
        parts += [_whole(one, "maxFeePerBlobGas"), _words(one, "blobVersionedHashes")]
    if kind == _CODE:
        parts.append([_authorization(each) for each in _mappings(one, "authorizationList")])
    return bytes([kind]) + rlp.encode([*parts, *_signature(one, "v" if one.get("yParity") is None else "yParity")])


def _signature(one: _Fields, parity: str) -> list[rlp.Item]:
    return [_whole(one, name) for name in (parity, "r", "s")]


def _authorization(each: _Fields) -> rlp.Item:
    """What lets an account run other code, as EIP-7702 orders it."""
    code = stated_data(each, "address", _TRANSACTION, length=20)
    return [_whole(each, "chainId"), code, _whole(each, "nonce"), *_signature(each, "yParity")]


def _accesses(one: _Fields) -> rlp.Item:
    return [
        [stated_data(each, "address", _TRANSACTION, length=20), _words(each, "storageKeys")]
        for each in _mappings(one, "accessList")
    ]


def _mappings(one: _Fields, name: str) -> list[_Fields]:
    found = one.get(name)
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise Malformed(f"a transaction's {name} is missing or misspelt; it is asked elsewhere")
    return found


def _words(one: _Fields, name: str) -> list[rlp.Item]:
    found = one.get(name)
    if not isinstance(found, list):
        raise Malformed(f"a transaction's {name} is missing or misspelt; it is asked elsewhere")
    return [stated_data({name: each}, name, _TRANSACTION, length=32) for each in found]


def _to(one: _Fields) -> bytes:
    """The address that it goes to; nothing where it makes a contract."""
    return b"" if one.get("to") is None else stated_data(one, "to", _TRANSACTION, length=20)


def _whole(one: _Fields, name: str) -> bytes:
    return rlp.whole(_number(one, name))


def _number(one: _Fields, name: str) -> int:
    return stated_quantity(one, name, _TRANSACTION)
