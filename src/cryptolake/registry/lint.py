"""One row of YAML into one typed `Chain` or `Csu`, with every fault of the row reported.

What does not belong here: rules between rows (`loader`) and asking a chain whether a row is true.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import cast, get_args

from cryptolake.contracts.receipt_rules import NOT_SUPPORTED, RECEIPT_RULES, ReceiptRule
from cryptolake.net.abi import checksum
from cryptolake.net.block_identity import KnownBlock
from cryptolake.registry.chains import UNSAID, Chain
from cryptolake.registry.clock_rows import read_clock, read_day
from cryptolake.registry.family import FamilyFacts
from cryptolake.registry.markets import FIRST_OF_UNNUMBERED, Csu, unit_number
from cryptolake.registry.rows import LINE, Row, report_unknown

_STATUSES = ("verified", "single-source", "unverified")
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
RESOLVED = "resolve_on_chain:"  # an entry to be read from the chain, followed by the call that gives it

_CHAIN_KEYS = frozenset(
    [
        "name",
        "chain_id",
        "aliases",
        "native_symbol",
        "known_block",
        "block_time_s",
        "block_time_source",
        "block_time_history",
        "launched",
        "kind",
        "notes",
        "multicall3",
        "public_rpcs",
        "receipts",
        "sqd_dataset",
        "alchemy_subdomain",
        "alchemy_source",
        "defillama_name",
        "viem_name",
        "web3py_poa_middleware",
    ]
)
_CSU_KEYS = frozenset(
    [
        "name",
        "number",
        "aliases",
        "family",
        "protocol",
        "version",
        "variant",
        "chain",
        "chain_id",
        "entry",
        "facts",
        "deployment",
        "sources",
        "status",
        "notes",
        "in_seed_43",
        "in_thesis_46",
        "sandbox",
        "base_token",
        "price_numeraire",
        "collateral_symbols_in_repo",
        "protocol_data_provider_history",
        "entry_deployment_blocks",
        "resolver_history",
    ]
)
_BLOCK_KINDS = ("exact", "lower bound")
_DEPLOYMENT_KEYS = frozenset(["block", "block_source", "block_kind", "date", "date_kind", "open", LINE])


class _Faults:
    """Collects the faults of one row, each with the row's place and name."""

    def __init__(self, row: Row, kind: str, faults: list[str]) -> None:
        self._start = f"{row.where}: {kind} {row.values.get('name')}: "
        self._faults, self._before = faults, len(faults)

    def __call__(self, text: str) -> None:
        self._faults.append(self._start + text)

    def __bool__(self) -> bool:
        return len(self._faults) > self._before


def read_chain(row: Row, faults: list[str]) -> Chain | None:
    """The chain of this row, or None when `faults` grew."""
    values, fault = row.values, _Faults(row, "chain", faults)
    report_unknown(values, _CHAIN_KEYS, row.where, faults)
    name = str(values.get("name"))
    if not _NAME.fullmatch(name):
        fault("a name has lower-case letters, digits and underscores")
    chain_id = _whole(values.get("chain_id"))
    if not chain_id:
        fault("chain_id must be a whole number above 0, e.g. chain_id: 1")
    block_time = values.get("block_time_s")
    if block_time is not None and (not isinstance(block_time, int | float) or not 0 < block_time < 3600):
        fault(f"block_time_s {block_time!r} must be seconds between 0 and 3600")
    clock = read_clock(values.get("block_time_history"), block_time, fault)
    launched = read_day(values.get("launched"))
    if values.get("launched") is not None and launched is None:
        fault(f"launched {values.get('launched')!r} must be a day, e.g. '2024-12-01'")
    multicall = values.get("multicall3") or {}
    if not isinstance(multicall, dict):
        fault("multicall3 has the keys address and block")
        multicall = {}
    address, since = multicall.get("address"), multicall.get("block")
    if address is not None:
        _check_address("multicall3.address", address, fault)
    if since is not None and _whole(since) is None:
        fault(f"multicall3.block {since!r} is no whole number")
    known = values.get("known_block", "header")
    if known not in get_args(KnownBlock):
        fault(f"known_block {known!r} must be one of {', '.join(get_args(KnownBlock))}")
    aliases = _texts("aliases", values.get("aliases"), fault)
    public_rpcs = _texts("public_rpcs", values.get("public_rpcs"), fault)
    receipts, why = _receipts(values.get("receipts"), fault)
    if fault or chain_id is None:
        return None
    return Chain(
        name=name,
        chain_id=chain_id,
        aliases=aliases,
        native_symbol=str(values.get("native_symbol") or ""),
        block_time_s=float(block_time) if isinstance(block_time, int | float) else None,
        multicall3_address=address,
        multicall3_block=_whole(since),
        public_rpcs=public_rpcs,
        alchemy_subdomain=str(values["alchemy_subdomain"]) if values.get("alchemy_subdomain") else None,
        defillama_name=str(values["defillama_name"]) if values.get("defillama_name") else None,
        clock=clock,
        launched=launched,
        known_block=cast(KnownBlock, known),
        sqd_dataset=str(values["sqd_dataset"]) if values.get("sqd_dataset") else None,
        receipts=receipts,
        receipts_why=why or UNSAID,
    )


