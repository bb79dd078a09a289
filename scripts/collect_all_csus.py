"""Collect the 43 markets of the plan, resuming; see `--help`. The same as a cryptolake command."""

from cryptolake.cli._plan_scripts import collect_all_csus

collect_all_csus()
