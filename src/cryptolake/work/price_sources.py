"""Who tells prices apart from the markets themselves, opened, and how one price is chosen among them.

What does not belong here: asking them and valuing by what they said (prices), and the choice itself (`silver.prices`).
"""

from __future__ import annotations

from cryptolake.app import App
from cryptolake.contracts.prices import Wanted
from cryptolake.contracts.source import Source
from cryptolake.silver.prices import Pricing, pricing_of


def price_source(app: App, name: str, wanted: Wanted | None = None) -> Source:
    """Who tells prices under this name; `wanted` is what is to be asked. Raises BadInput naming the known ones."""
    return app.found.price_source(name, app.access(), app.registry.chains, wanted or {})


def price_sources(app: App) -> dict[str, Source]:
    """Everybody who tells prices, by name, the lowest rung first.

    Raises BadInput when two of them call a dataset the same: their answers would be taken for each other's.
    """
    return app.found.told(app.access(), app.registry.chains)


def pricing(app: App) -> Pricing:
    """How prices are chosen. Raises BadInput for a source in CRYPTOLAKE_PRICE_ORDER that there is not."""
    ages = {name: one.max_age_s for name, one in app.found.price_sources.items()}
    return pricing_of(app.settings.price_order, ages, app.settings.price_tolerance)
