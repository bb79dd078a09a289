"""SQD Portal as an endpoint: an archive of chains that is no node, asked in its own protocol and heard as one that gives logs.

A question for logs becomes streams of finalized blocks, an answer the logs of JSON-RPC; everything else it does not know. So
scans, second opinions, limits and certificates treat it as any other voice. What came is believed only when it covers the
question block by block; a gap is no answer. What does not belong here: which chains it has (registry), reading logs (logs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import orjson

from cryptolake.contracts.counting import counted
from cryptolake.errors import Stop
from cryptolake.net.answers import quantity
from cryptolake.net.envelope import Json
from cryptolake.net.http import Answer, Http

METHODS = frozenset({"eth_getLogs"})
"""What is worth asking it; of itself it tells chain and head besides."""

_HEADERS = {"content-type": "application/json"}
_MOST_PARTS = 4  # streams for one question; where they end early, questions of fewer blocks are asked
_FIELDS: dict[str, Json] = {
    "block": {"number": True, "hash": True, "parentHash": True},
    "log": {"address": True, "topics": True, "data": True, "transactionHash": True, "logIndex": True},
}
_BUSY = {429, 529}


class _NoAnswer(Exception):
    """What is answered instead of a result: an HTTP answer, or an error object of JSON-RPC."""

    def __init__(self, status: int = 200, *, error: Json = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status, self.error, self.headers = status, error, headers or {}


class _Gap(Exception):
    """The stream left out what it should have, or is none."""


def post(http: Http, url: str, chain_id: int, body: bytes) -> Answer:
    """Answer one JSON-RPC question from the data set at `url`, which the registry says is of chain `chain_id`.

    Raises Retry as `Http.post`, and Stop when there is another data set, or none.
    """
    question = orjson.loads(body)
    if isinstance(question, list):
        refusal = {
            "jsonrpc": "2.0",
            "id": None,
            "error": {"code": -32600, "message": "batch requests are not supported"},
        }
        return Answer(200, {}, orjson.dumps(refusal), 0.0)
    asking = _Asking(http, url)
    head = {"jsonrpc": "2.0", "id": question["id"]}
    try:
        result: Json = asking.answer(question["method"], question["params"], chain_id)
    except _Gap:
        result = None  # which is no answer to any question: it is asked elsewhere
    except _NoAnswer as instead:
        content = orjson.dumps(head | {"error": instead.error}) if instead.error else b""
        return Answer(instead.status, instead.headers, content, asking.elapsed_s)
    return Answer(200, {}, orjson.dumps(head | {"result": result}), asking.elapsed_s)


class _Asking:
    """One question and the streams that answer it."""

    def __init__(self, http: Http, url: str) -> None:
        self._http, self._url = http, url.rstrip("/")
        self.elapsed_s = 0.0

    def answer(self, method: str, params: Sequence[Json], chain_id: int) -> Json:
        """The result, or what is answered instead (_NoAnswer)."""
        if method == "eth_chainId":
            self._check_name()
            return hex(chain_id)
        if method == "eth_blockNumber":
            found = _read(self._heard(self._http.get(f"{self._url}/finalized-head")).body)
            number = found.get("number") if isinstance(found, Mapping) else None
            return hex(number) if type(number) is int and number >= 0 else None
        if method != "eth_getLogs":
            raise _NoAnswer(error={"code": -32601, "message": "the method does not exist here"})
        asked = params[0] if params else None
        first, last = (
            quantity(asked.get(name)) if isinstance(asked, Mapping) else None for name in ("fromBlock", "toBlock")
        )
        if not isinstance(asked, Mapping) or first is None or last is None:
            raise _NoAnswer(error={"code": -32602, "message": "only ranges of numbered blocks are streamed"})
        return self._logs(asked, first, last)

    def _check_name(self) -> None:
        """Whether it is the data set that was asked for: a name is all that it tells of itself."""
        wanted = urlsplit(self._url).path.rsplit("/", 1)[-1]
        found = _read(self._heard(self._http.get(f"{self._url}/metadata")).body)
        names = [found.get("dataset"), *_list(found.get("aliases"))] if isinstance(found, Mapping) else []
        if wanted not in names:
            raise Stop(
                f"the SQD Portal has no data set {wanted!r} there; correct the address or the chain's sqd_dataset"
            )

    def _logs(self, asked: Mapping[str, Json], first: int, last: int) -> list[Json]:
        addresses, topics = _list(asked.get("address")) or [asked.get("address")], _list(asked.get("topics"))
        wanted: dict[str, Json] = {"address": [str(one).lower() for one in addresses]}
        if topics:
            wanted["topic0"] = [str(one).lower() for one in _list(topics[0])]
        stream = f"{self._url}/finalized-stream"
        query: dict[str, Json] = {"type": "evm", "toBlock": last, "fields": _FIELDS, "logs": [wanted]}
        found: list[Json] = []
        at = first
        parent: str | None = None
        for _ in range(_MOST_PARTS):
            query["fromBlock"] = at
            if parent is not None:
                query["parentBlockHash"] = parent
            answer = self._heard(self._http.post(stream, orjson.dumps(query), headers=_HEADERS))
            blocks = [_Block(_read(line)) for line in answer.body.splitlines()]
            _check(blocks, at, last, parent)
            found += [log for block in blocks for log in block.logs()]
            at, parent = blocks[-1].number + 1, blocks[-1].hash
            if at > last:
                return found
        covered = at - first
        raise _NoAnswer(error={"code": -32005, "message": f"the block range is limited to {counted(covered, 'block')}"})

    def _heard(self, answer: Answer) -> Answer:
        """The answer when it holds data; what else it says in the words of JSON-RPC, so that it is treated alike."""
        self.elapsed_s += answer.elapsed_s
        match answer.status:
            case 200:
                return answer
            case 204:
                raise _NoAnswer(error={"code": -32000, "message": "the block is not yet available"})
            case 400:
                raise _NoAnswer(error={"code": -32602, "message": "the archive does not take this query"})
            case 404:
                raise Stop("the SQD Portal has no such data set; correct the address or the chain's sqd_dataset")
            case 409:
                raise _Gap  # the chain that it goes on with is not the one it began with
        after = {name: value for name, value in answer.headers.items() if name == "retry-after"}
        raise _NoAnswer(429 if answer.status in _BUSY else answer.status, headers=after)


class _Block:
    """One line of a stream: a block's header and its wanted logs."""

    def __init__(self, line: Json) -> None:
        header = line.get("header") if isinstance(line, Mapping) else None
        if not isinstance(line, Mapping) or not isinstance(header, Mapping):
            raise _Gap
        number, own, before = (header.get(name) for name in ("number", "hash", "parentHash"))
        if type(number) is not int or not isinstance(own, str) or not isinstance(before, str):
            raise _Gap
        self.number, self.hash, self.parent = number, own, before
        self._logs = line.get("logs")

    def logs(self) -> list[Json]:
        """Its logs as JSON-RPC spells them; fields that are not there stay away, which the reader of logs sees."""
        if self._logs is not None and not isinstance(self._logs, list):
            raise _Gap
        found: list[Json] = []
        for log in self._logs or []:
            index = log.get("logIndex") if isinstance(log, Mapping) else None
            if not isinstance(log, Mapping) or type(index) is not int or index < 0:
                raise _Gap
            named = {name: log.get(name) for name in ("address", "topics", "data", "transactionHash")}
            found.append(named | {"blockNumber": hex(self.number), "blockHash": self.hash, "logIndex": hex(index)})
        return found


def _check(blocks: Sequence[_Block], first: int, last: int, parent: str | None) -> None:
    """Raise _Gap unless the blocks cover a beginning of the question: its first block is there, the others follow in order.

    A stream leaves out blocks without wanted logs, but never the first and the last one that it covers.
    """
    numbers = [block.number for block in blocks]
    if not numbers or numbers[0] != first or numbers[-1] > last or numbers != sorted(set(numbers)):
        raise _Gap
    if parent is not None and blocks[0].parent != parent:
        raise _Gap


def _read(raw: bytes) -> Json:
    try:
        found: Json = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise _Gap from None
    return found


def _list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list) else []
