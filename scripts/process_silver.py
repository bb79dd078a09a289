"""Bronze to silver; see `--help`. The same as a cryptolake command."""

from cryptolake.cli._plan_scripts import process_silver

process_silver()
