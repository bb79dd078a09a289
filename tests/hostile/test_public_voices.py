"""A public endpoint beside own ones gives second opinions: it never answers first, and its faults never change a day."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from tests.chain.scenario import Fortnight
from tests.hostile.lakes import WANTED, Lake
from tests.hostile.liars import Instead, Liar, honest, nothing
from tests.hostile.middleman import Middleman
from tests.hostile.server import Hostile
from tests.hostile.test_state import inventing
from tests.net.node import Node

from cryptolake.app import App
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Raw
from cryptolake.flow.resume import compare, wish_for
from cryptolake.net import witness
from cryptolake.sources.onchain.grading import graded
from cryptolake.work import lending
from cryptolake.work.estimate import planned
from cryptolake.work.verify import verify

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
PUBLIC = "local-local"
THEIRS = {PUBLIC: {"operator": "somebody"}}
TVL = [Partition("tvl", one.key, one.period) for one in WANTED]


@pytest.fixture
def lake(aave_fortnight: Fortnight, tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", aave_fortnight)


def refusing(question: dict[str, Any], code: int, message: str) -> bytes:
    return f'{{"jsonrpc":"2.0","id":{question["id"]},"error":{{"code":{code},"message":"{message}"}}}}'.encode()


def one_block_at_a_time(asked: list[dict[str, Any]]) -> tuple[int, bytes | None] | None:
    for one in asked:
        given = one["params"][0] if one["method"] == "eth_getLogs" else {}
        if "fromBlock" in given and given["fromBlock"] != given["toBlock"]:
            return 200, refusing(one, -32600, "eth_getLogs is limited to a 1 range")
    return None


FAULTS: dict[str, Instead] = {
    "is not there": lambda _asked: (503, b""),
    "asked too often": lambda _asked: (429, b"slow down"),
    "no logs": lambda asked: (429, b"") if asked[0]["method"] == "eth_getLogs" else None,
    "a firewall": lambda _asked: (403, b"<html>who are you?</html>"),
    "silent": lambda _asked: (200, None),
    "cut short": lambda _asked: (200, b'{"jsonrpc"'),
    "another chain": lambda asked: (
        (200, b'{"jsonrpc":"2.0","id":%d,"result":"0x1"}' % asked[0]["id"])
        if asked[0]["method"] == "eth_chainId"
        else None
    ),
    "nothing of the past": lambda asked: (
        (200, refusing(asked[0], -32000, "missing trie node 00 (path )"))
        if asked[0]["method"] not in {"eth_chainId", "eth_blockNumber"}
        else None
    ),
}


def snapshots(lake: Lake, app: App) -> list[Raw]:
    lake.collect(app, TVL)
    found = [app.bronze.read(one, "onchain") for one in TVL]
    assert all(found)
    return [one for one in found if one is not None]


def test_an_honest_one_makes_two_voices(lake: Lake) -> None:
    url = lake.fortnight.node.url
    with (
        Liar(url, honest) as own,
        Liar(url, honest) as public,
        lake.opened([own.url], public=[public.url], told_of_public=THEIRS) as app,
    ):
        lake.collect(app)
        assert not lake.wrong(app)
        assert {one.grade for one in lake.verified(app).values()} == {"two_voices"}
        proofs = [lake.certificate(app, one) for one in WANTED]
        assert {name for one in proofs for _, _, name, _ in one["windows"]} == {"local-own-1"}
        assert {name for one in proofs for _, _, name, _ in one["second"]} == {PUBLIC}
        assert {orjson.loads(one.payload)["certificate"]["second"] for one in snapshots(lake, app)} == {PUBLIC}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_is_wrong_with_it_the_day_lands_as_one_voice_and_says_why(
    lake: Lake, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryptolake.net.sending._NOT_WAITED_FOR_S", 0.2)
    url = lake.fortnight.node.url
    with (
        Liar(url, honest) as own,
        Liar(url, honest, instead=FAULTS[fault]) as public,
        lake.opened([own.url], public=[public.url], told_of_public=THEIRS) as app,
    ):
        result = lake.collect(app)
        assert (result.failed, lake.wrong(app), lake.wanted_again(app)) == (0, [], [])
        assert {one.grade for one in lake.verified(app).values()} == {"one_voice"}
        assert all(lake.certificate(app, one)["problem"] for one in WANTED)
        assert all(one.problem for one in lake.verified(app).values())
        asked = sum(public.methods.values())
        again = lake.collect(app, resume=False)
        assert (again.failed, lake.wrong(app)) == (0, [])
        assert sum(public.methods.values()) - asked <= 40  # it sits out; state is asked of it only
        if fault != "no logs":
            found = snapshots(lake, app)
            assert {graded(one).grade for one in found} == {"one_voice"}
            assert all(graded(one).says for one in found)


def test_one_that_is_dearer_by_far_is_not_asked_and_the_price_is_said(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By far is twice here: a day of this chain has six blocks."""
    monkeypatch.setattr(witness, "DEARER", 2)
    url = lake.fortnight.node.url
    with Liar(url, honest) as own, Liar(url, honest, instead=one_block_at_a_time) as public:
        told = {PUBLIC: {"operator": "somebody", "span": 1}}
        with lake.opened([own.url], public=[public.url], told_of_public=told, span=2000) as app:
            lake.collect(app, WANTED[:1])
            assert (
                "more than 2 x what the endpoint took that it bears out" in lake.certificate(app, WANTED[0])["problem"]
            )
            assert lake.verified(app)[WANTED[0]].grade == "one_voice"


