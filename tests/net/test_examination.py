"""Whatever voices leave out, make up or number as they like: the logs are right, or the period says that it is suspect."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from tests.examples import representative
from tests.net.node import EMITTER, TOPIC, Node, pool_of

from cryptolake.contracts.grades import Grade
from cryptolake.net.besides import among
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.examination import ExaminedWindows, Examiner
from cryptolake.net.logs import BlockWindow, Log, LogFilter, LogQuestion, gather
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan
from cryptolake.net.settlement import differing, settle
from cryptolake.net.witness import Witness

FILTERS = [LogFilter(EMITTER, frozenset({TOPIC}))]
WITHIN = BlockRange(1000, 2000)
QUIET_BLOCKS = 4  # whose headers are looked at
SPAN = 100


class Voice(Node):
    """Says what it likes of some blocks: `ranges` leaves their logs out of ranges only, `invents` makes some up there.

    `doubled` tells of every log there twice, with other data.

    With `hashes` false it does not know the question by a block's hash, and answers it with nothing.
    """

    def __init__(
        self,
        *,
        hidden: Sequence[int] = (),
        ranges: Sequence[int] = (),
        invents: Sequence[int] = (),
        shifted: Sequence[int] = (),
        doubled: Sequence[int] = (),
    ) -> None:
        super().__init__(hidden=frozenset(hidden))
        self.ranges, self.invents, self.shifted = frozenset(ranges), frozenset(invents), frozenset(shifted)
        self.doubled, self.hashes = frozenset(doubled), True

    def _logs(self, asked: Mapping[str, Any]) -> dict[str, object]:
        found = super()._logs(asked).get("result")
        if not isinstance(found, list):
            return {"error": {"code": -32000, "message": "eth_getLogs is limited to a 100 range"}}
        numbers = [int(one["blockNumber"], 16) for one in found]
        if "blockHash" in asked and not self.hashes:
            return {"result": []}
        if "blockHash" in asked:
            first = last = int(asked["blockHash"], 16)
        else:
            first, last = int(asked["fromBlock"], 16), int(asked["toBlock"], 16)
            found = [one for one, number in zip(found, numbers, strict=True) if number not in self.ranges]
        made = [self.log(number, 5) for number in sorted(self.invents) if first <= number <= last]
        made += [
            {**one, "logIndex": hex(int(one["logIndex"], 16) + 500), "data": "0x" + "07" * 32}
            for one in found
            if int(one["blockNumber"], 16) in self.doubled
        ]
        return {"result": sorted([*found, *made], key=lambda one: int(str(one["blockNumber"]), 16))}

    def log(self, number: int, index: int) -> dict[str, object]:
        told = super().log(number, index)
        return {**told, "logIndex": hex(index + 1)} if number in self.shifted else told


class Unreadable(Voice):
    """Gives two logs the same place in every block."""

    def _logs(self, asked: Mapping[str, Any]) -> dict[str, object]:
        told = super()._logs(asked)
        found = told.get("result")
        return (
            {"result": [x for one in found for x in (one, {**one, "data": "0x01"})]}
            if isinstance(found, list)
            else told
        )


class Deaf(Node):
    """Fails whenever it is asked for logs."""

    def _logs(self, asked: Mapping[str, Any]) -> dict[str, object]:
        return {"error": {"code": -32603, "message": "internal error"}}


TRUTH = [(number, 0) for number in range(1001, 2000, 7)]


def examined(
    *nodes: Node,
    grade: Grade = "two_voices",
    share: float = 1.0,
    operators: Sequence[str] | None = None,
    span: int = SPAN,
) -> tuple[ExaminedWindows, Pool]:
    """The period asked of the first node, then examined with the help of all."""
    pool = pool_of(*nodes, span=span, operators=operators)
    everybody, pool.stations = pool.stations, pool.stations[:1]
    logs, windows = gather(scan(pool, FILTERS, WITHIN))
    pool.stations = everybody
    examiner = Examiner(pool, Blocks(pool), FILTERS, grade, Witness(pool, FILTERS, share))
    return examiner.examine(windows, logs, WITHIN), pool


def places(found: ExaminedWindows) -> list[tuple[int, int]]:
    return [(one.block, one.index) for one in found.logs]


LIES: dict[str, dict[str, Sequence[int]]] = {
    "nothing": {},
    "drops a block": {"hidden": [1400]},
    "drops a block in ranges": {"ranges": [1400]},
    "drops all": {"hidden": range(1000, 2000)},
    "drops all in ranges": {"ranges": range(1000, 2000)},
    "makes up a log": {"invents": [1450]},
    "numbers anew": {"shifted": [1400]},
    "drops and makes up": {"ranges": [1400, 1407], "invents": [1450, 1451]},
}


# Also when it is asked by hash, so that no vote says who is right; nor does a bloom filter, for the headers of these synthetic
# blocks do not hash to their hash.
STICKS_TO_IT = ("drops a block", "drops all", "makes up a log", "numbers anew", "drops and makes up")


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("liar_is_first", [True, False])
@pytest.mark.parametrize("honest", [1, 2])
def test_one_liar_among_voices_changes_nothing_unseen(lie: str, liar_is_first: bool, honest: int) -> None:
    liar, others = Voice(**LIES[lie]), [Voice() for _ in range(honest)]
    found, pool = examined(*([liar, *others] if liar_is_first else [others[0], liar, *others[1:]]))
    if honest == 2 and lie not in STICKS_TO_IT:
        assert not found.suspect
    assert found.suspect or places(found) == TRUTH
    assert set(places(found)) >= set(TRUTH) or lie == "numbers anew"
    name = "node-0" if liar_is_first else "node-1"
    named = {one for each in found.differences for one in each.liars}
    assert named <= {name}
    if named:
        assert [one.endpoint.name for one in pool.stations if one.stopped] == [name]
        assert not {one.endpoint for one in (*found.windows, *found.second)} & named


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("knowing", range(4))
def test_who_knows_no_question_by_hash_outvotes_nobody(lie: str, knowing: int) -> None:
    """Three voices, of which the first lies and only so many know the question; an honest one is never named."""
    voices = [Voice(**LIES[lie]), Voice(), Voice()]
    for voice, least in zip(voices, (2, 0, 1), strict=True):
        voice.hashes = knowing > least
    found, pool = examined(*voices)
    assert found.suspect or places(found) == TRUTH
    assert set(places(found)) >= set(TRUTH) or lie == "numbers anew"
    assert not any(one.stopped for one in pool.stations[1:])


def test_voices_that_agree_are_two() -> None:
    found, _ = examined(Voice(), Voice())
    assert (found.grade, found.noticed, found.problem, found.suspect) == ("two_voices", 1.0, "", False)
    assert {one.endpoint for one in found.second} == {"node-1"}
    assert sum(one.end - one.start for one in found.second) == len(WITHIN)


@pytest.mark.parametrize("seed", range(40))
def test_among_any_voices_one_honest_one_is_enough(seed: int) -> None:
    """One honest voice anywhere among the first two that are heard: nothing is lost that is not said to be suspect."""
    lots = random.Random(seed)
    kinds = [LIES[one] for one in lots.sample(sorted(LIES), lots.randint(1, 3))]
    voices = [Voice(**one) for one in kinds]
    voices.insert(lots.randint(0, 1), Voice())
    found, _ = examined(*voices)
    assert found.suspect or places(found) == TRUTH


def test_two_that_leave_out_the_same_log_outvote_nobody() -> None:
    found, _ = examined(Voice(hidden=[1400]), Voice(), Voice(hidden=[1400]))
    assert found.suspect
    assert [one.alike for one in found.differences] == [("operator-0", "operator-2")]  # they are probably one
    assert places(found) == TRUTH


WAYS: dict[str, dict[str, Sequence[int]]] = {
    "leave out": {"hidden": [1400]},
    "make up": {"invents": [1450]},
    "double": {"doubled": [1400]},
    "number otherwise": {"shifted": [1400]},
    "number otherwise and leave out": {"shifted": [1400], "hidden": [1701]},
    "number otherwise what they left out": {"ranges": [1400], "shifted": [1400]},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("honest", range(3))
@pytest.mark.parametrize("header", [False, True])
def test_a_vote_is_no_proof_that_somebody_is_a_liar(way: str, honest: int, header: bool) -> None:
    """Two that err alike beside an honest one: whatever they say, it is not named and nothing is settled as theirs."""
    voices = [Voice(**WAYS[way]), Voice(**WAYS[way])]
    for one in voices if header else ():
        one.hash = lambda number: f"0x{number + 10**6:064x}"  # type: ignore[method-assign]
    voices.insert(honest, Voice())
    found, pool = examined(*voices)
    assert f"node-{honest}" not in {one for each in found.differences for one in each.liars}
    assert pool.stations[honest].stopped is None
    if honest < 2:  # else the two are heard alone, and nobody differs from them
        assert found.suspect or places(found) == TRUTH


@pytest.mark.parametrize("numbering", [0, 1, 2])
def test_of_equal_versions_that_nobody_can_settle_the_first_one_is_kept(numbering: int) -> None:
    voices = [Voice(), Voice()]
    voices.insert(numbering, Voice(shifted=[1400]))
    found, _ = examined(*voices)
    assert found.suspect == (numbering < 2)
    assert (1400, 0 if numbering else 1) in places(found)


ORDERS = sorted(set(itertools.permutations(["makes up", "makes up", "honest"])))


@pytest.mark.parametrize("order", [*ORDERS, *set(itertools.permutations(["makes up", "honest", "honest"]))])
def test_two_that_make_up_the_same_log_outvote_nobody(order: tuple[str, ...]) -> None:
    """The bloom filter holds it, for another log of the block has the same address and topics."""
    found, pool = examined(*[Voice(doubled=[1400] if one == "makes up" else []) for one in order])
    if order[0] == order[1]:  # they agree, and no third is asked: what both make up stays unseen
        assert not found.differences
        return
    assert found.suspect
    assert not any(one.stopped for one in pool.stations)
    assert not any(one.liars for one in found.differences)


TWO_KEYS, NOBODYS, SOMEBODYS, LAST = ["one", "one"], ["", ""], ["", "one"], ["one", ""]


@pytest.mark.parametrize("operators", [TWO_KEYS, NOBODYS, SOMEBODYS, LAST], ids=["keys", "both", "first", "second"])
def test_one_operator_or_an_unknown_one_is_one_voice(operators: list[str]) -> None:
    found, pool = examined(Voice(hidden=[1400]), Voice(), operators=operators)
    assert (found.grade, found.second) == ("one_voice", ())
    told = "no second operator is configured" if operators == TWO_KEYS else 'write `operator = "..."` under [endpoints.'
    assert told in found.problem
    assert pool.stations[1].requests == 0


def test_a_second_voice_that_does_not_answer_earns_nothing() -> None:
    found, _ = examined(Voice(), Deaf())
    assert found.grade == "one_voice"
    assert "did not answer" in found.problem
    assert places(found) == TRUTH


def test_where_a_second_voice_does_not_answer_a_third_one_does() -> None:
    found, _ = examined(Voice(ranges=[1400]), Deaf(), Voice())
    assert found.grade == "one_voice"  # who left something out sits out, and who does not answer is no voice
    assert places(found) == TRUTH


def test_the_cheapest_second_voice_is_asked() -> None:
    pool = pool_of(Voice(), Voice(), Voice(), span=SPAN)
    pool.stations[1].endpoint = replace(pool.stations[1].endpoint, usd_per_million=1.0)
    logs, windows = gather(scan(pool, FILTERS, WITHIN))
    by_first = [replace(one, endpoint="node-0") for one in windows]
    heard = Witness(pool, FILTERS, 1.0).hear(by_first, WITHIN)
    assert {one.endpoint for one in heard.windows} == {"node-2"}
    assert heard.logs == tuple(logs)


@pytest.mark.parametrize(("share", "span"), representative(product([0.02, 0.3, 0.7, 1.0], [10, 100, 300])))
def test_the_probability_stated_is_the_share_of_single_drops_that_are_noticed(share: float, span: int) -> None:
    """Every fifth single drop is tried. What the sample covers is noticed for sure; headers of a few blocks may notice more."""
    grade: Grade = "two_voices" if share == 1.0 else "two_voices_sampled"
    found, _ = examined(Voice(), Voice(), share=share, grade=grade, span=span)
    assert found.grade == grade
    covered = {number for one in found.second for number in range(one.start, one.end)}
    assert found.noticed == pytest.approx(len(covered) / len(WITHIN))
    tried, noticed = {number for number, _ in TRUTH[::5]}, set()
    for number in tried:
        one, _ = examined(Voice(hidden=[number]), Voice(), share=share, grade=grade, span=span)
        if one.suspect or (number, 0) in places(one):
            noticed.add(number)
    sure = {number for number, _ in TRUTH if number in covered}
    assert sure & tried <= noticed
    assert len(noticed - sure) <= QUIET_BLOCKS
    # One log in seven blocks: windows hold as many of them as of all blocks, but for what is cut at both ends.
    assert len(sure) / len(TRUTH) == pytest.approx(found.noticed, abs=0.05)


def test_where_the_second_voice_cannot_be_read_no_drop_is_sure_to_be_noticed() -> None:
    found, _ = examined(Voice(), Unreadable())
    assert (found.grade, found.noticed) == ("one_voice", 0.0)
    assert "logs of 1 contract that cannot be read" in found.problem
    assert len(found.unread) == 1
    assert places(found) == TRUTH
    dropped, _ = examined(Voice(hidden=[1100]), Unreadable())
    assert (1100, 0) not in places(dropped)


def test_the_sample_is_the_same_again() -> None:
    chosen = [examined(Voice(), Voice(), share=0.2, grade="two_voices_sampled")[0].second for _ in range(2)]
    assert chosen[0] == chosen[1]
    assert 1 <= len(chosen[0]) <= 4


def test_one_voice_alone_asks_nobody() -> None:
    found, pool = examined(Voice(), Voice(), grade="one_voice", share=0.0)
    assert (found.grade, found.second, pool.stations[1].requests) == ("one_voice", (), 0)


def test_a_liar_sits_out_and_its_later_windows_are_asked_elsewhere() -> None:
    """Two periods of one scan: what the liar answered for the second is not believed either."""
    nodes = [Voice(ranges=[1400], hidden=[1701]), Voice(), Voice()]
    pool = pool_of(*nodes, span=SPAN)
    everybody, pool.stations = pool.stations, pool.stations[:1]
    logs, windows = gather(scan(pool, FILTERS, WITHIN))
    pool.stations = everybody
    examiner = Examiner(pool, Blocks(pool), FILTERS, "two_voices", Witness(pool, FILTERS, 1.0))
    halves = [BlockRange(1000, 1500), BlockRange(1500, 2000)]
    found = []
    for half in halves:
        told = [one for one in windows if one.start < half.end and half.start < one.end]
        found.append(examiner.examine(told, [log for log in logs if half.start <= log.block < half.end], half))
    assert [place for one in found for place in places(one)] == TRUTH
    assert {one.grade for one in found} == {"two_voices"}
    assert not found[1].differences
    assert {one.endpoint for one in found[1].windows} <= {"node-1", "node-2"}


def test_what_a_second_voice_said_is_not_asked_again_after_a_kill() -> None:
    kept: list[Any] = []
    pool = pool_of(Voice(), Voice(), span=SPAN)
    everybody, pool.stations = pool.stations, pool.stations[:1]
    _, windows = gather(scan(pool, FILTERS, WITHIN))
    pool.stations = everybody
    first = Witness(pool, FILTERS, 1.0, keep=kept.append).hear(windows[::-1], WITHIN)  # in whatever order they came
    before = pool.stations[1].requests
    again = Witness(pool, FILTERS, 1.0, known=kept).hear(windows, WITHIN)
    assert again == first
    assert pool.stations[1].requests == before


def settled(pool: Pool, *spans: int) -> Pool:
    """The same pool once its endpoints' spans are known."""
    for one, span in zip(pool.stations, spans, strict=True):
        one.learned.refused(span + 1, span)
        one.learned.answered(span)
    return pool


