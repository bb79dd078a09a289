"""Tells CoinGecko's answers from its ways of not answering. What is done about a refusal is the conversation's part."""

from __future__ import annotations

from cryptolake.contracts.reading import read_json
from cryptolake.net.conversation import BLOCKED, Refusal
from cryptolake.net.http import Answer, retry_after
from cryptolake.registry.coingecko import ERROR_CODES


def judge(answer: Answer) -> Refusal | None:
    """Why an answer is none; None for a good one."""
    status = answer.status
    after_s = retry_after(answer.headers.get("retry-after"))
    if status == 429:
        wait = f" for {after_s:.0f} s" if after_s else ""
        return Refusal("rate_limited", f"too many requests (429); wait{wait}, then run again", True, after_s)
    try:
        document = read_json(answer.body)
    except ValueError:
        document = None
        if status == 200:
            return Refusal("unreadable", "the answer is no JSON", again=True)
    code = _error_code(document)
    if code is not None and code in ERROR_CODES:
        reason, words = ERROR_CODES[code]
        return Refusal(reason, f"{words} (error {code})", of_key=True)
    if status == 200 and code is None and not (isinstance(document, dict) and "error" in document):
        return None
    if status == 404:
        return Refusal("unknown_entity", "the vendor does not know this coin (404); check the id")
    if status == 401:
        return Refusal(
            "bad_key", "the key is refused (401); check COINGECKO_DEMO_API_KEY or COINGECKO_PRO_API_KEY", of_key=True
        )
    if status == 403:
        return BLOCKED
    if status >= 500 or status == 408:
        return Refusal("unreachable", f"the vendor is in trouble ({status}); run the same command later", True, after_s)
    return Refusal("refused", f"answered with status {status} and an error; check CRYPTOLAKE_URL_COINGECKO")


def _error_code(document: object) -> int | None:
    """The vendor's error code: `{"status": {"error_code"}}`, the same inside `error`, or a bare `error_code`."""
    for _ in range(3):
        if not isinstance(document, dict):
            return None
        if isinstance(code := document.get("error_code"), int):
            return code
        document = document.get("error") if isinstance(document.get("error"), dict) else document.get("status")
    return None
