"""CoinGecko's tiers (host, header, limits) and the coins whose history is kept by default. Facts only; asks nothing."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Tier:
    """What a kind of key is allowed. Key and host must match: the vendor refuses a demo key on the pro host and back.

    `secret` is the variable that holds the key. Any window of a minute sees at most `per_minute` calls, at most `burst` of
    them at once. `history_days` is how far back history reaches (None: all).
    """

    name: str
    url: str
    secret: str | None
    header: str | None
    per_minute: int
    burst: int
    history_days: int | None

    @property
    def spacing_s(self) -> float:
        """Seconds between two calls once the burst is used up."""
        return 60 / (self.per_minute - self.burst)


# Keyless was observed at about 5 calls a minute, shared by address (2024-03). The vendor's page says 100 for demo keys
# (2026-06); paid plans say theirs under /key, 250 is the smallest. History: error 10012 beyond 365 days since 2024-03.
KEYLESS = Tier("keyless", "https://api.coingecko.com/api/v3", None, None, 5, 1, 365)
DEMO = Tier("demo", "https://api.coingecko.com/api/v3", "COINGECKO_DEMO_API_KEY", "x-cg-demo-api-key", 90, 10, 365)
PRO = Tier("pro", "https://pro-api.coingecko.com/api/v3", "COINGECKO_PRO_API_KEY", "x-cg-pro-api-key", 250, 25, None)
DEFAULT_TOP = 1000  # coins of a market run, by capitalisation, where nobody says how many


def tier_of(secrets: Mapping[str, str]) -> Tier:
    """The best tier there is a key for: pro, else demo, else keyless."""
    return next((tier for tier in (PRO, DEMO) if tier.secret and secrets.get(tier.secret)), KEYLESS)


# The vendor's error codes that a person must act on: (our reason, words). None of them changes by asking again.
ERROR_CODES: Mapping[int, tuple[str, str]] = {
    10002: ("bad_key", "the key is missing or wrong; check COINGECKO_DEMO_API_KEY or COINGECKO_PRO_API_KEY"),
    10005: ("entitlement", "this endpoint is not part of your plan"),
    10010: ("bad_key", "this is a pro key; set it as COINGECKO_PRO_API_KEY, not as COINGECKO_DEMO_API_KEY"),
    10011: ("bad_key", "this is a demo key; set it as COINGECKO_DEMO_API_KEY, not as COINGECKO_PRO_API_KEY"),
    10012: ("entitlement", "history this old needs a pro key"),
}


@cache
def watched_coins() -> tuple[str, ...]:
    """The coin ids of `data/coingecko_coins.csv`, sorted."""
    text = resources.files("cryptolake.registry").joinpath("data", "coingecko_coins.csv").read_text(encoding="utf-8")
    return tuple(sorted(row["id"] for row in csv.DictReader(text.splitlines())))
