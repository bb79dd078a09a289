"""What came over HTTP as JSON-RPC answers: read, matched to the questions by id, refusals told from answers.

What does not belong here: asking (rpc), and what an error's words mean (faults).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import orjson

from cryptolake.errors import CryptolakeError, Narrow, Retry, Stop
from cryptolake.net.faults import RpcFault, TooFast, classify
from cryptolake.net.http import Answer, retry_after

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

_NOTHING, _NULL = msgspec.Raw(), msgspec.Raw(b"null")


class Envelope(msgspec.Struct):
    """One JSON-RPC answer; its content stays undecoded until it is known what it should be."""

    id: int | str | None = None
    result: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING


_ONE, _MANY = msgspec.json.Decoder(Envelope), msgspec.json.Decoder(list[Envelope])


def parse(answer: Answer) -> list[Envelope]:
    """The answers in an HTTP answer. Raises by reaction when it holds none."""
    if answer.status == 429:
        raise TooFast("the endpoint's rate limit is reached", after_s=retry_after(answer.headers.get("retry-after")))
    try:
        found = _MANY.decode(answer.body) if answer.body.lstrip()[:1] == b"[" else [_ONE.decode(answer.body)]
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = []
    if not found or any(one.result == _NOTHING and one.error == _NOTHING for one in found):
        if answer.status in {401, 402, 403}:
            raise Stop(f"the endpoint refuses the key or plan (HTTP {answer.status}); set another key or endpoint")
        if answer.status == 413:
            raise Narrow("the endpoint refuses a request of this size; it is asked in smaller pieces")
        raise Retry(f"the endpoint's answer (HTTP {answer.status}) is no JSON-RPC")
    return found


def match(envelopes: Sequence[Envelope], count: int) -> list[bytes | RpcFault]:
    """Undecoded answers by id, each exactly once; whatever concerns the whole request is raised."""
    found: dict[int, bytes | RpcFault] = {}
    for one in envelopes:
        answer: bytes | RpcFault
        if one.error not in (_NOTHING, _NULL):
            fault = _classified(decoded(bytes(one.error)))
            if isinstance(fault, CryptolakeError):
                raise fault
            answer = fault
        else:
            answer = bytes(one.result)
        if not isinstance(one.id, int) or not 0 <= one.id < count or one.id in found:
            raise Retry("the endpoint's answers do not match the questions")
        found[one.id] = answer
    if len(found) != count:
        raise Retry("the endpoint left questions unanswered")
    return [found[number] for number in range(count)]


def decoded(raw: bytes) -> Json:
    try:
        found: Json = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Retry("the endpoint's answer is no JSON; it is asked again") from None
    return found


def _classified(error: Json) -> CryptolakeError | RpcFault:
    if not isinstance(error, Mapping):
        return classify(None, str(error))
    code, data = error.get("code"), error.get("data")
    message = str(error.get("message", ""))
    if isinstance(data, str) and not data.startswith("0x"):
        message, data = f"{message} {data}", None
    return classify(code if isinstance(code, int) else None, message, data if isinstance(data, str) else None)
