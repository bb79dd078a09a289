"""`Aggregate`: many calls as one Multicall3 call whose answer says which block it was read at.

What does not belong here: which calls go together and what becomes of a refusal (multicall).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryptolake.errors import Skip
from cryptolake.net.abi import decode_aggregate3, encode_aggregate3
from cryptolake.net.answers import data
from cryptolake.net.block_identity import BlockIdentity, Unidentified
from cryptolake.net.calls import Call, CallResult
from cryptolake.net.envelope import Json
from cryptolake.net.faults import Malformed
from cryptolake.net.state import Proving, Several


class Plain(Several):
    """An aggregate3 of some calls that does not tell its block."""

    def __init__(self, multicall3: str, calls: Sequence[Call]) -> None:
        data = encode_aggregate3([(call.to, call.data) for call in calls])
        super().__init__(to=multicall3, data="0x" + data.hex())
        self.parts, self._last = len(calls), calls[-1:]

    @property
    def least(self) -> Mapping[str, Json]:
        return _alone(self._last) or self


class NoMulticall(Unidentified):
    """There is no Multicall3 at the block, as far as anybody says."""


class Aggregate(Proving):
    """An aggregate3 of the calls that tell the block and others; keeps the others' results once they are believed."""

    def __init__(self, multicall3: str, calls: Sequence[Call], identity: BlockIdentity) -> None:
        self._before, self._count, self._identity = identity.calls(multicall3), len(calls), identity
        every = [*self._before, *((call.to, call.data) for call in calls)]
        super().__init__(to=multicall3, data="0x" + encode_aggregate3(every).hex())
        self.parts, self._last = len(calls), calls[-1:]
        self.results: list[CallResult] = []

    @property
    def least(self) -> Mapping[str, Json]:
        return _alone(self._last) or self

    def believe(self, answer: Json) -> None:
        content = content_of(answer)
        if not content:
            raise NoMulticall("Multicall3 does not answer at this block; it is asked elsewhere")
        try:
            found = decode_aggregate3(content)
        except Skip:
            found = []
        if len(found) != len(self._before) + self._count:
            raise Unidentified("an aggregate was answered with something else; it is asked elsewhere")
        self._identity.check(found[: len(self._before)])
        self.results = [CallResult(good, piece) for good, piece in found[len(self._before) :]]


def _alone(calls: Sequence[Call]) -> Mapping[str, Json]:
    """The fields of an eth_call for the first of these; none where there is none."""
    return {"to": calls[0].to, "data": "0x" + calls[0].data.hex()} if calls else {}


def content_of(answer: Json) -> bytes:
    """The bytes of an eth_call's answer. Raises Malformed for what is no hex data."""
    found = data(answer)
    if found is None:
        raise Malformed("an eth_call answered something that is not hex data; set another endpoint, then run again")
    return found
