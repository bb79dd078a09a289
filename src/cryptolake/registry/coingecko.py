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

    `calls_per_minute` + `burst` is never exceeded in any minute. `history_days` is how far back history reaches (None: all).
    """

    name: str
    url: str
    header: str | None
    calls_per_minute: float
    burst: float
    history_days: int | None


# Keyless was observed at about 5 calls a minute, shared by address (2024-03). The vendor's page says 100 for demo keys
# (2026-06); paid plans say theirs under /key, 250 is the smallest. History: error 10012 beyond 365 days since 2024-03.
KEYLESS = Tier("keyless", "https://api.coingecko.com/api/v3", None, 4, 1, 365)
DEMO = Tier("demo", "https://api.coingecko.com/api/v3", "x-cg-demo-api-key", 80, 10, 365)
PRO = Tier("pro", "https://pro-api.coingecko.com/api/v3", "x-cg-pro-api-key", 225, 25, None)


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
