"""What one endpoint can do, found by asking it: chain, head, archive depth, span, batch, addresses, burst, latency, key.

What does not belong here: which endpoints there are (app) and how the answer is shown (cli).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import TypeVar

from cryptolake.contracts.counting import counted
from cryptolake.errors import CryptolakeError, Narrow, Retry, Skip, Stop
from cryptolake.net.burst import most_at_once
from cryptolake.net.counted import CountedHttp
from cryptolake.net.endpoint import Endpoint, Learned
from cryptolake.net.envelope import Json
from cryptolake.net.faults import Doubtful, Elsewhere, Malformed, RpcFault, TooBig
from cryptolake.net.limiter import Limiter
from cryptolake.net.purse import Purse
from cryptolake.net.rpc import Pool
from cryptolake.net.windows import teach
from cryptolake.waiting import pause

# Nobody emits from here: a log question costs the endpoint its search and gives no answer to carry.
_SILENT = "0x00000000000000000000000000000000000000ff"
_BATCHES = (100, 50, 20, 10, 5, 2)
_ADDRESSES = (1000, 500, 100, 50, 20, 10)
_FREE = 1e9  # units a second: no limit of our own
_SPANS, _TRIES = 8, 3  # questions for the span; and for one that meets trouble
_REST_S = 0.25  # after trouble, doubled each time: who enforces a rate without saying so lets through again then
T = TypeVar("T")
MOST_CALLS = 400  # calls to one endpoint at most, members of batches counted


@dataclass(frozen=True, slots=True)
class Probed:
    """One endpoint's abilities. None means not found out; `problem` says why when it cannot be used.

    `lag_s` is the age of its head block in seconds, `archive_days` the oldest state it answered (days before the head,
    whole chain when `archive_full`), `archive_blocks` the same in blocks, `log_span` blocks and `addresses` addresses per
    eth_getLogs, `batch` calls per request and `burst` calls at once (none of them more than what is tried), `latency_s` the
    median of three calls, `calls` what all of it took. `limits` names those of span, batch, addresses and archive that are
    limits: a little more was refused by the endpoint itself. The others are only what was tried.
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
    limits: tuple[str, ...] = ()


def probe(
    chain: str,
    chain_id: int,
    endpoint: Endpoint,
    http: CountedHttp,
    limiter: Callable[[Endpoint], Limiter] | None = None,
    purse: Purse | None = None,
) -> Probed:
    """Ask one endpoint small questions, within its limits (`limiter` keeps those that are shared).

    The ceilings of `purse` and `http` hold. Never raises for what the endpoint does.
    """
    found = _probed(chain, chain_id, endpoint, http, limiter, purse)
    problem = found.problem
    if http.held_back and not problem:
        problem = f"{counted(http.ceiling, 'call was', 'calls were')} not enough to find out everything"
    return replace(found, calls=http.calls, problem=problem)


def _probed(
    chain: str,
    chain_id: int,
    endpoint: Endpoint,
    http: CountedHttp,
    limiter: Callable[[Endpoint], Limiter] | None,
    purse: Purse | None,
) -> Probed:
    asked = replace(endpoint, limits=replace(endpoint.limits, archive=None))  # its depth is to be found out
    pool = Pool(chain, chain_id, [asked], http, limiters=limiter, purse=purse, attempts=1, sleep=pause)
    found = Probed(endpoint.name, chain, reachable=False)
    try:
        head = _patiently(lambda: _header(pool, "latest"))
    except CryptolakeError as error:
        known_wrong = isinstance(error, Stop) and "chain id" in str(error)
        return replace(
            found, reachable=isinstance(error, Stop), chain_ok=False if known_wrong else None, problem=str(error)
        )
    number, at = head
    found = replace(found, reachable=True, chain_ok=True, head=number, lag_s=round(max(0.0, time.time() - at), 1))
    try:
        depth, found = _archive(pool, found, at)
        found = replace(found, latency_s=_latency(pool))
        found = replace(found, finalized_tag=_answers(pool, "eth_getBlockByNumber", ["finalized", False]))
        span, addresses = _log_span(pool, endpoint, number), _addresses(pool, endpoint, number)
        batch = _batch(pool, endpoint, http)
        measured = {"span": span, "batch": batch, "addresses": addresses, "archive": depth}
        found = replace(
            found,
            log_span=span.most,
            addresses=addresses.most,
            batch=batch.most,
            limits=tuple(name for name, one in measured.items() if one.is_limit),
        )
        burst, says = most_at_once(pool, http)
        return replace(found, burst=burst, burst_says=says)
    except CryptolakeError as error:
        return replace(found, problem=str(error))


def _header(pool: Pool, tag: str) -> tuple[int, int]:
    answer = pool.call("eth_getBlockByNumber", [tag, False])
    if not isinstance(answer, Mapping):
        raise Stop(f"{pool.chain}: the endpoint has no block {tag}; set another endpoint")
    return int(str(answer["number"]), 16), int(str(answer["timestamp"]), 16)


@dataclass(frozen=True, slots=True)
class _Most:
    """The most that was answered (None: not found out), and whether a little more was refused: only then it is a limit."""

    most: int | None
    is_limit: bool = False


def _answers(pool: Pool, method: str, params: list[Json]) -> bool | None:
    """Whether the endpoint answers this with something; None when it was in trouble, which says nothing of what it can do."""
    return _tried(lambda: pool.call(method, params) is not None)


