"""The scheduler's loop: backfill, first pull, then every slot of every job once, with what was missed caught up.

One job at a time, so a slot may be late but is never lost. Slots that are due together are covered by one piece of work:
a live pull cannot be asked for an hour that has passed, and days of a chain are asked together. A slot is settled after
its work; killed in between, the work (which is idempotent) is done again. Nothing but its own jobs is ever started.

What does not belong here: what a job does (the `Work`), when it is due (flow.schedule), where slots are kept (state.slots).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from cryptolake.contracts.counting import counted
from cryptolake.errors import CryptolakeError
from cryptolake.flow.schedule import ScheduledJob
from cryptolake.state.slots import Slots

log = structlog.get_logger(__name__)

LONGEST_WAIT_S = 30.0  # a clock that jumps is noticed within this
_ATTEMPTS = 5
_FIRST_RETRY = timedelta(minutes=15)  # doubles: the last attempt is about four hours after the first
_BACKFILL_AGAIN = timedelta(hours=6)
# A slot noted further ahead than this was run while the clock was wrong. Less may be a correction, after which the
# slot must not be run a second time.
_CLOCK_AHEAD = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a piece of work ended: whether everything was answered, how many records, and one line for people."""

    ok: bool
    records: int = 0
    note: str = ""


class Work(Protocol):
    """What the scheduler drives."""

    def backfill(self, job: ScheduledJob) -> Iterator[Outcome]:
        """The job's history in pieces, each resumable; what is there already costs next to nothing."""
        ...

    def run(self, job: ScheduledJob, slots: Sequence[datetime]) -> Outcome:
        """The job now, covering every given slot (none: the first pull after a start)."""
        ...

    def alert(self, title: str, text: str) -> None:
        """Tell a person. Never raises."""
        ...


