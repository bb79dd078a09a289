"""Checks the registry's rows against the chains: code, anchor getters and the block each market was born in.

What does not belong here: which getters (each family), where endpoints come from (app), printing (cli).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol

from cryptolake.errors import CryptolakeError, Skip, Stop
from cryptolake.net.envelope import Json
from cryptolake.net.faults import RpcFault
from cryptolake.net.multicall import Failed, run
from cryptolake.registry.anchors import Finding, Verdict, addresses, identity, interchangeable
from cryptolake.registry.chains import Chain
from cryptolake.registry.family import FamilyFacts
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu

_DELEGATION = "0xef0100"  # EIP-7702: a person's account that borrows code, no contract


class AsksCode(Protocol):
    """The part of a chain's endpoint pool the check uses."""

    def call(self, method: str, params: Sequence[Json]) -> Json: ...
    def batch(self, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]: ...
    def finalized(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Checked:
    """A market after the check: what was found at `block` (None when its chain could not be asked)."""

    csu: Csu
    block: int | None
    findings: tuple[Finding, ...]

    @property
    def settled(self) -> bool:
        """Whether every statement about the market's contracts was asked and holds."""
        who = [one for one in self.findings if not one.field.startswith("deployment.")]
        return bool(who) and all(one.verdict == "confirmed" for one in who)

    def of(self, *verdicts: str) -> tuple[Finding, ...]:
        """The findings with one of these verdicts."""
        return tuple(one for one in self.findings if one.verdict in verdicts)


def check_markets(
    csus: Iterable[Csu],
    registry: Registry,
    pools: Callable[[Chain], AsksCode],
    tell: Callable[[str, str], None] = lambda market, verdict: None,
) -> Iterator[Checked]:
    """Check each chain's markets together. A chain that cannot be asked makes its markets `unknown`, never confirmed."""
    by_chain: dict[str, list[Csu]] = {}
    for csu in csus:
        by_chain.setdefault(csu.chain, []).append(csu)
    for chain_name, members in sorted(by_chain.items()):
        try:
            chain = registry.chains[chain_name]
            found = _check_chain(members, chain, registry.families, pools(chain))
        except CryptolakeError as error:
            found = [Checked(csu, None, (Finding("chain", "unknown", csu.chain, str(error)),)) for csu in members]
        for one in found:
            tell(one.csu.name, "unknown" if one.block is None else "wrong" if one.of("wrong") else "checked")
            yield one


def _check_chain(
    csus: Sequence[Csu], chain: Chain, families: Mapping[str, FamilyFacts], pool: AsksCode
) -> list[Checked]:
    head = pool.finalized()
    stated = sorted({one for csu in csus for role in csu.entry for one in addresses(csu, role)})
    has_code = dict(zip(stated, _has_code(pool, [(one, head) for one in stated]), strict=True))
    bare = frozenset(one for one, there in has_code.items() if there is False)
    outcomes = run(
        pool,
        {csu.name: identity(csu, families[csu.family], bare) for csu in csus},
        head,
        multicall3=chain.multicall3_address,
        multicall3_since=chain.multicall3_block or 0,
    )
    findings: dict[str, list[Finding]] = {}
    born_at: dict[str, str] = {}
    for csu in csus:
        findings[csu.name] = [
            _code_finding(role, one, has_code[one]) for role in csu.entry for one in addresses(csu, role)
        ]
        outcome = outcomes[csu.name]
        if isinstance(outcome, Failed):
            verdict: Verdict = (
                "wrong" if isinstance(outcome.error, Skip) else "unknown"
            )  # said by the chain, or refused
            findings[csu.name].append(Finding("getters", verdict, "readable answers", str(outcome.error)))
            roles: Mapping[str, str] = {}
        else:
            findings[csu.name] += outcome.value.findings
            roles = outcome.value.roles
        findings[csu.name] += [
            Finding(
                f"entry.{role}", "interchangeable", csu.entry[role], "nothing that the row states tells its siblings"
            )
            for role in interchangeable(csu, families[csu.family])
            if not bare.issuperset(addresses(csu, role))
        ]
        role = families[csu.family].primary_role(csu.entry)
        first = roles.get(role) or next(iter(addresses(csu, role)), None)
        if first is not None and first not in bare:
            born_at[csu.name] = first
    births = _births(
        pool, {csu.name: (born_at[csu.name], csu.deployed_block) for csu in csus if csu.name in born_at}, head
    )
    for csu in csus:
        if csu.name in births:
            findings[csu.name] += _deployment(csu, births[csu.name])
    return [Checked(csu, head, tuple(findings[csu.name])) for csu in csus]


def _code_finding(role: str, address: str, there: bool | None) -> Finding:
    if there is None:
        return Finding(f"entry.{role}", "unknown", address, "its code could not be read")
    return Finding(f"entry.{role}", "confirmed" if there else "wrong", address, "code" if there else "no contract")


def _has_code(pool: AsksCode, asked: Sequence[tuple[str, int]]) -> list[bool | None]:
    """For each address and block whether a contract stands there; None where the endpoint answered an error."""
    calls: list[tuple[str, Sequence[Json]]] = [("eth_getCode", [address, hex(block)]) for address, block in asked]
    found: list[bool | None] = []
    for answer in pool.batch(calls) if calls else []:
        if isinstance(answer, RpcFault):
            found.append(None)
        elif isinstance(answer, str):
            found.append(len(answer) > 2 and not answer.startswith(_DELEGATION))
        else:
            raise Skip("eth_getCode answered something that is not hex data", reason="layout")
    return found


@dataclass(frozen=True, slots=True)
class _Birth:
    """First block with code and its day, or why they could not be learned."""

    block: int | None
    day: date | None
    why: str = ""


def _births(pool: AsksCode, asked: Mapping[str, tuple[str, int | None]], head: int) -> dict[str, _Birth]:
    """The first block with code of each address, all bisected together: one question per market and round.

    The stated block is tried first, so that a row that is right costs two questions. Code is taken to stay once it is there.
    """
    low: dict[str, int] = {}  # the last block known without code
    high: dict[str, int] = {}  # the first block known with code
    try:
        tried = [
            (name, address, block)
            for name, (address, stated) in asked.items()
            for block in ((stated - 1, stated) if stated is not None and 0 < stated <= head else (0,))
        ]
        found = _has_code(pool, [(address, block) for _, address, block in tried])
        failed: set[str] = set()
        for (name, _, block), there in zip(tried, found, strict=True):
            low.setdefault(name, -1)
            high.setdefault(name, head)
            if there is None:
                failed.add(name)
            elif there:
                high[name] = min(high[name], block)
            else:
                low[name] = max(low[name], block)
        while open_ := [name for name in low if name not in failed and high[name] - low[name] > 1]:
            middles = [(name, (low[name] + high[name]) // 2) for name in open_]
            answers = _has_code(pool, [(asked[name][0], block) for name, block in middles])
            for (name, block), there in zip(middles, answers, strict=True):
                if there is None:
                    failed.add(name)
                elif there:
                    high[name] = block
                else:
                    low[name] = block
        days = _days(pool, sorted({high[name] for name in low if name not in failed}))
    except Stop:
        raise
    except CryptolakeError as error:
        return {name: _Birth(None, None, f"no archive state: {error}") for name in asked}
    refused = _Birth(None, None, "the endpoint refuses old blocks; set an archive endpoint")
    return {name: refused if name in failed else _Birth(high[name], days[high[name]]) for name in asked}


def _days(pool: AsksCode, blocks: Sequence[int]) -> dict[int, date]:
    calls: list[tuple[str, Sequence[Json]]] = [("eth_getBlockByNumber", [hex(block), False]) for block in blocks]
    found = {}
    for block, answer in zip(blocks, pool.batch(calls) if calls else [], strict=True):
        if not isinstance(answer, Mapping):
            raise Skip(f"block {block} could not be read", reason="layout")
        found[block] = datetime.fromtimestamp(int(str(answer["timestamp"]), 16), UTC).date()
    return found


def _deployment(csu: Csu, birth: _Birth) -> list[Finding]:
    """What the row says of the market's birth. Too late hides data and is wrong; too early is a bound."""
    block, day = csu.deployed_block, csu.deployed_on
    if birth.block is None or birth.day is None:
        return [Finding("deployment.block", "unknown", None if block is None else str(block), birth.why)]
    blocks_late = None if block is None else block - birth.block
    days_late = None if day is None else (day - birth.day).days
    return [
        _birth_finding("block", blocks_late, None if block is None else str(block), str(birth.block)),
        _birth_finding("date", days_late, None if day is None else str(day), str(birth.day)),
    ]


def _birth_finding(name: str, late: int | None, stated: str | None, true: str) -> Finding:
    if late == 0:
        return Finding(f"deployment.{name}", "confirmed", stated, true)
    verdict: Verdict = "missing" if late is None else "bound" if late < 0 else "wrong"
    return Finding(f"deployment.{name}", verdict, stated, true, correction=true)
