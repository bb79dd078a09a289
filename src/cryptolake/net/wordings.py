"""The words in which endpoints refuse: what of, how much they take, and what passes. Collected from the public field.

Sources: the documents and code of nodes (go-ethereum, Erigon, reth, Besu, Nethermind, Frontier, jsonrpsee), the documents of
providers, and public issues that quote their answers. A wording missing here costs a few questions more, never a day:
what to do about an unknown one is decided elsewhere (faults). All patterns match lower-case text.
"""

from __future__ import annotations

import re
from typing import Literal

Dimension = Literal["blocks", "addresses", "topics", "results", "bytes", "batch", "gas"]

_LONGEST = 2000  # characters of an error's text that are looked at
_TAGS = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.DOTALL)


def plain(text: str) -> str:
    """The text as the patterns want it: lower case, no mark-up, single blanks, of bounded length."""
    return " ".join(_TAGS.sub(" ", text[: 4 * _LONGEST]).lower().split())[:_LONGEST]


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{one})" for one in patterns))


REVERTED = _any(
    r"execution reverted|transaction (?:has been |was )?reverted|\breverted\b(?! to\b)|^(?:vm )?(?:error: )?revert\b(?:$|[:.])",
    r"invalid opcode|invalid jump|stack underflow|bad instruction|vm execution error|vm exception",
)
BEHIND = _any(
    r"invalid block range params",  # of a range that is not reversed: its end is not there yet
    r"beyond (?:the )?(?:current |latest |chain )?(?:head|block|tip)",
    r"(?:exceeds?|past|above|ahead of|higher than|greater than|after) (?:the )?(?:node'?s? )?(?:current |latest |highest )*"
    r"(?:chain )?(?:head|tip|latest|highest|best block|block height|current block|block number)",
    r"future block|block .{0,40}in the future",
    r"block .{0,60}not (?:yet )?(?:produced|mined|synced|imported|processed|reached)|not yet available",
    r"(?:node|upstream|backend) is (?:behind|syncing|still syncing)|still syncing|not synced",
)
TIMED_OUT = _any(
    r"time[d]?[ -]?out", r"deadline exceeded", r"took too long", r"query duration", r"execution aborted", r"too slow"
)
AT_ONCE = _any(  # of a rate, whatever plans are praised beside it
    r"per (?:second|minute)|[\d.]+ ?/ ?s(?:ec(?:ond)?)?\b|\brps\b|too many (?:requests|calls)"
)
PERIOD = _any(  # of what a period holds, whatever rate is told beside it
    r"(?:month|da[iy]|week)\w* (?:\w+ ){0,3}(?:limit|quota|count|cap\w*|allowance) (?:\w+ ){0,2}(?:exceeded|reached|used)"
)
SPENT = _any(
    r"month",
    r"billing (?:period|cycle)",
    r"\bdaily\b|per day\b|/ ?day\b|24[ -]?h(?:ours?)?\b",
    r"(?:out of|insufficient|not enough|no (?:more|remaining)|exhausted (?:the|your|its)?) ?(?:\w+ )?credits?",
    r"credits? (?:\w+ ){0,3}(?:exhausted|used up|depleted|exceeded|run out)",
    r"(?:quota|allowance) (?:\w+ ){0,3}(?:exhausted|used up|depleted)",
    r"reached the free tier|limit for your current plan|plan limit|usage limit|usage cap|upgrade your scaling policy",
    r"(?:subscription|trial|plan) (?:has |is )?(?:ended|expired|over)",
)
TOO_FAST = _any(
    r"rate.?limit|rate (?:is )?exceeded|limit .{0,20}per (?:second|minute)|requests? per (?:second|minute)|per second",
    r"[\d.]+ ?/ ?s(?:ec(?:ond)?)?\b|\brps\b",
    r"too many (?:requests|calls|connections|concurrent)|concurren\w+ (?:\w+ )?limit",
    r"throughput|throttl|compute units|capacity|slow down|too much load|overload",
    r"request limit|requests? (?:\w+ )?limited|quota",
)
MISSING = _any(
    r"missing trie node|header not found|unknown block|no such block|block .{0,80}not (?:be )?found|cannot be found",
    r"state .{0,60}(?:not available|unavailable|pruned|missing)|no state available|state at block",
    r"historical (?:state|data|quer)",
    r"archiv|pruned|history (?:is |has )?(?:not|been|unavailable)|no history|too old",
    r"method .{0,80}(?:not (?:found|available|supported|allowed|whitelisted|enabled)|does not exist|is disabled|unavailable)",
    r"unsupported method|not (?:supported|included in your (?:current )?plan|available on)",
    r"(?:eth_\w+|module|namespace|api) .{0,30}(?:disabled|not available|not enabled)",
)
KEY = _any(
    r"api[ _-]?key|apikey|invalid (?:access )?(?:key|token|project)|project[ _]id|access token",
    r"unauthori[sz]ed|not authori[sz]ed|must be authenticated|authentication|credential|access denied|permission denied",
    r"payment required|billing|account .{0,40}(?:disabled|suspended|blocked)|not enabled for this app|blacklist",
)

