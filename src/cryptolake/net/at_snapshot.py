"""One program of a chain asked at the last block of a period: how price sources of the chain ask. No vendor, no table.

What does not belong here: what is asked (sources) and many programs of one block at once (`multicall`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from cryptolake.contracts.block_clock import BlockClock
from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Stands
from cryptolake.errors import Skip
from cryptolake.net.agreement import Contradicted
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.blocks import Blocks, Header
from cryptolake.net.faults import Disputed
from cryptolake.net.header_standing import HeaderStanding
from cryptolake.net.likely import Likely
from cryptolake.net.multicall import Call, Failed, Finished, Program, transcript_to_json
from cryptolake.net.rpc import Pool
from cryptolake.net.voices import grade_of_absence


@dataclass(frozen=True, slots=True)
class Answered:
    """What a program was answered at the block of `header`; `rounds` is the transcript as it is kept.

    `proof` belongs into the answer, beside what it proves: who read it and who bore it out. `endpoint` is who was asked first.
    """

    header: Header
    rounds: object
    proof: Mapping[str, object]
    endpoint: str


@dataclass(frozen=True, slots=True)
class SnapshotRead:
    """A program as it was read at a block, with its proof, and by whom first."""

    outcome: Finished[Any] | Failed
    proof: Mapping[str, object]
    endpoint: str


class SnapshotReader(Protocol):
    """Reads programs of chains, and says what their proofs are worth.

    `again` says whether a second operator is to bear out the blocks as well.
    """

    @property
    def again(self) -> bool: ...

    def __call__(
        self,
        chain: str,
        pool: Pool,
        blocks: Blocks,
        header: Header,
        stands: HeaderStanding,
        program: Callable[[], Program[Any]],
        likely: Sequence[Call],
    ) -> SnapshotRead:
        """Read a program at a block, of which `stands` says who bears it out; `likely` is what it will probably ask."""
        ...

    def grade(self, raw: Raw) -> Grade:
        """How far a kept answer is proven."""
        ...

    def weigh(self, raw: Raw) -> str | None:
        """Why a kept answer is suspect, None: it is not."""
        ...

    def compare(self, new: Raw, kept: Raw) -> Stands:
        """Which of two answers of a partition stands."""
        ...

    def decides(self, raw: Raw) -> bool:
        """Whether an answer settles what operators said differently before."""
        ...


class Snapshots:
    """Asks one program per chain and period, all of them by the chain's name.

    The boundaries of all periods that were announced are found together, and what a chain was asked before goes in the first
    request: so a period costs one request where its boundaries are known.
    """

    def __init__(self, block_cache: FileBlockCache | None, read: SnapshotReader) -> None:
        self._cache, self._read = block_cache, read
        self._blocks: dict[str, Blocks] = {}
        self._instants: dict[str, set[datetime]] = {}
        self._likely = Likely()  # by chain
        self._first: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def silent(self, chain: str) -> bool:
        """Whether a chain has answered nothing for some seconds, though it is being asked."""
        with self._lock:
            blocks = self._blocks.get(chain)
        return blocks is not None and blocks.silent

    def announce(self, partitions: Iterable[Partition]) -> None:
        """Say that these are going to be asked; their keys are chains."""
        with self._lock:
            for one in partitions:
                self._instants.setdefault(one.key, set()).update((one.period.start, one.period.end))

    def ask(
        self,
        partition: Partition,
        program: Callable[[], Program[Any]],
        *,
        pool: Pool,
        clock: BlockClock | None,
        provable: bool,
    ) -> Answered | Miss:
        """Ask at the last block of the partition's period; a chain that is not there yet, or does not answer, is a Miss."""
        chain = partition.key
        with self._lock:
            blocks = self._blocks.setdefault(
                chain, Blocks(pool, self._cache, clock, provable=provable, again=self._read.again)
            )
            first = self._first.setdefault(chain, threading.Lock())
        with first:  # the boundaries of all periods are found together, by whoever comes first
            blocks.prefetch(self._instants.pop(chain, ()))
        try:
            _, header = blocks.range_of(partition.period)
            stands = blocks.standing(partition.period.end)
            with self._likely.of(chain, [chain]) as likely:
                read = self._read(chain, pool, blocks, header, stands, program, likely)
                if isinstance(read.outcome, Finished):
                    self._likely.learn(chain, read.outcome)
        except Skip as error:
            if error.reason == "not_deployed":
                return Miss(partition, "gone", error.reason, str(error), grade=grade_of_absence(str(error)))
            return Miss(partition, "failed", error.reason, str(error))
        except Contradicted as error:
            return Miss(partition, "failed", "rpc", str(error), disputed=True)
        if isinstance(read.outcome, Failed):
            disputed = isinstance(read.outcome.error, Disputed)
            return Miss(partition, "failed", "rpc", str(read.outcome.error), disputed)
        return Answered(header, transcript_to_json(read.outcome.transcript), read.proof, read.endpoint)
