"""What a collection would ask and cost: missing answers, calls, hours and money. Needs no network, writes nothing.

`plan` and `init` show this. What does not belong here: how each figure is counted (`flow.plan`, `flow.estimate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from cryptolake.app import App
from cryptolake.contracts.partition import Partition
from cryptolake.flow.estimate import Cost, Offer, Work, advice, costs, duration_s, offers, work
from cryptolake.flow.plan import Plan, Span, make_plan, set_aside
from cryptolake.net.endpoint import Endpoint
from cryptolake.registry.markets import Csu
from cryptolake.registry.providers import rpc_plans
from cryptolake.sources.onchain.families import families


@dataclass(frozen=True, slots=True)
class Planned:
    """A selection's plan with what it costs.

    `aside` are markets that will give no numbers, with the reason; `chains` the work per chain and `costs` what it takes
    of the configured endpoints; `seconds` how long that lasts; `offers` the same under each priced plan; `cheaper` advice.
    """

    first: date
    last: date
    markets: tuple[str, ...]
    plan: Plan
    aside: Mapping[str, str]
    chains: Sequence[Work]
    costs: Sequence[Cost]
    seconds: float
    offers: Sequence[Offer]
    cheaper: Sequence[str]

    @property
    def calls(self) -> int:
        """Calls of all chains and methods."""
        return sum(cost.calls for cost in self.costs)

    @property
    def archive(self) -> list[str]:
        """The chains that are asked for old state."""
        return [one.chain for one in self.chains if one.snapshots]


def planned(
    app: App,
    csus: Sequence[Csu],
    partitions: Sequence[Partition],
    *,
    resume: bool = True,
    log_span: int | None = None,
) -> Planned:
    """The plan of these partitions; `log_span` overrides the endpoints' published blocks per eth_getLogs."""

    def endpoints(chain: str) -> Sequence[Endpoint]:
        return app.endpoints(app.registry.chain(chain))

    plan = make_plan(partitions, app.ledger.states(), resume=resume, intact=app.bronze.intact)
    first, last = app.settings.span()
    aside = set_aside(csus, families(), Span(first, last))
    able = {csu.name: csu for csu in csus if csu.name not in aside}
    chains = work(plan.missing, able, app.registry.chains, app.block_cache.blocks)
    found = costs(chains, endpoints, log_span=log_span)
    spans = [each.limits.log_span for one in chains for each in endpoints(one.chain)[:1]]
    return Planned(
        first=first,
        last=last,
        markets=tuple(csu.name for csu in csus),
        plan=plan,
        aside=aside,
        chains=chains,
        costs=found,
        seconds=duration_s(chains, endpoints, log_span),
        offers=offers(chains, rpc_plans().values()),
        cheaper=advice(chains, found, log_span or min(spans, default=2000)).lines,
    )
