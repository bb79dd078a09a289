"""What a market's contracts must answer if its row is true, per family: getters that name each other or list something.

I/O-free: `identity` is a program run like a family's. What does not belong here: code, deployment blocks, what to print.
The signatures are the protocols' own; a getter is listed only if every deployment of the family in the registry has it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from cryptolake.net.abi import address_at, addresses_at, call_data, word
from cryptolake.net.multicall import Call, Program, Result
from cryptolake.registry.lint import PRIMARY_ENTRY, RESOLVED
from cryptolake.registry.markets import Csu

Verdict = Literal["confirmed", "wrong", "bound", "missing", "unknown"]

_ZERO = "0x0000000000000000000000000000000000000000"


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement of a row and what the chain says of it.

    `confirmed`: true. `wrong`: the chain says otherwise. `bound`: true only as a lower bound, the exact value is known
    now. `missing`: the row leaves open what the chain knows. `unknown`: nobody could be asked. `correction` is the value
    that would make the row true, None where a person must look.
    """

    field: str
    verdict: Verdict
    stated: str | None
    found: str | None
    correction: str | None = None


@dataclass(frozen=True, slots=True)
class Anchor:
    """A getter of the contract under `role`: `gives` an address, a list that is not empty, a count above 0 or true.

    `same_as` names the entry the address must be. An argument that is a text is the role whose address is passed.
    """

    role: str
    getter: str
    gives: Literal["address", "list", "count", "true", "number"]
    same_as: str | None = None
    arguments: tuple[int | str, ...] = ()


def _key(text: str) -> int:
    """A short text as the bytes32 that address providers are asked with."""
    return int.from_bytes(text.encode().ljust(32, b"\0"), "big")


_FLUID_RESOLVERS = ("liquidity_resolver", "dex_reserves_resolver", "vault_t1_resolver", "lending_factory")
ANCHORS: Mapping[str, tuple[Anchor, ...]] = {
    "aave_v2": (
        Anchor("pool_addresses_provider", "getLendingPool()", "address", "pool"),
        Anchor("pool", "getAddressesProvider()", "address", "pool_addresses_provider"),
        Anchor("protocol_data_provider", "ADDRESSES_PROVIDER()", "address", "pool_addresses_provider"),
        Anchor("pool", "getReservesList()", "list"),
        Anchor("pool_addresses_provider", "getPriceOracle()", "address", "oracle"),
    ),
    "aave_v3": (
        Anchor("pool", "ADDRESSES_PROVIDER()", "address", "pool_addresses_provider"),
        Anchor("pool", "getReservesList()", "list"),
        Anchor("pool_addresses_provider", "getPool()", "address", "pool"),
        Anchor("pool_addresses_provider", "getPriceOracle()", "address", "oracle"),
        Anchor("pool_addresses_provider", "getPoolDataProvider()", "address", "protocol_data_provider"),
        Anchor("pool_addresses_provider", "getPoolConfigurator()", "address", "pool_configurator"),
    ),
    "aave_v4": (Anchor("hubs", "getAssetCount()", "count"),),
    "cap": (
        Anchor("cap_token_vault", "assets()", "list"),
        Anchor("lender", "reservesCount()", "count"),
        Anchor("delegation", "agents()", "list"),
    ),
    "compound_v2": (
        Anchor("comptroller", "getAllMarkets()", "list"),
        Anchor("comptroller", "oracle()", "address", "oracle"),
    ),
    "compound_v3": (
        Anchor("comet", "baseToken()", "address"),
        Anchor("comet", "baseTokenPriceFeed()", "address"),
        Anchor("comet", "numAssets()", "number"),
    ),
    "dolomite": (Anchor("dolomite_margin", "getNumMarkets()", "count"),),
    "euler_v2": (
        Anchor("evault_factory", "implementation()", "address"),
        Anchor("evault_factory", "getProxyListLength()", "count"),
        Anchor("perspectives", "verifiedArray()", "list"),
    ),
    "fluid": (
        *(Anchor(role, "LIQUIDITY()", "address", "liquidity") for role in _FLUID_RESOLVERS),
        Anchor("lending_factory", "allTokens()", "list"),
        Anchor("vault_factory", "totalVaults()", "count"),
        Anchor("lending_resolver", "LENDING_FACTORY()", "address", "lending_factory"),
        Anchor("vault_resolver", "FACTORY()", "address", "vault_factory"),
        Anchor("dex_reserves_resolver", "FACTORY()", "address", "dex_factory"),
    ),
    "gearbox": (
        Anchor(
            "address_provider_v300",
            "getAddressOrRevert(bytes32,uint256)",
            "address",
            arguments=(_key("CONTRACTS_REGISTER"), 0),
        ),
        Anchor(
            "address_provider_v310",
            "getAddressOrRevert(bytes32,uint256)",
            "address",
            arguments=(_key("MARKET_CONFIGURATOR_FACTORY"), 0),
        ),
        Anchor("address_provider_v1", "getContractsRegister()", "address"),
        Anchor("legacy_market_configurators", "contractsRegister()", "address"),
    ),
    "morpho_blue": (
        Anchor("morpho", "owner()", "address"),
        Anchor("morpho", "isIrmEnabled(address)", "true", arguments=("adaptive_curve_irm",)),
        Anchor("adaptive_curve_irm", "MORPHO()", "address", "morpho"),
        Anchor("metamorpho_factory", "MORPHO()", "address", "morpho"),
    ),
    "silo_v2": (Anchor("silo_factory", "getNextSiloId()", "count"),),
}


