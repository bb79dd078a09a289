"""What one endpoint can do, found by asking it: chain, head, archive depth, log span, batch size, latency, key.

What does not belong here: which endpoints there are (app) and how the answer is shown (cli).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

from cryptolake.errors import CryptolakeError, Stop
from cryptolake.net.endpoint import Endpoint, Learned
from cryptolake.net.envelope import Json
from cryptolake.net.faults import Doubtful, RpcFault, TooBig
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.net.windows import teach
from cryptolake.waiting import pause

# Nobody emits from here: a log question costs the endpoint its search and gives no answer to carry.
_SILENT = "0x00000000000000000000000000000000000000ff"
_BATCHES = (1000, 500, 100, 50, 20, 10)


@dataclass(frozen=True, slots=True)
class Probed:
    """One endpoint's abilities. None means not found out; `problem` says why when it cannot be used.

    `lag_s` is the age of its head block in seconds, `archive_days` the oldest state it answered (days before the head,
    whole chain when `archive_full`), `log_span` blocks per eth_getLogs, `batch` calls per request, `latency_s` the median
    of three calls.
    """

    endpoint: str
    chain: str
    reachable: bool
    chain_ok: bool | None = None
    head: int | None = None
    lag_s: float | None = None
    finalized_tag: bool | None = None
    archive_days: float | None = None
    archive_full: bool | None = None
    log_span: int | None = None
    batch: int | None = None
    latency_s: float | None = None
    problem: str = ""


def probe(chain: str, chain_id: int, endpoint: Endpoint, http: Http) -> Probed:
    """Ask one endpoint about twenty small questions, within its limits. Never raises for what the endpoint does."""
    pool = Pool(chain, chain_id, [endpoint], http, attempts=1, sleep=pause)
    found = Probed(endpoint.name, chain, reachable=False)
    try:
        head = _header(pool, "latest")
    except CryptolakeError as error:
        known_wrong = isinstance(error, Stop) and "chain id" in str(error)
        return replace(
            found, reachable=isinstance(error, Stop), chain_ok=False if known_wrong else None, problem=str(error)
        )
    number, at = head
    found = replace(found, reachable=True, chain_ok=True, head=number, lag_s=round(max(0.0, time.time() - at), 1))
    try:
        days, full = _archive(pool, number, at)
        return replace(
            found,
            archive_days=days,
            archive_full=full,
            latency_s=_latency(pool),
            finalized_tag=_answers(pool, "eth_getBlockByNumber", ["finalized", False]),
            log_span=_log_span(pool, endpoint, number),
            batch=_batch(pool, endpoint, http),
        )
    except Stop as error:
        return replace(found, problem=str(error))


def _header(pool: Pool, tag: str) -> tuple[int, int]:
    answer = pool.call("eth_getBlockByNumber", [tag, False])
    if not isinstance(answer, Mapping):
        raise Stop(f"{pool.chain}: the endpoint has no block {tag}; set another endpoint")
    return int(str(answer["number"]), 16), int(str(answer["timestamp"]), 16)


def _answers(pool: Pool, method: str, params: list[Json]) -> bool:
    """Whether the endpoint answers this with something; a bad key still stops the probe."""
    try:
        answer = pool.call(method, params)
    except Stop:
        raise
    except CryptolakeError:
        return False
    return answer is not None


def _latency(pool: Pool) -> float:
    taken = []
    for _ in range(3):
        pool.call("eth_blockNumber", [])
        taken.append(pool.stations[0].learned.last_s)
    return round(median(taken), 3)


def _archive(pool: Pool, head: int, at: int) -> tuple[float | None, bool]:
    """The oldest of a few depths whose state is answered; block 1 answers for the whole chain."""
    for block in sorted({1, *(max(1, head - head // 2**part) for part in range(1, 12)), max(1, head - 64)}):
        if _answers(pool, "eth_getBalance", [_SILENT, hex(block)]):
            days = (at - _header(pool, hex(block))[1]) / 86400
            return round(days, 1), block == 1
    return None, False


def _log_span(pool: Pool, endpoint: Endpoint, head: int) -> int | None:
    learned = Learned(min(endpoint.limits.log_span, head))
    for _ in range(8):
        span = learned.span
        question: dict[str, Json] = {
            "fromBlock": hex(max(0, head - 64 - span)),
            "toBlock": hex(max(0, head - 65)),
            "address": _SILENT,
        }
        if learned.settled or span > head:
            break
        try:
            pool.ask(pool.stations[0], "eth_getLogs", [question])
        except (TooBig, Doubtful) as error:
            if span == 1:
                return None
            teach(learned, error, 0, span)
        except Stop:
            raise
        except CryptolakeError:
            return None
        else:
            learned.answered(span)
    return min(learned.span, head)


def _batch(pool: Pool, endpoint: Endpoint, http: Http) -> int | None:
    for size in _BATCHES:
        whole = replace(endpoint, limits=replace(endpoint.limits, max_batch=size))
        alone = Pool(pool.chain, pool.chain_id, [whole], http, attempts=1, limiters=lambda _: pool.stations[0].limiter)
        try:
            answers = alone.batch([("eth_blockNumber", [])] * size)
        except Stop:
            raise
        except CryptolakeError:
            continue
        # The pool halves what is refused: only one request beside the chain check means that all went through at once.
        if alone.requests <= 2 and not any(isinstance(one, RpcFault) for one in answers):
            return size
    return 1
