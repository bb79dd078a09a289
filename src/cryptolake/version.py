"""The version of this installation, for answers, reports and `--version`. What does not belong here: anything else."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("cryptolake")
