"""One program of a chain that is no market's, read at a block as markets are: the block proves itself, a second voice is heard.

So that who prices for all is believed no further than a market's own words. What does not belong here: what is asked (the
price sources) and which block that is (`net.at_snapshot`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cryptolake.contracts.grades import Grade
from cryptolake.net.at_snapshot import SnapshotRead
from cryptolake.net.blocks import Blocks, Header
from cryptolake.net.multicall import Call, Failed, Program
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain

if TYPE_CHECKING:
    from cryptolake.sources.onchain.state import KnownReverts


class ForAll:
    """Reads programs of these chains, proven as state is to be (`grade`, `audit`). As `at_snapshot.Reader`, in any thread."""

    def __init__(self, chains: Mapping[str, Chain], grade: Grade, audit: float) -> None:
        self._chains, self._grade, self._audit = chains, grade, audit
        self._reverts: dict[str, KnownReverts] = {}

    def __call__(
        self,
        name: str,
        pool: Pool,
        blocks: Blocks,
        header: Header,
        program: Callable[[], Program[Any]],
        likely: Sequence[Call],
    ) -> SnapshotRead:
        """Whoever a third voice contradicts is not asked again. Raises Skip (`reorganised`) when the block has changed."""
        # All families come with these: whoever opens a vendor need not wait for them.
        from cryptolake.sources.onchain.scans import wished
        from cryptolake.sources.onchain.state import KnownReverts, StateReader

        reverts = self._reverts.setdefault(name, KnownReverts())
        reader = StateReader(pool, blocks, self._chains[name], wished(self._grade, self._audit), reverts)
        read = reader.programs(lambda: {name: program()}, header, likely)
        outcome = read.outcomes[name]
        told = {} if isinstance(outcome, Failed) else {**read.borne.told(), "endpoint": read.borne.first}
        return SnapshotRead(outcome, told)
