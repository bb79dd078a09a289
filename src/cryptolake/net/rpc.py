"""The endpoint pool of one chain: JSON-RPC calls and batches over ordered endpoints with limits, sit-out and return.

What does not belong here: what a call means, and how a question is made smaller (multicall, logs).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from cryptolake.errors import BadInput, CryptolakeError, Narrow, Retry, Skip, Stop
from cryptolake.net.faults import Elsewhere, RpcFault, classify
from cryptolake.net.http import Answer, Http, retry_after
from cryptolake.net.limiter import Limiter

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

_HEADERS = {"content-type": "application/json"}
_SIT_OUT_S = 15.0  # how long an endpoint that failed is passed over while others are well


class SecretUrl:
    """An endpoint's URL; may hold a key, so it never prints."""

    def __init__(self, url: str) -> None:
        self._url = url

    def reveal(self) -> str:
        """The URL itself, for the transport only."""
        return self._url

    def __repr__(self) -> str:
        return "SecretUrl(***)"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One provider account on one chain. `calls_per_s` is the limit we keep; `max_batch` calls go in one request."""

    name: str
    url: SecretUrl
    calls_per_s: float = 25.0
    max_batch: int = 100


@dataclass(slots=True)
class _State:
    endpoint: Endpoint
    limiter: Limiter
    back_at: float = 0.0
    stopped: str | None = None  # the Stop message once the endpoint refused the key or the plan
    chain_ok: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Pool:
    """The endpoints of one chain, asked in order; one that fails sits out and comes back.

    `attempts` bounds the rounds over all endpoints. Thread-safe. Errors name endpoints, never their URLs.
    """

    def __init__(
        self,
        chain: str,
        chain_id: int,
        endpoints: Sequence[Endpoint],
        http: Http,
        *,
        attempts: int = 4,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not endpoints:
            raise BadInput(f"no endpoint for chain {chain}; set CRYPTOLAKE_RPC_{chain.upper()}=url")
        self.chain, self.chain_id = chain, chain_id
        self._http, self._attempts, self._clock, self._sleep = http, attempts, clock, sleep
        self._states = [
            _State(one, Limiter(one.calls_per_s, max(1.0, one.calls_per_s), clock=clock, sleep=sleep))
            for one in endpoints
        ]
        self.requests = 0
        self.last_endpoint = endpoints[0].name

    def call(self, method: str, params: Sequence[Json]) -> Json:
        """One call. Raises Skip(reason="revert") for a revert, Narrow when too big, Retry or Stop when nobody answers."""
        (answer,) = self.batch([(method, params)])
        if isinstance(answer, RpcFault):
            raise Skip(f"{method} on {self.chain} was answered with an error by the contract", reason="revert")
        return answer

    def batch(self, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]:
        """Many calls, in few requests; answers in the order asked. An error object of one call is that call's answer."""
        answers: list[Json | RpcFault] = []
        position = 0
        size = min(state.endpoint.max_batch for state in self._states)
        while position < len(calls):
            piece = calls[position : position + size]
            answers += self._somewhere(piece)
            position += len(piece)
        return answers

    def finalized(self) -> int:
        """The newest block that cannot be reorganised away; 64 below the head where the chain has no such tag."""
        try:
            block = self.call("eth_getBlockByNumber", ["finalized", False])
        except (Skip, Retry, Narrow):
            block = None
        if isinstance(block, Mapping) and isinstance(block.get("number"), str):
            return int(str(block["number"]), 16)
        return max(0, int(str(self.call("eth_blockNumber", [])), 16) - 64)

    def _somewhere(self, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]:
        last: CryptolakeError = Retry(f"no endpoint of {self.chain} answered")
        for attempt in range(self._attempts):
            for state in self._order():
                try:
                    answers = self._ask(state, calls)
                except Narrow:
                    raise
                except Stop as error:
                    state.stopped, last = str(error), error
                except Elsewhere as error:
                    last = error
                except Retry as error:
                    last = error
                    state.back_at = self._clock() + (error.after_s if error.after_s is not None else _SIT_OUT_S)
                else:
                    state.back_at, self.last_endpoint = 0.0, state.endpoint.name
                    return answers
            if isinstance(last, Elsewhere) or all(state.stopped for state in self._states):
                break
            if attempt + 1 < self._attempts:
                self._sleep(self._pause(attempt, last))
        names = ", ".join(state.endpoint.name for state in self._states)
        message = f"{self.chain}: {last} (asked {names})"
        if all(state.stopped for state in self._states):
            raise Stop(message) from None
        raise Retry(message) from None

    def _pause(self, attempt: int, last: CryptolakeError) -> float:
        """Exponential back-off with full jitter, at least what the other side asked for, capped at a minute."""
        asked = last.after_s if isinstance(last, Retry) and last.after_s is not None else 0.0
        return min(60.0, max(asked, random.uniform(0.1, 0.5) * float(2**attempt)))  # noqa: S311  # jitter, not a secret

    def _order(self) -> list[_State]:
        """Endpoints to ask now: the well ones in their order, then those sitting out, soonest back first."""
        now = self._clock()
        usable = [state for state in self._states if state.stopped is None]
        well = [state for state in usable if state.back_at <= now]
        return well or sorted(usable, key=lambda state: state.back_at)

    def _ask(self, state: _State, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]:
        if not state.chain_ok:
            with state.lock:
                if not state.chain_ok:
                    self._check_chain(state)
        return self._exchange(state, calls)

    def _check_chain(self, state: _State) -> None:
        (answer,) = self._exchange(state, [("eth_chainId", [])])
        found = int(answer, 16) if isinstance(answer, str) else None
        if found != self.chain_id:
            raise Stop(f"endpoint {state.endpoint.name} is on chain id {found}, not {self.chain_id}; correct its URL")
        state.chain_ok = True

    def _exchange(self, state: _State, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]:
        state.limiter.acquire(len(calls))
        questions = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        body = orjson.dumps(questions[0] if len(questions) == 1 else questions)
        self.requests += 1
        answer = self._http.post(state.endpoint.url.reveal(), body, headers=_HEADERS)
        return _match(_parse(answer), len(calls))


