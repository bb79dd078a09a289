"""How an endpoint numbers logs: in the order of their block, or anew in every transaction, as some kinds of nodes do.

A whole block's logs tell: numbered by transaction, two of them have one number. One block of an endpoint is asked for, a few
where it does not tell. What does not belong here: what follows for the endpoint (examination).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import msgspec

from cryptolake.errors import CryptolakeError
from cryptolake.net.endpoint import Station
from cryptolake.net.envelope import Json
from cryptolake.net.logs import METHOD, Log
from cryptolake.net.rpc import Pool

_TRIES = 3  # blocks of an endpoint, until it is left at that
_EVERYTHING: dict[str, Json] = {"address": [], "topics": [[]]}  # of any emitter, whatever its first topic


class _Entry(msgspec.Struct):
    transactionHash: str  # noqa: N815  # as JSON-RPC spells it
    logIndex: str  # noqa: N815


_ENTRIES = msgspec.json.Decoder(list[_Entry])


class Numbering:
    """What is known of the endpoints of one pool; asked once for all. Thread-safe."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._lock = pool, threading.Lock()
        self._left: dict[str, int] = {}  # blocks that may still be asked of an endpoint; none: it is known
        self._apart: set[str] = set()

    def by_transaction(self, station: Station, logs: Iterable[Log]) -> bool:
        """Whether the endpoint numbers logs by transaction, as a block of one of these logs, which it gave, tells."""
        name = station.endpoint.name
        with self._lock:
            for number, block_hash in dict.fromkeys((one.block, one.block_hash) for one in logs):
                if self._left.setdefault(name, _TRIES if station.endpoint.dataset_of is None else 0) < 1:
                    break
                self._left[name] -= 1
                if (found := self._asked(station, number, block_hash)) is not None:
                    self._left[name] = 0
                    self._apart |= {name} if found else set()
            return name in self._apart

    def _asked(self, station: Station, number: int, block_hash: str) -> bool | None:
        """None where the block does not tell: fewer than two of its transactions have logs, or nobody gives them all."""
        try:
            answer = self._pool.ask(station, METHOD, [{"blockHash": block_hash, **_EVERYTHING}], number)
            entries = _ENTRIES.decode(answer)
        except (CryptolakeError, msgspec.DecodeError):
            return None
        if len({one.transactionHash for one in entries}) < 2:
            return None
        return len({one.logIndex for one in entries}) < len({(one.transactionHash, one.logIndex) for one in entries})
