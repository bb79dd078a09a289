"""Solidity ABI words by hand: selectors, topics, encoding and slicing. Small and fast; knows no contract.

Only what the families need: words, addresses, address arrays, strings (also the old bytes32 kind) and call encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from cryptolake.contracts.counting import counted
from cryptolake.errors import Skip

WORD = 32


def keccak(data: bytes) -> bytes:
    """Keccak-256, the hash of Ethereum (not NIST SHA-3)."""
    from Crypto.Hash import keccak as hashing  # not at the top: it brings a C parser, and naming markets needs none

    return hashing.new(digest_bits=256, data=data).digest()


@lru_cache(maxsize=4096)
def selector(signature: str) -> bytes:
    """The first four bytes of the hash of a canonical signature such as `balanceOf(address)`."""
    return keccak(signature.encode())[:4]


@lru_cache(maxsize=4096)
def topic(signature: str) -> str:
    """The event topic of a canonical signature, lower-case 0x hex."""
    return "0x" + keccak(signature.encode()).hex()


@lru_cache(maxsize=65536)
def checksum(address: str) -> str:
    """The EIP-55 spelling of a 20-byte hex address. Raises ValueError when it is not one."""
    plain = address.lower().removeprefix("0x")
    if len(plain) != 40:
        raise ValueError(f"{address!r} is no address: it needs 40 hex digits")
    int(plain, 16)
    digest = keccak(plain.encode()).hex()
    return "0x" + "".join(c.upper() if d > "7" else c for c, d in zip(plain, digest, strict=False))


def call_data(signature: str, *arguments: int | str | Sequence[str]) -> bytes:
    """Selector plus arguments: integers and 0x addresses as words, a sequence of addresses as a dynamic array."""
    heads: list[bytes] = []
    tail = b""
    for argument in arguments:
        if isinstance(argument, int):
            heads.append(argument.to_bytes(WORD, "big"))
        elif isinstance(argument, str):
            heads.append(address_word(argument))
        else:
            heads.append((len(arguments) * WORD + len(tail)).to_bytes(WORD, "big"))
            tail += len(argument).to_bytes(WORD, "big") + b"".join(map(address_word, argument))
    return selector(signature) + b"".join(heads) + tail


@lru_cache(maxsize=65536)
def address_word(address: str) -> bytes:
    """A 20-byte address left-padded to a word."""
    return bytes.fromhex(address.removeprefix("0x")).rjust(WORD, b"\0")


def bytes32(name: str) -> int:
    """A short ASCII name as the bytes32 argument that registries of contracts are asked with."""
    return int.from_bytes(name.encode("ascii").ljust(WORD, b"\0"), "big")


def word(data: bytes, index: int) -> int:
    """The unsigned integer in word `index`. Raises Skip(reason="layout") when the data is too short."""
    piece = data[index * WORD : (index + 1) * WORD]
    if len(piece) != WORD:
        raise Skip(f"the answer has {counted(len(data), 'byte')}, word {index} is missing", reason="layout")
    return int.from_bytes(piece, "big")


def signed(data: bytes, index: int) -> int:
    """The two's-complement integer in word `index`."""
    value = word(data, index)
    return value - (1 << 256) if value >> 255 else value


def address_at(data: bytes, index: int) -> str:
    """The EIP-55 address in word `index`."""
    end = (index + 1) * WORD
    if end > len(data):
        raise Skip(f"the answer has {counted(len(data), 'byte')}, word {index} is missing", reason="layout")
    return checksum(data[end - 20 : end].hex())


def uints_at(data: bytes, index: int) -> list[int]:
    """The dynamic array of words whose offset stands in word `index`."""
    start = word(data, index)
    if start % WORD or start + WORD > len(data):
        raise Skip("the answer's array offset points outside of it", reason="layout")
    first = start // WORD
    return [word(data, first + 1 + number) for number in range(_length(data, first))]


def addresses_at(data: bytes, index: int) -> list[str]:
    """The dynamic array of addresses whose offset stands in word `index`, EIP-55."""
    return [checksum(f"{value & ((1 << 160) - 1):040x}") for value in uints_at(data, index)]


def _length(data: bytes, index: int) -> int:
    length = word(data, index)
    if length > len(data) // WORD:
        raise Skip("the answer's array is longer than the answer", reason="layout")
    return length


def text(data: bytes) -> str:
    """A returned `string`, or the bytes32 some old tokens return instead. Undecodable bytes are replaced."""
    if len(data) == WORD:
        return data.rstrip(b"\0").decode("utf-8", "replace").replace("\0", "")
    start = word(data, 0)
    if start % WORD or start + WORD > len(data):
        raise Skip("the answer is neither a string nor bytes32", reason="layout")
    length = word(data, start // WORD)
    piece = data[start + WORD : start + WORD + length]
    if len(piece) != length:
        raise Skip("the answer's string is cut short", reason="layout")
    return piece.decode("utf-8", "replace").replace("\0", "")


def encode_aggregate3(calls: Sequence[tuple[str, bytes]]) -> bytes:
    """Call data of `Multicall3.aggregate3((address target,bool allowFailure,bytes callData)[])`, all failures allowed."""
    bodies = []
    for target, data in calls:
        padded = data + b"\0" * (-len(data) % WORD)
        head = address_word(target) + (1).to_bytes(WORD, "big") + (96).to_bytes(WORD, "big")
        bodies.append(head + len(data).to_bytes(WORD, "big") + padded)
    return selector("aggregate3((address,bool,bytes)[])") + (WORD).to_bytes(WORD, "big") + _offset_array(bodies)


def _offset_array(bodies: Sequence[bytes]) -> bytes:
    """A dynamic array of dynamic elements: count, offsets from the start of the offsets, elements."""
    offset = len(bodies) * WORD
    offsets = []
    for body in bodies:
        offsets.append(offset.to_bytes(WORD, "big"))
        offset += len(body)
    return len(bodies).to_bytes(WORD, "big") + b"".join(offsets) + b"".join(bodies)


def decode_aggregate3(data: bytes) -> list[tuple[bool, bytes]]:
    """The `(bool success, bytes returnData)[]` that aggregate3 returns."""
    base, size = word(data, 0) + WORD, len(data)
    count = _length(data, word(data, 0) // WORD)
    if base + count * WORD > size:
        raise Skip("a multicall answer is cut short", reason="layout")
    number_in = int.from_bytes  # a month of one market reads a hundred thousand words here
    results = []
    for place in range(base, base + count * WORD, WORD):
        start = base + number_in(data[place : place + WORD], "big")
        at = start + number_in(data[start + WORD : start + 2 * WORD], "big")
        length = number_in(data[at : at + WORD], "big")
        if start + 2 * WORD > size or at + WORD + length > size:
            raise Skip("a multicall answer is cut short", reason="layout")
        results.append((any(data[start : start + WORD]), data[at + WORD : at + WORD + length]))
    return results
