"""The first help screen: two journeys, and which command is a step of which.

A command's file puts it there: `STEPS = {"plan": Step(PANEL, 3, "...")}`. What does not belong here: a command's name.
"""

from __future__ import annotations

from dataclasses import dataclass

PANEL = "I need a panel"
TEAM = "I run a data team"

# How the panels of the whole list follow each other; one that is not named comes after these.
PANELS = ("Start", "Registry", "Lending markets", "Research", "Vendors", "Keep current", "Endpoints and proof")


@dataclass(frozen=True, slots=True)
class Step:
    """A command's place on the first screen: the journey, where in it (small numbers first), and what it is for there."""

    journey: str
    number: int
    text: str
