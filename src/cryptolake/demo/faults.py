"""What `demo --break` does wrong on purpose: each fault is how it is planted and where one looks whether it is noticed.

A fault changes files and tables of a copy of the demo's lake behind cryptolake's back, or has a copy collected from somebody
who lies. What does not belong here: how a lake is looked at (`work.breaking`), and how lies are told (`lying`).
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Protocol

import orjson
import polars as pl

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.table import Table
from cryptolake.demo import lying
from cryptolake.demo.journey import CSU
from cryptolake.demo.replay import Lie, VendorLie
from cryptolake.files.atomic import write_bytes
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.lake.bronze import ONCHAIN, Bronze
from cryptolake.lake.tables import Tables
from cryptolake.silver.isolated_markets import TABLE as ISOLATED
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.state.ledger import Ledger

DAY = date(2024, 12, 5)  # with three liquidations, two of them in the block:
BLOCK = 38
_SNAPSHOT = Partition("tvl", CSU, Period.of_day(DAY))
_EVENTS = Partition("liquidations", CSU, Period.of_day(DAY))


@dataclass(frozen=True, slots=True)
class Noticed:
    """Who noticed that something is wrong (a command as it is typed, and its check) and what it said."""

    by: str
    said: str


class Breakable(Protocol):
    """A copy of the demo's lake, to break and to look at by what the commands do."""

    @property
    def root(self) -> Path: ...
    @property
    def bronze(self) -> Bronze: ...
    @property
    def tables(self) -> Tables: ...
    @property
    def ledger(self) -> Ledger: ...

    def set(self, **settings: object) -> None:
        """From now on look under other settings."""

    def collect(self, *lies: Lie) -> None:
        """Collect and refine `DAY` and the day after, from an operator of its own for each of these."""

    def collect_anew(self, *lies: Lie) -> None:
        """The same instead of what is there."""

    def ask_vendor(self, lie: VendorLie) -> None:
        """Ask for the list of coins."""

    def collected(self) -> Noticed | None:
        """What `collect` said of the days that it could not answer."""

    def verified(self) -> Noticed | None:
        """What `verify` finds wanting."""

    def checked(self) -> Noticed | None:
        """Which check of `quality` finds an error."""

    def built(self) -> Noticed | None:
        """Why `build` refuses, or what it says of days without a number."""

    def liar_named(self) -> Noticed | None:
        """Who is proven a liar, of days that are whole all the same."""

    def judged(self, held: pl.DataFrame, isolated: pl.DataFrame) -> Noticed | None:
        """What the panel would say of `DAY` if the market held this (rows of silver tvl), in these isolated markets."""

    def graded(self) -> Noticed | None:
        """How far the days are proven, where that is by one voice."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing done wrong: what, how it is planted, and where one looks; `look` gives None when nobody noticed.

    One that is not `provable` cannot be noticed by anybody who has no second source: its look says what is told instead.
    """

    done: str
    plant: Callable[[Breakable], None]
    look: Callable[[Breakable], Noticed | None]
    provable: bool = True


def _edit(table: Table, **columns: pl.Expr) -> Callable[[Breakable], None]:
    """Changes columns of a stored table on the day; the table's own record of it is left as it was."""

    def plant(lake: Breakable) -> None:
        rows = lake.tables.read(table)
        of_day = pl.col("date") == DAY
        changed = [pl.when(of_day).then(value).otherwise(pl.col(name)).alias(name) for name, value in columns.items()]
        lake.tables.write(table, rows.with_columns(changed).cast(rows.schema))

    return plant


def _lose_day(lake: Breakable) -> None:
    lake.tables.write(TVL, lake.tables.read(TVL).filter(pl.col("date") != DAY))


def _edit_answer(lake: Breakable) -> None:
    """Another payload under a digest that fits it: the file alone looks sound."""
    path = lake.bronze.raw_path(_EVENTS, ONCHAIN)
    envelope = orjson.loads(gzip.decompress(path.read_bytes()))
    payload = orjson.loads(envelope["payload"])
    payload["logs"] = payload["logs"][:-1]
    envelope["payload"] = orjson.dumps(payload).decode("latin-1")
    envelope["digest"] = hashlib.sha256(envelope["payload"].encode("latin-1")).hexdigest()
    write_bytes(path, gzip.compress(orjson.dumps(envelope)))


def _lose_answer(lake: Breakable) -> None:
    lake.bronze.raw_path(_SNAPSHOT, ONCHAIN).unlink()


def _edit_ledger(lake: Breakable) -> None:
    entry = lake.ledger.state(_SNAPSHOT)
    assert entry is not None
    lake.ledger.append(replace(entry, digest="0" * 64))


def _lose_ledger(lake: Breakable) -> None:
    for path in lake.root.glob("ledger.sqlite*"):
        path.unlink()


def _cut_gold(lake: Breakable) -> None:
    for path in lake.tables.path(DAILY_PANEL).rglob("*.parquet"):
        write_bytes(path, path.read_bytes()[:-100])


def _from(*lies: Lie) -> Callable[[Breakable], None]:
    return lambda lake: lake.collect_anew(*lies)


_TOY = f"0x{7:040x}"
_POOL, _SIBLING = "0x94099942864EA81cCF197E9D71ac53310b1468D8", "0x000000000000000000000000000000000000bEEF"


def _other_boundary(lake: Breakable) -> None:
    lake.set(day_boundary="ny")
    lake.collect(lying.honest)


