"""Which of two answers stands, over every pair of what two may show and how far each is proven."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from cryptolake.contracts.grades import EVIDENCE, at_least
from cryptolake.sources.onchain.succession import ShownAnswer, standing_of

BLOCK, OTHER = 7, 8


def answers() -> list[ShownAnswer]:
    """None, some or other logs of two blocks, one of two states; every grade; doubted or not."""
    logs = [{}, {BLOCK: frozenset({b"a"})}, {BLOCK: frozenset({b"a", b"b"})}, {OTHER: frozenset({b"c"})}]
    return [
        ShownAnswer(
            grade,
            f"{number}",
            ("somebody says otherwise",) if doubted else (),
            {"a call": state},
            some,
            disputed=frozenset({BLOCK}) if doubted else frozenset(),
            twice=((0, 10),) if at_least(grade, "two_voices") else (),
            roots=grade == "receipts_root",
            voices=frozenset({f"v{number}"}),
        )
        for number, (grade, some, state, doubted) in enumerate(product(EVIDENCE[1:], logs, (b"1", b"2"), (False, True)))
    ]


def differ(one: ShownAnswer, other: ShownAnswer) -> bool:
    return (one.logs, one.said) != (other.logs, other.said)


def lacks(one: ShownAnswer, other: ShownAnswer) -> bool:
    return any(logs - one.logs.get(block, frozenset()) for block, logs in other.logs.items())


def test_no_pair_ends_in_less_than_was_proven_or_in_a_silent_contradiction() -> None:
    found = answers()
    for new, kept in product(found, found):
        stands = standing_of(new, kept)
        winner, loser = (new, kept) if stands.new else (kept, new)
        sound = not (stands.doubt or winner.doubts)
        if kept.outranks(new) and not kept.doubts and stands.new and sound:
            raise AssertionError((new, kept, "what is proven further gave way"))
        if lacks(winner, loser) and sound:
            assert winner.roots, "what was shown is dropped without a proof by receipts"
        if differ(winner, loser) and sound:
            assert at_least(winner.grade, "two_voices"), "one voice outvoted another"
        if kept.doubts and sound:
            assert stands.new, "a doubt was forgotten"
            assert at_least(new.grade, "two_voices")


def test_the_fuller_one_is_kept_where_nobody_can_decide() -> None:
    full = ShownAnswer("one_voice", "a", logs={BLOCK: frozenset({b"a"})})
    none = ShownAnswer("one_voice", "b")
    assert standing_of(full, none).new
    assert standing_of(full, none).doubt
    assert not standing_of(none, full).new
    assert standing_of(none, full).doubt


def test_whoever_showed_more_and_comes_to_say_less_beside_another_is_believed() -> None:
    full = ShownAnswer("one_voice", "a", logs={BLOCK: frozenset({b"a"})}, voices=frozenset({"me"}))
    less = ShownAnswer("two_voices", "b", twice=((0, 10),), voices=frozenset({"me", "other"}))
    assert (standing_of(less, full).new, standing_of(less, full).doubt) == (True, "")
    strangers = ShownAnswer("two_voices", "b", twice=((0, 10),), voices=frozenset({"one", "other"}))
    assert not standing_of(strangers, full).new


def test_a_log_that_nobody_bears_out_any_more_is_settled_by_two_operators_of_ones_own() -> None:
    """Once whoever told it was asked again, or is no longer there to be asked."""
    made_up = ShownAnswer("one_voice", "l", logs={BLOCK: frozenset({b"a"})}, told=((0, 10, "l"),))
    two = ShownAnswer(
        "two_voices",
        "a and b",
        twice=((0, 10),),
        own=((0, 10),),
        told=((0, 10, "a"), (0, 10, "b")),
        asked_of=frozenset({"a", "b"}),
    )
    assert (standing_of(two, made_up).new, standing_of(two, made_up).doubt) == (True, "")
    there = replace(two, asked_of=frozenset({"a", "b", "l"}))
    assert standing_of(there, made_up).doubt, "it could have been asked, and was not"
    assert standing_of(replace(there, told=(*there.told, (7, 8, "l"))), made_up).new
    for lacking in (
        replace(two, own=()),
        replace(two, own=((8, 10),)),
        replace(two, twice=()),
        replace(two, grade="one_voice", twice=()),
        replace(two, doubts=("l says otherwise",), disputed=frozenset({BLOCK})),
    ):
        assert standing_of(lacking, made_up).doubt
    proven = replace(made_up, grade="two_voices", twice=((0, 10),))
    assert standing_of(two, proven).doubt, "two operators bore it out before"
    assert standing_of(two, replace(made_up, told=())).doubt, "nobody knows who told it"
