"""Show progress; see `--help`. The same as a cryptolake command."""

from cryptolake.cli.documented import monitor_progress

monitor_progress()
