"""Certificates: what proves that a chain-day lacks no event, and by whom a snapshot was read and borne out.

Written into every answer, so that they are kept and digested with what they speak for. No I/O. What does not belong here: what
a kept one is worth (grading).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from cryptolake.contracts.grades import weakest
from cryptolake.net.blocks import BlockRange, Header, HeaderStanding
from cryptolake.net.examination import ExaminedWindows, RebuiltRoots
from cryptolake.net.logs import BlockWindow
from cryptolake.sources.onchain.grounds import Ground, least, shortcoming
from cryptolake.sources.onchain.history import ROW, Discovered
from cryptolake.sources.onchain.second_voice import Borne


def certificate(
    within: BlockRange,
    examined: ExaminedWindows,
    voices: Mapping[str, str],
    asked_at: datetime,
    headers: HeaderStanding,
    grounds: Sequence[Ground],
    asked: Collection[str],
    failing_alike: Sequence[tuple[str, str]] = (),
    besides: Collection[str] = (),
) -> dict[str, object]:
    """The certificate of the blocks `within`, as JSON values; `voices` says who every endpoint is (`net.voices.told_by`).

    `verdict` is complete or suspect, `grade` how far that is proven, `logs_grade` how far of the logs alone; `noticed` the
    probability that one log which the first voice dropped was noticed. `windows` and `second` say who answered which blocks,
    first and again, `roots` what the receipts of all blocks were rebuilt to, where they were, `grounds` what was read from
    contracts for it, by whom and by whom again, first of all who named the contracts (`asked`) at the first and at the last
    block of the scan. `headers` is who bears out those that the day rests on: its boundaries and the times of its events; where
    nobody does, the grade is `one_voice`. `asked_of` is everybody who could be asked then, `failing_alike` are pairs of them
    that failed in the same odd words, `besides` those who were only asked for second opinions. Whoever reads it believes grade
    and verdict only as far as these bear them out.
    """
    # Of a period without blocks nothing rests on contracts: nobody can have logged anything.
    resting = least(examined.grade, grounds, voices, asked) if within else examined.grade
    grade = headers.grade if headers.grade == "one_voice" else resting
    names = dict.fromkeys(one.endpoint for one in (*examined.windows, *examined.second))
    names |= dict.fromkeys(() if examined.roots is None else examined.roots.agreed)
    names |= dict.fromkeys(name for one in examined.differences for name in one.said if name)
    names |= dict.fromkeys(name for one in grounds for name in (*one.first, *one.second))
    problem = "; ".join(
        dict.fromkeys(
            one
            for one in (
                examined.problem,
                headers.problem if examined.grade != "one_voice" == headers.grade else "",
                shortcoming(examined.grade, grounds, voices, asked) if within else "",
            )
            if one
        )
    )
    doubted = examined.suspect or headers.contradicted or any(one.contradicted for one in grounds)
    return {
        "from_block": within.start,
        "to_block": within.end - 1,
        "asked_at": asked_at.isoformat(timespec="seconds"),
        "windows": _joined(examined.windows, within),
        # Whose logs they are that could not be read is anybody's guess: nothing was compared then.
        "second": [] if examined.unread else _joined(examined.second, within),
        "voices": {name: voices.get(name, "") for name in names},
        "asked_of": sorted({*voices.values()}),
        "failing_alike": failing_alike,
        "besides": sorted({*besides} & {*names}),
        "grade": grade,
        "logs_grade": examined.grade,
        "headers": headers.to_json(),
        "grounds": [one.to_json() for one in grounds],
        "noticed": round(examined.noticed, 6),
        "problem": problem,
        **({"sampled_because": examined.sampled} if examined.sampled else {}),
        "unread": sorted(examined.unread),
        **_roots(within, examined.roots),
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
        "verdict": "suspect" if doubted else "complete",
    }


def snapshot_certificate(
    block: Header,
    borne: Borne,
    voices: Mapping[str, str],
    headers: HeaderStanding,
    history: Discovered | None = None,
    failing_alike: Sequence[tuple[str, str]] = (),
) -> dict[str, object]:
    """The certificate of a snapshot of this block: who read it first, who was asked how many of how many calls again.

    `headers` is who bears out the block, `history` the events that name the market's parts (None: none do, its row names them);
    `contradicted` is who says otherwise of any of them while nobody can decide.
    """
    alone = headers.grade == "one_voice"
    problems = dict.fromkeys(one for one in (borne.problem, headers.problem if alone else "") if one)
    first = borne.first.split(", ") if borne.first else []
    doubts = (borne.contradicted, headers.contradicted, "" if history is None else history.contradicted)
    return {
        "block": block.number,
        "block_hash": block.hash,
        "first": first,
        "second": borne.second,
        "voices": {name: voices.get(name, "") for name in (*first, borne.second) if name},
        "asked_of": sorted({*voices.values()}),
        "failing_alike": failing_alike,
        "asked_again": borne.again,
        "calls": borne.calls,
        "headers": headers.to_json(),
        "parts": {"named_by": ROW} if history is None else history.to_json(),
        "grade": weakest([headers.grade if alone else borne.grade, *([] if history is None else [history.grade])]),
        "problem": "; ".join(problems),
        "contradicted": "; ".join(dict.fromkeys(one for one in doubts if one)),
        "verdict": "suspect" if any(doubts) else "complete",
    }


def _roots(within: BlockRange, roots: RebuiltRoots | None) -> dict[str, object]:
    if roots is None:
        return {}
    return {
        "roots": {
            "from_block": within.start,
            "to_block": within.end - 1,
            "hash": roots.hash,
            "agreed": list(roots.agreed),
            "hashes": {str(number): one for number, one in sorted(roots.hashes.items())},
        }
    }


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
