"""What a JSON-RPC error means, told from its body: an answer, too big, elsewhere, later, or never.

The wordings were collected from the providers named in the registry (`chains.yaml`, `providers`) and recorded bodies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptolake.errors import CryptolakeError, Narrow, Retry, Stop


@dataclass(frozen=True, slots=True)
class RpcFault:
    """The node answered this one call with an error object (a revert): an answer, not an outage."""

    code: int | None
    message: str
    data: str | None = None


class Elsewhere(Retry):
    """This endpoint cannot answer (pruned state, method missing); another one may. Waiting does not help."""


class TooFast(Retry):
    """The endpoint's rate limit is reached: ask it more slowly."""


_SUGGESTED = re.compile(r"\[\s*(0x[0-9a-f]+)\s*[,-]\s*(0x[0-9a-f]+)\s*\]")
_LIMIT = tuple(
    re.compile(pattern)
    for pattern in (
        r"limited to (?:a |an )?([\d,]+k?)",
        r"maximum block range: ([\d,]+k?)",
        r"max(?:imum)? range: ([\d,]+k?)",
        r"maximum is set to ([\d,]+k?)",
        r"maximum allowed number of requested blocks is ([\d,]+k?)",
        r"exceeds limit of ([\d,]+k?)",
        r"max block range:? ([\d,]+k?)",
        r"block range (?:greater than|exceeds) ([\d,]+k?)",
        r"max is ([\d,]+k?)",
        r"up to a ([\d,]+k?) block range",
        r"range should be less than ([\d,]+k?)",
    )
)
_TOO_BIG = re.compile(
    r"block range|range (?:is )?too|too (?:wide|large|many)|more than [\d,]+k? results|exceeds? (?:the )?max results"
    r"|query (?:returned|exceeds|must be smaller)|response size|size exceeded|log response|out of gas|gas limit"
    r"|requested too many blocks|limited to|max range|query timeout exceeded|batch .*(?:size|limit|large|many|exceed)"
)
_REVERT = re.compile(r"revert|invalid opcode|invalid jump|stack underflow|bad instruction|vm execution error")
_PRUNED = re.compile(
    r"missing trie node|header not found|state .*(?:not available|is not available|pruned)|historical state"
    r"|archive|pruned|no state available|unknown block|block .*not found|version has been pruned|state at block"
    r"|method .*(?:not (?:found|available|supported|allowed)|does not exist|is disabled)|unsupported method"
)
_RATE = re.compile(r"rate limit|too many requests|capacity|compute units|throughput|request limit|exceeded .*quota")
_PLAN = re.compile(
    r"api key|apikey|unauthor|not authorized|forbidden|invalid key|project id|must be authenticated|upgrade|payment"
    r"|billing|account .*(?:disabled|suspended)|monthly"
)


def classify(code: int | None, message: str, data: str | None = None) -> CryptolakeError | RpcFault:
    """What to do about an error object. `RpcFault` means the contract itself answered so (a revert).

    Narrow carries the largest block span the text names, if it names one. The endpoint's text is not repeated in full:
    it may hold a key.
    """
    text = message.lower()
    if code == 3 or _REVERT.search(text):
        return RpcFault(code, message, data)
    if code == 429 or (code == -32005 and "result" not in text and "range" not in text) or _RATE.search(text):
        return TooFast("the endpoint's rate limit is reached; it will be asked again")
    limit = _limit(text)
    if limit is not None or _TOO_BIG.search(text):
        return Narrow("the endpoint refuses a question of this size; it is asked in smaller pieces", hint=limit)
    if _PLAN.search(text):
        return Stop("the endpoint refuses the key or plan; set another key or endpoint")
    if code in {-32601, -32602} or _PRUNED.search(text):
        return Elsewhere("the endpoint has no archive state or method for this question; set an archive endpoint")
    return Retry(f"the endpoint answered with error {code}; it will be asked again or another endpoint will")


def _limit(text: str) -> int | None:
    if (suggested := _SUGGESTED.search(text)) is not None:
        first, last = (int(bound, 16) for bound in suggested.groups())
        return max(1, last - first + 1)
    for pattern in _LIMIT:
        if (found := pattern.search(text)) is not None and "result" not in text[found.end() : found.end() + 9]:
            digits = found.group(1).replace(",", "")
            return max(1, int(digits[:-1]) * 1000 if digits.endswith("k") else int(digits or 1))
    return None
