"""State as it may be believed: read at a block, borne out by a second voice, read anew without whom two others contradict.

The one road for all that a family reads of contracts, whatever it is for; `Read` is made here alone, so that whoever needs
values has their proof in hand. What does not belong here: how programs are run (proven) and voices compared (second_voice).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from cryptolake.contracts.grades import Grade
from cryptolake.errors import CryptolakeError
from cryptolake.net.besides import among
from cryptolake.net.blocks import Blocks, Header
from cryptolake.net.multicall import Call, Failed, Finished, Program
from cryptolake.net.reverts import Reverts
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.failures import failures_borne_out
from cryptolake.sources.onchain.proven import run_programs, run_proven
from cryptolake.sources.onchain.second_voice import Borne, Disagreed, borne_out

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """What programs gave at a block, by market, and how all of it was borne out. `StateReader` alone makes one."""

    outcomes: Mapping[str, Finished[T] | Failed]
    borne: Borne


@dataclass(frozen=True, slots=True)
class KnownReverts:
    """What is known of a chain's calls that revert: as first voices say, and as those say who bear others out."""

    first: Reverts = field(default_factory=Reverts)
    again: Reverts = field(default_factory=Reverts)


@dataclass(frozen=True, slots=True)
class StateReader:
    """Reads one chain's state up to the grade that is wished for. Thread-safe."""

    pool: Pool
    blocks: Blocks
    chain: Chain
    wanted: Grade
    reverts: KnownReverts = field(default_factory=KnownReverts)

    def markets(
        self,
        markets: Mapping[str, Csu],
        program: Callable[[Csu], Program[T]],
        header: Header,
        likely: Sequence[Call] = (),
        *,
        alive_at: Mapping[str, int] | None = None,
        believed: Callable[[CryptolakeError], bool] = lambda _error: False,
    ) -> Read[T]:
        """Run the program of each market at a block, each with its anchors (proven.run_proven), and have it borne out.

        `believed` says of which failures somebody is going to conclude something, so that they are borne out as well.
        """

        def ask(pool: Pool, heard: set[str]) -> dict[str, Finished[T] | Failed]:
            return run_proven(
                pool,
                self.blocks,
                self.chain,
                markets,
                program,
                header,
                likely,
                alive_at=alive_at,
                heard=heard,
                reverts=self.reverts.first,
            )

        return self._read(ask, header, markets, believed, settled=True)

    def programs(
        self, programs: Callable[[], Mapping[str, Program[T]]], header: Header, likely: Sequence[Call] = ()
    ) -> Read[T]:
        """Run programs at a block, whose markets were proven there already, and have them borne out.

        `programs` makes them anew for every reading.
        """
        names = programs()
        block = self.blocks.identity(header, self.chain.known_block)

        def ask(pool: Pool, heard: set[str]) -> dict[str, Finished[T] | Failed]:
            return run_programs(pool, programs(), block, self.chain, likely, heard, self.reverts.first)

        return self._read(ask, header, names, lambda _error: False, settled=False)

    def _read(
        self,
        ask: Callable[[Pool, set[str]], dict[str, Finished[T] | Failed]],
        header: Header,
        names: Mapping[str, object],
        believed: Callable[[CryptolakeError], bool],
        *,
        settled: bool,
    ) -> Read[T]:
        """Read and have it borne out; whom two others contradict is not asked again, and the reading without it says so: two
        that read alike prove nothing. Raises as the first reading.

        `settled`: who is absent by the first reading was settled in it.

        Where voices differ and nobody says which is right, everything failed; where they differ about what made some markets
        fail, these alone. Raises CeilingReached where one ended the run meanwhile: a second voice that was not asked for it is
        not silent.
        """
        pool = self.pool
        block = self.blocks.identity(header, self.chain.known_block)
        outvoted: list[str] = []
        while True:
            heard = set[str]()
            outcomes = ask(pool, heard)
            try:
                again = self.reverts.again
                outcomes, doubt = failures_borne_out(
                    pool, self.chain, block, outcomes, heard, again, settled=settled, believed=believed
                )
                borne = borne_out(pool, self.chain, block, outcomes, heard, self.wanted, again, believed=believed)
            except Disagreed as error:
                pool.go_on()
                honest = [one for one in pool.stations if one.endpoint.name != error.liar]
                if not error.liar or not honest:
                    return Read(dict.fromkeys(names, Failed(error, [])), Borne("one_voice", ""))
                pool = among(pool, honest)
                outvoted.append(str(error))
            else:
                pool.go_on()
                said = dict.fromkeys(one for one in (*outvoted, doubt, borne.contradicted) if one)
                return Read(outcomes, replace(borne, contradicted="; ".join(said)))
