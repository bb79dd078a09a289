"""A liar that one run proves is not believed in what it alone answered in earlier ones, nor afterwards, until it is cleared."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chain.scenario import Fortnight
from tests.hostile.lakes import WANTED, Lake
from tests.hostile.liars import Liar, dropping, honest, nothing

from cryptolake.watch.progress import report
from cryptolake.work.repair import repair_ledger

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]


@pytest.fixture
def lake(aave_fortnight: Fortnight, tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", aave_fortnight)


def proven(lake: Lake, liar: Liar, good: Liar) -> None:
    """One run with the liar alone, then a later one that proves it on the first eventful day."""
    with lake.opened([liar.url], public_rpc=False) as app:
        lake.collect(app)
        assert {one.verdict for one in lake.verified(app).values()} == {"complete"}
        assert lake.wrong(app) == lake.eventful
    with lake.opened([liar.url, good.url], public_rpc=False) as app:
        lake.collect(app, lake.eventful[:1], resume=False)


def test_the_days_that_it_alone_answered_become_suspect_and_the_next_collection_mends_them(lake: Lake) -> None:
    url = lake.fortnight.node.url
    with Liar(url, nothing) as liar, Liar(url, honest) as good:
        proven(lake, liar, good)
        rest = [one for one in WANTED if one != lake.eventful[0]]
        with lake.opened([liar.url, good.url], public_rpc=False) as app:
            (named,) = app.liars.named()
            assert (named.endpoint, named.voice) == ("local-own-1", "operator-1")
            assert lake.wanted_again(app) == sorted(rest)
            verified = lake.verified(app)
            assert [one for one in WANTED if verified[one].verdict == "suspect"] == rest
            why = f"its only voice local-own-1 was proven to drop logs on {named.proven[:10]}"
            assert {verified[one].says for one in rest} == {(why,)}
            assert any(why in line for line in report(app.ledger.states()).lines())
            lied_before = liar.methods["eth_getLogs"]
            lake.collect(app)
            assert liar.methods["eth_getLogs"] == lied_before
            assert (lake.wrong(app), lake.wanted_again(app)) == ([], [])
            assert {one.verdict for one in lake.verified(app).values()} == {"complete"}


def test_alone_it_answers_nothing_that_counts_until_it_is_cleared(lake: Lake) -> None:
    url = lake.fortnight.node.url
    with Liar(url, nothing) as liar, Liar(url, honest) as good:
        proven(lake, liar, good)
    with Liar(url, honest) as mended:
        with lake.opened([mended.url], public_rpc=False) as app:
            lake.collect(app)
            assert lake.wanted_again(app)
            assert {one.reason for one in app.ledger.unsettled()} == {"suspect"}
            assert [one.endpoint for one in app.liars.clear("operator-1")] == ["local-own-1"]
        with lake.opened([mended.url], public_rpc=False) as app:
            lake.collect(app)
            assert (lake.wrong(app), lake.wanted_again(app), app.liars.named()) == ([], [], [])


def test_what_two_operators_answered_stands(lake: Lake) -> None:
    """The liar drops one block's logs: only the run of which nothing was compared rests on it."""
    url = lake.fortnight.node.url
    blocks = sorted({one.block for one in lake.fortnight.liquidations})
    with Liar(url, dropping(blocks[-1:])) as liar, Liar(url, honest) as good:
        with lake.opened([liar.url, good.url], public_rpc=False) as app:
            lake.collect(app, WANTED[:5])
            assert not app.liars.named()
        with lake.opened([liar.url], public_rpc=False) as app:
            lake.collect(app, WANTED[5:8])
        with lake.opened([liar.url, good.url], public_rpc=False) as app:
            lake.collect(app, WANTED[8:])
            assert [one.endpoint for one in app.liars.named()] == ["local-own-1"]
            assert lake.wanted_again(app) == sorted(WANTED[5:8])
            assert not lake.wrong(app)


@pytest.mark.parametrize("lost", ["ledger", "liars"])
def test_what_is_lost_is_known_again_from_the_certificates(lake: Lake, lost: str) -> None:
    url = lake.fortnight.node.url
    with Liar(url, nothing) as liar, Liar(url, honest) as good:
        proven(lake, liar, good)
    with lake.opened(public_rpc=False) as app:
        before = lake.wanted_again(app)
        folder = app.folder
    if lost == "ledger":
        for path in folder.root.glob("ledger.sqlite*"):
            path.unlink()
    else:
        for path in folder.liars.glob("*"):
            path.unlink()
    with lake.opened(public_rpc=False) as app:
        repair_ledger(app)
        assert lake.wanted_again(app) == before
        assert [one.endpoint for one in app.liars.named()] == ["local-own-1"]
        again = repair_ledger(app)[0]
        assert (again.corrected, again.adopted, again.read_anew) == (0, 0, ())


def test_a_run_that_is_killed_before_the_earlier_days_are_looked_through_leaves_it_to_the_next(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = lake.fortnight.node.url
    with Liar(url, nothing) as liar, Liar(url, honest) as good:
        with monkeypatch.context() as cut:
            cut.setattr("cryptolake.work.lending.judge_earlier_days", lambda _app: [])
            proven(lake, liar, good)
        with lake.opened([liar.url, good.url], public_rpc=False) as app:
            assert not lake.wanted_again(app)
            assert "suspect" in {one.verdict for one in lake.verified(app).values()}  # whatever the ledger says so far
            lake.collect(app)
            assert not lake.wrong(app)