def _tried(ask: Callable[[], bool]) -> bool | None:
    """What asking gives, False where the endpoint itself refuses, None for trouble that may pass. A bad key raises Stop."""
    spoken = 0  # times that it answered with an error that nobody knows: once may be a bad moment, or our rate
    for number in range(_TRIES):
        try:
            return ask()
        except Stop:
            raise
        except (Elsewhere, Narrow, Skip):
            return False
        except CryptolakeError as error:
            spoken += isinstance(error, Doubtful) and error.spoken
            if spoken >= _TRIES - 1:
                return False
            pause(_REST_S * 2**number)
    return None


def _patiently(ask: Callable[[], T]) -> T:
    """What asking gives; trouble is met several times, each after a longer rest. Raises what is left of it."""
    for number in range(_TRIES):
        try:
            return ask()
        except Elsewhere:
            raise
        except Retry:
            pause(_REST_S * 2**number)
    return ask()


def _latency(pool: Pool) -> float:
    taken = []
    for _ in range(3):
        _patiently(lambda: pool.call("eth_blockNumber", []))
        taken.append(pool.stations[0].learned.last_s)
    return round(median(taken), 3)


def _archive(pool: Pool, found: Probed, at: int) -> tuple[_Most, Probed]:
    """How old the state may be that is answered, to a fiftieth; block 1 answers for the whole chain."""
    head = found.head or 0

    def answered(depth: int) -> bool | None:
        return _answers(pool, "eth_getBalance", [_SILENT, hex(head - depth)])

    deepest, refused = None, None
    for depth in sorted({head - 1, *(head // 2**part for part in range(1, 12)), min(64, head - 1)}, reverse=True):
        match answered(depth):
            case True:
                deepest = depth
                break
            case False:
                refused = depth
            case None:
                return _Most(None), found  # what failed may be a limit or not
    if deepest is None:
        return _Most(None), found
    while refused is not None and refused - deepest > max(1, deepest // 50):
        middle = (deepest + refused) // 2
        match answered(middle):
            case True:
                deepest = middle
            case False:
                refused = middle
            case None:
                return _Most(None), found
    days = (at - _patiently(lambda: _header(pool, hex(head - deepest)))[1]) / 86400
    told = replace(found, archive_blocks=deepest, archive_days=round(days, 1), archive_full=deepest == head - 1)
    return _Most(deepest, is_limit=refused is not None), told


def _log_span(pool: Pool, endpoint: Endpoint, head: int) -> _Most:
    learned = Learned(min(endpoint.limits.log_span, head), most_blocks=endpoint.limits.most_blocks)
    refused, trouble = False, 0
    for _ in range(_SPANS):
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
            if isinstance(error, Doubtful) and not error.spoken:  # a bad moment, or a silent refusal: nobody knows
                trouble += 1
                if trouble < _TRIES:
                    pause(_REST_S * trouble)
                    continue
            if span == 1:
                return _Most(None)
            refused = True
            teach(learned, error, 0, span)
        except Stop:
            raise
        except CryptolakeError:
            trouble += 1
            if trouble >= _TRIES:
                return _Most(None)
            pause(_REST_S * trouble)
        else:
            learned.answered(span)
    return _Most(min(learned.span, head), is_limit=refused and learned.settled and trouble < _TRIES)


def _addresses(pool: Pool, endpoint: Endpoint, head: int) -> _Most:
    """The most addresses of a few numbers that one question may name; nothing when not even the fewest are taken."""
    block, refused = hex(max(0, head - 65)), False
    for size in sorted({min(one, endpoint.limits.most_addresses) for one in _ADDRESSES}, reverse=True):
        named = [f"0x{number:040x}" for number in range(255, 255 + size)]
        question: dict[str, Json] = {"fromBlock": block, "toBlock": block, "address": list(named)}
        match _tried(lambda question=question: bool(pool.ask(pool.stations[0], "eth_getLogs", [question]))):  # type: ignore[misc]
            case True:
                return _Most(size, is_limit=refused)
            case False:
                refused = True
            case None:
                return _Most(None)
    return _Most(None)


def _batch(pool: Pool, endpoint: Endpoint, http: CountedHttp) -> _Most:
    """The most calls of a few numbers that one request may hold, no more than a told rate allows in a second."""
    limits, refused = endpoint.limits, False
    told = int(limits.rate / limits.cost("eth_blockNumber")) if limits.told else max(_BATCHES)
    for size in sorted({max(1, min(one, limits.max_batch, told)) for one in _BATCHES}, reverse=True):
        # What is sent is counted in the limit that is shared, and never split for it: the endpoint alone is to say what is
        # too much.
        free = replace(limits, max_batch=size, told=False)
        pool.stations[0].limiter.acquire(size * limits.cost("eth_blockNumber"))
        alone = Pool(
            pool.chain,
            pool.chain_id,
            [replace(endpoint, limits=free)],
            http,
            purse=pool.purse,
            attempts=1,
            limiters=lambda _: Limiter(_FREE, 10_000.0 * limits.dearest),
        )
        alone.stations[0].chain_ok = True  # it was asked before
        try:
            answers = alone.batch([("eth_blockNumber", [])] * size)
        except Stop:
            raise
        except (Narrow, Malformed, Doubtful):
            refused = True
            continue
        except CryptolakeError:
            return _Most(None)
        # The pool halves what is refused: a single request means that all went through at once.
        if alone.requests == 1 and not any(isinstance(one, RpcFault) for one in answers):
            return _Most(size, is_limit=refused)
        refused = True
    return _Most(1, is_limit=refused)
