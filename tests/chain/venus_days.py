"""`CoreDays` and `PoolDays`: a few days of Venus' real contracts, with what the contracts themselves say as ground truth.

The truth takes roads the collector does not: interest by the documented formula from the stored values, cash as the token's
own balance, seized shares as the change of the borrower's balance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from .anvil import Anvil, Tx
from .compound_v2 import ONE, IsolatedPool, VenusCore
from .solidity import keccak, words

FIRST = date(2024, 12, 1)
_LIQUIDATE_BORROW = "0x" + keccak(b"LiquidateBorrow(address,address,uint256,address,uint256)").hex()
_LIQUIDATE_VAI = "0x" + keccak(b"LiquidateVAI(address,address,uint256,address,uint256)").hex()


def day(number: int) -> date:
    """The `number`th day of the story, from 1."""
    return FIRST + timedelta(days=number - 1)


@dataclass(frozen=True)
class Truth:
    """What one asset's markets hold at a block, in raw units; `price` None where the oracle has none."""

    supplied: int
    borrowed: int
    cash: int
    price: int | None


@dataclass(frozen=True)
class Seizure:
    """One liquidation as it happened. `debt` and `collateral` are the story's symbols, `through` the Liquidator used."""

    day: date
    tx: str
    block: int
    log_index: int
    liquidator: str
    borrower: str
    debt: str
    repaid: int
    collateral: str
    shares: int
    through: str | None = None


