"""Every cell that differs between two releases has the cause that was made to change it, alone and beside others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.research.test_export import panel

from cryptolake.errors import BadInput, Stop
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.gold.metadata import metadata_document
from cryptolake.registry.loader import load_registry
from cryptolake.research.ledger_of_release import TABLE as LEDGER
from cryptolake.research.lineage import COLUMNS
from cryptolake.research.lineage import TABLE as LINEAGE
from cryptolake.research.origin import Origin, ReleaseInputs
from cryptolake.research.release import release
from cryptolake.research.release_diff import CAUSES, changelog, diff, document
from cryptolake.sources.onchain.families import declared
from cryptolake.work.releasing import published_as

MARKETS, DAYS = 3, 4
MARKET, DAY = "market_1", date(2024, 1, 2)
ENTRIES = pl.Schema(
    {**dict.fromkeys(("partition", "digest", "state", "reason", "grade"), pl.String()), "all_days": pl.Boolean()}
)


def rows(mine: pl.Expr | None = None) -> pl.Expr:
    """The market-day that is changed."""
    return (pl.col("csu") == MARKET) & (pl.col("date") == DAY) & (pl.lit(True) if mine is None else mine)


@dataclass(frozen=True)
class Inputs:
    """What a small release is made of."""

    panel: pl.DataFrame = field(default_factory=lambda: panel(MARKETS, DAYS))
    lineage: pl.DataFrame | None = None
    ledger: pl.DataFrame | None = None
    code: str = "c"
    pricing: str | None = "ladder"
    registry: Mapping[str, Any] = field(default_factory=lambda: {"csus": [], "chains": [], "exclusions": []})
    registry_version: str = "r"

    def known(self) -> pl.DataFrame:
        """The lineage, every answer there."""
        if self.lineage is not None:
            return self.lineage
        keys = self.panel.select("csu", "date")
        parts = [
            keys.with_columns(
                pl.lit(dataset).alias("dataset"),
                *(pl.lit("0" * 16).alias(name) for name in ("answers", "content", "prices")),
                pl.lit("done").alias("state"),
                pl.lit(None, pl.String).alias("reason"),
                pl.lit("one_voice").alias("grade"),
            )
            for dataset in ("tvl", "liquidations")
        ]
        return pl.concat(parts).select(COLUMNS.names()).cast(COLUMNS)

    def entries(self) -> pl.DataFrame:
        """The ledger, prices of every day included."""
        if self.ledger is not None:
            return self.ledger
        keys = self.panel.select("csu", "date")
        names = [f"{dataset}/{csu}/{day}" for dataset in ("tvl", "liquidations") for csu, day in keys.iter_rows()]
        names += [f"feeds/ethereum/{day}" for day in keys["date"].unique().sort()]
        found = [(name, "d" * 64, "done", None, "one_voice", False) for name in names]
        found.append(("price_file/mine/2024-01-09", "f" * 64, "done", None, None, True))
        return pl.DataFrame(found, schema=ENTRIES, orient="row")

    def written(self, into: Path, version: str) -> Path:
        """A release of it."""
        metadata = metadata_document(DAILY_PANEL, self.panel, csus={}, code_version="1", registry_version="r")
        metadata |= published_as(load_registry(declared()), ["onchain"])
        origin = Origin(date(2026, 1, 1), "1", None, self.code, "# Python 3.11\n")
        markets = tuple(self.panel["csu"].unique().sort())
        recipe = ReleaseInputs(version, markets, "utc", self.pricing, self.registry_version, 0)
        return release(
            version,
            DAILY_PANEL,
            self.panel,
            metadata=metadata,
            registry=self.registry,
            origin=origin,
            recipe=recipe,
            into=into,
            tables={"lineage": (LINEAGE, self.known()), "ledger": (LEDGER, self.entries())},
        ).folder


def figures(inputs: Inputs) -> Inputs:
    """The market-day's TVL is another one."""
    changed = pl.when(rows()).then(pl.col("total_tvl_usd") * 2).otherwise("total_tvl_usd").alias("total_tvl_usd")
    return replace(inputs, panel=inputs.panel.with_columns(changed))


def rests_on(**values: str | None) -> Callable[[Inputs], Inputs]:
    """What the market-day's TVL rests on is another one."""

    def change(inputs: Inputs) -> Inputs:
        tvl = rows(pl.col("dataset") == "tvl")
        made = [pl.when(tvl).then(pl.lit(v, pl.String)).otherwise(n).alias(n) for n, v in values.items()]
        return replace(inputs, lineage=inputs.known().with_columns(made))

    return change


def told(name: str, **values: str | None) -> Callable[[Inputs], Inputs]:
    """What the ledger says of a partition is another one."""

    def change(inputs: Inputs) -> Inputs:
        of = pl.col("partition") == name
        made = [pl.when(of).then(pl.lit(v, pl.String)).otherwise(n).alias(n) for n, v in values.items()]
        return replace(inputs, ledger=inputs.entries().with_columns(made))

    return change


def made_by(**values: Any) -> Callable[[Inputs], Inputs]:
    return lambda inputs: replace(inputs, **values)


