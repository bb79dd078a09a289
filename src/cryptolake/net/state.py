"""How a contract's state is asked for: a block named by its hash, and a call whose answer must prove what it is about.

Both are ordinary JSON-RPC parameters that know a little more than they send. What does not belong here: sending them (rpc),
and what a block says of itself (block_identity).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from cryptolake.net.envelope import Json


class AtHash(dict[str, Json]):
    """A block named by its hash (EIP-1898): a node that lacks it, or has another one in its place, cannot answer.

    `number` says who keeps its state; it is not sent.
    """

    def __init__(self, number: int, block_hash: str) -> None:
        super().__init__(blockHash=block_hash)
        self.number = number


class Several(dict[str, Json]):
    """The fields of an eth_call that holds `parts` calls which could be asked apart; `least` are those of one of them."""

    parts = 1

    @property
    def least(self) -> Mapping[str, Json]:
        """The fields of an eth_call that asks for one of the parts alone."""
        return self


class Proving(Several, ABC):
    """The fields of an eth_call whose answer proves itself, or is asked elsewhere."""

    @abstractmethod
    def believe(self, answer: Json) -> None:
        """Raise Malformed for an answer that does not prove what it is about."""
