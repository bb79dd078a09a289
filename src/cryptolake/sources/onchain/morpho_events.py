"""The events of Morpho Blue and its forks that are read, and what a liquidation is by them. No I/O.

What does not belong here: the tokens and prices of an event's market (`morpho_blue`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptolake.net.abi import topic, word
from cryptolake.net.logs import Log
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.events import bad_debt as bad_debt_of
from cryptolake.sources.onchain.events import check_layout, liquidation, topic_address
from cryptolake.sources.onchain.records import BadDebt, Liquidation

CREATE_MARKET = topic("CreateMarket(bytes32,(address,address,address,address,uint256))")
LIQUIDATE = topic("Liquidate(bytes32,address,address,uint256,uint256,uint256,uint256,uint256)")
BAD_DEBT = frozenset({LIQUIDATE})


def liquidation_of(csu: Csu, log: Log) -> Liquidation:
    """A Liquidate event; both assets are the market's id. Raises Skip for an unknown layout."""
    check_layout(csu, log, "Liquidate", topics=4, words=5)
    market = log.topics[1]
    repaid, repaid_shares, seized, bad_debt, bad_debt_shares = (word(log.data, number) for number in range(5))
    # Moolah's liquidateBrokerPosition: nothing is seized or repaid, the whole "repaid" amount is bad debt.
    written_off = not seized and bad_debt_shares > 0 and (repaid, repaid_shares) == (bad_debt, bad_debt_shares)
    return liquidation(
        log,
        liquidator=topic_address(log, 2),
        borrower=topic_address(log, 3),
        seized=(market, seized),
        repaid=(market, 0 if written_off else repaid),
        extra={
            "market": market,
            "repaid_shares": str(repaid_shares),
            "bad_debt_raw": str(bad_debt),
            "bad_debt_shares": str(bad_debt_shares),
            "write_off": "true" if written_off else "false",
        },
    )


def bad_debt(csu: Csu, logs: Sequence[Log]) -> list[BadDebt]:
    """What lenders lost in a Liquidate; both Morpho and Lista take it off the deposits at once."""
    found = []
    for log in logs:
        if log.topics[0] == LIQUIDATE:
            event = liquidation_of(csu, log)
            if lost := int(event.extra["bad_debt_raw"]):
                market = event.extra["market"]
                found.append(bad_debt_of(log, "written_off", market, lost, borrower=event.borrower, part_of=log.index))
    return found