ROW = {"csus": [{"name": MARKET, "entry": "other"}], "chains": [], "exclusions": []}
CHANGES: dict[str, tuple[str, tuple[Callable[[Inputs], Inputs], ...]]] = {
    "answered anew": ("restatement", (rests_on(answers="1" * 16, content="1" * 16),)),
    "its answer is lost": ("restatement", (rests_on(answers=None, content=None),)),
    "other prices of the day": (
        "price",
        (rests_on(prices="1" * 16), told("feeds/ethereum/2024-01-02", digest="e" * 64)),
    ),
    "a file of prices": (
        "price",
        (rests_on(prices="1" * 16), told("price_file/mine/2024-01-09", digest="e" * 64)),
    ),
    "another ladder": ("price", (rests_on(prices="1" * 16), made_by(pricing="other"))),
    "the market's row": ("registry", (rests_on(content="1" * 16), made_by(registry=ROW, registry_version="s"))),
    "an exclusion": (
        "registry",
        (made_by(registry={**ROW, "csus": [], "exclusions": [{"csu": MARKET}]}, registry_version="s"),),
    ),
    "another feed": ("registry", (rests_on(prices="1" * 16), made_by(registry_version="s"))),
    "the reader": ("code", (rests_on(content="1" * 16), made_by(code="d"))),
    "the sums": ("code", (made_by(code="d"),)),
    "code and rows": ("code or registry", (rests_on(content="1" * 16), made_by(code="d", registry_version="s"))),
    "borne out": ("evidence", (rests_on(grade="two_voices"), told(f"tvl/{MARKET}/{DAY}", grade="two_voices"))),
    "contradicted": ("evidence", (told(f"tvl/{MARKET}/{DAY}", reason="suspect"),)),
    "nothing at all": ("unexplained", ()),
    "prices of nobody": ("unexplained", (rests_on(prices="1" * 16),)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_cell_has_its_cause(change: str, tmp_path: Path) -> None:
    cause, steps = CHANGES[change]
    before = after = Inputs()
    for step in (figures, *steps):
        after = step(after)
    found = diff(before.written(tmp_path, "1"), after.written(tmp_path, "2"))
    (cell,) = found.cells.to_dicts()
    assert (cell["csu"], cell["date"], cell["column"], cell["cause"]) == (MARKET, DAY, "total_tvl_usd", cause)
    assert cell["change"] == pytest.approx(float(cell["before"]))
    assert found.explained is (cause != "unexplained")
    assert document(found)["by_cause"] == {cause: 1}
    assert f"| {cause} | 1 | 1 |" in changelog(found)


def test_a_day_that_was_not_answered_is_a_new_answer(tmp_path: Path) -> None:
    whole = Inputs()
    pending = pl.when(rows()).then(pl.lit("pending")).otherwise("status").alias("status")
    empty = pl.when(rows()).then(None).otherwise("total_tvl_usd").alias("total_tvl_usd")
    unanswered = replace(whole, panel=whole.panel.with_columns(empty, pending))
    before = rests_on(answers=None, content=None, state=None)(unanswered)
    found = diff(before.written(tmp_path, "1"), whole.written(tmp_path, "2"))
    assert found.by_cause == {"new answer": found.cells.height}
    assert {"status", "total_tvl_usd"} <= set(found.cells["column"])


def test_more_days_are_new_answers_and_fewer_markets_another_selection(tmp_path: Path) -> None:
    whole = Inputs()
    few = Inputs(whole.panel.filter(pl.col("date") < date(2024, 1, DAYS)))
    more = diff(few.written(tmp_path, "1"), whole.written(tmp_path, "2"))
    assert set(more.by_cause) == {"new answer"}
    assert more.cells["date"].unique().to_list() == [date(2024, 1, DAYS)]
    others = Inputs(whole.panel.filter(pl.col("csu") != f"market_{MARKETS - 1}"))
    fewer = diff(whole.written(tmp_path, "2"), others.written(tmp_path, "3"))
    assert set(fewer.by_cause) == {"selection"}
    assert fewer.cells["csu"].unique().to_list() == [f"market_{MARKETS - 1}"]


def test_what_follows_from_another_day_says_so(tmp_path: Path) -> None:
    """A flag that compares days changes with the day before."""
    inputs = figures(Inputs())
    next_day = (pl.col("csu") == MARKET) & (pl.col("date") == date(2024, 1, 3))
    flagged = pl.when(next_day).then(pl.lit("jump")).otherwise("flags").alias("flags")
    after = rests_on(answers="1" * 16)(replace(inputs, panel=inputs.panel.with_columns(flagged)))
    found = diff(Inputs().written(tmp_path, "1"), after.written(tmp_path, "2"))
    assert found.by_cause == {"another day": 1, "restatement": 1}


def test_the_same_release_differs_in_nothing(tmp_path: Path) -> None:
    found = diff(Inputs().written(tmp_path, "1"), Inputs().written(tmp_path, "2"))
    assert found.cells.is_empty()
    assert found.explained
    assert "0 cells changed" in changelog(found)


@given(chosen=st.lists(st.sampled_from(sorted(CHANGES)), max_size=4, unique=True))
@settings(max_examples=15)
def test_whatever_changed_together_every_cell_has_one_cause(
    chosen: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("diff")
    after = Inputs()
    for name in chosen:
        for step in (figures, *CHANGES[name][1]):
            after = step(after)
    found = diff(Inputs().written(place, "1"), after.written(place, "2"))
    assert sum(found.by_cause.values()) == found.cells.height
    assert set(found.by_cause) <= set(CAUSES)
    assert found.cells["cause"].null_count() == 0


def test_no_release_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    one, two = Inputs().written(tmp_path, "1"), Inputs().written(tmp_path, "2")
    with pytest.raises(BadInput, match="holds no release"):
        diff(one, tmp_path)
    (two / "daily_panel.csv").write_text("changed")
    with pytest.raises(Stop, match=r"daily_panel\.csv"):
        diff(one, two)
