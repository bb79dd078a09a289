"""Collect one market for a month; see `--help`. The same as a cryptolake command."""

from cryptolake.cli.documented import collect_month

collect_month()
