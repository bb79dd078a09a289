"""Asks a market's contracts what they must answer if its row is true: getters that name each other or list something.

I/O-free: `identity` is a program run like a family's. What does not belong here: which getters (each family declares its
own), code, deployment blocks, what to print.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from cryptolake.net.abi import address_at, addresses_at, call_data, word
from cryptolake.net.multicall import Call, CallResult, Program
from cryptolake.registry.family import Anchor, FamilyFacts
from cryptolake.registry.lint import RESOLVED
from cryptolake.registry.markets import Csu

Verdict = Literal["confirmed", "wrong", "bound", "missing", "unknown", "interchangeable"]

_ZERO = "0x0000000000000000000000000000000000000000"


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement of a row and what the chain says of it.

    `confirmed`: true. `wrong`: the chain says otherwise. `bound`: true only as a lower bound, the exact value is known
    now. `missing`: the row leaves open what the chain knows. `unknown`: nobody could be asked. `interchangeable`: another
    contract of its kind would be confirmed as well. `correction` is the value that would make the row true, None where a
    person must look.
    """

    field: str
    verdict: Verdict
    stated: str | None
    found: str | None
    correction: str | None = None


NOTHING = frozenset({"no answer", "nothing yet", "the zero address", "0 listed", "0"})
"""What a contract says that is not there yet, or that was not set up yet; anything else it says wrongly contradicts the row."""


def addresses(csu: Csu, role: str) -> tuple[str, ...]:
    """The addresses a row states under `role`; empty where it says `resolve_on_chain:` or nothing."""
    stated = csu.entry.get(role) or csu.facts.get(role, "")
    return tuple(one for one in stated.split(",") if one and not one.startswith(RESOLVED))


def interchangeable(csu: Csu, family: FamilyFacts) -> tuple[str, ...]:
    """The roles at which another contract of the same kind would pass every lasting anchor.

    An anchor tells a contract from its siblings when it ties it to something else that the row states. A sibling in a role
    that is tied to nothing answers all that is asked, and nobody can know whose figures it gives.
    """
    lasting = [one for one in family.anchors_of(csu.protocol) if one.lasting]
    known = {one.same_as for one in lasting} | {*csu.entry, *csu.facts}
    together: dict[str, set[str]] = {}
    for anchor in lasting:
        given = {one for one in anchor.arguments if isinstance(one, str)}
        if not given <= known:  # it is never asked
            continue
        named = given | ({anchor.same_as} if anchor.same_as else set())
        group = {anchor.role, *named}.union(*(together.get(one, ()) for one in (anchor.role, *named)))
        together |= dict.fromkeys(group, group)
    read = [one for one in family.anchors_of(csu.protocol) if one.lasting or one.gives == "number"]
    asked = dict.fromkeys(one.role for one in read if one.role in csu.entry and addresses(csu, one.role))
    tied = {role for role in asked for other in together.get(role, ()) if other != role and addresses(csu, other)}
    return tuple(role for role in asked if role not in tied)


@dataclass(frozen=True, slots=True)
class Identity:
    """What the getters said: findings, and the one address of every role as the chain has it."""

    findings: tuple[Finding, ...]
    roles: Mapping[str, str]


def identity(
    csu: Csu, family: FamilyFacts, without_code: Collection[str] = (), *, lasting: bool = False
) -> Program[Identity]:
    """Ask every anchor of the market's `family`. A contract in `without_code` is not asked: it was found out already.

    `lasting`: only those that hold at every block of a market's life, for readings of the past.

    A role that another contract names is asked at the address it named, so that one wrong address is one finding.
    """
    primary = family.primary_role(csu.entry)
    stated = {*csu.entry, *csu.facts}
    roles = {role: known[0] for role in stated if len(known := addresses(csu, role)) == 1}
    anchors = [one for one in family.anchors_of(csu.protocol) if one.lasting or not lasting]
    named = {anchor.same_as for anchor in anchors if anchor.role in stated}
    waiting = [anchor for anchor in anchors if anchor.role in stated or anchor.role in named]
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
        if one.role in stated
    ]
    return Identity(tuple(findings), roles)


def _targets(csu: Csu, anchor: Anchor, roles: Mapping[str, str]) -> tuple[str, ...]:
    """The contracts to ask: the one known under the role by now, or all that the row lists."""
    return (roles[anchor.role],) if anchor.role in roles else addresses(csu, anchor.role)


def _call(anchor: Anchor, target: str, roles: Mapping[str, str]) -> Call:
    arguments = (roles[one] if isinstance(one, str) else one for one in anchor.arguments)
    return Call(target, call_data(anchor.getter, *arguments))


def _judge(csu: Csu, anchor: Anchor, answer: CallResult, roles: dict[str, str], primary: str) -> Finding:
    """The finding of one answer; an address that names another role is learned."""
    name = f"{anchor.role}.{anchor.getter}"
    if not answer.success or len(answer.data) < 32 * (anchor.place + 1):
        said = "no answer" if answer.success else "nothing yet" if anchor.by_now else "reverted"
        return Finding(name, "wrong", _expected(anchor, roles), said)
    if anchor.gives == "list":
        listed = addresses_at(answer.data, 0)
        return Finding(name, "confirmed" if listed else "wrong", "at least one", f"{len(listed)} listed")
    if anchor.gives == "number":
        return Finding(name, "confirmed", None, str(word(answer.data, anchor.place)))
    if anchor.gives in ("count", "true"):
        count = word(answer.data, anchor.place)
        good = count > 0 if anchor.gives == "count" else count == 1
        return Finding(name, "confirmed" if good else "wrong", _expected(anchor, roles), str(count))
    found = address_at(answer.data, anchor.place)
    if found == _ZERO:
        return Finding(name, "wrong", _expected(anchor, roles), "the zero address")
    role = anchor.same_as
    if role is None:
        return Finding(name, "confirmed", None, found)
    if role not in csu.entry and len(addresses(csu, anchor.role)) > 1:  # each of them may name another
        return Finding(name, "confirmed", None, found)
    if len(several := addresses(csu, role)) > 1:
        return Finding(name, "confirmed" if found in several else "wrong", ", ".join(several), found)
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
