"""A market's day and its hours that were both collected are of the same blocks: whether what is kept of them differs.

Answers are held against each other when they land; this finds those that landed before that was so. Reads, and writes nothing.
What does not belong here: which of two answers stands (sources/onchain/succession).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import MARKET_DATASETS, Partition
from cryptolake.contracts.raw import Raw
from cryptolake.lake.bronze import ONCHAIN, Bronze
from cryptolake.sources.onchain.succession import compared
from cryptolake.work.standing import ANSWERED, market_day
from cryptolake.work.workload import EVENTS


def overlapping(states: Mapping[Partition, Entry], bronze: Bronze) -> Callable[[Raw], list[str]]:
    """What contradicts an answer of a day by what is kept of its hours, or of an hour by its day's, in words."""
    told = {one for one, entry in states.items() if entry.state in ANSWERED and one.dataset in MARKET_DATASETS}
    by_the_hour = {market_day(one) for one in told if one.period.granularity == "hour"}

    def differing(raw: Raw) -> list[str]:
        partition = raw.partition
        if not by_the_hour or (partition.period.granularity == "day" and market_day(partition) not in by_the_hour):
            return []
        found = []
        for other in partition.sharing(ends=partition.dataset != EVENTS):
            kept = bronze.read(other, ONCHAIN) if other in told else None
            if kept is None:
                continue
            stands = compared(raw, kept, lambda _name, _of: None, lambda _raw: None)
            if stands.apart and (stands.doubt or not stands.new):
                found.append(f"{other.period} says something else of the same blocks: {stands.doubt or stands.why}")
        return found

    return differing
