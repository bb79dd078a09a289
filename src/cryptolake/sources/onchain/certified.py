"""What a kept certificate says of its blocks: who answered them, who did again, what differed, which roots were rebuilt. Pure.

Every function reads the certificate's own content and believes no summary in it; a certificate of another shape raises
KeyError, TypeError or ValueError. What does not belong here: the grade that follows (grading), and making one (certificate).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cryptolake.contracts.counting import counted
from cryptolake.contracts.grades import Grade
from cryptolake.net.logs import BlockWindow
from cryptolake.sources.onchain.history import ROW, history_grade
from cryptolake.sources.onchain.kept_voices import all_borne, bear_out


def windows_of(given: object) -> list[BlockWindow]:
    """A certificate's windows, `[first block, last block, endpoint, windows]` each, in order."""
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise TypeError("windows are a list")
    found = [BlockWindow(int(start), int(end) + 1, str(name), 0) for start, end, name, *_ in given]
    return sorted(found, key=lambda one: (one.start, one.end, one.endpoint))


def holes(content: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the proof of stored liquidations, in words; nothing when every block is accounted for."""
    if (given["from_block"], given["to_block"]) != (content.get("from_block"), content.get("to_block")):
        yield "its certificate speaks for other blocks"
    at = given["from_block"]
    if not content.get("filters"):  # no contract to ask for
        return
    for start, end, *_ in given["windows"]:
        if start != at:
            yield f"blocks {at} to {start - 1} were not covered once"
        at = end + 1
    if at != given["to_block"] + 1:
        yield f"blocks {at} to {given['to_block']} were not covered"


def contradictions(given: Mapping[str, Any]) -> list[str]:
    """Why stored liquidations are suspect, in words; empty when nobody contradicted them."""
    said = [str(one) for one in given["blooms"]["contradictions"]]
    rests_on = (*(given.get("grounds") or ()), given.get("headers") or {})
    said += dict.fromkeys(str(one["contradicted"]) for one in rests_on if one.get("contradicted"))
    for one in given.get("differences", ()):
        if not one["settled"]:
            seen = ", ".join(f"{name} has {counted(logs, 'log')}" for name, logs in one["said"].items())
            alike = f"; {' and '.join(one['alike'])} err alike and are probably one voice" if one["alike"] else ""
            said.append(f"block {one['block']}: {seen}, and nobody could settle it{alike}")
    for one in given.get("opinions", ()):  # as certificates were written before grades
        if one["verdict"] == "different":
            judge = f"; {one['third']} sides with {one['sides_with'] or 'neither'}" if one["third"] else ""
            said.append(
                f"blocks {one['start']} to {one['end'] - 1}: {one['second']} has {counted(one['missing'], 'log')} more and "
                f"{one['extra']} fewer than {one['first']}{judge}"
            )
    if not said and given.get("verdict") != "complete":
        said.append("its certificate does not call it complete, and does not say who contradicted it")
    return said


def erring_alike(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Voices that erred in the same way about a block, or failed in the same odd words: probably one, whatever their names."""
    alike = {tuple(sorted(map(str, one["alike"]))) for one in given.get("differences") or () if one.get("alike")}
    alike |= {tuple(sorted(map(str, one))) for one in given.get("failing_alike") or ()}
    return tuple(sorted({" and ".join(names) for names in alike}))


def twice(given: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The blocks of a certificate that the endpoints of two voices answered, as stretches `[first, end)` in order."""
    first, end, voices = int(given["from_block"]), int(given["to_block"]) + 1, given.get("voices") or {}
    windows, at = windows_of(given["windows"]), 0  # blocks from `at` on are not counted yet
    starts, found = [one.start for one in windows], list[tuple[int, int]]()
    for again in windows_of(given.get("second") or ()):
        if not first <= again.start < again.end <= end:
            continue  # nobody was asked for blocks of other periods
        place = max(0, bisect_right(starts, again.start) - 1)
        for told in windows[place:]:
            if told.start >= again.end:
                break
            since, until = max(told.start, again.start, at), min(told.end, again.end, end)
            if since < until and _two(voices, told.endpoint, again.endpoint):
                found.append((since, until))
                at = until
    return found


def asked_twice(given: Mapping[str, Any]) -> float:
    """The share of a certificate's blocks that the endpoints of two voices answered."""
    first, end = int(given["from_block"]), int(given["to_block"]) + 1
    return sum(until - since for since, until in twice(given)) / (end - first) if end > first else 0.0


def without_blocks(content: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether stored liquidations are of a period in which the chain had no block: its bounds are all that proves it."""
    bounds = given["from_block"], given["to_block"]
    same = bounds == (content.get("from_block"), content.get("to_block"))
    return same and int(bounds[0]) == int(bounds[1]) + 1 and not content.get("logs")


def proven_by_roots(content: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether the receipts of every block were rebuilt: two voices gave the last block's hash, and the logs kept are of the
    proven blocks.
    """
    roots = given.get("roots")
    if not isinstance(roots, Mapping):
        return False
    names, voices = [str(one) for one in roots["agreed"]], given.get("voices") or {}
    hashes: Mapping[str, str] = roots["hashes"]
    return (
        (roots["from_block"], roots["to_block"]) == (given["from_block"], given["to_block"])
        and any(_two(voices, one, other) for one in names for other in names if one != other)
        and roots["hash"] == content["block_hash"]
        and all(hashes.get(str(int(log["blockNumber"], 16))) == log["blockHash"] for log in content["logs"])
    )


def headers_grade(content: Mapping[str, Any], given: Mapping[str, Any]) -> Grade:
    """How far the headers are borne out that a stored answer rests on: the boundaries of its period, and its events' blocks.

    A certificate that does not say so, as they were written before, has one voice for them.
    """
    headers = given.get("headers")
    if not headers:
        return "one_voice"
    bounds = {int(one["block"]): one for one in headers.get("bounds") or ()}
    events = {
        int(number)
        for one in headers.get("events") or ()
        if one["hashed"] is True or all_borne(one["borne"])
        for number in one["blocks"]
    }
    last = int(content["to_block" if "to_block" in content else "block"])
    ends = [last, int(content["from_block"]) - 1] if "from_block" in content else [last]
    borne = all(number in bounds and all_borne(bounds[number]["borne"]) for number in ends)
    dated = {int(log["blockNumber"], 16) for log in content.get("logs") or ()}
    return "two_voices" if borne and bounds[last]["hash"] == content["block_hash"] and dated <= events else "one_voice"


def parts_grade(content: Mapping[str, Any], given: Mapping[str, Any]) -> Grade:
    """How far it is proven which parts a stored snapshot's market had: by its row, or by events since it began."""
    parts = given.get("parts") or {}
    if parts.get("named_by") == ROW:
        return "one_voice" if content.get("found") else "two_voices"
    start, end = map(int, parts.get("blocks") or (0, 0))
    told = {str(by): [(int(a), int(b)) for a, b in some] for by, some in (parts.get("told") or {}).items()}
    sampled = [(int(a), int(b)) for a, b in parts.get("sampled") or ()]
    return history_grade((start, end), told, sampled) if end == int(content["block"]) + 1 else "one_voice"


def speaks_for_another_block(content: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the proof of a stored snapshot, in words."""
    if (given["block"], given["block_hash"]) != (content.get("block"), content.get("block_hash")):
        yield "its certificate speaks for another block"


def two_voices(given: Mapping[str, Any]) -> bool:
    """Whether a snapshot was read by one voice and asked again of another."""
    first, second, voices = given["first"], given["second"], given["voices"]
    return bool(first and second) and all(_two(voices, one, second) for one in first)


def _two(voices: Mapping[str, Any], one: str, other: str) -> bool:
    """Whether two endpoints are two voices; one of which the certificate does not say who it is bears nobody out."""
    names = voices.get(one), voices.get(other)
    return all(names) and bear_out(*map(str, names))
