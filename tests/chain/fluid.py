"""`Fluid`: a synthetic stand-in with Fluid's documented storage and interfaces. No package publishes Fluid's own code.

That the arithmetic is Fluid's is shown elsewhere, by recorded answers of its LiquidityCalcs (tests/sources/test_fluid.py);
here the calls, the storage walk, the native coin, the events and the vault layouts are driven on a real node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from .anvil import Anvil, Tx
from .morpho_blue import COMPILER
from .published import built
from .solidity import artifact, bytes32_symbol_token, call_data, encode, keccak, words

NATIVE = "0x" + "ee" * 20
ZERO = "0x" + "00" * 20
WEETH = "0xcd5fe23c85820f7b72d0926fc9b05b43e359b7ee"
ZIRCUIT = "0xf047ab4c75cebf0eb9ed34ae2c186f3611aeafa6"
STAKED, LEFT = 7 * 10**20 + 1, 3 * 10**18  # weETH staked at Zircuit, and left with the contract
T1, T4 = 10000, 40000


def big(amount: int) -> int:
    """A BigNumber: 56 bits of coefficient, 8 of exponent; what does not fit is cut off."""
    exponent = max(0, amount.bit_length() - 56)
    return amount >> exponent << 8 | exponent


def packed_prices(
    at: datetime, *, rate: float, fee: float = 0, utilisation: float, supply: float = 1, borrow: float = 1,
    supply_ratio: int = 0, borrow_ratio: int = 0,
) -> int:  # fmt: skip
    """exchangePricesAndConfig as of `at`; shares in percent, ratios as stored (bit 0: which side divides)."""
    return (
        round(rate * 100) | round(fee * 100) << 16 | round(utilisation * 100) << 30 | int(at.timestamp()) << 58
        | round(supply * 10**12) << 91 | round(borrow * 10**12) << 155 | supply_ratio << 219 | borrow_ratio << 234
    )  # fmt: skip


def packed_totals(supply: int, supply_free: int, borrow: int, borrow_free: int) -> int:
    """totalAmounts: raw amounts with interest and amounts without, of both sides."""
    return sum(big(one) << 64 * place for place, one in enumerate((supply, supply_free, borrow, borrow_free)))


@dataclass
class Fluid:
    """The contracts on the node; addresses lower case."""

    node: Anvil
    liquidity: str
    lens: str
    factory: str
    deployed_block: int
    tokens: dict[str, str] = field(default_factory=dict)
    vaults: dict[str, str] = field(default_factory=dict)
    pool: str = ""

    def store(self, slot: int, value: int) -> Tx:
        """Write one word of the Liquidity contract."""
        data = call_data("write(bytes32,uint256)", slot.to_bytes(32, "big"), value)
        return Tx(self.node.accounts[0], self.liquidity, data)

    def mapped(self, symbol: str, slot: int) -> int:
        """The slot of a token's word in the mapping at `slot`."""
        return int.from_bytes(keccak(encode("(address,uint256)", self.tokens[symbol], slot)), "big")

    def lists(self, *symbols: str) -> list[Tx]:
        """Put all tokens so far and these on the list."""
        first = int.from_bytes(keccak((10).to_bytes(32, "big")), "big")
        places = [(first + list(self.tokens).index(symbol), int(self.tokens[symbol], 16)) for symbol in symbols]
        return [self.store(10, max(place - first for place, _ in places) + 1), *(self.store(*one) for one in places)]

    def sets(self, symbol: str, prices: int, totals: int) -> list[Tx]:
        """Give a token its packed words."""
        return [self.store(self.mapped(symbol, 5), prices), self.store(self.mapped(symbol, 7), totals)]

    def fills(self, *shares: tuple[int, int, int], price: int) -> list[Tx]:
        """Give the pool ETH/USDC its price (USDC per ETH), and per side all shares and what they hold, in raw units."""
        tokens = [self.tokens[symbol] for symbol in ("ETH", "USDC")]
        owner, number = self.node.accounts[0], big(price * 10**27)
        variables = (number >> 8) >> 24 << 8 | (number & 0xFF) + 24  # 32 bits of coefficient
        words = [(self.pool, 0, variables << 41)]
        for slot, users, (all_shares, *held) in ((2, 8, shares[0]), (4, 9, shares[1])):
            words.append((self.pool, slot, all_shares | 2**127 << 128))
            inner = int.from_bytes(keccak(encode("(address,uint256)", self.pool, users)), "big")
            for token, amount, interest in zip(tokens, held, (1, 0), strict=True):
                place = int.from_bytes(keccak(encode("(address,uint256)", token, inner)), "big")
                words.append((self.liquidity, place, big(amount) << 1 | interest))
        signature = "write(bytes32,uint256)"
        return [Tx(owner, to, call_data(signature, slot.to_bytes(32, "big"), value)) for to, slot, value in words]

    def part(self, symbol: str, users: int, amount: int, block: int) -> int:
        """What `amount` supply (8) or borrow (9) shares of the pool hold of a token, by the second implementation."""
        where = (self.liquidity, self.pool, self.tokens[symbol], users, amount)
        return words(self.node.call(self.lens, "part(address,address,address,uint256,uint256)", *where, block=block))[0]

    def vault(self, at: datetime, name: str, kind: int) -> None:
        """Deploy a vault WETH-like/USDC: kind 10000 in the first layout, 40000 (both sides smart) in the later one."""
        owner, weth, usdc = self.node.accounts[0], self.tokens["ETH"], self.tokens["USDC"]
        some = ZERO[:-1] + "9"
        constants: tuple[object, ...] = (self.liquidity, self.factory, some, some, weth, usdc, 18, 6, 1, 0, 0, 0, 0)
        if kind != T1:
            constants = (
                self.liquidity, self.factory, some, some, some, some, self.pool, self.pool,
                weth, usdc, weth, usdc, 2, kind, 0, 0, 0, 0,
            )  # fmt: skip
        raw = encode(
            "(" + ",".join("address" if isinstance(one, str) else "uint256" for one in constants) + ")", *constants
        )
        parts = built(COMPILER, "SyntheticFluid.sol")
        code = parts["SyntheticVault"].creation({}, "(bytes)", (raw,))
        self.vaults[name] = self.node.block(at, [Tx(owner, None, code)])[0].created or ""
        add = Tx(owner, self.factory, call_data("add(address)", self.vaults[name]))
        self.node.block(at + timedelta(seconds=1), [add])

    def liquidate(self, at: datetime, *cases: tuple[str, str, int, int]) -> list[str]:
        """One block of liquidations (vault, liquidator, collateral, debt); returns the transaction hashes."""
        signature = "liquidate(uint256,uint256,address)"
        txs = [
            Tx(who, self.vaults[vault], call_data(signature, collateral, debt, who))
            for vault, who, collateral, debt in cases
        ]
        return [one.tx for one in self.node.block(at, txs)]

    def truth(self, symbol: str, block: int) -> list[int]:
        """Supplied and borrowed by the second implementation, run by the node at that block."""
        answer = self.node.call(self.lens, "totals(address,address)", self.liquidity, self.tokens[symbol], block=block)
        return words(answer)

    def last_block_of(self, day: int) -> int:
        """The highest block before the end of 2024-12-`day`."""
        end = at(day + 1, "00:00").timestamp()
        return max(n for n in range(self.node.number() + 1) if self.node.timestamp(n) < end)


