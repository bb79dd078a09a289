"""Find the block boundaries of days; see `--help`. The same as a cryptolake command."""

from cryptolake.cli._plan_scripts import build_block_cache

build_block_cache()
