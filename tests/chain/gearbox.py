"""`GearboxMarket`: the published Gearbox v2 and v3.1 on the local node, borrowed from, liquidated and driven into losses.

Real in v3.1: pools, quota keepers, rate models and keepers, credit managers, facades, accounts, account factory, bot list,
loss policy, price oracle; they stand in v2's real register, as v3.0's did. Synthetic (not in the npm package): v3's access
control and address providers, registers and configurators of v3.1, feeds (`contracts/GearboxTown.sol`). v2: `gearbox_v2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from .anvil import Anvil, Mined, Tx
from .gearbox_sources import gearbox_contracts
from .gearbox_v2 import GearboxV2
from .solidity import address, artifact, bytes32_symbol_token, call_data, words

ZERO = "0x" + "00" * 20
MAX = 2**256 - 1
USD = 10**8
_MULTICALL = "(address,bytes)[]"


@dataclass
class Suite:
    """A pool and, where it lends, its credit manager and facade (lower-case addresses)."""

    pool: str
    underlying: str
    manager: str = ZERO
    facade: str = ZERO


@dataclass
class Seized:
    """A liquidation as the balances show it."""

    tx: str
    block: int
    liquidator: str
    borrower: str
    account: str
    suite: str
    debt_before: int
    seized: dict[str, int]
    loss: bool


@dataclass
class GearboxMarket:
    """The finished chain with its blocks of interest."""

    node: Anvil
    tokens: dict[str, str] = field(default_factory=dict)
    feeds: dict[str, list[str]] = field(default_factory=dict)
    suites: dict[str, Suite] = field(default_factory=dict)
    accounts: dict[str, tuple[str, str]] = field(default_factory=dict)  # name -> (suite, credit account)
    marks: dict[str, int] = field(default_factory=dict)  # name -> block
    liquidations: list[Seized] = field(default_factory=list)
    provider_v300: str = ZERO
    provider_v310: str = ZERO
    legacy: str = ZERO
    oracle: str = ZERO
    treasury: str = ZERO
    clock: datetime = datetime(2024, 12, 1, tzinfo=UTC)
    v2: GearboxV2 = field(init=False)

    def __post_init__(self) -> None:
        self.v2 = GearboxV2(self)

    # -- plumbing

    @property
    def admin(self) -> str:
        return self.node.accounts[0]

    def mine(self, *txs: Tx, wait_s: int = 1) -> list[Mined]:
        """One block with these transactions, `wait_s` after the one before."""
        self.clock += timedelta(seconds=wait_s)
        return self.node.block(self.clock, txs)

    def create(self, name: str, constructor: str = "()", *args: Any) -> str:
        """Deploy a contract of the compiled set, or of Aave's artifacts for a token."""
        code = gearbox_contracts()[name].creation({}, constructor, args)
        return self.mine(Tx(self.admin, None, code))[0].created or ""

    def do(self, to: str, signature: str, *args: Any, sender: str = "") -> Tx:
        return Tx(sender or self.admin, to, call_data(signature, *args))

    def ask(self, to: str, signature: str, *args: Any, block: int | str = "latest") -> list[int]:
        return words(self.node.call(to, signature, *args, block=block))

    def mark(self, name: str) -> None:
        self.marks[name] = self.node.number()

    # -- building

    def add_token(self, symbol: str, decimals: int, price: float, *, bytes32: bool = False) -> None:
        erc20 = artifact("MintableERC20").creation({}, "(string,string,uint8)", (f"Sandbox {symbol}", symbol, decimals))
        token = self.mine(Tx(self.admin, None, erc20))[0].created or ""
        if bytes32:
            token = self.mine(Tx(self.admin, None, bytes32_symbol_token(token, symbol, decimals)))[0].created or ""
        self.tokens[symbol] = token
        self.feeds[symbol] = [self.create("GearboxFeed", "(int256)", round(price * USD)) for _ in range(2)]
        main, reserve = self.feeds[symbol]
        self.mine(
            self.do(self.oracle, "setPriceFeed(address,address,uint32)", token, main, 3600),
            self.do(self.oracle, "setReservePriceFeed(address,address,uint32)", token, reserve, 3600),
        )

    def set_price(self, symbol: str, price: float) -> None:
        self.mine(*(self.do(feed, "set(int256)", round(price * USD)) for feed in self.feeds[symbol]))

    def add_pool(self, name: str, symbol: str, acl: str, register: str) -> None:
        model = self.create(
            "LinearInterestRateModelV3", "(uint16,uint16,uint16,uint16,uint16,uint16,bool)",
            7000, 9000, 100, 200, 400, 4000, False,
        )  # fmt: skip
        pool = self.create(
            "PoolV3", "(address,address,address,address,address,uint256,string,string)",
            acl, register, self.tokens[symbol], self.treasury, model, MAX, f"Lent {symbol}", f"d{symbol}",
        )  # fmt: skip
        self.suites[name] = Suite(pool, self.tokens[symbol])
        self.mine(self.do(register, "addPool(address)", pool))

    def add_manager(self, name: str, register: str, collaterals: Sequence[str], shared: tuple[str, str, str]) -> None:
        """Connect a credit manager with its facade to the pool `name`; all of it the protocol's own code."""
        factory, bots, provider = shared
        suite = self.suites[name]
        keeper = self.create("PoolQuotaKeeperV3", "(address)", suite.pool)
        self.mine(self.do(suite.pool, "setPoolQuotaKeeper(address)", keeper))
        rates = self.create("TumblerV3", "(address,uint256)", suite.pool, 0)
        policy = self.create("AliasedLossPolicyV3", "(address,address)", suite.pool, provider)
        suite.manager = self.create(
            "CreditManagerV3", "(address,address,address,uint8,uint16,uint16,uint16,uint16,uint16,string)",
            suite.pool, factory, self.oracle, 4, 2500, 150, 400, 100, 200, name,
        )  # fmt: skip
        suite.facade = self.create(
            "CreditFacadeV3", "(address,address,address,address,address,address,bool)",
            provider, suite.manager, policy, bots, ZERO, ZERO, False,
        )  # fmt: skip
        self.mine(
            self.do(register, "addCreditManager(address)", suite.manager),
            self.do(factory, "addCreditManager(address)", suite.manager),
            self.do(keeper, "setGauge(address)", rates),
            self.do(keeper, "addCreditManager(address)", suite.manager),
            self.do(suite.pool, "setCreditManagerDebtLimit(address,uint256)", suite.manager, MAX),
            self.do(suite.manager, "setCreditFacade(address)", suite.facade),
            self.do(suite.facade, "setDebtLimits(uint128,uint128,uint8)", 1, 10**30, 200),
            self.do(policy, "setChecksEnabled(bool)", False),
        )
        for symbol in collaterals:
            token = self.tokens[symbol]
            self.mine(
                self.do(rates, "addToken(address)", token),
                self.do(rates, "setRate(address,uint16)", token, 120),
                self.do(keeper, "setTokenLimit(address,uint96)", token, 10**28),
                self.do(suite.manager, "addToken(address)", token),
                self.do(
                    suite.manager, "setCollateralTokenData(address,uint16,uint16,uint40,uint24)",
                    token, 8000, 8000, 2**40 - 1, 0,
                ),
            )  # fmt: skip
        self.mine(self.do(rates, "updateRates()"))

    # -- acting

    def lend(self, name: str, who: str, amount: int) -> None:
        suite = self.suites[name]
        self.mine(
            *self.funded(who, suite.underlying, suite.pool, amount),
            self.do(suite.pool, "deposit(uint256,address)", amount, who, sender=who),
        )

    def funded(self, who: str, token: str, spender: str, amount: int) -> list[Tx]:
        """Mint tokens to somebody and let `spender` take them."""
        return [
            self.do(token, "mint(address,uint256)", who, amount, sender=who),
            self.do(token, "approve(address,uint256)", spender, MAX, sender=who),
        ]

    def _calls(self, facade: str, *inner: str) -> list[tuple[str, bytes]]:
        return [(facade, bytes.fromhex(one[2:])) for one in inner]

    def borrow(self, account: str, name: str, who: str, debt: int, collateral: dict[str, int]) -> None:
        """Open a credit account, pledge `collateral`, take the borrowed tokens out."""
        suite = self.suites[name]
        inner = [call_data("increaseDebt(uint256)", debt)]
        txs: list[Tx] = []
        for symbol, amount in collateral.items():
            token = self.tokens[symbol]
            txs += self.funded(who, token, suite.manager, amount)
            inner.append(call_data("addCollateral(address,uint256)", token, amount))
            inner.append(call_data("updateQuota(address,int96,uint96)", token, 2 * debt, 0))
        inner.append(call_data("withdrawCollateral(address,uint256,address)", suite.underlying, debt, who))
        opening = self.do(
            suite.facade, f"openCreditAccount(address,{_MULTICALL},uint256)", who, self._calls(suite.facade, *inner), 0,
            sender=who,
        )  # fmt: skip
        self.mine(*txs, opening)
        found = self.ask(suite.manager, "creditAccounts()")
        self.accounts[account] = (name, address(found[-1]))

    def repay(self, account: str, who: str, amount: int) -> None:
        name, at = self.accounts[account]
        suite = self.suites[name]
        inner = (
            call_data("addCollateral(address,uint256)", suite.underlying, amount),
            call_data("decreaseDebt(uint256)", amount),
        )
        self.mine(
            *self.funded(who, suite.underlying, suite.manager, amount),
            self.do(
                suite.facade, f"multicall(address,{_MULTICALL})", at, self._calls(suite.facade, *inner), sender=who
            ),
        )

    def liquidate(
        self, account: str, liquidator: str, borrower: str, pay: int, take: dict[str, int], *, loss: bool
    ) -> None:
        """A full liquidation: pay underlying in, take collateral out, all in the liquidation's multicall."""
        name, at = self.accounts[account]
        suite = self.suites[name]
        inner = [call_data("addCollateral(address,uint256)", suite.underlying, pay)]
        inner += [
            call_data("withdrawCollateral(address,uint256,address)", self.tokens[symbol], amount, liquidator)
            for symbol, amount in take.items()
        ]
        debt = self.debt(account)[0]
        txs = [
            *self.funded(liquidator, suite.underlying, suite.manager, pay),
            self.do(
                suite.facade, f"liquidateCreditAccount(address,address,{_MULTICALL})", at, liquidator,
                self._calls(suite.facade, *inner), sender=liquidator,
            ),
        ]  # fmt: skip
        self._record(account, liquidator, borrower, debt, take, txs, loss)

    def liquidate_partially(self, account: str, liquidator: str, borrower: str, pay: int, symbol: str) -> None:
        name, at = self.accounts[account]
        suite = self.suites[name]
        signature = "partiallyLiquidateCreditAccount(address,address,uint256,uint256,address,(address,bytes)[])"
        txs = [
            *self.funded(liquidator, suite.underlying, suite.manager, pay),
            self.do(suite.facade, signature, at, self.tokens[symbol], pay, 0, liquidator, [], sender=liquidator),
        ]
        self._record(account, liquidator, borrower, self.debt(account)[0], {symbol: 0}, txs, False)

    def liquidate_v2(self, liquidator: str, borrower: str) -> None:
        """A v2 liquidation: the tokens are sent to the liquidator without any event of the protocol."""
        at = self.v2.account(borrower)
        debt = self.ask(self.v2.manager, "calcCreditAccountAccruedInterest(address)", at)[0]
        mined = self.mine(*self.v2.liquidation(liquidator, borrower, "DAI"))[-1]
        self.liquidations.append(Seized(mined.tx, mined.block, liquidator, borrower, at, "v2", debt, {}, loss=False))

    def _record(
        self, account: str, liquidator: str, borrower: str, debt: int, take: dict[str, int], txs: list[Tx], loss: bool
    ) -> None:
        name, at = self.accounts[account]
        mined = self.mine(*txs)[-1]
        gained = {}
        for symbol in take:
            after, before = (
                self.ask(self.tokens[symbol], "balanceOf(address)", liquidator, block=block)[0]
                for block in (mined.block, mined.block - 1)
            )
            gained[symbol] = after - before
        self.liquidations.append(Seized(mined.tx, mined.block, liquidator, borrower, at, name, debt, gained, loss))

    # -- ground truth

    def debt(self, account: str, block: int | str = "latest") -> tuple[int, int]:
        """Principal and accrued interest of a credit account, by its manager."""
        name, at = self.accounts[account]
        answer = self.ask(self.suites[name].manager, "calcDebtAndCollateral(address,uint8)", at, 1, block=block)
        return answer[1], answer[5]

    def truth(self, name: str, block: int) -> dict[str, int]:
        """A pool's figures by routes the collector does not take: ERC-4626, the token, the managers' own debts."""
        suite = self.suites[name]
        owed = [
            self.debt(one, block) for one, (of, _) in self.accounts.items() if of == name and self._open(one, block)
        ]
        return {
            "supplied": self.ask(suite.pool, "totalAssets()", block=block)[0],
            "cash": self.ask(suite.underlying, "balanceOf(address)", suite.pool, block=block)[0],
            "principal": sum(principal for principal, _ in owed),
            "owed": sum(principal + interest for principal, interest in owed),
        }

    def _open(self, account: str, block: int) -> bool:
        name, at = self.accounts[account]
        return at in [address(one) for one in self.ask(self.suites[name].manager, "creditAccounts()", block=block)[2:]]


