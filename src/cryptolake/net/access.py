"""`Access`: what a source is handed to reach the outside. Knows no vendor; the app fills it from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptolake.net.gates import Gates
from cryptolake.net.http import Http


@dataclass(frozen=True, slots=True)
class Access:
    """An HTTP client, base URLs and secrets by name, and the provenance marks every answer of this run carries.

    `urls` overrides a source's own default hosts (`defillama_stablecoins` -> URL). `secrets` (`DEFILLAMA_API_KEY` -> key)
    are hidden from `repr`. `configs` are the user's own watch lists by vendor. `gates` is shared by all sources of a run.
    """

    http: Http
    urls: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    provenance: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, Path] = field(default_factory=dict)
    rates: Mapping[str, int] = field(default_factory=dict)  # calls a minute by vendor, instead of the vendor's own
    gates: Gates = field(default_factory=Gates)

    def url(self, host: str, default: str) -> str:
        """The base URL of `host` without a trailing slash."""
        return self.urls.get(host, default).rstrip("/")

    @staticmethod
    def now() -> datetime:
        """The instant of asking, aware UTC."""
        return datetime.now(UTC)
