"""Just enough Solidity plumbing to deploy published artifacts: ABI encoding, decoding, library linking.

Written apart from `cryptolake.net.abi` on purpose: a second, independent encoder keeps the ground truth independent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from Crypto.Hash import keccak as _keccak

NODE_MODULES = Path(__file__).resolve().parents[2] / "node_modules"
ARTIFACTS = NODE_MODULES / "@aave" / "core-v3" / "artifacts" / "contracts"

_ARRAY = re.compile(r"(.*)\[(\d*)\]")


def keccak(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it (not NIST SHA-3)."""
    return _keccak.new(digest_bits=256, data=data).digest()


def call_data(signature: str, *args: Any) -> str:
    """The 0x-prefixed calldata of `signature`, e.g. `call_data("mint(address,uint256)", account, 5)`."""
    types = signature[signature.index("(") :]
    return "0x" + (keccak(signature.encode())[:4] + _encode(types, args)).hex()


def encode(types: str, *args: Any) -> bytes:
    """The ABI encoding of `args` as the tuple `types`, e.g. `encode("(string,address)", "x", account)`."""
    return _encode(types, args)


def _split(tuple_type: str) -> list[str]:
    parts, depth, start = [], 0, 1
    for position, char in enumerate(tuple_type[1:-1], start=1):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(tuple_type[start:position])
            start = position + 1
    return [*parts, tuple_type[start:-1]] if tuple_type != "()" else []


def _dynamic(kind: str) -> bool:
    array = _ARRAY.fullmatch(kind)
    if array:
        return array[2] == "" or _dynamic(array[1])
    return kind in ("bytes", "string") or (kind.startswith("(") and any(map(_dynamic, _split(kind))))


def _encode(kind: str, value: Any) -> bytes:
    array = _ARRAY.fullmatch(kind)
    if array:
        body = _encode("(" + ",".join([array[1]] * len(value)) + ")", value)
        return body if array[2] else len(value).to_bytes(32, "big") + body
    if kind.startswith("("):
        kinds = _split(kind)
        if len(kinds) != len(value):
            raise ValueError(f"{kind} takes {len(kinds)} values, got {len(value)}")
        parts = [_encode(k, v) for k, v in zip(kinds, value, strict=True)]
        head_size = sum(32 if _dynamic(k) else len(p) for k, p in zip(kinds, parts, strict=True))
        head, tail = b"", b""
        for k, part in zip(kinds, parts, strict=True):
            if _dynamic(k):
                head += (head_size + len(tail)).to_bytes(32, "big")
                tail += part
            else:
                head += part
        return head + tail
    if kind in ("bytes", "string"):
        raw = value.encode() if isinstance(value, str) else value
        return len(raw).to_bytes(32, "big") + raw + bytes(-len(raw) % 32)
    if kind == "address":
        return bytes.fromhex(value[2:]).rjust(32, b"\0")
    if kind.startswith("bytes"):
        return bytes(value).ljust(32, b"\0")
    return int(value).to_bytes(32, "big", signed=int(value) < 0)


def words(answer: str) -> list[int]:
    """The 32-byte words of a 0x answer as unsigned integers."""
    body = answer[2:]
    return [int(body[at : at + 64], 16) for at in range(0, len(body), 64)]


def address(word: int) -> str:
    """The lower-case address in the low 20 bytes of `word`."""
    return f"0x{word & (2**160 - 1):040x}"


@dataclass(frozen=True)
class Artifact:
    """One compiled contract as published by Hardhat."""

    name: str
    bytecode: str
    links: tuple[tuple[str, int, int], ...]  # (library, start, length), offsets in bytes

    def creation(self, libraries: Mapping[str, str], constructor: str = "()", args: Sequence[Any] = ()) -> str:
        """Creation code with `libraries` (name -> address) linked in and the constructor's arguments appended."""
        code = self.bytecode[2:]
        for library, start, length in self.links:
            code = code[: start * 2] + libraries[library][2:] + code[(start + length) * 2 :]
        return "0x" + code + _encode(constructor, args).hex()


