"""`gearbox_contracts`: Gearbox core v2 and v3.1 from npm `@gearbox-protocol/core-v2` and `core-v3`, compiled by npm `solc`.

About 12 s. 1inch's transfer library is replaced by `GearboxTransfers.sol`, what
v2 imports from Chainlink and for adapters by `GearboxV2Imports.sol`.
"""

from __future__ import annotations

from functools import cache

from .solc import CONTRACTS, build, cannot_build
from .solidity import NODE_MODULES, Artifact

_V2, _V3 = "@gearbox-protocol/core-v2/contracts", "@gearbox-protocol/core-v3/contracts"
_WANTED_V2 = (
    "core/ACL", "core/AddressProvider", "core/ContractsRegister", "core/AccountFactory", "pool/PoolService",
    "pool/LinearInterestRateModel", "credit/CreditManager", "credit/CreditFacade", "oracles/PriceOracle",
)  # fmt: skip
_WANTED_V3 = (
    "pool/PoolV3", "pool/PoolQuotaKeeperV3", "pool/LinearInterestRateModelV3", "pool/TumblerV3", "credit/CreditManagerV3",
    "credit/CreditFacadeV3", "core/PriceOracleV3", "core/BotListV3", "core/DefaultAccountFactoryV3",
    "core/AliasedLossPolicyV3",
)  # fmt: skip
# What the packages import and npm does not bring along, by the beginning of its name.
_INSTEAD = {
    "@openzeppelin/contracts/": f"{NODE_MODULES}/openzeppelin-4/",
    "@1inch/solidity-utils/contracts/libraries/SafeERC20.sol": str(CONTRACTS / "GearboxTransfers.sol"),
    "@chainlink/contracts/src/v0.8/interfaces/AggregatorV3Interface.sol": str(CONTRACTS / "GearboxV2Imports.sol"),
    "@gearbox-protocol/integration-types/contracts/PriceFeedType.sol": str(CONTRACTS / "GearboxV2Imports.sol"),
    "@gearbox-protocol/integration-types/contracts/AdapterType.sol": str(CONTRACTS / "GearboxV2Imports.sol"),
}


def gearbox_missing() -> str | None:
    """Why the contracts cannot be compiled here, with the remedy; None when they can."""
    return cannot_build("solc", "openzeppelin-4", _V2, _V3)


@cache
def gearbox_contracts() -> dict[str, Artifact]:
    """Every contract by name; raises ValueError with the compiler's words."""
    names = [f"{core}/{name}.sol" for core, wanted in ((_V2, _WANTED_V2), (_V3, _WANTED_V3)) for name in wanted]
    return build(*names, "GearboxTown.sol", evm="shanghai", runs=1, instead=_INSTEAD)
