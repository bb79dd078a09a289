"""`MorphoBlue`: the contract that npm `@morpho-org/morpho-blue` publishes, on the local node, with its own mocks around it.

`Accrued` (ours) calls the contract's accrueInterest inside an eth_call and returns its market(), so that the truth about
interest is the contract's own arithmetic. Collateral's truth is the sum of the positions, a route the collector does not take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from .anvil import Anvil, Tx
from .published import built
from .solc import cannot_build
from .solidity import Artifact, artifact, bytes32_symbol_token, call_data, encode, keccak, words

ZERO = "0x" + "00" * 20
MAX = 2**256 - 1
WAD = 10**18
COMPILER = "solc-0.8.19"
PACKAGE = "@morpho-org/morpho-blue"
MARKET_PARAMS = "(address,address,address,address,uint256)"


def cannot_play() -> str | None:
    """Why Morpho cannot be built here; None when it can."""
    return cannot_build(COMPILER, PACKAGE)


def contracts() -> Mapping[str, Artifact]:
    """The published contracts and our two parts beside them."""
    source = f"{PACKAGE}/src"
    mocks = (f"{source}/mocks/{name}.sol" for name in ("IrmMock", "OracleMock", "ERC20Mock"))
    return built(COMPILER, f"{source}/Morpho.sol", *mocks, "MorphoParts.sol")


@dataclass(frozen=True)
class Market:
    """One isolated market; addresses lower case, `oracle_unit` = price() of one whole token per whole loan token."""

    loan: str
    collateral: str
    oracle: str
    irm: str
    lltv: int

    @property
    def params(self) -> tuple[str, str, str, str, int]:
        return (self.loan, self.collateral, self.oracle, self.irm, self.lltv)

    @property
    def id(self) -> str:
        return "0x" + keccak(encode(MARKET_PARAMS, *self.params)).hex()


@dataclass(frozen=True)
class Liquidated:
    """One liquidation by what changed hands; `bad_debt` by the lenders' loss."""

    tx: str
    block: int
    timestamp: int
    market: Market
    liquidator: str
    borrower: str
    seized: int
    repaid: int
    bad_debt: int


