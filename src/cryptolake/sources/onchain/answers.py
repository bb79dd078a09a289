"""Reads what contracts answered, one function per shape of answer, for all families. No I/O; knows no protocol.

Three ways to read, by what an odd answer means. `..._of`: the market cannot do without, so it raises Skip. `..._or_none`
and `symbol_of`: a contract that the protocol chose may not have it (a revert, nothing), but an answer cut short is an
unknown layout and raises Skip. `any_...`: whoever liked may have put the contract there, so no answer of it loses the market.
"""

from __future__ import annotations

from cryptolake.contracts.counting import counted
from cryptolake.errors import Skip
from cryptolake.net.abi import WORD, address_at, addresses_at, call_data, text, word
from cryptolake.net.multicall import MULTICALL3, Call, CallResult
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.records import AssetFacts

ZERO = "0x0000000000000000000000000000000000000000"
_MOST = 10_000  # of anything that is counted and then asked one by one
# The block's own timestamp, asked within a program: Multicall3 is older than every deployment that needs it.
CLOCK = Call(MULTICALL3, call_data("getCurrentBlockTimestamp()"))


def uint_of(answer: CallResult, what: str) -> int:
    """The number answered. Raises Skip for a revert, no contract and less than a word; `what` names the read."""
    return word(_needed(answer, what), 0)


def count_of(answer: CallResult, what: str) -> int:
    """How many there are. Raises Skip as `uint_of` does, and for more than any contract lists: that is no count."""
    count = uint_of(answer, what)
    if count > _MOST:
        raise Skip(f"{what} says {count}, at most {_MOST:,} expected: another contract or layout", reason="layout")
    return count


def address_of(answer: CallResult, what: str) -> str:
    """The address answered, EIP-55, also the zero address. Raises Skip as `uint_of` does."""
    return address_at(_needed(answer, what), 0)


def addresses_of(answer: CallResult, what: str) -> list[str]:
    """The `address[]` answered. Raises Skip as `uint_of` does, and for an array that is no array."""
    return addresses_at(_needed(answer, what), 0)


def uint_or_none(answer: CallResult) -> int | None:
    """The number answered; None for a revert and for nothing. Raises Skip(reason="layout") for less than a word."""
    return word(answer.data, 0) if answer.success and answer.data else None


def price_or_none(answer: CallResult) -> int | None:
    """As `uint_or_none`, and None for 0: every oracle that says 0 means that it has no price."""
    return uint_or_none(answer) or None


def symbol_of(answer: CallResult, asset: str) -> str:
    """The token's symbol, or its short address where it has none. Raises Skip(reason="layout") for what is no text."""
    return text(answer.data) if answer.success and answer.data else short(asset)


def token_facts(
    asset: str, symbol: CallResult, decimals: CallResult, price: int | None, unit: int | None, quote: str
) -> AssetFacts:
    """The facts of a token; it is a dead one where it does not say its decimals. Raises Skip as `uint_or_none` does."""
    places = uint_or_none(decimals)
    if places is None:
        return AssetFacts.dead(symbol_of(symbol, asset))
    return AssetFacts(symbol_of(symbol, asset), places, price, unit, quote)


def any_uint(answer: CallResult) -> int | None:
    """The number answered; None for a revert, for nothing and for less than a word."""
    return word(answer.data, 0) if answer.success and len(answer.data) >= WORD else None


def any_address(answer: CallResult) -> str | None:
    """The address answered; None where `any_uint` is, and for the zero address."""
    if any_uint(answer) is None:
        return None
    found = address_at(answer.data, 0)
    return None if found == ZERO else found


def any_symbol(answer: CallResult, asset: str) -> str:
    """The token's symbol, or its short address where it has none, an empty one, or says something that is no text."""
    try:
        return symbol_of(answer, asset) or short(asset)
    except Skip:
        return short(asset)


def block_time(csu: Csu, answer: CallResult) -> int:
    """The block's timestamp (seconds since 1970, UTC) from the answer to `CLOCK`. Raises Skip(reason="no_timestamp")."""
    if not answer.success or answer.empty:
        raise Skip(f"{csu.name}: Multicall3 does not tell the block's time on {csu.chain}", reason="no_timestamp")
    return word(answer.data, 0)


def _needed(answer: CallResult, what: str) -> bytes:
    data = answer.need(what)
    if len(data) < WORD:
        raise Skip(f"{what} has {counted(len(data), 'byte')}, {WORD} expected", reason="layout")
    return data


def short(asset: str) -> str:
    """An address as people recognise it, in place of a symbol."""
    return f"{asset[:6]}..{asset[-4:]}"
