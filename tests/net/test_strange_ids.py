"""Errors under an id that is no question's are the provider's refusal, of whatever kind; results under one are nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from cryptolake.errors import CryptolakeError, Retry
from cryptolake.net.envelope import replies
from cryptolake.net.faults import Doubtful, Elsewhere, Malformed, RpcFault, Spent, TooBig, TooFast
from cryptolake.net.http import Answer

MISSING = "no id at all"
IDS = (None, MISSING, -1, 7, 0.5, 1e300, "", "abc", "7", True, {}, [], {"id": 0})
ERRORS: Mapping[str, tuple[Any, type[CryptolakeError]]] = {
    "rate": ({"code": -32005, "message": "Too many requests, slow down"}, TooFast),
    "span": ({"code": -32602, "message": "eth_getLogs is limited to a 1000 block range"}, TooBig),
    "archive": ({"code": -32000, "message": "missing trie node"}, Elsewhere),
    "month": ({"code": -32001, "message": "monthly quota exceeded"}, Spent),
    "unknown": ({"code": -32603, "message": "something is odd"}, Doubtful),
    "words": ("rate limit exceeded", TooFast),
    "contract": ({"code": 3, "message": "execution reverted", "data": "0x08c379a0"}, Doubtful),
}
STATUSES = (200, 400, 403, 429, 500, 503)


def answer(body: object, status: int = 200) -> Answer:
    return Answer(status, {"content-type": "application/json"}, orjson.dumps(body), 0.0)


def member(number: object, **content: object) -> dict[str, object]:
    return {"jsonrpc": "2.0"} | ({} if number == MISSING else {"id": number}) | content


def understood(given: Answer, methods: list[str]) -> list[object]:
    """The replies, or what the whole request met, as kinds."""
    try:
        found = replies(given, methods)
    except CryptolakeError as error:
        return [type(error)] * len(methods)
    return [type(one) for one in found]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("number", IDS, ids=repr)
@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_under_a_strange_id_refuses_all_that_was_asked(kind: str, number: object, status: int) -> None:
    error, meant = ERRORS[kind]
    under = member(number, error=error)
    for asked in (1, 3):
        for body in (under, [under], [under, under], member(number, error=error, result=None)):
            found = understood(answer(body, status), ["eth_call"] * asked)
            if status == 200:
                assert found == [meant] * asked
            else:
                # A status may add to what the words leave open, and nothing makes a refusal an answer.
                assert all(issubclass(one, Retry | TooBig | Spent) and one is not Malformed for one in found)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", IDS, ids=repr)
def test_what_a_single_call_is_refused_means_the_same_under_any_id(number: object) -> None:
    for status in STATUSES:
        for kind, (error, _) in ERRORS.items():
            if kind != "contract":  # that the contract said so is believed of the question's own id only
                own = understood(answer(member(0, error=error), status), ["eth_getLogs"])
                assert understood(answer(member(number, error=error), status), ["eth_getLogs"]) == own


@pytest.mark.parametrize("number", IDS, ids=repr)
@pytest.mark.parametrize("result", ["0x", "0x01", None, [], False])
def test_a_result_under_a_strange_id_is_never_believed(number: object, result: object) -> None:
    under = member(number, result=result)
    own = member(0, result="0x2a")
    for body, asked in ((under, 1), ([under], 1), ([under], 2), ([own, under], 2), ([under, own], 2)):
        with pytest.raises((Malformed, Doubtful)):
            replies(answer(body), ["eth_call"] * asked)


def test_a_contract_that_reverts_is_believed_under_the_own_id_only() -> None:
    error, _ = ERRORS["contract"]
    assert understood(answer(member(0, error=error)), ["eth_call"]) == [RpcFault]
    assert understood(answer(member(None, error=error)), ["eth_call"]) == [Doubtful]


def test_an_error_beside_answers_refuses_what_was_not_answered() -> None:
    error, meant = ERRORS["rate"]
    body = [member(0, result="0x1"), member(None, error=error), member(2, result="0x3")]
    found = replies(answer(body), ["eth_call"] * 4)
    assert (found[0], found[2]) == (b'"0x1"', b'"0x3"')
    assert all(isinstance(found[place], meant) for place in (1, 3))


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        ({"message": "Too many requests"}, TooFast),
        ({"code": 429, "msg": "rate limit exceeded"}, TooFast),
        ({"status": "error", "error": None, "detail": "monthly quota exceeded"}, Spent),
        ({"success": False, "error": None}, Doubtful),
        ({}, Doubtful),
        ([], Doubtful),
    ],
)
def test_a_document_that_is_no_json_rpc_is_read_by_its_words(body: object, meant: type[CryptolakeError]) -> None:
    assert understood(answer(body), ["eth_call"]) == [meant]
    page = Answer(200, {"content-type": "text/html"}, b"<html>Too many requests</html>", 0.0)
    assert understood(page, ["eth_call"]) == [Doubtful]
