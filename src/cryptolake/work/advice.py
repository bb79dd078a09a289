"""What a plan advises: where most calls go, what would make the work cheaper, and what was only guessed. One line each.

What does not belong here: counting (workload) and pricing (estimate).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryptolake.contracts.counting import counted
from cryptolake.registry.event_rates import events_a_day
from cryptolake.registry.markets import Csu
from cryptolake.work.cost import Cost
from cryptolake.work.workload import Workload

_WIDE = 10_000  # blocks of one eth_getLogs that several providers allow


def dearest_logs(chains: Sequence[Workload], found: Sequence[Cost], log_span: int) -> Iterator[str]:
    """Where the calls go and what a wider log span would save."""
    total = sum(cost.calls for cost in found)
    logs = sorted((cost for cost in found if cost.method == "eth_getLogs"), key=lambda cost: -cost.calls)
    if logs and total and logs[0].calls * 3 > total and log_span < _WIDE:
        wide = sum(one.calls(_WIDE).get("eth_getLogs", 0) for one in chains)
        now = sum(cost.calls for cost in logs)
        yield (
            f"{logs[0].chain} makes {logs[0].calls / total:.0%} of the calls. An endpoint that allows "
            f"{counted(_WIDE, 'block')} per eth_getLogs would need {counted(wide, 'log call')} instead of {now:,}: "
            f"CRYPTOLAKE_RPC_{logs[0].chain.upper()}=url"
        )


def guessed_events(markets: Sequence[Csu]) -> Iterator[str]:
    """How many events the plan takes for markets that nobody has collected, and that real days differ."""
    if markets:
        rates = [events_a_day(csu) for csu in markets]
        yield (
            f"Events of {counted(len(markets), 'market')} not collected yet are counted as on an average day "
            f"({sum(rates) / len(rates):.1f} liquidations each); a day of a crash has many times as many."
        )
