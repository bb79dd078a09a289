"""Whatever a header says that is not so, wherever it is used: no wrong day that two operators are said to bear out. Real HTTP.

Every field that is read x every place where a header is used x who says it x whether it is known how headers hash. The other
endpoint is honest; a world of honest ones beside the liar must still land.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tests.chain.scenario import Fortnight
from tests.examples import representative
from tests.hostile.middleman import Change, honest, refusal
from tests.hostile.two_days import (
    EVENTFUL,
    Day,
    Header,
    World,
    fortnight_end,
    lying,
    midnight,
    over_claimed,
    places,
    truth_of_two_days,
    world_of_two_days,
)

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.receipt_rules import ReceiptRule
from cryptolake.errors import CryptolakeError
from cryptolake.net import rlp
from cryptolake.net.abi import keccak
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.headers import _APPENDED, _FIRST, _field

FIXTURES = (world_of_two_days, truth_of_two_days)
pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
OTHER = "0x" + "ab" * 32


FIELDS: Mapping[str, Callable[[Header, Fortnight], Header]] = {
    "time at midnight": midnight,
    "time a second later": lambda header, _: {**header, "timestamp": hex(int(header["timestamp"], 16) + 1)},
    "time a day earlier": lambda header, _: {**header, "timestamp": hex(int(header["timestamp"], 16) - 86_400)},
    "no time": lambda header, _: {name: value for name, value in header.items() if name != "timestamp"},
    "hash": lambda header, _: {**header, "hash": OTHER},
    "parent": lambda header, _: {**header, "parentHash": OTHER},
    "no parent": lambda header, _: {name: value for name, value in header.items() if name != "parentHash"},
    "bloom filter": lambda header, _: {**header, "logsBloom": "0x" + "00" * 255 + "01"},
    "no bloom filter": lambda header, _: {name: value for name, value in header.items() if name != "logsBloom"},
    "full bloom filter": lambda header, _: {**header, "logsBloom": "0x" + "ff" * 256},
    "receipts root": lambda header, _: {**header, "receiptsRoot": OTHER},
}


PLACES = (
    "last of the day",
    "last two of the day",
    "first of the next",
    "events",
    "from the last event on",
    "the chain's first",
    "all",
)


@pytest.mark.parametrize(("field", "place"), representative(product(FIELDS, PLACES), times=3))
def test_no_field_of_a_header_makes_a_wrong_day_that_two_operators_bear_out(
    world: World, truth: dict[Partition, Day], field: str, place: str
) -> None:
    liar = lying(FIELDS[field], places(world.fortnight)[place], world.fortnight)
    for changes in ((liar, honest), (honest, liar)):
        found = world.read(*changes)
        assert not over_claimed(found, truth), changes
        # Headers that do not hash to their hash are asked elsewhere: the honest endpoint's make the day.
        assert {one: day.rows for one, day in found.items()} == {one: day.rows for one, day in truth.items()}


@pytest.mark.parametrize("place", ["last two of the day", "events", "all"])
@pytest.mark.parametrize("field", ["time at midnight", "time a second later", "hash", "bloom filter"])
@pytest.mark.parametrize("grade", ["two_voices_sampled", "receipts_root"])
def test_nor_at_any_other_grade(
    world: World, truth: dict[Partition, Day], field: str, place: str, grade: Grade
) -> None:
    liar = lying(FIELDS[field], places(world.fortnight)[place], world.fortnight)
    for changes in ((liar, honest), (honest, liar)):
        assert not over_claimed(world.read(*changes, grade=grade), truth)


def by_other_rules(change: Change = honest) -> Change:
    """The same on a chain whose headers hash by rules that nobody here knows."""

    def answered(question: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
        reply = change(question, ask) or ask(question)
        if question["method"] == "eth_getBlockByNumber" and isinstance(reply.get("result"), dict):
            reply["result"] = {**reply["result"], "extraData": "0x11e5"}
        return reply

    return answered


@pytest.mark.parametrize(
    ("field", "place"),
    representative(
        product(FIELDS, ["last two of the day", "first of the next", "events", "the chain's first", "all"]), times=2
    ),
)
def test_where_nobody_knows_how_headers_hash_both_operators_must_say_the_same(
    world: World, truth: dict[Partition, Day], field: str, place: str
) -> None:
    liar = by_other_rules(lying(FIELDS[field], places(world.fortnight)[place], world.fortnight))
    good = by_other_rules()
    for changes in ((liar, good), (good, liar), (liar, good, good), (good, liar, good)):
        found = world.read(*changes, rule=None)
        assert not over_claimed(found, truth)
        if len(changes) == 3 and field not in ("hash", "full bloom filter", "bloom filter"):
            assert {one: day.rows for one, day in found.items()} == {one: day.rows for one, day in truth.items()}


@pytest.mark.parametrize("rule", ["standard", None])
def test_honest_endpoints_bear_each_other_out_by_whatever_rules(
    world: World, truth: dict[Partition, Day], rule: ReceiptRule | None
) -> None:
    for made in (lambda: honest, by_other_rules):
        found = world.read(made(), made(), rule=rule)
        assert {one: day.rows for one, day in found.items()} == {one: day.rows for one, day in truth.items()}
        assert {day.grade for day in found.values()} == {"two_voices"}


@pytest.mark.parametrize("field", ["time at midnight", "hash", "parent"])
def test_a_public_liar_about_headers_holds_up_no_day(world: World, truth: dict[Partition, Day], field: str) -> None:
    liar = by_other_rules(lying(FIELDS[field], range(1000), world.fortnight))
    found = world.read(by_other_rules(), liar, rule=None, besides=[1])
    assert {one: day.rows for one, day in found.items()} == {one: day.rows for one, day in truth.items()}
    assert {day.grade for day in found.values()} == {"one_voice"}
    assert {day.suspect for day in found.values()} == {True}, "that somebody says otherwise is not kept silent"


def forged(header: Header) -> Header:
    """The header under the hash that it has by now."""
    fields = _FIRST | {name: length for name, length in _APPENDED.items() if header.get(name) is not None}
    encoded = rlp.encode([_field(header, name, length) for name, length in fields.items()])
    return {**header, "hash": "0x" + keccak(encoded).hex()}


FORGED = {
    "last of the day at midnight": ("last of the day", midnight),
    "first of the next before it": (
        "first of the next",
        lambda header, fortnight: {**header, "timestamp": hex(fortnight_end(EVENTFUL[0]) - 1)},
    ),
    "bloom filters": ("events", FIELDS["bloom filter"]),
    "receipts roots": ("events", FIELDS["receipts root"]),
}


@pytest.mark.parametrize(
    ("own", "who"), [(1, "HLL"), (1, "HLH"), (1, "LHH"), (3, "HLL"), (3, "LHL"), (3, "HLH"), (3, "LHH")]
)
@pytest.mark.parametrize("what", FORGED)
@pytest.mark.parametrize(
    ("rule", "grade"), [("standard", "two_voices"), ("standard", "receipts_root"), (None, "two_voices")]
)
def test_no_vote_about_a_header_makes_a_day_sound_and_no_public_ones_take_it_away(
    world: World,
    truth: dict[Partition, Day],
    who: str,
    own: int,
    what: str,
    rule: ReceiptRule | None,
    grade: Grade,
) -> None:
    """Honest ones and such as forge headers alike, whole, so that each hashes to its hash."""
    place, change = FORGED[what]
    known = by_other_rules if rule is None else lambda one=honest: one
    liar = lying(
        lambda header, fortnight: forged(change(header, fortnight)), places(world.fortnight)[place], world.fortnight
    )
    changes = [known(liar) if one == "L" else known() for one in who]
    try:
        found = world.read(*changes, rule=rule, grade=grade, besides=range(own, 3))
    except CryptolakeError:  # state that contradicts the header, which is loud
        assert "H" not in who[:own] or who.count("L") > 1 < own
        return
    assert not [
        one for one, day in found.items() if day.rows != truth[one].rows and day.rows is not None and not day.suspect
    ]
    assert not {f"server-{place}" for place, one in enumerate(who) if one == "H"} & {
        name for day in found.values() for name in day.liars
    }
    if who[0] == "H" and own == 1:
        assert {one: day.rows for one, day in found.items()} == {one: day.rows for one, day in truth.items()}


def test_a_boundary_that_one_voice_gave_is_borne_out_before_two_rest_on_it(
    world: World, truth: dict[Partition, Day], tmp_path: Path
) -> None:
    """A run with the liar alone; what it gave is replaced as soon as two others are asked, and is known to have moved."""
    kept = tmp_path / "blocks.json"
    liar = lying(midnight, places(world.fortnight)["last two of the day"], world.fortnight)
    alone = world.read(liar, cache=kept)
    assert {day.grade for day in alone.values()} == {"one_voice"}
    assert alone != truth
    assert world.read(liar, cache=kept) == alone
    again = world.read(honest, honest, cache=kept)
    assert {one: day.rows for one, day in again.items()} == {one: day.rows for one, day in truth.items()}
    assert {day.grade for day in again.values()} == {"two_voices"}
    assert [int(one.instant.timestamp()) for one in FileBlockCache(kept).moved()] == [fortnight_end(EVENTFUL[0])]
    assert over_claimed(world.read(liar, honest, cache=kept), truth) == []


def dropping_by_a_false_filter(blocks: Sequence[int], *, lies: bool = True, by_hash: bool = True) -> Change:
    """Leaves out the logs of blocks, and gives their headers a bloom filter without them; receipts are not to be had there.

    One that does not lie gives none at all where it is asked `by_hash` and does not know that question.
    """

    def answered(question: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
        method, reply = question["method"], ask(question)
        if "Receipt" in method:
            return refusal(question, -32601, "the method does not exist")
        found = reply.get("result")
        if method == "eth_getLogs" and isinstance(found, list):
            kept = [] if "blockHash" in question["params"][0] and not by_hash else found
            reply["result"] = [one for one in kept if not lies or int(one["blockNumber"], 16) not in blocks]
        if lies and isinstance(found, dict) and "logsBloom" in found and int(found["number"], 16) in blocks:
            reply["result"] = {**found, "logsBloom": "0x" + "00" * 255 + "01"}
        return reply

    return answered


@pytest.mark.parametrize("rule", ["standard", None])
@pytest.mark.parametrize("strange", [False, True], ids=["headers hash", "headers hash otherwise"])
@pytest.mark.parametrize("third", ["none", "knows no question by hash", "lies too"])
def test_a_bloom_filter_that_hashes_to_nothing_disproves_nobody(
    world: World, truth: dict[Partition, Day], rule: ReceiptRule | None, strange: bool, third: str
) -> None:
    blocks = places(world.fortnight)["events"][-1:]
    liar, good = dropping_by_a_false_filter(blocks), dropping_by_a_false_filter(blocks, lies=False)
    more = {"none": [], "lies too": [liar]}.get(third, [dropping_by_a_false_filter(blocks, lies=False, by_hash=False)])
    changes = [liar, good, *more]
    found = world.read(*(by_other_rules(one) if strange else one for one in changes), rule=rule)
    assert all(day.suspect or day.rows == truth[one].rows for one, day in found.items())
    assert not {name for day in found.values() for name in day.liars} & {"server-1"}


ODD: Mapping[str, Callable[[Header, Fortnight], Header]] = {
    "no filter": lambda header, _: {**header, "logsBloom": "0x0"},
    "a field too few": lambda header, _: {name: value for name, value in header.items() if name != "mixHash"},
    "a field unheard of": lambda header, _: {**header, "extraData": header["extraData"] + "11e5"},
}
LATER: Mapping[str, tuple[str, Callable[[Header, Fortnight], Header]]] = {
    "the chain two days later": (
        "the chain's first",
        lambda header, _: {**header, "timestamp": hex(fortnight_end(EVENTFUL[1]) + 1)},
    ),
    "last two of the day at midnight": ("last two of the day", midnight),
    "receipts root": ("last of the day", FIELDS["receipts root"]),
}


WHO = ["mine + nobody knows", "mine + public", "mine, mine + nobody knows", "mine, mine + public", "mine, liar"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("what", LATER)
@pytest.mark.parametrize("place", ["lied about", "all"])
@pytest.mark.parametrize("who", WHO)
def test_whoever_states_a_header_that_hashes_is_not_heard_instead_of_ones_own_whose_does_not(
    world: World, truth: dict[Partition, Day], odd: str, what: str, place: str, who: str
) -> None:
    where, change = LATER[what]
    blocks = places(world.fortnight)
    liar = lying(lambda header, fortnight: forged(change(header, fortnight)), blocks[where], world.fortnight)
    own = lying(ODD[odd], blocks[where if place == "lied about" else "all"], world.fortnight)
    mine = who.count("mine")
    try:
        found = world.read(
            *[own] * mine,
            liar,
            besides=[] if who == "mine, liar" else [mine],
            unknown=[mine] if "nobody knows" in who else [],
        )
    except CryptolakeError:
        assert who == "mine, liar"
        return
    right = {one: day.rows for one, day in found.items()} == {one: day.rows for one, day in truth.items()}
    if who == "mine, liar":
        assert all(day.suspect or day.rows in (None, truth[one].rows) for one, day in found.items())
        assert not over_claimed(found, truth)
        return
    assert right
    assert not {name for day in found.values() for name in day.liars}
    if mine == 2:
        assert {day.grade for day in found.values()} == {"two_voices"}, "two of one's own say the same"
        assert not any(day.suspect for day in found.values())
    elif what != "the chain two days later":  # which is no matter of a day that there was
        assert any(day.suspect for day in found.values()), "that somebody says otherwise is not kept silent"
