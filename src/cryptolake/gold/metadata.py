"""`metadata.json`: what the panel holds, how it was made and its content digest. A pure function of its inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import polars as pl

from cryptolake.contracts.table import Table
from cryptolake.registry.markets import Csu


def content_digest(table: Table, frame: pl.DataFrame) -> str:
    """SHA-256 over the rows in key order as CSV text: the dataset's version id, the same wherever the rows are the same."""
    return hashlib.sha256(frame.select(table.columns).sort(table.key).write_csv().encode()).hexdigest()


def metadata_document(
    table: Table, panel: pl.DataFrame, *, csus: Mapping[str, Csu], code_version: str
) -> dict[str, object]:
    """The document: version id, date range, definitions, and per market its row counts by status and where it is from."""
    sandbox = sorted(name for name, csu in csus.items() if csu.sandbox)
    return {
        "table": table.name,
        "dataset_version": content_digest(table, panel),
        "code_version": code_version,
        "rows": panel.height,
        "start_date": panel["date"].min(),
        "end_date": panel["date"].max(),
        "definitions": {field.name: {"meaning": field.doc, "unit": field.unit} for field in table.fields},
        "methodology": table.methodology,
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
                "registry_status": csu.status,
                "sources": list(csu.sources),
                "days_by_status": dict(
                    sorted(panel.filter(pl.col("csu") == name)["status"].value_counts().iter_rows())
                ),
            }
            for name, csu in sorted(csus.items())
        },
    }
