"""Answers written by hand: runs a family's program against a book of them, for protocols whose code no package publishes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from cryptolake.net.abi import address_word, checksum, selector
from cryptolake.net.multicall import CallResult, Program

T = TypeVar("T")

# (contract, signature with its arguments: addresses as such, numbers in decimal) -> answer; None or absent reverts.
Book = Mapping[tuple[str, str], bytes | None]


def at(number: int) -> str:
    """A made-up address."""
    return checksum(f"0x{number:040x}")


def uint(value: int) -> bytes:
    """A word."""
    return value.to_bytes(32, "big")


def array(*addresses: str) -> bytes:
    """A returned `address[]`."""
    return uint(32) + uint(len(addresses)) + b"".join(map(address_word, addresses))


def string(value: str) -> bytes:
    """A returned `string` of up to 32 bytes."""
    return uint(32) + uint(len(value)) + value.encode().ljust(32, b"\0")


def run_by_book(program: Program[T], book: Book, signatures: Iterable[str]) -> tuple[T, list[list[str]]]:
    """The program's value and the signatures it asked, round by round. Fails on a call that is none of `signatures`.

    A call is looked up with its arguments appended: `balanceOf(address)0xAb..`, `getQuote(uint256,address,address)5,0x..,0x..`.
    """
    names = {selector(signature): signature for signature in signatures}
    rounds: list[list[str]] = []
    try:
        calls = next(program)
        while True:
            rounds.append([names[call.data[:4]] for call in calls])
            answers = []
            for call in calls:
                name = names[call.data[:4]]
                kinds = name[name.index("(") + 1 : -1].split(",")
                words = [call.data[place : place + 32] for place in range(4, len(call.data), 32)]
                told = [
                    checksum(one[-20:].hex()) if kind == "address" else str(int.from_bytes(one, "big"))
                    for kind, one in zip(kinds, words, strict=False)
                ]
                found = book.get((call.to, name + ",".join(told)))
                answers.append(CallResult(found is not None, found or b""))
            calls = program.send(answers)
    except StopIteration as stop:
        value: T = stop.value
        return value, rounds