def _wrong_contract(lake: Breakable) -> None:
    path = lake.root / "registry.yaml"
    write_bytes(path, path.read_bytes().replace(_POOL.encode(), _SIBLING.encode()))
    lake.set(registry=path)
    lake.collect_anew(lying.with_sibling(_POOL, _SIBLING))


def _toy(lake: Breakable) -> Noticed | None:
    """900 million of a token that its borrower made, at the price that the borrower's own oracle gives.

    The recorded chain has no market that anyone may open: these are rows as such a market would give, judged as the panel is.
    """
    rows = lake.tables.read(TVL).with_columns(price_source=pl.lit("chainlink"))
    model = rows.filter(pl.col("date") == DAY).head(1)
    nothing = dict.fromkeys(("supplied", "borrowed", "cash", "supplied_usd", "borrowed_usd", "cash_usd"), 0.0)
    much = dict.fromkeys(("collateral", "collateral_usd"), 900e6)
    toy = {**model.row(0, named=True), **nothing, **much, "asset": _TOY, "symbol": "TOY", "price": 1.0}
    held = pl.concat([rows, pl.DataFrame([{**toy, "price_source": "protocol_oracle"}], schema=rows.schema)])
    loan, block_time = model["asset"].item(), model["block_time"].item()
    pair = {
        **dict.fromkeys(ISOLATED.columns),
        "csu": CSU, "date": DAY, "chain": toy["chain"], "block": toy["block"], "market": f"0x{7:064x}",
        "loan_asset": loan, "loan_symbol": "LOAN", "collateral_asset": _TOY, "collateral_symbol": "TOY",
        "oracle": f"0x{8:040x}", "rate_model": f"0x{9:040x}", "lltv": 0.86, "supplied": 1.0, "borrowed": 0.9,
        "utilization": 0.9, "interest": 0.0, "touched_at": block_time, "collateral": 900e6, "pledged": 900e6,
        "takers": 1, "own_price": 1.0, "supplied_raw": "0", "borrowed_raw": "0",
    }  # fmt: skip
    if lake.judged(rows, ISOLATED.empty()) is not None:
        return None  # it is not the toy that is noticed
    return lake.judged(held, pl.DataFrame([pair], schema=ISOLATED.polars_schema()))


def _collected(lake: Breakable) -> Noticed | None:
    return lake.collected()


def _verified(lake: Breakable) -> Noticed | None:
    return lake.verified()


def _checked(lake: Breakable) -> Noticed | None:
    return lake.checked()


def _built(lake: Breakable) -> Noticed | None:
    return lake.built()


def _liar_named(lake: Breakable) -> Noticed | None:
    return lake.liar_named()


def _graded(lake: Breakable) -> Noticed | None:
    return lake.graded()


# Those for whom somebody is asked come last: they take longest.
FAULTS: Sequence[Fault] = (
    Fault("a day deleted from silver", _lose_day, _checked),
    Fault("a loan in silver made smaller", _edit(TVL, borrowed=pl.col("borrowed") * 0.9), _checked),
    Fault("the prices of a day doubled", _edit(TVL, price=pl.col("price") * 2), _checked),
    Fault("a liquidation cut out of a kept answer, its digest made to fit", _edit_answer, _verified),
    Fault("a kept answer deleted", _lose_answer, _verified),
    Fault("an entry of the ledger that claims another answer", _edit_ledger, _verified),
    Fault("the ledger deleted", _lose_ledger, _built),
    Fault(
        "a figure of the panel made larger",
        _edit(DAILY_PANEL, total_tvl_usd=pl.col("total_tvl_usd") * 1.01),
        _checked,
    ),
    Fault("a file of the panel cut short", _cut_gold, _checked),
    Fault(
        "days that begin in New York asked for beside days of UTC",
        _other_boundary,
        _collected,
    ),
    Fault("a toy token, 900 million by its owner's oracle, pledged for a loan to oneself", lambda _lake: None, _toy),
    Fault("a row of the registry that names a sibling's contract", _wrong_contract, _collected),
    Fault(
        "one of two nodes drops logs, and admits it",
        _from(lying.dropping(BLOCK, admits=True), lying.honest),
        _liar_named,
    ),
    Fault("one of two nodes drops logs, and insists", _from(lying.dropping(BLOCK), lying.honest), _verified),
    Fault(
        "one of three nodes drops logs, and insists",
        _from(lying.dropping(BLOCK), lying.honest, lying.honest),
        _verified,
    ),
    Fault("one of two nodes invents logs", _from(lying.inventing(BLOCK), lying.honest), _verified),
    Fault("a node puts two logs of a block at one place", _from(lying.repeating_places(BLOCK)), _collected),
    Fault("a node gives state of an earlier block", _from(lying.stale()), _collected),
    Fault(
        "one of two nodes gives state of an earlier block, and the right number",
        _from(lying.stale(forging=True), lying.honest),
        _collected,
    ),
    Fault("a node answers every call with `0x`", _from(lying.empty_calls), _collected),
    Fault("a vendor leaves out half a page of coins", lambda lake: lake.ask_vendor(lying.short_page(2)), _collected),
    Fault("a vendor's page of coins breaks off", lambda lake: lake.ask_vendor(lying.cut_page(2)), _collected),
    Fault("the only node that is asked drops logs", _from(lying.dropping(BLOCK)), _graded, provable=False),
)
