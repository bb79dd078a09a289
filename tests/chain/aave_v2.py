"""`AaveV2Market`: the published Aave V2 contracts (npm `@aave/protocol-v2`) on the local node, and a week of two markets.

The first market's oracle quotes in ETH and only knows WETH, as on Ethereum; the second's has a base currency of dollars,
as on Avalanche (it is V3's oracle: the package has no other). Both stand in one registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from .anvil import Anvil, Tx
from .scenario import LiquidationTruth, at
from .solidity import NODE_MODULES, Artifact, address, bytes32_symbol_token, call_data, words
from .solidity import artifact as published_artifact

ARTIFACTS = NODE_MODULES / "@aave" / "protocol-v2" / "artifacts" / "contracts"
ZERO = "0x" + "00" * 20
USD = "0x10F7Fc1F91Ba351f9C629c5947AD69bD03C05b96"  # what V2 markets quoted in dollars call their base currency
MAX = 2**256 - 1
VARIABLE, STABLE = 2, 1
FIRST_DAY, LAST_DAY = date(2024, 12, 1), date(2024, 12, 7)
PRICELESS_DAY = date(2024, 12, 4)  # at its end the oracle has no source for MKR
_RAY = 10**27


def artifact(name: str) -> Artifact:
    """The published artifact called `name`."""
    return published_artifact(name, ARTIFACTS)


@dataclass(frozen=True)
class Token:
    """One reserve and the contracts around it (addresses lower case)."""

    symbol: str
    decimals: int
    asset: str
    a_token: str = ""

    def units(self, whole: float) -> int:
        """`whole` tokens in the token's smallest unit."""
        return int(round(whole * 10**6) * 10**self.decimals // 10**6)


@dataclass
class AaveV2Market:
    """A deployed market. Account 0 is its admin."""

    node: Anvil
    pool: str
    provider: str
    configurator: str
    data_provider: str
    oracle: str = ""
    tokens: dict[str, Token] = field(default_factory=dict)

    # -- acting: each returns the transactions to put in one block, in order

    def _funded(self, user: str, token: Token, amount: int) -> list[Tx]:
        return [
            Tx(user, token.asset, call_data("mint(uint256)", amount)),
            Tx(user, token.asset, call_data("approve(address,uint256)", self.pool, MAX)),
        ]

    def deposit(self, user: str, symbol: str, whole: float) -> list[Tx]:
        """Mint and deposit `whole` tokens."""
        token = self.tokens[symbol]
        amount = token.units(whole)
        data = call_data("deposit(address,uint256,address,uint16)", token.asset, amount, user, 0)
        return [*self._funded(user, token, amount), Tx(user, self.pool, data)]

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
        self, liquidator: str, user: str, collateral: str, debt: str, whole: float, *, receive_a_token: bool
    ) -> list[Tx]:
        """Repay up to `whole` of `user`'s `debt` and seize `collateral`."""
        asset, token = self.tokens[collateral].asset, self.tokens[debt]
        amount = token.units(whole)
        signature = "liquidationCall(address,address,address,uint256,bool)"
        seize = call_data(signature, asset, token.asset, user, amount, receive_a_token)
        return [*self._funded(liquidator, token, amount), Tx(liquidator, self.pool, seize)]

    # -- ground truth

    def ask(self, to: str, signature: str, *args: object, block: int) -> list[int]:
        """The words of a getter's answer."""
        return words(self.node.call(to, signature, *args, block=block))

    def listed(self, block: int) -> list[str]:
        """The reserves' addresses (lower case) in the pool's own order."""
        return [address(word) for word in self.ask(self.pool, "getReservesList()", block=block)[2:]]


@dataclass
class AaveV2Week:
    """The finished chain: the node (still running), both markets, their registry and every liquidation."""

    node: Anvil
    registry: str
    ether: AaveV2Market
    dollar: AaveV2Market
    liquidations: list[LiquidationTruth] = field(default_factory=list)


