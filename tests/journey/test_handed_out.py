"""No figure leaves the house that ledger and silver do not give now, whichever of them was changed and by whom.

Each case changes one thing behind the program's back; whatever hands figures out afterwards must refuse or leave them out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from tests.command import cryptolake

import cryptolake as cl
from cryptolake.contracts.table import Table
from cryptolake.demo.replay import sandbox_registry
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.lake.tables import Tables
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.silver.tvl import TABLE as TVL

pytestmark = pytest.mark.xdist_group("demo")
DAY = date(2024, 12, 5)
Change = Callable[[Path], None]
TENFOLD = 10.0
AMOUNTS, SIDES = ("supplied", "borrowed", "cash", "collateral"), ("debt", "collateral")


def rewritten(table: Table, *changed: pl.Expr) -> Change:
    def change(data: Path) -> None:
        tables = Tables(data)
        on_the_day = pl.col("date") == DAY
        of = [pl.when(on_the_day).then(one).otherwise(pl.col(one.meta.output_name())) for one in changed]
        tables.write(table, tables.read(table).with_columns(of))

    return change


def together(*changes: Change) -> Change:
    """Several tables changed alike, so that each agrees with the next one."""

    def change(data: Path) -> None:
        for one in changes:
            one(data)

    return change


def unpriced(data: Path) -> None:
    """One token loses its price everywhere, although it is quoted."""
    tables = Tables(data)
    asset = tables.read(TVL).filter(date=DAY)["asset"][0]
    here = (pl.col("date") == DAY) & (pl.col("asset") == asset)
    tables.write(PRICES, tables.read(PRICES).filter(~here))
    nothing = [pl.when(~here).then(pl.col(f"{name}_usd")).alias(f"{name}_usd") for name in AMOUNTS]
    lost = [pl.when(~here).then(pl.col(name)).alias(name) for name in ("price", "price_source", "price_age_s")]
    flag = pl.when(here).then(pl.lit("no_source")).otherwise(pl.col("price_flag")).alias("price_flag")
    tables.write(TVL, tables.read(TVL).with_columns(*nothing, *lost, flag))


def without_answer(data: Path) -> None:
    for path in [
        *data.glob(f"bronze/*/aave_v3_sandbox/{DAY}*"),
        *data.glob("bronze/*/aave_v3_sandbox/2024-12.*parquet"),
    ]:
        path.unlink()
    assert cryptolake(data.parent, "ledger", "repair", CRYPTOLAKE_REGISTRY=str(sandbox_registry())).returncode == 0


def without_quotes(data: Path) -> None:
    tables = Tables(data)
    tables.write(QUOTES, tables.read(QUOTES).filter(pl.col("date") != DAY))


def without_ledger(data: Path) -> None:
    for path in data.glob("ledger.sqlite*"):
        path.unlink()


def without_file(data: Path) -> None:
    for path in data.glob(f"silver/delta/tvl/date={DAY}/*.parquet"):
        path.unlink()


CHANGES: dict[str, Change] = {
    "answer": without_answer,
    "ledger": without_ledger,
    "file of silver": without_file,
    "panel": rewritten(DAILY_PANEL, pl.col("total_tvl_usd") * 10),
    "value": rewritten(TVL, pl.col("supplied_usd") * 1.1, pl.col("cash_usd") * 1.1),
    "price": rewritten(TVL, pl.col("price") * 1.1),
    "loss": rewritten(LIQUIDATIONS, pl.col("debt_usd") * 3),
    "whole number": rewritten(TVL, pl.col("supplied_raw") + "0"),
    "decimals": rewritten(TVL, pl.col("decimals") - 1),
    "amount and value": rewritten(TVL, pl.col("supplied") * TENFOLD, pl.col("supplied_usd") * TENFOLD),
    "loss in tokens and in USD": rewritten(LIQUIDATIONS, pl.col("debt_amount") * TENFOLD, pl.col("debt_usd") * TENFOLD),
    "price everywhere but in the quotes": together(
        rewritten(TVL, *(pl.col(name) * 1.1 for name in ("price", *(f"{one}_usd" for one in AMOUNTS)))),
        rewritten(LIQUIDATIONS, *(pl.col(f"{side}_{name}") * 1.1 for side in SIDES for name in ("price", "usd"))),
        rewritten(PRICES, pl.col("price") * 1.1),
    ),
    "price and numeraire": together(
        rewritten(TVL, *(pl.col(name) * 1.1 for name in ("price", *(f"{one}_usd" for one in AMOUNTS)))),
        rewritten(LIQUIDATIONS, *(pl.col(f"{side}_{name}") * 1.1 for side in SIDES for name in ("price", "usd"))),
        rewritten(PRICES, pl.col("price") * 1.1, pl.col("numeraire_usd") * 1.1),
    ),
    "quotes": rewritten(QUOTES, pl.col("quote_price") * 1.1),
    "no quotes": without_quotes,
    "no price": unpriced,
}


@pytest.mark.parametrize("changed", CHANGES)
def test_nothing_is_handed_out_that_is_not_so(lake: Path, changed: str) -> None:
    CHANGES[changed](lake / "data")
    for words in (("panel", "export"), ("publish",)):
        done = cryptolake(lake, *words, CRYPTOLAKE_REGISTRY=str(sandbox_registry()))
        assert done.returncode, (words, done.stdout)
        assert "run `cryptolake" in " ".join(done.stderr.lower().split()), done.stderr
        assert "Traceback" not in done.stderr
    assert not (lake / "data/exports").exists()


@pytest.mark.parametrize("changed", sorted(set(CHANGES) - {"panel"}))
def test_a_new_panel_has_no_figure_of_it(lake: Path, changed: str) -> None:
    CHANGES[changed](lake / "data")
    before = Tables(lake / "data").read(DAILY_PANEL)
    done = cryptolake(lake, "build", CRYPTOLAKE_REGISTRY=str(sandbox_registry()))
    after = Tables(lake / "data").read(DAILY_PANEL)
    if changed in {"ledger", "file of silver"}:  # nothing can be known: what there is stays
        assert done.returncode == 1
        assert after.equals(before)
        return
    row = after.row(by_predicate=pl.col("date") == DAY, named=True)
    assert (row["status"] == "ok", row["liquidations_status"] == "ok") != (True, True), row
    assert done.returncode == (0 if changed == "answer" else 1), done.stdout


@pytest.mark.parametrize("changed", sorted(set(CHANGES) - {"panel", "ledger", "answer", "file of silver"}))
def test_the_remedy_brings_the_figures_back(lake: Path, changed: str) -> None:
    """What was changed by hand is made anew from the answers, not taken for what they say."""
    ours = {"CRYPTOLAKE_REGISTRY": str(sandbox_registry())}
    before = Tables(lake / "data").read(DAILY_PANEL)
    CHANGES[changed](lake / "data")
    assert cryptolake(lake, "refine", **ours).returncode == 0
    assert cryptolake(lake, "build", **ours).returncode == 0
    assert Tables(lake / "data").read(DAILY_PANEL).equals(before)
    assert cryptolake(lake, "panel", "export", **ours).returncode == 0


def test_from_python_it_is_reported_and_not_handed_out(lake: Path) -> None:
    CHANGES["panel"](lake / "data")
    with cl.open(lake / "data") as opened:
        found = opened.quality(store=False)
        assert found.filter(check="panel_supported")["rows"].sum() > 0
        assert opened.coverage().height
        with pytest.raises(cl.Stop, match="run `cryptolake build`"):
            opened.panel()
