"""Answers kept before grades existed are graded by what their certificates prove, and claim no more."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import orjson
import pytest

from cryptolake.contracts.grades import GRADES
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Raw
from cryptolake.registry.endpoints import endpoints_of, operator_named
from cryptolake.registry.loader import load_registry
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.grading import Graded, graded

AT = datetime(2024, 12, 2, tzinfo=UTC)
FIRST, BLOCKS = 1000, 200


def answer(given: dict[str, Any] | None, dataset: str = "liquidations", **provenance: str) -> Raw:
    payload = {"logs": []} if given is None else {"logs": [], "certificate": given}
    partition = Partition.parse(f"{dataset}/aave_v3_ethereum/2024-12-01")
    return Raw(partition, "onchain", AT, AT, orjson.dumps(payload), provenance=provenance)


def earlier(*opinions: dict[str, Any], first: str = "alchemy-1") -> Raw:
    """An answer with a certificate as it was written before grades."""
    return answer(
        {
            "from_block": FIRST,
            "to_block": FIRST + BLOCKS - 1,
            "asked_at": "2024-12-02T00:00:00+00:00",
            "windows": [[FIRST, FIRST + BLOCKS - 1, first, 2]],
            "opinions": list(opinions),
            "blooms": {"blocks": 4, "usable": True, "contradictions": []},
            "verdict": "complete",
        }
    )


def opinion(start: int, end: int, first: str, second: str, verdict: str = "same") -> dict[str, Any]:
    said = {"start": start, "end": end, "first": first, "second": second, "verdict": verdict}
    return {**said, "missing": 0, "extra": 0, "third": "", "sides_with": ""}


def told(found: Graded) -> tuple[str, float | None, str]:
    return found.grade, found.noticed, found.says


@pytest.mark.parametrize("word", GRADES)
def test_what_stands_beside_an_answer_or_is_only_a_word_in_it_proves_nothing(word: str) -> None:
    assert graded(answer(None, "tvl")).grade == "one_voice"
    assert graded(answer(None, "tvl", grade=word, second="two", asked_again="9 of 9")).grade == "one_voice"
    assert graded(answer(None, grade=word)).grade == "one_voice"
    sound = earlier().payload
    given = orjson.loads(sound)["certificate"] | {"grade": word, "second": [], "voices": {}, "noticed": 1.0}
    assert graded(answer(given)).grade == "one_voice"


def headers(by: str, second: str, **more: Any) -> dict[str, Any]:
    """Of the snapshot's block, as they were stated by one and borne out by another."""
    return {"bounds": [{"block": 7, "hash": "0x7", "borne": [[by, second]]} | more], "events": [], "problem": ""}


def events_of(end: int, *told: tuple[str, int, int], **more: Any) -> dict[str, Any]:
    """The parts of a market as a history names them, up to a block, by who told which blocks."""
    by: dict[str, list[list[int]]] = {}
    for name, start, stop in told:
        by.setdefault(name, []).append([start, stop])
    return {"named_by": "events", "blocks": [0, end], "told": by, "sampled": [], "problem": ""} | more


def snapshot(**more: Any) -> Raw:
    """A snapshot that two operators read, but for what is said otherwise: of the answer, or of its certificate."""
    given = {"block": 7, "block_hash": "0x7", "first": ["a"], "second": "b", "voices": {"a": "x", "b": "y"}}
    given |= {"asked_again": 1, "calls": 1, "grade": "two_voices", "problem": ""}
    given |= {"parts": {"named_by": "row"}, "headers": headers("x", "y")}
    content = {"block": 7, "block_hash": "0x7", "rounds": [[["0x1", "00", True, "00"]]]}
    for name, value in more.items():
        (given if name in given else content)[name] = value
    return replace(answer(None, "tvl"), payload=orjson.dumps(content | {"certificate": given}))


@pytest.mark.parametrize(
    ("more", "grade"),
    [
        ({}, "two_voices"),
        ({"asked_again": 1, "calls": 2}, "two_voices_sampled"),
        ({"asked_again": 0}, "one_voice"),
        ({"asked_again": 2}, "one_voice"),
        ({"second": ""}, "one_voice"),
        ({"second": "a"}, "one_voice"),
        ({"second": "c"}, "one_voice"),
        ({"first": ["a", "b"]}, "one_voice"),
        ({"voices": {"a": "x", "b": "X "}}, "one_voice"),
        ({"voices": {"a": "unknown:1", "b": "unknown:2"}}, "one_voice"),
        ({"problem": "nobody answered"}, "two_voices"),  # a word
        ({"grade": "one_voice"}, "one_voice"),
        ({"grade": "receipts_root"}, "two_voices"),
        ({"headers": {"grade": "two_voices", "problem": ""}}, "one_voice"),  # a word, as it was written before
        ({"headers": headers("x", "y") | {"grade": "one_voice"}}, "two_voices"),
        ({"headers": headers("x", "")}, "one_voice"),
        ({"headers": headers("x", "X")}, "one_voice"),
        ({"headers": headers("x", "unknown:7")}, "one_voice"),
        ({"headers": headers("x", "y", hash="0x8")}, "one_voice"),
        ({"headers": headers("x", "y", block=8)}, "one_voice"),
        ({"headers": headers("x", "y", borne=[["x", "y"], ["x", ""]])}, "one_voice"),
        ({"headers": headers("x via z", "z")}, "one_voice"),
        ({"headers": None}, "one_voice"),
        ({"parts": None}, "one_voice"),
        ({"found": [["a market"]]}, "one_voice"),  # events named them, whatever it says
        ({"parts": events_of(8, ("x", 0, 8), ("y", 0, 8))}, "two_voices"),
        ({"parts": events_of(8, ("x", 0, 8), ("y", 0, 5), ("z", 5, 8))}, "two_voices"),
        ({"parts": events_of(8, ("x", 0, 8), ("y", 0, 5))}, "one_voice"),
        ({"parts": events_of(8, ("x", 0, 8), ("y", 0, 5), sampled=[[0, 8]])}, "two_voices_sampled"),
        ({"parts": events_of(8, ("x", 0, 8), sampled=[[0, 8]])}, "one_voice"),
        ({"parts": events_of(8, ("x", 0, 8), ("unknown:7", 0, 8))}, "one_voice"),
        ({"parts": events_of(7, ("x", 0, 8), ("y", 0, 8))}, "one_voice"),
        ({"rounds": [[["0x1", "00", True, "00"], ["0x2", "00", True, "00"]]]}, "one_voice"),
    ],
    ids=str,
)
def test_a_snapshot_is_proven_as_far_as_its_certificate_tells_who_was_asked(more: dict[str, Any], grade: str) -> None:
    found = graded(snapshot(**more))
    assert (found.grade, found.faults, found.doubts) == (grade, (), ())