def test_free_keys_make_second_voices_neither_dearer_nor_emptier() -> None:
    """Three keys of ten blocks beside two good endpoints: the other good one is asked, as often as without the keys."""
    range_ = BlockRange(0, 40_000)
    _, windows = gather(scan(settled(pool_of(Node()), 2000), FILTERS, range_))
    keys, good = [Node(limit=10) for _ in range(3)], [Node(limit=2000) for _ in range(2)]
    pool = settled(pool_of(*keys, *good), 10, 10, 10, 2000, 2000)
    heard = Witness(pool, FILTERS, 0.2).hear([replace(one, endpoint="node-3") for one in windows], range_)
    assert {one.endpoint for one in heard.windows} == {"node-4"}
    assert sum(one.end - one.start for one in heard.windows) == 4 * 2000
    assert sum(key.methods["eth_getLogs"] for key in keys) == 0
    assert good[1].methods["eth_getLogs"] == 4


def test_where_only_free_keys_are_left_to_ask_they_compare_fewer_blocks() -> None:
    range_ = BlockRange(0, 40_000)
    _, windows = gather(scan(settled(pool_of(Node()), 2000), FILTERS, range_))
    keys, good = [Node(limit=10) for _ in range(3)], Node(limit=2000)
    pool = settled(pool_of(good, *keys), 2000, 10, 10, 10)
    heard = Witness(pool, FILTERS, 0.2).hear([replace(one, endpoint="node-0") for one in windows], range_)
    assert {one.end - one.start for one in heard.windows} == {10}
    assert sum(key.methods["eth_getLogs"] for key in keys) == len(heard.windows) == 4


