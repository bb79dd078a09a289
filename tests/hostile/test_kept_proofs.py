"""Kept answers prove their grade: whatever is edited beside them or in their certificates, nobody believes more than before."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from tests.chain.scenario import Fortnight
from tests.hostile.lakes import WANTED, Lake, without_receipts
from tests.hostile.liars import Liar, Lie, dropping, honest, nothing
from tests.hostile.mutations import edits, lessened

from cryptolake.app import App
from cryptolake.contracts.grades import GRADES, Grade, at_least
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Raw
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.sources.onchain.grading import Graded, graded
from cryptolake.work import lending
from cryptolake.work.cells import opened
from cryptolake.work.repair import repair_ledger
from cryptolake.work.verify import verify
from cryptolake.work.why import why

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]


@dataclass(frozen=True)
class World:
    """Who is asked, how far is wished for, and whether receipts can be proven."""

    lies: tuple[Lie, ...]
    settings: dict[str, Any]
    receipts: bool = True
    grade: Grade = "two_voices"
    doubted: bool = False


def worlds(fortnight: Fortnight) -> dict[str, World]:
    blocks = sorted({one.block for one in fortnight.liquidations})
    return {
        "one voice": World((honest,), {}, grade="one_voice"),
        "a sample": World((honest, honest), {"grade": "two_voices_sampled", "audit": 0.3}, grade="two_voices_sampled"),
        "two voices": World((honest, honest), {"grade": "two_voices"}),
        "roots": World((honest, honest), {"grade": "receipts"}, grade="receipts_root"),
        "a difference": World((nothing, honest), {"grade": "two_voices"}, receipts=False, doubted=True),
        "a liar": World((dropping(blocks[:1]), honest), {"grade": "two_voices"}, grade="one_voice"),
    }


def lake_of(folder: Path, fortnight: Fortnight, world: World) -> Lake:
    lake = Lake(folder, fortnight)
    if not world.receipts:
        without_receipts(lake)
    return lake


@pytest.fixture(scope="module")
def answers(aave_fortnight: Fortnight, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Raw]]:
    """An eventful day's liquidations and its snapshot, as each world's reader kept them."""
    found: dict[str, list[Raw]] = {}
    for name, world in worlds(aave_fortnight).items():
        lake = lake_of(tmp_path_factory.mktemp("kept") / "lake", aave_fortnight, world)
        day = lake.eventful[0]
        with ExitStack() as open_:
            urls = [open_.enter_context(Liar(aave_fortnight.node.url, lie)).url for lie in world.lies]
            app = open_.enter_context(lake.opened(urls, public_rpc=False, **world.settings))
            lake.collect(app, [day, replace(day, dataset="tvl")])
            kept = [app.bronze.read(one, "onchain") for one in (day, replace(day, dataset="tvl"))]
            found[name] = [one for one in kept if one is not None]
            assert len(found[name]) == 2
            events = graded(found[name][0])
            assert (events.grade, bool(events.doubts), events.faults) == (world.grade, world.doubted, ()), events
            entries = app.ledger.states()
            assert [entries[one.partition].grade for one in found[name]] == [graded(one).grade for one in found[name]]
    return found


def no_better(before: Graded, after: Graded) -> bool:
    """Whether an edit gained nothing: no higher grade, no greater chance, and every doubt still there or damage said."""
    return (
        at_least(before.grade, after.grade)
        and (bool(after.faults) or (after.noticed or 0.0) <= (1.0 if before.noticed is None else before.noticed))
        and (bool(after.doubts or after.faults) or not (before.doubts or before.faults))
    )


def edited(raw: Raw) -> Iterator[tuple[str, Raw]]:
    content = orjson.loads(raw.payload)
    for what, given in edits(content["certificate"]):
        yield what, replace(raw, payload=orjson.dumps({**content, "certificate": given}))
    provenance = {**dict(raw.provenance), **dict.fromkeys(("grade", "doubt", "problem", "second", "asked_again"), "")}
    for what, said in edits(provenance):
        if all(isinstance(one, str) for one in said.values()):  # an envelope with another kind of value cannot be read
            yield f"provenance: {what}", replace(raw, provenance=said)


WORLDS = ("one voice", "a sample", "two voices", "roots", "a difference", "a liar")
CLAIMS = {"grade": "receipts_root", "logs_grade": "receipts_root", "noticed": 1.0, "problem": ""}


@pytest.mark.parametrize("world", WORLDS)
def test_no_edit_of_a_kept_answer_is_believed_even_where_no_digest_is_there_to_tell(
    answers: dict[str, list[Raw]], world: str
) -> None:
    """As where ledger and digest are lost: every single edit, made to fit, of certificate and provenance."""
    for raw in answers[world]:
        before, tried = graded(raw), 0
        for what, other in edited(raw):
            after, tried = graded(other), tried + 1
            assert no_better(before, after), f"{raw.partition.dataset}: {what}: {before} became {after}"
        assert tried > 200


def emptied(raw: Raw) -> Iterator[tuple[str, Raw]]:
    """The answer whose words claim the most there is, with every part of it in turn taken out, emptied or put to a grade."""
    content = orjson.loads(raw.payload)
    most = {**content["certificate"], **CLAIMS}
    yield "only its words", replace(raw, payload=orjson.dumps({**content, "certificate": most}))
    for what, given in lessened(most):
        yield what, replace(raw, payload=orjson.dumps({**content, "certificate": given}))


@pytest.mark.parametrize("world", WORLDS)
def test_what_is_taken_out_or_emptied_proves_nothing_whatever_its_words_claim(
    answers: dict[str, list[Raw]], world: str
) -> None:
    """The grade is reckoned from who read, who bore out and what was compared: less of that is never more proof."""
    for raw in answers[world]:
        before, tried = graded(raw), 0
        for what, other in emptied(raw):
            after, tried = graded(other), tried + 1
            assert at_least(before.grade, after.grade), f"{raw.partition.dataset}: {what}: {before} became {after}"
        assert tried > 200


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("part", ["headers", "grounds", "parts", "voices", "second", "windows", "first"])
def test_a_certificate_from_before_it_held_a_part_is_one_voices(
    answers: dict[str, list[Raw]], world: str, part: str
) -> None:
    for raw in answers[world]:
        content = orjson.loads(raw.payload)
        if part in content["certificate"] and not (world == "roots" and part in ("second", "windows")):
            del content["certificate"][part]
            found = graded(replace(raw, payload=orjson.dumps(content)))
            assert found.grade == "one_voice"
            assert found.says


def write(app: App, raw: Raw) -> None:
    """Put an answer in the place of the kept one, with the envelope that it has then, as somebody would by hand."""
    path = app.bronze.raw_path(raw.partition, "onchain")
    envelope = orjson.loads(gzip.decompress(path.read_bytes()))
    envelope |= {"provenance": dict(raw.provenance), "payload": raw.payload.decode("latin-1"), "digest": raw.digest}
    path.write_bytes(gzip.compress(orjson.dumps(envelope)))


def test_every_reader_says_the_same_of_an_edited_answer(aave_fortnight: Fortnight, tmp_path: Path) -> None:
    """One voice's answers and a doubted day's, raised and cleared in every place where a word could stand."""
    world = worlds(aave_fortnight)["a difference"]
    lake = lake_of(tmp_path / "lake", aave_fortnight, world)
    doubted = lake.eventful[0]
    alone = [replace(lake.eventful[1], dataset=name) for name in ("tvl", "liquidations")]
    csu = {"csu": "local"}
    with Liar(aave_fortnight.node.url, nothing) as liar, Liar(aave_fortnight.node.url, honest) as good:
        with lake.opened([good.url], public_rpc=False) as app:
            lake.collect(app, [*alone, replace(doubted, dataset="tvl")])
        with lake.opened([liar.url, good.url], public_rpc=False, **world.settings) as app:
            lake.collect(app, [doubted])
            for one in (*alone, doubted):
                raw = app.bronze.read(one, "onchain")
                assert raw is not None
                content = orjson.loads(raw.payload)
                content["certificate"] |= {"grade": "receipts_root", "verdict": "complete", "noticed": 1.0}
                said = {name: word for name, word in raw.provenance.items() if name != "doubt"}
                words = {"grade": "receipts_root", "second": "somebody", "asked_again": "9 of 9"}
                write(app, replace(raw, provenance=said | words, payload=orjson.dumps(content)))
            for one in (*alone, doubted):  # with the ledger there it is another answer than the recorded one
                entry = app.ledger.states()[one]
                assert opened(one, entry, app.bronze).state == "failed"
                (found,) = verify([one], app.ledger.states(), app.bronze, "onchain")
                assert found.verdict == "gap"
    for path in lake.folder.glob("data/ledger.sqlite*"):
        path.unlink()
    with lake.opened(public_rpc=False) as app:
        repair_ledger(app)
        states = app.ledger.states()
        lending.refine(app)
        lending.build(app)
        panel = app.tables.read(DAILY_PANEL)
        for one in alone:
            assert (states[one].grade, opened(one, states[one], app.bronze).grade) == ("one_voice", "one_voice")
            (found,) = verify([one], states, app.bronze, "onchain", least="two_voices")
            assert (found.verdict, found.grade) == ("weak", "one_voice")
        row = panel.filter(pl.col("date") == alone[0].period.day).row(0, named=True)
        assert (row["tvl_evidence"], row["liquidations_evidence"]) == ("one_voice", "one_voice")
        for column in ("total_tvl_usd", "liquidations_usd"):
            opened_figure = why(app, app.registry.csu(csu["csu"]), alone[0].period.day, column)
            assert {opened_figure.evidence, *(one.cell.grade for one in opened_figure.answers)} == {"one_voice"}
        assert states[doubted].reason == "suspect"
        assert opened(doubted, states[doubted], app.bronze).state == "suspect"
        (found,) = verify([doubted], states, app.bronze, "onchain")
        assert found.verdict == "suspect"
        row = panel.filter(pl.col("date") == doubted.period.day).row(0, named=True)
        assert row["liquidations_status"] == "suspect"


@pytest.mark.parametrize("word", [one for one in GRADES if one != "one_voice"])
def test_a_ledger_that_claims_more_than_its_answer_proves_is_told_so(
    aave_fortnight: Fortnight, tmp_path: Path, word: str
) -> None:
    lake = Lake(tmp_path / "lake", aave_fortnight)
    one: Partition = WANTED[0]
    with Liar(aave_fortnight.node.url, honest) as good, lake.opened([good.url], public_rpc=False) as app:
        lake.collect(app, [one])
        app.ledger.append(replace(app.ledger.states()[one], grade=word))
        (found,) = verify([one], app.ledger.states(), app.bronze, "onchain")
        assert (found.verdict, found.grade) == ("weak", "one_voice")
        assert "ledger repair" in found.says[0]
        repair_ledger(app)
        assert app.ledger.states()[one].grade == "one_voice"
        (found,) = verify([one], app.ledger.states(), app.bronze, "onchain")
        assert found.verdict == "complete"
