"""`CapMarket`: a cap token vault with its Lender on the local node, and a fortnight of it.

The contracts are `SyntheticCap.sol`, written for this suite from the documented interface, because the protocol
publishes no package with its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from .anvil import Anvil, Tx
from .compiled import compiled
from .scenario import LiquidationTruth, at
from .solidity import bytes32_symbol_token, call_data, words

MAX = 2**256 - 1
FIRST_DAY, LAST_DAY = date(2024, 12, 1), date(2024, 12, 9)
PRICELESS_DAY = date(2024, 12, 7)  # at its end the oracle has no price for USDT
DROPPED_DAY = date(2024, 12, 8)  # on this day the asset USDX is taken off the list
_RAY = 10**27


@dataclass(frozen=True)
class Token:
    """One token; the address is lower case."""

    symbol: str
    decimals: int
    asset: str

    def units(self, whole: float) -> int:
        """`whole` tokens in the token's smallest unit."""
        return int(round(whole * 10**6) * 10**self.decimals // 10**6)


@dataclass
class CapMarket:
    """The deployed market. Account 0 deployed it; agents and liquidators are plain accounts."""

    node: Anvil
    vault: str
    lender: str
    delegation: str
    oracle: str
    tokens: dict[str, Token]
    agents: list[str] = field(default_factory=list)

    # -- acting: each returns the transactions to put in one block, in order

    def _funded(self, user: str, token: Token, amount: int, spender: str) -> list[Tx]:
        return [
            Tx(user, token.asset, call_data("mint(address,uint256)", user, amount)),
            Tx(user, token.asset, call_data("approve(address,uint256)", spender, MAX)),
        ]

    def mint(self, user: str, symbol: str, whole: float) -> list[Tx]:
        """Supply `whole` tokens for cap tokens."""
        token = self.tokens[symbol]
        amount = token.units(whole)
        signature = "mint(address,uint256,uint256,address,uint256)"
        supply = Tx(user, self.vault, call_data(signature, token.asset, amount, 0, user, MAX))
        return [*self._funded(user, token, amount, self.vault), supply]

    def burn(self, user: str, symbol: str, whole: float) -> list[Tx]:
        """Take `whole` tokens out for cap tokens."""
        token = self.tokens[symbol]
        signature = "burn(address,uint256,uint256,address,uint256)"
        return [Tx(user, self.vault, call_data(signature, token.asset, token.units(whole), 0, user, MAX))]

    def borrow(self, agent: str, symbol: str, whole: float) -> list[Tx]:
        """Lend to an agent."""
        token = self.tokens[symbol]
        signature = "borrow(address,uint256,address)"
        return [Tx(agent, self.lender, call_data(signature, token.asset, token.units(whole), agent))]

    def repay(self, agent: str, symbol: str, whole: float) -> list[Tx]:
        """Repay from freshly minted tokens."""
        token = self.tokens[symbol]
        amount = token.units(whole)
        pay = Tx(agent, self.lender, call_data("repay(address,uint256,address)", token.asset, amount, agent))
        return [*self._funded(agent, token, amount, self.lender), pay]

    def cover(self, network: str, restaker: str, agent: str, symbol: str, whole: float) -> list[Tx]:
        """Delegate `whole` tokens to an agent through a network."""
        token = self.tokens[symbol]
        amount = token.units(whole)
        stake = Tx(restaker, network, call_data("cover(address,uint256)", agent, amount))
        return [*self._funded(restaker, token, amount, network), stake]

    def set_price(self, symbol: str, price: float) -> list[Tx]:
        """The oracle's dollar price; 0 takes it away."""
        data = call_data("set(address,uint256)", self.tokens[symbol].asset, round(price * 10**8))
        return [Tx(self.node.accounts[0], self.oracle, data)]

    # -- ground truth, one plain eth_call each

    def ask(self, to: str, signature: str, *args: object, block: int) -> int:
        """The first word of a getter's answer."""
        return words(self.node.call(to, signature, *args, block=block))[0]

    def debt(self, token: Token, block: int) -> int:
        """What all agents owe of `token`, agent by agent."""
        return sum(self.ask(self.lender, "debt(address,address)", one, token.asset, block=block) for one in self.agents)


@dataclass
class CapFortnight:
    """The finished chain: the node (still running), the market and every liquidation that happened."""

    node: Anvil
    market: CapMarket
    liquidations: list[LiquidationTruth] = field(default_factory=list)

    def liquidations_on(self, day: date) -> list[LiquidationTruth]:
        """The liquidations of one UTC day, in order."""
        return [one for one in self.liquidations if datetime.fromtimestamp(one.timestamp, UTC).date() == day]


class _Story:
    def __init__(self, node: Anvil) -> None:
        self.node, self.admin = node, node.accounts[0]
        self.built = compiled("Tokens.sol", "SyntheticCap.sol")
        self.clock = at(0, "13:00:00")
        tokens = {
            symbol: Token(symbol, decimals, self.create("TestToken", "(string,uint8)", symbol, decimals))
            for symbol, decimals in {"USDC": 6, "USDT": 6, "USDX": 18, "WETH": 18, "WBTC": 8}.items()
        }
        odd = self.node.block(
            self.tick(), [Tx(self.admin, None, bytes32_symbol_token(tokens["USDX"].asset, "USDX", 18))]
        )
        tokens["USDX"] = Token("USDX", 18, odd[0].created or "")
        oracle = self.create("SyntheticCapOracle")
        delegation = self.create("SyntheticCapDelegation")
        lender = self.create("SyntheticCapLender", "(address,address)", delegation, oracle)
        vault = self.create("SyntheticCapVault")
        self.market = CapMarket(node, vault, lender, delegation, oracle, tokens)
        self.symbiotic = self.create("SyntheticSymbioticNetwork", "(address,address)", tokens["WETH"].asset, oracle)
        self.eigen = self.create("SyntheticEigenNetwork", "(address,address)", tokens["WBTC"].asset, oracle)
        self.admin_does(vault, "setLender(address)", lender)
        for symbol in ("USDC", "USDT", "USDX"):
            self.admin_does(vault, "addAsset(address)", tokens[symbol].asset)
        for symbol in ("USDC", "USDT"):
            debt = self.create("SyntheticCapDebt", "(uint256)", 8 * _RAY // 100)
            self.admin_does(lender, "addAsset(address,address,address)", tokens[symbol].asset, vault, debt)
            self.admin_does(lender, "approve(address,address)", tokens[symbol].asset, vault)
        for symbol, price in {"USDC": 0.9998, "USDT": 1.0001, "WETH": 3700, "WBTC": 96_000}.items():
            self.block(self.tick(), self.market.set_price(symbol, price))
        self.liquidations: list[LiquidationTruth] = []

    def tick(self) -> datetime:
        self.clock += timedelta(seconds=1)
        return self.clock

    def create(self, name: str, types: str = "()", *args: object) -> str:
        creation = self.built[name].creation({}, types, args)
        return self.node.block(self.tick(), [Tx(self.admin, None, creation)])[0].created or ""

    def admin_does(self, to: str, signature: str, *args: object, when: datetime | None = None) -> None:
        self.node.block(when or self.tick(), [Tx(self.admin, to, call_data(signature, *args))])

    def add_agent(self, when: datetime, agent: str, network: str) -> None:
        signature = "addAgent(address,address,uint256,uint256)"
        args = (agent, network, 75 * _RAY // 100, 8 * _RAY // 10)
        self.admin_does(self.market.delegation, signature, *args, when=when)
        self.market.agents.append(agent)

    def block(self, when: datetime, *actions: Sequence[Tx]) -> None:
        self.node.block(when, [tx for action in actions for tx in action])

    def liquidate(self, when: datetime, *cases: tuple[str, str, str, str, float]) -> None:
        """A block of (liquidator, agent, collateral, debt, amount); the truth is read from the liquidator's balances."""
        market, txs, ends = self.market, [], []
        for liquidator, agent, _, debt, whole in cases:
            token = market.tokens[debt]
            amount = token.units(whole)
            seize = call_data("liquidate(address,address,uint256,uint256)", agent, token.asset, amount, 0)
            if agent not in [case[1] for case in cases[: len(ends)]]:  # one opening serves all
                txs.append(Tx(liquidator, market.lender, call_data("openLiquidation(address)", agent)))
            txs += [
                Tx(liquidator, token.asset, call_data("mint(address,uint256)", liquidator, amount)),
                Tx(liquidator, token.asset, call_data("approve(address,uint256)", market.lender, MAX)),
                Tx(liquidator, market.lender, seize),
            ]
            ends.append(len(txs) - 1)
        mined = self.node.block(when, txs)
        for end, (liquidator, agent, collateral, debt, whole) in zip(ends, cases, strict=True):
            seized, paid = market.tokens[collateral], market.tokens[debt]
            block = mined[end].block
            gained, left = (
                market.ask(one.asset, "balanceOf(address)", liquidator, block=block)
                - market.ask(one.asset, "balanceOf(address)", liquidator, block=block - 1)
                for one in (seized, paid)
            )
            self.liquidations.append(
                LiquidationTruth(
                    mined[end].tx, block, int(when.timestamp()), liquidator, agent, seized.asset, gained, paid.asset,
                    paid.units(whole) - left,
                )
            )  # fmt: skip


def play(node: Anvil) -> CapFortnight:
    """Nine days: two networks, an agent added later, interest, a drained coverage, a lost price, a dropped asset."""
    story = _Story(node)
    market, block = story.market, story.block
    saver, amy, bob, restaker, first, second = node.accounts[1:7]

    story.add_agent(at(0, "20:00:00"), amy, story.symbiotic)
    block(at(1, "08:00:00"), market.mint(saver, "USDC", 1_000_000), market.mint(saver, "USDT", 400_000))
    block(at(1, "09:00:00"), market.mint(saver, "USDX", 1.5))
    block(at(1, "10:00:00"), market.cover(story.symbiotic, restaker, amy, "WETH", 100))
    block(at(1, "23:59:59"))
    block(at(2, "00:00:00"))
    block(at(2, "10:00:00"), market.borrow(amy, "USDC", 200_000), market.borrow(amy, "USDT", 50_000))
    story.add_agent(at(3, "08:00:00"), bob, story.eigen)
    block(at(3, "09:00:00"), market.cover(story.eigen, restaker, bob, "WBTC", 2))
    block(at(3, "10:00:00"), market.borrow(bob, "USDC", 120_000))
    # idle money goes to the fractional reserve: the vault holds less, the books say the same
    invest = ("invest(address,address,uint256)", market.tokens["USDC"].asset, restaker, 10**11)
    story.admin_does(market.vault, *invest, when=at(3, "11:00:00"))
    block(at(4, "12:00:00"), market.repay(amy, "USDC", 20_000), market.burn(saver, "USDT", 1_000.5))
    pause = ("pauseAsset(address,bool)", market.tokens["USDT"].asset, True)
    story.admin_does(market.lender, *pause, when=at(4, "13:00:00"))
    block(at(5, "12:00:00"), market.set_price("WETH", 2_700))
    story.liquidate(at(5, "12:30:00"), (first, amy, "WETH", "USDC", 60_000), (second, amy, "WETH", "USDT", 10_000))
    block(at(5, "18:00:00"), market.set_price("WBTC", 61_000))
    block(at(5, "23:59:58"))
    # two at midnight exactly; the second takes all that is left of the coverage and leaves bad debt
    story.liquidate(at(6, "00:00:00"), (first, bob, "WBTC", "USDC", 30_000.25), (second, bob, "WBTC", "USDC", 89_000))
    block(at(7, "06:00:00"), market.set_price("USDT", 0))
    block(at(8, "06:00:00"), market.set_price("USDT", 0.999), market.burn(saver, "USDX", 1.5))
    story.admin_does(market.vault, "removeAsset(address)", market.tokens["USDX"].asset, when=at(8, "07:00:00"))
    block(at(9, "12:00:00"))
    for day in (10, 11):
        block(at(day, "00:00:00"))
    node.empty_blocks(70, 12)  # room for clients that call a block final only 64 blocks later
    return CapFortnight(node, market, story.liquidations)
