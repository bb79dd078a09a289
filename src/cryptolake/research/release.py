"""A frozen release of the panel: a folder whose every byte follows from its inputs, with a manifest of SHA-256.

    daily_panel.parquet, daily_panel.csv     the panel
    codebook.json, codebook.md, metadata.json
    environment.txt                          Python and every installed package with its version
    registry.json                            the registry's version id and the markets in the panel
    CITATION.cff, README.md
    MANIFEST.sha256                          digests of all of the above; its own digest is the release's digest

What does not belong here: deciding what is in the panel. No clock is read: the same inputs give the same digest.
"""

from __future__ import annotations

import hashlib
import io
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import orjson
import polars as pl

from cryptolake.contracts.counting import counted
from cryptolake.contracts.table import Table
from cryptolake.errors import BadInput, Stop
from cryptolake.files.atomic import write_bytes
from cryptolake.research.codebook import codebook, page

MANIFEST = "MANIFEST.sha256"
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,40}")


@dataclass(frozen=True, slots=True)
class Release:
    """A written release: its folder, digest, and files with their SHA-256."""

    folder: Path
    digest: str
    files: Mapping[str, str]


def release(
    version: str, table: Table, panel: pl.DataFrame, *, metadata: Mapping[str, object], registry: object, into: Path
) -> Release:
    """Write the release folder. The same release again changes nothing; another content under the same version is refused."""
    if not _VERSION.fullmatch(version):
        raise BadInput(f"{version!r} cannot be a version; write e.g. 2024.12 or 1.0.0")
    folder = into / version
    contents = _contents(version, table, panel.sort(table.key), metadata, registry)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
    manifest = "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
    stored = folder / MANIFEST
    if stored.exists() and stored.read_bytes() != manifest:
        before = {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in stored.read_text().splitlines()}
        different = [name for name in {*before, *digests} if before.get(name) != digests.get(name)]
        changed = sorted(different, key=lambda name: (not name.startswith("daily_panel"), name))
        raise Stop(
            f"release {version} exists with other content ({', '.join(changed[:3])} differ); a release never changes: "
            "choose another version"
        )
    for name, content in contents.items():
        write_bytes(folder / name, content)
    write_bytes(stored, manifest)  # last: a folder without a manifest is no release
    return Release(folder, hashlib.sha256(manifest).hexdigest(), digests)


def verify(folder: Path) -> list[str]:
    """Names of files that are missing or differ from the manifest. Raises BadInput when there is none."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        raise BadInput(f"{folder} holds no release ({MANIFEST} is missing)")
    wrong = []
    for line in manifest.read_text().splitlines():
        digest, name = line.split("  ", 1)
        path = folder / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            wrong.append(name)
    return wrong


def _contents(
    version: str, table: Table, panel: pl.DataFrame, metadata: Mapping[str, object], registry: object
) -> dict[str, bytes]:
    buffer = io.BytesIO()
    panel.write_parquet(buffer, compression="zstd", compression_level=3)
    facts = {name: metadata[name] for name in ("dataset_version", "code_version", "registry_version", "day_boundary")}
    book = codebook(table, panel, path="daily_panel.parquet", facts={**facts, "release": version})
    indent = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    return {
        "daily_panel.parquet": buffer.getvalue(),
        "daily_panel.csv": panel.write_csv().encode(),
        "codebook.json": orjson.dumps(book, default=str, option=orjson.OPT_INDENT_2),
        "codebook.md": page(book).encode(),
        "metadata.json": orjson.dumps(metadata, default=str, option=indent),
        "environment.txt": environment().encode(),
        "registry.json": orjson.dumps(registry, default=str, option=indent),
        "CITATION.cff": citation(version, metadata).encode(),
        "README.md": _readme(version, metadata).encode(),
    }


def environment() -> str:
    """Python's version and every installed distribution as `name==version`, sorted: enough to install it again."""
    found = {(one.metadata["Name"] or "").lower().replace("_", "-"): one.version for one in distributions()}
    lines = [f"{name}=={version}" for name, version in sorted(found.items()) if name]
    return f"# Python {platform.python_version()}\n" + "\n".join(lines) + "\n"


def citation(version: str, metadata: Mapping[str, object]) -> str:
    """CITATION.cff of the dataset; dated by its last day, which is the same whenever it is written."""
    sandbox = " (demonstration data, not a public chain)" if metadata.get("sandbox") else ""
    return (
        "cff-version: 1.2.0\n"
        "message: If you use this dataset, please cite it as below.\n"
        "type: dataset\n"
        f"title: Daily panel of TVL and liquidations of lending markets{sandbox}\n"
        f'version: "{version}"\n'
        f"date-released: {metadata['end_date']}\n"
        "authors:\n  - name: cryptolake contributors\n"
        f"identifiers:\n  - type: other\n    value: sha256:{metadata['dataset_version']}\n"
        "    description: content digest of the rows\n"
    )


def _told(metadata: Mapping[str, object], noun: str) -> str:
    """A number of the metadata (`markets`, `days`, `rows`) with its noun."""
    return counted(int(str(metadata[f"{noun}s"])), noun)


def _readme(version: str, metadata: Mapping[str, object]) -> str:
    """What replicators look for, after the template of the social science data editors."""
    note = f"**{metadata['sandbox_note']}**\n\n" if metadata.get("sandbox_note") else ""
    return f"""# Daily panel of lending markets, release {version}

{note}{_told(metadata, "market")}, {_told(metadata, "day")} ({metadata["start_date"]} .. {metadata["end_date"]}),
{_told(metadata, "row")}.

## Data availability

Read from the chains themselves at the snapshot blocks named in the panel; every market's contract addresses are in
`metadata.json`. Prices: see `price_sources` there. Nothing is filled forward; a missing value has a status code.

## Files

`daily_panel.parquet` and `daily_panel.csv` are the same rows. `codebook.md` explains every column. `{MANIFEST}` holds the
SHA-256 of every file: check with `sha256sum -c {MANIFEST}`.

## To make it again

Install the versions of `environment.txt`, take cryptolake {metadata["code_version"]} with registry
{str(metadata["registry_version"])[:16]}, and the same bronze folder; run `cryptolake rebuild` and
`cryptolake release {version}`. The digest of the rows must be
`{metadata["dataset_version"]}`.

## How to cite

See `CITATION.cff`.
"""
