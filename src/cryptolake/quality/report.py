"""The quality report as one self-contained HTML page. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cryptolake.contracts.partition import MARKET_DATASETS
from cryptolake.quality import page
from cryptolake.quality.coverage import grid, shares
from cryptolake.quality.reconcile import Reconciled
from cryptolake.quality.results import Result


def html(
    panel: pl.DataFrame,
    results: Sequence[Result],
    reconciled: Sequence[Reconciled],
    *,
    facts: Sequence[tuple[str, object]],
) -> str:
    """Results by severity, the coverage heat maps, the reconciliation."""
    broken = [one for one in results if not one.passed]
    held = [one.check for one in results if one.passed]
    rows = [(one.severity, one.check, one.rows, one.doc, " | ".join(one.examples[:3])) for one in broken]
    sections = [
        ("The dataset", page.table(("fact", "value"), list(facts))),
        (
            f"Checks: {len(broken)} of {len(results)} found something",
            page.table(("severity", "check", "rows", "should hold", "for example"), rows)
            + page.note("Holding: " + (", ".join(held) or "none")),
        ),
        ("Coverage", page.table(("dataset", "market-days expected", "answered", "ok", "share ok"), shares(panel))),
    ]
    for dataset in MARKET_DATASETS:
        days, codes = grid(panel, dataset)
        sections.append(
            (f"Coverage of {dataset} by market and day", page.heat_map(f"coverage of {dataset}", days, codes))
        )
    if reconciled:
        lines = [
            (
                one.protocol,
                one.chain,
                str(one.day),
                one.explanation.ours,
                one.explanation.theirs,
                one.gap,
                one.verdict,
                one.why,
            )
            for one in reconciled
        ]
        columns = ("protocol", "chain", "day", "ours USD", "theirs USD", "gap", "verdict", "largest causes")
        sections.append(("TVL against DefiLlama (net, without what is lent out)", page.table(columns, lines)))
    return page.page("cryptolake quality", sections)
