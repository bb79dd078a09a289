"""`Chain`: what we know of a chain before asking it anything. Endpoint limits are learned, not kept here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chain:
    """One EVM chain.

    `block_time_s` (seconds) serves planning only; collection finds real blocks. `multicall3_block` is the first block at
    which Multicall3 exists; before it calls go as JSON-RPC batches.
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
