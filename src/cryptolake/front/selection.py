"""What a program selects: markets by name, chain, family and set, and days.

What does not belong here: what the words of a call may be (words), and what a selection means (work.selection).
"""

from __future__ import annotations

from cryptolake.app import App
from cryptolake.errors import BadInput
from cryptolake.flow.plan import Span
from cryptolake.front.words import Day, Names, day, names, number
from cryptolake.registry.markets import Csu
from cryptolake.work.selection import chosen_span, selected_csus


def markets(app: App, csu: Names, chain: Names, family: Names, sets: Names) -> list[Csu] | None:
    """The markets selected; None without a selection. Raises BadInput for unknown names."""
    named, on, of, within = names(csu), names(chain), names(family), names(sets)
    if not (named or on or of or within):
        return None
    return selected_csus(app, csus=named, chains=on, of_families=of, sets=within)


def named_markets(app: App, csu: Names, chain: Names, family: Names, sets: Names) -> list[Csu]:
    """The same for steps that need a selection. Raises BadInput without one."""
    found = markets(app, csu, chain, family, sets)
    if found is None:
        raise BadInput("name the markets: set='thesis-43', csu=, chain= or family=; csu='all' means every market")
    return found


def span(app: App, start: Day, end: Day, days: int | None) -> Span:
    """The first and last day (UTC, both included) that these three say, or the settings'. Raises BadInput."""
    return chosen_span(app, first=day(start), last=day(end), days=number("days", days, least=1))
