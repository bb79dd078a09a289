"""What came over HTTP as JSON-RPC answers: read, matched to the questions by id, refusals told from answers.

What does not belong here: asking (rpc), what an error's words mean (faults), whether a result is well formed (answers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from cryptolake.errors import CryptolakeError, Retry
from cryptolake.net import wordings
from cryptolake.net.faults import (
    Behind,
    Denied,
    Doubtful,
    Elsewhere,
    Malformed,
    Overdue,
    RpcFault,
    Spent,
    TooBig,
    TooFast,
    classify,
    told,
)
from cryptolake.net.http import Answer, retry_after

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
Reply = bytes | RpcFault | CryptolakeError
"""Of one question: its undecoded result, the contract's own refusal, or what the endpoint's error means."""

_NOTHING, _NULL = msgspec.Raw(), msgspec.Raw(b"null")
_BOM = b"\xef\xbb\xbf"


class Envelope(msgspec.Struct):
    """One JSON-RPC answer; its content stays undecoded until it is known what it should be."""

    id: Any = None
    result: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING

    @property
    def failed(self) -> bool:
        """Whether it holds an error; some nodes send `null` for one beside every result."""
        return self.error not in (_NOTHING, _NULL)


_ONE, _MANY = msgspec.json.Decoder(Envelope), msgspec.json.Decoder(list[Envelope])


def replies(answer: Answer, methods: Sequence[str]) -> list[Reply]:
    """The replies to questions of these methods with the ids 0, 1, ..., in that order, from an HTTP answer.

    Of a batch every answer with an id of its own counts, whatever is missing or given in two ways beside it: that is
    Malformed. An error whose id is no question's (null, missing, another) refuses whatever nobody answered; a result with
    such an id is never believed. Raises by reaction when the answer concerns the whole request: none of it is JSON-RPC, one
    error for all, ids that are not the questions'.
    """
    count = len(methods)
    envelopes = _read(answer.body)
    if not envelopes:
        raise _refusal(answer)
    after_s = retry_after(answer.headers.get("retry-after"))
    found: dict[int, Reply] = {}
    contents: dict[int, bytes] = {}
    refusal: CryptolakeError | None = None
    for one in envelopes:
        number = _number(one.id)
        ours = number is not None and 0 <= number < count
        if one.failed and (not ours or len(envelopes) == 1 < count):  # one error for all of them
            refusal = refusal or _whole(_meaning(one.error, answer.status, after_s, methods[0]))
            continue
        if number is None or not ours:
            raise _mixed_up(count)
        content = bytes(one.error if one.failed else one.result)
        if contents.setdefault(number, content) != content:
            found[number] = Malformed("the endpoint gave two answers to one question")
        elif number not in found:
            found[number] = _meaning(one.error, answer.status, after_s, methods[number]) if one.failed else content
    if all(isinstance(one, Malformed) for one in found.values()):
        raise refusal or _mixed_up(count)
    unanswered = refusal or Malformed("the endpoint left questions unanswered")
    return [found.get(number, unanswered) for number in range(count)]


def _mixed_up(count: int) -> CryptolakeError:
    """Answers that cannot be told apart: of fewer questions at once they may be, and one alone has only one."""
    error = Malformed("the endpoint's answers do not match the questions")
    return error if count == 1 else Doubtful(error, spoken=True)


def decoded(raw: bytes) -> Json:
    """The JSON of a result. Raises Malformed when it is none."""
    try:
        found: Json = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Malformed("the endpoint's answer is no JSON; it is asked again") from None
    return found


def by_place(numbers: Sequence[int], answers: Sequence[Json | Reply]) -> dict[int, Json | RpcFault]:
    """What was answered of the questions with these numbers, decoded; what was refused is left out."""
    return {
        number: decoded(answer) if isinstance(answer, bytes) else answer
        for number, answer in zip(numbers, answers, strict=True)
        if not isinstance(answer, CryptolakeError)
    }


def _read(body: bytes) -> list[Envelope]:
    """The envelopes in a body; none when it holds anything else beside them."""
    body = body.removeprefix(_BOM).strip()
    try:
        found = _MANY.decode(body) if body[:1] == b"[" else [_ONE.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [] if any(one.result == _NOTHING and not one.failed for one in found) else found


def _number(given: object) -> int | None:
    """The id as the number we gave; some endpoints send it back as text or with a decimal point."""
    if isinstance(given, str):
        return int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else None
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    return int(given) if given == given // 1 else None


def _whole(reply: RpcFault | CryptolakeError) -> CryptolakeError:
    """An error for a whole request: what a contract says is the answer to one question only."""
    if isinstance(reply, CryptolakeError):
        return reply
    return Doubtful(Retry(f"the endpoint answered with error {reply.code}; it is asked again"), spoken=True)


def _meaning(raw: msgspec.Raw, status: int, after_s: float | None, method: str) -> RpcFault | CryptolakeError:
    """What an error object means; what its words leave open, the HTTP status may tell."""
    try:
        error = decoded(bytes(raw))
    except Malformed as unreadable:
        return unreadable
    code, message, data = None, _words(error), None
    if isinstance(error, Mapping):
        given, data = error.get("code"), error.get("data")
        code = given if isinstance(given, int) else _number(given) if isinstance(given, float | str) else None
        message = _words(error.get("message"))
        if not (isinstance(data, str) and data.startswith("0x")):
            message = f"{message}. {_words(data)}"
    fault = classify(code, message, data if isinstance(data, str) else None, method=method, status=status)
    if isinstance(fault, Doubtful) and not isinstance(fault.otherwise, TooFast | Overdue):
        fault.words = message
    if isinstance(fault, Doubtful) and status in {401, 402, 429}:
        fault = _by_status(status, after_s)
    elif status == 429 and isinstance(fault, CryptolakeError):
        fault = _of_rate(fault, after_s)
    if isinstance(fault, TooFast):
        fault.after_s = after_s
    return fault


def _words(value: Json, depth: int = 4) -> str:
    """What a document says, without the names of its fields."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return " ".join(_words(one, depth - 1) for one in value[:20]) if depth else ""
    return "" if value is None or isinstance(value, bool) else str(value)[:8000]


