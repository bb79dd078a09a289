"""Fixtures every test folder shares. Chain fixtures start nothing until a test asks for them."""

from tests.chain.fixtures import aave_fortnight, anvil, gearbox_market, venus_core, venus_pool

__all__ = ["aave_fortnight", "anvil", "gearbox_market", "venus_core", "venus_pool"]
