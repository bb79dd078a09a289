"""How a plan is shown, whoever asks for it. What does not belong here: what is in it (`work.estimate`)."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from cryptolake.cli.show import print_line, print_table
from cryptolake.contracts.counting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptolake.work.cost import Cost
    from cryptolake.work.estimate import Planned
    from cryptolake.work.grade_prices import GradePrice


def print_plan(found: Planned, markets: int) -> None:
    """The calls per chain, the priced plans, what is set aside, and what would be cheaper."""
    from cryptolake.work.estimate import NO_ENDPOINT

    print_table(
        f"Plan {found.start_date} .. {found.end_date}: {counted(markets, 'market')}, "
        f"{found.missing:,} of {counted(found.wanted, 'answer')} missing",
        ("chain", "asked of", "logs", "eth_call", "headers", "other", "units", "unit", "USD"),
        [_row(list(some)) for _, some in groupby(sorted(found.costs, key=_asked_of), key=_asked_of)],
    )
    print_table(
        "The same under one account of a priced plan, at its own log span",
        ("plan", "calls", "million units", "USD", "hours", "fits the month"),
        [(o.plan, o.calls, o.units / 1e6, o.usd, o.hours, o.fits) for o in found.plans],
    )
    print_table(
        "The same at each grade of evidence (--grade)",
        ("grade", "calls", "million compute units", "USD", "time", "less on"),
        [_graded(one) for one in found.grades],
    )
    for reason in sorted(set(found.set_aside.values())):
        names = [name for name, why in found.set_aside.items() if why == reason]
        print_line(
            f"[yellow]{reason}[/] ({counted(len(names), 'market')}): {', '.join(names[:4])}{' ...' * (len(names) > 4)}"
        )
    if unasked := sorted({cost.chain for cost in found.costs if cost.endpoint == NO_ENDPOINT}):
        print_line(
            f"[red]no endpoint[/] on {', '.join(unasked)}, and its time not counted: set CRYPTOLAKE_RPC_<CHAIN>=url"
        )
    if found.archive_chains:
        print_line(f"Archive state back to {found.start_date} is needed on: {', '.join(found.archive_chains)}")
    for line in found.advice:
        print_line(f"[green]cheaper[/]: {line}")


def totals(found: Planned) -> str:
    """Calls and time in a few words."""
    return f"{counted(found.total_calls, 'call')}, about {_span_of_time(found.expected_seconds)}"


def _asked_of(cost: Cost) -> tuple[str, str]:
    return cost.chain, cost.endpoint


def _row(found: list[Cost]) -> tuple[object, ...]:
    """One endpoint of one chain; an unknown price stays empty."""
    from cryptolake.work.estimate import METHODS

    calls = {cost.method: cost.calls for cost in found}
    prices = [cost.usd for cost in found if cost.usd is not None]
    usd = sum(prices) if len(prices) == len(found) else None
    units = round(sum(cost.units for cost in found))
    return (*_asked_of(found[0]), *(calls.get(method, 0) for method in METHODS), units, found[0].unit, usd)


def _graded(one: GradePrice) -> tuple[object, ...]:
    units = sum(count for unit, count in one.units.items() if unit != "calls") / 1e6
    return one.grade, one.calls, units, one.usd, _span_of_time(one.seconds), _few(one.not_on)


def _few(names: Sequence[str]) -> str:
    return f"{', '.join(names[:2])}{f' and {len(names) - 2} more' if len(names) > 2 else ''}"


def _span_of_time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
