"""`built`: contracts from Solidity sources that npm packages publish, and our own beside them, compiled in memory by npm solc.

Nothing built is written to disk. The compiler is the version the package names in its sources.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

from .solidity import NODE_MODULES, Artifact

CONTRACTS = Path(__file__).parent / "contracts"

_COMPILE = """
const fs = require('fs'), path = require('path');
const job = JSON.parse(fs.readFileSync(0, 'utf8'));
const solc = require(path.join(job.modules, job.compiler));
const read = name => ({contents: fs.readFileSync(path.join(job.modules, name), 'utf8')});
process.stdout.write('\\n' + solc.compile(JSON.stringify(job.input), {import: read}));
"""


def cannot_build(*packages: str) -> str | None:
    """Why these npm packages cannot be compiled here, with the remedy; None when they can."""
    if shutil.which("node") is None:
        return "Node.js is not installed; install it and run: npm ci --ignore-scripts"
    missing = [name for name in packages if not (NODE_MODULES / name).is_dir()]
    return f"{', '.join(missing)} not installed; run: npm ci --ignore-scripts" if missing else None


@cache
def built(compiler: str, *files: str) -> dict[str, Artifact]:
    """Every contract of `files` by name: a package's own path, or a name in `contracts/`. Raises ValueError with the faults."""
    sources = {}
    for name in files:
        path = CONTRACTS / name if (CONTRACTS / name).is_file() else NODE_MODULES / name
        sources[name] = {"content": path.read_text("utf-8")}
    job = {
        "modules": str(NODE_MODULES),
        "compiler": compiler,
        "input": {
            "language": "Solidity",
            "sources": sources,
            "settings": {
                "optimizer": {"enabled": True, "runs": 200},
                "evmVersion": "paris",
                "outputSelection": {"*": {"*": ["evm.bytecode.object"]}},
            },
        },
    }
    done = subprocess.run(
        ["node", "-e", _COMPILE], input=json.dumps(job), capture_output=True, text=True, check=True, timeout=120
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
