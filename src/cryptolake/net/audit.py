"""Doubt by headers: log answers are compared with the hashes and bloom filters of headers, on a sample of quiet blocks.

What does not belong here: asking a second voice for windows (witness), settling what is doubted (settlement), and what a
suspect day means for a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptolake.contracts.counting import counted
from cryptolake.errors import CryptolakeError
from cryptolake.net.besides import others
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.bloom import may_hold
from cryptolake.net.endpoint import Station
from cryptolake.net.logs import METHOD, BlockWindow, Log, LogQuestion
from cryptolake.net.lots import lot
from cryptolake.net.quiet import QuietHeaders
from cryptolake.net.rpc import Pool
from cryptolake.net.settlement import AtBlock, Said, answered_by
from cryptolake.net.windows import ask_window

_BLOOM_BLOCKS = 4  # blocks without logs whose bloom filter is looked at, per period


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a block's logs are contradicted, in words, and what each endpoint says of the block."""

    words: str
    said: Mapping[str, Said]


@dataclass(frozen=True, slots=True)
class BloomCheck:
    """What the headers say: blocks looked at, whether this chain's headers have bloom filters, and the blocks contradicted.

    Of the `quiet` blocks without logs that were looked at, `agreed` are proven to have none of the wanted ones: two operators
    give a header that hashes to its hash and excludes them. `problem` says why others prove nothing ("": there are none).
    """

    blocks: int
    usable: bool
    doubts: Mapping[int, Doubt] = field(default_factory=dict)
    quiet: int = 0
    agreed: int = 0
    problem: str = ""

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
    quiet: QuietHeaders | None,
) -> BloomCheck:
    """Compare logs with headers: hash and bloom of every block with logs, and with `quiet` the bloom of a few without any.

    A bloom that promises a wanted event is only a hint (one in some hundred is false): the block is then asked for by its
    hash, at another voice than the one that answered it where there is one, and only a log found there contradicts.
    """
    with_logs = sorted({log.block for log in logs})
    sampled = quiet_blocks(pool, question, logs, within) if quiet is not None else []
    headers = blocks.headers(with_logs)
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
    unproven = agreed = 0
    for one in quiet.of(sampled) if quiet is not None and usable else ():
        unproven += not one.agreed
        agreed += one.agreed and not any(_promised(question, bloom) for _, bloom in one.given)
        name = answered_by(windows, one.number) or ""
        for block_hash, bloom in one.given:
            promised = _promised(question, bloom)
            left_out = _asked(pool, question, one.number, block_hash, promised, name) if promised else {}
            if any(left_out.values()):
                words = f"block {one.number} has a wanted log that was left out of the answer"
                doubts[one.number] = Doubt(words, {name: frozenset(), **left_out})
    problem = _proves_nothing(quiet, windows, within, unproven) if quiet is not None else ""
    if sampled and not usable:
        problem = "the headers that were given have no bloom filters"
    return BloomCheck(len(headers) + len(sampled), usable, doubts, len(sampled), agreed, problem)


def _promised(question: LogQuestion, bloom: bytes) -> list[str]:
    """The addresses that a bloom filter promises a wanted event of; none where it excludes every one."""
    found = [one for one in question.addresses if may_hold(bloom, one)]
    return found if found and any(may_hold(bloom, topic) for topic in question.topics(found)) else []


def _proves_nothing(quiet: QuietHeaders, windows: Sequence[BlockWindow], within: BlockRange, unproven: int) -> str:
    """Why some of the blocks looked at prove nothing, and against whom; empty where there are none."""
    if not unproven:
        return ""
    names = dict.fromkeys(one.endpoint for one in windows if one.start < within.end and one.end > within.start)
    why = quiet.problem or "two voices give different headers, or such as do not hash to their hash"
    of = counted(
        unproven, "block without logs that was looked at proves", "blocks without logs that were looked at prove"
    )
    return f"{of} nothing against {' and '.join(names) or 'anybody'}: {why}"


def _asked(
    pool: Pool, question: LogQuestion, number: int, block_hash: str, addresses: Sequence[str], name: str
) -> dict[str, Said]:
    """What another voice says of a block by its hash; the same endpoint, where there is nobody else. Empty: nobody answers."""
    at_block = AtBlock(question, block_hash)
    for station in _to_ask(pool, name, number):
        try:
            logs = ask_window(pool, station, at_block, number, number + 1, addresses)
        except CryptolakeError:
            continue
        return {station.endpoint.name: frozenset(logs)}
    return {}


def _to_ask(pool: Pool, name: str, number: int) -> list[Station]:
    elsewhere = others(pool, {name})
    return elsewhere or [pool.pick(METHOD, number)]


def quiet_blocks(pool: Pool, question: LogQuestion, logs: Sequence[Log], within: BlockRange) -> list[int]:
    """The blocks without logs that `check_blooms` looks at, so that those of many periods can be asked together."""
    width = len(within) if question.addresses else 0
    chosen = {within.start + lot(pool.chain, within.start + part) % width for part in range(_BLOOM_BLOCKS) if width}
    return sorted(chosen - {log.block for log in logs})
