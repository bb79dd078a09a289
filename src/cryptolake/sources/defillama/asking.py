"""How DefiLlama is asked, whatever for: free and paid hosts, the key in their path, the limits, one count of requests.

What does not belong here: what is asked (`questions`, `prices`, `protocol`) and how answers are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

from cryptolake.contracts.reading import read_json
from cryptolake.contracts.vendor import Key, Vendor
from cryptolake.net.access import Access
from cryptolake.net.conversation import STRANGE, Judge, Patience, Refusal, Tally, converse, judge_plainly

KEY = "DEFILLAMA_API_KEY"
PRO = "defillama_pro"
# The vendor allows 1000 calls a minute with a key and 500 without; what is left is for other users of the same key.
VENDOR = Vendor(
    name="defillama",
    hosts={
        "defillama": "https://api.llama.fi",
        "defillama_stablecoins": "https://stablecoins.llama.fi",
        "defillama_bridges": "https://bridges.llama.fi",
        "defillama_coins": "https://coins.llama.fi",
        PRO: "https://pro-api.llama.fi",
    },
    per_minute=480,
    burst=12,
    keys=(Key(KEY, "DefiLlama Pro key; unset means the free hosts and the metrics they give", 900, 12),),
    watch_list="CSV (name,slug,gecko_id,category) that replaces the shipped DefiLlama watch list",
)
_PRO_PREFIX = {
    "defillama": "/api",
    "defillama_stablecoins": "/stablecoins",
    "defillama_bridges": "/bridges",
    "defillama_coins": "/coins",
}


class DefiLlamaAsking:
    """Questions to DefiLlama's hosts. Thread-safe. `patience` is replaceable for tests."""

    def __init__(self, access: Access, *, patience: Patience | None = None) -> None:
        self.tally = Tally()
        self.key = access.secrets.get(KEY, "")
        self._access, self._patience = access, patience or Patience()

    def moved(self, host: str) -> bool:
        """Whether the user's own address stands in for the host; no key is sent there."""
        return host in self._access.urls

    def paid(self, host: str) -> bool:
        """Whether the host's questions go to the paid host, with the key."""
        return bool(self.key) and not self.moved(host)

    def endpoint(self, host: str) -> str:
        """The name of the host that really answers, for provenance."""
        return PRO if self.paid(host) else host

    def ask(
        self,
        host: str,
        path: str,
        params: Mapping[str, str],
        judge: Judge,
        refused: Callable[[], Refusal | None] = lambda: None,
    ) -> bytes | Refusal:
        """The body, or why there is none; `judge` and `refused` as in `converse`."""
        paid = self.paid(host)
        return converse(
            self._access.http,
            self._base(host) + path,
            params=params or None,
            limiter=self._access.limiter(VENDOR, self.endpoint(host), keyed=paid),
            tally=self.tally,
            judge=judge,
            patience=self._patience,
            refused=refused,
        )

    def try_key(self) -> Refusal | None:
        """Ask once how many calls the key has left; why it is not good, None for a good one. Costs no call of the plan."""
        if all(self.moved(host) for host in _PRO_PREFIX):
            return Refusal("not_asked", "your own addresses stand in for every host, and no key is sent there")
        answer = converse(
            self._access.http,
            f"{self._access.base(VENDOR, PRO)}/usage/{quote(self.key, safe='')}",
            limiter=self._access.limiter(VENDOR, PRO),
            tally=self.tally,
            judge=judge_plainly,
            patience=self._patience,
        )
        if isinstance(answer, Refusal):
            return answer
        try:
            said = read_json(answer)
        except ValueError:
            return STRANGE
        left = said.get("creditsLeft") if isinstance(said, dict) else None
        return None if isinstance(left, int | float) else STRANGE

    def _base(self, host: str) -> str:
        """The user's own address, else the paid host with the key in its path, else the free one."""
        if not self.paid(host):
            return self._access.base(VENDOR, host)
        return f"{self._access.base(VENDOR, PRO)}/{quote(self.key, safe='')}{_PRO_PREFIX[host]}"


def try_key(access: Access) -> Refusal | None:
    """Whether the vendor takes the one key of `access`, asked once (`cryptolake.sources.found`)."""
    return DefiLlamaAsking(access, patience=Patience(attempts=1)).try_key()
