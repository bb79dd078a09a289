"""The registry's version id: a digest of what it says, the same wherever it says the same."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import orjson

from cryptolake.registry.chainlink import feeds
from cryptolake.registry.exclusions import plain
from cryptolake.registry.loader import Registry
from cryptolake.registry.price_oracles import price_oracles


def registry_version(registry: Registry) -> str:
    """SHA-256 over markets, chains, feeds, price oracles and exclusions in order. Not over endpoints: they change no number."""
    said = {
        "csus": {name: asdict(csu) for name, csu in sorted(registry.csus.items())},
        "chains": {name: {**asdict(chain), "public_rpcs": []} for name, chain in sorted(registry.chains.items())},
        "feeds": [asdict(feed) for feed in feeds()],
        "exclusions": plain(registry.exclusions),
        "price_oracles": [{**asdict(one), "since": str(one.since), "until": str(one.until)} for one in price_oracles()],
    }
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS, default=dict)).hexdigest()
