"""No figure leaves the house that ledger and silver do not give now, whichever of them was changed and by whom.

Each case changes one thing behind the program's back; whatever hands figures out afterwards must refuse or leave them out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pytest
from tests.command import cryptolake

import cryptolake as cl
from cryptolake.contracts.table import Table
from cryptolake.demo.replay import sandbox_registry
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.lake.tables import Tables
from cryptolake.publish.server import ensure_running
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.silver.prices import TABLE as PRICES
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.silver.tvl import TABLE as TVL

pytestmark = pytest.mark.xdist_group("demo")
DAY = date(2024, 12, 5)
Change = Callable[[Path], None]
TENFOLD = 10.0
DOORS: dict[str, Callable[[cl.Lake], object]] = {
    "panel": lambda lake: lake.panel(),
    "read": lambda lake: lake.table("daily_panel").read(),
    "scan": lambda lake: lake.table("daily_panel").scan(),
    "sql": lambda lake: lake.sql("SELECT max(total_tvl_usd) FROM daily_panel"),
    "sql below": lambda lake: lake.sql("WITH p AS (SELECT * FROM daily_panel) SELECT count(*) FROM (SELECT * FROM p)"),
}
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
    "oracle": rewritten(TVL, pl.col("oracle_price") * 1.25),
    "oracle of an event": rewritten(LIQUIDATIONS, *(pl.col(f"{side}_oracle_price") * 1.25 for side in SIDES)),
    "infinite amount": rewritten(TVL, pl.lit(float("inf")).alias("cash_usd")),
    "no number": rewritten(TVL, pl.lit(float("nan")).alias("cash"), pl.lit(float("nan")).alias("cash_usd")),
    "price everywhere": together(
        rewritten(TVL, *(pl.col(name) * 1.1 for name in ("price", *(f"{one}_usd" for one in AMOUNTS)))),
        rewritten(LIQUIDATIONS, *(pl.col(f"{side}_{name}") * 1.1 for side in SIDES for name in ("price", "usd"))),
        rewritten(PRICES, pl.col("price") * 1.1),
        rewritten(QUOTES, pl.col("quote_price") * 1.1),
    ),
}
# Changes of shared prices, of which the sandbox has none: its tokens are told by nobody but its market.
OF_SHARED_PRICES = {one for one in CHANGES if "quotes" in one or one.startswith("price ")}
TRIPS = {"reprice": ("reprice",), "of the market": ("refine", "--csu", "aave_v3_sandbox")}


def prepare(lake: Path, changed: str) -> None:
    """Where the change is one of shared prices, the day's tokens get some, from a file."""
    if changed not in OF_SHARED_PRICES:
        return
    tables, ours = Tables(lake / "data"), {"CRYPTOLAKE_REGISTRY": str(sandbox_registry())}
    held = tables.read(TVL).filter(pl.col("date") == DAY, pl.col("own_price").is_not_null())
    told = held.select("date", "chain", "asset", pl.col("own_price").alias("price"))
    told.unique().write_csv(lake / "prices.csv")
    for words in (("prices", "import", "prices.csv"), ("refine",), ("build",)):
        done = cryptolake(lake, *words, **ours)
        assert done.returncode == 0, done.stderr
    assert set(tables.read(TVL).filter(pl.col("date") == DAY)["price_source"].drop_nulls()) == {"file"}
    assert tables.read(DAILY_PANEL).row(by_predicate=pl.col("date") == DAY, named=True)["status"] == "ok"


COMMANDS = (("panel", "export"), ("panel", "describe"), ("panel", "var"), ("publish",), ("release", "2024.12"))
# What nothing in the lake can bring back without asking the chain.
GONE = {"answer", "ledger", "file of silver"}


@pytest.fixture(scope="module")
def address(demo: tuple[Path, object]) -> str:
    """A database to which nothing is ever published, for every lake of this module; its name is no word of a message."""
    return urlsplit(ensure_running(demo[0] / "sandbox"))._replace(path="/postgres").geturl()


def refused(lake: Path, address: str, *words: str) -> None:
    done = cryptolake(lake, *words, CRYPTOLAKE_REGISTRY=str(sandbox_registry()), DATABASE_URL=address)
    assert done.returncode, (words, done.stdout)
    assert "run `cryptolake" in " ".join(done.stderr.lower().split()), done.stderr
    assert "Traceback" not in done.stderr
    assert not (lake / "data/exports").exists()
    assert not (lake / "data/releases").exists()


@pytest.mark.parametrize("changed", CHANGES)
def test_nothing_is_handed_out_that_is_not_so_and_the_remedy_brings_it_back(
    lake: Path, address: str, changed: str
) -> None:
    """A change, what is refused, a panel without the figure, the remedy, a panel with it: as it happens to a person.

    Each change meets two of the commands, in turn; `test_no_command_hands_it_out` lets every change meet all of them.
    """
    ours, number = {"CRYPTOLAKE_REGISTRY": str(sandbox_registry())}, list(CHANGES).index(changed)
    prepare(lake, changed)
    sound = Tables(lake / "data").read(DAILY_PANEL)
    CHANGES[changed](lake / "data")
    for which in (number, number + 2):
        refused(lake, address, *COMMANDS[which % len(COMMANDS)])
    if changed != "panel":
        a_new_panel_has_no_figure_of_it(lake, changed)
    if changed in GONE | {"panel"}:
        return
    # What was changed by hand is made anew from the answers, not taken for what they say.
    for words in (("refine",), ("build",), ("panel", "export")):
        assert cryptolake(lake, *words, **ours).returncode == 0
    assert Tables(lake / "data").read(DAILY_PANEL).equals(sound)


