"""`Call` and `CallResult`: a read of a contract and what it gave. What does not belong here: asking (multicall)."""

from __future__ import annotations

from dataclasses import dataclass

from cryptolake.errors import Skip


@dataclass(frozen=True, slots=True)
class Call:
    """A read of contract `to` (EIP-55) with ABI-encoded `data`."""

    to: str
    data: bytes


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a call gave: `success` is False for a revert, which is known only of a call that had gas of its own.

    Empty data on success means "no contract here", never zero.
    """

    success: bool
    data: bytes

    @property
    def empty(self) -> bool:
        """Whether nothing came back: there is no contract at that address at that block."""
        return not self.data

    def need(self, what: str) -> bytes:
        """The data, or Skip: `not_deployed` when empty, `revert` when reverted; `what` names the read in the message."""
        if not self.success:
            raise Skip(f"{what} reverted", reason="revert")
        if self.empty:
            raise Skip(f"{what}: no contract at this block", reason="not_deployed")
        return self.data
