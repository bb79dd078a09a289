"""`AaveV3Market`: the published Aave V3 contracts deployed on the local node, driven like a real market.

Every action returns a `Tx` so that a scenario decides which transactions share a block and at which instant.
`truth()` asks the contracts directly (through the protocol's own data provider, a route the collector does not take).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from .anvil import Anvil, Mined, Tx
from .solidity import address, artifact, bytes32_symbol_token, call_data, words

ZERO = "0x" + "00" * 20
MAX = 2**256 - 1
VARIABLE, STABLE = 2, 1
_RAY = 10**27
_LIBRARIES = (
    "SupplyLogic", "BorrowLogic", "LiquidationLogic", "EModeLogic", "BridgeLogic", "ConfiguratorLogic", "PoolLogic",
)  # fmt: skip
_INIT_RESERVES = (
    "initReserves((address,address,address,uint8,address,address,address,address,"
    "string,string,string,string,string,string,bytes)[])"
)


@dataclass(frozen=True)
class Token:
    """One listed reserve and the contracts around it (addresses lower case)."""

    symbol: str
    decimals: int
    asset: str
    a_token: str
    stable_debt: str
    variable_debt: str
    listed_block: int

    def units(self, whole: float) -> int:
        """`whole` tokens in the token's smallest unit."""
        return int(round(whole * 10**6) * 10**self.decimals // 10**6)


@dataclass(frozen=True)
class Truth:
    """What the contracts say about one reserve at one block, in raw units; `price` None when the oracle has none."""

    symbol: str
    decimals: int
    supplied: int
    stable_debt: int
    variable_debt: int
    cash: int
    price: int | None


@dataclass
class AaveV3Market:
    """A deployed market. The deployer (account 0) is admin of everything; accounts 1.. are users."""

    node: Anvil
    provider: str
    pool: str
    configurator: str
    oracle: str
    data_provider: str
    deployed_block: int
    tokens: dict[str, Token] = field(default_factory=dict)
    _implementations: tuple[str, ...] = ()
    _strategy: str = ""

    # -- building

    @classmethod
    def deploy(cls, node: Anvil, at: datetime) -> Self:
        """Deploy the protocol without reserves, one block a step, the first at `at` and one second apart after it."""
        admin = node.accounts[0]
        clock = [at]

        def mine(*txs: Tx) -> list[Mined]:
            mined = node.block(clock[0], txs)
            clock[0] += timedelta(seconds=1)
            return mined

        def create(*wanted: tuple[str, str, Sequence[object]]) -> list[str]:
            txs = [Tx(admin, None, artifact(name).creation(links, types, args)) for name, types, args in wanted]
            return [m.created or "" for m in mine(*txs)]

        def do(to: str, signature: str, *args: object) -> Tx:
            return Tx(admin, to, call_data(signature, *args))

        def ask(to: str, signature: str) -> str:
            return address(words(node.call(to, signature))[0])

        links: dict[str, str] = {}
        links.update(zip(_LIBRARIES, create(*((name, "()", ()) for name in _LIBRARIES)), strict=True))
        flash_loan, provider = create(
            ("FlashLoanLogic", "()", ()), ("PoolAddressesProvider", "(string,address)", ("Sandbox", admin))
        )
        links["FlashLoanLogic"] = flash_loan
        mine(do(provider, "setACLAdmin(address)", admin))
        access, pool_code, configurator_code, data_provider, oracle = create(
            ("ACLManager", "(address)", (provider,)),
            ("Pool", "(address)", (provider,)),
            ("PoolConfigurator", "()", ()),
            ("AaveProtocolDataProvider", "(address)", (provider,)),
            (
                "AaveOracle",
                "(address,address[],address[],address,address,uint256)",
                (provider, [], [], ZERO, ZERO, 10**8),
            ),
        )
        mined = mine(
            do(provider, "setACLManager(address)", access),
            do(access, "addPoolAdmin(address)", admin),
            do(provider, "setPoolDataProvider(address)", data_provider),
            do(provider, "setPriceOracle(address)", oracle),
            do(provider, "setPoolImpl(address)", pool_code),
            do(provider, "setPoolConfiguratorImpl(address)", configurator_code),
        )
        pool = ask(provider, "getPool()")
        rates = (80, 0, 4, 75, 1, 75, 1, 8, 20)  # percent: optimal usage, then base and slopes, as on real markets
        *implementations, strategy = create(
            ("AToken", "(address)", (pool,)),
            ("StableDebtToken", "(address)", (pool,)),
            ("VariableDebtToken", "(address)", (pool,)),
            (
                "DefaultReserveInterestRateStrategy",
                "(address" + ",uint256" * 9 + ")",
                (provider, *(rate * _RAY // 100 for rate in rates)),
            ),
        )
        return cls(
            node,
            provider,
            pool,
            ask(provider, "getPoolConfigurator()"),
            oracle,
            data_provider,
            mined[0].block,
            _implementations=tuple(implementations),
            _strategy=strategy,
        )

    def add_reserve(
        self, at: datetime, symbol: str, decimals: int, price: float, *, ltv: int = 7500, bytes32_symbol: bool = False
    ) -> Token:
        """List a new token priced at `price` dollars in two blocks, at `at` and one second later.

        `ltv` in basis points; 0 lists it as not usable as collateral. `bytes32_symbol` makes its symbol a bytes32.
        """
        erc20 = artifact("MintableERC20").creation({}, "(string,string,uint8)", (f"Sandbox {symbol}", symbol, decimals))
        created = self.node.block(at, [Tx(self.admin, None, erc20), Tx(self.admin, None, _feed(price))])
        asset, feed = (m.created or "" for m in created)
        at += timedelta(seconds=1)
        if bytes32_symbol:
            proxy = Tx(self.admin, None, bytes32_symbol_token(asset, symbol, decimals))
            asset = self.node.block(at, [proxy])[0].created or ""
            at += timedelta(seconds=1)
        a_token, stable, variable = self._implementations
        reserve = (
            a_token, stable, variable, decimals, self._strategy, asset, ZERO, ZERO,
            f"Sandbox a{symbol}", f"a{symbol}", f"Sandbox vd{symbol}", f"vd{symbol}", f"Sandbox sd{symbol}",
            f"sd{symbol}", b"",
        )  # fmt: skip
        txs = [
            self._admin(self.oracle, "setAssetSources(address[],address[])", [asset], [feed]),
            self._admin(self.configurator, _INIT_RESERVES, [reserve]),
            self._admin(self.configurator, "setReserveBorrowing(address,bool)", asset, True),
            self._admin(self.configurator, "setReserveStableRateBorrowing(address,bool)", asset, True),
            self._admin(self.configurator, "setReserveFactor(address,uint256)", asset, 1000),
        ]
        if ltv:
            signature = "configureReserveAsCollateral(address,uint256,uint256,uint256)"
            txs.append(self._admin(self.configurator, signature, asset, ltv, ltv + 500, 10500))
        block = self.node.block(at, txs)[0].block
        around = words(self.node.call(self.data_provider, "getReserveTokensAddresses(address)", asset))
        a_token, stable, variable = (address(word) for word in around)
        token = Token(symbol, decimals, asset, a_token, stable, variable, block)
        self.tokens[symbol] = token
        return token

    # -- acting: each returns the transactions to put in one block, in order

    @property
    def admin(self) -> str:
        """The deployer's account."""
        return self.node.accounts[0]

    def _admin(self, to: str, signature: str, *args: object) -> Tx:
        return Tx(self.admin, to, call_data(signature, *args))

    def _funded(self, user: str, token: Token, amount: int) -> list[Tx]:
        return [
            Tx(user, token.asset, call_data("mint(address,uint256)", user, amount)),
            Tx(user, token.asset, call_data("approve(address,uint256)", self.pool, MAX)),
        ]

    def supply(self, user: str, symbol: str, whole: float) -> list[Tx]:
        """Mint `whole` tokens to `user` and deposit them."""
        token = self.tokens[symbol]
        amount = token.units(whole)
        deposit = call_data("supply(address,uint256,address,uint16)", token.asset, amount, user, 0)
        return [*self._funded(user, token, amount), Tx(user, self.pool, deposit)]

    def withdraw(self, user: str, symbol: str, whole: float) -> list[Tx]:
        """Take `whole` deposited tokens back."""
        token = self.tokens[symbol]
        data = call_data("withdraw(address,uint256,address)", token.asset, token.units(whole), user)
        return [Tx(user, self.pool, data)]

    def borrow(self, user: str, symbol: str, whole: float, *, mode: int = VARIABLE) -> list[Tx]:
        """Borrow `whole` tokens at the variable or stable rate."""
        token = self.tokens[symbol]
        signature = "borrow(address,uint256,uint256,uint16,address)"
        return [Tx(user, self.pool, call_data(signature, token.asset, token.units(whole), mode, 0, user))]

    def repay(self, user: str, symbol: str, whole: float, *, mode: int = VARIABLE) -> list[Tx]:
        """Repay `whole` tokens of debt from freshly minted ones."""
        token = self.tokens[symbol]
        amount = token.units(whole)
        data = call_data("repay(address,uint256,uint256,address)", token.asset, amount, mode, user)
        return [*self._funded(user, token, amount), Tx(user, self.pool, data)]

    def liquidate(
        self, liquidator: str, user: str, *, collateral: str, debt: str, whole: float, receive_a_token: bool = False
    ) -> list[Tx]:
        """Repay up to `whole` of `user`'s `debt` and seize `collateral` (as underlying, or as aTokens)."""
        asset, token = self.tokens[collateral].asset, self.tokens[debt]
        amount = token.units(whole)
        signature = "liquidationCall(address,address,address,uint256,bool)"
        seize = call_data(signature, asset, token.asset, user, amount, receive_a_token)
        return [*self._funded(liquidator, token, amount), Tx(liquidator, self.pool, seize)]

    def set_price(self, at: datetime, symbol: str, price: float | None) -> None:
        """Give the oracle a new dollar price in two blocks, at `at` and one second later; None takes the price away."""
        feed = ZERO
        if price is not None:
            feed = self.node.block(at, [Tx(self.admin, None, _feed(price))])[0].created or ""
            at += timedelta(seconds=1)
        signature = "setAssetSources(address[],address[])"
        self.node.block(at, [self._admin(self.oracle, signature, [self.tokens[symbol].asset], [feed])])

    # -- ground truth

    def truth(self, symbol: str, block: int) -> Truth:
        """What the contracts themselves say about `symbol` at `block`."""
        token, ask = self.tokens[symbol], self.node.call
        reserve = words(ask(self.data_provider, "getReserveData(address)", token.asset, block=block))
        source = words(ask(self.oracle, "getSourceOfAsset(address)", token.asset, block=block))[0]
        price = words(ask(self.oracle, "getAssetPrice(address)", token.asset, block=block))[0] if source else None
        return Truth(
            symbol,
            words(ask(token.asset, "decimals()", block=block))[0],
            supplied=reserve[2],
            stable_debt=reserve[3],
            variable_debt=reserve[4],
            cash=words(ask(token.asset, "balanceOf(address)", token.a_token, block=block))[0],
            price=price,
        )

    def listed(self, block: int) -> list[str]:
        """The reserves' addresses (lower case) in the pool's own order at `block`."""
        return [address(word) for word in words(self.node.call(self.pool, "getReservesList()", block=block))[2:]]


def _feed(price: float) -> str:
    return artifact("MockAggregator").creation({}, "(int256)", (round(price * 10**8),))
