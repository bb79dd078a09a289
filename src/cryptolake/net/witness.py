"""The second voice: log windows are asked again at another operator's endpoint, whole or by a sample, in spans of its own.

What does not belong here: which endpoints are one voice (voices), and what becomes of a difference (settlement).
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from cryptolake.contracts.counting import counted
from cryptolake.errors import CryptolakeError, Retry, Stop
from cryptolake.net.besides import among, others, why_none
from cryptolake.net.blocks import BlockRange
from cryptolake.net.choice import HELPS, blocks_a_second, worth_asking
from cryptolake.net.endpoint import Station
from cryptolake.net.faults import NotAwaited
from cryptolake.net.logs import METHOD, AnsweredWindow, BlockWindow, Log, LogFilter
from cryptolake.net.lots import lot
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan
from cryptolake.net.voices import by_voice, voice

GIVEN_UP = 2  # periods that a voice could not speak for, until it is asked no more; one where it is only asked besides
DEARER = 10  # times as many questions as the first voice took, from which on nobody is asked for all of it


class TooDear(Retry):
    """A second voice would take many more questions than the first one took."""


@dataclass(frozen=True, slots=True)
class Testimony:
    """What second voices said: who answered which blocks, with which logs, and why that bears out no more ("": all was said).

    `unread` are emitters of which the second voice gave nothing that can be read. `sampled` says why a sample was asked where
    all was wished for ("": it was not so).
    """

    windows: tuple[BlockWindow, ...] = ()
    logs: tuple[Log, ...] = ()
    unread: frozenset[str] = frozenset()
    problem: str = ""
    sampled: str = ""


@dataclass(slots=True)
class Witness:
    """Asks second voices for the windows of one scan. `share` of them are asked again (1.0: all), chosen by lot.

    `sample` is the share that is asked instead of all where all of it is too dear at everybody; None where all is to be asked
    whatever it costs, though never of those who are only asked besides.

    `known` are answers that an earlier, interrupted run kept; `keep` is given every new one, `failed` outlives this one where
    it is given. Thread-safe.
    """

    pool: Pool
    filters: Sequence[LogFilter]
    share: float
    known: Sequence[AnsweredWindow] = ()
    keep: Callable[[AnsweredWindow], None] = lambda _answered: None
    failed: Counter[str] = field(default_factory=Counter)  # times that a voice did not answer
    sample: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hear(self, windows: Sequence[BlockWindow], within: BlockRange) -> Testimony:
        """Ask again what the period's windows hold, each at a voice that did not answer it. Never raises for a second voice."""
        found, problems, dear = list[AnsweredWindow](), list[str](), dict[str, list[str]]()
        able, parts = dict[str, list[Station]](), _parts(windows, within, joined=self.share >= 1.0)
        for name in parts:
            able[name] = self._able(name)
            if not able[name]:
                problems.append(self._why_nobody(name))
        for name, wanted in self._chosen(parts, able, self.share).items():
            asked = sum(one.endpoint == name for one in windows)
            bounded = self.share >= 1.0 and self.sample is not None
            told, too_dear = self._ask(able[name], wanted, found, DEARER * asked, bounded=bounded)
            if too_dear and self.sample:
                dear[name] = told
            else:
                problems += told
        problems += self._sampled(_parts(windows, within, joined=False), able, dear, found) if dear else []
        unread = frozenset[str]().union(*(one.unread for one in found))
        if unread:
            names = sorted({one.window.endpoint for one in found if one.unread})
            contracts = counted(len(unread), "contract")
            problems.append(f"a second voice ({' and '.join(names)}) gives logs of {contracts} that cannot be read")
        return Testimony(
            tuple(one.window for one in sorted(found, key=lambda one: one.window.start)),
            tuple(sorted((log for one in found for log in one.logs), key=lambda log: (log.block, log.index))),
            unread,
            "; ".join(dict.fromkeys(problems)),
            "; ".join(dict.fromkeys(one for told in dear.values() for one in told)),
        )

    def _sampled(
        self,
        parts: Mapping[str, Sequence[BlockRange]],
        able: Mapping[str, Sequence[Station]],
        dear: Collection[str],
        found: list[AnsweredWindow],
    ) -> list[str]:
        """Ask a sample of what is too dear to be asked whole, of the user's own; why some of it is not answered."""
        own = {name: [one for one in able[name] if not one.endpoint.besides] for name in dear}
        names = {one.endpoint.name for some in own.values() for one in some}
        took = [one.window.end - one.window.start for one in found if one.window.endpoint in names]
        chosen = self._chosen({name: parts[name] for name in dear}, own, self.sample or 0.0, max(took, default=None))
        problems: list[str] = []
        for name, pieces in chosen.items():
            heard = [one.window for one in found]
            left = [one for one in pieces if not any(at.start < one.end and one.start < at.end for at in heard)]
            problems += self._ask(own[name], left, found, 0, bounded=False)[0] if left else []
        return problems

    def _able(self, name: str) -> list[Station]:
        """Who can speak besides the endpoint of this name, the cheapest first."""
        if not any(one.endpoint.name == name for one in self.pool.everybody):
            return []  # nobody can tell who is somebody else than an endpoint that is no longer configured
        able = [
            one
            for one in others(self.pool, {name})
            if one.lied is None and self.failed[voice(one.endpoint)] < (1 if one.endpoint.besides else GIVEN_UP)
        ]
        most = max((blocks_a_second(one) for one in able), default=0.0)
        return sorted(able, key=lambda one: _price(one, slow=blocks_a_second(one) < HELPS * most))

    def _why_nobody(self, name: str) -> str:
        there = others(self.pool, {name})
        if there and all(one.lied is not None for one in there):
            return "; ".join(str(one.lied) for one in there)
        if there:
            return "the second voices that are configured do not answer"
        return why_none(self.pool, {name})

    def _chosen(
        self,
        parts: Mapping[str, Sequence[BlockRange]],
        able: Mapping[str, Sequence[Station]],
        share: float,
        widest: int | None = None,
    ) -> dict[str, list[BlockRange]]:
        """The blocks to ask again, by who answered them: all, or pieces of one question each, drawn by lot.

        The lots fall the same way every time. Where only endpoints can answer that take a tenth of the blocks or less, they are
        asked as often as an equal would be, and compare fewer blocks.
        """
        if share >= 1.0:
            return {name: list(some) for name, some in parts.items() if able[name]}
        pieces, questions = list[tuple[str, BlockRange]](), 0
        for name, some in parts.items():
            step = max((one.learned.span for one in worth_asking(able[name], None)), default=0)
            step = step if widest is None else min(step, widest)  # a span that is being looked for may be too wide
            for part in some if step else ():
                cut = [BlockRange(at, min(part.end, at + step)) for at in range(part.start, part.end, step)]
                pieces += [(name, one) for one in cut]
                questions += len(cut) if HELPS * len(cut) <= 1 else 1
        pieces.sort(key=lambda piece: lot(self.pool.chain, piece[1].start))
        found: dict[str, list[BlockRange]] = {}
        for name, piece in sorted(pieces[: math.ceil(share * questions)], key=lambda one: one[1].start):
            found.setdefault(name, []).append(piece)
        return found

    def _ask(
        self,
        stations: Sequence[Station],
        wanted: Sequence[BlockRange],
        found: list[AnsweredWindow],
        most: int,
        *,
        bounded: bool,
    ) -> tuple[list[str], bool]:
        """Ask for these blocks, one voice after the other until all are answered; why some are not, nothing when all are, and
        whether one of the user's own was too dear.

        Who is only asked besides answers at most so many questions; where it is `bounded` so does everybody.
        """
        problems, too_dear = list[str](), False
        whole = BlockRange(wanted[0].start, wanted[-1].end)
        names = {one.endpoint.name for one in stations}
        holes = _between(wanted)
        told = [one for one in self.known if one.window.endpoint in names and _lies_in(one.window, wanted)]
        for group in by_voice(stations, lambda one: one.endpoint):
            pool = among(self.pool, group)
            new = list[AnsweredWindow](told)
            dear = partial(_refuse_dearer, group, most) if bounded or pool.hurried else _at_any_price

            def kept(
                answered: AnsweredWindow,
                new: list[AnsweredWindow] = new,
                dear: Callable[[int, int], None] = dear,
                known: int = len(told),
            ) -> None:
                """By whoever asked, so that a span that is found out on the way ends it at once."""
                self.keep(answered)
                new.append(answered)
                dear(len(new) - known, _blocks(wanted, new))

            try:
                dear(0, _blocks(wanted, told))
                with closing(scan(pool, self.filters, whole, known=[*holes, *told], keep=kept)) as answers:
                    for _ in answers:
                        pass
            except (Retry, Stop) as error:
                own = isinstance(error, TooDear) and not pool.hurried
                problems, too_dear = ([*problems] if too_dear else []) + [_said(error)], too_dear or own
                with self._lock:  # who is not waited for is asked again as soon as it is
                    self.failed[voice(group[0].endpoint)] += not own and not isinstance(error, NotAwaited)
                told = list({one.window: one for one in new}.values())
                continue
            found += new
            return [], False
        found += told
        return problems, too_dear


