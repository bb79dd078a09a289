"""The rest of the trip: refine, build and publish what was collected, in this order, whoever collected it.

What does not belong here: collecting (gather) and the steps themselves (daily, lending).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptolake.app import App
from cryptolake.contracts.partition import Partition
from cryptolake.flow.collect import Collected
from cryptolake.flow.made import Built
from cryptolake.work.daily import build, publish, refine


@dataclass(frozen=True, slots=True)
class Run:
    """A whole trip: what was collected, what was made of it, and which answered days have no number all the same."""

    collected: Collected
    built: Built

    @property
    def ok(self) -> bool:
        """Whether everything that was asked was answered and every answered day has its number."""
        return not self.collected.failed and self.built.lacking.is_empty()


def travel_on(app: App, partitions: Sequence[Partition]) -> Built:
    """Everything after collecting, for the days of these partitions and whatever else silver lacks."""
    refined = refine(app, partitions)
    built = build(app)
    return Built([*refined, *built.made, *publish(app)], built.lacking)
