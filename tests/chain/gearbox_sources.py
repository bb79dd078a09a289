"""`gearbox_contracts`: Gearbox core v3.1 from npm `@gearbox-protocol/core-v3`, compiled in memory by npm `solc` (about 7 s).

Nothing built is written to disk. 1inch's transfer library is replaced by `contracts/GearboxTransfers.sol`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

from .solidity import NODE_MODULES, Artifact

CONTRACTS = Path(__file__).parent / "contracts"
_CORE = "@gearbox-protocol/core-v3/contracts"
_WANTED = (
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
    missing = [one for one in ("solc", "openzeppelin-4", _CORE) if not (NODE_MODULES / one).is_dir()]
    return f"{', '.join(missing)} not installed; run: npm ci --ignore-scripts" if missing else None


@cache
def gearbox_contracts() -> dict[str, Artifact]:
    """Every contract by name; raises ValueError with the compiler's words."""
    files = {f"{_CORE}/{name}.sol": NODE_MODULES / _CORE / f"{name}.sol" for name in _WANTED}
    files["GearboxTown.sol"] = CONTRACTS / "GearboxTown.sol"
    job = {
        "modules": str(NODE_MODULES),
        "instead": {
            "@openzeppelin/contracts/": f"{NODE_MODULES}/openzeppelin-4/",
            "@1inch/solidity-utils/contracts/libraries/SafeERC20.sol": str(CONTRACTS / "GearboxTransfers.sol"),
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
