"""`Access`: what a source is handed to reach the outside. Knows no vendor; the app fills it from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptolake.net.http import Http


@dataclass(frozen=True, slots=True)
class Access:
    """An HTTP client, base URLs and secrets by name, and the provenance marks every answer of this run carries.

    `urls` overrides a source's own default hosts (`defillama_stablecoins` -> URL). `secrets` are hidden from `repr`.
    """

    http: Http
    urls: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    provenance: Mapping[str, str] = field(default_factory=dict)

    def url(self, host: str, default: str) -> str:
        """The base URL of `host` without a trailing slash."""
        return self.urls.get(host, default).rstrip("/")

    @staticmethod
    def now() -> datetime:
        """The instant of asking, aware UTC."""
        return datetime.now(UTC)
