"""What every test folder shares. Chain fixtures start nothing until a test asks for them."""

import os
import signal
import sys

import pytest
from hypothesis import HealthCheck, settings
from tests.chain.fixtures import aave_fortnight, anvil, gearbox_market, venus_core, venus_pool
from tests.waiting import hasten

# Where bytecode is not kept, each of the suite's many processes would compile the program and its libraries anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell starts background programs with SIGINT ignored; every server of a test would inherit that, and Dagster would then
# ignore SIGTERM too (it gives both signals one handler).
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

# No test asks the public endpoints of real chains, which would otherwise be heard beside a test's own (tests.command agrees).
os.environ["CRYPTOLAKE_PUBLIC_RPC"] = "0"

hasten()

__all__ = ["aave_fortnight", "anvil", "gearbox_market", "venus_core", "venus_pool"]

# No example is bounded in time, so a busy machine fails nothing; the same examples every time, so a red run is red again.
# `make soak` tries many more (`soak`), and `--hypothesis-profile=search` looks for new ones. See `tests.examples`.
_CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("suite", **_CALM, derandomize=True, max_examples=20, database=None)
settings.register_profile("soak", **_CALM, derandomize=True, max_examples=300, database=None)
settings.register_profile("search", **_CALM, max_examples=1000)
settings.load_profile("suite")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, for `-n auto`: tests wait for servers, processes and pauses as well."""
    return (os.cpu_count() or 1) + 1
