"""Silver to gold; see `--help`. The same as a cryptolake command."""

from cryptolake.cli.documented import aggregate_gold

aggregate_gold()