def play(node: Anvil) -> GearboxMarket:
    """The whole story: before any provider, lending, interest, repayment, liquidations, a loss, a pause, a donation."""
    market = GearboxMarket(node)
    lender, ann, ben, cyd, dan, first, second = node.accounts[1:8]
    market.treasury = node.accounts[9]
    market.mine()
    market.mark("nothing")
    market.v2.deploy_core()
    market.mark("v2 provider")
    acl = market.create("GearboxTown")
    provider = market.create("GearboxTown")
    register_v300 = market.v2.register  # v3.0's provider names the register of v1 and v2
    register_legacy, register_mine = (market.create("GearboxTown") for _ in range(2))
    market.provider_v300, market.provider_v310 = provider, market.create("GearboxTown")
    market.legacy, configurator, factory_of = (market.create("GearboxTown") for _ in range(3))
    market.mine(
        market.do(provider, "set(bytes32,address)", b"CONTRACTS_REGISTER", register_v300),
        market.do(provider, "set(bytes32,address)", b"PRICE_FEED_STORE", acl),
        market.do(provider, "set(bytes32,address)", b"INSTANCE_MANAGER_PROXY", market.admin),
        market.do(market.legacy, "setContractsRegister(address)", register_legacy),
        market.do(configurator, "setContractsRegister(address)", register_mine),
    )
    market.mark("providers")
    market.oracle = market.create("PriceOracleV3", "(address)", acl)
    market.add_token("USDC", 6, 1.0)
    market.add_token("WETH", 18, 3000.0)
    market.add_token("WBTC", 8, 90_000.0)
    market.add_token("MKR", 18, 1500.0, bytes32=True)
    market.add_token("DAI", 18, 0.999)
    shared = (
        market.create("DefaultAccountFactoryV3", "(address)", provider),
        market.create("BotListV3", "(address)", provider),
        provider,
    )
    market.add_pool("usdc", "USDC", acl, register_v300)
    market.add_manager("usdc", register_v300, ["WETH", "WBTC"], shared)
    usdc, ether = 10**6, 10**18
    market.lend("usdc", lender, 1_000_000 * usdc)
    market.borrow("ann", "usdc", ann, 100_000 * usdc, {"WETH": 60 * ether})
    market.v2.open_pool("DAI", "WETH")
    market.v2.lend(lender, "DAI", 90_000 * ether)
    market.v2.borrow(ben, 30_000 * ether, "WETH", 12 * 10**17)
    market.v2.borrow(dan, 20_000 * ether, "WETH", 8 * 10**17)
    market.mark("v300 only")

    # v3.1: a second USDC pool of another curator, a pool of a bytes32 token that nobody borrows, one legacy listing
    market.mine(
        market.do(market.provider_v310, "set(bytes32,address)", b"MARKET_CONFIGURATOR_FACTORY", factory_of),
        market.do(factory_of, "addConfigurator(address)", configurator),
        market.do(register_legacy, "addPool(address)", market.suites["usdc"].pool),
        market.do(register_legacy, "addCreditManager(address)", market.suites["usdc"].manager),
    )
    market.add_pool("usdc2", "USDC", acl, register_mine)
    market.add_manager("usdc2", register_mine, ["WETH"], shared)
    market.add_pool("mkr", "MKR", acl, register_mine)
    market.lend("usdc2", lender, 400_000 * usdc)
    market.lend("mkr", lender, 7 * ether)
    market.borrow("ben", "usdc2", ben, 60_000 * usdc, {"WETH": 35 * ether})
    market.borrow("cyd", "usdc", cyd, 200_000 * usdc, {"WETH": 60 * ether, "WBTC": 10**8})
    market.borrow("dan", "usdc", dan, 50_000 * usdc, {"WETH": 25 * ether})
    market.mark("borrowed")
    market.mine(wait_s=30 * 86_400)
    market.mark("a month later")
    market.repay("ann", ann, 20_000 * usdc)
    market.mark("repaid")

    market.set_price("WETH", 2150.0)
    market.mine(wait_s=3600)
    market.liquidate_partially("ben", first, ben, 20_000 * usdc, "WETH")
    market.mark("partial")
    market.set_price("WETH", 2050.0)
    market.liquidate("cyd", second, cyd, 230_000 * usdc, {"WETH": 55 * ether, "WBTC": 9 * 10**7}, loss=False)
    market.mark("liquidated")
    market.set_price("WETH", 1200.0)
    market.liquidate("dan", first, dan, 30_000 * usdc, {"WETH": 25 * ether}, loss=True)
    market.mark("loss")

    for borrower, price in ((ben, 1916.0), (dan, 1.0)):  # the second account is worth less than its debt
        market.set_price("WETH", price)
        market.liquidate_v2(second, borrower)
    market.mark("v2 liquidated")

    market.set_price("MKR", 0)  # the real oracle refuses a price of 0
    market.mark("no price")
    market.mine(
        market.do(market.suites["usdc2"].pool, "pause()"),
        *market.funded(lender, market.tokens["MKR"], market.suites["mkr"].pool, 3 * ether),
        market.do(
            market.tokens["MKR"], "transfer(address,uint256)", market.suites["mkr"].pool, 2 * ether, sender=lender
        ),
    )
    market.mark("paused and given")
    node.empty_blocks(70, 12)
    return market
