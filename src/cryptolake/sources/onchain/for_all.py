"""One program of a chain that is no market's, read at a block as markets are: the block proves itself, a second voice is heard.

So that who prices for all is believed no further than a market's own words. What does not belong here: what is asked (the
price sources) and which block that is (`net.at_snapshot`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Stands
from cryptolake.net.at_snapshot import SnapshotRead
from cryptolake.net.blocks import Blocks, Header, KeepsBoundaries
from cryptolake.net.header_standing import HeaderStanding
from cryptolake.net.multicall import Call, Program
from cryptolake.net.rpc import Pool
from cryptolake.net.voices import told_by
from cryptolake.registry.chains import Chain

if TYPE_CHECKING:
    from cryptolake.sources.onchain.state import KnownReverts


class ForAll:
    """Reads programs of these chains, proven as state is to be (`grade`, `audit`), as `SnapshotReader`. In any thread.

    `kept` are the boundaries of days, by which answers of other blocks are known.
    """

    def __init__(
        self, chains: Mapping[str, Chain], grade: Grade, audit: float, kept: KeepsBoundaries | None = None
    ) -> None:
        self._chains, self._grade, self._audit, self._kept = chains, grade, audit, kept
        self._reverts: dict[str, KnownReverts] = {}

    @property
    def again(self) -> bool:
        """Whether a second operator is to bear out the blocks."""
        from cryptolake.sources.onchain.scans import share_of

        return bool(share_of(self._grade, self._audit))

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
        """Whoever a third voice contradicts is not asked again. Raises Skip (`reorganised`) when the block has changed."""
        # All families come with these: whoever opens a vendor need not wait for them.
        from cryptolake.sources.onchain.certificate import snapshot_certificate
        from cryptolake.sources.onchain.scans import wished
        from cryptolake.sources.onchain.state import KnownReverts, StateReader

        reverts = self._reverts.setdefault(chain, KnownReverts())
        reader = StateReader(pool, blocks, self._chains[chain], wished(self._grade, self._audit), reverts)
        read = reader.programs(lambda: {chain: program()}, header, likely)
        voices = {one.endpoint.name: told_by(one.endpoint) for one in pool.everybody}
        proof = snapshot_certificate(header, read.borne, voices, stands)
        return SnapshotRead(read.outcomes[chain], {"certificate": proof}, read.borne.first)

    def grade(self, raw: Raw) -> Grade:
        """How far a kept answer is proven; one from before they had certificates is one voice's."""
        from cryptolake.sources.onchain.grading import graded

        return graded(raw).grade

    def weigh(self, raw: Raw) -> str | None:
        """Why a kept answer is suspect: of another block than its day's last, or contradicted."""
        from cryptolake.sources.onchain.grading import graded
        from cryptolake.sources.onchain.misplaced import misplaced

        found = graded(raw)
        return misplaced(raw, raw.partition.key, self._kept) or next(iter((*found.faults, *found.doubts)), None)

    def compare(self, new: Raw, kept: Raw) -> Stands:
        """Which of two answers of a chain's day stands, by what is proven of each."""
        from cryptolake.sources.onchain.misplaced import misplaced
        from cryptolake.sources.onchain.succession import compared

        chain = new.partition.key
        return compared(new, kept, lambda _name, _of: None, lambda one: misplaced(one, chain, self._kept))

    def decides(self, raw: Raw) -> bool:
        """Whether two operators bear the answer out."""
        from cryptolake.sources.onchain.succession import settles

        return settles(raw)
