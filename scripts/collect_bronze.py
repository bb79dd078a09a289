"""Collect all markets, resuming; the name the design gives it. See `--help`. The same as a cryptolake command."""

from cryptolake.cli._plan_scripts import collect_all_csus

collect_all_csus()
