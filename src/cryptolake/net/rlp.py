"""RLP and the root of an ordered Merkle-Patricia trie: how Ethereum commits to a list. Pure; knows no receipt and no header.

Written from the yellow paper, appendices B to D. What does not belong here: what is encoded (headers, receipts), reading RLP.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptolake.net.abi import keccak

Item = bytes | Sequence["Item"]
"""A byte string, or a list of items."""

_LEAF = 32  # a node's bit that says that its path ends there
EMPTY_ROOT = keccak(b"\x80")
"""The root of a trie without entries."""


def encode(item: Item) -> bytes:
    """The RLP encoding of a byte string or of a list."""
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _head(0x80, len(item)) + item
    return _listed([encode(one) for one in item])


def whole(number: int) -> bytes:
    """A whole number as RLP spells it: big-endian without leading zeros, nothing for zero."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def ordered_root(values: Sequence[bytes]) -> bytes:
    """The root hash of the trie that holds each value under the RLP encoding of its place, 32 bytes.

    Every value must be non-empty: an empty one stands for none in such a trie.
    """
    if not values:
        return EMPTY_ROOT
    entries = sorted((_nibbles(encode(whole(place))), value) for place, value in enumerate(values))
    return keccak(_node(entries, 0))


def _head(base: int, length: int) -> bytes:
    if length < 56:
        return bytes([base + length])
    size = whole(length)
    return bytes([base + 55 + len(size)]) + size


def _listed(encoded: Sequence[bytes]) -> bytes:
    """The list of items that are encoded already."""
    body = b"".join(encoded)
    return _head(0xC0, len(body)) + body


def _node(entries: Sequence[tuple[bytes, bytes]], depth: int) -> bytes:
    """The encoded node of sorted entries that share their first `depth` nibbles."""
    first, last = entries[0][0], entries[-1][0]
    if len(entries) == 1:
        return _listed([encode(_compact(first[depth:], _LEAF)), encode(entries[0][1])])
    shared = depth
    while first[shared] == last[shared]:  # no key is the beginning of another: RLP is prefix-free
        shared += 1
    if shared > depth:
        return _listed([encode(_compact(first[depth:shared], 0)), _link(_node(entries, shared))])
    links, at = [b"\x80"] * 17, 0
    while at < len(entries):
        nibble, start = entries[at][0][depth], at
        while at < len(entries) and entries[at][0][depth] == nibble:
            at += 1
        links[nibble] = _link(_node(entries[start:at], depth + 1))
    return _listed(links)


def _link(node: bytes) -> bytes:
    """How a node stands in its parent: by hash, or itself when it is shorter than one."""
    return node if len(node) < 32 else encode(keccak(node))


def _nibbles(key: bytes) -> bytes:
    return bytes(half for byte in key for half in (byte >> 4, byte & 15))


def _compact(path: bytes, flag: int) -> bytes:
    """Nibbles packed into bytes, with the node's kind and whether their number is odd in front."""
    odd = len(path) % 2
    packed = bytes([flag + 16 * odd + (path[0] if odd else 0)])
    rest = path[odd:]
    return packed + bytes(16 * rest[at] + rest[at + 1] for at in range(0, len(rest), 2))
