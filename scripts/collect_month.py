"""Collect one market for a month; see `--help`. The same as a cryptolake command."""

from cryptolake.cli._plan_scripts import collect_month

collect_month()
