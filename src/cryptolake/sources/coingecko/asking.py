"""How CoinGecko is asked, whatever for: host and key of the tier, the plan's limit, one count of requests.

What does not belong here: what is asked (`source`, `prices`) and what is no answer (`refusals`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace

from cryptolake.contracts.reading import read_json
from cryptolake.contracts.vendor import Key, Vendor
from cryptolake.net.access import Access
from cryptolake.net.conversation import STRANGE, Patience, Refusal, Tally, converse
from cryptolake.net.limiter import Limiter
from cryptolake.registry.coingecko import DEMO, KEYLESS, PRO, Tier, tier_of
from cryptolake.sources.coingecko.refusals import judge

VENDOR = Vendor(
    name="coingecko",
    hosts={"coingecko": KEYLESS.url},
    per_minute=KEYLESS.per_minute,
    burst=KEYLESS.burst,
    keys=(
        Key(
            "COINGECKO_PRO_API_KEY",
            "CoinGecko paid key: its own host, the plan's limit, history beyond 365 days; wins over the demo key",
            PRO.per_minute,
            PRO.burst,
        ),
        Key(
            "COINGECKO_DEMO_API_KEY",
            "CoinGecko demo key (free): about 100 calls a minute instead of 5",
            DEMO.per_minute,
            DEMO.burst,
        ),
    ),
)


class CoinGeckoAsking:
    """Questions to the one host of a tier. Thread-safe. `tier` and `patience` are replaceable for tests."""

    def __init__(self, access: Access, *, tier: Tier | None = None, patience: Patience | None = None) -> None:
        self.tier, self.tally = tier or tier_of(access.secrets), Tally()
        self.provenance = {"endpoint": VENDOR.name, "tier": self.tier.name, **access.provenance}
        self._access, self._url = access, access.url(VENDOR.name, self.tier.url)
        self._key = access.secrets.get(self.tier.secret, "") if self.tier.secret else ""
        self._headers = {self.tier.header: self._key} if self.tier.header and self._key else {}
        self._patience = replace(patience or Patience(), limited_pause_s=max(5.0, self.tier.spacing_s))
        self._lock = threading.Lock()
        self._opened: list[Limiter | Refusal] = []  # at most one

    @property
    def url(self) -> str:
        """The base URL that is asked."""
        return self._url

    def ask(self, path: str, params: Mapping[str, str]) -> bytes | Refusal:
        """The body, or why there is none."""
        limiter = self.limiter()
        return limiter if isinstance(limiter, Refusal) else self._converse(path, params, limiter)

    def _converse(self, path: str, params: Mapping[str, str], limiter: Limiter) -> bytes | Refusal:
        return converse(
            self._access.http,
            self._url + path,
            params=params or None,
            headers=self._headers,
            limiter=limiter,
            tally=self.tally,
            judge=judge,
            patience=self._patience,
        )

    def limiter(self) -> Limiter | Refusal:
        """The limit of the plan, which everybody with the key shares; a pro plan is asked for its own once per run."""
        with self._lock:
            if not self._opened:
                rate = self._access.rates.get(VENDOR.name, self.tier.per_minute)
                limiter = self._access.gates.at(VENDOR.name, self._key, per_minute=rate, burst=self.tier.burst)
                self._opened.append(self._sized(limiter) if self.tier is PRO else limiter)
            return self._opened[0]

    def try_key(self) -> Refusal | None:
        """Ask once, for a pro key's plan or with a demo key for the greeting; why the key is not good, None for a good one."""
        path, word = ("/key", "plan") if self.tier is PRO else ("/ping", "gecko_says")
        limiter = self._access.gates.at(VENDOR.name, self._key, per_minute=self.tier.per_minute, burst=self.tier.burst)
        answer = self._converse(path, {}, limiter)
        if isinstance(answer, Refusal):
            return answer
        said = read_json(answer)
        return None if isinstance(said, dict) and word in said else STRANGE

    def _sized(self, limiter: Limiter) -> Limiter | Refusal:
        answer = self._converse("/key", {}, limiter)
        if isinstance(answer, Refusal):
            # A wrong key fails every later question too; anything else (no such endpoint) leaves the smallest plan's limit.
            return answer if answer.reason == "bad_key" else limiter
        plan = read_json(answer)
        found = plan if isinstance(plan, dict) else {}
        left, limit = found.get("current_remaining_monthly_calls"), found.get("rate_limit_request_per_minute")
        if isinstance(left, int) and left <= 0:
            return Refusal("quota", "the plan's monthly calls are used up; wait for the next month or upgrade")
        if isinstance(limit, int) and limit > 1 and VENDOR.name not in self._access.rates:
            return self._access.gates.resize(VENDOR.name, self._key, per_minute=limit, burst=max(1, limit // 10))
        return limiter


def try_key(access: Access) -> Refusal | None:
    """Whether the vendor takes the one key of `access`, asked once (`cryptolake.sources.found`)."""
    return CoinGeckoAsking(access, patience=Patience(attempts=1)).try_key()
