"""One request to one endpoint and what came back: the questions about the endpoint itself are here too.

What does not belong here: who is asked and what a refusal changes (rpc), and whether it is believed (doubts).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import orjson

from cryptolake.errors import CryptolakeError, Narrow, Retry, Stop
from cryptolake.net.answers import quantity, read
from cryptolake.net.endpoint import Station
from cryptolake.net.envelope import Json, Reply, replies
from cryptolake.net.faults import Behind, Doubtful, Elsewhere, Malformed, RpcFault, TooBig, TooFast
from cryptolake.net.http import Http
from cryptolake.net.odd_words import odd
from cryptolake.net.patience import GREETING
from cryptolake.net.purse import Purse
from cryptolake.net.questions import Question, blocks_of, newest_block
from cryptolake.net.sending import send

_MOST_WORDS = 100  # of errors that nobody knows, kept of one endpoint
_OTHER_NODES = 4  # times that a head is asked for where several nodes answer
_EASY = frozenset({"eth_chainId", "eth_blockNumber"})


class Wire:
    """Sends questions to the endpoints of the chain with this id, within their limits and what may be spent. Thread-safe."""

    def __init__(self, chain_id: int, http: Http, purse: Purse | None) -> None:
        self._chain_id, self._http, self._purse = chain_id, http, purse
        self._local = threading.local()

    @property
    def sent_at(self) -> float:
        """When this thread sent its latest question, on the clock of its limiter; long ago before the first."""
        return float(getattr(self._local, "sent_at", "-inf"))

    def send(self, station: Station, calls: Sequence[Question]) -> list[Json | Reply]:
        """What came for each call. Raises by reaction (Doubtful too) where not one of them was answered."""
        cost = sum(station.endpoint.limits.cost(method) for method, _ in calls)
        self._local.sent_at = station.limiter.now()
        if self._purse is not None:
            self._purse.take(station.endpoint, len(calls), cost)
        try:
            self._local.sent_at = station.limiter.acquire(cost, monthly=station.endpoint.limits.monthly)
        except Stop:
            budget, unit = station.endpoint.limits.monthly or 0.0, station.endpoint.limits.unit
            raise Stop(
                f"{station.endpoint.name} has used its {budget:,.0f} {unit} of this month; set another key"
            ) from None
        questions = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in enumerate(calls)
        ]
        body = orjson.dumps(questions[0] if len(questions) == 1 else questions)
        station.requests += 1
        station.units += cost
        try:
            answer = send(self._http, station.endpoint, body, briefly=_briefly(station, calls))
        except Narrow:
            raise TooBig(of="bytes") from None
        except Retry as error:
            raise Doubtful(error, spoken=False) from None
        station.learned.took(answer.elapsed_s)
        given = replies(answer, [method for method, _ in calls])
        answers = [_read(station, call, reply) for call, reply in zip(calls, given, strict=True)]
        refusals = [one for one in answers if isinstance(one, CryptolakeError)]
        if len(station.odd) < _MOST_WORDS:
            station.odd |= {words for one in refusals if isinstance(one, Doubtful) and (words := odd(one.words))}
        if len(refusals) == len(answers):
            raise refusals[0]
        return answers

    def alone(self, station: Station, method: str) -> Json:
        """One call about the endpoint itself. Raises by reaction."""
        try:
            (answer,) = self.send(station, [(method, [])])
        except Doubtful as error:
            raise error.otherwise from None
        if isinstance(answer, RpcFault | bytes | CryptolakeError):
            raise Elsewhere(f"{station.endpoint.name} does not answer {method}; set another endpoint")
        return answer

    def check_chain(self, station: Station) -> None:
        """Raise Stop when the endpoint is on another chain. One asks for all; when it is not answered, all of them know."""
        unheard, given_up = station.unheard, station.patience.given_up(GREETING)
        with station.lock:
            if station.chain_ok:
                return
            if station.unheard != unheard or (station.patience.given_up(GREETING) and not given_up):
                raise Retry(f"{station.endpoint.name} did not answer; it is asked again later")
            try:
                found = quantity(self.alone(station, "eth_chainId"))
            except TooFast:
                raise
            except Retry:
                station.unheard += 1
                raise
            if found != self._chain_id:
                name = station.endpoint.name
                raise Stop(f"endpoint {name} is on chain id {found}, not {self._chain_id}; correct its URL")
            station.chain_ok = True

    def check_head(self, station: Station, calls: Sequence[Question]) -> None:
        """Raise Behind when the endpoint has not come to what is asked: many would answer with nothing, or with the past."""
        newest = newest_block(calls)
        if newest is None or newest <= station.learned.head or not station.learned.tells_head:
            return
        for _ in range(_OTHER_NODES if station.uneven else 1):
            try:
                self.alone(station, "eth_blockNumber")
            except Elsewhere:
                station.learned.tells_head = False
                return
            if newest <= station.learned.head:
                break
        else:
            raise Behind(f"{station.endpoint.name} has not come to block {newest} yet; it is asked elsewhere or later")


def _briefly(station: Station, calls: Sequence[Question]) -> bool:
    """Whether it has little time to answer: somebody else can, and this is easily answered or it cost much time already."""
    easy = calls[0][0] in _EASY
    return (station.hurried and (station.patience.short or easy)) or (station.patience.gave_up and easy)


def _read(station: Station, call: Question, reply: Reply) -> Json | Reply:
    """A reply's content, well formed, or why it is none; what it says of the endpoint's head is noted."""
    if not isinstance(reply, bytes):
        return reply
    method, params = call
    try:
        found = read(method, params, reply)
    except Behind as error:
        return error
    except Malformed as error:  # some say nothing, or a text, where the logs of so many blocks are too much
        return Doubtful(error, spoken=True) if blocks_of(call) > 1 else error
    told = found.get("number") if isinstance(found, Mapping) else found if method == "eth_blockNumber" else None
    if (block := quantity(told)) is not None:
        station.uneven |= method == "eth_blockNumber" and block < station.learned.head
        station.learned.saw(block)
    return found
