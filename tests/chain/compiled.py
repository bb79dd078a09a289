"""`compiled`: this repository's own test contracts, built by npm `solc` in memory. Nothing built is written to disk."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

from .solidity import NODE_MODULES, Artifact

CONTRACTS = Path(__file__).parent / "contracts"

_COMPILE = """
const solc = require('solc');
let input = '';
process.stdin.on('data', piece => input += piece).on('end', () => process.stdout.write(solc.compile(input)));
"""


def compiler_missing() -> str | None:
    """Why nothing can be compiled here, with the remedy; None when it can."""
    if shutil.which("node") is None:
        return "Node.js is not installed; install it and run: npm ci --ignore-scripts"
    if not (NODE_MODULES / "solc").is_dir():
        return "the Solidity compiler is not installed; run: npm ci --ignore-scripts"
    return None


@cache
def compiled(*files: str) -> dict[str, Artifact]:
    """Every contract of these files of `contracts/` by name; raises ValueError with the compiler's words."""
    job = {
        "language": "Solidity",
        "sources": {name: {"content": (CONTRACTS / name).read_text("utf-8")} for name in files},
        "settings": {
            "evmVersion": "cancun",
            "outputSelection": {"*": {"*": ["evm.bytecode.object"]}},
        },
    }
    answer = subprocess.run(
        ["node", "-e", _COMPILE], cwd=NODE_MODULES.parent, input=json.dumps(job), capture_output=True, text=True,
        check=True, timeout=120,
    )  # fmt: skip
    output = json.loads(answer.stdout[answer.stdout.index("{") :])
    faults = [one["formattedMessage"] for one in output.get("errors", ()) if one["severity"] == "error"]
    if faults:
        raise ValueError("\n".join(faults))
    return {
        name: Artifact(name, "0x" + body["evm"]["bytecode"]["object"], ())
        for contracts in output["contracts"].values()
        for name, body in contracts.items()
    }
