"""`Entry`: one line of the ledger, what is known about one partition's progress. Storage belongs to `state.ledger`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cryptolake.contracts.partition import Partition

# claimed: someone works on it; landed: bronze is on disk, not yet parsed; done: parsed and typed;
# empty: answered, and the answer is "nothing happened"; failed: may be retried; gone: can never be answered.
State = Literal["claimed", "landed", "done", "empty", "failed", "gone"]
SETTLED: frozenset[State] = frozenset({"done", "empty", "gone"})
DAMAGED = "damaged"  # the reason of an answer that was lost or cannot be trusted any more: it is asked for again
SUSPECT = "suspect"  # the reason beside an answer that somebody contradicts: it is asked for again
CONTRADICTED = "another endpoint contradicts it"  # why, where its certificate says more of it
NOT_YET = "not_yet"  # the reason of a failure nobody is to blame for: what was asked for has not come to its end yet


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened to a partition, when (`at`, aware UTC), by which worker (`host:pid`) and in which attempt.

    `digest` is the SHA-256 of the landed payload, `rows` the parsed row count, `cursor` a resume point inside a trip,
    `reason` a stable code for failed and gone, and of a doubt beside an answer; `error` one redacted line; `grade` how far an
    answer is proven (`contracts.grades`), None where nobody graded it.
    """

    partition: Partition
    state: State
    at: datetime
    worker: str = ""
    attempt: int = 1
    rows: int | None = None
    digest: str | None = None
    block: int | None = None
    cursor: str | None = None
    reason: str | None = None
    error: str | None = None
    grade: str | None = None

    @property
    def has_answer(self) -> bool:
        """Whether an answer of it lies in bronze, by what the ledger knows; of one that was lost only the digest is known."""
        return self.digest is not None and self.reason != DAMAGED

    @property
    def settled(self) -> bool:
        """Whether nobody need ask for it again: settled, and not contradicted."""
        return self.state in SETTLED and self.reason != SUSPECT


def said(state: str) -> str:
    """A state as it is shown, to people and programs alike: only the ledger's files keep their own word `gone`."""
    return "unanswerable" if state == "gone" else state


def said_counts(counts: Mapping[State, int] | Mapping[str, int]) -> dict[str, int]:
    """Numbers by state, as they are shown."""
    return {said(state): count for state, count in counts.items()}