@pytest.mark.soak
@pytest.mark.parametrize("changed", CHANGES)
def test_no_command_hands_it_out(lake: Path, address: str, changed: str) -> None:
    prepare(lake, changed)
    CHANGES[changed](lake / "data")
    for words in COMMANDS:
        refused(lake, address, *words)


def a_new_panel_has_no_figure_of_it(lake: Path, changed: str) -> None:
    before = Tables(lake / "data").read(DAILY_PANEL)
    done = cryptolake(lake, "build", CRYPTOLAKE_REGISTRY=str(sandbox_registry()))
    after = Tables(lake / "data").read(DAILY_PANEL)
    if changed in {"ledger", "file of silver"}:  # nothing can be known: what there is stays
        assert done.returncode == 1
        assert after.equals(before)
        return
    row = after.row(by_predicate=pl.col("date") == DAY, named=True)
    assert (row["status"] == "ok", row["liquidations_status"] == "ok") != (True, True), row
    assert done.returncode == 1, done.stdout
    assert "no number" in " ".join(done.stdout.split()), done.stdout


@pytest.mark.parametrize("trip", TRIPS)
@pytest.mark.parametrize("changed", ["oracle", "price everywhere"])
def test_no_trip_takes_over_what_was_changed(lake: Path, changed: str, trip: str) -> None:
    ours = {"CRYPTOLAKE_REGISTRY": str(sandbox_registry())}
    prepare(lake, changed)
    before = Tables(lake / "data").read(DAILY_PANEL)
    CHANGES[changed](lake / "data")
    for words in (TRIPS[trip], ("build",)):
        assert cryptolake(lake, *words, **ours).returncode == 0
    assert Tables(lake / "data").read(DAILY_PANEL).equals(before)


def test_a_price_of_a_file_is_read_from_the_file_again(lake: Path) -> None:
    ours = {"CRYPTOLAKE_REGISTRY": str(sandbox_registry())}
    tables, (asset, *_) = Tables(lake / "data"), Tables(lake / "data").read(TVL)["asset"]
    (lake / "mine.csv").write_text(f"date,chain,asset,price\n{DAY},sandbox,{asset},3000\n")
    ours["CRYPTOLAKE_PRICE_ORDER"] = "file,protocol_oracle"
    for words in (("prices", "import", "mine.csv"), ("reprice",)):
        assert cryptolake(lake, *words, **ours).returncode == 0
    before, said = tables.read(DAILY_PANEL), tables.read(QUOTES)
    assert "file" in set(tables.read(PRICES)["price_source"])
    dearer = pl.when(pl.col("source") == "file").then(pl.col("quote_price") * 3).otherwise(pl.col("quote_price"))
    for words in (("refine",), *TRIPS.values()):
        tables.write(QUOTES, said.with_columns(dearer))
        for one in (words, ("build",)):
            assert cryptolake(lake, *one, **ours).returncode == 0
        assert tables.read(QUOTES).equals(said)
        assert tables.read(DAILY_PANEL).equals(before)


def test_from_python_it_is_reported_and_not_handed_out(lake: Path) -> None:
    CHANGES["panel"](lake / "data")
    with cl.open(lake / "data") as opened:
        found = opened.quality(store=False)
        assert found.filter(check="panel_supported")["rows"].sum() > 0
        assert opened.coverage().height
        for door in DOORS.values():
            with pytest.raises(cl.Stop, match="run `cryptolake build`"):
                door(opened)
        wrong = Tables(lake / "data").read(DAILY_PANEL)
        assert opened.table("daily_panel", as_stored=True).read().equals(wrong)
        assert opened.sql("SELECT count(*) FROM daily_panel", as_stored=True).item() == wrong.height
        assert opened.sql("SELECT count(*) FROM tvl").item(), "what is not asked of the panel is answered"


def test_a_panel_of_infinite_figures_is_not_handed_out(lake: Path) -> None:
    """Infinity differs by no more than infinity from anything."""
    for figure in (float("inf"), float("nan")):
        rewritten(DAILY_PANEL, pl.lit(figure).alias("total_tvl_usd"))(lake / "data")
        with cl.open(lake / "data") as opened, pytest.raises(cl.Stop, match="total_tvl_usd"):
            opened.panel()


def test_sql_over_the_database_says_what_is_wrong_with_its_panel(lake: Path) -> None:
    ours, ask = (
        {"CRYPTOLAKE_REGISTRY": str(sandbox_registry())},
        ("query", "--sql", "SELECT * FROM daily_panel", "--json"),
    )
    assert cryptolake(lake, "publish", **ours).returncode == 0
    assert "warning" not in cryptolake(lake, *ask, **ours).stderr
    CHANGES["oracle"](lake / "data")
    done = cryptolake(lake, *ask, **ours)
    assert done.returncode == 0
    assert "not what ledger and silver give now" in " ".join(done.stderr.split()), done.stderr
    assert "warning" not in cryptolake(lake, "query", "--sql", "SELECT 1 AS one", "--json", **ours).stderr
