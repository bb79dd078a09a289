"""What an error from an endpoint means: an answer, too big, later, elsewhere, or never. Told from its words and code.

The words are in `wordings`; they are a shortcut only. Who does not know an error and has a question that can be made smaller
makes it smaller (`Doubtful`). What does not belong here: reading the answer (envelope), and reacting (rpc, scan).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptolake.errors import CryptolakeError, Narrow, Retry, Stop
from cryptolake.net import wordings
from cryptolake.net.wordings import Dimension

# What a contract reverts with: nothing, or an error's selector and whole words.
_ENCODED = re.compile(r"0x(?:[0-9a-f]{8}(?:[0-9a-f]{64})*)?", re.IGNORECASE)
_SMALLER = "the endpoint refuses a question of this size; it is asked in smaller pieces"


@dataclass(frozen=True, slots=True)
class RpcFault:
    """The node answered this one call with an error object (a revert): an answer, not an outage."""

    code: int | None
    message: str
    data: str | None = None


class TooBig(Narrow):
    """The question is too big in one dimension (`of`): each is learned by itself, none stands for another.

    `hint` counts what `of` names; where that is results or bytes, of which nobody can ask for fewer, it counts blocks, and
    `results` is how many logs an answer may hold.
    """

    def __init__(
        self, message: str = _SMALLER, *, of: Dimension, hint: int | None = None, results: int | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.of, self.results = of, results


class Elsewhere(Retry):
    """This endpoint cannot answer (pruned state, method missing); another one may. Waiting does not help."""


class Behind(Retry):
    """This endpoint has not come to that block yet: another one may have it, or this one later. Never a matter of size."""


class TooFast(Retry):
    """The endpoint's rate limit is reached: ask it more slowly."""


class Unsaid(TooFast):
    """A failure without a reason of what was taken before: the rate (`of_rate`), as was found out, or trouble that passes."""

    def __init__(self, error: Retry, *, of_rate: bool) -> None:
        super().__init__(str(error), after_s=error.after_s)
        self.of_rate = of_rate


class Malformed(Retry):
    """An answer came that is none: no JSON, another question's, a field missing or misspelt."""


class Disputed(Malformed):
    """Operators say different things of the same fact, and nobody is left who could decide: no fact rests on it."""


class Overdue(Retry):
    """The endpoint did not finish in time: too much at once, or a bad moment."""


class NotAwaited(Retry):
    """The endpoint was found not to answer and somebody else can: it was not asked now, and is tried again later."""


class Denied(Stop):
    """The endpoint refuses the key, plan or account, as its words say: believed once a simple question is refused so too."""


class Spent(Denied):
    """What the account may use in a month or day is used up: nothing passes until the next one begins."""


class Doubtful(Retry):
    """An error that does not say enough: a question of several parts is asked in smaller ones.

    `otherwise` is what it means for a question that cannot be made smaller. `spoken` when the endpoint itself answered (it
    is alive), not only a proxy, a time-out or a broken line.
    """

    words = ""  # the endpoint's own, where nobody knows them

    def __init__(self, otherwise: CryptolakeError, *, spoken: bool) -> None:
        super().__init__(str(otherwise), after_s=otherwise.after_s if isinstance(otherwise, Retry) else None)
        self.otherwise, self.spoken = otherwise, spoken


def classify(
    code: int | None, message: str, data: str | None = None, *, method: str = "eth_call", status: int = 200
) -> CryptolakeError | RpcFault:
    """What to do about an error object given to a question of `method` with this HTTP status.

    `RpcFault` means the contract itself answered so (a revert): only a call of one can be, and only where the request as a
    whole went well, or code, words and data all say so, as where a gateway sends what its node said with a status of its own.
    TooBig carries the largest size the text names, if it names one. The endpoint's text is not repeated: it
    may hold a key.
    """
    text = wordings.plain(message)
    if method == "eth_call" and (status == 200 or _reverted(code, text, data)):
        of = None if (data or "").removeprefix("0x") else wordings.dimension(text)
        if code == 3 and (of == "gas" or (of is not None and "revert" not in text)):
            return TooBig(of=of)  # the node gave up, not the contract: no revert, whatever code it wears
        encoded = code == 3 and data is not None and data.startswith("0x")
        if encoded or wordings.REVERTED.search(text):
            return TooBig(of=of) if of == "gas" else RpcFault(code, message, data)
    return told(text) or _by_code(code)


def _reverted(code: int | None, text: str, data: str | None) -> bool:
    """Whether all that an error says is that a contract reverted: its code, words, and data as of contracts."""
    encoded = data is not None and _ENCODED.fullmatch(data) is not None
    return code == 3 and encoded and wordings.REVERTED.search(text) is not None


def told(text: str) -> CryptolakeError | None:
    """What the words alone say (`text` as `wordings.plain` gives it); None when they say nothing known."""
    if wordings.BEHIND.search(text):
        return Behind("the endpoint has not come to this block yet; it is asked elsewhere or later")
    if (of := wordings.dimension(text)) is not None:
        if of in {"results", "bytes"}:
            results = wordings.most_results(text) if of == "results" else None
            return TooBig(of=of, hint=wordings.suggested(text), results=results)
        return TooBig(of=of, hint=wordings.limit(text))
    if wordings.TIMED_OUT.search(text):
        return Doubtful(Overdue("the endpoint did not finish in time; it will be asked again"), spoken=True)
    if wordings.AT_ONCE.search(text) and not wordings.PERIOD.search(text):
        return TooFast("the endpoint's rate limit is reached; it will be asked again")
    if wordings.SPENT.search(text):
        return Spent(
            "what the endpoint's account may use is used up; set another key or endpoint, or wait for its next period"
        )
    if wordings.TOO_FAST.search(text):
        return TooFast("the endpoint's rate limit is reached; it will be asked again")
    if wordings.MISSING.search(text):
        return Elsewhere("the endpoint has no archive state or method for this question; set an archive endpoint")
    if wordings.KEY.search(text):
        return Denied("the endpoint refuses the key or plan; set another key or endpoint")
    return None


def error_of(error: CryptolakeError, kind: type[CryptolakeError]) -> bool:
    """Whether an error is of this kind, or is a doubt about one that is."""
    return isinstance(error, kind) or (isinstance(error, Doubtful) and isinstance(error.otherwise, kind))


def passing(error: CryptolakeError) -> bool:
    """Whether the same endpoint may answer later what it did not answer now."""
    return isinstance(error, Retry) and not isinstance(error, Elsewhere)


def _by_code(code: int | None) -> CryptolakeError:
    if code == 429:
        return TooFast("the endpoint's rate limit is reached; it will be asked again")
    if code == -32005:  # "limit exceeded": of what, only the words could tell
        return Doubtful(TooFast("the endpoint's rate limit is reached; it will be asked again"), spoken=True)
    if code == -32601:
        return Elsewhere("the endpoint does not have this method; set another endpoint")
    if code == -32602:
        return Doubtful(Elsewhere("the endpoint does not take this question; set another endpoint"), spoken=True)
    again = Retry(f"the endpoint answered with error {code}; it will be asked again or another endpoint will")
    return Doubtful(again, spoken=True)
