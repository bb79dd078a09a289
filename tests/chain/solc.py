"""Compiles Solidity with npm's `solc` in memory: sources of npm packages and our own. Nothing built is written to disk."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.waiting import PATIENCE_S

from .solidity import NODE_MODULES, Artifact

CONTRACTS = Path(__file__).parent / "contracts"

_COMPILE = """
const fs = require('fs'), path = require('path');
const job = JSON.parse(fs.readFileSync(0, 'utf8'));
const solc = require(path.join(job.modules, job.compiler));
const read = name => {
  const from = Object.keys(job.instead).find(one => name.startsWith(one));
  const file = from ? job.instead[from] + name.slice(from.length) : path.join(job.modules, name);
  return {contents: fs.readFileSync(file, 'utf8')};
};
process.stdout.write('\\n' + solc.compile(JSON.stringify(job.input), {import: read}));
"""


def cannot_build(*packages: str) -> str | None:
    """Why these npm packages cannot be compiled here, with the remedy; None when they can."""
    if shutil.which("node") is None:
        return "Node.js is not installed; install it and run: npm ci --ignore-scripts"
    missing = [name for name in packages if not (NODE_MODULES / name).is_dir()]
    return f"{', '.join(missing)} not installed; run: npm ci --ignore-scripts" if missing else None


def build(
    *files: str,
    evm: str,
    compiler: str = "solc",
    runs: int | None = None,
    instead: Mapping[str, str] | None = None,
) -> dict[str, Artifact]:
    """Every contract of `files` by name: a package's own path, or a name in `contracts/`.

    `evm` is the EVM's version, `runs` the optimizer's (None: off), `instead` says by the beginning of an imported name
    where else it is read. Raises ValueError with the compiler's words.
    """
    sources = {}
    for name in files:
        path = CONTRACTS / name if (CONTRACTS / name).is_file() else NODE_MODULES / name
        sources[name] = {"content": path.read_text("utf-8")}
    job = {
        "modules": str(NODE_MODULES),
        "compiler": compiler,
        "instead": dict(instead or {}),
        "input": {
            "language": "Solidity",
            "sources": sources,
            "settings": {
                **({} if runs is None else {"optimizer": {"enabled": True, "runs": runs}}),
                "evmVersion": evm,
                "outputSelection": {"*": {"*": ["evm.bytecode.object"]}},
            },
        },
    }
    done = subprocess.run(
        ["node", "-e", _COMPILE], input=json.dumps(job), capture_output=True, text=True, check=True, timeout=PATIENCE_S
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
