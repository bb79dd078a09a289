"""Doubt by headers: log answers are compared with the hashes and bloom filters of headers, on a sample of quiet blocks.

What does not belong here: asking a second voice for windows (witness), settling what is doubted (settlement), and what a
suspect day means for a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptolake.errors import CryptolakeError
from cryptolake.net.blocks import BlockRange, Blocks, Header
from cryptolake.net.bloom import may_hold
from cryptolake.net.endpoint import Station
from cryptolake.net.logs import METHOD, BlockWindow, Log, LogQuestion
from cryptolake.net.lots import lot
from cryptolake.net.rpc import Pool
from cryptolake.net.settlement import AtBlock, Said, answered_by
from cryptolake.net.voices import others
from cryptolake.net.windows import ask_window

_BLOOM_BLOCKS = 4  # blocks without logs whose bloom filter is looked at, per period


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a block's logs are contradicted, in words, and what each endpoint says of the block."""

    words: str
    said: Mapping[str, Said]


@dataclass(frozen=True, slots=True)
class BloomCheck:
    """What the headers say: blocks looked at, whether this chain's headers have bloom filters, and the blocks contradicted."""

    blocks: int
    usable: bool
    doubts: Mapping[int, Doubt] = field(default_factory=dict)

    @property
    def contradictions(self) -> tuple[str, ...]:
        """What is contradicted, in words."""
        return tuple(one.words for one in self.doubts.values())


def check_blooms(
    pool: Pool,
    blocks: Blocks,
    question: LogQuestion,
    windows: Sequence[BlockWindow],
    logs: Sequence[Log],
    within: BlockRange,
    *,
    sample: bool,
) -> BloomCheck:
    """Compare logs with headers: hash and bloom of every block with logs, and the bloom of a few without any.

    A bloom that promises a wanted event is only a hint (one in some hundred is false): the block is then asked for by its
    hash, at another voice than the one that answered it where there is one, and only a log found there contradicts.
    """
    with_logs = sorted({log.block for log in logs})
    quiet = _quiet_blocks(pool.chain, within, set(with_logs)) if sample and question.addresses else []
    headers = blocks.headers(looked_at(pool, question, logs, within, sample=sample))
    usable = all(any(headers[number].bloom) for number in with_logs)
    doubts: dict[int, Doubt] = {}
    for log in logs:
        header = headers[log.block]
        if header.hash != log.block_hash:
            words = "names another block hash than its header"
        elif usable and not (may_hold(header.bloom, log.address) and may_hold(header.bloom, log.topics[0])):
            words = "is not in the block's bloom filter"
        else:
            continue
        said = {answered_by(windows, log.block) or "": frozenset(one for one in logs if one.block == log.block)}
        doubts.setdefault(log.block, Doubt(f"the log {log.index} of block {log.block} {words}", said))
    for number in quiet if usable else ():
        promised = [one for one in question.addresses if may_hold(headers[number].bloom, one)]
        if any(may_hold(headers[number].bloom, topic) for topic in question.topics(promised)) if promised else False:
            name = answered_by(windows, number) or ""
            left_out = _asked(pool, question, headers[number], promised, name)
            if any(left_out.values()):
                words = f"block {number} has a wanted log that was left out of the answer"
                doubts[number] = Doubt(words, {name: frozenset(), **left_out})
    return BloomCheck(len(headers), usable, doubts)


def _asked(pool: Pool, question: LogQuestion, header: Header, addresses: Sequence[str], name: str) -> dict[str, Said]:
    """What another voice says of a block by its hash; the same endpoint, where there is nobody else. Empty: nobody answers."""
    at_block = AtBlock(question, header.hash)
    for station in _to_ask(pool, name, header.number):
        try:
            logs = ask_window(pool, station, at_block, header.number, header.number + 1, addresses)
        except CryptolakeError:
            continue
        return {station.endpoint.name: frozenset(logs)}
    return {}


def _to_ask(pool: Pool, name: str, number: int) -> list[Station]:
    elsewhere = others(pool, {name})
    return elsewhere or [pool.pick(METHOD, number)]


def looked_at(pool: Pool, question: LogQuestion, logs: Sequence[Log], within: BlockRange, *, sample: bool) -> list[int]:
    """The blocks whose headers `check_blooms` compares, so that those of many periods can be asked together."""
    with_logs = {log.block for log in logs}
    return sorted(
        [*with_logs, *(_quiet_blocks(pool.chain, within, with_logs) if sample and question.addresses else ())]
    )


def _quiet_blocks(chain: str, within: BlockRange, taken: set[int]) -> list[int]:
    width = len(within)
    chosen = (
        {within.start + lot(chain, within.start + part) % width for part in range(_BLOOM_BLOCKS)} if width else set()
    )
    return sorted(chosen - taken)
