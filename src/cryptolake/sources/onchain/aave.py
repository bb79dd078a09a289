"""What Aave's versions 2 and 3 have alike: the LiquidationCall event and the oracle's prices. No family by itself. I/O-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryptolake.contracts.counting import counted
from cryptolake.errors import Skip
from cryptolake.net.abi import address_at, call_data, topic, uints_at, word
from cryptolake.net.logs import Log
from cryptolake.net.multicall import Call, CallResult, Program
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.answers import price_or_none
from cryptolake.sources.onchain.events import check_layout, liquidation, topic_address
from cryptolake.sources.onchain.records import Liquidation

LIQUIDATION_CALL = topic("LiquidationCall(address,address,address,uint256,uint256,address,bool)")


def liquidation_call(csu: Csu, log: Log, more: Mapping[str, str]) -> Liquidation:
    """LiquidationCall(collateral, debt, user indexed; debtToCover, collateralAmount, liquidator, receiveAToken).

    `more` goes before the rest of `extra`.
    """
    check_layout(csu, log, "LiquidationCall", topics=4, words=4)
    collateral, debt, user = (topic_address(log, index) for index in (1, 2, 3))
    return liquidation(
        log,
        liquidator=address_at(log.data, 2),
        borrower=user,
        seized=(collateral, word(log.data, 1)),
        repaid=(debt, word(log.data, 0)),
        extra={**more, "receive_a_token": "true" if word(log.data, 3) else "false"},
    )


def price_in(answer: CallResult, unit: int | None) -> int | None:
    """The oracle's price; 0, a revert or an unknown unit mean that it has none."""
    return price_or_none(answer) if unit is not None else None


def prices_in(
    csu: Csu, oracle: str, assets: Sequence[str], listed: CallResult, unit: int | None
) -> Program[list[int | None]]:
    """Prices in the order of the assets, from the answer to `getAssetsPrices(assets)`.

    One asset without a source reverts the whole list: then they are asked singly. Raises Skip(reason="layout") when the
    list has another length than the assets.
    """
    if listed.success and listed.data:
        found = [(price or None) if unit is not None else None for price in uints_at(listed.data, 0)]
        if len(found) != len(assets):
            raise Skip(
                f"{csu.name}: the oracle gave {counted(len(found), 'price')} for {counted(len(assets), 'asset')}",
                reason="layout",
            )
        return found
    single = yield [Call(oracle, call_data("getAssetPrice(address)", asset)) for asset in assets]
    return [price_in(one, unit) for one in single]
