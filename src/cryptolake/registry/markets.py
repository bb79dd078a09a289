"""`Csu`: one lending market deployment, the row everything about it starts from. Families give it meaning."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

FIRST_OF_UNNUMBERED = 1_000_000  # up to here the registry gives numbers; what is made of a name lies above
_UNNUMBERED = 2_000_000_000  # so many, and all of them fit 32 bits


def unit_number(name: str) -> int:
    """The number of a market that no row gives one: of its name alone, so that every file of everybody has the same."""
    return FIRST_OF_UNNUMBERED + int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % _UNNUMBERED


@dataclass(frozen=True, slots=True)
class Csu:
    """A credit supply unit, e.g. `aave_v3_ethereum`.

    `entry` holds the EIP-55 addresses a family starts from (`pool`, `comet`, ...); a value `resolve_on_chain:<call>` is
    read from the chain. `deployed_block` and `deployed_on` may be bounds; `deployed_later` says that the block is one: the
    market may be younger, so that its absence after it contradicts nothing. `status` says how many independent
    organisations state the main address. `facts` are addresses that are not read from but that this market's contracts alone
    name: by them it is told from its siblings. `sandbox` marks demonstration markets. `price_numeraire` is what the market's
    oracle quotes in (`USD`, `ETH`, ...) where the row says so. `number` identifies the market where a program wants integers;
    it is never given to another (0: not asked for). `found` is not in the registry: what the chain's events say
    exists at the block asked about, for families whose parts no contract lists, e.g. Morpho's markets.
    """

    name: str
    family: str
    protocol: str
    version: str
    chain: str
    chain_id: int
    entry: Mapping[str, str]
    deployed_block: int | None = None
    deployed_on: date | None = None
    sources: tuple[str, ...] = ()
    status: str = "unverified"
    aliases: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sandbox: bool = False
    price_numeraire: str | None = None
    found: tuple[str, ...] = ()
    deployed_later: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    number: int = 0