def _parse(answer: Answer) -> list[Mapping[str, Json]]:
    """The error or answer objects of an HTTP answer. Raises by reaction when it is none."""
    if answer.status == 429:
        raise Retry("the endpoint's rate limit is reached", after_s=retry_after(answer.headers.get("retry-after")))
    try:
        document = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        document = None
    objects = document if isinstance(document, list) else [document]
    if not all(isinstance(one, dict) and ("result" in one or "error" in one) for one in objects):
        if answer.status in {401, 402, 403}:
            raise Stop(f"the endpoint refuses the key or plan (HTTP {answer.status}); set another key or endpoint")
        if answer.status == 413:
            raise Narrow("the endpoint refuses a request of this size")
        raise Retry(f"the endpoint's answer (HTTP {answer.status}) is no JSON-RPC")
    return objects


def _match(objects: Sequence[Mapping[str, Json]], count: int) -> list[Json | RpcFault]:
    """Answers by id, each exactly once; whatever concerns the whole request is raised."""
    found: dict[int, Json | RpcFault] = {}
    for one in objects:
        error = one.get("error")
        number = one.get("id")
        if error is not None:
            fault = _classified(error)
            if isinstance(fault, CryptolakeError):
                raise fault
            answer: Json | RpcFault = fault
        else:
            answer = one.get("result")
        if not isinstance(number, int) or not 0 <= number < count or number in found:
            raise Retry("the endpoint's answers do not match the questions")
        found[number] = answer
    if len(found) != count:
        raise Retry("the endpoint left questions unanswered")
    return [found[number] for number in range(count)]


def _classified(error: Json) -> CryptolakeError | RpcFault:
    if not isinstance(error, Mapping):
        return classify(None, str(error))
    code, data = error.get("code"), error.get("data")
    message = str(error.get("message", ""))
    if isinstance(data, str) and not data.startswith("0x"):
        message, data = f"{message} {data}", None
    return classify(code if isinstance(code, int) else None, message, data if isinstance(data, str) else None)
