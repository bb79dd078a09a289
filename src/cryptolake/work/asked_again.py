"""What second voices are asked of logs, for an estimate: the questions of each endpoint, counted without asking.

What does not belong here: what first voices are asked, and what it costs (estimate).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cryptolake.net.choice import HELPS
from cryptolake.net.endpoint import Endpoint
from cryptolake.net.logs import METHOD as LOGS
from cryptolake.net.voices import same_voice
from cryptolake.net.witness import DEARER
from cryptolake.work.workload import Workload


def asked_again(
    one: Workload,
    known: Sequence[Endpoint],
    span: Mapping[str, int],
    shares: Mapping[str, float],
    share: float,
    typical: float,
    sample: float | None = None,
) -> dict[str, float]:
    """The log questions that ask a `share` of the blocks again, by the name of who is asked.

    `span` is how many blocks each endpoint answers at once, `shares` the part of all blocks that each first voice answers,
    `typical` the blocks of one of its windows. `sample` is asked instead of all where all would be too dear (None: never).
    Where nobody has another voice, nobody is asked.
    """
    found: dict[str, float] = {}
    for first, part in shares.items() if share else ():
        speaker = next(each for each in known if each.name == first)  # addresses of one provider share its name
        others = [
            each
            for each in known
            if not same_voice(each, speaker) and (not each.besides or DEARER * span[each.name] >= span[first])
        ]
        cheap = [each for each in others if DEARER * span[each.name] >= span[first]]
        whole = share >= 1.0 and (sample is None or bool(cheap))
        part_of = share if whole or share < 1.0 else sample or 0.0
        others = cheap if whole and sample is not None else others
        if not (others and part_of):
            continue
        fastest = max(_blocks_a_second(each, span[each.name]) for each in others)
        second = min(others, key=lambda each: _price(each, span[each.name], fastest))
        if whole:
            # Where several answer in turn, each window stands alone and is asked again alone.
            width = span[second.name] if len(shares) == 1 else min(span[second.name], span[first])
            count = part * sum(
                math.ceil(blocks / width) for blocks in (*one.scan_blocks, *one.histories, *one.told_once)
            )
            found[second.name] = found.get(second.name, 0.0) + count
        else:
            widest = max(span[each.name] for each in others)
            # The blocks that one more question stands for.
            each_of = min(typical, widest) if widest >= HELPS * typical else typical
            pieces = part * sum(math.ceil(part_of * math.ceil(blocks / each_of)) for blocks in one.scan_blocks)
            found[second.name] = found.get(second.name, 0.0) + pieces
    return found


def _blocks_a_second(endpoint: Endpoint, span: int) -> float:
    return span * endpoint.limits.rate / endpoint.limits.cost(LOGS)


def _price(endpoint: Endpoint, span: int, fastest: float) -> tuple[float, bool, bool, float]:
    """As the second voice is chosen (net/witness)."""
    usd = (endpoint.usd_per_million or 0.0) * endpoint.limits.cost(LOGS) / span
    return usd, endpoint.besides, _blocks_a_second(endpoint, span) < HELPS * fastest, 1 / span
