"""Silver to gold; see `--help`. The same as a cryptolake command."""

from cryptolake.cli._plan_scripts import aggregate_gold

aggregate_gold()
