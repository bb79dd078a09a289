"""Answers of a day that begins or ends at another block than the answer says, as two operators bear out by now.

What does not belong here: finding and bearing out boundaries (net/blocks), and what becomes of such a day (work/liars).
"""

from __future__ import annotations

import orjson

from cryptolake.contracts.grades import is_borne_out
from cryptolake.contracts.raw import Raw
from cryptolake.net.blocks import Header, KeepsBoundaries


def misplaced(raw: Raw, chain: str, kept: KeepsBoundaries | None) -> str | None:
    """Why an answer does not hold its day, in words; None where nothing that is borne out says so."""
    start, end = (
        None if kept is None else kept.get(chain, int(at.timestamp()))
        for at in (raw.partition.period.start, raw.partition.period.end)
    )
    if end is not None and is_borne_out(end.grade) and _names_another(raw, end):
        return f"its day ends with block {end.number} of hash {end.hash[:10]}, as two operators say; it was read at another"
    if start is not None and is_borne_out(start.grade) and b'"from_block":' in raw.payload:
        first = start.number + 1
        if f'"from_block":{first},'.encode() not in raw.payload:
            return f"its day begins with block {first}, as two operators say; it was read from another"
    return None


def _names_another(raw: Raw, end: Header) -> bool:
    """Whether the answer's own content names another block than this as its last one: nobody believes what stands beside it."""
    try:
        content = orjson.loads(raw.payload)
        content = content.get("document", content)
        said = content.get("block_hash")
        return bool(said != end.hash if isinstance(said, str) else content.get("block", end.number) != end.number)
    except (orjson.JSONDecodeError, AttributeError):
        return False
