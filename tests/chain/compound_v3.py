"""`CometMarket`: a Comet on the local node, driven like a real market, and the fortnight of two of them.

Which code stands there is the caller's: anything with Comet's constructor. The suite deploys `SyntheticComet`, written
for it from the documented interface, because the protocol publishes no package with its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from .anvil import MULTICALL3, Anvil, NodeError, Tx
from .compiled import compiled
from .scenario import at
from .solidity import Artifact, bytes32_symbol_token, call_data, words

MAX = 2**256 - 1
ZERO = "0x" + "00" * 20
FIRST_DAY, LAST_DAY = date(2024, 12, 1), date(2024, 12, 12)
PRICELESS_DAY = date(2024, 12, 9)  # at its end the feed of WBTC answers 0
DESTROYED_DAY = date(2024, 12, 11)  # at its end the token MKR has no code
_CONFIG = (
    "((address,address,address,address,address" + ",uint64" * 12 + ",uint104,uint104,uint104,"
    "(address,address,uint8,uint64,uint64,uint64,uint128)[]))"
)
_E18 = 10**18


@dataclass(frozen=True)
class CometCode:
    """What to deploy: the Comet, and creation codes made before it, each from the address of the one before.

    The last of them is the Comet's extension delegate.
    """

    comet: Artifact
    before: Sequence[Callable[[str], str]] = ()


@dataclass(frozen=True)
class Token:
    """One token (address lower case) and its feed; factors as a Comet takes them, none for a base token."""

    symbol: str
    decimals: int
    asset: str
    feed: str
    factors: tuple[float, float, float] = (0, 0, 0)

    def units(self, whole: float) -> int:
        """`whole` tokens in the token's smallest unit."""
        return int(round(whole * 10**6) * 10**self.decimals // 10**6)


@dataclass(frozen=True)
class AbsorptionTruth:
    """One absorbed account as its balances show it: seized by asset, debt before, base credited after."""

    tx: str
    block: int
    timestamp: int
    comet: str
    liquidator: str
    borrower: str
    seized: Mapping[str, int]
    debt: int
    surplus: int


@dataclass
class CometMarket:
    """A deployed Comet. The deployer (account 0) is its governor; accounts 1.. are users."""

    node: Anvil
    comet: str
    base: Token
    collaterals: Mapping[str, Token]

    @classmethod
    def deploy(
        cls, node: Anvil, when: datetime, code: CometCode, base: Token, collaterals: Sequence[Token]
    ) -> CometMarket:
        """Create and initialise a Comet in blocks one second apart from `when` on."""
        admin = node.accounts[0]
        extension = ZERO
        for creation in code.before:
            extension = node.block(when, [Tx(admin, None, creation(extension))])[0].created or ""
            when += timedelta(seconds=1)
        percent = _E18 // 100
        rates = (80, 3, 40, 0, 80, 4, 25, 1, 50)  # kink, slopes, base of supply and borrow; store front
        assets = [
            (one.asset, one.feed, one.decimals, *(round(factor * _E18) for factor in one.factors), one.units(10**6))
            for one in collaterals
        ]
        scale = 10**base.decimals
        config = (
            admin, admin, base.asset, base.feed, extension, *(rate * percent for rate in rates), 10**15, 0, 0,
            scale, 0, 10**7 * scale, assets,
        )  # fmt: skip
        (mined,) = node.block(when, [Tx(admin, None, code.comet.creation({}, _CONFIG, (config,)))])
        comet = mined.created or ""
        node.block(when + timedelta(seconds=1), [Tx(admin, comet, call_data("initializeStorage()"))])
        return cls(node, comet, base, {one.symbol: one for one in collaterals})

    # -- acting: each returns the transactions to put in one block, in order

    def token(self, symbol: str) -> Token:
        """The base or collateral token of this symbol."""
        return self.base if symbol == self.base.symbol else self.collaterals[symbol]

    def supply(self, user: str, symbol: str, whole: float) -> list[Tx]:
        """Mint `whole` tokens to `user` and supply them; of the base token this repays first."""
        token = self.token(symbol)
        amount = token.units(whole)
        return [
            Tx(user, token.asset, call_data("mint(address,uint256)", user, amount)),
            Tx(user, token.asset, call_data("approve(address,uint256)", self.comet, MAX)),
            Tx(user, self.comet, call_data("supply(address,uint256)", token.asset, amount)),
        ]

    def withdraw(self, user: str, symbol: str, whole: float) -> list[Tx]:
        """Take `whole` tokens out; of the base token this borrows what is not there."""
        token = self.token(symbol)
        return [Tx(user, self.comet, call_data("withdraw(address,uint256)", token.asset, token.units(whole)))]

    def absorb(self, absorber: str, *accounts: str) -> Tx:
        """Take over underwater accounts in one transaction."""
        return Tx(absorber, self.comet, call_data("absorb(address,address[])", absorber, list(accounts)))

    def buy(self, buyer: str, symbol: str, whole_base: float) -> list[Tx]:
        """Buy absorbed collateral from the protocol."""
        amount = self.base.units(whole_base)
        signature = "buyCollateral(address,uint256,uint256,address)"
        return [
            Tx(buyer, self.base.asset, call_data("mint(address,uint256)", buyer, amount)),
            Tx(buyer, self.base.asset, call_data("approve(address,uint256)", self.comet, MAX)),
            Tx(buyer, self.comet, call_data(signature, self.token(symbol).asset, 0, amount, buyer)),
        ]

    # -- ground truth, one plain eth_call each

    def ask(self, signature: str, *args: object, block: int, at_time: int | None = None) -> int:
        """The first word of a getter's answer at the end of `block`, as if it were `at_time`."""
        request = {"to": self.comet, "data": call_data(signature, *args)}
        more = ({}, {"time": hex(at_time)}) if at_time is not None else ()
        return words(self.node.rpc("eth_call", request, hex(block), *more))[0]

    def price(self, token: Token, block: int) -> int | None:
        """The feed's own answer, or None where it fails or says 0."""
        try:
            answer = words(self.node.call(token.feed, "latestRoundData()", block=block))[1]
        except NodeError:
            return None
        return answer or None

    def held(self, token: Token, block: int) -> int:
        """What the Comet owns of `token`; only for tokens that exist."""
        return words(self.node.call(token.asset, "balanceOf(address)", self.comet, block=block))[0]


@dataclass
class CometFortnight:
    """The finished chain: the node (still running), both Comets and every absorption that happened."""

    node: Anvil
    usdc: CometMarket
    weth: CometMarket
    absorptions: list[AbsorptionTruth] = field(default_factory=list)

    def absorptions_on(self, day: date, market: CometMarket) -> list[AbsorptionTruth]:
        """The accounts a Comet absorbed on one UTC day, in order."""
        return [
            one
            for one in self.absorptions
            if one.comet == market.comet and datetime.fromtimestamp(one.timestamp, UTC).date() == day
        ]


class _Story:
    def __init__(self, node: Anvil, code: CometCode) -> None:
        self.node, self.admin = node, node.accounts[0]
        self.built = compiled("Tokens.sol", "SyntheticComet.sol")
        usdc = self.token("13:00:00", "USDC", 6, "USDC / USD", 1.0)
        weth = self.token("13:01:00", "WETH", 18, "ETH / USD", 3700.0, (0.825, 0.895, 0.95))
        wbtc = self.token("13:02:00", "WBTC", 8, "WBTC / USD price feed by API3", 96_000.0, (0.7, 0.77, 0.95))
        mkr = self.token("13:03:00", "MKR", 18, "MKR / USD", 1850.0, (0.65, 0.7, 0.93))
        broken = self.token("13:04:00", "BRK", 18, None, 0, (0.5, 0.6, 0.9))
        one = Token("WETH", 18, weth.asset, self.feed("13:05:00", "Constant price feed", 1.0))
        steth = self.token("13:06:00", "wstETH", 18, "wstETH / ETH", 1.18, (0.9, 0.93, 0.97))
        self.usdc = CometMarket.deploy(node, at(0, "14:00:00"), code, usdc, [weth, wbtc, mkr, broken])
        self.weth = CometMarket.deploy(node, at(0, "15:00:00"), code, one, [steth])
        self.absorptions: list[AbsorptionTruth] = []

    def create(self, clock: str, creation: str) -> str:
        return self.node.block(at(0, clock), [Tx(self.admin, None, creation)])[0].created or ""

    def feed(self, clock: str, description: str | None, price: float) -> str:
        if description is None:
            return self.create(clock, self.built["BrokenFeed"].creation({}))
        args = (8, description, round(price * 10**8))
        return self.create(clock, self.built["TestFeed"].creation({}, "(uint8,string,int256)", args))

    def token(
        self,
        clock: str,
        symbol: str,
        decimals: int,
        feed: str | None,
        price: float,
        factors: tuple[float, float, float] = (0, 0, 0),
    ) -> Token:
        asset = self.create(clock, self.built["TestToken"].creation({}, "(string,uint8)", (symbol, decimals)))
        if symbol == "MKR":
            asset = self.create(clock[:-2] + "10", bytes32_symbol_token(asset, symbol, decimals))
        return Token(symbol, decimals, asset, self.feed(clock[:-2] + "20", feed, price), factors)

    def block(self, when: datetime, *actions: Sequence[Tx]) -> None:
        self.node.block(when, [tx for action in actions for tx in action])

    def set_price(self, when: datetime, token: Token, price: float) -> None:
        self.block(when, [Tx(self.admin, token.feed, call_data("set(int256)", round(price * 10**8)))])

    def absorb(self, when: datetime, absorber: str, *cases: tuple[CometMarket, Sequence[str]]) -> None:
        """One transaction that absorbs accounts of one Comet, or through Multicall3 of several."""
        txs = [market.absorb(absorber, *accounts) for market, accounts in cases]
        if len(txs) > 1:
            calls = [(tx.to, False, bytes.fromhex(tx.data[2:])) for tx in txs]
            txs = [Tx(absorber, MULTICALL3, call_data("aggregate3((address,bool,bytes)[])", calls))]
        (mined,) = self.node.block(when, txs)
        now = int(when.timestamp())
        for market, accounts in cases:
            for account in accounts:
                held = "userCollateral(address,address)"
                taken = {
                    one.asset: market.ask(held, account, one.asset, block=mined.block - 1)
                    - market.ask(held, account, one.asset, block=mined.block)
                    for one in market.collaterals.values()
                }
                self.absorptions.append(
                    AbsorptionTruth(
                        mined.tx, mined.block, now, market.comet, absorber, account,
                        {asset: amount for asset, amount in taken.items() if amount},
                        market.ask("borrowBalanceOf(address)", account, block=mined.block - 1, at_time=now),
                        market.ask("balanceOf(address)", account, block=mined.block),
                    )
                )  # fmt: skip


def synthetic() -> CometCode:
    """The Comet written for this suite."""
    return CometCode(compiled("Tokens.sol", "SyntheticComet.sol")["SyntheticComet"])


def play(node: Anvil, code: CometCode) -> CometFortnight:
    """Twelve days of a USDC Comet (quoted in USD) and a WETH Comet (quoted in WETH) on a fresh node."""
    story = _Story(node, code)
    usdc, weth, block = story.usdc, story.weth, story.block
    lender, ann, ben, cyd, dan, eve, first, second = node.accounts[1:9]

    block(at(1, "08:00:00"), usdc.supply(lender, "USDC", 2_000_000), weth.supply(lender, "WETH", 300))
    block(at(1, "09:00:00"), usdc.supply(ann, "WETH", 40), usdc.supply(ann, "WBTC", 1), usdc.supply(ben, "WETH", 20))
    block(at(1, "09:30:00"), usdc.supply(cyd, "MKR", 100), weth.supply(ann, "wstETH", 100))
    block(at(1, "10:00:00"), *(usdc.supply(dan, symbol, 5) for symbol in ("WBTC", "MKR", "BRK")))
    block(at(1, "10:30:00"), usdc.supply(eve, "WBTC", 2))
    block(at(1, "23:59:59"))
    block(at(2, "00:00:00"))
    block(at(2, "10:00:00"), usdc.withdraw(ann, "USDC", 180_000), usdc.withdraw(ben, "USDC", 60_000))
    block(at(2, "11:00:00"), usdc.withdraw(cyd, "USDC", 118_000), weth.withdraw(ann, "WETH", 90))
    block(at(3, "12:00:00"), usdc.supply(ben, "USDC", 4_000))
    block(at(4, "23:59:59"), usdc.supply(lender, "USDC", 12_345.678901))
    block(at(5, "00:00:00"), usdc.withdraw(lender, "USDC", 0.000001))

    story.set_price(at(5, "13:00:00"), usdc.collaterals["WETH"], 2900.0)
    # ann has two collaterals and gets a surplus; what ben owes is a little more than his collateral is credited with
    story.absorb(at(5, "13:05:00"), first, (usdc, (ann, ben)))
    block(at(6, "09:00:00"), usdc.buy(second, "WETH", 10_000))

    story.set_price(at(7, "20:00:00"), usdc.collaterals["MKR"], 900.0)
    story.set_price(at(7, "20:00:01"), weth.collaterals["wstETH"], 0.95)
    block(at(7, "23:59:59"))
    # bad debt: cyd's collateral is worth less than the debt; and both Comets in one transaction, at midnight
    story.absorb(at(8, "00:00:00"), second, (usdc, (cyd,)), (weth, (ann,)))
    block(at(8, "10:00:00"), usdc.withdraw(eve, "USDC", 50_000))

    story.set_price(at(9, "06:00:00"), usdc.collaterals["WBTC"], 0)
    block(at(9, "23:59:58"))
    story.set_price(at(10, "06:00:00"), usdc.collaterals["WBTC"], 97_000.5)
    pause = call_data("pause(bool,bool,bool,bool,bool)", True, True, True, True, True)
    block(at(10, "07:00:00"), [Tx(node.accounts[0], usdc.comet, pause)])
    block(at(10, "23:59:59"))
    block(at(11, "06:00:00"))  # the head when the token goes, so that no earlier day sees it gone
    node.rpc("anvil_setCode", usdc.collaterals["MKR"].asset, "0x")
    block(at(11, "12:00:00"))
    block(at(12, "12:00:00"))
    for day in (13, 14):
        block(at(day, "00:00:00"))
    node.empty_blocks(70, 12)  # room for clients that call a block final only 64 blocks later
    return CometFortnight(node, usdc, weth, story.absorptions)