def _receipts(given: object, fault: _Faults) -> tuple[ReceiptRule | None, str]:
    """The rule of a chain's receipts and why it is that; nothing of either when the row does not say."""
    if given is None:
        return None, ""
    rule, why = (given.get("rule"), given.get("why")) if isinstance(given, dict) else (None, None)
    if rule not in {*RECEIPT_RULES, NOT_SUPPORTED} or not isinstance(why, str) or not why:
        fault(
            f"receipts has the keys rule ({', '.join(RECEIPT_RULES)} or {NOT_SUPPORTED}) and why, a source or a reason"
        )
    return next((one for one in RECEIPT_RULES if one == rule), None), str(why)


def read_csu(
    row: Row,
    chains: Mapping[str, Chain],
    families: Mapping[str, FamilyFacts],
    faulty: Collection[str],
    faults: list[str],
) -> Csu | None:
    """The market of this row, or None when `faults` grew. A chain in `faulty` is known but has a fault of its own."""
    values, fault = row.values, _Faults(row, "market", faults)
    report_unknown(values, _CSU_KEYS, row.where, faults)
    name, family, chain_name = (str(values.get(key)) for key in ("name", "family", "chain"))
    if not _NAME.fullmatch(name):
        fault("a name has lower-case letters, digits and underscores")
    if family not in families:
        fault(f"unknown family {family!r}; known: {', '.join(families)}")
    chain = chains.get(chain_name) or next((one for one in chains.values() if chain_name in one.aliases), None)
    if chain is None and chain_name not in faulty:
        fault(f"unknown chain {values.get('chain')!r}; add it under `chains:` or use a known one")
    elif chain is not None and values.get("chain_id", chain.chain_id) != chain.chain_id:
        fault(f"chain_id {values.get('chain_id')!r} is not {chain.name}'s {chain.chain_id}")
    entry = _entry(values.get("entry"), families.get(family), fault)
    facts = _facts(values, families.get(family), fault)
    sandbox = values.get("sandbox", False)
    sources = _texts("sources", values.get("sources"), fault)
    if not sources and sandbox is not True:
        fault("at least one source must be named under `sources:`")
    number = _whole(values.get("number"))
    if "number" in values and not 0 < (number or 0) < FIRST_OF_UNNUMBERED:
        fault(f"number {values['number']!r} must be a whole number from 1 to {FIRST_OF_UNNUMBERED - 1}")
    status = str(values.get("status", "unverified"))
    if status not in _STATUSES:
        fault(f"status {status!r} must be one of {', '.join(_STATUSES)}")
    for flag in ("sandbox", "in_seed_43", "in_thesis_46"):
        if not isinstance(values.get(flag, False), bool):
            fault(f"{flag} must be true or false")
    deployed_block, deployed_on, deployed_later = _deployment(values.get("deployment"), fault)
    _check_other_addresses(values, fault)
    aliases, notes = (_texts(key, values.get(key), fault) for key in ("aliases", "notes"))
    if fault or chain is None:
        return None
    return Csu(
        name=name,
        number=number or unit_number(name),
        family=family,
        protocol=str(values.get("protocol") or family),
        version=str(values.get("version") or ""),
        chain=chain.name,
        chain_id=chain.chain_id,
        entry=entry,
        deployed_block=deployed_block,
        deployed_on=deployed_on,
        sources=sources,
        status=status,
        aliases=aliases,
        notes=notes,
        sandbox=sandbox is True,
        price_numeraire=str(values["price_numeraire"]) if values.get("price_numeraire") else None,
        deployed_later=deployed_later,
        facts=facts,
    )


