"""What the same work costs at each grade of evidence, counted by the code that counts the plan (estimate). No network.

What does not belong here: what a grade proves (contracts.grades) and which one is wished for (settings).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.receipt_rules import ReceiptRule
from cryptolake.net.endpoint import Endpoint
from cryptolake.net.proof import RECEIPTS
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.planning import QUIET_BLOCKS
from cryptolake.sources.onchain.scans import share_of
from cryptolake.work.attainable import attainable, voices_in
from cryptolake.work.cost import Cost, Endpoints, cost_of
from cryptolake.work.workload import EVENTS, Workload

# As `--grade` names them, the weakest first.
WORDS: Mapping[str, Grade] = {
    "one_voice": "one_voice",
    "two_voices_sampled": "two_voices_sampled",
    "two_voices": "two_voices",
    "receipts": "receipts_root",
}
# Contracts whose events are wanted, of one market; one where none is named. Sizes are about those of 2025.
EMITTERS: Mapping[str, int] = {"compound_v2": 20, "euler_v2": 200, "fluid": 100, "gearbox": 40}
# The share of a full block's bloom filter that is set: block 21,925,176 of Ethereum, see benchmarks/receipts.
_FILLED = 0.58
_AGREED = 1  # more header of a period's last block, of a second operator, besides those of all of its blocks

Lied = Callable[[str, Endpoint], bool]


@dataclass(frozen=True, slots=True)
class GradePrice:
    """What all of the work costs when it is asked with `--grade` of this word.

    `units` are by unit, `usd` is None where a price is not known, `seconds` at the known limits. `not_on` are the chains on
    which the endpoints or the chain's rules allow less: their part is priced as what is done there then.
    """

    grade: str
    calls: int
    units: Mapping[str, float]
    usd: float | None
    seconds: float
    not_on: tuple[str, ...]


def grade_prices(
    chains: Sequence[Workload],
    endpoints: Endpoints,
    costs: Callable[..., Sequence[Cost]],
    duration_s: Callable[..., float],
    *,
    emitters: Mapping[str, Mapping[str, int]],
    rules: Mapping[str, ReceiptRule | None],
    audit: float,
    doubted: bool,
    log_span: int | None = None,
    lied: Lied = lambda _chain, _one: False,
) -> list[GradePrice]:
    """The price of every grade, the weakest first; `costs` and `duration_s` count as the plan does (work.estimate).

    `emitters` are how many contracts of each family are listened to, by chain; `rules` how a chain's receipts are encoded;
    `audit` is the share of a sample, `doubted` whether headers of quiet blocks are counted in the work already; `lied` says
    which of a chain's endpoints are named liars.
    """
    found = []
    for word, grade in WORDS.items():
        share = share_of(grade, audit)
        some = [_quietly(one, doubted, QUIET_BLOCKS if share else 0, rules) for one in chains]
        receipts: list[Cost] = []
        if grade == "receipts_root":
            for place, one in enumerate(some):
                if rules.get(one.chain) and voices_in(endpoints(one.chain)) < 2:  # which is found out for every period
                    some[place] = replace(one, headers=one.headers + len(one.scan_blocks))
                elif rules.get(one.chain):
                    asked = _promised(one, emitters.get(one.chain, {}))
                    receipts += [cost_of(one.chain, RECEIPTS, endpoints(one.chain)[0], asked)] if asked else []
                    some[place] = _by_receipts(one)
        whole = share == 1.0
        told = [*costs(some, endpoints, log_span=log_span, audit=share, state_whole=whole), *receipts]
        seconds = duration_s(some, endpoints, log_span, audit=share, state_whole=whole, besides=receipts)
        found.append(_price(word, told, seconds, _not_on(grade, chains, endpoints, rules, audit, lied)))
    return found


def emitters_of(csus: Mapping[str, Csu], missing: Iterable[Partition]) -> dict[str, dict[str, int]]:
    """How many contracts of each family the logs that are missing come from, by chain; `csus` by name."""
    found: dict[str, dict[str, int]] = {}
    for name in {one.key for one in missing if one.dataset == EVENTS and one.key in csus}:
        of = found.setdefault(csus[name].chain, {})
        of[csus[name].family] = of.get(csus[name].family, 0) + EMITTERS.get(csus[name].family, 1)
    return found


def _price(word: str, told: Sequence[Cost], seconds: float, not_on: Sequence[str]) -> GradePrice:
    units: dict[str, float] = {}
    for one in told:
        units[one.unit] = units.get(one.unit, 0.0) + one.units
    prices = [one.usd for one in told if one.usd is not None]
    usd = sum(prices) if len(prices) == len(told) else None
    return GradePrice(word, sum(one.calls for one in told), units, usd, round(seconds, 1), tuple(not_on))


def _quietly(one: Workload, doubted: bool, quiet: int, rules: Mapping[str, ReceiptRule | None]) -> Workload:
    """The work with so many headers of quiet blocks a period of logs, instead of those counted.

    Another voice is asked for them too where the chain's rules let a header be proven.
    """
    before, periods = QUIET_BLOCKS if doubted else 0, len(one.scan_blocks)
    agreed = quiet * periods if rules.get(one.chain) is not None else 0
    return replace(one, headers=one.headers + (quiet - before) * periods, quiet=agreed)


def _by_receipts(one: Workload) -> Workload:
    """The work when every block of logs is proven by its header, and those with events by their transactions too: no window
    is asked again then.
    """
    headers = sum(one.scan_blocks) + _AGREED * len(one.scan_blocks) + one.eventful
    return replace(one, headers=one.headers + headers, scan_blocks=())


def _promised(one: Workload, emitters: Mapping[str, int]) -> int:
    """Blocks whose bloom filter promises an event that is wanted, which full filters often do in vain."""
    item = _FILLED**3  # three bits each
    silent = 1.0
    for count in emitters.values():  # one event a family, of any of its contracts
        silent *= 1 - item * (1 - (1 - item) ** count)
    return math.ceil((1 - silent) * sum(one.scan_blocks))


def _not_on(
    grade: Grade,
    chains: Sequence[Workload],
    endpoints: Endpoints,
    rules: Mapping[str, ReceiptRule | None],
    audit: float,
    lied: Lied,
) -> list[str]:
    """The chains on which less than this grade can be had."""
    return [
        one.chain
        for one in chains
        if attainable(endpoints(one.chain), rules.get(one.chain), audit=audit, lied=partial(lied, one.chain)).cut(
            EVENTS, grade
        )
        != grade
    ]