@dataclass
class MorphoBlue:
    """The deployed contract. The deployer (account 0) owns it; accounts 1.. are users."""

    node: Anvil
    address: str
    accrued: str
    irm: str
    deployed_block: int
    users: Sequence[str]
    tokens: dict[str, str] = field(default_factory=dict)
    decimals: dict[str, int] = field(default_factory=dict)
    markets: dict[str, Market] = field(default_factory=dict)
    liquidations: list[Liquidated] = field(default_factory=list)

    @classmethod
    def deploy(cls, node: Anvil, at: datetime) -> MorphoBlue:
        """The contract with its rate model, LLTVs of 0, 86 and 94.5 %, and a fee recipient."""
        owner, parts = node.accounts[0], contracts()
        made = node.block(
            at,
            [
                Tx(owner, None, parts["Morpho"].creation({}, "(address)", (owner,))),
                Tx(owner, None, parts["Accrued"].creation({})),
                Tx(owner, None, parts["IrmMock"].creation({})),
            ],
        )
        address, accrued, irm = (one.created or "" for one in made)
        setup = [
            ("enableIrm(address)", irm),
            ("enableIrm(address)", ZERO),
            *(("enableLltv(uint256)", lltv) for lltv in (0, 86 * WAD // 100, 945 * WAD // 1000)),
            ("setFeeRecipient(address)", node.accounts[9]),
        ]
        node.block(
            at + timedelta(seconds=1), [Tx(owner, address, call_data(signature, value)) for signature, value in setup]
        )
        return cls(node, address, accrued, irm, made[0].block, node.accounts[:10])

    # -- building

    def take_roles(self) -> None:
        """From now on the contract has roles as Moolah has, and else the code it had."""
        owner, code = self.node.accounts[0], self.node.rpc("eth_getCode", self.address, "latest")
        self.node.rpc("anvil_setCode", f"0x{0xC0DE:040x}", code)
        made = self.node.rpc("eth_sendTransaction", {"from": owner, "data": contracts()["Roled"].creation({})})
        self.node.rpc("evm_mine")
        at = self.node.rpc("eth_getTransactionReceipt", made)["contractAddress"]
        self.node.rpc("anvil_setCode", self.address, self.node.rpc("eth_getCode", at, "latest"))

    def token(self, at: datetime, symbol: str, decimals: int | None, *, bytes32: bool = False) -> str:
        """A new token; `decimals` None makes one that tells neither symbol nor decimals (Morpho's own mock)."""
        owner = self.node.accounts[0]
        if decimals is None:
            code = contracts()["ERC20Mock"].creation({})
        else:
            code = artifact("MintableERC20").creation({}, "(string,string,uint8)", (symbol, symbol, decimals))
        address = self.node.block(at, [Tx(owner, None, code)])[0].created or ""
        if bytes32:
            proxy = Tx(owner, None, bytes32_symbol_token(address, symbol, decimals or 18))
            address = self.node.block(at + timedelta(seconds=1), [proxy])[0].created or ""
        self.tokens[symbol], self.decimals[symbol] = address, decimals or 0
        return address

    def market(
        self,
        at: datetime,
        name: str,
        *,
        loan: str,
        collateral: str | None,
        price: float,
        lltv: float,
        interest: bool = True,
    ) -> Market:
        """Create a market; `price` is the collateral's in whole loan tokens. No collateral makes an idle market."""
        owner, oracle = self.node.accounts[0], ZERO
        if collateral is not None:
            oracle = self.node.block(at, [Tx(owner, None, contracts()["PeekOracle"].creation({}))])[0].created or ""
        made = Market(
            self.tokens[loan],
            self.tokens[collateral] if collateral else ZERO,
            oracle,
            self.irm if interest else ZERO,
            round(lltv * 1000) * WAD // 1000,
        )
        self.markets[name] = made
        create = Tx(owner, self.address, call_data(f"createMarket({MARKET_PARAMS})", made.params))
        txs = [create, *(self.set_price(name, price) if collateral else ())]
        self.node.block(at + timedelta(seconds=1), txs)
        return made

    def symbol_of(self, address: str) -> str:
        """The symbol under which a token was made."""
        return next(symbol for symbol, one in self.tokens.items() if one == address)

    def unit(self, market: Market) -> int:
        """price() of a market whose collateral is worth one whole loan token."""
        loan, collateral = (self.decimals[self.symbol_of(one)] for one in (market.loan, market.collateral))
        return 10 ** (36 + loan - collateral)

    # -- acting: each returns the transactions to put in one block

    def set_price(self, name: str, price: float) -> list[Tx]:
        """The collateral's price in whole loan tokens; 0 means that the oracle has none."""
        market = self.markets[name]
        raw = round(price * 10**6) * self.unit(market) // 10**6
        return [Tx(self.node.accounts[0], market.oracle, call_data("setPrice(uint256)", raw))]

    def fee(self, name: str, share: float) -> list[Tx]:
        """The share of the interest that the fee recipient gets."""
        data = call_data(f"setFee({MARKET_PARAMS},uint256)", self.markets[name].params, round(share * 100) * WAD // 100)
        return [Tx(self.node.accounts[0], self.address, data)]

    def units(self, symbol: str, whole: float) -> int:
        """`whole` tokens in the token's smallest unit."""
        return int(round(whole * 10**6) * 10 ** self.decimals[symbol] // 10**6)

    def fund(self, user: str, symbol: str, amount: int) -> list[Tx]:
        """Mint to `user` and allow the contract to take it."""
        token = self.tokens[symbol]
        mint = "setBalance(address,uint256)" if symbol == "NONAME" else "mint(address,uint256)"
        return [
            Tx(user, token, call_data(mint, user, amount)),
            Tx(user, token, call_data("approve(address,uint256)", self.address, MAX)),
        ]

    def _act(self, user: str, call: str, name: str, *more: object) -> Tx:
        return Tx(user, self.address, call_data(call, self.markets[name].params, *more))

    def supply(self, user: str, name: str, whole: float) -> list[Tx]:
        """Lend."""
        symbol = self.symbol_of(self.markets[name].loan)
        amount = self.units(symbol, whole)
        signature = f"supply({MARKET_PARAMS},uint256,uint256,address,bytes)"
        return [*self.fund(user, symbol, amount), self._act(user, signature, name, amount, 0, user, b"")]

    def withdraw(self, user: str, name: str, whole: float) -> list[Tx]:
        """Take lent tokens back."""
        amount = self.units(self.symbol_of(self.markets[name].loan), whole)
        signature = f"withdraw({MARKET_PARAMS},uint256,uint256,address,address)"
        return [self._act(user, signature, name, amount, 0, user, user)]

    def pledge(self, user: str, name: str, whole: float) -> list[Tx]:
        """Deposit collateral."""
        symbol = self.symbol_of(self.markets[name].collateral)
        amount = self.units(symbol, whole)
        signature = f"supplyCollateral({MARKET_PARAMS},uint256,address,bytes)"
        return [*self.fund(user, symbol, amount), self._act(user, signature, name, amount, user, b"")]

    def release(self, user: str, name: str, whole: float) -> list[Tx]:
        """Take collateral back."""
        amount = self.units(self.symbol_of(self.markets[name].collateral), whole)
        signature = f"withdrawCollateral({MARKET_PARAMS},uint256,address,address)"
        return [self._act(user, signature, name, amount, user, user)]

    def borrow(self, user: str, name: str, whole: float) -> list[Tx]:
        """Borrow."""
        amount = self.units(self.symbol_of(self.markets[name].loan), whole)
        return [
            self._act(user, f"borrow({MARKET_PARAMS},uint256,uint256,address,address)", name, amount, 0, user, user)
        ]

    def repay(self, user: str, name: str, whole: float) -> list[Tx]:
        """Repay from freshly minted tokens."""
        symbol = self.symbol_of(self.markets[name].loan)
        amount = self.units(symbol, whole)
        signature = f"repay({MARKET_PARAMS},uint256,uint256,address,bytes)"
        return [*self.fund(user, symbol, amount), self._act(user, signature, name, amount, 0, user, b"")]

    def liquidate(self, at: datetime, liquidator: str, borrower: str, name: str, seized: float) -> None:
        """Seize `seized` whole collateral tokens in a block of its own; the truth is read from the balances."""
        market = self.markets[name]
        loan, collateral = self.symbol_of(market.loan), self.symbol_of(market.collateral)
        funded = self.units(loan, 1_000_000)
        amount = self.units(collateral, seized)
        signature = f"liquidate({MARKET_PARAMS},address,uint256,uint256,bytes)"
        txs = [*self.fund(liquidator, loan, funded), self._act(liquidator, signature, name, borrower, amount, 0, b"")]
        done = self.node.block(at, txs)[-1]
        before, after = done.block - 1, done.block
        gained = self.balance(market.collateral, liquidator, after) - self.balance(
            market.collateral, liquidator, before
        )
        paid = self.balance(market.loan, liquidator, before) + funded - self.balance(market.loan, liquidator, after)
        # the lenders' loss: exact where no interest accrues between the two blocks
        lost = 0 if market.irm != ZERO else self.state(market, before)[0] - self.state(market, after)[0]
        self.liquidations.append(
            Liquidated(done.tx, done.block, int(at.timestamp()), market, liquidator, borrower, gained, paid, lost)
        )

    def donate(self, user: str, symbol: str, whole: float) -> list[Tx]:
        """Send tokens to the contract by mistake."""
        amount = self.units(symbol, whole)
        token = self.tokens[symbol]
        return [
            *self.fund(user, symbol, amount),
            Tx(user, token, call_data("transfer(address,uint256)", self.address, amount)),
        ]

    # -- ground truth

    def balance(self, token: str, owner: str, block: int) -> int:
        """The token's own word for what `owner` has."""
        return words(self.node.call(token, "balanceOf(address)", owner, block=block))[0]

    def state(self, market: Market, block: int) -> list[int]:
        """market() after the contract's own accrueInterest at `block`'s instant; six words."""
        market_id = bytes.fromhex(market.id[2:])
        return words(self.node.call(self.accrued, "market(address,bytes32)", self.address, market_id, block=block))

    def created(self, block: int) -> list[Market]:
        """The markets that exist at `block`."""
        known = []
        for market in self.markets.values():
            answer = self.node.call(self.address, "market(bytes32)", bytes.fromhex(market.id[2:]), block=block)
            if words(answer)[4]:
                known.append(market)
        return known

    def truth(self, symbol: str, block: int) -> tuple[int, int, int]:
        """Supplied, borrowed and collateral of a token: accrued totals, and the sum of every user's positions."""
        token = self.tokens[symbol]
        supplied = borrowed = pledged = 0
        for market in self.created(block):
            if market.loan == token:
                totals = self.state(market, block)
                supplied, borrowed = supplied + totals[0], borrowed + totals[2]
            if market.collateral == token:
                market_id = bytes.fromhex(market.id[2:])
                for user in self.users:
                    answer = self.node.call(self.address, "position(bytes32,address)", market_id, user, block=block)
                    pledged += words(answer)[2]
        return supplied, borrowed, pledged

    def last_block_of(self, day: date) -> int:
        """The highest block whose timestamp lies before the end of `day` (UTC)."""
        end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        numbers = range(self.node.number() + 1)
        return max(number for number in numbers if self.node.timestamp(number) < end.timestamp())


FIRST_DAY, LAST_DAY = date(2024, 12, 1), date(2024, 12, 6)
DONATED = ("USDC", 7.0, date(2024, 12, 5))  # sent to the contract by mistake on this day


def at(day: int, clock: str) -> datetime:
    """The instant `clock` (HH:MM, UTC) of 2024-12-`day`; day 0 is 2024-11-30."""
    hours, minutes = map(int, clock.split(":"))
    return datetime(2024, 11, 30, tzinfo=UTC) + timedelta(days=day, hours=hours, minutes=minutes)


def play(node: Anvil) -> MorphoBlue:
    """Six days: every kind of action, a fee, an idle market, a false oracle, a nameless token, bad debt, a late market."""
    morpho = MorphoBlue.deploy(node, at(0, "13:00"))
    lender, ann, ben, cyd, dan, first, second = node.accounts[1:8]

    def block(when: datetime, *actions: list[Tx]) -> None:
        node.block(when, [tx for action in actions for tx in action])

    tokens = (("USDC", 6), ("WETH", 18), ("wstETH", 18), ("WBTC", 8), ("JUNK", 18), ("NONAME", None), ("MKR", 18))
    for minute, (symbol, decimals) in enumerate(tokens):
        morpho.token(at(0, f"14:0{minute}"), symbol, decimals, bytes32=symbol == "MKR")

    morpho.market(at(1, "01:00"), "WETH/USDC", loan="USDC", collateral="WETH", price=3700, lltv=0.86)
    morpho.market(at(1, "02:00"), "wstETH/WETH", loan="WETH", collateral="wstETH", price=1.18, lltv=0.945)
    morpho.market(at(1, "03:00"), "WBTC/USDC", loan="USDC", collateral="WBTC", price=96_000, lltv=0.86, interest=False)
    morpho.market(at(1, "03:30"), "idle USDC", loan="USDC", collateral=None, price=0, lltv=0, interest=False)
    morpho.market(at(1, "04:00"), "JUNK/USDC", loan="USDC", collateral="JUNK", price=10**9, lltv=0.86)
    morpho.market(at(1, "05:00"), "NONAME/USDC", loan="USDC", collateral="NONAME", price=2, lltv=0.86)
    block(at(1, "06:00"), morpho.fee("WETH/USDC", 0.1))
    block(at(1, "10:00"), morpho.supply(lender, "WETH/USDC", 1_000_000), morpho.supply(lender, "WBTC/USDC", 400_000))
    block(at(1, "11:00"), morpho.pledge(ann, "WETH/USDC", 100), morpho.borrow(ann, "WETH/USDC", 300_000))
    node.block(at(1, "23:59"))

    block(at(2, "09:00"), morpho.supply(lender, "wstETH/WETH", 500), morpho.pledge(ben, "wstETH/WETH", 200))
    block(at(2, "10:00"), morpho.borrow(ben, "wstETH/WETH", 180.5), morpho.pledge(cyd, "WBTC/USDC", 3.25))
    block(at(2, "11:00"), morpho.borrow(cyd, "WBTC/USDC", 260_000), morpho.supply(lender, "idle USDC", 12_345.678901))
    block(at(2, "12:00"), morpho.supply(dan, "JUNK/USDC", 1), morpho.pledge(dan, "JUNK/USDC", 1_000_000))
    block(at(2, "12:30"), morpho.borrow(dan, "JUNK/USDC", 0.5), morpho.supply(dan, "NONAME/USDC", 9))
    block(at(2, "13:00"), morpho.pledge(dan, "NONAME/USDC", 70), morpho.borrow(dan, "NONAME/USDC", 0.00001))
    node.block(at(2, "23:59"))

    block(at(3, "08:00"), morpho.set_price("WETH/USDC", 3450), morpho.set_price("WBTC/USDC", 95_000))
    morpho.liquidate(at(3, "08:05"), first, ann, "WETH/USDC", 30.25)
    block(at(3, "15:00"), morpho.repay(ann, "WETH/USDC", 20_000), morpho.withdraw(lender, "WETH/USDC", 55.5))
    node.block(at(3, "23:59"))

    block(at(4, "00:00"), morpho.release(ben, "wstETH/WETH", 0.25))  # the first instant of the day
    block(at(4, "07:00"), morpho.set_price("WBTC/USDC", 40_000))
    morpho.liquidate(at(4, "07:05"), second, cyd, "WBTC/USDC", 3.25)  # all of it: the rest is bad debt
    morpho.market(at(4, "09:00"), "MKR/USDC", loan="USDC", collateral="MKR", price=1850, lltv=0.86)
    block(at(4, "10:00"), morpho.supply(lender, "MKR/USDC", 5_000), morpho.pledge(ben, "MKR/USDC", 2))
    block(at(4, "11:00"), morpho.borrow(ben, "MKR/USDC", 1_000))
    node.block(at(4, "23:59"))

    symbol, whole, _ = DONATED
    block(at(5, "10:00"), morpho.donate(dan, symbol, whole), morpho.set_price("MKR/USDC", 0))
    node.block(at(5, "23:59"))
    node.block(at(6, "23:59"))  # a quiet day: interest only
    node.block(at(7, "12:00"))
    node.empty_blocks(70, 12)  # room for clients that call a block final only 64 blocks later
    return morpho
