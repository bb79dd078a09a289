"""How a plan is shown, whoever asks for it. What does not belong here: what is in it (`work.planning`)."""

from __future__ import annotations

from cryptolake.cli.show import print_line, print_table
from cryptolake.flow.estimate import METHODS, NO_ENDPOINT, Cost
from cryptolake.work.planning import Planned


def print_plan(planned: Planned) -> None:
    """The calls per chain, the priced plans, what is set aside, and what would be cheaper."""
    plan, aside = planned.plan, planned.aside
    print_table(
        f"Plan {planned.first} .. {planned.last}: {len(planned.markets)} markets, {len(plan.missing):,} of "
        f"{len(plan.wanted):,} answers missing",
        ("chain", "first asked of", "logs", "eth_call", "headers", "units", "unit"),
        [_chain_row([cost for cost in planned.costs if cost.chain == one.chain]) for one in planned.chains],
    )
    print_table(
        "The same under one account of a priced plan, at its own log span",
        ("plan", "calls", "million units", "USD", "hours", "fits the month"),
        [(o.plan, o.calls, o.units / 1e6, o.usd, o.hours, o.fits) for o in planned.offers],
    )
    for reason in sorted(set(aside.values())):
        names = [name for name, why in aside.items() if why == reason]
        print_line(f"[yellow]{reason}[/] ({len(names)} markets): {', '.join(names[:4])}{' ...' * (len(names) > 4)}")
    if unasked := sorted({cost.chain for cost in planned.costs if cost.endpoint == NO_ENDPOINT}):
        print_line(
            f"[red]no endpoint[/] on {', '.join(unasked)}, and its time not counted: set CRYPTOLAKE_RPC_<CHAIN>=url"
        )
    if planned.archive:
        print_line(f"Archive state back to {planned.first} is needed on: {', '.join(planned.archive)}")
    for line in planned.cheaper:
        print_line(f"[green]cheaper[/]: {line}")


def totals(planned: Planned) -> str:
    """Calls and time in a few words."""
    return f"{planned.calls:,} calls, about {_span_of_time(planned.seconds)}"


def _chain_row(found: list[Cost]) -> tuple[object, ...]:
    calls = {cost.method: cost.calls for cost in found}
    units = round(sum(cost.units for cost in found))
    return found[0].chain, found[0].endpoint, *(calls.get(method, 0) for method in METHODS), units, found[0].unit


def _span_of_time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