def _refusal(answer: Answer) -> CryptolakeError:
    """What an answer means that is no JSON-RPC, by its words where a program wrote them, else by its status."""
    after_s = retry_after(answer.headers.get("retry-after"))
    text = answer.body.removeprefix(_BOM).strip()[:8000].decode("utf-8", "replace")
    page = text[:1] == "<" or "html" in answer.headers.get("content-type", "")
    if text[:1] in {"{", "["}:
        try:
            text = _words(decoded(answer.body.removeprefix(_BOM)))
        except Malformed:
            text = ""
    if not page and (said := told(wordings.plain(text))) is not None:
        if isinstance(said, TooFast):
            said.after_s = after_s
        return said if answer.status != 429 else _of_rate(said, after_s)
    return _by_status(answer.status, after_s)


def _of_rate(said: CryptolakeError, after_s: float | None) -> CryptolakeError:
    """What words mean beside HTTP 429: that it is the rate, unless they speak of a size or a period."""
    of_rate = isinstance(said, Elsewhere | Behind | Denied) and not isinstance(said, Spent)
    return _by_status(429, after_s) if of_rate else said


def _by_status(status: int, after_s: float | None) -> CryptolakeError:
    match status:
        case 429:
            return TooFast("the endpoint's rate limit is reached", after_s=after_s)
        case 401 | 402:
            return Denied(f"the endpoint refuses the key or plan (HTTP {status}); set another key or endpoint")
        case 413:
            return TooBig(of="bytes")
        case 408 | 504 | 522 | 524:
            return Doubtful(
                Overdue(f"the endpoint did not finish in time (HTTP {status})", after_s=after_s), spoken=False
            )
        case 200:
            return Doubtful(Malformed("the endpoint's answer (HTTP 200) is no JSON-RPC"), spoken=False)
    # A page with 403 is a guard before the endpoint, which lets through again what it turned away.
    return Doubtful(Retry(f"the endpoint's answer (HTTP {status}) is no JSON-RPC", after_s=after_s), spoken=False)
