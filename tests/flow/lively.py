"""Liquidations on simulated chains, as often as the registry says of each market, in blocks and of assets drawn by a seed.

No real data: days are as even as real ones are not, which no plan can know. What does not belong here: who asks for them and
what it costs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from benchmarks.simulated_ethereum import Market, Simulated, uint
from tests.net.simulated_clock import SimulatedClock

from cryptolake.net.abi import WORD, checksum
from cryptolake.registry.event_rates import events_a_day
from cryptolake.sources.onchain.aave import LIQUIDATION_CALL
from cryptolake.sources.onchain.compound_v2 import LIQUIDATE_BORROW
from cryptolake.sources.onchain.compound_v3 import ABSORB_COLLATERAL, ABSORB_DEBT
from cryptolake.sources.onchain.euler_v2 import LIQUIDATE

Event = tuple[str, list[str], bytes]
"""Emitter, topics and data."""
_WHO = f"0x{7:064x}"


def _address(made: bytes) -> str:
    return "0x" + made[12:].hex()


def _topic(made: bytes) -> str:
    return "0x" + made.hex()


def _aave(market: Market, lots: random.Random) -> list[Event]:
    tokens = [_topic(market.made("token", lots.randrange(market.size))) for _ in range(2)]
    data = uint(10**18) + uint(10**18) + uint(9) + uint(0)
    return [(market.csu.entry["pool"], [LIQUIDATION_CALL, *tokens, _WHO], data)]


def _compound_v2(market: Market, lots: random.Random) -> list[Event]:
    lent, seized = (market.made("ctoken", lots.randrange(market.size)) for _ in range(2))
    return [(_address(lent), [LIQUIDATE_BORROW], uint(8) + uint(7) + uint(10**18) + seized + uint(10**9))]


def _compound_v3(market: Market, lots: random.Random) -> list[Event]:
    asset, comet = _topic(market.made("token", 1 + lots.randrange(market.size))), market.csu.entry["comet"]
    return [
        (comet, [ABSORB_COLLATERAL, _WHO, _WHO, asset], uint(10**18) + uint(10**8)),
        (comet, [ABSORB_DEBT, _WHO, _WHO], uint(10**6) + uint(10**8)),
    ]


def _euler_v2(market: Market, lots: random.Random) -> list[Event]:
    lent, seized = (market.made("vault", lots.randrange(market.size)) for _ in range(2))
    return [(_address(lent), [LIQUIDATE, _WHO, _WHO], seized + uint(10**18) + uint(10**9))]


_FAMILIES: dict[str, Callable[[Market, random.Random], list[Event]]] = {
    "aave_v2": _aave,
    "aave_v3": _aave,
    "compound_v2": _compound_v2,
    "compound_v3": _compound_v3,
    "euler_v2": _euler_v2,
}


@dataclass
class Liquidations:
    """The events of a simulated chain's markets."""

    chain: Simulated
    clock: SimulatedClock
    _days: dict[int, list[tuple[int, list[Event]]]] = field(default_factory=dict)

    def logs(self, asked: dict[str, Any]) -> list[dict[str, object]]:
        """The logs of the contracts asked for in the blocks asked for."""
        first, last = int(asked["fromBlock"], 16), int(asked["toBlock"], 16)
        named = asked["address"] if isinstance(asked["address"], list) else [asked["address"]]
        wanted = {checksum(one) for one in named}
        found = []
        for number, events in self._between(first, last):
            of_block = [one for one in events if checksum(one[0]) in wanted]
            found += [self._log(number, place, *one) for place, one in enumerate(of_block)]
        return found

    def _between(self, first: int, last: int) -> Iterator[tuple[int, list[Event]]]:
        days = ((self.clock(number) - int(self.clock.start.timestamp())) // 86400 for number in (first, last))
        for day in range(next(days), next(days) + 1):
            yield from ((number, events) for number, events in self._of_day(day) if first <= number <= last)

    def _of_day(self, day: int) -> list[tuple[int, list[Event]]]:
        if day not in self._days:
            start, end = self.clock.firsts[day], self.clock.firsts[day + 1]
            lots = random.Random(f"{self.clock.name}:{day}")
            at: dict[int, list[Event]] = {}
            for market in self.chain.markets:
                born, today = market.csu.deployed_on, (self.clock.start + timedelta(days=day)).date()
                if market.csu.family not in _FAMILIES or (born is not None and born > today):
                    continue
                rate = events_a_day(market.csu)
                for _ in range(math.floor((day + 1) * rate) - math.floor(day * rate)):
                    at.setdefault(lots.randrange(start, end), []).extend(_FAMILIES[market.csu.family](market, lots))
            self._days[day] = sorted(at.items())
        return self._days[day]

    @staticmethod
    def _log(number: int, place: int, emitter: str, topics: list[str], data: bytes) -> dict[str, object]:
        assert len(data) % WORD == 0
        return {
            "address": emitter,
            "topics": topics,
            "data": "0x" + data.hex(),
            "blockNumber": hex(number),
            "blockHash": f"0x{number:064x}",
            "transactionHash": f"0x{number:064x}",
            "logIndex": hex(place),
        }
