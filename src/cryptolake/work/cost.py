"""What calls of one method cost at one endpoint: the unit in which plans are counted.

What does not belong here: how many calls there are and whom they are asked of (estimate).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptolake.net.endpoint import Endpoint

Endpoints = Callable[[str], Sequence[Endpoint]]
"""The endpoints of a chain, by its name."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Expected calls of one method on one chain, whom they would be asked of, and the units that costs there.

    `usd` is what those units cost, None where the price is not known.
    """

    chain: str
    method: str
    endpoint: str
    calls: int
    units: float
    unit: str
    usd: float | None = None


def cost_of(chain: str, method: str, endpoint: Endpoint, calls: int) -> Cost:
    """What so many calls of one method cost at an endpoint."""
    units, price = calls * endpoint.limits.cost(method), endpoint.usd_per_million
    usd = None if price is None else units * price / 1e6
    return Cost(chain, method, endpoint.name, calls, units, endpoint.limits.unit, usd)
