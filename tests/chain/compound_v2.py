"""`VenusCore` and `IsolatedPool`: Venus' published contracts on the local node, Compound V2's code and its younger branch.

`VenusCore` is npm `@venusprotocol/venus-protocol` 9.1.0: Unitroller, Diamond with its four facets, vBNB, vTokens behind
delegators, VAI with its controller, the peg stability module and the Liquidator. `IsolatedPool` is npm
`@venusprotocol/isolated-pools` 3.5.0, with interest per second. Oracles and tokens are the packages' own test ones. In place
of upgradeable proxies stand EIP-1167 clones. Every action returns the `Tx`s of one block.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from .anvil import Anvil, Mined, Tx
from .solidity import NODE_MODULES, Artifact, address, bytes32_symbol_token, call_data, keccak, words

PACKAGES = NODE_MODULES / "@venusprotocol"
ONE = 10**18
MAX = 2**256 - 1
ZERO = "0x" + "00" * 20
_FACETS = ("MarketFacet", "PolicyFacet", "SetterFacet", "RewardFacet")
_MANY = 10**9  # blocks between two transfers of reserves, where a market shall not do it
_DO_NOTHING = "0x6001600c60003960016000f300"  # a contract that accepts every call and every coin and returns nothing


@cache
def _artifact(package: str, path: str) -> tuple[Artifact, tuple[str, ...]]:
    """One published artifact and the selectors of its functions (8 hex digits)."""
    body = json.loads((PACKAGES / package / "artifacts" / "contracts" / f"{path}.json").read_text(encoding="utf-8"))
    functions = [entry for entry in body["abi"] if entry["type"] == "function"]
    selectors = [keccak(_signature(entry).encode())[:4].hex() for entry in functions]
    return Artifact(Path(path).name, body["bytecode"], ()), tuple(selectors)


def _signature(entry: dict[str, object]) -> str:
    def kind(one: dict[str, object]) -> str:
        name = str(one["type"])
        inner = one.get("components")
        return f"({','.join(map(kind, inner))}){name[5:]}" if isinstance(inner, list) else name

    inputs = entry["inputs"]
    assert isinstance(inputs, list)
    return f"{entry['name']}({','.join(map(kind, inputs))})"


def _clone(implementation: str) -> str:
    """Creation code of an EIP-1167 clone."""
    runtime = f"363d3d373d3d3d363d73{implementation[2:]}5af43d82803e903d91602b57fd5bf3"
    return f"0x3d602d80600a3d3981f3{runtime}"


@dataclass(frozen=True)
class VToken:
    """One market: its vToken and the underlying (None for the native coin), lower case."""

    symbol: str
    decimals: int
    vtoken: str
    asset: str | None

    def units(self, whole: float) -> int:
        """`whole` tokens in the token's smallest unit."""
        return int(round(whole * 10**6) * 10**self.decimals // 10**6)


@dataclass
class _Market:
    """What both branches share: mining in steps of three seconds and the users' actions."""

    node: Anvil
    now: datetime
    package: str
    comptroller: str = ""
    oracle: str = ""
    tokens: dict[str, VToken] = field(default_factory=dict)

    @property
    def admin(self) -> str:
        """The deployer's account, who may do everything."""
        return self.node.accounts[0]

    def mine(self, *txs: Tx, wait: timedelta = timedelta(seconds=3)) -> list[Mined]:
        """One block with `txs`, `wait` after the one before."""
        self.now += wait
        return self.node.block(self.now, txs)

    def create(self, *wanted: tuple[str, str, Sequence[object]]) -> list[str]:
        """Deploy artifacts (path, constructor types, arguments) in one block; their addresses."""
        codes = [_artifact(self.package, path)[0].creation({}, types, args) for path, types, args in wanted]
        return self.etch(*codes)

    def etch(self, *codes: str) -> list[str]:
        """Deploy creation codes in one block; their addresses."""
        return [mined.created or "" for mined in self.mine(*(Tx(self.admin, None, code) for code in codes))]

    def do(self, to: str, signature: str, *args: object) -> Tx:
        """A call by the admin."""
        return Tx(self.admin, to, call_data(signature, *args))

    def ask(self, to: str, signature: str, *args: object, block: int | str = "latest") -> int:
        """The first word of a contract's answer."""
        return words(self.node.call(to, signature, *args, block=block))[0]

    def fund(self, user: str, symbol: str, amount: int, spender: str) -> list[Tx]:
        """Give `user` tokens and let `spender` take them."""
        token = self.tokens[symbol].asset
        assert token is not None
        return [
            Tx(self.admin, token, call_data("allocateTo(address,uint256)", user, amount)),
            Tx(user, token, call_data("approve(address,uint256)", spender, MAX)),
        ]

    def supply(self, user: str, symbol: str, whole: float) -> list[Tx]:
        """Deposit, and let the deposit be collateral."""
        token = self.tokens[symbol]
        amount = token.units(whole)
        enter = Tx(user, self.comptroller, call_data("enterMarkets(address[])", [token.vtoken]))
        if token.asset is None:
            return [enter, Tx(user, token.vtoken, call_data("mint()"), amount)]
        mint = Tx(user, token.vtoken, call_data("mint(uint256)", amount))
        return [enter, *self.fund(user, symbol, amount, token.vtoken), mint]

    def borrow(self, user: str, symbol: str, whole: float) -> list[Tx]:
        """Borrow."""
        token = self.tokens[symbol]
        return [Tx(user, token.vtoken, call_data("borrow(uint256)", token.units(whole)))]

    def repay(self, user: str, symbol: str, whole: float) -> list[Tx]:
        """Repay a part of a token's debt."""
        token = self.tokens[symbol]
        amount = token.units(whole)
        repay = Tx(user, token.vtoken, call_data("repayBorrow(uint256)", amount))
        return [*self.fund(user, symbol, amount, token.vtoken), repay]

    def liquidate(self, liquidator: str, user: str, *, debt: str, collateral: str, whole: float) -> list[Tx]:
        """Repay `user`'s debt at the vToken itself and seize collateral."""
        token, seized = self.tokens[debt], self.tokens[collateral].vtoken
        amount = token.units(whole)
        if token.asset is None:
            data = call_data("liquidateBorrow(address,address)", user, seized)
            return [Tx(liquidator, token.vtoken, data, amount)]
        data = call_data("liquidateBorrow(address,uint256,address)", user, amount, seized)
        return [*self.fund(liquidator, debt, amount, token.vtoken), Tx(liquidator, token.vtoken, data)]


class VenusCore(_Market):
    """Venus' core pool as it stood on BNB Chain in 2024: markets BNB, USDT (twice), BTC, MKR and one that gets stuck."""

    vai: str
    controller: str
    liquidator: str
    psm: str

    @classmethod
    def deploy(cls, node: Anvil, at: datetime) -> VenusCore:
        """All contracts and markets; nothing supplied yet."""
        self = cls(node, at, "venus-protocol")
        admin = self.admin
        self.comptroller, diamond, lens, access, self.oracle, *facets = self.create(
            ("Comptroller/Unitroller.sol/Unitroller", "()", ()),
            ("Comptroller/Diamond/Diamond.sol/Diamond", "()", ()),
            ("Lens/ComptrollerLens.sol/ComptrollerLens", "()", ()),
            ("test/AccessControlManagerMock.sol/AccessControlManagerMock", "(address)", (admin,)),
            ("test/SimplePriceOracle.sol/SimplePriceOracle", "()", ()),
            *((f"Comptroller/Diamond/facets/{name}.sol/{name}", "()", ()) for name in _FACETS),
        )
        known: set[str] = set()
        cuts = []
        for name, facet in zip(_FACETS, facets, strict=True):
            selectors = _artifact(self.package, f"Comptroller/Diamond/facets/{name}.sol/{name}")[1]
            fresh = [one for one in selectors if one not in known]
            known.update(fresh)
            cuts.append((facet, 0, [bytes.fromhex(one) for one in fresh]))
        self.mine(
            self.do(self.comptroller, "_setPendingImplementation(address)", diamond),
            self.do(diamond, "_become(address)", self.comptroller),
            self.do(self.comptroller, "diamondCut((address,uint8,bytes4[])[])", cuts),
            self.do(self.comptroller, "_setAccessControl(address)", access),
            self.do(self.comptroller, "_setPriceOracle(address)", self.oracle),
            self.do(self.comptroller, "_setComptrollerLens(address)", lens),
            self.do(self.comptroller, "_setCloseFactor(uint256)", ONE // 2),
            self.do(self.comptroller, "_setLiquidationIncentive(uint256)", 11 * ONE // 10),
            self.do(self.comptroller, "_setVAIMintRate(uint256)", 10_000),
        )
        self._deploy_markets(access)
        self._deploy_vai(access)
        return self

    def _deploy_markets(self, access: str) -> None:
        admin, comptroller = self.admin, self.comptroller
        jump = "InterestRateModels/JumpRateModel.sol/JumpRateModel"
        token = "test/FaucetToken.sol/FaucetToken"
        rate, steep, vtoken_code, usdt, btc, mkr, bad = self.create(
            (jump, "(uint256,uint256,uint256,uint256)", (ONE // 50, ONE // 5, 2 * ONE, 8 * ONE // 10)),
            (jump, "(uint256,uint256,uint256,uint256)", (0, 0, 10**9 * ONE, ONE // 2)),
            ("Tokens/VTokens/VBep20Delegate.sol/VBep20Delegate", "()", ()),
            (token, "(uint256,string,uint8,string)", (0, "Tether", 6, "USDT")),
            (token, "(uint256,string,uint8,string)", (0, "Bitcoin", 18, "BTCB")),
            (token, "(uint256,string,uint8,string)", (0, "Maker", 18, "MKR")),
            (token, "(uint256,string,uint8,string)", (0, "Stuck", 8, "STK")),
        )
        (mkr,) = self.etch(bytes32_symbol_token(mkr, "MKR", 18))
        (reserve,) = self.etch(_DO_NOTHING)
        kinds = "(address,address,uint256,string,string,uint8,address)"
        (vbnb,) = self.create(
            ("Tokens/VTokens/VBNB.sol/VBNB", kinds, (comptroller, rate, 2 * 10**26, "Venus BNB", "vBNB", 8, admin))
        )
        listed = [
            ("BNB", 18, None),
            ("USDT", 6, usdt),
            ("BTCB", 18, btc),
            ("MKR", 18, mkr),
            ("USDT2", 6, usdt),
            ("STK", 8, bad),
        ]
        kinds = "(address,address,address,uint256,string,string,uint8,address,address,bytes)"
        made = self.create(
            *(
                (
                    "Tokens/VTokens/VBep20Delegator.sol/VBep20Delegator",
                    kinds,
                    (
                        asset, comptroller, steep if symbol == "STK" else rate, 2 * 10 ** (8 + decimals), f"Venus {symbol}",
                        f"v{symbol}", 8, admin, vtoken_code, b"",
                    ),
                )
                for symbol, decimals, asset in listed[1:]
            )
        )  # fmt: skip
        prices = {"USDT": 1, "BTCB": 60_000, "STK": 1}  # MKR has none; the package's oracle says 1 for vBNB
        for (symbol, decimals, asset), vtoken in zip(listed, [vbnb, *made], strict=True):
            self.tokens[symbol] = VToken(symbol, decimals, vtoken, asset)
            # USDT hands its reserves over at every accrual, also at one inside an eth_call.
            delta = 1 if symbol == "USDT" else _MANY
            txs = [
                self.do(vtoken, "setAccessControlManager(address)", access),
                self.do(vtoken, "setReduceReservesBlockDelta(uint256)", delta),
                self.do(vtoken, "setProtocolShareReserve(address)", reserve),
                self.do(vtoken, "_setReserveFactor(uint256)", ONE // 10),
                self.do(comptroller, "_supportMarket(address)", vtoken),
                self.do(comptroller, "_setMarketSupplyCaps(address[],uint256[])", [vtoken], [10**40]),
            ]
            if symbol in prices:
                txs.append(self._price(symbol, prices[symbol]))
            if symbol != "MKR":
                txs.append(self.do(comptroller, "_setCollateralFactor(address,uint256)", vtoken, 8 * ONE // 10))
            self.mine(*txs)

    def _deploy_vai(self, access: str) -> None:
        unitroller, code, self.vai = self.create(
            ("Tokens/VAI/VAIUnitroller.sol/VAIUnitroller", "()", ()),
            ("Tokens/VAI/VAIController.sol/VAIController", "()", ()),
            ("Tokens/VAI/VAI.sol/VAI", "(uint256)", (31337,)),
        )
        self.controller = unitroller
        self.mine(
            self.do(unitroller, "_setPendingImplementation(address)", code),
            self.do(code, "_become(address)", unitroller),
            self.do(unitroller, "initialize()"),
            self.do(unitroller, "_setComptroller(address)", self.comptroller),
            self.do(unitroller, "setVAIToken(address)", self.vai),
            self.do(unitroller, "setAccessControl(address)", access),
            self.do(unitroller, "setReceiver(address)", self.admin),
            self.do(unitroller, "setBaseRate(uint256)", ONE // 20),
            self.do(self.vai, "rely(address)", unitroller),
            self.do(self.comptroller, "_setVAIController(address)", unitroller),
            self.do(self.oracle, "setDirectPrice(address,uint256)", self.vai, ONE),
        )
        usdt, vbnb = self.tokens["USDT"].asset, self.tokens["BNB"].vtoken
        liquidator, psm = self.create(
            ("Liquidator/Liquidator.sol/Liquidator", "(address,address,address)", (self.comptroller, vbnb, self.vai)),
            ("PegStability/PegStability.sol/PegStability", "(address,address)", (usdt, self.vai)),
        )
        # The module asks getPrice(), which this package's test oracle does not have; the other package's does.
        priced = _artifact("isolated-pools", "test/Mocks/MockPriceOracle.sol/MockPriceOracle")[0].creation({})
        self.liquidator, self.psm, reserve, oracle = self.etch(_clone(liquidator), _clone(psm), _DO_NOTHING, priced)
        signature = "initialize(address,address,address,uint256,uint256,uint256)"
        self.mine(
            self.do(oracle, "setPrice(address,uint256)", usdt, 10**30),
            self.do(self.liquidator, "initialize(uint256,address,address)", ONE // 20, access, reserve),
            self.do(self.psm, signature, access, reserve, oracle, 0, 0, 10**30),
            self.do(self.vai, "rely(address)", self.psm),
        )

    def _price(self, symbol: str, dollars: float) -> Tx:
        token = self.tokens[symbol]
        assert token.asset is not None
        raw = round(dollars * 10**6) * 10 ** (30 - token.decimals)
        return self.do(self.oracle, "setDirectPrice(address,uint256)", token.asset, raw)

    def set_price(self, symbol: str, dollars: float) -> list[Tx]:
        """Give the oracle a new dollar price; 0 takes it away."""
        return [self._price(symbol, dollars)]

    def mint_vai(self, user: str, whole: float) -> list[Tx]:
        """Mint VAI against what `user` has supplied."""
        return [Tx(user, self.controller, call_data("mintVAI(uint256)", int(whole * ONE)))]

    def repay_vai(self, user: str, whole: float) -> list[Tx]:
        """Pay minted VAI back."""
        return [
            Tx(user, self.vai, call_data("approve(address,uint256)", self.controller, MAX)),
            Tx(user, self.controller, call_data("repayVAI(uint256)", int(whole * ONE))),
        ]

    def liquidate_vai(self, liquidator: str, user: str, *, collateral: str, whole: float) -> list[Tx]:
        """Repay `user`'s VAI at the controller itself and seize collateral."""
        seized = self.tokens[collateral].vtoken
        data = call_data("liquidateVAI(address,uint256,address)", user, int(whole * ONE), seized)
        return [
            Tx(liquidator, self.vai, call_data("approve(address,uint256)", self.controller, MAX)),
            Tx(liquidator, self.controller, data),
        ]

    def swap_for_vai(self, user: str, whole: float) -> list[Tx]:
        """Have the peg stability module mint VAI against USDT."""
        amount = self.tokens["USDT"].units(whole)
        swap = Tx(user, self.psm, call_data("swapStableForVAI(address,uint256)", user, amount))
        return [*self.fund(user, "USDT", amount, self.psm), swap]

    def force_liquidations(self, symbol: str) -> list[Tx]:
        """From now on anybody's debt in `symbol` may be liquidated, healthy or not."""
        return [self.do(self.comptroller, "_setForcedLiquidation(address,bool)", self.tokens[symbol].vtoken, True)]

    def break_oracle(self) -> list[Tx]:
        """Point the comptroller to an oracle that reverts whatever it is asked (the VAI token does)."""
        return [self.do(self.comptroller, "_setPriceOracle(address)", self.vai)]

    def use_liquidator(self) -> list[Tx]:
        """From now on only the Liquidator may liquidate."""
        return [self.do(self.comptroller, "_setLiquidatorContract(address)", self.liquidator)]

    def liquidate_through(self, who: str, user: str, *, debt: str, collateral: str, whole: float) -> list[Tx]:
        """Repay `user`'s debt (a symbol, or "VAI") at the Liquidator."""
        seized = self.tokens[collateral].vtoken
        if debt == "VAI":
            market, amount = self.controller, int(whole * ONE)
            paid = [Tx(who, self.vai, call_data("approve(address,uint256)", self.liquidator, MAX))]
            value = 0
        else:
            token = self.tokens[debt]
            market, amount = token.vtoken, token.units(whole)
            paid = [] if token.asset is None else self.fund(who, debt, amount, self.liquidator)
            value = amount if token.asset is None else 0
        signature = "liquidateBorrow(address,address,uint256,address)"
        data = call_data(signature, market, user, amount, seized)
        return [*paid, Tx(who, self.liquidator, data, value)]


class IsolatedPool(_Market):
    """One isolated pool with interest per second: markets USDC (6 decimals) and WETH."""

    @classmethod
    def deploy(cls, node: Anvil, at: datetime) -> IsolatedPool:
        """All contracts and markets; the admin stands in for the pool registry. Nothing supplied yet."""
        self = cls(node, at, "isolated-pools")
        admin = self.admin
        code, vtoken_code, self.oracle, rate, usdc, weth = self.create(
            ("Comptroller.sol/Comptroller", "(address)", (admin,)),
            ("VToken.sol/VToken", "(bool,uint256,uint256)", (True, 0, 5 * 10**12)),
            ("test/Mocks/MockPriceOracle.sol/MockPriceOracle", "()", ()),
            (
                "JumpRateModelV2.sol/JumpRateModelV2",
                "(uint256,uint256,uint256,uint256,address,bool,uint256)",
                (ONE // 50, ONE // 5, 2 * ONE, 8 * ONE // 10, admin, True, 0),
            ),
            ("test/FaucetToken.sol/FaucetToken", "(uint256,string,uint8,string)", (0, "USD Coin", 6, "USDC")),
            ("test/FaucetToken.sol/FaucetToken", "(uint256,string,uint8,string)", (0, "Ether", 18, "WETH")),
        )
        (access,) = self.etch(_ALLOW)
        self.comptroller, *vtokens = self.etch(_clone(code), _clone(vtoken_code), _clone(vtoken_code))
        self.mine(
            self.do(self.comptroller, "initialize(uint256,address)", 10, access),
            self.do(self.comptroller, "setPriceOracle(address)", self.oracle),
            self.do(self.comptroller, "setCloseFactor(uint256)", ONE // 2),
            self.do(self.comptroller, "setLiquidationIncentive(uint256)", 11 * ONE // 10),
            self.do(self.comptroller, "setMinLiquidatableCollateral(uint256)", 100 * ONE),
        )
        listed = (("USDC", 6, usdc, 1), ("WETH", 18, weth, 3000))
        for (symbol, decimals, asset, price), vtoken in zip(listed, vtokens, strict=True):
            self.tokens[symbol] = VToken(symbol, decimals, vtoken, asset)
            signature = (
                "initialize(address,address,address,uint256,string,string,uint8,address,address,(address,address),uint256)"
            )  # fmt: skip
            first = 2 * 10 ** (8 + decimals)
            around = (f"Venus {symbol}", f"v{symbol}", 8, admin, access, (admin, access), ONE // 10)
            self.mine(
                self.do(vtoken, signature, asset, self.comptroller, rate, first, *around),
                self.do(vtoken, "setReduceReservesBlockDelta(uint256)", _MANY),
                self.do(self.comptroller, "supportMarket(address)", vtoken),
                self.do(self.comptroller, "setMarketSupplyCaps(address[],uint256[])", [vtoken], [MAX]),
                self.do(self.comptroller, "setMarketBorrowCaps(address[],uint256[])", [vtoken], [MAX]),
                *self.set_price(symbol, price),
                self.do(
                    self.comptroller,
                    "setCollateralFactor(address,uint256,uint256)",
                    vtoken,
                    7 * ONE // 10,
                    8 * ONE // 10,
                ),
            )
        return self

    def set_price(self, symbol: str, dollars: float) -> list[Tx]:
        """Give the oracle a new dollar price."""
        token = self.tokens[symbol]
        raw = round(dollars * 10**6) * 10 ** (30 - token.decimals)
        return [self.do(self.oracle, "setPrice(address,uint256)", token.asset, raw)]

    def heal(self, payer: str, user: str, symbol: str, whole: float) -> list[Tx]:
        """Take all of `user`'s collateral for part of the debt in `symbol`; the rest becomes bad debt."""
        token = self.tokens[symbol]
        return [
            *self.fund(payer, symbol, token.units(whole), token.vtoken),
            Tx(payer, self.comptroller, call_data("healAccount(address)", user)),
        ]


# A contract that answers "true" to everything, in place of an access control manager.
_ALLOW = "0x600a600c600039600a6000f3600160005260206000f3"


def addresses(answer: str) -> list[str]:
    """The addresses of an answered array, lower case."""
    return [address(word) for word in words(answer)[2:]]
