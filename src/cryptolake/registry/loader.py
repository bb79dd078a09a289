"""Loads and lints the registry: the package's rows plus a user's YAML file. Every fault is reported at once, with its line.

What does not belong here: asking a chain whether a row is true.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import yaml

from cryptolake.errors import BadInput
from cryptolake.net.abi import checksum
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu

# The entry that identifies a market within its chain, per family; None: the name alone does.
PRIMARY_ENTRY: Mapping[str, str | None] = {
    "aave_v2": "pool",
    "aave_v3": "pool",
    "aave_v4": None,
    "cap": "cap_token_vault",
    "compound_v2": "comptroller",
    "compound_v3": "comet",
    "dolomite": "dolomite_margin",
    "euler_v2": "evault_factory",
    "fluid": "liquidity",
    "gearbox": "address_provider_v300",
    "morpho_blue": "morpho",
    "silo_v2": "silo_factory",
}
_STATUSES = {"verified", "single-source", "unverified"}
T = TypeVar("T", Csu, Chain)
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class Registry:
    """All known markets and chains by name."""

    csus: Mapping[str, Csu]
    chains: Mapping[str, Chain]

    def csu(self, name: str) -> Csu:
        """The market of this name or alias. Raises BadInput with near misses."""
        return _find(name, self.csus, {alias: csu for csu in self.csus.values() for alias in csu.aliases}, "market")

    def chain(self, name: str) -> Chain:
        """The chain of this name or alias. Raises BadInput with near misses."""
        return _find(name, self.chains, {alias: one for one in self.chains.values() for alias in one.aliases}, "chain")


def _find(name: str, known: Mapping[str, T], aliases: Mapping[str, T], kind: str) -> T:
    if (found := known.get(name) or aliases.get(name)) is not None:
        return found
    near = difflib.get_close_matches(name, [*known, *aliases], n=3)
    hint = f"did you mean {', '.join(near)}?" if near else f"see the {len(known)} known ones in the registry"
    raise BadInput(f"unknown {kind} {name!r}; {hint}")


def select(
    registry: Registry, *, csus: Iterable[str] = (), chains: Iterable[str] = (), families: Iterable[str] = ()
) -> list[Csu]:
    """Markets that meet every given criterion, by name; all of them when none is given. Raises BadInput for unknown names."""
    named = {registry.csu(name).name for name in csus}
    on = {registry.chain(name).name for name in chains}
    known_families = {csu.family for csu in registry.csus.values()}
    for family in families:
        if family not in known_families:
            raise BadInput(f"unknown family {family!r}; known: {', '.join(sorted(known_families))}")
    of = set(families)
    return [
        csu
        for name, csu in sorted(registry.csus.items())
        if (not named or name in named) and (not on or csu.chain in on) and (not of or csu.family in of)
    ]


@dataclass(frozen=True, slots=True)
class _Row:
    """A mapping read from YAML, with where it stands, for fault lines."""

    values: Mapping[str, object]
    where: str


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """Keeps each mapping's line under the key `__line__`."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        mapping: dict[object, object] = super().construct_mapping(node, deep=deep)
        mapping["__line__"] = node.start_mark.line + 1
        return mapping


@lru_cache(maxsize=8)
def load_registry(extra: Path | None = None) -> Registry:
    """The package's registry, with the rows of a user's YAML file (keys `csus:` and `chains:`) added or overriding.

    Raises BadInput with every fault found, each with file and line.
    """
    folder = files("cryptolake.registry") / "data"
    faults: list[str] = []
    chain_rows = _rows("chains.yaml", (folder / "chains.yaml").read_text("utf-8"), "chains", faults)
    csu_rows: list[_Row] = []
    for file in sorted((folder / "markets").iterdir(), key=lambda one: one.name):
        csu_rows += _rows(file.name, file.read_text("utf-8"), "csus", faults)
    if extra is not None:
        try:
            text = extra.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "is not UTF-8 text"
            raise BadInput(f"registry file {extra}: {reason}; correct --registry or CRYPTOLAKE_REGISTRY") from None
        mine_chains, mine = (_rows(str(extra), text, section, faults) for section in ("chains", "csus"))
        chain_rows = _override(chain_rows, mine_chains)
        csu_rows = _override(csu_rows, mine)
    chains = {str(row.values.get("name")): _chain(row, faults) for row in chain_rows}
    csus: dict[str, Csu] = {}
    seen: dict[tuple[int, str], str] = {}
    for row in csu_rows:
        csu = _csu(row, chains, faults)
        if csu is None:
            continue
        if csu.name in csus:
            faults.append(f"{row.where}: market {csu.name} is listed twice")
        primary = csu.entry.get(PRIMARY_ENTRY.get(csu.family) or "")
        if primary is not None and _ADDRESS.fullmatch(primary):
            other = seen.setdefault((csu.chain_id, primary), csu.name)
            if other != csu.name:
                faults.append(f"{row.where}: {csu.name} and {other} claim the same contract {primary}")
        csus[csu.name] = csu
    if faults:
        raise BadInput("registry: " + "; ".join(faults))
    return Registry(csus, chains)


