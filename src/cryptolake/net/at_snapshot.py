"""One program asked at the last block of a period: how price sources of the chain ask. No vendor, no table.

What does not belong here: what is asked (sources) and many programs of one block at once (`multicall`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss
from cryptolake.errors import Skip
from cryptolake.net.block_identity import KnownBlock
from cryptolake.net.blocks import Blocks, FileBlockCache, Header
from cryptolake.net.multicall import Failed, Program, run, transcript_to_json
from cryptolake.net.rpc import Pool


@dataclass(frozen=True, slots=True)
class Answered:
    """What a program was answered at the block of `header`; `rounds` is the transcript as it is kept."""

    header: Header
    rounds: object


def ask(
    partition: Partition,
    program: Program[Any],
    *,
    pool: Pool,
    block_cache: FileBlockCache | None,
    known_block: KnownBlock,
    multicall3: str | None,
    multicall3_since: int,
) -> Answered | Miss:
    """Ask at the last block of the partition's period; a chain that is not there yet, or does not answer, is a Miss."""
    blocks = Blocks(pool, block_cache)
    try:
        _, header = blocks.range_of(partition.period)
        identity = blocks.identity(header, known_block)
    except Skip as error:
        gone = error.reason == "not_deployed"
        return Miss(partition, "gone" if gone else "failed", error.reason, str(error))
    outcome = run(
        pool,
        {partition.key: program},
        header.number,
        multicall3=multicall3,
        multicall3_since=multicall3_since,
        identity=identity,
    )[partition.key]
    if isinstance(outcome, Failed):
        return Miss(partition, "failed", "rpc", str(outcome.error))
    return Answered(header, transcript_to_json(outcome.transcript))