class _Story:
    def __init__(self, node: Anvil) -> None:
        self.node, self.admin = node, node.accounts[0]
        self.clock = at(0, "13:00:00")
        self.liquidations: list[LiquidationTruth] = []
        self.links: dict[str, str] = {}
        for name in ("ReserveLogic", "GenericLogic", "ValidationLogic"):
            self.links[name] = self.create(artifact(name))
        self.registry = self.create(artifact("LendingPoolAddressesProviderRegistry"))
        self.assets = {
            symbol: self.create(artifact("MintableERC20"), "(string,string,uint8)", symbol, symbol, decimals)
            for symbol, decimals in {"USDC": 6, "WETH": 18, "MKR": 18}.items()
        }
        creation = bytes32_symbol_token(self.assets["MKR"], "MKR", 18)
        self.assets["MKR"] = node.block(self.tick(), [Tx(self.admin, None, creation)])[0].created or ""

    def tick(self) -> datetime:
        self.clock += timedelta(seconds=1)
        return self.clock

    def create(self, code: Artifact, types: str = "()", *args: object) -> str:
        creation = code.creation(self.links, types, args)
        return self.node.block(self.tick(), [Tx(self.admin, None, creation)])[0].created or ""

    def do(self, to: str, signature: str, *args: object, when: datetime | None = None) -> None:
        self.node.block(when or self.tick(), [Tx(self.admin, to, call_data(signature, *args))])

    def ask(self, to: str, signature: str) -> str:
        return address(words(self.node.call(to, signature))[0])

    def feed(self, price: int) -> str:
        return self.create(artifact("MockAggregator"), "(int256)", price)

    def market(self, number: int, prices: Mapping[str, tuple[int, int]], unit: int) -> AaveV2Market:
        """A market of the reserves in `prices` (decimals, price); `unit` 0 for the oracle that only knows WETH."""
        provider = self.create(artifact("LendingPoolAddressesProvider"), "(string)", f"market {number}")
        self.do(provider, "setPoolAdmin(address)", self.admin)
        self.do(provider, "setEmergencyAdmin(address)", self.admin)
        self.do(provider, "setLendingPoolImpl(address)", self.create(artifact("LendingPool")))
        self.do(provider, "setLendingPoolConfiguratorImpl(address)", self.create(artifact("LendingPoolConfigurator")))
        manager = self.create(artifact("LendingPoolCollateralManager"))
        self.do(provider, "setLendingPoolCollateralManager(address)", manager)
        rates = self.create(artifact("LendingRateOracle"))
        self.do(provider, "setLendingRateOracle(address)", rates)
        data_provider = self.create(artifact("AaveProtocolDataProvider"), "(address)", provider)
        market = AaveV2Market(
            self.node, self.ask(provider, "getLendingPool()"), provider,
            self.ask(provider, "getLendingPoolConfigurator()"), data_provider,
        )  # fmt: skip
        assets = [self.assets[symbol] for symbol in prices]
        feeds = [self.feed(price) for _, price in prices.values()]
        if unit:
            types = "(address,address[],address[],address,address,uint256)"
            market.oracle = self.create(
                published_artifact("AaveOracle"), types, provider, assets, feeds, ZERO, USD, unit
            )
        else:
            types = "(address[],address[],address,address)"
            market.oracle = self.create(artifact("AaveOracle"), types, assets, feeds, ZERO, self.assets["WETH"])
        self.do(provider, "setPriceOracle(address)", market.oracle)
        for symbol, (decimals, _) in prices.items():
            self.do(rates, "setMarketBorrowRate(address,uint256)", self.assets[symbol], 5 * _RAY // 100)
            market.tokens[symbol] = self.reserve(market, symbol, decimals)
        self.do(self.registry, "registerAddressesProvider(address,uint256)", provider, number)
        return market

    def reserve(self, market: AaveV2Market, symbol: str, decimals: int) -> Token:
        asset, pool = self.assets[symbol], market.pool
        a_token = self.create(
            artifact("AToken"), "(address,address,address,string,string,address)", pool, asset, self.admin,
            f"a{symbol}", f"a{symbol}", ZERO,
        )  # fmt: skip
        debts = [
            self.create(artifact(name), "(address,address,string,string,address)", pool, asset, symbol, symbol, ZERO)
            for name in ("StableDebtToken", "VariableDebtToken")
        ]
        percent = _RAY // 100
        rates = [rate * percent for rate in (80, 1, 4, 75, 2, 75)]
        types = "(address" + ",uint256" * 6 + ")"
        strategy = self.create(artifact("DefaultReserveInterestRateStrategy"), types, market.provider, *rates)
        signature = "initReserve(address,address,address,uint8,address)"
        self.do(market.configurator, signature, a_token, *debts, decimals, strategy)
        self.do(market.configurator, "enableBorrowingOnReserve(address,bool)", asset, True)
        signature = "configureReserveAsCollateral(address,uint256,uint256,uint256)"
        self.do(market.configurator, signature, asset, 7500, 8000, 10500)
        around = words(self.node.call(market.data_provider, "getReserveTokensAddresses(address)", asset))
        return Token(symbol, decimals, asset, address(around[0]))

    def block(self, when: datetime, *actions: Sequence[Tx]) -> None:
        self.node.block(when, [tx for action in actions for tx in action])

    def set_price(self, when: datetime, market: AaveV2Market, symbol: str, price: int) -> None:
        """A new feed, made one second before `when`; 0 leaves the asset without a source."""
        source = ZERO
        if price:
            creation = artifact("MockAggregator").creation({}, "(int256)", (price,))
            source = self.node.block(when - timedelta(seconds=1), [Tx(self.admin, None, creation)])[0].created or ""
        signature = "setAssetSources(address[],address[])"
        self.do(market.oracle, signature, [self.assets[symbol]], [source], when=when)

    def liquidate(self, when: datetime, market: AaveV2Market, *cases: tuple[str, str, str, str, float, bool]) -> None:
        """One block of liquidations by different liquidators; the truth is read from their balances."""
        txs, ends = [], []
        for liquidator, user, collateral, debt, whole, as_a_token in cases:
            txs += market.liquidate(liquidator, user, collateral, debt, whole, receive_a_token=as_a_token)
            ends.append(len(txs) - 1)
        mined = self.node.block(when, txs)
        for end, (liquidator, user, collateral, debt, whole, as_a_token) in zip(ends, cases, strict=True):
            seized, paid = market.tokens[collateral], market.tokens[debt]
            block = mined[end].block
            gained, left = (
                market.ask(token, "balanceOf(address)", liquidator, block=block)[0]
                - market.ask(token, "balanceOf(address)", liquidator, block=block - 1)[0]
                for token in (seized.a_token if as_a_token else seized.asset, paid.asset)
            )
            self.liquidations.append(
                LiquidationTruth(
                    mined[end].tx, block, int(when.timestamp()), liquidator, user, seized.asset, gained, paid.asset,
                    paid.units(whole) - left,
                )
            )  # fmt: skip


def play(node: Anvil) -> AaveV2Week:
    """A week: both kinds of debt, three liquidations, a frozen reserve, a lost price, a paused pool."""
    story = _Story(node)
    block = story.block
    lender, ann, ben, first, second, third = node.accounts[1:7]
    wei = 10**18
    prices = {"USDC": (6, wei // 3700), "WETH": (18, wei), "MKR": (18, wei // 2)}
    ether = story.market(1, prices, 0)
    dollar = story.market(2, {"USDC": (6, 10**8), "WETH": (18, 3700 * 10**8)}, 10**8)

    block(at(1, "08:00:00"), ether.deposit(lender, "USDC", 900_000), dollar.deposit(lender, "USDC", 50_000.5))
    block(at(1, "09:00:00"), ether.deposit(ann, "WETH", 40), ether.deposit(ben, "MKR", 50))
    block(at(1, "10:00:00"), dollar.deposit(ann, "WETH", 3))
    block(at(1, "23:59:59"))
    block(at(2, "00:00:00"))
    block(at(2, "10:00:00"), ether.borrow(ann, "USDC", 100_000), ether.borrow(ben, "USDC", 30_000, mode=STABLE))
    block(at(2, "11:00:00"), ether.borrow(ben, "WETH", 2), dollar.borrow(ann, "USDC", 5_000))
    # the dollar falls against ether's numeraire: a USDC costs more wei
    story.set_price(at(3, "12:00:00"), ether, "USDC", wei // 2900)
    story.liquidate(
        at(3, "12:30:00"), ether,
        (first, ann, "WETH", "USDC", 20_000, False), (second, ann, "WETH", "USDC", 10_000.000001, True),
    )  # fmt: skip
    story.set_price(at(3, "23:00:00"), ether, "MKR", wei // 4)
    block(at(3, "23:59:59"))
    story.liquidate(at(4, "00:00:00"), ether, (third, ben, "MKR", "WETH", 0.5, False))
    story.set_price(at(4, "06:00:00"), ether, "MKR", 0)
    story.do(ether.configurator, "freezeReserve(address)", story.assets["MKR"], when=at(4, "07:00:00"))
    block(at(4, "23:59:59"))
    story.set_price(at(5, "06:00:00"), ether, "MKR", wei // 2)
    story.do(ether.configurator, "setPoolPause(bool)", True, when=at(5, "07:00:00"))
    block(at(5, "23:59:58"))
    story.do(ether.configurator, "setPoolPause(bool)", False, when=at(6, "07:00:00"))
    block(at(6, "10:00:00"), ether.repay(ann, "USDC", 15_000), ether.repay(ben, "USDC", 1_000, mode=STABLE))
    block(at(7, "12:00:00"))
    for day in (8, 9):
        block(at(day, "00:00:00"))
    node.empty_blocks(70, 12)  # room for clients that call a block final only 64 blocks later
    return AaveV2Week(node, story.registry, ether, dollar, story.liquidations)
