"""Whether a landed answer is suspect, by all that is proven by now: its own proof, who contradicts it, and on whom it rests.

What does not belong here: how far it is proven (grading), and the days that others' proofs make suspect later (work.liars).
"""

from __future__ import annotations

import orjson

from cryptolake.contracts.entry import CONTRADICTED
from cryptolake.contracts.raw import Raw
from cryptolake.net.liars import Liars, alone, resting_on
from cryptolake.sources.onchain.grading import graded


def weighed(raw: Raw, chain: str, liars: Liars, *, logs: bool) -> str | None:
    """Why an answer of a chain is suspect, None where it is not. Whom the certificate of `logs` proves a liar is remembered."""
    content = orjson.loads(raw.payload)
    if logs and content.get("certificate") is None:
        return None  # kept before there were any, or adopted: it proves nothing, and nobody contradicts it
    found = graded(raw, content)
    if found.faults:
        return found.faults[0]
    if logs:
        liars.learn(chain, content["certificate"])
    if found.doubts:
        return CONTRADICTED if logs else found.doubts[0]
    return (
        (resting_on(alone(content["certificate"], liars.accused(chain), by_roots=found.by_roots)) or None)
        if logs
        else None
    )
