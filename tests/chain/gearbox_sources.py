"""`gearbox_contracts`: Gearbox core v2 and v3.1 from npm `@gearbox-protocol/core-v2` and `core-v3`, compiled by npm `solc`.

In memory, nothing built is written to disk; about 12 s. 1inch's transfer library is replaced by `GearboxTransfers.sol`, what
v2 imports from Chainlink and for adapters by `GearboxV2Imports.sol`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

from .solidity import NODE_MODULES, Artifact

CONTRACTS = Path(__file__).parent / "contracts"
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

_COMPILE = """
const fs = require('fs'), path = require('path');
const job = JSON.parse(fs.readFileSync(0, 'utf8'));
const solc = require(path.join(job.modules, 'solc'));
const read = name => {
  const from = Object.keys(job.instead).find(one => name.startsWith(one));
  const file = from ? job.instead[from] + name.slice(from.length) : path.join(job.modules, name);
  return {contents: fs.readFileSync(file, 'utf8')};
};
process.stdout.write('\\n' + solc.compile(JSON.stringify(job.input), {import: read}));
"""


def gearbox_missing() -> str | None:
    """Why the contracts cannot be compiled here, with the remedy; None when they can."""
    if shutil.which("node") is None:
        return "Node.js is not installed; install it and run: npm ci --ignore-scripts"
    missing = [one for one in ("solc", "openzeppelin-4", _V2, _V3) if not (NODE_MODULES / one).is_dir()]
    return f"{', '.join(missing)} not installed; run: npm ci --ignore-scripts" if missing else None


@cache
def gearbox_contracts() -> dict[str, Artifact]:
    """Every contract by name; raises ValueError with the compiler's words."""
    names = [f"{core}/{name}.sol" for core, wanted in ((_V2, _WANTED_V2), (_V3, _WANTED_V3)) for name in wanted]
    files = {name: NODE_MODULES / name for name in names}
    files["GearboxTown.sol"] = CONTRACTS / "GearboxTown.sol"
    job = {
        "modules": str(NODE_MODULES),
        "instead": {
            "@openzeppelin/contracts/": f"{NODE_MODULES}/openzeppelin-4/",
            "@1inch/solidity-utils/contracts/libraries/SafeERC20.sol": str(CONTRACTS / "GearboxTransfers.sol"),
            "@chainlink/contracts/src/v0.8/interfaces/AggregatorV3Interface.sol": str(
                CONTRACTS / "GearboxV2Imports.sol"
            ),
            "@gearbox-protocol/integration-types/contracts/PriceFeedType.sol": str(CONTRACTS / "GearboxV2Imports.sol"),
            "@gearbox-protocol/integration-types/contracts/AdapterType.sol": str(CONTRACTS / "GearboxV2Imports.sol"),
        },
        "input": {
            "language": "Solidity",
            "sources": {name: {"content": path.read_text("utf-8")} for name, path in files.items()},
            "settings": {
                "optimizer": {"enabled": True, "runs": 1},
                "evmVersion": "shanghai",
                "outputSelection": {"*": {"*": ["evm.bytecode.object"]}},
            },
        },
    }
    done = subprocess.run(
        ["node", "-e", _COMPILE], input=json.dumps(job), capture_output=True, text=True, check=True, timeout=240
    )
    output = json.loads(done.stdout.rpartition("\n")[2])
    faults = [one["formattedMessage"] for one in output.get("errors", ()) if one["severity"] == "error"]
    if faults:
        raise ValueError("\n".join(faults))
    return {
        name: Artifact(name, "0x" + body["evm"]["bytecode"]["object"], ())
        for contracts in output["contracts"].values()
        for name, body in contracts.items()
    }
