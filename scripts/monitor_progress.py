"""Show progress; see `--help`. The same as a cryptolake command."""

from cryptolake.cli._plan_scripts import monitor_progress

monitor_progress()