def primary_role(csu: Csu) -> str:
    """The entry a market is identified by; the first one where the family has none."""
    return PRIMARY_ENTRY.get(csu.family) or next(iter(csu.entry))


def addresses(csu: Csu, role: str) -> tuple[str, ...]:
    """The addresses a row states under `role`; empty where it says `resolve_on_chain:` or nothing."""
    return tuple(one for one in csu.entry.get(role, "").split(",") if one and not one.startswith(RESOLVED))


@dataclass(frozen=True, slots=True)
class Identity:
    """What the getters said: findings, and the one address of every role as the chain has it."""

    findings: tuple[Finding, ...]
    roles: Mapping[str, str]


def identity(csu: Csu, without_code: Collection[str] = ()) -> Program[Identity]:
    """Ask every anchor of the market's family. A contract in `without_code` is not asked: it was found out already.

    A role that another contract names is asked at the address it named, so that one wrong address is one finding.
    """
    primary = primary_role(csu)
    roles = {role: stated[0] for role in csu.entry if len(stated := addresses(csu, role)) == 1}
    named = {anchor.same_as for anchor in ANCHORS[csu.family] if anchor.role in csu.entry}
    waiting = [anchor for anchor in ANCHORS[csu.family] if anchor.role in csu.entry or anchor.role in named]
    findings: list[Finding] = []
    while waiting:
        named = {anchor.same_as for anchor in waiting} - {primary}
        ready = [one for one in waiting if one.role not in named and _targets(csu, one, roles)]
        ready = ready or [one for one in waiting if _targets(csu, one, roles)]
        if not ready:
            break
        waiting = [one for one in waiting if one not in ready]
        asked = [
            (anchor, target)
            for anchor in ready
            for target in _targets(csu, anchor, roles)
            if target not in without_code and all(one in roles for one in anchor.arguments if isinstance(one, str))
        ]
        answers = yield [_call(anchor, target, roles) for anchor, target in asked]
        for (anchor, _), answer in zip(asked, answers, strict=True):
            findings.append(_judge(csu, anchor, answer, roles, primary))
    findings += [
        Finding(f"{one.role}.{one.getter}", "unknown", None, "the address was never learned")
        for one in waiting
        if one.role in csu.entry
    ]
    return Identity(tuple(findings), roles)


def _targets(csu: Csu, anchor: Anchor, roles: Mapping[str, str]) -> tuple[str, ...]:
    """The contracts to ask: the one known under the role by now, or all that the row lists."""
    return (roles[anchor.role],) if anchor.role in roles else addresses(csu, anchor.role)


def _call(anchor: Anchor, target: str, roles: Mapping[str, str]) -> Call:
    arguments = (roles[one] if isinstance(one, str) else one for one in anchor.arguments)
    return Call(target, call_data(anchor.getter, *arguments))


def _judge(csu: Csu, anchor: Anchor, answer: Result, roles: dict[str, str], primary: str) -> Finding:
    """The finding of one answer; an address that names another role is learned."""
    name = f"{anchor.role}.{anchor.getter}"
    if not answer.success or len(answer.data) < 32:
        return Finding(name, "wrong", _expected(anchor, roles), "reverted" if not answer.success else "no answer")
    if anchor.gives == "list":
        listed = addresses_at(answer.data, 0)
        return Finding(name, "confirmed" if listed else "wrong", "at least one", f"{len(listed)} listed")
    if anchor.gives == "number":
        return Finding(name, "confirmed", None, str(word(answer.data, 0)))
    if anchor.gives in ("count", "true"):
        count = word(answer.data, 0)
        good = count > 0 if anchor.gives == "count" else count == 1
        return Finding(name, "confirmed" if good else "wrong", _expected(anchor, roles), str(count))
    found = address_at(answer.data, 0)
    if found == _ZERO:
        return Finding(name, "wrong", _expected(anchor, roles), "the zero address")
    role = anchor.same_as
    if role is None:
        return Finding(name, "confirmed", None, found)
    if role not in roles:
        roles[role] = found
        return Finding(f"entry.{role}" if role in csu.entry else name, "confirmed", csu.entry.get(role), found)
    if roles[role] == found:
        return Finding(name, "confirmed", found, found)
    stated = roles[role]
    if role == primary:
        return Finding(name, "wrong", stated, found)
    roles[role] = found
    if role not in csu.entry:  # two contracts of the row name different ones
        return Finding(name, "wrong", stated, found)
    return Finding(f"entry.{role}", "wrong", stated, found, correction=found)


def _expected(anchor: Anchor, roles: Mapping[str, str]) -> str:
    if anchor.same_as is not None and anchor.same_as in roles:
        return roles[anchor.same_as]
    return {"count": "above 0", "true": "true", "list": "at least one"}.get(anchor.gives, "an answer")
