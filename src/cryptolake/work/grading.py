"""Answers that were recorded before grades existed are graded once, from their certificates, and the ledger told.

No question is asked again for it. What does not belong here: what a certificate proves (sources/onchain/grading).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import MARKET_DATASETS, Partition
from cryptolake.lake.bronze import ONCHAIN, Bronze
from cryptolake.sources.onchain.grading import graded
from cryptolake.state.ledger import Ledger
from cryptolake.work.standing import ANSWERED


def graded_states(ledger: Ledger, bronze: Bronze) -> Mapping[Partition, Entry]:
    """The ledger's states, in which every answer of the chains that lies whole has its grade; new ones are recorded.

    An answer that is lost or not the recorded one stays without.
    """
    states = ledger.states()
    new = {}
    for partition, entry in states.items():
        if entry.grade is not None or entry.state not in ANSWERED or partition.dataset not in MARKET_DATASETS:
            continue
        raw = bronze.read(partition, ONCHAIN)
        if raw is not None and raw.digest == entry.digest:
            new[partition] = replace(entry, grade=graded(raw).grade)
    if not new:
        return states
    ledger.amend(new.values())
    return {**states, **new}
