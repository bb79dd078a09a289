"""One program of a chain that is no market's, read at a block as markets are: the block proves itself, a second voice is heard.

So that who prices for all is believed no further than a market's own words. What does not belong here: what is asked (the
price sources) and which block that is (`net.at_snapshot`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptolake.contracts.grades import Grade
from cryptolake.net.at_snapshot import Read
from cryptolake.net.blocks import Blocks, Header
from cryptolake.net.multicall import Call, Failed, Program
from cryptolake.net.reverts import Reverts
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain


class ForAll:
    """Reads programs of these chains, proven as state is to be (`grade`, `audit`). As `at_snapshot.Reader`, in any thread."""

    def __init__(self, chains: Mapping[str, Chain], grade: Grade, audit: float) -> None:
        self._chains = chains
        self._wanted: Grade = "one_voice" if grade == "two_voices_sampled" and not audit else grade
        self._reverts: dict[
            tuple[str, bool], Reverts
        ] = {}  # by chain, and whether others say so than who was asked first

    def __call__(
        self,
        name: str,
        pool: Pool,
        blocks: Blocks,
        header: Header,
        program: Callable[[], Program[Any]],
        likely: Sequence[Call],
    ) -> Read:
        """Whoever a third voice contradicts is not asked again. Raises Skip (`reorganised`) when the block has changed."""
        # All families come with these: whoever opens a vendor need not wait for them.
        from cryptolake.net.besides import among
        from cryptolake.sources.onchain.proven import run_programs
        from cryptolake.sources.onchain.second_voice import Disagreed, borne_out

        chain = self._chains[name]
        block = blocks.identity(header, chain.known_block)
        mine, theirs = (self._reverts.setdefault((name, other), Reverts()) for other in (False, True))
        while True:
            heard: set[str] = set()
            outcomes = run_programs(pool, {name: program()}, block, chain, likely, heard, mine)
            outcome = outcomes[name]
            if isinstance(outcome, Failed):
                return Read(outcome, {})
            try:
                borne = borne_out(pool, chain, block, outcomes, heard, self._wanted, theirs)
            except Disagreed as error:
                honest = [one for one in pool.stations if one.endpoint.name != error.liar]
                if not error.liar or not honest:
                    return Read(Failed(error, []), {})
                pool = among(pool, honest)
                continue
            return Read(outcome, {**borne.told(), "endpoint": borne.first})
