"""The published Gearbox v2 beside v3 in one register: all real but the price feeds. Driven by `gearbox.play`.

Real: address provider, access control, contracts register (v3.0 used the same one), account factory, price oracle, pool,
diesel token, rate model, credit manager and facade.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .anvil import Tx
from .solidity import address, call_data

if TYPE_CHECKING:
    from .gearbox import GearboxMarket

ZERO = "0x" + "00" * 20
MAX = 2**256 - 1
_LIMIT = 10**30


@dataclass
class GearboxV2:
    """The v2 part of a market: one pool of DAI with one credit manager."""

    market: GearboxMarket
    provider: str = ZERO
    register: str = ZERO
    oracle: str = ZERO
    pool: str = ZERO
    diesel: str = ZERO
    manager: str = ZERO
    facade: str = ZERO
    borrowers: list[str] = field(default_factory=list)

    def deploy_core(self) -> None:
        """The address provider and what it must know before pools can be made."""
        market = self.market
        self.provider = market.create("AddressProvider")
        acl = market.create("ACL")
        market.mine(market.do(self.provider, "setACL(address)", acl))
        self.register = market.create("ContractsRegister", "(address)", self.provider)
        market.mine(
            market.do(self.provider, "setContractsRegister(address)", self.register),
            market.do(self.provider, "setTreasuryContract(address)", market.treasury),
        )
        self.oracle = market.create("PriceOracle", "(address,(address,address)[])", self.provider, [])
        factory = market.create("AccountFactory", "(address)", self.provider)
        market.mine(
            market.do(self.provider, "setPriceOracle(address)", self.oracle),
            market.do(self.provider, "setAccountFactory(address)", factory),
        )

    def open_pool(self, underlying: str, collateral: str) -> None:
        """A pool of `underlying` (symbol) that lends against `collateral`."""
        market = self.market
        tokens = [market.tokens[symbol] for symbol in (underlying, collateral)]
        market.mine(
            market.do(self.provider, "setWethToken(address)", tokens[1]),
            market.do(self.provider, "setWETHGateway(address)", market.admin),
            *(
                market.do(self.oracle, "addPriceFeed(address,address)", market.tokens[one], market.feeds[one][0])
                for one in (underlying, collateral)
            ),
        )
        model = market.create("LinearInterestRateModel", "(uint256,uint256,uint256,uint256)", 8000, 100, 400, 7500)
        self.pool = market.create(
            "PoolService", "(address,address,address,uint256)", self.provider, tokens[0], model, _LIMIT
        )
        self.diesel = address(market.ask(self.pool, "dieselToken()")[0])
        self.manager = market.create("CreditManager", "(address)", self.pool)
        self.facade = market.create("CreditFacade", "(address,address,address,bool)", self.manager, ZERO, ZERO, False)
        market.mine(
            market.do(self.manager, "upgradeCreditFacade(address)", self.facade),
            market.do(self.manager, "setParams(uint16,uint16,uint16,uint16,uint16)", 1000, 200, 9500, 100, 9800),
            market.do(self.manager, "addToken(address)", tokens[1]),
            market.do(self.manager, "setLiquidationThreshold(address,uint16)", tokens[0], 9300),
            market.do(self.manager, "setLiquidationThreshold(address,uint16)", tokens[1], 8000),
            market.do(self.manager, "setMaxEnabledTokens(uint8)", 12),
            market.do(self.facade, "setLimitPerBlock(uint128)", _LIMIT),
            market.do(self.facade, "setCreditAccountLimits(uint128,uint128)", 1, _LIMIT),
            market.do(self.facade, "setMaxCumulativeLoss(uint128)", _LIMIT),
            market.do(self.pool, "connectCreditManager(address)", self.manager),
            market.do(self.register, "addPool(address)", self.pool),
            market.do(self.register, "addCreditManager(address)", self.manager),
        )

    def lend(self, who: str, symbol: str, amount: int) -> None:
        market = self.market
        market.mine(
            *market.funded(who, market.tokens[symbol], self.pool, amount),
            market.do(self.pool, "addLiquidity(uint256,address,uint256)", amount, who, 0, sender=who),
        )

    def borrow(self, who: str, debt: int, symbol: str, amount: int) -> None:
        """Open an account with `amount` of the collateral; the borrowed tokens stay on it, as they do in v2."""
        market = self.market
        token = market.tokens[symbol]
        pledge = call_data("addCollateral(address,uint256)", token, amount)
        signature = "openCreditAccountMulticall(uint256,address,(address,bytes)[],uint16)"
        calls = [(self.facade, bytes.fromhex(pledge[2:]))]
        market.mine(
            *market.funded(who, token, self.manager, amount),
            market.do(self.facade, signature, debt, who, calls, 0, sender=who),
        )
        self.borrowers.append(who)

    def account(self, who: str, block: int | str = "latest") -> str:
        """The credit account of a borrower; reverts where there is none."""
        return address(self.market.ask(self.manager, "getCreditAccountOrRevert(address)", who, block=block)[0])

    def liquidation(self, liquidator: str, borrower: str, symbol: str) -> list[Tx]:
        """The transactions of a liquidation; what the account lacks comes from the liquidator."""
        market = self.market
        signature = "liquidateCreditAccount(address,address,uint256,bool,(address,bytes)[])"
        self.borrowers.remove(borrower)
        return [
            *market.funded(liquidator, market.tokens[symbol], self.manager, 10**24),
            market.do(self.facade, signature, borrower, liquidator, 0, False, [], sender=liquidator),
        ]

    def truth(self, block: int) -> dict[str, int]:
        """The pool's figures: what it expects, what all diesel is worth, the token's balance, the managers' debts."""
        ask = self.market.ask
        shares = ask(self.diesel, "totalSupply()", block=block)[0]
        owed = [
            ask(self.manager, "calcCreditAccountAccruedInterest(address)", self.account(one, block), block=block)
            for one in self.borrowers_at(block)
        ]
        return {
            "supplied": ask(self.pool, "expectedLiquidity()", block=block)[0],
            "diesel_worth": ask(self.pool, "fromDiesel(uint256)", shares, block=block)[0],
            "cash": ask(
                address(ask(self.pool, "underlyingToken()", block=block)[0]),
                "balanceOf(address)",
                self.pool,
                block=block,
            )[0],
            "principal": sum(one[0] for one in owed),
            "owed": sum(one[1] for one in owed),
        }

    def borrowers_at(self, block: int) -> list[str]:
        """Who has a credit account at the block."""
        return [
            one
            for one in self.market.node.accounts
            if self.market.ask(self.manager, "creditAccounts(address)", one, block=block)[0]
        ]