@pytest.mark.parametrize(
    ("sample", "told", "limit"),
    representative(product([None, 0.02, 0.2, 0.0], [True, False], [10, 100, 1000]), of=2),
)
def test_a_second_voice_costs_a_few_times_what_the_first_one_took_unless_it_is_bought(
    sample: float | None, told: bool, limit: int
) -> None:
    """Whether its span was known or is found out on the way. What was borne out, and why no more, is said."""
    range_ = BlockRange(0, 40_000)
    _, windows = gather(scan(settled(pool_of(Node()), 2000), FILTERS, range_))
    good, key = Node(limit=2000), Node(limit=limit)
    pool = pool_of(good, key)
    pool = settled(pool, 2000, limit) if told else pool
    witness = Witness(pool, FILTERS, 1.0, sample=sample)
    asked = [replace(one, endpoint="node-0") for one in windows]
    heard = witness.hear(asked, range_)
    compared = sum(one.end - one.start for one in heard.windows)
    if sample is None or 10 * limit >= 2000:
        assert (compared, heard.problem, heard.sampled) == (len(range_), "", "")
    else:
        assert key.methods["eth_getLogs"] <= 3 * len(windows)
        assert compared < len(range_)
        assert "more than 10 x what the endpoint took" in heard.sampled + heard.problem
        assert bool(heard.sampled) == bool(sample)
        before = key.methods["eth_getLogs"]
        witness.hear(asked, range_)  # the next day: nobody is left out for its price
        assert key.methods["eth_getLogs"] - before <= math.ceil(sample * len(windows)) + 5


