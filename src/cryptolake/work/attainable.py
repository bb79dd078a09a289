"""How far answers can be proven at all: by a chain's rules, by whose endpoints there are, and by who is a named liar.

What cannot be had is wished for by nobody: plan, collection and repair cut a wish by the same function. No network. What does
not belong here: what a grade proves (contracts.grades) and how far a kept answer is proven (sources/onchain/grading).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import structlog

from cryptolake.app import App
from cryptolake.contracts.grades import Grade, weakest
from cryptolake.contracts.partition import MARKET_DATASETS, Partition
from cryptolake.contracts.receipt_rules import ReceiptRule
from cryptolake.net.endpoint import Endpoint
from cryptolake.net.voices import UNKNOWN, by_voice, same_voice, told_by, voice
from cryptolake.registry.chains import UNSAID
from cryptolake.registry.markets import Csu
from cryptolake.work.workload import EVENTS

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attainable:
    """What a chain's rules and endpoints allow: whether its receipts can be rebuilt, whether two operators can be asked for
    logs and for state, and whether a sample of windows is drawn at all. `why` not, with the remedy ("": nothing is missing).
    """

    receipts: bool
    logs: bool
    state: bool
    sampled: bool
    why: str = ""

    def cut(self, dataset: str, wish: Grade) -> Grade:
        """The wish, or what can be had of it."""
        events, wish = dataset == EVENTS, highest_of(dataset, wish)
        if events and wish == "receipts_root" and self.receipts:
            return wish
        if not (self.logs if events else self.state) or (wish == "two_voices_sampled" and not self.sampled):
            return "one_voice"
        return weakest([wish, "two_voices"])

    def short_of(self, wish: Grade) -> list[Grade]:
        """What can be had of each dataset that this falls short of."""
        return [had for name in MARKET_DATASETS if (had := self.cut(name, wish)) != highest_of(name, wish)]


def highest_of(dataset: str, wish: Grade) -> Grade:
    """The wish, or the highest grade that there is for a dataset: no receipts prove the state of a block."""
    return wish if dataset == EVENTS else weakest([wish, "two_voices"])


def attainable(
    endpoints: Sequence[Endpoint],
    rule: ReceiptRule | None,
    *,
    audit: float,
    lied: Callable[[Endpoint], bool] = lambda _one: False,
    why_no_receipts: str = UNSAID,
) -> Attainable:
    """What can be had on a chain of these endpoints; `rule` is how its receipts are encoded (None, and `why_no_receipts`: they
    cannot be proven), `audit` the share of a sample, `lied` says who is a named liar.

    A liar may still bear out a block's hash, and state; it gives no logs beside others.
    """
    nodes = [one for one in endpoints if one.dataset_of is None]
    honest = [one for one in endpoints if not lied(one)]
    logs, state = voices_in(honest) > 1, voices_in(nodes) > 1
    why, unknown = [], first_unknown(endpoints)
    if unknown is not None and any(voice(one) != UNKNOWN for one in endpoints):
        # Who reads first has to be somebody: whoever is asked besides bears out nobody who may be itself.
        logs = state = False
        why.append(
            f"nobody says who runs {unknown.name}, which is asked first and may be any other: write "
            f'`operator = "..."` under [endpoints.{unknown.name}] in cryptolake.toml'
        )
    elif not logs:
        named = sorted({told_by(one) for one in endpoints if lied(one)})
        liars = f"; {' and '.join(named)} was proven to drop logs (`cryptolake rpc clear` believes it again)"
        why.append(f"set an endpoint of a second operator{liars if named else ''}")
    elif not state:
        why.append("set a node of a second operator: an archive of logs bears out neither state nor receipts")
    if rule is None:
        why.append(f"its receipts cannot be proven ({why_no_receipts}): two_voices is the most there is")
    # A block's hash is borne out by any two, whoever goes first; logs and state by another one than who read them.
    pair = any(not same_voice(one, other) for one, other in combinations(nodes, 2))
    return Attainable(rule is not None and pair, logs, state, audit > 0, "; ".join(why))


def voices_in(endpoints: Iterable[Endpoint]) -> int:
    """How many endpoints there are of which no two may be one voice, counted in their order."""
    return len(by_voice(endpoints, lambda one: one))


def first_unknown(endpoints: Sequence[Endpoint]) -> Endpoint | None:
    """The endpoint that is asked first, where nobody knows whose it is; None where that is known, or there is none."""
    first = next((one for one in endpoints if not one.besides), None)
    return first if first is not None and voice(first) == UNKNOWN else None


def named_liars(app: App, chain: str) -> Callable[[Endpoint], bool]:
    """Who of a chain's endpoints was proven to drop logs."""
    accused = app.liars.accused(chain)
    return lambda one: accused(one.name, told_by(one)) is not None


def attainable_on(app: App, name: str) -> Attainable:
    """What can be had on a chain of this name, with its endpoints and named liars as they are."""
    chain = app.registry.chain(name)
    return attainable(
        app.endpoints(chain),
        chain.receipts,
        audit=app.settings.audit,
        lied=named_liars(app, name),
        why_no_receipts=chain.receipts_why,
    )


def what_can_be_had(app: App, csus: Iterable[Csu], wish: Grade) -> Callable[[Partition], Grade]:
    """The wish for each partition of these markets, cut to what can be had; one line says where that is less, and why."""
    chains = {csu.name: csu.chain for csu in csus}
    found = {name: attainable_on(app, name) for name in sorted(set(chains.values()))}
    less = {name: weakest(short) for name, one in found.items() if (short := one.short_of(wish))}
    if less:
        log.warning(
            f"{wish} cannot be had everywhere; nothing is asked again for more than there is",
            most={
                name: f"{most}: {found[name].why or 'the setting `audit` draws no sample'}"
                for name, most in less.items()
            },
        )
    return lambda partition: found[chains[partition.key]].cut(partition.dataset, wish)