_MUCH = re.compile(
    r"(?:too many|too large|too big|too long|max|exceed|limit|less|fewer|more than|allowed|at most|up to|only)"
)
_BATCH = re.compile(r"\bbatch|\barray of requests|requests in (?:a|one) (?:single )?(?:request|array)")
_NO_BATCH = re.compile(r"batch\w* .{0,30}(?:disabled|not (?:supported|allowed|accepted|enabled|available)|paid)")
_FILTERS = re.compile(r"\baddress(?:es)?\b|\bfilters\b|\bselectors?\b|array is too large")
_TOPICS = re.compile(r"\b(?:sub)?topics?\b")
_RESULTS = _any(
    r"(?:more than|max\w*|exceed\w*|limit\w*|up to|cap of) (?:\w+ ){0,3}[\d,_]+k? (?:results?|logs?|events?|entries|records)\b",
    r"max results|too many (?:results|logs|events|entries|records|matches)|logs matched|returned more than|result set",
    r"(?:number|count) of (?:results|logs|events)|log (?:count|limit)|logs? (?:limit|count) exceeded",
)
_BYTES = _any(
    r"(?:response|result|payload|body|entity|message|content|answer)\b.{0,30}(?:too (?:big|large|long)|exceed|size should)",
    r"response size|size exceeded|size (?:limit|exceeds)|(?:must be )?smaller than size|content.?length|max\w* (?:\w+ )?size",
    r"too (?:big|large).{0,30}(?:\d ?[km]i?b\b|bytes)",
)
_GAS = re.compile(r"out of gas|\bgas (?:limit|cap|required|uint64|allowance)|exceeds? (?:the )?(?:block )?gas")
_BLOCKS = _any(
    r"blocks? (?:height )?range|range of blocks|blocks? (?:distance|difference|count|span)|too many blocks",
    r"\branges?\b.{0,60}(?:too|over|exceed|limit|allowed|wide|large|big|great|support|should|max|less|more|within)",
    r"(?:exceed|max|limit|large|narrow|reduce|small|shorten|wide)\w*.{0,40}\b(?:range|blocks)\b",
    r"limit the query|[\d,_]+k? blocks\b|blocks? (?:at a time|per (?:request|query|call))|fewer blocks",
    r"getlogs.{0,30}limited to|query (?:is )?too (?:large|wide|broad|complex|expensive|heavy)|query exceeds limit",
)


_RANGE_FIRST = re.compile(r"^(?:(?!address|topic|filters|selector).)*\b(?:blocks? (?:height )?range|range|blocks)\b")


