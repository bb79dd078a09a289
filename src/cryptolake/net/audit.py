"""Doubt: log answers are compared with a second endpoint and with the headers' bloom filters, on a sample.

An endpoint can leave out logs without an error. What does not belong here: asking in the first place (logs), and what a
suspect day means for a table.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from cryptolake.errors import CryptolakeError
from cryptolake.net.abi import keccak
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.choice import HELPS, worth_asking
from cryptolake.net.faults import Doubtful, TooBig
from cryptolake.net.logs import METHOD, BlockWindow, Log, LogQuestion
from cryptolake.net.rpc import Pool
from cryptolake.net.windows import ask_window, teach

_BLOOM_BLOCKS = 4  # blocks without logs whose bloom filter is looked at, per period


@dataclass(frozen=True, slots=True)
class Opinion:
    """One comparison. `verdict`: same, different, or unanswered (nobody else could say).

    `missing` and `extra` count logs that the second endpoint had and the first had not, and the reverse; `third` names
    the endpoint asked to decide, `sides_with` the one it agreed with ("" for neither).
    """

    start: int
    end: int
    first: str
    second: str
    verdict: str
    missing: int = 0
    extra: int = 0
    third: str = ""
    sides_with: str = ""


def second_opinions(
    pool: Pool,
    question: LogQuestion,
    windows: Sequence[BlockWindow],
    logs: Sequence[Log],
    within: BlockRange,
    share: float,
) -> tuple[list[Opinion], list[Log]]:
    """Ask a `share` of the period again elsewhere, at least one question; opinions, and logs that two others agree on.

    The choice depends on chain and block only, so that a repeated run doubts the same blocks. Where only endpoints can answer
    that take a tenth of the blocks or fewer, they are asked as often as an equal would be, and compare fewer blocks.
    """
    if not share or len(pool.stations) < 2:
        return [], []
    cut = [pieces for window in windows if (pieces := _pieces(pool, window, within))]
    choice = sorted((piece for pieces in cut for piece in pieces), key=lambda piece: _lot(pool.chain, piece.start))
    opinions: list[Opinion] = []
    found: list[Log] = []
    questions = sum(len(pieces) if HELPS * len(pieces) <= 1 else 1 for pieces in cut)
    for piece in choice[: math.ceil(share * questions)]:
        opinion, agreed = _opinion(pool, question, piece, logs)
        opinions.append(opinion)
        found += agreed
    return opinions, found


def _pieces(pool: Pool, window: BlockWindow, within: BlockRange) -> list[BlockWindow]:
    """The part of a window inside the period, cut to what another endpoint answers in one question."""
    start, end = max(window.start, within.start), min(window.end, within.end)
    others = [one for one in pool.stations if one.endpoint.name != window.endpoint and one.stopped is None]
    if start >= end or not others:
        return []
    step = max(one.learned.span for one in worth_asking(others, start))
    return [BlockWindow(at, min(end, at + step), window.endpoint, 0) for at in range(start, end, step)]


def _elsewhere(
    pool: Pool, question: LogQuestion, piece: BlockWindow, avoid: frozenset[str]
) -> tuple[str, BlockWindow, set[Log]]:
    """Who else answers, for which blocks (fewer where it refused), and with which logs. Raises when nobody does."""
    station = pool.pick(METHOD, piece.start, avoid=avoid)
    name = station.endpoint.name
    while True:
        end = min(piece.end, piece.start + station.learned.span)
        try:
            logs = ask_window(pool, station, question, piece.start, end)
        except (TooBig, Doubtful) as error:
            (_, end), *_ = teach(station.learned, error, piece.start, end)
            piece = BlockWindow(piece.start, end, piece.endpoint, piece.logs)
            continue
        station.learned.answered(end - piece.start, len(logs))
        return name, BlockWindow(piece.start, end, name, 0), set(logs)


def _opinion(pool: Pool, question: LogQuestion, piece: BlockWindow, logs: Sequence[Log]) -> tuple[Opinion, list[Log]]:
    first = piece.endpoint
    try:
        second, asked, theirs = _elsewhere(pool, question, piece, frozenset({first}))
    except CryptolakeError:
        return Opinion(piece.start, piece.end, first, "", "unanswered"), []
    start, end = asked.start, asked.end
    ours = {log for log in logs if start <= log.block < end}
    missing, extra = theirs - ours, ours - theirs
    if not missing and not extra:
        return Opinion(start, end, first, second, "same"), []
    third, sides_with = "", ""
    try:
        third, judged, verdict = _elsewhere(pool, question, _where(missing | extra, asked), frozenset({first, second}))
    except CryptolakeError:
        pass  # nobody to decide: the difference stands, and the period is suspect either way
    else:
        said = [{log for log in one if judged.start <= log.block < judged.end} for one in (ours, theirs)]
        if (missing | extra) <= set().union(*said):
            sides_with = first if verdict == said[0] else second if verdict == said[1] else ""
    opinion = Opinion(start, end, first, second, "different", len(missing), len(extra), third, sides_with)
    return opinion, sorted(missing, key=lambda log: (log.block, log.index)) if sides_with == second else []


def _where(differing: set[Log], asked: BlockWindow) -> BlockWindow:
    """The blocks in which two answers differ: few enough for a third endpoint, however few blocks it answers."""
    numbers = [log.block for log in differing]
    return BlockWindow(min(numbers), max(numbers) + 1, asked.endpoint, 0)


@dataclass(frozen=True, slots=True)
class BloomCheck:
    """What the headers say: blocks looked at, whether this chain's headers have bloom filters, and contradictions."""

    blocks: int
    usable: bool
    contradictions: tuple[str, ...] = ()


