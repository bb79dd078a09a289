"""Whatever a family reads of contracts to make liquidations, a liar about it gives no figure that claims two voices.

Every getter that is asked, in every world that can be played, shortened, doubled, halved, refused, emptied, cut or zeroed; the
liar first or second, beside one honest operator or two. Real contracts on a real node.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import pytest
from tests.chain.anvil import Anvil
from tests.chain.fixtures import require_chain
from tests.chain.gearbox import GearboxMarket
from tests.chain.venus_days import Days, day
from tests.hostile.contract_lies import LIES, Answers, Kept, LyingHttp, answers, collected, pool_over
from tests.sources.test_gearbox_equals_contracts import csu_on as gearbox_on
from tests.sources.test_wrong_addresses import WORLDS, recorded_vaults

from cryptolake.contracts.grades import Grade, at_least
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.net.abi import checksum, selector
from cryptolake.net.blocks import Blocks, Header
from cryptolake.net.multicall import Call, CallResult, Finished, replay
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import families
from cryptolake.sources.onchain.state import StateReader

pytestmark = [pytest.mark.chain]
LYING = 120  # lies of each world at most, by lot
WISHES: Sequence[Grade] = ("two_voices", "receipts_root", "two_voices_sampled")
PLACES = {  # the liar, among how many, and whether they are asked in turn
    "first": ("0", 2, False),
    "second": ("1", 2, False),
    "in turn": ("1", 2, True),
    "first of three": ("0", 3, False),
    "second of three": ("1", 3, False),
}


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
        liar, endpoints, alike = PLACES[place]
        http = LyingHttp(self.kept, liar, getter, LIES[lie])
        return collected(self.csu, self.wanted, http, endpoints, wished, alike=alike)

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
        wished = WISHES[number % len(WISHES)]
        found = bench.with_a_liar(getter, lie, place, wished)
        assert bench.wrong(found) == [], (getter, lie, place)
        failed = [one for one in found.values() if isinstance(one, str)]
        assert not any("correct the row" in one for one in failed), (getter, lie, place, failed)
        if PLACES[place][1] == 3:  # the third says who is right, also about what made the market fail
            assert not failed, (getter, lie, place, wished, failed)
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


@pytest.mark.xdist_group("venus")
def test_a_reading_in_which_all_have_a_part_is_borne_out_by_each_alone(venus: Bench) -> None:
    http = LyingHttp(venus.kept)
    found = collected(venus.csu, venus.wanted, http, 2, "two_voices", alike=True)
    assert found == venus.truth
    assert {one[1] for one in found.values()} == {"two_voices"}


@pytest.mark.xdist_group("venus")
@pytest.mark.parametrize(("getter", "eventful"), [("exchangeRateStored()", True), ("getAllMarkets()", False)])
def test_what_a_public_one_alone_contradicts_is_kept_and_suspect(venus: Bench, getter: str, eventful: bool) -> None:
    """It fails nothing of the user's own endpoint; nor is the day ok while nobody can decide."""
    lie = "doubled" if eventful else "shortened"
    http = LyingHttp(venus.kept, "1", "0x" + selector(getter).hex(), LIES[lie])
    found = list(answers(venus.csu, venus.wanted, pool_over(http, 2, venus.csu.chain, public=True), "two_voices"))
    assert len(found) == len(venus.wanted)
    assert http.told
    suspect = 0
    for source, one in found:
        assert isinstance(one, Raw), one
        rows = [dict(row) for row in source.parse(one)]
        assert rows == venus.truth[one.partition][0]
        verdict = orjson.loads(one.payload)["certificate"]["verdict"]
        assert (verdict == "suspect") is (bool(rows) if eventful else True)
        assert source.grade(one) == ("one_voice" if verdict == "suspect" else "two_voices")
        suspect += verdict == "suspect"
    assert suspect


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


BLOCK = Header(1000, 1_733_000_000, "0x" + "11" * 32, parent="0x" + "22" * 32)


class Recorded:
    """One block of a chain of which only contracts' answers are known: Euler's vaults, which no package publishes."""

    def __init__(self, answers: Mapping[Call, CallResult]) -> None:
        self._answers = answers

    def ask(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        if method == "eth_getBlockByNumber":
            said = {"hash": BLOCK.hash, "parentHash": BLOCK.parent, "timestamp": hex(BLOCK.timestamp)}
            return {"result": {"number": hex(BLOCK.number), **said}}
        if method != "eth_call":
            return {"result": {"eth_chainId": hex(31337), "eth_getCode": "0x60"}.get(method, hex(BLOCK.number))}
        known = self._answers.get(Call(checksum(params[0]["to"]), bytes.fromhex(params[0]["data"][2:])))
        if known is None or not known.success:
            return {"error": {"code": 3, "message": "execution reverted"}}
        return {"result": "0x" + known.data.hex()}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("place", PLACES)
def test_no_lie_about_the_emitters_of_recorded_vaults_passes(lie: str, place: str) -> None:
    csu, known = recorded_vaults()
    liar, endpoints, alike = PLACES[place]
    truth = replay(families()["euler_v2"].emitters(csu), [list(known.items())])
    assert len(truth) > 1
    for getter in ("verifiedArray()", "implementation()"):
        http = LyingHttp(cast(Kept, Recorded(known)), liar, "0x" + selector(getter).hex(), LIES[lie])
        pool = pool_over(http, endpoints, "local", alike=alike)
        state = StateReader(pool, Blocks(pool), Chain("local", 31337), "two_voices")
        read = state.markets({csu.name: csu}, families()["euler_v2"].emitters, BLOCK)
        outcome = read.outcomes[csu.name]
        if isinstance(outcome, Finished):
            assert (outcome.value, read.borne.grade) == (truth, "two_voices")
        else:
            assert outcome.error
