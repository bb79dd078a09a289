"""`Raw`: one answer exactly as it came, with where and when it was asked. Interpreting it belongs to `Source.parse`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from cryptolake.contracts.partition import Partition
from cryptolake.contracts.wellformed import require_types


@dataclass(frozen=True, slots=True)
class Raw:
    """One untouched answer for one partition.

    `payload` is the answer's bytes (JSON text for every source so far). `fetched_at` is when we asked, `observed_at` is
    the instant the answer is about; both aware UTC. `block` and `block_hash` are set for on-chain answers. `request`
    says what was asked and `provenance` who answered (endpoint *name*, software versions, `sandbox` mark); both are
    free of secrets and URLs with keys.
    """

    partition: Partition
    source: str
    fetched_at: datetime
    observed_at: datetime
    payload: bytes
    request: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    block: int | None = None
    block_hash: str | None = None

    def __post_init__(self) -> None:
        require_types(self)

    @property
    def digest(self) -> str:
        """SHA-256 of the payload in hex; the ledger keeps it to prove that bronze still holds this answer."""
        return hashlib.sha256(self.payload).hexdigest()


@dataclass(frozen=True, slots=True)
class Miss:
    """A partition a trip could not answer, and why: `gone` will never be answered, `failed` may be retried.

    `reason` is a stable code (`not_deployed`, `rpc`, `entitlement`, ...), `message` one line for people. `disputed`: two who
    were asked say different things, and nobody could decide. `grade` says how far an absence is proven, None where
    nobody asked.
    """

    partition: Partition
    state: Literal["gone", "failed"]
    reason: str
    message: str
    disputed: bool = False
    grade: str | None = None

    def __post_init__(self) -> None:
        require_types(self)