def _parts(windows: Iterable[BlockWindow], within: BlockRange, *, joined: bool) -> dict[str, list[BlockRange]]:
    """The blocks that each endpoint answered, window by window; where they are `joined`, neighbours are one range."""
    found: dict[str, list[BlockRange]] = {}
    for window in sorted(windows, key=lambda one: one.start):
        if not len(part := _within(window, within)):
            continue
        parts = found.setdefault(window.endpoint, [])
        if joined and parts and parts[-1].end == part.start:
            part = BlockRange(parts.pop().start, part.end)
        parts.append(part)
    return found


def _within(window: BlockWindow, within: BlockRange) -> BlockRange:
    return BlockRange(max(window.start, within.start), min(window.end, within.end))


def _blocks(wanted: Iterable[BlockRange], told: Iterable[AnsweredWindow]) -> int:
    """How many of the blocks wanted nobody has answered yet."""
    return sum(map(len, wanted)) - sum(one.window.end - one.window.start for one in told)


def _lies_in(window: BlockWindow, wanted: Iterable[BlockRange]) -> bool:
    return any(one.start <= window.start and window.end <= one.end for one in wanted)


def _between(wanted: Sequence[BlockRange]) -> list[AnsweredWindow]:
    """What lies between the blocks wanted, as windows that need no asking."""
    found, at = [], wanted[0].start
    for one in wanted:
        if at < one.start:
            found.append(AnsweredWindow(BlockWindow(at, one.start, "", 0), ()))
        at = max(at, one.end)
    return found


def _price(station: Station, *, slow: bool) -> tuple[float, bool, bool, float]:
    """What a block of logs costs there: dollars, whether it is only asked besides, whether it is slow, then questions."""
    span, limits = station.learned.span, station.endpoint.limits
    usd = (station.endpoint.usd_per_million or 0.0) * limits.cost(METHOD) / span
    return usd, station.endpoint.besides, slow, 1 / span


def _at_any_price(_asked: int, _left: int) -> None:
    """All of it is wanted."""


def _refuse_dearer(group: Sequence[Station], most: int, asked: int, left: int) -> None:
    """Raise TooDear, which says the price, where so many questions and those about the blocks left are too many."""
    span = max(one.learned.span for one in group)
    questions = asked + math.ceil(left / span)
    if questions > most:
        raise TooDear(
            f"{group[0].endpoint.name} would take {counted(questions, 'question')} of {counted(span, 'block')}, more than "
            f"{DEARER} x what the endpoint took that it bears out; set another operator's endpoint"
        )


def _said(error: CryptolakeError) -> str:
    if isinstance(error, TooDear):
        return str(error)
    return f"a second voice did not answer: {error}"
