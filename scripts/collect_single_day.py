"""Collect one market for one day; see `--help`. The same as a cryptolake command."""

from cryptolake.cli._plan_scripts import collect_single_day

collect_single_day()
