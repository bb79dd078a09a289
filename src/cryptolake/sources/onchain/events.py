"""Reads event logs, the same steps for all families: the layout check, indexed addresses, a log as what it tells. No I/O.

What does not belong here: what an event means (families) and how logs are asked (net/logs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryptolake.errors import Skip
from cryptolake.net.abi import WORD, address_at
from cryptolake.net.logs import Log
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.records import BadDebt, BadDebtKind, Liquidation


def check_layout(csu: Csu, log: Log, name: str, *, topics: int, words: int) -> None:
    """Raises Skip(reason="layout") unless the event `name` has as many topics (its own included) and words of data."""
    if len(log.topics) != topics or len(log.data) != words * WORD:
        raise Skip(f"{csu.name}: {name} in {log.tx} has an unknown layout", reason="layout")


def topic_address(log: Log, index: int) -> str:
    """The indexed address in topic `index` (0 is the event itself), EIP-55."""
    return address_at(bytes.fromhex(log.topics[index][2:]), 0)


def liquidation(
    log: Log,
    *,
    liquidator: str,
    borrower: str | None,
    seized: tuple[str, int],
    repaid: tuple[str, int],
    extra: Mapping[str, str],
) -> Liquidation:
    """The liquidation that `log` tells of; `seized` and `repaid` are an asset and its raw amount each."""
    return Liquidation(
        tx=log.tx,
        block=log.block,
        block_hash=log.block_hash,
        log_index=log.index,
        liquidator=liquidator,
        borrower=borrower,
        collateral_asset=seized[0],
        collateral_amount_raw=seized[1],
        debt_asset=repaid[0],
        debt_amount_raw=repaid[1],
        extra=extra,
    )


def bad_debt(
    log: Log, kind: BadDebtKind, asset: str, amount: int, *, borrower: str | None = None, part_of: int | None = None
) -> BadDebt:
    """The bad debt that `log` tells of; `part_of` is the log index of the liquidation it belongs to."""
    return BadDebt(log.tx, log.block, log.block_hash, log.index, kind, asset, amount, borrower, part_of)


def to_settle(events: Sequence[Liquidation], debts: Sequence[BadDebt]) -> list[Liquidation]:
    """What a family's `settle` is given: the liquidations, and after them the bad debt that belongs to none of them."""
    return [*events, *(one.as_event() for one in debts if one.part_of is None)]


def settled_debts(debts: Sequence[BadDebt], told: int, events: Sequence[Liquidation]) -> list[tuple[BadDebt, str, int]]:
    """Each bad debt with its token and its amount in it; `events` are `to_settle` settled, the first `told` liquidations."""
    alone = iter(events[told:])
    of = {(one.tx, one.log_index): one for one in events[:told]}
    found = []
    for one in debts:
        if one.part_of is None:
            event = next(alone)
            found.append((one, event.debt_asset, event.debt_amount_raw))
        else:
            found.append((one, of[one.tx, one.part_of].debt_asset, one.amount_raw))
    return found
