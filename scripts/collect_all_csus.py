"""Collect all markets, resuming; see `--help`. The same as a cryptolake command."""

from cryptolake.cli.documented import collect_all_csus

collect_all_csus()
