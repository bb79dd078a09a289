"""The completeness certificate of a chain-day: what proves that no event of it is missing, and the check of that proof.

Written into every liquidations answer, so it is kept and digested with the logs it speaks for. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from cryptolake.contracts.counting import counted
from cryptolake.net.blocks import BlockRange, HeaderStanding
from cryptolake.net.examination import ExaminedWindows
from cryptolake.net.logs import BlockWindow
from cryptolake.sources.onchain.grounds import Ground, grounds_of, least, shortcoming


def certificate(
    within: BlockRange,
    examined: ExaminedWindows,
    voices: Mapping[str, str],
    asked_at: datetime,
    headers: HeaderStanding,
    grounds: Sequence[Ground] = (),
) -> dict[str, object]:
    """The certificate of the blocks `within`, as JSON values; `voices` names the voice of every endpoint.

    `verdict` is complete or suspect, `grade` how far that is proven, `logs_grade` how far of the logs alone; `noticed` the
    probability that one log which the first voice dropped was noticed. `windows` and `second` say who answered which blocks,
    first and again, `grounds` what was read from contracts for it, by whom and by whom again. `headers` is who bears out those
    that the day rests on: its boundaries and the times of its events; where nobody does, the grade is `one_voice`.
    """
    resting = least(examined.grade, grounds, voices)
    grade = headers.grade if headers.grade == "one_voice" else resting
    names = dict.fromkeys(one.endpoint for one in (*examined.windows, *examined.second))
    names |= dict.fromkeys(name for one in examined.differences for name in one.said if name)
    names |= dict.fromkeys(name for one in grounds for name in (*one.first, *one.second))
    problem = "; ".join(
        dict.fromkeys(
            one
            for one in (
                examined.problem,
                headers.problem if examined.grade != "one_voice" == headers.grade else "",
                shortcoming(examined.grade, grounds, voices),
            )
            if one
        )
    )
    return {
        "from_block": within.start,
        "to_block": within.end - 1,
        "asked_at": asked_at.isoformat(timespec="seconds"),
        "windows": _joined(examined.windows, within),
        "second": _joined(examined.second, within),
        "voices": {name: voices.get(name, "") for name in names},
        "grade": grade,
        "logs_grade": examined.grade,
        "headers": {"grade": headers.grade, "problem": headers.problem},
        "grounds": [one.to_json() for one in grounds],
        "noticed": round(examined.noticed, 6),
        "problem": problem,
        "differences": [asdict(one) for one in examined.differences],
        "liars": sorted({name for one in examined.differences for name in one.liars}),
        "blooms": {
            "blocks": examined.blooms.blocks,
            "usable": examined.blooms.usable,
            "contradictions": list(examined.blooms.contradictions),
            "quiet": examined.blooms.quiet,
            "agreed": examined.blooms.agreed,
            "problem": examined.blooms.problem,
        },
        "verdict": "suspect" if examined.suspect or any(one.contradicted for one in grounds) else "complete",
    }


def faults(payload: Mapping[str, object]) -> list[str]:
    """What is wrong with a stored liquidations answer's proof, in words; empty when every block is accounted for."""
    found = []
    given = payload.get("certificate")
    if not isinstance(given, Mapping):
        return ["it was collected without a certificate; collect it again with --no-resume"]
    first, last = payload.get("from_block"), payload.get("to_block")
    if (given["from_block"], given["to_block"]) != (first, last):
        found.append("its certificate speaks for other blocks")
    at = given["from_block"]
    if payload.get("filters"):
        for start, end, *_ in given["windows"]:
            if start != at:
                found.append(f"blocks {at} to {start - 1} were not covered once")
            at = end + 1
        if at != given["to_block"] + 1:
            found.append(f"blocks {at} to {given['to_block']} were not covered")
    return found


def doubts(payload: Mapping[str, object]) -> list[str]:
    """Why a stored answer is suspect, in words; empty when nobody contradicted it."""
    given = payload.get("certificate")
    if not isinstance(given, Mapping):
        return []
    said = [str(one) for one in given["blooms"]["contradictions"]]
    said += dict.fromkeys(one.contradicted for one in grounds_of(given) or () if one.contradicted)
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
    return said


def _joined(windows: Sequence[BlockWindow], within: BlockRange) -> list[list[object]]:
    """`[first block, last block, endpoint, windows]`, neighbours of one endpoint joined, cut to the period."""
    found: list[list[object]] = []
    for window in windows:
        start, end = max(window.start, within.start), min(window.end, within.end)
        if start >= end:
            continue
        if found and found[-1][2] == window.endpoint and found[-1][1] == start - 1:
            found[-1][1], found[-1][3] = end - 1, int(str(found[-1][3])) + 1
        else:
            found.append([start, end - 1, window.endpoint, 1])
    return found
