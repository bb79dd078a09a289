"""Bloom filters of block headers: what a block cannot hold (yellow paper, section 4.3.1).

What does not belong here: what a promise of one means for a day.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from cryptolake.net.abi import keccak

LENGTH = 256
"""Bytes of a filter."""


def may_hold(bloom: bytes, text: str) -> bool:
    """Whether a filter may hold an address or topic (0x hex): False is certain. One of another length holds nothing."""
    return len(bloom) == LENGTH and all(bloom[-1 - bit // 8] >> (bit % 8) & 1 for bit in _bits(bytes.fromhex(text[2:])))


def bloom_of(items: Collection[bytes]) -> bytes:
    """The filter that holds these addresses and topics and nothing else."""
    bits = 0
    for item in set(items):
        for bit in _bits(item):
            bits |= 1 << bit
    return bits.to_bytes(LENGTH, "big")


@lru_cache(maxsize=4096)
def _bits(item: bytes) -> tuple[int, int, int]:
    digest = keccak(item)
    first, second, third = (int.from_bytes(digest[at : at + 2], "big") & 2047 for at in (0, 2, 4))
    return first, second, third
