"""One history up to a block: asked for what is missing, then for who bears it out, until nobody is proven to lie.

What does not belong here: where histories are kept (history), and which there are (discovery).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

from cryptolake.contracts.counting import counted
from cryptolake.errors import Retry, Skip, Stop
from cryptolake.net.besides import among, others, why_none
from cryptolake.net.blocks import BlockRange
from cryptolake.net.endpoint import Station
from cryptolake.net.faults import Malformed
from cryptolake.net.liars import Accuser
from cryptolake.net.logs import AnsweredWindow, BlockWindow, Log, LogFilter, LogQuestion, place
from cryptolake.net.lots import lot
from cryptolake.net.proof import Prover
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan
from cryptolake.net.settlement import Said, settle
from cryptolake.net.voices import are_two, by_voice, told_by, voice, voice_told
from cryptolake.net.witness import DEARER, GIVEN_UP, Witness
from cryptolake.sources.onchain.history import Discovered, History, history_grade
from cryptolake.sources.onchain.stretches import Stretch, blocks_in, common, joined, without

_MOST_QUESTIONS = 250_000  # of one history: about three hours at 25 a second
_FIRST_WINDOWS = 50  # after so many the spans are learned, and the whole can be reckoned


class Telling:
    """Has one history told, by the endpoints of a pool. `share` of the blocks are asked again at a second operator, or a
    `sample` of them where all would take whoever is there many times the questions (None: all of them whatever it costs).
    """

    def __init__(
        self,
        pool: Pool,
        wanted: LogFilter,
        blocks: BlockRange,
        history: History,
        share: float,
        watch: Callable[[int], None],
        prover: Prover | None,
        accused: Accuser,
        sample: float | None = None,
    ) -> None:
        self._pool, self._wanted, self._history, self._share = pool, wanted, history, share
        self._watch, self._prover, self._accused, self._sample = watch, prover, accused, sample
        self._range, self._whole = blocks, [(blocks.start, blocks.end)]
        self._liars: dict[str, tuple[int, str]] = {}
        self._contradicted: list[str] = []  # what only those say otherwise who are asked besides
        self._lying = {
            told_by(one.endpoint)
            for one in pool.everybody
            if one.lied is not None or accused(one.endpoint.name, told_by(one.endpoint)) is not None
        }

    def told(self) -> Discovered:
        """Ask until everything is told and nobody who told it is proven to lie."""
        if any(told_by(one.endpoint) not in self._lying for one in self._pool.stations):  # else it would be told again
            for by in [*self._history.told]:
                if by in self._lying or self._accused("", by) is not None:
                    self._forget(by)
        for _ in range(len(self._pool.everybody) + 1):
            self._ask_first()
            problem = self._ask_again() if self._share else ""
            if not self._settled():
                break
        else:
            raise Skip(f"{self._pool.chain}: everybody is proven to lie about its events", reason="suspect")
        first = self._first()
        logs = sorted({log for by, some in first.items() for log in self._history.told[by].within(some)}, key=place)
        logs = self._as_disputed(logs)
        within = {by: common(one.blocks, self._whole) for by, one in self._history.told.items()}
        told, sampled = {by: some for by, some in within.items() if some}, common(self._history.sampled, self._whole)
        grade = history_grade(self._whole[0], told, sampled)
        problem = problem if grade != "two_voices" else ""
        doubts = "; ".join(self._contradicted)
        return Discovered(tuple(logs), grade, self._whole[0], told, sampled, problem, self._liars, doubts)

    # -- what is known

    def _as_disputed(self, logs: list[Log]) -> list[Log]:
        """The logs with the fullest version of every block that is disputed still, whoever of both is silent by now.

        Two operators who tell such a block alike settle it.
        """
        twice = self._history.twice()
        for number, fullest in sorted(self._history.disputed.items()):
            block = [(number, number + 1)]
            if common(block, twice):
                self._history.settle(number)
            elif common(block, self._whole):
                logs += [log for log in fullest if log not in logs]
                words = (
                    f"{self._pool.chain}: operators disagree about events of block {number}, and no two have settled it"
                )
                if not any(f"block {number};" in one for one in self._contradicted):
                    self._contradicted.append(words)
        return sorted(logs, key=place)

    def _first(self) -> dict[str, list[Stretch]]:
        """Who is believed for which blocks: known operators before unknown ones, each block once."""
        found, left = dict[str, list[Stretch]](), self._whole
        for by in sorted(self._history.told, key=lambda one: (not voice_told(one), one)):
            found[by] = common(self._history.told[by].blocks, left)
            left = without(left, found[by])
        return found

    # -- asking

    def _ask_first(self) -> None:
        """Ask for the blocks that nobody told. An unknown teller is nobody where two known ones can be had instead."""
        told, stations = self._history.told, list(self._pool.stations)
        known = [one for one in self._able() if voice_told(told_by(one.endpoint))]
        own = [one for one in known if one in stations]
        if self._share and own and len(by_voice(known, lambda one: one.endpoint)) > 1:
            stations = own
            for by in [by for by in told if not voice_told(by)]:
                self._history.take_back(by, without(told[by].blocks, self._history.twice()))
        holes = without(self._whole, self._history.once())
        self._scan(self._pool_of(stations), holes)

    def _ask_again(self) -> str:
        """Ask a second operator for what only one told, or a sample of it; why some of it could not be, "" when all was."""
        problems = []
        for by, some in self._first().items():
            able = self._others_than(by)
            present = [one for one in self._pool.everybody if told_by(one.endpoint) == by]
            share = self._share_at(able, present or self._pool.stations)
            left = without(some, self._history.twice())
            left = left if share >= 1.0 else without(left, self._history.sampled)
            if not left:
                continue
            if not able:
                problems.append(self._why_nobody(by))
            elif present:
                problems.append(self._hear(present[0], able, left, share))
            else:  # told by somebody who is no longer configured
                problems.append(self._hear_stranger(able, left, share))
        return "; ".join(dict.fromkeys(one for one in problems if one))

    def _share_at(self, able: Sequence[Station], tellers: Sequence[Station]) -> float:
        """The share of blocks that is asked again of these: a sample where all of them would be too dear."""
        if self._sample is None or self._share < 1.0 or all(one.endpoint.besides for one in able):
            return self._share
        widest, told = (max(one.learned.span for one in some) for some in (able, tellers))
        return self._share if DEARER * widest >= told else self._sample

    def _hear(self, teller: Station, able: Sequence[Station], left: Sequence[Stretch], share: float) -> str:
        """Ask others than a teller who is there for these blocks."""
        pool = among(self._pool, [one for one in (teller, *able) if not one.endpoint.besides])
        pool.besides = [one for one in (teller, *able) if one.endpoint.besides]
        name, step = teller.endpoint.name, max(1, teller.learned.span)
        windows = [
            BlockWindow(at, min(end, at + step), name, 0) for start, end in left for at in range(start, end, step)
        ]
        failed = self._history.failed  # who does not answer is not asked for every day of a run
        witness = Witness(pool, [self._wanted], share, (), self._kept, failed, self._sample)
        heard = witness.hear(windows, self._range)
        self._learn([AnsweredWindow(one, ()) for one in heard.windows], heard.logs)
        if heard.unread:
            return f"events of {self._wanted.address} cannot be read at a second operator's endpoint"
        if heard.windows and not heard.problem:
            self._history.was_sampled(left)
        return heard.problem or heard.sampled

    def _hear_stranger(self, able: Sequence[Station], left: Sequence[Stretch], share: float) -> str:
        """Ask others than a teller who is gone for these blocks, or for a sample of them."""
        wanted, failed = left, self._history.failed
        able = [one for one in able if failed[voice(one.endpoint)] < GIVEN_UP]
        if not able:
            return "the second operators that are configured do not answer"
        if share < 1.0:
            step = max(one.learned.span for one in able)
            pieces = [(at, min(end, at + step)) for start, end in left for at in range(start, end, step)]
            pieces.sort(key=lambda one: lot(self._pool.chain, one[0]))
            wanted = joined(pieces[: math.ceil(share * len(pieces))])
        try:
            self._scan(self._pool_of(able), wanted)
        except (Retry, Stop) as error:
            failed.update(voice(one.endpoint) for one in able)
            return f"a second operator did not answer: {error}"
        self._history.was_sampled(left)
        return ""

    def _scan(self, pool: Pool, wanted: Sequence[Stretch]) -> None:
        """Ask a pool for these blocks. Raises as `scan`, and Skip for what would take for ever."""
        if not wanted:
            return
        known = [_answered(one) for one in without(self._whole, wanted)]
        fresh, longest, done = list[AnsweredWindow](), 1, blocks_in(self._whole) - blocks_in(wanted)
        try:
            with closing(scan(pool, [self._wanted], self._range, known=known, keep=self._kept)) as windows:
                for answered in windows:
                    if not answered.window.endpoint:
                        continue
                    if answered.unread:
                        raise Malformed(
                            f"{pool.chain}: events of {self._wanted.address} cannot be read; set another endpoint"
                        )
                    fresh.append(answered)
                    done += answered.window.end - answered.window.start
                    self._watch(done)
                    longest = max(longest, answered.window.end - answered.window.start)
                    if len(fresh) >= _FIRST_WINDOWS and (len(self._range) - done) // longest > _MOST_QUESTIONS:
                        raise Skip(
                            f"{pool.chain}: the endpoints answer {counted(longest, 'block')} of logs a question, "
                            f"too few for the {len(self._range)} since the deployment; set an endpoint with a wider log "
                            "range",
                            reason="log_history",
                        )
        finally:
            self._learn(fresh, [log for one in fresh for log in one.logs])

    def _kept(self, answered: AnsweredWindow) -> None:
        """Write an answer down the moment it comes."""
        window = answered.window
        if window.endpoint and not answered.unread:
            self._history.keep(self._by(window.endpoint), [(window.start, window.end)], answered.logs)

    def _learn(self, windows: Sequence[AnsweredWindow], logs: Iterable[Log]) -> None:
        """Take what was written down into account."""
        logs = list(logs)
        by_teller: dict[str, list[Stretch]] = {}
        for one in windows:
            by_teller.setdefault(self._by(one.window.endpoint), []).append((one.window.start, one.window.end))
        for by, some in by_teller.items():
            some = joined(some)
            self._history.learn(by, some, [log for log in logs if any(a <= log.block < b for a, b in some)])

    # -- who is who

    def _by(self, name: str) -> str:
        return next(told_by(one.endpoint) for one in self._pool.everybody if one.endpoint.name == name)

    def _able(self) -> list[Station]:
        """Everybody who may be asked and was not proven to lie."""
        return [one for one in self._pool.everybody if one.stopped is None and told_by(one.endpoint) not in self._lying]

    def _others_than(self, by: str) -> list[Station]:
        """Those of another operator, if it is known who told something and who they are."""
        names = {one.endpoint.name for one in self._pool.everybody if told_by(one.endpoint) == by}
        apart = {one.endpoint.name for one in others(self._pool, names)} if names else None
        return [
            one
            for one in self._able()
            if are_two(by, told_by(one.endpoint)) and (apart is None or one.endpoint.name in apart)
        ]

    def _why_nobody(self, by: str) -> str:
        if not voice_told(by) and len(self._able()) > 1:
            return "whose endpoint told it is not known; say it with `operator` in the settings"
        return why_none(self._pool, {one.endpoint.name for one in self._pool.everybody if told_by(one.endpoint) == by})

    def _pool_of(self, stations: Sequence[Station]) -> Pool:
        """The pool without proven liars, while somebody is left."""
        honest = [one for one in stations if told_by(one.endpoint) not in self._lying]
        found = among(self._pool, honest or list(self._pool.stations))
        found.besides = [one for one in found.besides if told_by(one.endpoint) not in self._lying]
        return found

    # -- differences

    def _settled(self) -> bool:
        """Settle what tellers differ about; whether somebody was proven to lie, so that others are to be asked.

        Raises Skip (`suspect`) where nobody can tell: the blocks are asked again on the next run. Who is only asked besides
        fails nobody's day: what is told otherwise by such alone is taken back, and said.
        """
        question, found = LogQuestion(self._pool.chain, [self._wanted]), False
        besides = {told_by(one.endpoint) for one in self._pool.besides} - {
            told_by(one.endpoint) for one in self._pool.stations
        }
        for number, claims in sorted(self._differences().items()):
            names = {self._name(by): said for by, said in claims.items()}
            settled, truth = settle(self._pool, question, number, names, self._prover)
            if settled.settled:
                self._history.settle(number)
            else:
                own = [by for by in claims if by not in besides]
                self._history.dispute(number, truth if len(own) != 1 else ())
                for by in claims if len(own) != 1 else claims.keys() - set(own):
                    self._history.take_back(by, [(number, number + 1)])
                words = (
                    f"{self._pool.chain}: {' and '.join(sorted(names))} disagree about events of block {number}; "
                    "it is asked again on the next run, leave out the endpoint that is wrong"
                )
                if len(own) != 1:
                    raise Skip(words, reason="suspect")
                self._contradicted.append(words)
                continue
            for by in [by for by, said in claims.items() if said != truth]:
                name = self._name(by)
                if any(one.endpoint.name == name for one in self._pool.everybody):
                    self._liars[name] = number, by
                self._lying.add(by)
                self._forget(by)
                found = True
            if found:
                return True  # the rest may be its doing as well
        return False

    def _differences(self) -> dict[int, dict[str, Said]]:
        """The blocks that two tellers told differently, with what each said."""
        found: dict[int, dict[str, Said]] = {}
        told = list(self._history.told.items())
        for number, (by, one) in enumerate(told):
            for other_by, other in told[:number]:
                both = common(common(one.blocks, other.blocks), self._whole)
                ours, theirs = one.by_block(both), other.by_block(both)
                for block in ours.keys() | theirs.keys():
                    a, b = ours.get(block, frozenset()), theirs.get(block, frozenset())
                    if a != b:
                        found.setdefault(block, {}).update({by: a, other_by: b})
        return found

    def _name(self, by: str) -> str:
        """The endpoint that is called so now; who told it, where it is gone."""
        present = (one.endpoint.name for one in self._pool.everybody if told_by(one.endpoint) == by)
        return next(present, by or "an endpoint of an earlier run")

    def _forget(self, by: str) -> None:
        self._history.take_back(by, self._history.told[by].blocks)


def _answered(one: Stretch) -> AnsweredWindow:
    """Blocks that need no asking, as a window."""
    return AnsweredWindow(BlockWindow(one[0], one[1], "", 0), ())