@cache
def artifact(name: str, package: Path = ARTIFACTS) -> Artifact:
    """The artifact called `name` that a package publishes; raises FileNotFoundError where it is not installed."""
    paths = sorted(package.rglob(f"{name}.json"))
    if not paths:
        where = package.relative_to(NODE_MODULES.parent).as_posix()
        raise FileNotFoundError(f"no artifact {name} under {where}; run: npm ci --ignore-scripts")
    body = json.loads(paths[0].read_text(encoding="utf-8"))
    links = tuple(
        (library, place["start"], place["length"])
        for libraries in body["linkReferences"].values()
        for library, places in libraries.items()
        for place in places
    )
    return Artifact(name, body["bytecode"], links)


def bytes32_symbol_token(implementation: str, symbol: str, decimals: int) -> str:
    """Creation code of a token whose `symbol()` is a bytes32, the way MKR answers.

    Hand-assembled: `symbol()` and `decimals()` return constants, every other call is delegated to `implementation`
    (an ERC-20 whose storage then lives in this contract).
    """
    answer = "PUSH0 MSTORE PUSH1:20 PUSH0 RETURN"
    source = (
        "PUSH0 CALLDATALOAD PUSH1:e0 SHR"
        " DUP1 PUSH4:95d89b41 EQ PUSH1:@symbol JUMPI"
        " PUSH4:313ce567 EQ PUSH1:@decimals JUMPI"
        " CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY"
        f" PUSH0 PUSH0 CALLDATASIZE PUSH0 PUSH20:{implementation[2:]} GAS DELEGATECALL"
        " RETURNDATASIZE PUSH0 PUSH0 RETURNDATACOPY"
        " PUSH1:@good JUMPI RETURNDATASIZE PUSH0 REVERT"
        " good: JUMPDEST RETURNDATASIZE PUSH0 RETURN"
        f" symbol: JUMPDEST PUSH32:{symbol.encode().ljust(32, bytes(1)).hex()} {answer}"
        f" decimals: JUMPDEST PUSH1:{decimals:02x} {answer}"
    )
    runtime = _assemble(source)
    size = f"{len(runtime):04x}"
    creation = _assemble(f"PUSH2:{size} DUP1 PUSH1:0a PUSH0 CODECOPY PUSH0 RETURN")
    assert len(creation) == 0x0A, "the runtime code starts where the creation code ends"
    return "0x" + (creation + runtime).hex()


_OPCODES = {
    "EQ": 0x14, "SHR": 0x1C, "CALLDATALOAD": 0x35, "CALLDATASIZE": 0x36, "CALLDATACOPY": 0x37, "CODECOPY": 0x39,
    "RETURNDATASIZE": 0x3D, "RETURNDATACOPY": 0x3E, "MSTORE": 0x52, "JUMPI": 0x57, "GAS": 0x5A, "JUMPDEST": 0x5B,
    "PUSH0": 0x5F, "PUSH1": 0x60, "PUSH2": 0x61, "PUSH4": 0x63, "PUSH20": 0x73, "PUSH32": 0x7F, "DUP1": 0x80,
    "RETURN": 0xF3, "DELEGATECALL": 0xF4, "REVERT": 0xFD,
}  # fmt: skip


def _assemble(source: str) -> bytes:
    code, labels, holes = bytearray(), {}, {}
    for word in source.split():
        if word.endswith(":"):
            labels[word[:-1]] = len(code)
            continue
        name, _, operand = word.partition(":")
        code.append(_OPCODES[name])
        if operand.startswith("@"):
            holes[len(code)] = operand[1:]
            code.append(0)
        elif operand:
            code += bytes.fromhex(operand)
    for place, label in holes.items():
        code[place] = labels[label]
    return bytes(code)
