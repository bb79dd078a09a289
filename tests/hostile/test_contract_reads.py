"""Whatever a family reads of contracts to make liquidations, a liar about it gives no figure that claims two voices.

Every getter that is asked, in every world that can be played, shortened, doubled, halved or refused; the liar first or
second, beside one honest operator or two. Real contracts on a real node.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import pytest
from tests.chain.anvil import Anvil
from tests.chain.fixtures import require_chain
from tests.chain.gearbox import GearboxMarket
from tests.chain.venus_days import Days, day
from tests.hostile.contract_lies import LIES, Answers, Kept, LyingHttp, collected
from tests.sources.test_gearbox_equals_contracts import csu_on as gearbox_on
from tests.sources.test_wrong_addresses import WORLDS

from cryptolake.contracts.grades import Grade, at_least
from cryptolake.contracts.partition import Partition, Period
from cryptolake.net.abi import checksum
from cryptolake.registry.markets import Csu

pytestmark = [pytest.mark.chain]
LYING = 120  # lies of each world at most, by lot
WISHES: Sequence[Grade] = ("two_voices", "receipts_root", "two_voices_sampled")
PLACES = {"first": ("0", 2), "second": ("1", 2), "first of three": ("0", 3), "second of three": ("1", 3)}


class Bench:
    """One market on one node, the days of it, and what is true of them."""

    def __init__(self, node: Anvil, csu: Csu, periods: Iterable[Period]) -> None:
        self.csu, self.kept = csu, Kept(node)
        self.wanted = [Partition("liquidations", csu.name, one) for one in periods]
        honest = LyingHttp(self.kept)
        self.truth = collected(csu, self.wanted, honest, 2, "two_voices")
        self.getters = honest.getters

    def lies(self, getter: str) -> list[str]:
        """Those that change anything that this getter answered."""
        return [name for name, lie in LIES.items() if any(lie(one) != (True, one) for one in self.getters[getter])]

    def with_a_liar(self, getter: str, lie: str, place: str, wished: Grade) -> Answers:
        liar, endpoints = PLACES[place]
        return collected(self.csu, self.wanted, LyingHttp(self.kept, liar, getter, LIES[lie]), endpoints, wished)

    def wrong(self, found: Answers) -> list[Partition]:
        """The days with other rows than the truth that claim two voices or more."""
        return [
            one
            for one, told in found.items()
            if not isinstance(told, str) and at_least(told[1], "two_voices") and told[0] != self.truth[one][0]
        ]


def no_lie_passes(bench: Bench) -> None:
    assert all(not isinstance(one, str) for one in bench.truth.values()), bench.truth
    assert {one[1] for one in bench.truth.values()} == {"two_voices"}
    assert any(one[0] for one in bench.truth.values())
    lots, loud, healed = random.Random(15), 0, 0
    every = [(getter, lie, place) for getter in sorted(bench.getters) for lie in bench.lies(getter) for place in PLACES]
    assert len(every) > 5
    for number, (getter, lie, place) in enumerate(lots.sample(every, min(LYING, len(every)))):
        found = bench.with_a_liar(getter, lie, place, WISHES[number % len(WISHES)])
        assert bench.wrong(found) == [], (getter, lie, place)
        loud += any(isinstance(one, str) for one in found.values())
        healed += PLACES[place][1] == 3 and found == bench.truth
    assert loud, "nobody heard a lie"
    assert healed, "no lie was settled by a third operator"


@pytest.fixture(scope="module")
def venus(venus_core: Days) -> Bench:
    named = {"comptroller": checksum(venus_core.market.comptroller)}
    csu = Csu("local", "compound_v2", "venus", "2", "binance", 31337, named, deployed_block=1)
    return Bench(venus_core.node, csu, map(Period.of_day, map(day, range(1, 6))))


@pytest.mark.xdist_group("venus")
def test_no_lie_about_venus_passes(venus: Bench) -> None:
    no_lie_passes(venus)


@pytest.mark.xdist_group("gearbox")
def test_no_lie_about_gearbox_passes(gearbox_market: GearboxMarket) -> None:
    made = gearbox_market
    first, last = (made.node.timestamp(made.marks[name]) for name in ("repaid", "paused and given"))
    whole = Period(datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last + 1, UTC))
    no_lie_passes(Bench(made.node, gearbox_on(made), [whole]))


@pytest.fixture(scope="module", params=WORLDS)
def played(request: pytest.FixtureRequest) -> Iterator[Bench]:
    require_chain()
    play, lacking = WORLDS[request.param]
    if (reason := lacking()) is not None:
        pytest.skip(reason)
    with Anvil() as node:
        world = play(node)
        yield Bench(world.node, world.csu, map(Period.of_day, world.days))


def test_no_lie_about_a_played_market_passes(played: Bench) -> None:
    no_lie_passes(played)
