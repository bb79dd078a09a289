"""`metadata.json`: what the panel holds, how it was made and its content digest. A pure function of its inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import polars as pl

from cryptolake.contracts.table import Table
from cryptolake.gold.daily_panel import STATUS_CODES
from cryptolake.registry.exclusions import Exclusion, plain
from cryptolake.registry.markets import Csu

CONVENTIONS = {
    "day": "half-open [start, end) of the named day boundary; TVL is the state at the last block before the end, "
    "liquidations are those in the blocks of the same window",
    "net_tvl": "total_tvl_usd = cash + collateral that is not lent out: what could be withdrawn or seized today",
    "exclusions": "totals leave out what `exclusions` names, an isolated market by its own deposits and debt; "
    "unfiltered_tvl_usd leaves out nothing",
    "gross_tvl": "gross_tvl_usd = deposits (lent on or not) + collateral that is not lent out",
    "liquidations": "debt repaid, in USD at the day's snapshot price; bad debt written off is none: "
    "table `bad_debt_daily`",
    "minted": "an asset that a facilitator mints when it is borrowed (GHO before Aave 3.4, Venus' VAI) has debt and no "
    "deposits: it is in borrowed and in no supplied, cash or TVL, so that utilisation can exceed 1; leave its rows of silver "
    "`tvl` out to measure without it, never clip",
    "missing": "null with a status code; never filled, never zero. Zero means asked and nothing there",
    "price": "one price per chain, token and day for all markets, first of the ladder in silver `prices`; where that has none "
    "the market's own oracle, for its own rows alone; columns with `own` are at the market's own oracle throughout",
}


def content_digest(table: Table, frame: pl.DataFrame) -> str:
    """SHA-256 over the rows in key order as CSV text: the dataset's version id, the same wherever the rows are the same."""
    return hashlib.sha256(frame.select(table.columns).sort(table.key).write_csv().encode()).hexdigest()


def metadata_document(
    table: Table,
    panel: pl.DataFrame,
    *,
    csus: Mapping[str, Csu],
    code_version: str,
    registry_version: str = "",
    day_boundary: str = "utc",
    tvl: pl.DataFrame | None = None,
    pricing: Mapping[str, object] | None = None,
    exclusions: Sequence[Exclusion] = (),
) -> dict[str, object]:
    """The document: version id, date range, definitions, sources, and per market its row counts by status.

    `tvl` (silver) tells which sources priced how many token-days, `pricing` how they were chosen (null: not known);
    `exclusions` is what totals leave out.
    """
    sandbox = sorted(name for name, csu in csus.items() if csu.sandbox)
    said = dict.fromkeys(("price_source", "price_flag"), pl.String)
    priced = pl.DataFrame(schema=said) if tvl is None else tvl.select("date", "chain", "asset", *said).unique()
    return {
        "table": table.name,
        "dataset_version": content_digest(table, panel),
        "code_version": code_version,
        "registry_version": registry_version,
        "rows": panel.height,
        "markets": panel["csu"].n_unique(),
        "days": panel["date"].n_unique(),
        "start_date": panel["date"].min(),
        "end_date": panel["date"].max(),
        "day_boundary": day_boundary,
        "conventions": CONVENTIONS,
        "definitions": {field.name: {"meaning": field.doc, "unit": field.unit} for field in table.fields},
        "status_codes": STATUS_CODES,
        "rows_by_status": _counts(panel["status"]),
        "rows_by_liquidations_status": _counts(panel["liquidations_status"]),
        "methodology": table.methodology,
        "price_sources": _counts(priced["price_source"].fill_null("none")),
        "pricing": pricing,
        "price_flags": _counts(priced["price_flag"]),
        "exclusions": plain(exclusions),
        "sandbox": bool(sandbox),
        "sandbox_note": f"demonstration data, not a public chain: {', '.join(sandbox)}" if sandbox else None,
        "csus": {
            name: {
                "family": csu.family,
                "protocol": csu.protocol,
                "chain": csu.chain,
                "chain_id": csu.chain_id,
                "entry": dict(csu.entry),
                "deployed_block": csu.deployed_block,
                "deployed_on": csu.deployed_on,
                "registry_status": csu.status,
                "sources": list(csu.sources),
                "notes": list(csu.notes),
                **_range(panel.filter(pl.col("csu") == name)),
            }
            for name, csu in sorted(csus.items())
        },
    }


def _counts(column: pl.Series) -> dict[str, int]:
    return dict(sorted(column.value_counts().iter_rows()))


def _range(rows: pl.DataFrame) -> dict[str, object]:
    """The days with numbers, and how many days have which status."""
    with_numbers = rows.filter(pl.col("total_tvl_usd").is_not_null())["date"]
    return {
        "first_day": with_numbers.min(),
        "last_day": with_numbers.max(),
        "days_by_status": _counts(rows["status"]),
    }
