"""What one endpoint can do, found by asking it: chain, head, archive depth, span, batch, addresses, burst, latency, key.

What does not belong here: which endpoints there are (app) and how the answer is shown (cli).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import median

from cryptolake.contracts.counting import counted
from cryptolake.errors import CryptolakeError, Stop
from cryptolake.net.burst import most_at_once
from cryptolake.net.counted import CountedHttp
from cryptolake.net.endpoint import Endpoint, Learned
from cryptolake.net.envelope import Json
from cryptolake.net.faults import Doubtful, RpcFault, TooBig
from cryptolake.net.limiter import Limiter
from cryptolake.net.rpc import Pool
from cryptolake.net.windows import teach
from cryptolake.waiting import pause

# Nobody emits from here: a log question costs the endpoint its search and gives no answer to carry.
_SILENT = "0x00000000000000000000000000000000000000ff"
_BATCHES = (100, 50, 20, 10, 5, 2)
_ADDRESSES = (1000, 500, 100, 50, 20, 10)
MOST_CALLS = 400  # calls to one endpoint at most, members of batches counted


@dataclass(frozen=True, slots=True)
class Probed:
    """One endpoint's abilities. None means not found out; `problem` says why when it cannot be used.

    `lag_s` is the age of its head block in seconds, `archive_days` the oldest state it answered (days before the head,
    whole chain when `archive_full`), `archive_blocks` the same in blocks, `log_span` blocks and `addresses` addresses per
    eth_getLogs, `batch` calls per request and `burst` calls at once (none of them more than what is tried), `latency_s` the
    median of three calls, `calls` what all of it took.
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
    archive_blocks: int | None = None
    addresses: int | None = None
    burst: int | None = None
    burst_says: str = ""
    calls: int = 0


def probe(
    chain: str,
    chain_id: int,
    endpoint: Endpoint,
    http: CountedHttp,
    limiter: Callable[[Endpoint], Limiter] | None = None,
) -> Probed:
    """Ask one endpoint small questions, within its limits (`limiter` keeps those that are shared) and `http`'s ceiling.

    Never raises for what the endpoint does.
    """
    found = _probed(chain, chain_id, endpoint, http, limiter)
    problem = found.problem
    if http.held_back and not problem:
        problem = f"{counted(http.ceiling, 'call was', 'calls were')} not enough to find out everything"
    return replace(found, calls=http.calls, problem=problem)


def _probed(
    chain: str, chain_id: int, endpoint: Endpoint, http: CountedHttp, limiter: Callable[[Endpoint], Limiter] | None
) -> Probed:
    asked = replace(endpoint, limits=replace(endpoint.limits, archive=None))  # its depth is to be found out
    pool = Pool(chain, chain_id, [asked], http, limiters=limiter, attempts=1, sleep=pause)
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
        blocks, days, full = _archive(pool, number, at)
        found = replace(
            found,
            archive_blocks=blocks,
            archive_days=days,
            archive_full=full,
            latency_s=_latency(pool),
            finalized_tag=_answers(pool, "eth_getBlockByNumber", ["finalized", False]),
            log_span=_log_span(pool, endpoint, number),
            addresses=_addresses(pool, endpoint, number),
            batch=_batch(pool, endpoint, http),
        )
        burst, says = most_at_once(pool, http)
        return replace(found, burst=burst, burst_says=says)
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


def _archive(pool: Pool, head: int, at: int) -> tuple[int | None, float | None, bool]:
    """The oldest of a few depths whose state is answered; block 1 answers for the whole chain."""
    for block in sorted({1, *(max(1, head - head // 2**part) for part in range(1, 12)), max(1, head - 64)}):
        if _answers(pool, "eth_getBalance", [_SILENT, hex(block)]):
            days = (at - _header(pool, hex(block))[1]) / 86400
            return head - block, round(days, 1), block == 1
    return None, None, False


def _log_span(pool: Pool, endpoint: Endpoint, head: int) -> int | None:
    learned = Learned(min(endpoint.limits.log_span, head), most_blocks=endpoint.limits.most_blocks)
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


def _addresses(pool: Pool, endpoint: Endpoint, head: int) -> int | None:
    """The most addresses of a few numbers that one question may name; None when not even the fewest are taken."""
    block = hex(max(0, head - 65))
    for size in sorted({min(one, endpoint.limits.most_addresses) for one in _ADDRESSES}, reverse=True):
        named = [f"0x{number:040x}" for number in range(255, 255 + size)]
        try:
            pool.ask(pool.stations[0], "eth_getLogs", [{"fromBlock": block, "toBlock": block, "address": named}])
        except Stop:
            raise
        except CryptolakeError:
            continue
        return size
    return None


def _batch(pool: Pool, endpoint: Endpoint, http: CountedHttp) -> int | None:
    for size in sorted({min(one, endpoint.limits.max_batch) for one in _BATCHES}, reverse=True):
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
