"""An answer that is lost or damaged leaves what is known of it: nothing that proves less takes its place as sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from tests.flow.scripted import Answer, Scripted, day

from cryptolake.contracts.entry import Entry
from cryptolake.contracts.grades import Grade, at_least
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Row, Stands
from cryptolake.flow.collect import collect
from cryptolake.lake.bronze import Bronze
from cryptolake.state.ledger import Ledger
from cryptolake.work.repair import repair


def answer(partition: Partition, grade: Grade, rows: Sequence[str] = ("a", "b", "c"), by: str = "") -> Raw:
    now = datetime(2025, 1, 1, tzinfo=UTC)
    return Raw(partition, "onchain", now, now, orjson.dumps({"grade": grade, "rows": rows, "by": by}))


class Graded(Scripted):
    """Answers with a grade, held against each other by it."""

    def parse(self, raw: Raw) -> Sequence[Row]:
        return [{"csu": raw.partition.key, "what": one} for one in orjson.loads(raw.payload)["rows"]]

    def grade(self, raw: Raw) -> Grade:
        found: Grade = orjson.loads(raw.payload)["grade"]
        return found

    def compare(self, new: Raw, kept: Raw) -> Stands:
        return Stands(at_least(self.grade(new), self.grade(kept)))

    def decides(self, raw: Raw) -> bool:
        return at_least(self.grade(raw), "two_voices")


LOSING: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "something else": lambda path: path.write_bytes(b"{}"),
}
DAY = day(1, dataset="liquidations")


class Run:
    """A lake of one day."""

    def __init__(self, folder: Path) -> None:
        self.bronze, self.ledger = Bronze(folder), Ledger(folder / "ledger.sqlite")

    def collect(self, told: Answer) -> Entry:
        collect(Graded({DAY: [told]}), [DAY], bronze=self.bronze, ledger=self.ledger, workers=1, attempts=1)
        found = self.ledger.state(DAY)
        assert found is not None
        return found

    def repair(self) -> None:
        repair(self.ledger, self.bronze, Graded(), known=lambda _name: True)

    def lose(self, how: str) -> None:
        LOSING[how](self.bronze.raw_path(DAY, "onchain"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


BETWEEN: dict[str, Callable[[Run], object]] = {
    "nothing": lambda _run: None,
    "a repair": lambda run: run.repair(),
    "nobody who answered": lambda run: run.collect(Miss(DAY, "failed", "rpc", "down")),
    "one who denies it": lambda run: run.collect(Miss(DAY, "gone", "not_deployed", "no code")),
}


@pytest.mark.parametrize("how", LOSING)
@pytest.mark.parametrize("between", BETWEEN)
def test_what_proves_less_than_the_lost_answer_is_suspect_until_something_proves_as_much(
    run: Run, how: str, between: str
) -> None:
    assert run.collect(answer(DAY, "two_voices")).reason is None
    run.lose(how)
    BETWEEN[between](run)
    assert run.ledger.state(DAY).state != "gone"  # type: ignore[union-attr]  # nobody's word alone denies it
    weaker = run.collect(answer(DAY, "one_voice", []))
    assert (weaker.state, weaker.reason) == ("empty", "suspect")
    assert "two_voices and had 3 rows" in str(weaker.error)
    run.repair()
    assert run.ledger.state(DAY).reason == "suspect"  # type: ignore[union-attr]
    run.lose(how)  # the weaker one is lost, too: what the first proved is known still
    assert run.collect(answer(DAY, "one_voice", [], by="again")).reason == "suspect"
    assert run.collect(answer(DAY, "two_voices", ["a"])).reason == "suspect", "as far, and shows less"
    assert run.collect(answer(DAY, "two_voices")).reason is None


@pytest.mark.parametrize("how", LOSING)
@pytest.mark.parametrize(
    ("rows", "reason"), [(["a", "b", "c"], None), (["a", "b"], "suspect"), (["a", "b", "d"], "suspect")]
)
def test_a_lost_answer_of_one_voice_is_replaced_by_the_same_and_contradicted_by_another(
    run: Run, how: str, rows: list[str], reason: str | None
) -> None:
    run.collect(answer(DAY, "one_voice"))
    run.lose(how)
    assert run.collect(answer(DAY, "one_voice", rows, by="b")).reason == reason
    assert run.collect(answer(DAY, "two_voices", rows, by="b")).reason is None


def test_a_damaged_answer_that_is_given_again_as_it_was_is_sound(run: Run) -> None:
    run.collect(answer(DAY, "receipts_root"))
    run.lose("cut short")
    found = run.collect(answer(DAY, "receipts_root"))
    assert (found.state, found.reason, found.grade) == ("done", None, "receipts_root")
