"""Whether an answer is one: what each method's result must look like before anybody concludes anything from it.

An answer that is not well formed is no answer: it is asked elsewhere. What does not belong here: what a result means.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

from cryptolake.net.envelope import Json, decoded
from cryptolake.net.faults import Behind, Malformed
from cryptolake.net.state import Proving

_DIGITS = frozenset(string.hexdigits)
_HASH = 66  # characters of a 32-byte hash, with 0x


def quantity(value: object) -> int | None:
    """A number as JSON-RPC spells it (0x and hex digits, at most 256 bits); None when it is none."""
    if (
        not isinstance(value, str)
        or not 2 < len(value) <= 66
        or value[:2].lower() != "0x"
        or not _DIGITS.issuperset(value[2:])
    ):
        return None
    return int(value, 16)


def data(value: object) -> bytes | None:
    """Bytes as JSON-RPC spells them (0x and pairs of hex digits); None when they are none."""
    if not isinstance(value, str) or value[:2].lower() != "0x":
        return None
    try:
        return bytes.fromhex(value[2:]) if not value[2:].split()[1:] and value == value.strip() else None
    except ValueError:
        return None


def stated_quantity(entry: Mapping[str, object], name: str, of: str) -> int:
    """A number that `entry` must hold, `of` saying what it is. Raises Malformed."""
    if (found := quantity(entry.get(name))) is None:
        raise Malformed(f"{of}'s {name} is missing or misspelt; it is asked elsewhere")
    return found


def stated_data(entry: Mapping[str, object], name: str, of: str, *, length: int | None = None) -> bytes:
    """Bytes that `entry` must hold, of this length where one is given. Raises Malformed."""
    found = data(entry.get(name))
    if found is None or length not in {None, len(found)}:
        raise Malformed(f"{of}'s {name} is missing or misspelt; it is asked elsewhere")
    return found


def read(method: str, params: Sequence[Json], raw: bytes) -> Json | bytes:
    """A result as its method gives it, decoded and well formed; a list of logs stays as it came, for who asked to read it.

    Raises as `check`.
    """
    if method == "eth_getLogs":
        if raw.lstrip()[:1] != b"[":
            raise Malformed("the endpoint answered eth_getLogs with something else than logs; it is asked elsewhere")
        return raw
    answer = decoded(raw)
    check(method, params, answer)
    return answer


def check(method: str, params: Sequence[Json], answer: Json) -> None:
    """Raise Malformed when the answer of a method is not well formed, Behind when it is a block that is not there yet."""
    match method:
        case "eth_call" | "eth_getCode" | "eth_getStorageAt":
            well = data(answer) is not None
            if well and params and isinstance(params[0], Proving):
                params[0].believe(answer)
        case "eth_chainId" | "eth_blockNumber" | "eth_getBalance" | "eth_gasPrice" | "eth_getTransactionCount":
            well = quantity(answer) is not None
        case "eth_getBlockByNumber" if quantity(params[0] if params else None) is not None:
            if answer is None:
                raise Behind(
                    f"the endpoint does not have block {quantity(params[0])} yet; it is asked elsewhere or later"
                )
            well = (
                _is_header(answer) and isinstance(answer, Mapping) and quantity(answer["number"]) == quantity(params[0])
            )
        case "eth_getBlockByNumber":
            well = answer is None or _is_header(answer)  # a tag that a chain does not have
        case _:
            well = True
    if not well:
        raise Malformed(f"the endpoint's answer to {method} is not well formed; it is asked elsewhere")


def _is_header(answer: Json) -> bool:
    """Days and evidence rest on number, timestamp and hash; who needs another field looks at it."""
    if not isinstance(answer, Mapping):
        return False
    timestamp, own = quantity(answer.get("timestamp")), answer.get("hash")
    is_hash = isinstance(own, str) and len(own) == _HASH and data(own) is not None
    parent = answer.get("parentHash", own)
    is_hash = is_hash and isinstance(parent, str) and len(parent) == _HASH and data(parent) is not None
    return quantity(answer.get("number")) is not None and timestamp is not None and timestamp < 1 << 40 and is_hash