def _override(rows: Sequence[_Row], mine: Sequence[_Row]) -> list[_Row]:
    names = {row.values.get("name") for row in mine}
    return [row for row in rows if row.values.get("name") not in names] + list(mine)


def _rows(file: str, text: str, section: str, faults: list[str]) -> list[_Row]:
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader with line numbers
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        raise BadInput(
            f"{file}:{line}: not readable as YAML ({getattr(error, 'problem', 'malformed')}); correct it"
        ) from None
    if document is None:
        return []
    if not isinstance(document, dict):
        raise BadInput(f"{file}:1: a registry file holds the keys `csus:` and `chains:`")
    if unknown := sorted(str(key) for key in document if key not in {"csus", "chains", "schema_version", "__line__"}):
        faults.append(f"{file}:1: unknown key {unknown[0]!r}; a registry file holds `csus:` and `chains:`")
    found = document.get(section)
    if found is None:
        return []
    if section == "chains" and isinstance(found, dict):
        found = [{**row, "name": name} for name, row in found.items() if name != "__line__" and isinstance(row, dict)]
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        faults.append(f"{file}: `{section}:` must hold rows")
        return []
    return [_Row(row, f"{file}:{row.get('__line__', 1)}") for row in found]


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else ()


def _chain(row: _Row, faults: list[str]) -> Chain:
    values = row.values
    multicall = values.get("multicall3")
    multicall = multicall if isinstance(multicall, dict) else {}
    chain_id, block_time, since = values.get("chain_id"), values.get("block_time_s"), multicall.get("block")
    if not isinstance(chain_id, int):
        faults.append(f"{row.where}: chain {values.get('name')} needs a whole number chain_id")
    return Chain(
        name=str(values.get("name")),
        chain_id=chain_id if isinstance(chain_id, int) else 0,
        aliases=_texts(values.get("aliases")),
        native_symbol=str(values.get("native_symbol") or ""),
        block_time_s=float(block_time) if isinstance(block_time, int | float) else None,
        multicall3_address=str(multicall["address"]) if multicall.get("address") else None,
        multicall3_block=since if isinstance(since, int) else None,
        public_rpcs=_texts(values.get("public_rpcs")),
        alchemy_subdomain=str(values["alchemy_subdomain"]) if values.get("alchemy_subdomain") else None,
        defillama_name=str(values["defillama_name"]) if values.get("defillama_name") else None,
    )


def _csu(row: _Row, chains: Mapping[str, Chain], faults: list[str]) -> Csu | None:
    values = row.values
    name = str(values.get("name"))
    before = len(faults)

    def fault(text: str) -> None:
        faults.append(f"{row.where}: market {name}: {text}")

    if not _NAME.fullmatch(name):
        fault("a name has lower-case letters, digits and underscores")
    family, chain = str(values.get("family")), chains.get(str(values.get("chain")))
    if family not in PRIMARY_ENTRY:
        fault(f"unknown family {family!r}; known: {', '.join(PRIMARY_ENTRY)}")
    if chain is None:
        fault(f"unknown chain {values.get('chain')!r}")
    elif values.get("chain_id", chain.chain_id) != chain.chain_id:
        fault(f"chain_id {values.get('chain_id')} is not {chain.name}'s {chain.chain_id}")
    entry = values.get("entry")
    entry = {str(k): v for k, v in entry.items() if k != "__line__"} if isinstance(entry, dict) else {}
    for key, value in entry.items():
        for address in _ADDRESS.findall(str(value)):
            if checksum(address) != address:
                fault(f"{key} {address} fails EIP-55; it should read {checksum(address)}")
    if not entry:
        fault(f"entry needs an address, e.g. {PRIMARY_ENTRY.get(family) or 'hub'}")
    sandbox = values.get("sandbox") is True
    if not values.get("sources") and not sandbox:
        fault("at least one source must be named")
    if str(values.get("status", "unverified")) not in _STATUSES:
        fault(f"status must be one of {', '.join(sorted(_STATUSES))}")
    deployment = values.get("deployment")
    deployment = deployment if isinstance(deployment, dict) else {}
    block, day = deployment.get("block"), deployment.get("date")
    deployed_on: date | None = None
    if day is not None:
        try:
            deployed_on = date.fromisoformat(str(day))
        except ValueError:
            fault(f"deployment date {day!r} is no date like 2024-12-31")
    if block is not None and not isinstance(block, int):
        fault(f"deployment block {block!r} is no whole number")
    if len(faults) > before or chain is None:
        return None
    return Csu(
        name=name,
        family=family,
        protocol=str(values.get("protocol") or family),
        version=str(values.get("version") or ""),
        chain=chain.name,
        chain_id=chain.chain_id,
        entry={key: str(value) for key, value in entry.items()},
        deployed_block=block,
        deployed_on=deployed_on,
        sources=_texts(values.get("sources")),
        status=str(values.get("status", "unverified")),
        aliases=_texts(values.get("aliases")),
        notes=_texts(values.get("notes")),
        in_seed_43=values.get("in_seed_43") is True,
        in_thesis_46=values.get("in_thesis_46") is True,
        sandbox=sandbox,
    )
