"""Run one market end to end and verify it; see `--help`. The same as a cryptolake command."""

from cryptolake.cli._plan_scripts import test_pipeline

test_pipeline()