@dataclass
class Days:
    """A played story. Read it, do not mine on it."""

    node: Anvil
    market: VenusCore | IsolatedPool
    seizures: list[Seizure] = field(default_factory=list)

    def last_block_of(self, when: date) -> int:
        """The last block before the UTC midnight that ends `when`, found by looking at all of them."""
        end = datetime(when.year, when.month, when.day, tzinfo=UTC).timestamp() + 86_400
        low, high = 0, self.node.number()
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.node.timestamp(middle) < end else (low, middle - 1)
        return low

    def truth(self, symbol: str, block: int) -> Truth:
        """All vTokens over the underlying of `symbol`, with interest to `block` by formula."""
        asset = self.market.tokens[symbol].asset
        supplied = borrowed = cash = 0
        price: int | None = None
        for token in self.market.tokens.values():
            if token.asset != asset:
                continue
            one = self._market(token.vtoken, token.asset, block)
            supplied, borrowed, cash = supplied + one.supplied, borrowed + one.borrowed, cash + one.cash
            price = price or one.price
        return Truth(supplied, borrowed, cash, price)

    def _market(self, vtoken: str, asset: str | None, block: int) -> Truth:
        def ask(what: str) -> int:
            return self.market.ask(vtoken, what, block=block)

        isolated = isinstance(self.market, IsolatedPool)
        if asset is None:
            cash = int(self.node.rpc("eth_getBalance", vtoken, hex(block)), 16)
        else:
            cash = words(self.node.call(asset, "balanceOf(address)", vtoken, block=block))[0]
        borrows, reserves, supply = ask("totalBorrows()"), ask("totalReserves()"), ask("totalSupply()")
        now = self.node.timestamp(block) if isolated else block
        model = f"0x{ask('interestRateModel()'):040x}"
        if isolated:
            bad_debt = ask("badDebt()")
            signature, asked = "getBorrowRate(uint256,uint256,uint256,uint256)", (cash, borrows, reserves, bad_debt)
        else:
            bad_debt = 0
            signature, asked = "getBorrowRate(uint256,uint256,uint256)", (cash, borrows, reserves)
        rate = words(self.node.call(model, signature, *asked, block=block))[0]
        if rate <= 5 * 10**12:  # above it the contract refuses to accrue at all
            interest = rate * (now - ask("accrualBlockNumber()")) * borrows // ONE
            reserves += ask("reserveFactorMantissa()") * interest // ONE
            borrows += interest
        exchange = (cash + borrows + bad_debt - reserves) * ONE // supply if supply else 0
        oracle = f"0x{self.market.ask(self.market.comptroller, 'oracle()', block=block):040x}"
        price = None
        if oracle == self.market.oracle:
            price = words(self.node.call(oracle, "getUnderlyingPrice(address)", vtoken, block=block))[0] or None
        return Truth(supply * exchange // ONE, borrows, cash, price)

    # -- acting

    def until(self, when: datetime, *txs: Tx) -> None:
        """A block with `txs` at an instant."""
        self.market.mine(*txs, wait=when - self.market.now)

    def quiet(self, blocks: int, end: datetime) -> None:
        """Empty blocks three seconds apart, and a last one at `end`."""
        self.node.empty_blocks(blocks, 3)
        self.market.now += timedelta(seconds=3 * blocks)
        self.until(end)

    def liquidation(
        self, txs: Sequence[Tx], liquidator: str, borrower: str, debt: str, collateral: str, through: str | None = None
    ) -> None:
        """A block whose last transaction is a liquidation, and what it did."""
        seized = self.market.tokens[collateral].vtoken
        mined = self.market.mine(*txs)[-1]
        before, after = (
            self.market.ask(seized, "balanceOf(address)", borrower, block=block)
            for block in (mined.block - 1, mined.block)
        )
        receipt = self.node.rpc("eth_getTransactionReceipt", mined.tx)
        wanted = _LIQUIDATE_VAI if debt == "VAI" else _LIQUIDATE_BORROW
        (log,) = [one for one in receipt["logs"] if one["topics"][0] == wanted]
        data = words(log["data"])
        repaid = data[0] if len(log["topics"]) == 4 else data[2]
        self.seizures.append(
            Seizure(
                day=self.market.now.date(),
                tx=mined.tx,
                block=mined.block,
                log_index=int(log["logIndex"], 16),
                liquidator=liquidator,
                borrower=borrower,
                debt=debt,
                repaid=repaid,
                collateral=collateral,
                shares=before - after,
                through=through,
            )
        )


def at(number: int, clock: str) -> datetime:
    """An instant of the `number`th day."""
    return datetime.fromisoformat(f"{day(number)}T{clock}+00:00")


def play_core(node: Anvil) -> Days:
    """Five days of the core pool. Day 1: deposits and debts; 2: quiet, a repayment; 3: a crash and liquidations, then the
    Liquidator; 4: a forced liquidation; 5: an oracle that reverts."""
    market = VenusCore.deploy(node, at(1, "12:00:00"))
    days = Days(node, market)
    _, ann, bob, cyd, dan, eve, fay, *_ = node.accounts
    market.mine(*market.supply(ann, "USDT", 1_000_000), *market.supply(ann, "BNB", 5_000))
    market.mine(*market.supply(ann, "USDT2", 50_000), *market.supply(ann, "STK", 100), *market.supply(dan, "MKR", 10))
    market.mine(*market.supply(bob, "BTCB", 1), *market.supply(cyd, "BTCB", 1), *market.supply(fay, "BTCB", 1))
    market.mine(
        *market.borrow(bob, "USDT", 30_000), *market.borrow(bob, "BNB", 3_000), *market.borrow(bob, "USDT2", 1_000)
    )
    market.mine(*market.mint_vai(cyd, 40_000), *market.borrow(fay, "STK", 60), *market.borrow(ann, "BTCB", 0.5))
    days.until(at(1, "23:59:59"))

    days.quiet(200, at(2, "12:00:00"))
    market.mine(*market.repay(bob, "USDT", 1_000), *market.repay_vai(cyd, 1_000))
    days.quiet(300, at(2, "23:59:58"))

    days.until(at(3, "10:00:00"), *market.set_price("BTCB", 40_000), *market.swap_for_vai(eve, 20_000))
    txs = market.liquidate(eve, bob, debt="USDT", collateral="BTCB", whole=5_000)
    days.liquidation(txs, eve, bob, "USDT", "BTCB")
    txs = market.liquidate(eve, bob, debt="BNB", collateral="BTCB", whole=100)
    days.liquidation(txs, eve, bob, "BNB", "BTCB")
    txs = market.liquidate_vai(eve, cyd, collateral="BTCB", whole=1_000)
    days.liquidation(txs, eve, cyd, "VAI", "BTCB")
    market.mine(*market.use_liquidator())
    for borrower, debt, whole in ((bob, "BNB", 50), (cyd, "VAI", 500), (bob, "USDT", 750)):
        txs = market.liquidate_through(eve, borrower, debt=debt, collateral="BTCB", whole=whole)
        days.liquidation(txs, eve, borrower, debt, "BTCB", market.liquidator)
    days.until(at(3, "23:59:59"))

    days.until(at(4, "09:00:00"), *market.set_price("BTCB", 90_000), *market.force_liquidations("USDT"))
    txs = market.liquidate_through(eve, bob, debt="USDT", collateral="BTCB", whole=2_000)
    days.liquidation(txs, eve, bob, "USDT", "BTCB", market.liquidator)
    days.until(at(4, "23:00:00"))

    days.until(at(5, "09:00:00"), *market.break_oracle())
    days.until(at(6, "00:00:00"))
    node.empty_blocks(70, 12)  # room for clients that call a block final only 64 blocks later
    return days


def play_pool(node: Anvil) -> Days:
    """Four days of an isolated pool. Day 1: a deposit and a debt; 2: quiet; 3: a liquidation; 4: the account is healed."""
    market = IsolatedPool.deploy(node, at(1, "12:00:00"))
    days = Days(node, market)
    _, ann, bob, _, _, eve, *_ = node.accounts
    market.mine(*market.supply(ann, "USDC", 100_000), *market.supply(bob, "WETH", 1))
    market.mine(*market.borrow(bob, "USDC", 2_000))
    days.until(at(1, "23:59:59"))
    days.until(at(2, "18:00:00"))
    days.until(at(3, "10:00:00"), *market.set_price("WETH", 2_200))
    days.liquidation(market.liquidate(eve, bob, debt="USDC", collateral="WETH", whole=500), eve, bob, "USDC", "WETH")
    days.until(at(3, "22:00:00"))
    days.until(at(4, "10:00:00"), *market.set_price("WETH", 50))
    market.mine(*market.heal(eve, bob, "USDC", 2_000))
    days.until(at(4, "22:00:00"))
    days.until(at(5, "00:00:00"))
    node.empty_blocks(70, 12)
    return days