def test_a_snapshot_of_another_block_or_that_somebody_contradicts_says_so() -> None:
    assert graded(snapshot(block_hash="0x8")).faults
    assert graded(snapshot(contradicted="a and b read different state")).doubts == ("a and b read different state",)
    assert graded(snapshot(voices=7)).faults


def test_who_was_not_compared_is_one_voice() -> None:
    for one in (earlier(), earlier(opinion(1000, 1100, "alchemy-1", "", "unanswered"))):
        assert told(graded(one)) == ("one_voice", 0.0, "no other endpoint was asked then")
    assert graded(answer(None)).grade == "one_voice"
    assert graded(answer(None)).says
    unread = graded(replace(answer(None), payload=b"<html>"))
    assert (unread.grade, unread.says) == ("one_voice", "its content cannot be read")
    assert unread.faults


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("alchemy-1", "alchemy-2"),
        ("alchemy-1", "ethereum-own-1"),
        ("ethereum-own-1", "ethereum-own-2"),
        ("ethereum-publicnode", "ethereum-publicnode"),
        ("ethereum-rpc.nobody-knows.example", "alchemy-1"),
        ("ethereum-a.example", "ethereum-b.example"),
        ("", "alchemy-1"),
    ],
)
def test_names_that_may_be_one_operator_are_one_voice(first: str, second: str) -> None:
    found = graded(earlier(opinion(FIRST, FIRST + BLOCKS, first, second), first=first))
    assert (found.grade, found.noticed) == ("one_voice", 0.0)
    assert "not known" in found.says


@pytest.mark.parametrize("seed", range(30))
def test_the_share_that_two_operators_compared_is_the_probability(seed: int) -> None:
    lots = random.Random(seed)
    cuts = sorted(lots.sample(range(FIRST, FIRST + BLOCKS + 1), 2 * lots.randint(1, 6)))
    pieces = list(zip(cuts[::2], cuts[1::2], strict=True))
    some = [
        opinion(start, end, "alchemy-1", lots.choice(("ethereum-publicnode", "ethereum-ankr", "alchemy-2")))
        for start, end in pieces
    ]
    counts = sum(one["end"] - one["start"] for one in some if one["second"] != "alchemy-2")
    found = graded(earlier(*some))
    assert found.noticed == pytest.approx(counts / BLOCKS)
    assert found.grade == "one_voice"  # nobody had to bear out headers then


def test_all_of_it_compared_by_two_is_one_voice_for_what_else_it_rests_on() -> None:
    cut = FIRST + 77
    found = graded(
        earlier(
            opinion(FIRST, cut, "alchemy-1", "ethereum-publicnode"),
            opinion(cut, FIRST + BLOCKS, "alchemy-1", "ethereum-ankr", "different"),
        )
    )
    assert (found.grade, found.noticed) == ("one_voice", 1.0)
    assert "bore out" in found.says
    assert len(found.doubts) == 1


def test_a_name_tells_the_operator_of_its_endpoint_or_nothing() -> None:
    """Every name that any chain's endpoints have: it names the operator that the endpoint itself names."""
    for chain in load_registry(declared()).chains.values():
        for one in endpoints_of(chain, own=[], rate=None, keys=["k1", "k2"], plan="free", public=True):
            named = operator_named(one.name)
            assert (named.name if named else "") == one.operator, one.name
        own = endpoints_of(chain, own=["https://eth.alchemy.com/v2/x"], rate=None, keys=[], plan="free", public=False)
        assert [operator_named(one.name) for one in own] == [None]


def test_operators_that_share_an_upstream_are_one_voice(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptolake.registry.providers import Operator
    from cryptolake.sources.onchain import grading

    passing_on = {"a": Operator("a", (), "b", ""), "b": Operator("b", (), "", ""), "c": Operator("c", (), "", "")}
    monkeypatch.setattr(grading, "operator_named", passing_on.get)
    verdicts = {
        (one, other): graded(earlier(opinion(FIRST, FIRST + BLOCKS, one, other))).noticed
        for one, other in combinations("abc", 2)
    }
    assert verdicts == {("a", "b"): 0.0, ("a", "c"): 1.0, ("b", "c"): 1.0}
