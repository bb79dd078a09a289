"""The invariants of lending markets, each a rule over the finished tables with a severity. Pure.

What does not belong here: the severities' meaning (results), the tables' own contracts (checked whenever they are written)
and storing results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from cryptolake.contracts.market_flags import FLAGS
from cryptolake.quality import rules, supported
from cryptolake.quality.results import SEVERITIES, Result, Severity
from cryptolake.quality.rules import FinishedTables


@dataclass(frozen=True, slots=True)
class Check:
    """One rule: `broken` gives the rows that break it, with columns subject (what), date and detail (words and numbers)."""

    name: str
    severity: Severity
    doc: str
    broken: Callable[[FinishedTables], pl.DataFrame]


def run(tables: FinishedTables, checks: Sequence[Check] | None = None) -> list[Result]:
    """Run every check, the broken ones of the highest severity first."""
    results = []
    for check in CHECKS if checks is None else checks:
        found = check.broken(tables).sort("subject", "date", "detail")
        examples = tuple(f"{subject} {day}: {detail}" for subject, day, detail in found.head(5).iter_rows())
        held = found.is_empty()
        results.append(Result(check.name, check.severity, held, found.height, doc=check.doc, examples=examples))
    return sorted(results, key=lambda one: (one.passed, SEVERITIES.index(one.severity), -one.rows, one.check))


CHECKS: tuple[Check, ...] = (
    Check(
        "answers_in_silver",
        "error",
        "silver holds every answer that the ledger calls settled",
        supported.answers_missing,
    ),
    Check(
        "panel_supported",
        "error",
        "every number in the panel is what ledger and silver give now",
        supported.unsupported,
    ),
    Check("panel_current", "warning", "the panel has every day that ledger and silver have now", supported.behind),
    Check("no_negative_amounts", "error", "no raw amount is negative", rules.negative),
    Check("utilisation_bounds", "error", "a market's utilisation lies between 0 and 1.05", rules.utilisation),
    Check(
        "borrowed_far_above_supplied",
        "error",
        "rehypothecated: borrowed <= 1.05 x supplied per asset",
        rules.lent(rules.BAD_DEBT, math.inf),
    ),
    Check(
        "borrowed_above_supplied",
        "warning",
        "rehypothecated: borrowed <= supplied per asset (bad debt)",
        rules.lent(rules.ROUNDING, rules.BAD_DEBT),
    ),
    Check(
        "accounting_gap",
        "info",
        "supplied = borrowed + cash within 5 % (reserves, treasury, donations)",
        rules.accounting,
    ),
    Check(
        "accounting_known",
        "warning",
        "how a market's family accounts is declared, so that the rules above were applied or do not hold for it",
        rules.unaccounted,
    ),
    Check("block_within_day", "error", "the snapshot block's time lies within its day", rules.block_in_day),
    Check("event_within_day", "error", "a liquidation's time lies within its day", rules.event_in_day),
    Check(
        "snapshot_near_end", "warning", "the snapshot lies within ten minutes of the day's end", rules.early_snapshot
    ),
    Check("one_block_per_chain_day", "error", "all markets of a chain are read at one block a day", rules.one_block),
    Check("blocks_rise", "error", "snapshot blocks rise from day to day", rules.blocks_rise),
    Check(
        "events_between_snapshots",
        "error",
        "a day's events lie between yesterday's and today's snapshot",
        rules.event_window,
    ),
    Check(
        "liquidated_within_debt",
        "warning",
        "a liquidation repays no more than twice what the market was owed",
        rules.more_than_owed,
    ),
    Check("seized_for_repaid", "warning", "a liquidation seizes half to twice the value it repays", rules.bonus),
    Check("tvl_jump", "warning", "deposits change day on day as they use to (robust z of log change)", rules.tvl_jump),
    Check(
        "price_jump", "warning", "prices change day on day as they use to (robust z of log change)", rules.price_jump
    ),
    Check("tvl_vanished", "warning", "deposits do not fall to zero from one day to the next", rules.vanished),
    Check(
        "prices_disagree",
        "warning",
        "fresh price sources agree within the tolerance",
        lambda t: rules.priced(t, "disagrees"),
    ),
    Check("stale_price", "warning", "a token has at least one fresh quote", lambda t: rules.priced(t, "stale")),
    Check(
        "no_numeraire", "warning", "a quote's numeraire has a price itself", lambda t: rules.priced(t, "no_numeraire")
    ),
    Check("unpriced_share", "warning", "every asset that is held has a price", rules.unpriced),
    Check("tvl_spike", "warning", "no day stands out from the days around it", rules.flag("tvl_spike")),
    *(
        Check(code, "warning", f"no large part of a permissionless market {what}", rules.flag(code))
        for code, what in FLAGS.items()
    ),
    Check(
        "liquidations_exceed_debt",
        "warning",
        "a day's liquidations fit the debt there was",
        rules.flag("liquidations_exceed_debt"),
    ),
    Check(
        "price_disagrees",
        "warning",
        "what much of a market hangs on is not contradicted by other sources or the market's own oracle",
        rules.flag("price_disagrees"),
    ),
    Check(
        "price_frozen",
        "warning",
        "no price stands still while the market's own oracle moves, nor the other way round",
        rules.flag("price_frozen"),
    ),
    Check(
        "seizure_disagrees",
        "warning",
        "the prices of a day's liquidations do not contradict each other",
        rules.flag("seizure_disagrees"),
    ),
    Check(
        "repaid_own_price_only",
        "warning",
        "where anyone may open markets, what is liquidated is not priced by the market alone",
        rules.flag("repaid_own_price_only"),
    ),
    Check("dust_storm", "info", "a day's liquidations are not mostly dust", rules.flag("dust_storm")),
    Check("failed_days", "warning", "every day that was asked was answered", rules.unanswered("failed")),
    Check("pending_days", "info", "every expected day was asked", rules.unanswered("pending", "not_asked")),
    Check("contradicted_days", "error", "no answer is contradicted by another endpoint", rules.contradicted),
)
