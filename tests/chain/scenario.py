"""The fortnight: one market's life from 2024-11-30 to 2024-12-17 that the tests and the bundled sandbox share.

Made to contain what goes wrong in practice: blocks exactly at and one second around UTC midnight, a boundary with no
block for hours, a listing in mid-window with a bytes32 symbol, stable-rate debt, a day without a price, two
liquidations in one block, one just before and one exactly at midnight, one paid in aTokens, days with none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from .aave_v3 import STABLE, AaveV3Market, Token
from .anvil import Anvil, Tx
from .solidity import words

FIRST_DAY, LAST_DAY = date(2024, 12, 1), date(2024, 12, 14)
PRICELESS = ("MKR", date(2024, 12, 10))  # at the end of this day the oracle has no price for this token


def at(day: int, clock: str) -> datetime:
    """The instant `clock` (HH:MM:SS, UTC) of 2024-12-`day`; day 0 is 2024-11-30."""
    return datetime(2024, 11, 30, tzinfo=UTC) + timedelta(days=day) + _since_midnight(clock)


def _since_midnight(clock: str) -> timedelta:
    hours, minutes, seconds = map(int, clock.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


@dataclass(frozen=True)
class LiquidationTruth:
    """One liquidation as the balances show it: amounts are what changed hands, not what the event claims."""

    tx: str
    block: int
    timestamp: int
    liquidator: str
    borrower: str
    collateral: str
    collateral_amount: int
    debt: str
    debt_amount: int


@dataclass
class Fortnight:
    """The finished chain: the node (still running), the market on it and every liquidation that happened."""

    node: Anvil
    market: AaveV3Market
    liquidations: list[LiquidationTruth]
    first_day: date = FIRST_DAY
    last_day: date = LAST_DAY

    @property
    def tokens(self) -> Mapping[str, Token]:
        """Every reserve by symbol, in the order of listing."""
        return self.market.tokens

    def last_block_of(self, day: date) -> int:
        """The highest block whose timestamp lies before the end of `day` (UTC), found by reading every header."""
        end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        numbers = range(self.node.number() + 1)
        return max(number for number in numbers if self.node.timestamp(number) < end.timestamp())

    def liquidations_on(self, day: date) -> list[LiquidationTruth]:
        """The liquidations of one UTC day, in order."""
        return [item for item in self.liquidations if datetime.fromtimestamp(item.timestamp, UTC).date() == day]


class _Story:
    def __init__(self, node: Anvil) -> None:
        self.node = node
        self.market = AaveV3Market.deploy(node, at(0, "13:00:00"))
        self.liquidations: list[LiquidationTruth] = []

    def block(self, when: datetime, *actions: list[Tx]) -> None:
        self.node.block(when, [tx for action in actions for tx in action])

    def tick(self, day: int, *clocks: str) -> None:
        for clock in clocks:
            self.node.block(at(day, clock))

    def liquidate(self, when: datetime, *cases: tuple[str, str, str, str, float, bool]) -> None:
        """One block of liquidations by different liquidators; the truth is read from their balances."""
        txs, ends = [], []
        for liquidator, user, collateral, debt, whole, as_a_token in cases:
            txs += self.market.liquidate(
                liquidator, user, collateral=collateral, debt=debt, whole=whole, receive_a_token=as_a_token
            )
            ends.append(len(txs) - 1)
        mined = self.node.block(when, txs)
        for end, (liquidator, user, collateral, debt, whole, as_a_token) in zip(ends, cases, strict=True):
            seized, paid = self.market.tokens[collateral], self.market.tokens[debt]
            block = mined[end].block
            gained = self._gained(liquidator, seized.a_token if as_a_token else seized.asset, block)
            left_over = self._gained(liquidator, paid.asset, block)
            self.liquidations.append(
                LiquidationTruth(
                    mined[end].tx, block, int(when.timestamp()), liquidator, user, seized.asset, gained,
                    paid.asset, paid.units(whole) - left_over,
                )
            )  # fmt: skip

    def _gained(self, owner: str, token: str, block: int) -> int:
        after, before = (
            words(self.node.call(token, "balanceOf(address)", owner, block=b))[0] for b in (block, block - 1)
        )
        return after - before


def play(node: Anvil) -> Fortnight:
    """Play the whole fortnight on a fresh node (well under a second, fewer than 150 blocks)."""
    story = _Story(node)
    market, block, tick = story.market, story.block, story.tick
    lender, ann, ben, cyd, first, second, third = node.accounts[1:8]

    market.add_reserve(at(0, "14:00:00"), "USDC", 6, 1.0)
    market.add_reserve(at(0, "15:00:00"), "WETH", 18, 3700.0)
    market.add_reserve(at(0, "16:00:00"), "WBTC", 8, 96_000.0, ltv=7000)
    block(at(0, "18:00:00"), market.supply(lender, "USDC", 2_000_000))
    tick(0, "23:59:59")

    tick(1, "00:00:00")
    block(at(1, "08:30:00"), market.supply(ann, "WETH", 40), market.supply(ben, "WETH", 25))
    block(at(1, "09:15:00"), market.supply(cyd, "WBTC", 3.25))
    tick(1, "12:00:00", "18:00:00", "23:59:48")

    tick(2, "00:00:12")
    block(at(2, "10:00:00"), market.borrow(ann, "USDC", 100_000), market.borrow(ben, "USDC", 60_000))
    tick(2, "12:00:00", "23:59:59")

    tick(3, "00:00:01")
    block(at(3, "07:45:30"), market.borrow(cyd, "USDC", 180_000), market.supply(lender, "WETH", 200))
    tick(3, "12:00:00")
    block(at(3, "23:59:59"), market.supply(lender, "USDC", 12_345.678901))

    block(at(4, "00:00:00"), market.supply(lender, "USDC", 0.000001))  # the next day's first wei, at its first second
    market.add_reserve(at(4, "09:00:00"), "MKR", 18, 1850.0, ltv=0, bytes32_symbol=True)
    block(at(4, "11:00:00"), market.supply(lender, "MKR", 500), market.borrow(cyd, "MKR", 10))
    tick(4, "20:00:00")  # nothing for four hours before midnight, nothing for three after it

    tick(5, "03:00:00")
    market.set_price(at(5, "13:00:00"), "WETH", 2950.0)
    story.liquidate(
        at(5, "13:05:00"),
        (first, ann, "WETH", "USDC", 30_000, False),
        (second, ben, "WETH", "USDC", 20_000, False),
    )
    story.liquidate(at(5, "19:40:00"), (third, ann, "WETH", "USDC", 10_000, False))
    tick(5, "23:59:59")

    tick(6, "00:00:00")
    market.set_price(at(6, "06:00:00"), "WETH", 3400.0)
    block(at(6, "10:00:00"), market.repay(ann, "USDC", 20_000))
    tick(6, "23:59:47")

    tick(7, "00:00:11", "12:00:00")  # a quiet day: interest only

    block(at(8, "09:00:00"), market.withdraw(ben, "WETH", 1), market.borrow(ann, "USDC", 5_000, mode=STABLE))
    tick(8, "23:59:59")

    market.set_price(at(9, "15:00:00"), "WBTC", 76_500.0)
    story.liquidate(at(9, "23:59:59"), (third, cyd, "WBTC", "USDC", 40_000, True))

    story.liquidate(at(10, "00:00:00"), (second, cyd, "WBTC", "MKR", 4, False))
    market.set_price(at(10, "06:00:00"), "MKR", None)
    tick(10, "23:59:50")

    tick(11, "00:00:02")
    market.set_price(at(11, "06:00:00"), "MKR", 1900.0)
    tick(11, "23:59:59")

    block(at(12, "10:00:00"), market.supply(lender, "USDC", 500_000))
    tick(12, "23:59:59")

    tick(13, "00:00:00")
    market.set_price(at(13, "08:00:00"), "WETH", 3900.0)
    block(at(13, "10:30:00"), market.borrow(ben, "USDC", 7_500))
    tick(13, "23:59:58")

    block(at(14, "14:00:00"), market.repay(cyd, "USDC", 30_000), market.repay(ann, "USDC", 1_000, mode=STABLE))
    tick(14, "23:59:59")

    for day in (15, 16):
        tick(day, "00:00:00", "12:00:00", "23:59:59")
    node.empty_blocks(70, 12)  # room for clients that call a block final only 64 blocks later
    return Fortnight(node, market, story.liquidations)
