"""What is asked of a price vendor, and the one polite way of asking. Knows no vendor.

A partition is a chain's period; `Wanted` says which tokens are asked for in it and at which instant.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import orjson

from cryptolake.contracts.partition import Partition
from cryptolake.errors import Retry, Skip, Stop
from cryptolake.net.http import Answer, Http, retry_after
from cryptolake.net.limiter import Limiter

# Partition of a chain and period -> asset (EIP-55 address, or eth / btc) -> the snapshot's instant, seconds since 1970.
Wanted = Mapping[Partition, Mapping[str, int]]

NEAREST_S = 14_400  # a point further than four hours from the snapshot is not that day's closing price
_LONGEST_WAIT_S = 120.0


@dataclass(slots=True)
class Polite:
    """Asks one host within its rate, and again after a refusal that may pass. Thread-safe."""

    http: Http
    name: str
    base: str
    calls_per_s: float
    headers: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 5
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    _limiter: Limiter = field(init=False)

    def __post_init__(self) -> None:
        self._limiter = Limiter(self.calls_per_s, sleep=self.sleep)

    def ask(self, path: str, params: Mapping[str, str]) -> object:
        """The JSON answer. Raises Skip for a refusal of this item, Retry when attempts ran out, Stop for a bad key."""
        last = f"{self.name} was not asked"
        for attempt in range(1, self.attempts + 1):
            self._limiter.acquire()
            after_s = None
            try:
                answer = self.http.get(self.base + path, params=params, headers=self.headers)
                if answer.status == 200:
                    return orjson.loads(answer.body)
                after_s = retry_after(answer.headers.get("retry-after"))
                last = self._refused(answer)
            except Retry as error:
                last = f"{self.name}: {error}"
            except orjson.JSONDecodeError:
                last = f"{self.name}: the answer is no JSON"
            if (after_s or 0.0) > _LONGEST_WAIT_S:
                break
            if attempt < self.attempts:
                pause = max(min(30.0, 2.0 ** (attempt - 1)) * (0.5 + self.jitter()), after_s or 0.0)
                self._limiter.push_back(pause)
        raise Retry(f"{last}; run the same command again later")

    def _refused(self, answer: Answer) -> str:
        """What may pass, in words; raises what will not."""
        match answer.status:
            case 429 | 408:
                return f"{self.name}: too many requests ({answer.status})"
            case status if status >= 500:
                return f"{self.name} is in trouble ({status})"
            case 401 | 402 | 403:
                if b"10012" in answer.body:
                    raise Skip(f"{self.name}: the plan does not reach back that far", reason="entitlement")
                raise Stop(
                    f"{self.name} refuses the key or the address ({answer.status}); check the key for {self.name}"
                )
            case 404:
                raise Skip(f"{self.name} does not know this token", reason="unknown_entity")
            case status:
                raise Skip(f"{self.name} refuses the question ({status})", reason="refused")
