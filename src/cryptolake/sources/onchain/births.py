"""`Births`: whether the deployment blocks of rows are borne out by code, without which a row certifies no absence.

A row's block is borne out when none of the contracts that the market began with has code at the block before it, and one of
them has at the block itself (by now, where the row calls its block a bound), as two voices say where there are two. A row that
names a later block than the true one is believed in nothing: the chain is asked. What does not belong here: a market that
is not found where its row does not say so (presence).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from cryptolake.errors import CryptolakeError
from cryptolake.net.besides import another_voice
from cryptolake.net.faults import Behind
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.presence import absent_by_row, beginnings, codes


class Births:
    """What was found out of rows' deployment blocks in one run. `voices` are asked, where there are so many. Thread-safe."""

    def __init__(self, voices: int = 2) -> None:
        self._voices, self._lock = voices, threading.Lock()
        self._known: dict[tuple[str, int], str] = {}
        self._asking: dict[str, threading.Lock] = {}

    def borne_out(self, pool: Pool, chain: Chain, csus: Sequence[Csu]) -> Mapping[str, str | CryptolakeError]:
        """By market, the words of its absence before its row's deployment block where that is borne out, "" where it is not;
        the error where nobody can say.

        One question of code before and one at each block, asked once, all together.
        """
        stated = {csu.name: csu for csu in csus if csu.deployed_block is not None}
        with self._lock:
            asking = self._asking.setdefault(chain.name, threading.Lock())
        found: dict[str, str | CryptolakeError] = {}
        with asking:
            new = [one for one in stated.values() if _key(one) not in self._known]
            try:
                self._learn(pool, chain, new)
            except CryptolakeError:
                for one in new:  # a block that nobody has costs no other market its answer
                    try:
                        self._learn(pool, chain, [one])
                    except Behind:
                        found[one.name] = ""  # a block that has not come yet bears nothing out
                    except CryptolakeError as error:
                        found[one.name] = error
        return {name: found[name] if name in found else self._known[_key(one)] for name, one in stated.items()}

    def _learn(self, pool: Pool, chain: Chain, csus: Sequence[Csu]) -> None:
        """Ask one voice, and another one where there is one that answers; one that does not fails nobody, and is named."""
        if not csus:
            return
        said, silent = [_begins(pool, chain, csus)], list[str]()
        heard = frozenset(pool.last_endpoints)
        while self._voices > len(said) and (other := another_voice(pool, {*heard, *silent})) is not None:
            try:
                said.append(_begins(other, chain, csus))
            except CryptolakeError:
                silent += [one.endpoint.name for one in other.stations]
        alone = silent if len(said) == 1 else []
        for one in csus:
            words = absent_by_row(one, alone, by_two=len(said) > 1)
            self._known[_key(one)] = words if all(voice[one.name] for voice in said) else ""


def _key(csu: Csu) -> tuple[str, int]:
    return csu.name, csu.deployed_block or 0


def _begins(pool: Pool, chain: Chain, csus: Sequence[Csu]) -> dict[str, bool]:
    """Whether each market has no code before its row's block, and some at it."""
    head = pool.finalized() if any(one.deployed_later for one in csus) else 0
    asked: dict[tuple[str, str, bool], tuple[str, int]] = {}
    for csu in csus:
        _, block = _key(csu)
        for contract in beginnings(csu, declared()[csu.family]):
            asked[csu.name, contract, True] = contract, head if csu.deployed_later else block
            if block:
                asked[csu.name, contract, False] = contract, block - 1
    code = dict(zip(asked, codes(pool, chain, list(asked.values())), strict=True))
    there = {(name, by) for (name, _, by), one in code.items() if one}
    return {one.name: (one.name, True) in there and (one.name, False) not in there for one in csus}
