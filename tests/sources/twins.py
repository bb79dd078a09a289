"""A town made of one real market: what its contracts answered on the local node, and siblings of it at other addresses.

A sibling is the same market once more: every contract but the tokens has another address, and names the others by theirs.
Asking this town needs no node, so thousands of wrong rows can be read in it. A stand-in for the chain, because nobody could
deploy that many markets; what it answers is real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from cryptolake.net.abi import checksum, keccak
from cryptolake.net.block_identity import BlockIdentity
from cryptolake.net.blocks import Blocks, Header
from cryptolake.net.envelope import Json
from cryptolake.net.faults import RpcFault
from cryptolake.net.multicall import MULTICALL3, Call, CallResult, Failed, Finished
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import declared, families
from cryptolake.sources.onchain.proven import run_proven
from cryptolake.sources.onchain.records import Reserve

HEADER = Header(1000, 1_733_000_000, "0x" + "11" * 32, parent="0x" + "22" * 32)
ANSWERS_ALL = {  # live contracts that answer whatever they are asked
    "zeros": checksum("0x" + "a0" * 20),
    "ones": checksum("0x" + "a1" * 20),
    "itself": checksum("0x" + "a2" * 20),
}
BARE = checksum("0x" + "bb" * 20)
Programs = Mapping[str, Callable[[Csu], Any]]
Answers = Mapping[Call, CallResult]


def programs(csu: Csu) -> Programs:
    """What is read of a market: its snapshot, and the emitters of its liquidations."""
    family = families()[csu.family]
    return {"snapshot": family.snapshot, "emitters": family.emitters}


@dataclass(frozen=True)
class Town:
    """A market's true row, what it gives, all answers there are, and live contracts that are not its own."""

    csu: Csu
    truth: Mapping[str, Any]
    answers: Answers
    siblings: Sequence[Mapping[str, str]]  # by the true address: where this sibling has the same contract
    others: Sequence[str]

    def read(self, csu: Csu) -> dict[str, Any]:
        """What a row gives: by program its value without prices, or the error."""
        read = _read(cast(Pool, _Node(self.answers)), _OneBlock(), csu)
        return {name: priceless(value) for name, (value, _) in read.items()}


def priceless(value: Any) -> Any:
    """A market's figures without what its oracle says of them."""
    if not isinstance(value, list) or not all(isinstance(one, Reserve) for one in value):
        return value
    return [replace(one, price_raw=None, price_unit=None, price_quote="") for one in value]


def town(csu: Csu, pool: Pool, blocks: Blocks, header: Header, siblings: int = 12) -> Town:
    """Read the market on the node at a block, and found its siblings."""
    read = _read(pool, blocks, csu, header, Chain(csu.chain, csu.chain_id, MULTICALL3, multicall3_block=0))
    answers = {call: answer for _, transcript in read.values() for stored in transcript for call, answer in stored}
    assert not any(isinstance(value, Exception) for value, _ in read.values()), read
    reserves = read["snapshot"][0]
    return raised(
        csu, {name: value for name, (value, _) in read.items()}, answers, {r.asset for r in reserves}, siblings
    )


def raised(csu: Csu, truth: Mapping[str, Any], answers: Answers, tokens: Iterable[str], siblings: int = 12) -> Town:
    """The town of these answers. Tokens are everybody's, but for one that only this market names (a fact of its row)."""
    named = {one.same_as for one in declared()[csu.family].anchors_of(csu.protocol)}
    shared = {*tokens, MULTICALL3} - {csu.facts[name] for name in named & csu.facts.keys()}
    stated = {one for said in (csu.entry, csu.facts) for joined in said.values() for one in joined.split(",")}
    own = sorted(({call.to for call in answers} | {one for one in stated if one.startswith("0x")}) - shared)
    twins = [{one: checksum("0x" + keccak(f"{one}{n}".encode())[:20].hex()) for one in own} for n in range(siblings)]
    everything = dict(answers)
    for twin in twins:
        everything |= dict(_moved(answers, twin))
    blank = {one: checksum("0x" + keccak(f"{one} blank".encode())[:20].hex()) for one in own}
    for call, answer in _moved(answers, blank):  # implementations: the same getters, nothing in storage
        if call.to in blank.values():
            everything[call] = CallResult(answer.success, bytes(len(answer.data)))
    others = [*sorted(shared), *own, *blank.values(), *ANSWERS_ALL.values(), BARE]
    return Town(csu, {name: priceless(value) for name, value in truth.items()}, everything, twins, others)


def _moved(answers: Answers, to: Mapping[str, str]) -> Iterable[tuple[Call, CallResult]]:
    bytes_of = {bytes.fromhex(old[2:]): bytes.fromhex(new[2:]) for old, new in to.items()}

    def renamed(data: bytes) -> bytes:
        for old, new in bytes_of.items():
            if old in data:
                data = data.replace(old, new)
        return data

    for call, answer in answers.items():
        yield Call(to.get(call.to, call.to), renamed(call.data)), CallResult(answer.success, renamed(answer.data))


def replaced(csu: Csu, role: str, old: str, new: str) -> Csu:
    """The row with one of its addresses exchanged."""
    return replace(csu, entry={**csu.entry, role: ",".join(new if one == old else one for one in _listed(csu, role))})


def places(csu: Csu) -> list[tuple[str, str]]:
    """Every role of the row with each address it states."""
    return [(role, one) for role in csu.entry for one in _listed(csu, role) if one.startswith("0x")]


def _listed(csu: Csu, role: str) -> list[str]:
    return csu.entry[role].split(",")


def _read(
    pool: Pool, blocks: Any, csu: Csu, header: Header = HEADER, chain: Chain | None = None
) -> dict[str, tuple[Any, Any]]:
    where = chain or Chain(csu.chain, csu.chain_id)
    found = {}
    for name, program in programs(csu).items():
        (outcome,) = run_proven(pool, blocks, where, {csu.name: csu}, program, header).values()
        value = outcome.error if isinstance(outcome, Failed) else outcome.value
        assert isinstance(outcome, Finished | Failed)
        found[name] = (value, outcome.transcript)
    return found


class _OneBlock:
    """The town's only block."""

    def header(self, number: int) -> Header:
        return HEADER

    def identity(self, header: Header, kind: Any) -> BlockIdentity:
        return BlockIdentity(header.number, header.timestamp, header.hash, header.parent, kind)


class _Node:
    """The part of a pool that readings use, over the town's answers."""

    last_endpoints = frozenset({"town"})
    stations: Sequence[Any] = ()
    everybody: Sequence[Any] = ()
    besides: Sequence[Any] = ()

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._live = {call.to for call in answers} | {*ANSWERS_ALL.values()}

    def finalized(self) -> int:
        return HEADER.number

    def batch(self, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]:
        return [self._answer(method, cast(Any, params)) for method, params in calls]

    def _answer(self, method: str, params: Sequence[Any]) -> Json | RpcFault:
        if method == "eth_getCode":
            return "0x60" if params[0] in self._live else "0x"
        call = Call(params[0]["to"], bytes.fromhex(params[0]["data"][2:]))
        if call.to == ANSWERS_ALL["zeros"]:
            return "0x" + "00" * 640
        if call.to == ANSWERS_ALL["ones"]:
            return "0x" + f"{1:064x}" * 20
        if call.to == ANSWERS_ALL["itself"]:
            return "0x" + ("00" * 12 + call.to[2:].lower()) * 20
        if call.to not in self._live:
            return "0x"
        answer = self._answers.get(call)
        if answer is None or not answer.success:
            return RpcFault(3, "execution reverted")
        return "0x" + answer.data.hex()
