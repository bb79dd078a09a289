"""One window of logs at one endpoint: its addresses and topics in as few questions as the endpoint takes.

What does not belong here: which window is asked where and when (scan), and what an error's words mean (faults).
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptolake.errors import CryptolakeError, Stop
from cryptolake.net.endpoint import Learned, Station
from cryptolake.net.faults import Doubtful, Elsewhere, Malformed, TooBig
from cryptolake.net.filters import find, untried
from cryptolake.net.logs import METHOD, Log, LogQuestion, place
from cryptolake.net.rpc import Pool

_AGAIN = 2

Part = tuple[Sequence[str], Sequence[str]]
"""Addresses and first topics that are asked for together."""


def ask_window(
    pool: Pool,
    station: Station,
    question: LogQuestion,
    start: int,
    end: int,
    addresses: Sequence[str] | None = None,
    unread: set[str] | None = None,
) -> list[Log]:
    """The logs of blocks `[start, end)` by all addresses of the question, or some of them; in no order.

    Where `unread` is given, emitters whose logs cannot be read are put into it, else they raise Malformed.

    Raises TooBig or Doubtful when fewer blocks may help (`teach` tells what to do then), else by reaction.
    """
    learned, found = station.learned, set[Log]()
    again = 0  # times that one block was refused whole and answered whole soon after
    parts = [_of(question, question.addresses if addresses is None else addresses)]
    while parts:
        addresses, topics = parts.pop()
        if len(addresses) > (size := learned.addresses.size):
            parts += [_of(question, addresses[size:]), _of(question, addresses[:size])]
            continue
        if len(topics) > (size := learned.topics.size):
            parts += [(addresses, topics[size:]), (addresses, topics[:size])]
            continue
        try:
            answer = pool.ask(station, METHOD, question.params(start, end, addresses, topics), start)
        except (TooBig, Doubtful) as error:
            of: str = error.of if isinstance(error, TooBig) else ""
            if of == "blocks" or of in learned.misnamed:
                of = _meant(learned, addresses, topics)
            many = len(addresses) * len(topics) > 1
            if of in {"addresses", "topics"} and many:
                hint = error.hint if isinstance(error, TooBig) and error.of == of else None
                _refused(learned, of, addresses, topics, hint)
                parts.append((addresses, topics))
                continue
            asked_in_vain = pool.hurried and isinstance(error, Doubtful) and not error.spoken
            unsaid = end - start == 1 or (not of and not asked_in_vain and untried(station, addresses, topics))
            few = find(pool, station, question, start, addresses, topics) if unsaid and many else None
            if few:  # whatever it was called
                if end - start == 1:
                    learned.forgive({of})
                parts.append((addresses, topics))
            elif end - start > 1:
                if of in {"addresses", "topics"}:  # there is only one left: it was never their number
                    learned.misname(of)
                raise
            elif few is False and again < _AGAIN:
                again += 1
                parts.append((addresses, topics))
            else:
                raise _refuses_all(pool, station, error) from None
        else:
            learned.addresses.answered(len(addresses))
            learned.topics.answered(len(topics))
            try:
                found.update(question.read(answer, start, end))
            except Malformed:
                if unread is None:
                    raise
                readable, others = question.salvage(answer, start, end)
                found.update(readable)
                unread |= others
    _require_places(found, unread)
    return list(found)


def _meant(learned: Learned, addresses: Sequence[str], topics: Sequence[str]) -> str:
    """What an endpoint that speaks of blocks may mean: where it was found out to mean something else, what is more than it ever
    took.
    """
    if "blocks" in learned.misnamed:
        if len(addresses) > max(1, learned.addresses.most):
            return "addresses"
        if len(topics) > max(1, learned.topics.most):
            return "topics"
    return "blocks"


def _require_places(found: set[Log], unread: set[str] | None) -> None:
    """Two logs in one place, given in answers to two parts of the question, are no answer: Malformed, or unread emitters."""
    first: dict[tuple[int, int], Log] = {}
    twice = [(first[place(one)], one) for one in found if first.setdefault(place(one), one) is not one]
    if not twice:
        return
    if unread is None:
        raise Malformed("the endpoint gives two logs for one place of a block; it is asked elsewhere")
    for log in {one for pair in twice for one in pair}:
        unread.add(log.address)
        found.discard(log)


def teach(learned: Learned, error: TooBig | Doubtful, start: int, end: int) -> list[tuple[int, int]]:
    """Learn from a refused window of more than one block; the pieces to ask for instead, `[start, end)` each.

    One piece, the same, when the endpoint is asked for fewer blocks from now on.
    """
    blocks = end - start
    if isinstance(error, Doubtful):
        learned.doubted(blocks, spoken=error.spoken)
        middle = start + blocks // 2
    elif error.of in {"results", "bytes"}:
        middle = start + learned.crowded(blocks, error.hint, error.results)
    else:
        learned.refused(blocks, error.hint if error.of in {"blocks", *learned.misnamed} else None)
        return [(start, end)]
    return [(start, middle), (middle, end)]


def _of(question: LogQuestion, addresses: Sequence[str]) -> Part:
    return addresses, question.topics(addresses)


def _refused(learned: Learned, of: str, addresses: Sequence[str], topics: Sequence[str], hint: int | None) -> None:
    """Too many addresses or topics; endpoints that count both in one limit do not say which, so addresses go first."""
    if len(addresses) > 1 and (of == "addresses" or len(topics) == 1):
        learned.addresses.refused(len(addresses), hint if of == "addresses" else None)
    else:
        learned.topics.refused(len(topics), hint if of == "topics" else None)


def _refuses_all(pool: Pool, station: Station, error: TooBig | Doubtful) -> CryptolakeError:
    """What it means that one block of one contract is refused: trouble, or an endpoint that has no logs to give."""
    if isinstance(error, Doubtful):
        return error.otherwise
    name = f"{pool.chain}: {station.endpoint.name} refuses a single block of logs; set another endpoint"
    return Elsewhere(name) if any(one is not station and one.stopped is None for one in pool.stations) else Stop(name)