def check_blooms(
    pool: Pool, blocks: Blocks, question: LogQuestion, logs: Sequence[Log], within: BlockRange, *, sample: bool
) -> BloomCheck:
    """Compare logs with headers: hash and bloom of every block with logs, and the bloom of a few without any.

    A bloom that promises a wanted event is only a hint (one in some hundred is false): the block is then asked for by
    itself, and only a log found there contradicts.
    """
    with_logs = sorted({log.block for log in logs})
    quiet = _quiet_blocks(pool.chain, within, set(with_logs)) if sample and question.addresses else []
    headers = blocks.headers(looked_at(pool, question, logs, within, sample=sample))
    usable = all(any(headers[number].bloom) for number in with_logs)
    contradictions = []
    for log in logs:
        header = headers[log.block]
        if header.hash != log.block_hash:
            contradictions.append(f"the log {log.index} of block {log.block} names another block hash than its header")
        elif usable and not (_in_bloom(header.bloom, log.address) and _in_bloom(header.bloom, log.topics[0])):
            contradictions.append(f"the log {log.index} of block {log.block} is not in the block's bloom filter")
    for number in quiet if usable else ():
        bloom = headers[number].bloom
        promised = [one for one in question.addresses if _in_bloom(bloom, one)]
        if any(_in_bloom(bloom, topic) for topic in question.topics(promised)) if promised else False:
            station = pool.pick(METHOD, number)
            if ask_window(pool, station, question, number, number + 1, promised):
                contradictions.append(f"block {number} has a wanted log that was left out of the answer")
    return BloomCheck(len(headers), usable, tuple(contradictions))


def looked_at(pool: Pool, question: LogQuestion, logs: Sequence[Log], within: BlockRange, *, sample: bool) -> list[int]:
    """The blocks whose headers `check_blooms` compares, so that those of many periods can be asked together."""
    with_logs = {log.block for log in logs}
    return sorted(
        [*with_logs, *(_quiet_blocks(pool.chain, within, with_logs) if sample and question.addresses else ())]
    )


def _quiet_blocks(chain: str, within: BlockRange, taken: set[int]) -> list[int]:
    width = len(within)
    chosen = (
        {within.start + _lot(chain, within.start + part) % width for part in range(_BLOOM_BLOCKS)} if width else set()
    )
    return sorted(chosen - taken)


def _lot(chain: str, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{chain}:{number}".encode()).digest()[:8], "big")


def _in_bloom(bloom: bytes, text: str) -> bool:
    """Whether a 2048-bit header bloom may hold an address or topic (0x hex); Ethereum yellow paper, section 4.3.1."""
    digest = keccak(bytes.fromhex(text[2:]))
    for place in (0, 2, 4):
        bit = int.from_bytes(digest[place : place + 2], "big") & 2047
        if len(bloom) != 256 or not bloom[255 - bit // 8] >> (bit % 8) & 1:
            return False
    return True
