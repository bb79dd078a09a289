"""Which blocks of a kept answer somebody contradicts: everybody is asked for those when their period is asked again.

What does not belong here: which of two answers stands (succession), and how one block is settled (net/settlement).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Raw
from cryptolake.sources.onchain.succession import blocks_apart


class KeepsAnswers(Protocol):
    """Where answers lie, and what contradicts them."""

    def read(self, partition: Partition, source: str) -> Raw | None:
        """The kept answer; None where there is none that is whole."""
        ...

    def rival(self, partition: Partition, source: str) -> Raw | None:
        """The answer that contradicts the kept one; None where there is none."""
        ...


def contradicted_in(kept: KeepsAnswers, partition: Partition, source: str) -> Collection[int]:
    """The blocks of a partition's kept answer of liquidations of which somebody says something else."""
    answer = kept.read(partition, source)
    return () if answer is None else blocks_apart(answer, kept.rival(partition, source))
