"""`Access`: what a source is handed to reach the outside. Knows no vendor; the app fills it from the settings.

What does not belong here: what is asked, and what a vendor declares of itself (its own file).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Stands
from cryptolake.contracts.vendor import Vendor
from cryptolake.errors import BadInput
from cryptolake.net.at_snapshot import SnapshotRead, SnapshotReader
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.gates import Gates
from cryptolake.net.http import Http
from cryptolake.net.limiter import Limiter
from cryptolake.net.rpc import Pool


def _no_chain(chain: str) -> Pool:
    raise BadInput(f"no endpoint for chain {chain} was handed to this source")


class _NobodyReads:
    """In the place of a reader where none was handed over: it asks nothing, and its answers prove nothing."""

    again = False

    def __call__(self, chain: str, *_rest: object, **_more: object) -> SnapshotRead:
        raise BadInput(f"no reader for chain {chain} was handed to this source")

    def grade(self, raw: Raw) -> Grade:
        del raw
        return "one_voice"

    def weigh(self, raw: Raw) -> None:
        del raw

    def compare(self, new: Raw, kept: Raw) -> Stands:
        del new, kept
        return Stands(new=True)

    def decides(self, raw: Raw) -> bool:
        del raw
        return False


@dataclass(frozen=True, slots=True)
class Access:
    """An HTTP client, base URLs and secrets by name, and the provenance marks every answer of this run carries.

    `urls` overrides a source's own default hosts (`defillama_stablecoins` -> URL). `secrets` (`DEFILLAMA_API_KEY` -> key)
    are hidden from `repr`. `configs` are the user's own watch lists by vendor. `gates` is shared by all sources of a run.
    `pool` opens a chain's endpoints by the chain's name, for sources that ask chains; `block_cache` keeps their days, and
    `read` reads a program there, proven as far as the settings want it.
    """

    http: Http
    urls: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    provenance: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, Path] = field(default_factory=dict)
    rates: Mapping[str, int] = field(default_factory=dict)  # calls a minute by vendor, instead of the vendor's own
    gates: Gates = field(default_factory=Gates)
    pool: Callable[[str], Pool] = _no_chain
    block_cache: FileBlockCache | None = None
    read: SnapshotReader = field(default_factory=_NobodyReads)

    def url(self, host: str, default: str) -> str:
        """The base URL of `host` without a trailing slash."""
        return self.urls.get(host, default).rstrip("/")

    def base(self, vendor: Vendor, host: str | None = None) -> str:
        """The base URL of one of the vendor's hosts (the one that bears its name unless said otherwise)."""
        name = host or vendor.name
        return self.url(name, vendor.hosts[name])

    def limiter(self, vendor: Vendor, gate: str | None = None, *, keyed: bool = True) -> Limiter:
        """The limit that everybody shares who talks to this vendor with the same key, in all processes of the data folder.

        `gate` names it where the vendor has several hosts with a limit each. Without `keyed` no key is sent there.
        """
        secrets = self.secrets if keyed else {}
        key = vendor.key_in(secrets)
        per_minute, burst = vendor.limit(secrets)
        secret = secrets[key.name] if key is not None else ""
        rate = self.rates.get(vendor.name, per_minute)
        return self.gates.at(gate or vendor.name, secret, per_minute=rate, burst=burst)

    @staticmethod
    def now() -> datetime:
        """The instant of asking, aware UTC."""
        return datetime.now(UTC)
