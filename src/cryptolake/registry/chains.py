"""`Chain`: what we know of a chain before asking it anything. Endpoint limits are learned, not kept here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cryptolake.contracts.block_clock import BlockClock
from cryptolake.contracts.receipt_rules import ReceiptRule
from cryptolake.net.block_identity import KnownBlock

UNSAID = "nobody said which rules its receipts follow"


@dataclass(frozen=True, slots=True)
class Chain:
    """One EVM chain.

    `block_time_s` (seconds, today) and `clock` (by date) serve planning and first guesses; collection proves real blocks.
    `launched` is the first day that may have blocks. `multicall3_block` is the first block at which Multicall3 exists;
    before it calls go as JSON-RPC batches. `receipts` is how receipts are encoded for the root in a header, None where blocks
    cannot be proven by it, and `receipts_why` the source of that, or the reason. `known_block` is how a reading proves which
    block it is of. `sqd_dataset` is its name in the archive of an SQD Portal.
    """

    name: str
    chain_id: int
    aliases: tuple[str, ...] = ()
    native_symbol: str = ""
    block_time_s: float | None = None
    multicall3_address: str | None = None
    multicall3_block: int | None = None
    public_rpcs: tuple[str, ...] = ()
    alchemy_subdomain: str | None = None
    defillama_name: str | None = None
    clock: BlockClock | None = None
    launched: date | None = None
    sqd_dataset: str | None = None
    receipts: ReceiptRule | None = None
    receipts_why: str = UNSAID
    known_block: KnownBlock = "header"

    def ran_on(self, day: date) -> bool:
        """Whether the chain may have had blocks on a day; True where it is not known."""
        return self.launched is None or self.launched <= day