def dimension(text: str) -> Dimension | None:
    """What of the question is too much, None when the text does not speak of a size."""
    if _GAS.search(text):
        return "gas"
    if _BATCH.search(text) and "batch response" not in text:
        return "batch"
    # Who speaks of a range first and then of filters advises to set some; their number is not the matter.
    of_filters = _MUCH.search(text) and not _RESULTS.search(text) and not _RANGE_FIRST.match(text)
    if of_filters and _FILTERS.search(text):
        return "addresses"
    if of_filters and _TOPICS.search(text):
        return "topics"
    if _RESULTS.search(text):
        return "results"
    if _BYTES.search(text):
        return "bytes"
    return "blocks" if _BLOCKS.search(text) else None


_NUMBER = r"(0x[0-9a-f]+|\d{1,3}(?:[ .',_]\d{3})+(?![\d.])|\d[\d,_]*)\s?(k\b|m\b)?"
_TO = r"[\"']?\s*(?:,|-|\.{2,3}|\bto\b|\band\b|\buntil\b|\bthrough\b|=>|->)?\s*[\"']?(?:to_?\s?block[\"']?\s*[:=]?\s*[\"']?)?"
_HEX_RANGE = re.compile(rf"(0x[0-9a-f]{{1,16}}\b){_TO}(0x[0-9a-f]{{1,16}}\b)")
_DECIMAL_RANGE = re.compile(
    rf"(?:\branges?:? |\bblocks |\bbetween |\bfrom_?\s?block[\"']?\s*[:=]?\s*[\"']?|[\[(])[\[(]?(\d+){_TO}(?<!\d)(\d+)"
)
_LIMITS = tuple(
    re.compile(pattern + _NUMBER)
    for pattern in (
        r"limited to (?:a |an |the )?(?:0 ?- ?)?",
        r"\(\d+ ?> ?",
        r"max(?:imum)?(?: \w+){0,6}?(?: is set to| is| of| to| at)? ?[:=]? ?",
        r"limit(?: is| of| to)? ?[:=]? ?",
        r"(?:at most|more than|larger than|greater than|bigger than|less than|fewer than|up to|over|only|within|exceeds?)"
        r" (?:a |an |the )?",
        r"narrow your filter: ",
    )
)
_OTHER_UNIT = re.compile(
    r"[\s-]*(?:results?|logs?|events?|m?s\b|sec(?:ond)?s?\b|min(?:ute)?s?\b|h(?:ours?)?\b|d(?:ays?)?\b|weeks?|months?|[km]i?b\b|bytes|/|%|x\b)"
)


def limit(text: str) -> int | None:
    """The largest size the text says is taken: of the suggested block range, else the number it names as a limit."""
    if (span := suggested(text)) is not None:
        return span
    if _NO_BATCH.search(text) and not re.search(r"\d", text):
        return 1
    for pattern in _LIMITS:
        for found in pattern.finditer(text):
            if not _OTHER_UNIT.match(text[found.end() :]):
                return number(found.group(1), found.group(2))
    return None


_MOST_RESULTS = re.compile(r"(?:more than|max(?:imum)? \w+|limit of|cap of|limited to|exceeds?) " + _NUMBER)


def most_results(text: str) -> int | None:
    """How many results the text says are given at most, None when it does not."""
    found = _MOST_RESULTS.search(text)
    return None if found is None else number(found.group(1), found.group(2))


def suggested(text: str) -> int | None:
    """How many blocks the range holds that the text suggests to ask for, None when it suggests none."""
    for pattern, base in ((_HEX_RANGE, 16), (_DECIMAL_RANGE, 10)):
        if (found := pattern.search(text)) is not None:
            first, last = (int(bound, base) for bound in found.groups())
            return last - first + 1 if last >= first else None
    return None


def number(digits: str, unit: str | None) -> int:
    """`10,000`, `10k` and `0x2710` as a number, at least 1."""
    if digits.startswith("0x"):
        return max(1, int(digits[:18], 16))
    return max(1, int(re.sub(r"[ .',_]", "", digits)) * {"k": 1000, "m": 1_000_000}.get(unit or "", 1))
