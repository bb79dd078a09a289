"""How an endpoint numbers logs: in the order of their block, or anew in every transaction, as some kinds of nodes do.

A whole block's logs tell: numbered by transaction, two of them have one number. One block of an endpoint is asked for, a few
where it does not tell or is silent. What does not belong here: what follows for the endpoint (examination).
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
            for number in dict.fromkeys(one.block for one in logs):
                if self._left.setdefault(name, _TRIES if station.endpoint.dataset_of is None else 0) < 1:
                    break
                entries = self._asked(station, number)
                whose = {one.transactionHash for one in entries}
                # What was not answered, or says nothing, tells nothing of how it numbers.
                self._left[name] = self._left[name] - 1 if len(whose) < 2 else 0
                if len({one.logIndex for one in entries}) < len(
                    {(one.transactionHash, one.logIndex) for one in entries}
                ):
                    self._apart.add(name)
            return name in self._apart

    def _asked(self, station: Station, number: int) -> list[_Entry]:
        """All logs of a block; none where the endpoint does not give them. Those of one transaction tell nothing."""
        try:
            asked: dict[str, Json] = {"fromBlock": hex(number), "toBlock": hex(number), "address": [], "topics": [[]]}
            return _ENTRIES.decode(self._pool.ask(station, METHOD, [asked], number))
        except (CryptolakeError, msgspec.DecodeError):
            return []
