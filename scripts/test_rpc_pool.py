"""Ask every endpoint what it can do; see `--help`. The same as a cryptolake command."""

from cryptolake.cli._plan_scripts import test_rpc_pool

test_rpc_pool()
