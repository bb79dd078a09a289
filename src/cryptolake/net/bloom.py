"""Bloom filters of block headers: what a block cannot hold. What a promise means for a day is not said here."""

from __future__ import annotations

from cryptolake.net.abi import keccak


def may_hold(bloom: bytes, text: str) -> bool:
    """Whether a 2048-bit header bloom may hold an address or topic (0x hex); Ethereum yellow paper, section 4.3.1."""
    digest = keccak(bytes.fromhex(text[2:]))
    for at in (0, 2, 4):
        bit = int.from_bytes(digest[at : at + 2], "big") & 2047
        if len(bloom) != 256 or not bloom[255 - bit // 8] >> (bit % 8) & 1:
            return False
    return True
