"""Several nodes behind one address, of which some have not come as far: a block that one of them lacks is asked for again.

That is no matter of size. What does not belong here: who else is asked (rpc), and whether another refusal is of size (doubts).
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptolake.errors import CryptolakeError
from cryptolake.net.answers import quantity
from cryptolake.net.endpoint import Station
from cryptolake.net.envelope import Json, Reply
from cryptolake.net.faults import Behind
from cryptolake.net.questions import Question, newest_block, several
from cryptolake.net.wire import Wire

# Until it is believed that none has it: at first, and where several nodes are known to answer.
_TRIES, _KNOWN_TRIES = 4, 8


def from_another_node(wire: Wire, station: Station, calls: Sequence[Question]) -> list[Json | Reply] | None:
    """What came when another node behind the address answered what one had not come to, though the endpoint's head is beyond.

    None where none did: then it may be anything else. Raises Behind where heads differ, so that it is asked later, and
    at once where somebody else can be asked instead.
    """
    newest = _newest(calls)
    if newest is None or newest > station.learned.head:
        return None
    lacks = Behind(
        f"{station.endpoint.name} has not come to block {newest} yet everywhere; it is asked elsewhere or later"
    )
    if station.hurried and station.uneven:
        raise lacks
    for _ in range(0 if station.hurried else _KNOWN_TRIES if station.uneven else _TRIES):
        if not station.uneven and several(calls) and _says_less(wire, station, newest):
            station.uneven = True
        try:
            found = wire.send(station, calls)
        except Behind:
            continue
        station.uneven = True
        return found
    if station.uneven:
        raise lacks
    return None


def _says_less(wire: Wire, station: Station, newest: int) -> bool:
    """Whether a node behind the address says that its head is below this block."""
    try:
        head = quantity(wire.alone(station, "eth_blockNumber"))
    except CryptolakeError:
        return False
    return head is not None and head < newest


def _newest(calls: Sequence[Question]) -> int | None:
    """The newest block that is asked for in any way."""
    named = [newest_block(calls)]
    named += [quantity(params[0]) for method, params in calls if method == "eth_getBlockByNumber" and params]
    return max((one for one in named if one is not None), default=None)