def test_who_is_too_dear_leaves_it_to_the_next_voice() -> None:
    range_ = BlockRange(0, 40_000)
    _, windows = gather(scan(settled(pool_of(Node()), 2000), FILTERS, range_))
    good, key, other = Node(limit=2000), Node(limit=10), Node(limit=1000)
    pool = settled(pool_of(good, key, other), 2000, 10, 1000)
    heard = Witness(pool, FILTERS, 1.0, sample=0.02).hear([replace(one, endpoint="node-0") for one in windows], range_)
    assert {one.endpoint for one in heard.windows} == {"node-2"}
    assert (sum(one.end - one.start for one in heard.windows), heard.problem, heard.sampled) == (len(range_), "", "")
    assert key.methods["eth_getLogs"] == 0


def test_a_free_key_helps_to_settle_where_two_good_endpoints_differ() -> None:
    """It is asked for the blocks in which they differ, not for whole windows; who left them out of ranges admits them."""
    hiding, honest, key = Voice(ranges=[1400, 1407]), Voice(), Node(limit=10)
    pool = settled(pool_of(hiding, honest, key), 1000, 1000, 10)
    everybody, pool.stations = pool.stations, pool.stations[:1]
    logs, windows = gather(scan(pool, FILTERS, WITHIN))
    pool.stations = everybody
    settlements = differing(windows, logs, *_said_by(pool, 1))
    assert sorted(settlements) == [1400, 1407]
    for number, claims in settlements.items():
        found, truth = settle(pool, LogQuestion("test", FILTERS), number, claims)
        assert (found.settled, found.liars) == ("block_hash", ("node-0",))
        assert found.by == ("operator-0", "operator-1", "operator-2")
        assert [one.block for one in truth] == [number]
    assert key.asked == [(1400, 1400), (1407, 1407)]


def _said_by(pool: Pool, place: int) -> tuple[list[BlockWindow], list[Log]]:
    """Windows and logs of the period by one endpoint of the pool."""
    logs, windows = gather(scan(among(pool, [pool.stations[place]]), FILTERS, WITHIN))
    return windows, logs
