"""Collecting: the only step that talks to the outside. Land the answer first, interpret it second, record both.

What does not belong here: which partitions to ask for (plan) and what becomes of them (journey).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from cryptolake.contracts.entry import NOT_YET, SETTLED, Entry
from cryptolake.contracts.grades import at_least, grade_of
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Compares, Hears, Source, Trip
from cryptolake.errors import CryptolakeError, Retry, Skip, Stop
from cryptolake.flow.claims import claims_renewed, release_dead, sign_of_life
from cryptolake.flow.landing import ANSWERED, dispute, land, remember_lost, set_apart, still_stands
from cryptolake.flow.reading import doubt_of, entry, interpret, lost_words, read_rows
from cryptolake.flow.turns import LOOK_S, Turns
from cryptolake.lake.bronze import Bronze
from cryptolake.net.faults import Behind, Disputed, Elsewhere, NotAwaited
from cryptolake.state.ledger import Ledger
from cryptolake.waiting import Interrupted, stopped, waited_for

__all__ = ["Collected", "Progress", "collect", "interpret", "read_rows"]

log = structlog.get_logger(__name__)

LEASE_S = 600.0  # renewed all the while; how long the claims of a machine that vanished stay
ATTEMPTS = 3
_TOGETHER = 10_000  # entries in one transaction; about half a second
# Reasons for which the same question may be answered a little later; any other one waits for the next run or a person.
PASSING = frozenset({"unreachable", "rpc", "reorganised", "unanswered"})

Progress = Callable[[Partition, str], None]
Order = Callable[[Trip], float]


@dataclass(slots=True)
class Collected:
    """What a collection did: partitions by final state, and the entries of those that failed."""

    done: int = 0
    empty: int = 0
    unanswerable: int = 0
    failed: int = 0
    pending: int = 0  # what is asked for is not there yet, and nobody is to blame
    elsewhere: int = 0  # claimed by another run that is still at work
    released: int = 0  # given back unasked because the run was asked to stop
    known: int = 0  # settled before and not asked, where the caller says so
    failures: list[Entry] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)  # why something is pending, once for each chain or vendor
    in_vain: set[Partition] = field(
        default_factory=set
    )  # asked again and not answered: what the ledger says is of before

    @property
    def gone(self) -> int:
        """`unanswerable`, by the name it had in earlier versions."""
        return self.unanswerable

    def add(self, last: Entry) -> None:
        """Count one final entry."""
        match last.state:
            case "done":
                self.done += 1
            case "empty":
                self.empty += 1
            case "gone":
                self.unanswerable += 1
            case _ if last.reason == NOT_YET:
                self.pending += 1
                notice = last.error or f"{last.partition}: not there yet; run again later"
                if notice.partition(":")[0] not in {one.partition(":")[0] for one in self.notices}:
                    self.notices.append(notice)
            case _:
                self.failed += 1
                self.failures.append(last)

    def join(self, other: Collected) -> None:
        """Count what another collection did, too."""
        for name in ("done", "empty", "unanswerable", "failed", "pending", "elsewhere", "released", "known"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.failures += other.failures
        self.in_vain |= other.in_vain
        self.notices += [one for one in other.notices if one not in self.notices]


def collect(
    source: Source,
    partitions: Iterable[Partition],
    *,
    bronze: Bronze,
    ledger: Ledger,
    workers: int = 5,
    lease_s: float = LEASE_S,
    progress: Progress = lambda _partition, _state: None,
    stopping: threading.Event | None = None,
    order: Order = lambda _trip: 0.0,
    since: datetime | None = None,
    attempts: int = ATTEMPTS,
    backoff: Callable[[int], float] = lambda failed: 2.0**failed * random.uniform(0.75, 1.25),  # noqa: S311  # jitter
) -> Collected:
    """Answer every partition of one source, trip by trip on `workers` threads, the highest `order` first.

    Who is asked takes turns, and who is silent holds nobody else up (`turns`): what asks a party that was waited for in vain
    ends at once, to be asked again by the next run.

    Killed at any moment, a second call finishes the rest: an answer that was landed but not read is read again without
    asking. A failing trip marks only its own partitions failed, after `attempts` conversations where the failure may
    pass, `backoff(n)` seconds after the n-th. When `stopping` is set, trips end at their next answer and give back the
    rest; so they do when the whole process is asked to stop, and then Interrupted is raised, which says how many answers
    are left. What another run has settled `since` the caller looked (aware UTC) is not asked again. Raises Stop when
    nothing can be stored (disk full).
    """
    asked = sorted(set(partitions))
    release_dead(ledger)
    with sign_of_life(ledger) as worker, claims_renewed(ledger, worker, lease_s):
        run = _Run(source, bronze, ledger, progress, stopping or threading.Event(), worker)
        mine = ledger.claim(asked, worker, lease_s)
        if since is not None:
            known = ledger.of(mine)
            mine -= {one for one, entry in known.items() if entry.state in SETTLED and entry.at >= since}
        run.result.elsewhere = len(asked) - len(mine)
        try:
            waiting = run.begin(sorted(mine))
            for number in range(1, attempts + 1):
                trips = sorted(source.trips(waiting), key=lambda trip: -order(trip))
                run.round(trips, workers, is_last=number == attempts)
                waiting = run.again()
                if not waiting:
                    break
                with waited_for("the next attempt"):
                    run.stopping.wait(max(0.0, run.failed_at + backoff(number) - time.monotonic()))
                if run.stopping.is_set():
                    break
            run.give_up(waiting)
        except KeyboardInterrupt:
            raise Interrupted(len(mine) - run.settled) from None
    run.result.released = len(mine) - run.settled
    return run.result


class _Run:
    """One collection's state: what it holds, which attempt each partition is in, and what has come of it."""

    def __init__(
        self,
        source: Source,
        bronze: Bronze,
        ledger: Ledger,
        progress: Progress,
        stopping: threading.Event,
        worker: str,
    ) -> None:
        self.source, self.bronze, self.ledger = source, bronze, ledger
        self.progress, self.stopping, self.worker = progress, stopping, worker
        self.result, self.settled, self.failed_at = Collected(), 0, 0.0
        self._lock = threading.Lock()
        self._attempt: dict[Partition, int] = {}
        self._answered: set[Partition] = set()
        self._again: dict[Partition, Entry] = {}
        self._said = set[tuple[str, str]]()  # reasons of failures that were told
        self._stands: dict[Partition, Entry] = {}  # answers that stay while they are asked for again
        self._absent: dict[Partition, Entry] = {}  # absences that are asked for again

    def begin(self, mine: Sequence[Partition]) -> list[Partition]:
        """Write down what is about to be asked; what was landed but never read is read now. Returns the rest."""
        before = {landed.partition: landed for landed in self.ledger.unsettled("landed")}
        tried = self.ledger.of(mine)
        self._attempt = {one: tried[one].attempt + 1 if one in tried else 1 for one in mine}
        unread = {}
        for partition in mine:
            landed = before.get(partition)
            raw = self.bronze.read(partition, self.source.name) if landed is not None else None
            if landed is not None and raw is not None and raw.digest == landed.digest:
                self._attempt[partition] = landed.attempt
                unread[partition] = raw
        for partition in mine:
            if partition in tried and partition not in unread:
                remember_lost(self.source, tried[partition], self.bronze)
        self._stands = {
            one: known for one, known in tried.items() if known.state in ANSWERED and known.digest and one not in unread
        }
        self._absent = {one: known for one, known in tried.items() if known.state == "gone"}
        now, rest = datetime.now(UTC), [partition for partition in mine if partition not in unread]
        for start in range(0, len(rest), _TOGETHER):  # in pieces, so that other writers get their turn
            self.ledger.append_many(
                Entry(partition, "claimed", now, self.worker, attempt=self._attempt[partition])
                for partition in rest[start : start + _TOGETHER]
                if partition not in self._stands
            )
        for raw in unread.values():
            self.settle(interpret(self.source, raw, self.bronze))
        return rest

    def round(self, trips: Sequence[Trip], workers: int, *, is_last: bool) -> None:
        """Hold every conversation once."""

        def travel(trip: Trip) -> None:
            if not self.stopping.is_set():
                self._travel(trip, is_last=is_last)

        silent = self.source.silent if isinstance(self.source, Hears) else lambda _asked: False
        turns, under_way = Turns(trips, workers, silent), dict[Future[None], Trip]()
        with ThreadPoolExecutor(max_workers=turns.most, thread_name_prefix="trip") as threads:
            try:
                while True:
                    while (trip := turns.next()) is not None:
                        under_way[threads.submit(travel, trip)] = trip
                    if not under_way:
                        return
                    ended, _ = wait(under_way, LOOK_S if turns.left else None, return_when=FIRST_COMPLETED)
                    for future in ended:
                        turns.ended(under_way.pop(future))
                        future.result()
            except BaseException as error:
                self.stopping.set()
                with stopped() if isinstance(error, KeyboardInterrupt) else nullcontext():
                    threads.shutdown(wait=True, cancel_futures=True)
                raise

    def again(self) -> list[Partition]:
        """What failed in this round in a way that may pass."""
        return sorted(self._again)

    def give_up(self, partitions: Iterable[Partition]) -> None:
        """The failures stand: nobody will ask again in this run."""
        for partition in partitions:
            self._end(self._again.pop(partition))

    def settle(self, last: Entry, asked: Entry | None = None) -> None:
        """Record a final entry. A source may answer again what it has come to doubt: the later answer stands, counted once.

        `asked` is what became of asking, where the entry is of an answer of before.
        """
        last = self._fit(replace(last, worker=self.worker, attempt=self._attempt[last.partition]))
        self.ledger.append(last)
        with self._lock:
            if last.partition in self._answered:
                return
            self._answered.add(last.partition)
            self.settled += 1
            self.result.add(asked or last)
            if asked is not None:
                self.result.in_vain.add(last.partition)
        self.progress(last.partition, (asked or last).state)

    def _failed(self, failure: Entry, *, is_last: bool) -> None:
        """Record a failure, or that the partition is going to be asked again because of it."""
        partition = failure.partition
        if is_last or self.stopping.is_set() or failure.reason not in PASSING:
            self._end(failure)
            return
        with self._lock:
            self._again[partition] = failure
            self._attempt[partition] += 1
            self.failed_at = time.monotonic()
            told = replace(failure, state="claimed", worker=self.worker, attempt=self._attempt[partition])
        if partition not in self._stands:
            self.ledger.append(self._fit(told))

    def _end(self, failure: Entry) -> None:
        """Nobody answered: the failure stands, or is told beside the answer of before, which does."""
        partition, before = failure.partition, self._stands.get(failure.partition)
        known = self._absent.get(partition)
        if known is not None and known.state == failure.state and not _proven_as_far(failure, known):
            failure = replace(failure, reason=known.reason, error=known.error, grade=known.grade)
        kept = None if before is None else self.bronze.read(partition, self.source.name)
        if before is None or kept is None or kept.digest != before.digest:
            self.settle(self._not_denied(failure))
        elif failure.state == "gone" and not before.rows and _proven_as_far(failure, before):
            self.settle(failure)  # nothing that was there is denied
        else:
            why = failure.error or failure.reason or failure.state
            if failure.reason == "not_deployed":
                dispute(self.source, Miss(partition, "gone", "not_deployed", why), self.bronze)
            read_again = interpret(self.source, kept, self.bronze) if isinstance(self.source, Compares) else before
            self.settle(still_stands(read_again, why), failure)

    def _not_denied(self, failure: Entry) -> Entry:
        """The failure, where it says that there is nothing in the place of an answer that is lost: asked again until it is."""
        doubt = None if failure.state != "gone" else doubt_of(self.source, failure.partition, self.bronze)
        if doubt is None or doubt.lost is None:
            return failure
        words = f"{failure.error or failure.reason}; {lost_words(doubt.lost)}"
        return replace(failure, state="failed", reason="damaged", error=words)

    def _doubt(self, doubted: Entry) -> None:
        """Another answer is suspect by now for what was just landed; it counts for none that was asked."""
        before = self.ledger.state(doubted.partition)
        if before is not None and before.digest == doubted.digest:
            self.ledger.append(self._fit(replace(doubted, worker=self.worker, attempt=before.attempt)))

    def _landed(self, new: Entry) -> None:
        """An answer lies in its place, and is read next."""
        self.ledger.append(replace(new, worker=self.worker, attempt=self._attempt[new.partition]))

    def _fit(self, told: Entry) -> Entry:
        """The entry fit to keep and to print: a source's words may hold its key."""
        return told if told.error is None else replace(told, error=self.ledger.redact(told.error))

    def _travel(self, trip: Trip, *, is_last: bool) -> None:
        """Hold one conversation; every partition of the trip ends in exactly one entry, or is given back.

        Errors of the source fail what is still open; errors of the lake (disk full) pass through and end the run.
        """
        still_open = dict.fromkeys(trip.partitions)
        with self._lock:
            for partition in trip.partitions:
                self._again.pop(partition, None)
        name = self.source.name
        reason, message = "unanswered", f"{name} did not answer this partition; run the same command again"
        given_up = False
        answers = self.source.fetch(trip)
        while True:
            try:
                outcome = next(answers)
            except StopIteration:
                break
            except Interrupted:
                return
            except CryptolakeError as error:
                reason, message, given_up = reason_of(error), str(error), isinstance(error, NotAwaited)
                if isinstance(error, Disputed):
                    for partition in still_open:
                        dispute(self.source, Miss(partition, "failed", reason, message), self.bronze)
                break
            still_open.pop(outcome.partition, None)
            if isinstance(outcome, Raw):
                self.settle(landed := land(self.source, outcome, self.bronze, self._landed))
                for doubted in set_apart(self.source, landed, self.bronze):
                    self._doubt(doubted)
            elif outcome.state == "gone":
                self._end(_missed(outcome))
            else:
                if outcome.disputed:
                    dispute(self.source, outcome, self.bronze)
                self._failed(_missed(outcome), is_last=is_last)
            if self.stopping.is_set() and still_open:
                if isinstance(answers, Generator):
                    answers.close()  # lets a scan keep what it has in its journal
                return
        for partition in still_open:
            self._warn(partition, reason, message)
            self._failed(entry(partition, "failed", reason=reason, error=message), is_last=is_last or given_up)

    def _warn(self, partition: Partition, reason: str, message: str) -> None:
        """Say why a partition failed, once for all that failed for the same."""
        with self._lock:
            known = (reason, message) in self._said
            self._said.add((reason, message))
        tell = log.debug if known else log.warning
        tell("partition failed", partition=str(partition), reason=reason, error=message)


def reason_of(error: CryptolakeError) -> str:
    """The stable code under which a failed conversation is filed."""
    match error:
        case Skip():
            return error.reason
        case Elsewhere():
            return "no_archive"
        case Behind():
            return NOT_YET
        case Retry():
            return "unreachable"
        case Stop():
            return "stopped"
        case _:
            return "too_big"


def _proven_as_far(absence: Entry, before: Entry) -> bool:
    """Whether an absence is proven as far as the answer that it would replace: it gives way to nothing less."""
    return at_least(grade_of(absence.grade), grade_of(before.grade))


def _missed(miss: Miss) -> Entry:
    return entry(miss.partition, miss.state, reason=miss.reason, error=miss.message, grade=miss.grade)
