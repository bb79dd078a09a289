"""A frozen release of the panel: a folder whose every byte follows from its inputs, with a manifest of SHA-256.

    daily_panel.parquet, daily_panel.csv     the panel
    codebook.json, codebook.md, metadata.json
    recipe.json                              code, selection, prices, registry: what the panel follows from
    ledger.parquet                           every answer it rests on, with its digest
    lineage.parquet                          what each market-day rests on, in digests
    event_days.parquet                       known events (exploits, oracles, pegs) on the market-days they fall on
    registry.json                            all rows of the registry, as `--registry` takes them
    environment.txt                          Python and every installed package with its version
    dictionary.md                            every column of every table, rendered from the contracts
    methods.md                               what was measured, priced, proven, left out
    datapackage.json, croissant.json, .zenodo.json   the same for programs of others
    CITATION.cff, README.md
    MANIFEST.sha256                          digests of all of the above; its own digest is the release's digest

What does not belong here: deciding what is in the panel. No clock is read: the same inputs give the same digest.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import polars as pl

from cryptolake.contracts.table import Table
from cryptolake.errors import BadInput, Stop
from cryptolake.files.atomic import write_bytes
from cryptolake.research import origin as origins
from cryptolake.research.codebook import codebook, page
from cryptolake.research.dictionary import dictionary
from cryptolake.research.methods import methods
from cryptolake.research.origin import Origin, ReleaseInputs
from cryptolake.research.packages import croissant, datapackage, zenodo
from cryptolake.research.release_pages import citation, readme

MANIFEST, RECIPE, ENVIRONMENT = "MANIFEST.sha256", "recipe.json", "environment.txt"
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,40}")
_INDENT = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS


@dataclass(frozen=True, slots=True)
class Release:
    """A written release: its folder, digest, and files with their SHA-256."""

    folder: Path
    digest: str
    files: Mapping[str, str]


def release(
    version: str,
    table: Table,
    panel: pl.DataFrame,
    *,
    metadata: Mapping[str, object],
    registry: object,
    origin: Origin,
    recipe: ReleaseInputs,
    into: Path,
    tables: Mapping[str, tuple[Table, pl.DataFrame]] | None = None,
) -> Release:
    """Write the release folder. The same release again changes nothing; another content under the same version is refused.

    `tables` are further tables, with their contracts, by the name of their Parquet file.
    """
    if not _VERSION.fullmatch(version):
        raise BadInput(f"{version!r} cannot be a version; write e.g. 2024.12 or 1.0.0")
    folder = into / version
    contents = _contents(version, table, panel.sort(table.key), metadata, registry, origin, recipe, tables or {})
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
    manifest = "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
    stored = folder / MANIFEST
    if stored.exists() and stored.read_bytes() != manifest:
        raise Stop(
            f"release {version} exists with other content ({', '.join(changed(manifest_of(folder), digests)[:3])} differ); "
            "a release never changes: choose another version"
        )
    for name, content in contents.items():
        write_bytes(folder / name, content)
    write_bytes(stored, manifest)  # last: a folder without a manifest is no release
    return Release(folder, hashlib.sha256(manifest).hexdigest(), digests)


def manifest_of(folder: Path) -> dict[str, str]:
    """The digests of a release's files, by name. Raises BadInput where there is no release."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        raise BadInput(f"{folder} holds no release ({MANIFEST} is missing)")
    lines = (line.split("  ", 1) for line in manifest.read_text().splitlines())
    return {name: digest for digest, name in lines}


def digest_of(folder: Path) -> str:
    """The release's digest: that of its manifest. Raises BadInput where there is none."""
    manifest_of(folder)
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The files that differ or are in one of the two alone, the panel first."""
    different = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    return sorted(different, key=lambda name: (not name.startswith("daily_panel"), name))


def verify(folder: Path) -> list[str]:
    """Names of files that are missing or differ from the manifest. Raises BadInput when there is none."""
    wrong = []
    for name, digest in manifest_of(folder).items():
        path = folder / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            wrong.append(name)
    return wrong


def parquet(frame: pl.DataFrame) -> bytes:
    """The rows as a Parquet file; the same rows give the same bytes, however many processors made them."""
    buffer = io.BytesIO()
    frame.rechunk().write_parquet(buffer, compression="zstd", compression_level=3)
    return buffer.getvalue()


def _contents(
    version: str,
    table: Table,
    panel: pl.DataFrame,
    metadata: Mapping[str, object],
    registry: object,
    origin: Origin,
    recipe: ReleaseInputs,
    tables: Mapping[str, tuple[Table, pl.DataFrame]],
) -> dict[str, bytes]:
    facts = {name: metadata[name] for name in ("dataset_version", "code_version", "registry_version", "day_boundary")}
    book = codebook(table, panel, path="daily_panel.parquet", facts={**facts, "release": version})
    contracts = {"daily_panel.parquet": table} | {f"{name}.parquet": one for name, (one, _) in tables.items()}
    files = {
        "daily_panel.parquet": parquet(panel),
        "daily_panel.csv": panel.write_csv().encode(),
        "codebook.json": orjson.dumps(book, default=str, option=orjson.OPT_INDENT_2),
        "codebook.md": page(book).encode(),
        "metadata.json": orjson.dumps(metadata, default=str, option=_INDENT),
        ENVIRONMENT: origin.environment.encode(),
        "registry.json": orjson.dumps(registry, default=str, option=_INDENT),
        RECIPE: origins.written(origin, recipe),
        **{f"{name}.parquet": parquet(frame) for name, (_, frame) in tables.items()},
        "CITATION.cff": citation(version, metadata, origin).encode(),
        "README.md": readme(version, metadata, origin, recipe, MANIFEST).encode(),
        "dictionary.md": dictionary(version, contracts).encode(),
        "methods.md": methods(version, table, panel, metadata, origin).encode(),
        ".zenodo.json": orjson.dumps(zenodo(version, metadata, origin), option=orjson.OPT_INDENT_2),
    }
    files["croissant.json"] = orjson.dumps(
        croissant(version, table, panel, metadata, origin, files), option=orjson.OPT_INDENT_2
    )
    files["datapackage.json"] = orjson.dumps(
        datapackage(version, table, panel, metadata, origin, files), option=orjson.OPT_INDENT_2
    )
    return files