def at(day: int, clock: str) -> datetime:
    """The instant `clock` (HH:MM, UTC) of 2024-12-`day`; day 0 is 2024-11-30."""
    hours, minutes = map(int, clock.split(":"))
    return datetime(2024, 11, 30, tzinfo=UTC) + timedelta(days=day, hours=hours, minutes=minutes)


def play(node: Anvil) -> tuple[Fluid, Sequence[str]]:
    """Three days: native coin, interest-free parts both ways, a late listing, staked weETH; the liquidations' hashes."""
    owner, first, second = node.accounts[0], *node.accounts[6:8]
    parts = built(COMPILER, "SyntheticFluid.sol")
    names = ("SyntheticLiquidity", "SyntheticLens", "SyntheticVaultFactory", "SyntheticLiquidity")
    made = node.block(at(0, "13:00"), [Tx(owner, None, parts[name].creation({})) for name in names])
    liquidity, lens, factory, pool = (one.created or "" for one in made)
    fluid = Fluid(node, liquidity, lens, factory, made[0].block, pool=pool)
    for minute, (address, amount) in enumerate(((WEETH, LEFT), (ZIRCUIT, STAKED))):
        stake = parts["SyntheticStake"].creation({}, "(uint256)", (amount,))
        copy = node.block(at(0, f"13:1{minute}"), [Tx(owner, None, stake)])[0].created
        node.rpc("anvil_setCode", address, node.rpc("eth_getCode", copy, "latest"))
    node.rpc("anvil_setBalance", liquidity, hex(42 * 10**18 + 5))

    def token(when: datetime, symbol: str, decimals: int) -> str:
        code = artifact("MintableERC20").creation({}, "(string,string,uint8)", (symbol, symbol, decimals))
        return node.block(when, [Tx(owner, None, code)])[0].created or ""

    mkr = token(at(0, "14:02"), "MKR", 18)
    proxy = Tx(owner, None, bytes32_symbol_token(mkr, "MKR", 18))
    named = node.block(at(0, "14:03"), [proxy])[0].created or ""
    fluid.tokens = {"ETH": NATIVE, "USDC": token(at(0, "14:04"), "USDC", 6), "MKR": named, "weETH": WEETH}
    mint = Tx(owner, fluid.tokens["USDC"], call_data("mint(address,uint256)", owner, 10**12))
    give = Tx(owner, fluid.tokens["USDC"], call_data("transfer(address,uint256)", liquidity, 123_456_789_012))
    node.block(at(0, "14:05"), [mint, give])
    noon = at(1, "12:00")
    node.block(
        noon,
        [
            *fluid.lists("ETH", "USDC"),
            *fluid.sets(
                "ETH",
                packed_prices(noon, rate=2.5, fee=10, utilisation=71.3, supply=1.01, borrow=1.02),
                packed_totals(5000 * 10**18 + 1, 0, 3700 * 10**18, 0),
            ),
            *fluid.sets(
                "USDC",
                packed_prices(noon, rate=8.77, fee=15, utilisation=88, supply_ratio=2 * 1250, borrow_ratio=2 * 333),
                packed_totals(8 * 10**12, 10**12, 6 * 10**12, 2 * 10**11),
            ),
        ],
    )
    fluid.vault(at(1, "13:00"), "T1", T1)
    first_txs = fluid.liquidate(at(1, "14:00"), ("T1", first, 3 * 10**18, 9_999_000_001))
    fluid.vault(at(2, "09:00"), "T4", T4)
    supplied, owed = (10**21, 2000 * 10**18, 7 * 10**12), (5 * 10**20, 900 * 10**18, 3 * 10**12)
    node.block(at(2, "09:30"), fluid.fills(supplied, owed, price=3500))
    morning = at(2, "10:00")
    node.block(
        morning,
        [
            *fluid.lists("MKR", "weETH"),
            *fluid.sets(
                "MKR",
                packed_prices(morning, rate=4, utilisation=20, supply_ratio=2 * 2500 + 1, borrow_ratio=2 * 900 + 1),
                packed_totals(10**18, 4 * 10**18, 10**17, 9 * 10**17),
            ),
        ],
    )
    more_txs = fluid.liquidate(
        at(2, "11:00"), ("T4", second, 5 * 10**17, 4 * 10**17), ("T1", first, 10**17, 350_000_000)
    )
    node.block(at(3, "08:00"), [Tx(owner, pool, call_data("write(bytes32,uint256)", bytes(31) + b"\2", 0))])
    more_txs += fluid.liquidate(at(3, "09:00"), ("T4", second, 10**15, 10**15))  # the pool was emptied
    node.block(at(3, "23:59"))  # a quiet day: interest only
    node.block(at(4, "12:00"))
    node.empty_blocks(70, 12)
    return fluid, [*first_txs, *more_txs]