def _entry(found: object, family: FamilyFacts | None, fault: _Faults) -> dict[str, str]:
    """Addresses by role; several under one role are joined by commas."""
    entry: dict[str, str] = {}
    for key, value in found.items() if isinstance(found, dict) else ():
        if key == LINE:
            continue
        parts = value if isinstance(value, list) else [value]
        for part in parts:
            if not (isinstance(part, str) and part.startswith(RESOLVED)):
                _check_address(str(key), part, fault)
        entry[str(key)] = ",".join(map(str, parts))
    for key, joined in entry.items():
        stated = joined.split(",")
        for twice in sorted({one for one in stated if stated.count(one) > 1}):
            fault(f"{key} lists {twice} twice; leave one")
    primary = family.primary_entry if family is not None else None
    if not entry or (primary and primary not in entry):
        fault(f"entry needs {primary or 'an address'}, written as {primary or 'pool'}: '0x...'")
    return entry


def _facts(values: Mapping[str, object], family: FamilyFacts | None, fault: _Faults) -> dict[str, str]:
    """What tells the market from its siblings: its `facts`, and its base token where the row describes one."""
    given = values.get("facts", {})
    if not isinstance(given, dict):
        fault("facts names addresses, e.g. facts: {ctoken: '0x...'}")
        return {}
    facts = {str(key): value for key, value in given.items() if key != LINE}
    known = family.facts_of(str(values.get("protocol") or family.name)) if family is not None else frozenset()
    for key, value in facts.items():
        _check_address(f"facts.{key}", value, fault)
        if key not in known:
            fault(f"facts.{key}: no contract of this family is asked about it; known: {', '.join(sorted(known))}")
    base = values.get("base_token")
    if isinstance(base, dict) and base.get("address") and "base_token" in known:
        facts.setdefault("base_token", base["address"])
    return {key: str(value) for key, value in facts.items()}


def _check_address(key: str, value: object, fault: _Faults) -> None:
    if isinstance(value, int):
        fault(f"{key} is read as a number; put the address in quotes")
    elif not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        fault(f"{key} {value!r} is no address; write '0x' and 40 hexadecimal digits in quotes")
    elif checksum(value) != value:
        fault(f"{key} {value} fails EIP-55; if every digit is right it reads {checksum(value)}")


def _check_other_addresses(values: Mapping[str, object], fault: _Faults) -> None:
    """EIP-55 of every address outside `entry`, e.g. of earlier helpers; text in notes and sources is left alone."""
    for key, value in values.items():
        if key not in ("entry", "notes", "sources"):
            for one in _leaves(value):
                if isinstance(one, str) and _ADDRESS.fullmatch(one):
                    _check_address(key, one, fault)


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    else:
        yield value


def _deployment(found: object, fault: _Faults) -> tuple[int | None, date | None, bool]:
    """Block and day, and whether the block is only a lower bound."""
    if found is None:
        return None, None, False
    if not isinstance(found, dict):
        fault("deployment has the keys block and date")
        return None, None, False
    for key in found:
        if key not in _DEPLOYMENT_KEYS:
            fault(f"deployment has no key {key!r}; known: {', '.join(sorted(_DEPLOYMENT_KEYS - {LINE}))}")
    block, day = found.get("block"), found.get("date")
    if block is not None and _whole(block) is None:
        fault(f"deployment block {block!r} is no whole number")
    kind = found.get("block_kind", _BLOCK_KINDS[0])
    if kind not in _BLOCK_KINDS:
        fault(f"deployment block_kind {kind!r} must be one of {', '.join(_BLOCK_KINDS)}")
    deployed_on: date | None = None
    if day is not None:
        try:
            deployed_on = date.fromisoformat(str(day))
        except ValueError:
            fault(f"deployment date {str(day)!r} is no date like 2024-12-31")
    if deployed_on is not None and not 2015 <= deployed_on.year <= 2100:
        fault(f"deployment date {deployed_on} lies outside 2015 to 2100")
    return _whole(block), deployed_on, kind == "lower bound"


def _whole(value: object) -> int | None:
    """`value` if it is a whole number of 0 or more."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _texts(key: str, value: object, fault: _Faults) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        fault(f"{key} must be a list, one `- ` line each")
        return ()
    return tuple(str(one) for one in value)
