"""How many addresses and topics an endpoint takes in one question for logs, where it does not say: found at a single block.

Any refusal may mean them, whatever it is called, and to walk a window's blocks down for each of their numbers would cost
hundreds of questions. One block has no less, so that a few questions tell. What does not belong here: the window itself
(windows), and what a refusal's words say (faults).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cryptolake.net.bounds import Bound
from cryptolake.net.endpoint import Station
from cryptolake.net.faults import Doubtful, TooBig
from cryptolake.net.logs import METHOD, LogQuestion
from cryptolake.net.rpc import Pool

_STEPS = 12  # questions for one of them: more rungs than any search walks


def untried(station: Station, addresses: Sequence[str], topics: Sequence[str]) -> bool:
    """Whether so many were never taken, and it may be found out whether they are."""
    learned, asked = station.learned, (len(addresses), len(topics))
    if max(asked) == 1 or asked in learned.filters_in_vain:
        return False
    return not (learned.addresses.took(asked[0]) and learned.topics.took(asked[1]))


def find(
    pool: Pool, station: Station, question: LogQuestion, block: int, addresses: Sequence[str], topics: Sequence[str]
) -> bool | None:
    """Ask for one block until it is known how many addresses and topics are taken, after a question with these was refused.

    True when they are too many, as is learned then; False when one block is answered with all of them; None when one of each
    is refused too, so that it is something else. Raises by reaction where it cannot be found out now.
    """
    learned = station.learned

    def takes(addresses: Sequence[str], topics: Sequence[str]) -> bool:
        try:
            pool.ask(station, METHOD, question.params(block, block + 1, addresses, topics), block)
        except (TooBig, Doubtful):
            return False
        learned.addresses.answered(len(addresses))
        learned.topics.answered(len(topics))
        return True

    with learned.finding_filters:
        if len(addresses) > learned.addresses.size or len(topics) > learned.topics.size:
            return True  # as somebody has found out meanwhile
        if takes(addresses, topics):
            return False
        if not takes(addresses[:1], topics[:1]):
            learned.filters_in_vain.add((len(addresses), len(topics)))
            return None
        if takes(addresses, topics):
            return False  # what was wrong has passed
        if len(addresses) == 1 or (len(topics) > 1 and takes(addresses, topics[:1])):
            return _search(learned.topics, len(topics), lambda size: takes(addresses, topics[:size]))
        return _search(learned.addresses, len(addresses), lambda size: takes(addresses[:size], topics[:1]))


def _search(bound: Bound, refused: int, takes: Callable[[int], bool]) -> bool | None:
    """Find the most that is taken, below what was refused; None where that cannot be told."""
    size = refused
    for _ in range(_STEPS):
        bound.refused(size)
        while (size := bound.size) > 1 and not bound.settled and takes(size):
            pass
        if size == 1 or bound.settled:
            break
    return True if bound.size < refused else None
