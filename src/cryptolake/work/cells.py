"""One cell opened: what the ledger, the kept answer and its certificate say of a market's day. Reads only.

What does not belong here: judging many cells at once (verify) and what tables make of them (evidence).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from cryptolake.contracts.entry import SETTLED, Entry
from cryptolake.contracts.grades import Grade, at_least
from cryptolake.contracts.partition import MARKET_DATASETS, Partition
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.states import State, state_of, worst
from cryptolake.errors import BadInput
from cryptolake.lake.bronze import ONCHAIN, Bronze
from cryptolake.sources.onchain.grading import graded
from cryptolake.work.price_evidence import DOUBTED_WORDS, LOST_WORDS, PRICES_WEAKER, PriceProof, prices_behind
from cryptolake.work.standing import MarketDay


@dataclass(frozen=True, slots=True)
class Cell:
    """A market's period of one dataset. `entry` and `answer` are None where there are none.

    `state` is computed from both: an answer that is missing or not the recorded one makes it `failed`, one whose proof has a
    hole or that somebody contradicts `suspect`; so do the prices that silver values it with. `says` are the reasons, one line
    each; `certificate` is what the answer itself says of its proof, empty where it says nothing; `grade` is None without an
    answer; `weak` says why it is no better, where that is known.
    """

    partition: Partition
    state: State
    says: tuple[str, ...]
    entry: Entry | None
    answer: Raw | None
    grade: Grade | None
    certificate: Mapping[str, Any]
    weak: str = ""


def opened(
    partition: Partition, entry: Entry | None, bronze: Bronze, priced: Mapping[MarketDay, PriceProof] | None = None
) -> Cell:
    """Everything that is known of one cell; `priced` is what prices are worth, which counts like the answer itself.

    Raises BadInput for a dataset that is none of the markets'.
    """
    if partition.dataset not in MARKET_DATASETS:
        raise BadInput(
            f"{partition}: cells of {' and '.join(MARKET_DATASETS)} can be opened, {partition.dataset} has none"
        )
    state = state_of(None if entry is None else entry.state, None if entry is None else entry.reason)
    if entry is None:
        return Cell(partition, state, ("nobody asked for it; run `cryptolake collect`",), None, None, None, {})
    says = [one for one in (entry.reason, entry.error) if one]
    if entry.state not in SETTLED or entry.state == "gone":
        return Cell(partition, state, tuple(says), entry, None, None, {})
    raw = bronze.read(partition, ONCHAIN)
    if raw is None or raw.digest != entry.digest:
        lost = "its answer is missing" if raw is None else "its answer is not the one that the ledger recorded"
        says.append(f"{lost}; run `cryptolake ledger repair`, then `cryptolake collect --retry-failed`")
        return Cell(partition, "failed", tuple(says), entry, raw, None, {})
    payload = orjson.loads(raw.payload)
    given = payload.get("certificate") if isinstance(payload, Mapping) else None
    proof = graded(raw, payload)
    wrong = [*proof.faults, *proof.doubts]
    prices = prices_behind(priced or {}, entry)
    wrong += [words for words, so in ((LOST_WORDS, prices.lost), (DOUBTED_WORDS, prices.doubted)) if so]
    states: list[State] = [state, "suspect" if wrong else "ok", "failed" if prices.lost else "ok"]
    weaker = prices.grade is not None and not at_least(prices.grade, proof.grade)
    return Cell(
        partition,
        worst(states),
        tuple(dict.fromkeys((*says, *wrong))),
        entry,
        raw,
        prices.grade if weaker else proof.grade,
        given if isinstance(given, Mapping) else {},
        PRICES_WEAKER if weaker else proof.says,
    )
