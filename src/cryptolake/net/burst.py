"""How many calls an endpoint takes at once: sent together, past every limiter but counted in it, the smallest number first.

What does not belong here: how fast an endpoint may be asked for long (speed).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from cryptolake.errors import CryptolakeError
from cryptolake.net.http import Http
from cryptolake.net.limiter import Limiter
from cryptolake.net.rpc import Pool

SIZES = (2, 4, 8, 16, 32)
_ASKED = "eth_chainId"


def most_at_once(pool: Pool, http: Http) -> tuple[int | None, str]:
    """The largest of a few numbers that were all answered together (None: not even the smallest), and what refused more."""
    endpoint, best = pool.stations[0].endpoint, None
    told = endpoint.limits.rate / endpoint.limits.cost(_ASKED) if endpoint.limits.told else float("inf")
    for size in SIZES:
        if size > told and best is not None:
            return (
                best,
                f"more than the {endpoint.limits.rate:g} {endpoint.limits.unit} a second that are set was not tried",
            )
        refused = refused_at_once(pool, http, size)
        if refused:
            return best, f"{len(refused)} of {size} at once failed: {refused[0]}"
        best = size
    return best, ""


def refused_at_once(pool: Pool, http: Http, size: int) -> list[str]:
    """Why calls failed that were sent at once to the pool's first endpoint; nothing when all were answered."""
    station = pool.stations[0]
    station.limiter.acquire(size * station.endpoint.limits.cost(_ASKED))
    alone = replace(station.endpoint, account="")
    pools = [
        Pool(
            pool.chain,
            pool.chain_id,
            [alone],
            http,
            limiters=lambda _one: Limiter(10_000.0),
            purse=pool.purse,
            attempts=1,
        )
        for _ in range(size)
    ]
    for one in pools:
        one.stations[0].chain_ok = True  # it was asked before
    with ThreadPoolExecutor(size) as threads:
        return [one for one in threads.map(_refused, pools) if one]


def _refused(pool: Pool) -> str:
    try:
        pool.call(_ASKED, [])
    except CryptolakeError as error:
        return str(error)
    return ""
