"""The front door for programs: `open` a data folder and get a `Lake`, whose methods are the steps that every driver calls.

A notebook needs nothing else: no command, no shell, no environment. What does not belong here: how a step is done (work).
What is exported is a promise (docs/python.md) and stands in the package's `__all__` as well.
"""

from __future__ import annotations

from cryptolake.errors import BadInput, CryptolakeError, Narrow, Retry, Skip, Stop
from cryptolake.flow.collect import Collected
from cryptolake.flow.outputs import Built, Output
from cryptolake.front.door import open  # noqa: A004  # as `gzip.open`
from cryptolake.front.lake import Lake
from cryptolake.front.table import LakeTable
from cryptolake.work.lending import Run
from cryptolake.work.series import Pulled

__all__ = [
    "BadInput",
    "Built",
    "Collected",
    "CryptolakeError",
    "Lake",
    "LakeTable",
    "Narrow",
    "Output",
    "Pulled",
    "Retry",
    "Run",
    "Skip",
    "Stop",
    "open",
]
