"""A grade is wished for: of both datasets, asked for again where it can be had by now, and never where it cannot be had."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.chain.scenario import Fortnight
from tests.hostile.lakes import WANTED, Lake, without_receipts
from tests.hostile.liars import Liar, dropping, honest

from cryptolake.app import App
from cryptolake.contracts.grades import GRADES, Grade
from cryptolake.contracts.partition import Partition, hours
from cryptolake.flow.resume import wish_for
from cryptolake.net.endpoint import Endpoint, SecretUrl
from cryptolake.work import lending
from cryptolake.work.attainable import attainable
from cryptolake.work.verify import verify

CHAIN = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
SOME = [*WANTED[:5], *(replace(one, dataset="tvl") for one in WANTED[3:5])]


def wished(lake: Lake, app: App, grade: Grade) -> dict[str, set[str | None]]:
    """Collect some days at a grade, as `collect --grade` does; the grades of each dataset then."""
    lending.collect(app, [app.registry.csu("local")], wish_for(SOME), proven=grade)
    states = app.ledger.states()
    return {name: {states[one].grade for one in SOME if one.dataset == name} for name in ("tvl", "liquidations")}


@pytest.mark.chain
@pytest.mark.xdist_group("fortnight")
def test_a_snapshot_of_a_lesser_grade_is_reported_and_asked_again_once_a_second_operator_is_there(
    aave_fortnight: Fortnight, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake", aave_fortnight)
    with Liar(aave_fortnight.node.url, honest) as one, Liar(aave_fortnight.node.url, honest) as other:
        with lake.opened([one.url], public_rpc=False) as app:
            lake.collect(app, SOME)
        with lake.opened([one.url, other.url], public_rpc=False, grade="two_voices") as app:

            def weak(least: Grade) -> set[str]:
                found = verify(SOME, app.ledger.states(), app.bronze, "onchain", least=least)
                return {each.partition.dataset for each in found if each.verdict == "weak"}

            assert weak("one_voice") == set()
            assert weak("two_voices") == weak("receipts_root") == {"tvl", "liquidations"}
            assert wished(lake, app, "two_voices") == {"tvl": {"two_voices"}, "liquidations": {"two_voices"}}
            assert weak("two_voices") == set()
            assert weak("receipts_root") == {"liquidations"}, "no receipts prove the state of a block: two are the most"


@pytest.mark.chain
@pytest.mark.xdist_group("fortnight")
@pytest.mark.parametrize(
    ("world", "grade", "most"),
    [
        ("alone", "two_voices", "one_voice"),
        ("alone", "receipts_root", "one_voice"),
        ("one operator", "two_voices", "one_voice"),
        ("no receipts", "receipts_root", "two_voices"),
        ("a liar", "two_voices", "one_voice"),
    ],
)
def test_what_cannot_be_had_is_not_asked_for_again_and_one_line_says_why(
    aave_fortnight: Fortnight, tmp_path: Path, world: str, grade: Grade, most: str
) -> None:
    lake = Lake(tmp_path / "lake", aave_fortnight)
    if world == "no receipts":
        without_receipts(lake)
    lie = dropping([aave_fortnight.liquidations[0].block]) if world == "a liar" else honest
    operators = ["one", "one"] if world == "one operator" else ["one", "two"]
    asked: list[int] = []
    with ExitStack() as open_:
        servers = [open_.enter_context(Liar(aave_fortnight.node.url, one)) for one in (lie, honest)]
        servers = servers[1:] if world == "alone" else servers
        word: Any = "receipts" if grade == "receipts_root" else grade
        for _ in range(4):
            before = sum(one.methods["eth_getLogs"] + one.methods["eth_call"] for one in servers)
            urls, told = [one.url for one in servers], operators[: len(servers)]
            with lake.opened(urls, operators=told, public_rpc=False, grade=word) as app, capture_logs() as said:
                grades = wished(lake, app, grade)
            asked.append(sum(one.methods["eth_getLogs"] + one.methods["eth_call"] for one in servers) - before)
        lines = [one for one in said if "cannot be had" in one["event"]]
        assert len(lines) == 1, said
        assert lines[0]["most"]["local"].startswith(f"{most}: ")
        assert any(word in lines[0]["most"]["local"] for word in ("set an endpoint", "receipts cannot be proven"))
    assert asked[0]
    assert asked[2:] == [0, 0], asked
    assert most in grades["liquidations"]


@pytest.mark.chain
@pytest.mark.xdist_group("fortnight")
@pytest.mark.parametrize("besides", [True, False])
def test_where_nobody_says_whose_the_first_endpoint_is_nothing_is_asked_anew_and_one_line_says_what_to_write(
    aave_fortnight: Fortnight, tmp_path: Path, besides: bool
) -> None:
    """Whoever is behind it, public or one's own: any of them may be the first one's own operator."""
    lake, asked = Lake(tmp_path / "lake", aave_fortnight), list[int]()
    with ExitStack() as open_:
        servers = [open_.enter_context(Liar(aave_fortnight.node.url, honest)) for _ in range(2)]
        urls = [one.url for one in servers]
        own: dict[str, Any] = {"own": urls, "operators": ["", "b"], "public_rpc": False}
        if besides:
            known = {"local-local": {"operator": "b"}}
            own = {"own": urls[:1], "operators": [""], "public": urls[1:], "told_of_public": known}
        for _ in range(3):
            before = sum(one.methods["eth_getLogs"] + one.methods["eth_call"] for one in servers)
            with lake.opened(**own, grade="two_voices") as app, capture_logs() as said:
                wished(lake, app, "two_voices")
            asked.append(sum(one.methods["eth_getLogs"] + one.methods["eth_call"] for one in servers) - before)
        (line,) = (one for one in said if "cannot be had" in one["event"])
        assert 'write `operator = "..."` under [endpoints.local-own-1]' in line["most"]["local"]
    assert asked[0]
    assert asked[1:] == [0, 0]


def endpoint(name: str, operator: str, *, archive: bool = False) -> Endpoint:
    return Endpoint(name, SecretUrl(""), operator=operator, dataset_of=1 if archive else None)


@pytest.mark.parametrize("wish", GRADES)
def test_a_wish_is_cut_to_what_rules_and_operators_allow(wish: Grade) -> None:
    """Every set of endpoints, rules and liars: the cut is never above the wish, and each reason alone lowers it."""
    sets = {
        "one": [endpoint("a", "x")],
        "keys": [endpoint("a", "x"), endpoint("b", "x")],
        "two": [endpoint("a", "x"), endpoint("b", "y")],
        "archive": [endpoint("a", "x"), endpoint("b", "sqd", archive=True)],
        "unknown": [endpoint("a", ""), endpoint("b", "y")],
        "unknown first": [endpoint("a", ""), endpoint("b", "y"), endpoint("c", "z")],
    }
    for (name, some), rule, liar, audit in product(sets.items(), ("standard", None), ("", "b"), (0.0, 0.02)):
        lied: Callable[[Endpoint], bool] = lambda one, liar=liar: one.name == liar  # type: ignore[misc]  # noqa: E731
        found = attainable(some, rule, audit=audit, lied=lied)  # type: ignore[arg-type]
        told = {dataset: found.cut(dataset, wish) for dataset in ("tvl", "liquidations")}
        assert all(GRADES.index(one) <= GRADES.index(wish) for one in told.values())
        if wish == "two_voices":
            assert (told["tvl"] == wish) == (name == "two")
            assert (told["liquidations"] == wish) == (name in {"two", "archive"} and not liar)
        if wish == "receipts_root":
            assert told["tvl"] != wish
            assert (told["liquidations"] == wish) == (name in {"two", "unknown first"} and rule is not None)
        if wish == "two_voices_sampled" and not audit:
            assert set(told.values()) == {"one_voice"}
        if told["liquidations"] != wish and audit:
            assert found.why


@pytest.mark.chain
@pytest.mark.xdist_group("fortnight")
@pytest.mark.parametrize("grade", ["two_voices", "receipts_root"])
def test_a_period_without_blocks_is_proven_by_who_bears_out_its_bounds(
    aave_fortnight: Fortnight, tmp_path: Path, grade: Grade
) -> None:
    """One operator's word for them is one voice, with the reason; with a second nothing of it is asked again for any grade."""
    day = WANTED[4].period.day
    partitions = [Partition("liquidations", "local", one) for one in hours(day, day)][:6]
    lake = Lake(tmp_path / "lake", aave_fortnight)

    def graded_hours(app: App) -> tuple[int, dict[bool, set[tuple[str | None, bool]]]]:
        """How many were asked; of those with and without blocks, grade and whether there is a reason for it."""
        found = lending.collect(app, [app.registry.csu("local")], wish_for(partitions), proven=grade)
        said: dict[bool, set[tuple[str | None, bool]]] = {True: set(), False: set()}
        for one in verify(partitions, app.ledger.states(), app.bronze, "onchain", least=grade):
            given = lake.certificate(app, one.partition)
            blocks = given["to_block"] >= given["from_block"]
            assert (one.verdict == "complete") == (one.grade == grade or (not blocks and one.grade == "two_voices"))
            said[blocks].add((one.grade, bool(one.problem)))
        return found.done + found.empty, said

    with Liar(aave_fortnight.node.url, honest) as one, Liar(aave_fortnight.node.url, honest) as other:
        with lake.opened([one.url], public_rpc=False) as app:
            assert graded_hours(app) == (6, {True: {("one_voice", True)}, False: {("one_voice", True)}})
        with lake.opened([one.url, other.url], public_rpc=False, grade=grade.removesuffix("_root")) as app:
            assert graded_hours(app) == (6, {True: {(grade, False)}, False: {("two_voices", False)}})
            assert graded_hours(app)[0] == 0