def test_one_that_lies_changes_nothing_unseen(lake: Lake) -> None:
    url = lake.fortnight.node.url
    with (
        Liar(url, honest) as own,
        Liar(url, nothing) as public,
        lake.opened([own.url], public=[public.url], told_of_public=THEIRS) as app,
    ):
        result = lake.collect(app)
        assert (result.failed, lake.wrong(app)) == (0, [])
        assert [one.endpoint for one in app.liars.named()] == [PUBLIC]


def test_what_it_says_of_state_fails_no_day_and_is_said(lake: Lake, aave_fortnight: Fortnight, tmp_path: Path) -> None:
    """Every snapshot lands, and is suspect to everybody who asks, for nobody can decide."""
    url, wanted = lake.fortnight.node.url, TVL[3:6]
    truth = Lake(tmp_path / "truth", aave_fortnight)
    with Liar(url, honest) as own:
        with truth.opened([own.url], public_rpc=False) as app:
            truth.collect(app, wanted)
            source = app.onchain([app.registry.csu("local")])
            rows = {one: source.parse(raw) for one in wanted if (raw := app.bronze.read(one, "onchain")) is not None}
        amounts = {str(row["total_supplied_raw"]) for told in rows.values() for row in told} - {"0"}
        lying = Hostile(cast(Node, Middleman(url, inventing(sorted(amounts)))))
        with lying, lake.opened([own.url], public=[lying.url], told_of_public=THEIRS) as app:
            result = lake.collect(app, wanted)
            assert (result.failed, result.done) == (0, len(wanted))
            source = app.onchain([app.registry.csu("local")])
            for one in wanted:
                raw, entry = app.bronze.read(one, "onchain"), app.ledger.state(one)
                assert raw is not None
                assert entry is not None
                assert source.parse(raw) == rows[one]
                assert (entry.reason, entry.grade) == ("suspect", "one_voice")
            assert {one.verdict for one in verify(wanted, app.ledger.states(), app.bronze, "onchain")} == {"suspect"}
            assert compare(wish_for(wanted), app.ledger).missing == wanted
            # Nothing new may be learned of the same endpoints today, and a person may want it all the same.
            assert lake.collect(app, wanted).known == len(wanted)
            csus = [app.registry.csu("local")]
            assert planned(app, csus, wanted).missing == 0
            assert lending.collect(app, csus, wish_for(wanted), only_failed=True).done == len(wanted)
            for one in wanted[:1]:
                entry = app.ledger.state(one)
                assert entry is not None
                app.ledger.append(replace(entry, at=entry.at - timedelta(days=2)))
            assert lake.collect(app, wanted).done == 1
        with (
            Liar(url, honest) as another,
            lake.opened([own.url, another.url], public=[lying.url], told_of_public=THEIRS) as app,
        ):
            assert [one.verdict for one in verify(wanted[:1], app.ledger.states(), app.bronze, "onchain")] == [
                "suspect"
            ]
            assert lake.collect(app, wanted[:1]).done == 1, "another endpoint may decide"
            assert [one.verdict for one in verify(wanted[:1], app.ledger.states(), app.bronze, "onchain")] == [
                "complete"
            ]
        with lake.opened([own.url], public_rpc=False) as app:  # that it is silent settles nothing
            lake.collect(app, wanted)
            found = verify(wanted, app.ledger.states(), app.bronze, "onchain")
            assert [one.verdict for one in found] == ["complete", "suspect", "suspect"]
        with Liar(url, honest) as another, lake.opened([own.url, another.url], public_rpc=False) as app:
            lake.collect(app, wanted)  # another operator does
            assert {one.verdict for one in verify(wanted, app.ledger.states(), app.bronze, "onchain")} == {"complete"}


def test_it_proves_the_own_one_a_liar(lake: Lake) -> None:
    url = lake.fortnight.node.url
    with (
        Liar(url, nothing) as own,
        Liar(url, honest) as public,
        lake.opened([own.url], public=[public.url], told_of_public=THEIRS) as app,
    ):
        lake.collect(app)
        assert not set(lake.wrong(app)) - set(lake.wanted_again(app))


@pytest.mark.parametrize(
    ("told", "settings"),
    [(THEIRS, {"public_rpc": False}), ({PUBLIC: {"operator": "operator-1"}}, {}), (THEIRS, {"grade": "one_voice"})],
    ids=["switched off", "the same operator", "one voice is enough"],
)
def test_it_is_not_asked_where_it_is_not_wanted(lake: Lake, told: Any, settings: Any) -> None:
    url = lake.fortnight.node.url
    told = told if settings != {"public_rpc": False} else {}
    with (
        Liar(url, honest) as own,
        Liar(url, honest) as public,
        lake.opened([own.url], public=[public.url], told_of_public=told, **settings) as app,
    ):
        lake.collect(app)
        snapshots(lake, app)
        assert not public.methods
        assert {one.grade for one in lake.verified(app).values() if one.partition.dataset != "tvl"} == {"one_voice"}