class Scheduler:
    """Drives `work` by the clock. `now` gives aware UTC; `wait` sleeps and returns True when the user wants to stop."""

    def __init__(
        self,
        jobs: Sequence[ScheduledJob],
        slots: Slots,
        work: Work,
        *,
        wait: Callable[[float], bool],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._jobs, self._slots, self._work = jobs, slots, work
        self._wait, self._now, self._tell = wait, now, tell
        self._backlog: dict[str, Iterator[Outcome]] = {}
        self._incomplete: set[str] = set()
        self._again: dict[str, datetime] = {}  # when an incomplete backfill is begun again

    def start(self) -> None:
        """Backfill every job (a long history goes on between slots), then pull once, which covers what was missed."""
        for job in self._jobs:
            self._slots.since(job.name, self._now())
            self._backlog[job.name] = self._work.backfill(job)
            self._fill(job)
        for job in self._jobs:
            self._cover(job, self._due(job))

    def run(self) -> None:
        """Work until told to stop; `start` first."""
        while True:
            worked = self.step()
            if self._wait(0.0 if worked or self._backlog else self.pause_s()):
                return

    def step(self) -> bool:
        """Cover everything that is due, then do one piece of backlog; False when there was nothing to do."""
        worked = False
        due = [(slots[0], job, slots) for job in self._jobs if (slots := self._due(job))]
        for _, job, slots in sorted(due, key=lambda one: one[0]):
            self._cover(job, slots)
            worked = True
        for job in self._jobs:
            if (at := self._again.get(job.name)) is not None and self._now() >= at:
                del self._again[job.name]
                self._backlog[job.name] = self._work.backfill(job)
        if not worked and self._backlog:
            name = next(iter(self._backlog))
            self._fill(next(job for job in self._jobs if job.name == name))
        return worked

    def pause_s(self) -> float:
        """Seconds until the next slot by the wall clock, at most `LONGEST_WAIT_S`."""
        now = self._now()
        upcoming = [(job.after(now) - now).total_seconds() for job in self._jobs]
        return max(0.0, min([LONGEST_WAIT_S, *upcoming]))

    def _due(self, job: ScheduledJob) -> list[datetime]:
        """The slots to cover now: new ones, those a killed run left open, and failed ones whose time has come."""
        now = self._now()
        last = self._slots.last(job.name) or self._slots.since(job.name, now)
        if last > now + _CLOCK_AHEAD:
            dropped = self._slots.forget_after(job.name, now + _CLOCK_AHEAD)
            self._tell(f"{job.name}: the clock had run ahead; {counted(dropped, 'slot')} in the future forgotten")
        new = job.between(last, now)
        unsettled = self._slots.unsettled(job.name)
        left = [one for one in unsettled if one.state == "started"]
        failed = [one for one in unsettled if one.state == "failed"]
        ripe = [one for one in failed if now >= one.at + _FIRST_RETRY * 2 ** (one.attempts - 1) or now < one.at]
        if not (new or left or ripe):
            return []
        tired = [one.slot for one in left if one.attempts >= _ATTEMPTS]
        if tired:  # each attempt ended the whole process: do not try for ever
            self._slots.settle(job.name, tired, "given_up", now, "the process ended during every attempt")
            self._work.alert(
                f"{job.name} was given up",
                f"{counted(len(tired), 'slot')} ended the process {counted(_ATTEMPTS, 'time')}",
            )
        return sorted({*new, *(one.slot for one in left if one.slot not in tired), *(one.slot for one in failed)})

    def _cover(self, job: ScheduledJob, slots: Sequence[datetime]) -> None:
        if slots:
            self._slots.begin(job.name, slots, self._now())
        outcome = self._attempt(job, lambda: self._work.run(job, slots))
        if slots:
            self._settle(job, slots, outcome)
        self._tell(f"{job.name}: {_span(slots)}: {outcome.note}")  # when it is on disk: who reads it may stop us

    def _settle(self, job: ScheduledJob, slots: Sequence[datetime], outcome: Outcome) -> None:
        now = self._now()
        if outcome.ok:
            self._slots.settle(job.name, slots, "done", now, outcome.note)
            return
        begun = [one for one in self._slots.unsettled(job.name) if one.slot in set(slots)]
        again = [one.slot for one in begun if one.attempts < _ATTEMPTS]
        over = [one.slot for one in begun if one.attempts >= _ATTEMPTS]
        self._slots.settle(job.name, again, "failed", now, outcome.note)
        self._slots.settle(job.name, over, "given_up", now, outcome.note)

    def _fill(self, job: ScheduledJob) -> None:
        """One piece of the job's history; when there is no more, and some of it failed, it is begun again later."""

        def piece() -> Outcome:
            found = next(self._backlog[job.name], None)
            if found is None:
                del self._backlog[job.name]
                if job.name in self._incomplete:
                    self._incomplete.discard(job.name)
                    self._again[job.name] = self._now() + _BACKFILL_AGAIN
                return Outcome(True)
            return found

        outcome = self._attempt(job, piece)
        if not outcome.ok:
            self._incomplete.add(job.name)
        if outcome.note:
            self._tell(f"{job.name}: backfill: {outcome.note}")

    def _attempt(self, job: ScheduledJob, work: Callable[[], Outcome]) -> Outcome:
        """Work whose failure is told and noted, and never ends the scheduler."""
        try:
            outcome = work()
        except CryptolakeError as error:
            outcome = Outcome(False, note=str(error))
        except Exception as error:  # a defect in one job must not stop the others; it is told and noted
            log.exception("job failed", job=job.name)
            outcome = Outcome(False, note=f"{type(error).__name__}; this is a defect, please report it with the log")
        if not outcome.ok:
            self._work.alert(f"{job.name} failed", outcome.note)
        return outcome


def _span(slots: Sequence[datetime]) -> str:
    if not slots:
        return "first pull"
    text = f"{slots[0]:%Y-%m-%d %H:%M}"
    return text if len(slots) == 1 else f"{text} .. {slots[-1]:%Y-%m-%d %H:%M} ({counted(len(slots), 'slot')})"
