"""Gearbox's events: which topics matter, and how a transaction's logs make up its liquidations. I/O-free.

The amounts of one liquidation stand in several events of one transaction: the facade's own, the pool's Repay and loss, and
every WithdrawCollateral. What is asked of contracts is in `gearbox`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cryptolake.errors import Skip
from cryptolake.net.abi import topic, word
from cryptolake.net.logs import Log
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.events import check_layout, liquidation, topic_address
from cryptolake.sources.onchain.records import Liquidation

# The v2 and v3 facades' events share a signature; v2 indexes three addresses and begins with the borrower, v3 two.
LIQUIDATE = topic("LiquidateCreditAccount(address,address,address,uint256)")
LIQUIDATE_EXPIRED = topic("LiquidateExpiredCreditAccount(address,address,address,uint256)")
LIQUIDATE_PARTIALLY = topic("PartiallyLiquidateCreditAccount(address,address,address,uint256,uint256,uint256)")
WITHDRAW_COLLATERAL = topic("WithdrawCollateral(address,address,uint256,address)")
LIQUIDATE_V1 = topic("LiquidateCreditAccount(address,address,uint256)")
REPAY = topic("Repay(address,uint256,uint256,uint256)")
UNCOVERED = topic("IncurUncoveredLoss(address,uint256)")
UNCOVERED_V1 = topic("UncoveredLoss(address,uint256)")

FACADE = frozenset({LIQUIDATE, LIQUIDATE_EXPIRED, LIQUIDATE_PARTIALLY, WITHDRAW_COLLATERAL})
POOL = frozenset({REPAY, UNCOVERED, UNCOVERED_V1})


@dataclass(slots=True)
class _Tx:
    """What a transaction's logs have said so far."""

    hash: str = ""
    repay: Log | None = None
    uncovered: int = 0
    withdrawn: dict[str, list[Log]] = field(default_factory=dict)
    lossy: bool = False  # a loss was repaid and no liquidation has claimed it yet


def read_liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]:
    """Liquidations in the order of their events, as `gearbox.liquidations` promises them."""
    found: list[Liquidation] = []
    tx = _Tx()
    for log in logs:
        if log.tx != tx.hash:
            _settled_losses(csu, tx)
            tx = _Tx(log.tx)
        kind = log.topics[0]
        if kind == REPAY:
            check_layout(csu, log, "Repay", topics=2, words=3)
            tx.repay = log
            tx.lossy = tx.lossy or word(log.data, 2) > 0
        elif kind in (UNCOVERED, UNCOVERED_V1):
            tx.uncovered += word(log.data, 0)
        elif kind == WITHDRAW_COLLATERAL:
            check_layout(csu, log, "WithdrawCollateral", topics=3, words=2)
            tx.withdrawn.setdefault(topic_address(log, 1), []).append(log)
        elif kind in (LIQUIDATE, LIQUIDATE_EXPIRED, LIQUIDATE_V1):
            found += _full(csu, log, tx)
            tx = _Tx(log.tx)
        elif kind == LIQUIDATE_PARTIALLY:
            found.append(_partial(csu, log, tx))
            tx = _Tx(log.tx)
    _settled_losses(csu, tx)
    return found


def _settled_losses(csu: Csu, tx: _Tx) -> None:
    if tx.lossy:
        raise Skip(
            f"{csu.name}: {tx.hash} repays a pool with a loss but no liquidation is named; a facade was replaced in "
            "the scanned days, collect them day by day",
            reason="emitter",
        )


def _repaid(csu: Csu, log: Log, tx: _Tx) -> tuple[Log, dict[str, str]]:
    """The Repay event a liquidation belongs to: the last one before it in its transaction."""
    if tx.repay is None:
        raise Skip(f"{csu.name}: the liquidation in {log.tx} repays no known pool", reason="layout")
    extra = {
        "pool": tx.repay.address,
        "credit_manager": topic_address(tx.repay, 1),
        "principal_raw": str(word(tx.repay.data, 0)),
        "profit_raw": str(word(tx.repay.data, 1)),
        "loss_raw": str(word(tx.repay.data, 2)),
    }
    return tx.repay, extra | ({"uncovered_loss_raw": str(tx.uncovered)} if tx.uncovered else {})


def _full(csu: Csu, log: Log, tx: _Tx) -> list[Liquidation]:
    """A full liquidation; one row more for each further token that left the account."""
    repay, extra = _repaid(csu, log, tx)
    borrower: str | None = None
    seized: list[Log] = []
    if log.topics[0] == LIQUIDATE_V1:
        check_layout(csu, log, "LiquidateCreditAccount", topics=3, words=1)
        borrower = topic_address(log, 1)
    elif len(log.topics) == 4:
        check_layout(csu, log, "LiquidateCreditAccount", topics=4, words=1)
        borrower = topic_address(log, 1)
    else:
        check_layout(csu, log, "LiquidateCreditAccount", topics=3, words=2)
        extra["credit_account"] = topic_address(log, 1)
        seized = tx.withdrawn.get(extra["credit_account"], [])
    extra["kind"] = "expired" if log.topics[0] == LIQUIDATE_EXPIRED else "full"
    extra["remaining_funds_raw"] = str(word(log.data, len(log.data) // 32 - 1))
    extra["collateral"] = "withdrawn" if seized else "sold inside the transaction, or sent without an event"
    amounts: dict[str, int] = {}
    places: dict[str, int] = {}
    for one in seized:
        token = topic_address(one, 2)
        amounts[token] = amounts.get(token, 0) + word(one.data, 0)
        places.setdefault(token, one.index)
    tokens = list(amounts) or [repay.address]
    first = liquidation(
        log,
        liquidator=topic_address(log, 2),
        borrower=borrower,
        seized=(tokens[0], amounts.get(tokens[0], 0)),
        repaid=(repay.address, max(0, word(repay.data, 0) - word(repay.data, 2))),
        extra=extra,
    )
    further = {**extra, "part_of_log_index": str(log.index)}
    return [
        first,
        *(
            replace(
                first,
                log_index=places[token],
                collateral_asset=token,
                collateral_amount_raw=amounts[token],
                debt_amount_raw=0,
                extra=further,
            )
            for token in tokens[1:]
        ),
    ]


def _partial(csu: Csu, log: Log, tx: _Tx) -> Liquidation:
    """PartiallyLiquidateCreditAccount(account, token, liquidator indexed; repaidDebt, seizedCollateral, fee)."""
    check_layout(csu, log, "PartiallyLiquidateCreditAccount", topics=4, words=3)
    repay, extra = _repaid(csu, log, tx)
    extra |= {"credit_account": topic_address(log, 1), "kind": "partial", "fee_raw": str(word(log.data, 2))}
    return liquidation(
        log,
        liquidator=topic_address(log, 3),
        borrower=None,
        seized=(topic_address(log, 2), word(log.data, 1)),
        repaid=(repay.address, word(log.data, 0)),
        extra=extra,
    )
