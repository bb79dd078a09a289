"""cryptolake: ask chains and vendors the same questions every day, keep every answer, refine them into tables.

What belongs here: the version, nothing else. Rooms and their import directions are described in `docs/trip.md`.
"""

from importlib.metadata import version

__version__ = version("cryptolake")
