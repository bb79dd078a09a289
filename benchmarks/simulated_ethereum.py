"""A simulated Ethereum: answers the getters that families ask, for the registry's real entry addresses. No real data.

Every market has as many assets, pools or vaults as `SIZES` says (about what the real ones had in 2025); numbers are made up
from hashes. Runs as a process of its own (`python -m benchmarks.simulated_ethereum`), so that its CPU is not the client's.
A new family needs its getters added to `Market.answer`; what is not known reverts and is counted.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson

from cryptolake.net.abi import WORD, address_word, checksum, keccak, selector, topic, uints_at, word
from cryptolake.registry.anchors import addresses
from cryptolake.registry.family import Anchor
from cryptolake.registry.loader import load_registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import declared

HEAD, START = 27_500_000, 1_438_269_973  # far enough that every market of the registry is deployed
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
SIZES = {
    "aave_v3_ethereum": 62, "aave_v3_ethereum_prime": 14, "aave_v3_ethereum_etherfi": 4, "aave_v3_ethereum_horizon": 10,
    "sparklend_ethereum": 19, "zerolend_ethereum": 20, "aave_v2_ethereum": 37, "aave_v2_ethereum_amm": 20,
    "aave_v2_ethereum_arc": 5, "cap_ethereum": 4, "compound_v2_ethereum": 20, "venus_core_ethereum": 25,
    "venus_lst_eth_ethereum": 6, "venus_ethena_ethereum": 3, "moonwell_ethereum": 6, "sumer_ethereum": 15,
    "ironbank_ethereum": 30, "flux_ethereum": 5, "compound_v3_eth_usdc": 16, "compound_v3_eth_usds": 8,
    "compound_v3_eth_usdt": 14, "compound_v3_eth_wbtc": 4, "compound_v3_eth_weth": 13, "compound_v3_eth_wsteth": 3,
    "euler_v2_ethereum": 200, "fluid_ethereum": 45, "gearbox_ethereum": 40, "morpho_blue_ethereum": 1000,
    "lista_ethereum": 60,
}  # fmt: skip
CREATE_MARKET = topic("CreateMarket(bytes32,(address,address,address,address,uint256))")
_ZERO, _MARKER = bytes(WORD), b"\x51\xc0"
_AGENTS, _MANAGERS, _CONFIGURATORS = 12, 45, 8


def block_time(number: int) -> int:
    """Twelve seconds a block with about one slot in a hundred missed."""
    return START + 12 * (number + number // 97)


def uint(value: int) -> bytes:
    """One ABI word."""
    return value.to_bytes(WORD, "big")


def index_of(at: bytes) -> int:
    """Which of its kind a made contract is; 0 for the contracts of the registry."""
    return int.from_bytes(at[15:17], "big") if at[12:14] == _MARKER else 0


def _list(items: list[bytes]) -> bytes:
    return uint(WORD) + uint(len(items)) + b"".join(items)


def _text(value: str) -> bytes:
    return uint(WORD) + uint(len(value)) + value.encode().ljust(WORD, b"\0")


class Market:
    """One market's contracts. Contracts that are not in the registry have addresses that spell out what they are."""

    def __init__(self, csu: Csu, number: int) -> None:
        self.csu, self.number = csu, number
        self.size = SIZES.get(csu.name, 10)
        self.slots: dict[int, bytes] = {}
        self.ids: dict[bytes, bytes] = {}
        if csu.family == "fluid":
            self._lay_out_storage()
        if csu.family == "morpho_blue":
            for index in range(self.size):
                params = b"".join(
                    (self.made("token", index % 90), self.made("token", 90 + index % 150), self.made("oracle", index),
                     self.made("irm", 0), uint(86 * 10**16)),
                )  # fmt: skip
                self.ids[keccak(params)] = params

    def made(self, kind: str, index: int) -> bytes:
        """The word of the `index`-th contract of a kind: marker, market and index, then the kind's name."""
        return _ZERO[:12] + _MARKER + bytes([self.number]) + index.to_bytes(2, "big") + kind.encode().ljust(15, b"_")

    def role(self, name: str) -> bytes:
        """The word of the first address of an entry."""
        return address_word(self.csu.entry[name].split(",")[0])

    def _lay_out_storage(self) -> None:
        first = int.from_bytes(keccak(uint(10)), "big")
        self.slots[10] = uint(self.size)
        prices = (
            500
            | 1000 << 16
            | 8000 << 30
            | (START & (1 << 33) - 1) << 58
            | 10**12 << 91
            | 10**12 << 155
            | 2 << 219
            | 2 << 234
        )
        amounts = (10**6 << 8 | 20) | (10**6 << 8 | 10) << 64 | (10**6 << 8 | 19) << 128 | (10**6 << 8 | 9) << 192
        for index in range(self.size):
            token = self.made("token", index)
            self.slots[first + index] = token
            self.slots[int.from_bytes(keccak(token + uint(5)), "big")] = uint(prices)
            self.slots[int.from_bytes(keccak(token + uint(7)), "big")] = uint(amounts)

    def some(self, kind: str, count: int | None = None, start: int = 0) -> bytes:
        """A list of made contracts."""
        return _list([self.made(kind, start + index) for index in range(self.size if count is None else count)])

    def answer(self, signature: str, to: bytes, data: bytes) -> bytes | None:
        """What the contract `to` says; None reverts."""
        found = _ANSWERS.get(signature)
        return None if found is None else found(self, to, data)


Answer = Callable[[Market, bytes, bytes], bytes | None]


def _made_amount(_market: Market, to: bytes, data: bytes) -> bytes:
    """A steady made-up amount of 15 to 24 digits."""
    return uint(10**15 + int.from_bytes(keccak(to + data)[:9], "big"))


def _gearbox_provider(market: Market, to: bytes, _data: bytes) -> bytes:
    return market.made("factory", 0) if to == market.role("address_provider_v310") else market.made("register", 0)


def _gearbox_pools(market: Market, to: bytes, _data: bytes) -> bytes:
    index = index_of(to)
    return market.some("pool", market.size // (_CONFIGURATORS + 1), index * 5)


def _gearbox_managers(market: Market, to: bytes, _data: bytes) -> bytes:
    index = index_of(to)
    return market.some("manager", _MANAGERS // (_CONFIGURATORS + 1), index * 5)


def _reserve_data(market: Market, _to: bytes, data: bytes) -> bytes:
    index = index_of(data)
    tokens = [market.made(kind, index) for kind in ("atoken", "stable", "variable")]
    if market.csu.family == "aave_v2":
        return b"".join([uint(18 << 48), *(uint(1) for _ in range(6)), *tokens, uint(1), uint(1)])
    tokens[1] = _ZERO
    return b"".join([*(uint(1) for _ in range(8)), *tokens, *(uint(1) for _ in range(4))])


def _asset_info(market: Market, _to: bytes, data: bytes) -> bytes:
    index = word(data, 0)
    return b"".join(
        [uint(index), market.made("token", 1 + index), market.made("feed", 1 + index), uint(10**18), *(uint(1),) * 4]
    )


def _morpho_market(_market: Market, _to: bytes, _data: bytes) -> bytes:
    return b"".join(uint(one) for one in (10**24, 10**30, 8 * 10**23, 8 * 10**29, block_time(HEAD) - 7200, 0))


def _made_asset(kind: str) -> Answer:
    """The token behind the numbered contract that is asked; forty tokens are shared by all of a market."""
    return lambda market, to, _data: market.made(kind, index_of(to) % 40)


def _constant(value: bytes | None) -> Answer:
    return lambda _market, _to, _data: value


def _list_of(kind: str, count: int | None = None, start: int = 0) -> Answer:
    return lambda market, _to, _data: market.some(kind, count, start)


def _one(kind: str) -> Answer:
    return lambda market, _to, _data: market.made(kind, 0)


_ANSWERS: dict[str, Answer] = {
    # tokens
    "symbol()": lambda _m, to, _d: _text(f"T{index_of(to)}"),
    "decimals()": _constant(uint(18)),
    "balanceOf(address)": _made_amount,
    "totalSupply()": _made_amount,
    # aave_v2, aave_v3
    "getReservesList()": _list_of("token"),
    "ADDRESSES_PROVIDER()": lambda market, _t, _d: market.role("pool_addresses_provider"),
    "getAddressesProvider()": lambda market, _t, _d: market.role("pool_addresses_provider"),
    "getPriceOracle()": _one("oracle"),
    "getReserveData(address)": _reserve_data,
    "BASE_CURRENCY()": _constant(_ZERO),
    "BASE_CURRENCY_UNIT()": _constant(uint(10**8)),
    "WETH()": _one("weth"),
    "getAssetsPrices(address[])": lambda _m, _t, data: _list([uint(10**8 + n) for n in range(len(uints_at(data, 0)))]),
    "getAssetPrice(address)": _constant(uint(10**8)),
    # compound_v3
    "baseToken()": _one("token"),
    "baseTokenPriceFeed()": _one("feed"),
    "baseScale()": _constant(uint(10**6)),
    "totalBorrow()": _made_amount,
    "numAssets()": lambda market, _t, _d: uint(market.size),
    "getAssetInfo(uint8)": _asset_info,
    "getAssetInfoByAddress(address)": lambda market, to, data: _asset_info(market, to, uint(index_of(data) - 1)),
    "description()": _constant(_text("USDC / USD")),
    "totalsCollateral(address)": _constant(uint(10**20) + uint(0)),
    # compound_v2; no VAI and no Liquidator on Ethereum: the getters revert
    "vaiController()": _constant(None),
    "liquidatorContract()": _constant(None),
    "getAllMarkets()": _list_of("ctoken"),
    "oracle()": _one("oracle"),
    "underlying()": _made_asset("token"),
    "getUnderlyingPrice(address)": _constant(uint(123 * 10**16)),
    "getCash()": _made_amount,
    "isCToken()": _constant(uint(1)),
    "exchangeRateCurrent()": _constant(uint(2 * 10**26)),
    "exchangeRateStored()": _constant(uint(2 * 10**26)),
    "totalBorrowsCurrent()": _made_amount,
    # gearbox
    "getAddressOrRevert(bytes32,uint256)": _gearbox_provider,
    "getContractsRegister()": _one("register"),
    "contractsRegister()": lambda market, to, _d: market.made("register", index_of(to)),
    "getMarketConfigurators()": _list_of("configurator", _CONFIGURATORS, 1),
    "getPools()": _gearbox_pools,
    "getCreditManagers()": _gearbox_managers,
    "underlyingToken()": _made_asset("token"),
    "expectedLiquidity()": _made_amount,
    "availableLiquidity()": _made_amount,
    "totalBorrowed()": _made_amount,
    "pool()": _made_asset("pool"),
    "priceOracle()": _one("oracle"),
    "getPrice(address)": lambda market, _t, _d: (
        uint(10**8) + (uint(block_time(HEAD)) if market.csu.family == "cap" else b"")
    ),
    # cap
    "assets()": _list_of("token"),
    "agents()": _list_of("agent", _AGENTS),
    "totalSupplies(address)": _made_amount,
    "totalBorrows(address)": _made_amount,
    "availableBalance(address)": _made_amount,
    "reservesData(address)": lambda market, _t, _d: b"".join(
        [uint(1), uint(1), market.made("debt", 0), *(uint(1),) * 4]
    ),
    "debt(address,address)": _made_amount,
    # euler_v2
    "verifiedArray()": _list_of("vault"),
    "asset()": _made_asset("token"),
    "unitOfAccount()": _constant(uint(840)),
    "LTVList()": _list_of("vault", 12),
    "totalAssets()": _made_amount,
    "totalBorrows()": _made_amount,
    "cash()": _made_amount,
    "convertToAssets(uint256)": lambda _m, _t, data: data[:WORD],
    "getQuote(uint256,address,address)": _constant(uint(10**18)),
    # fluid, morpho_blue
    "readFromStorage(bytes32)": lambda market, _t, data: market.slots.get(word(data, 0), _ZERO),
    "balance(address,address)": _made_amount,
    "market(bytes32)": _morpho_market,
    "price()": _constant(uint(10**36)),
    "borrowRateView((address,address,address,address,uint256),(uint128,uint128,uint128,uint128,uint128,uint128))": _constant(
        uint(10**9)
    ),
    "peek(address)": _constant(uint(10**8)),
    # what proves a market (its lasting anchors)
    "getPool()": lambda market, _t, _d: market.role("pool"),
    "getLendingPool()": lambda market, _t, _d: market.role("pool"),
    "totalsBasic()": _constant(uint(10**15)),
    "reservesCount()": lambda market, _t, _d: uint(market.size),
    "implementation()": _one("code"),
    "LIQUIDITY()": lambda market, _t, _d: market.role("liquidity"),
    "totalVaults()": lambda market, _t, _d: uint(market.size),
    "getVaultAddress(uint256)": lambda market, _t, data: market.made("vault", word(data, 0)),
    "isIrmEnabled(address)": _constant(uint(1)),
    "idToMarketParams(bytes32)": _constant(bytes(5 * WORD)),
    "getRoleMemberCount(bytes32)": _constant(uint(1)),
    # Multicall3's own
    "getEthBalance(address)": _made_amount,
}


def _proof(market: Market, anchor: Anchor) -> bytes | None:
    """The word by which the market's contracts name each other; None where any answer of its kind will do."""
    named = addresses(market.csu, anchor.same_as) if anchor.same_as else ()
    return address_word(named[0]) if named else None


def _with_word(told: bytes, place: int, named: bytes) -> bytes:
    """An answer with one word replaced, as long as that needs."""
    told = told.ljust((place + 1) * WORD, b"\0")
    return told[: place * WORD] + named + told[(place + 1) * WORD :]


# What a block says of itself, at Multicall3 or ArbSys: selector and getter.
SAYS_OF_ITSELF = {
    selector(one): one
    for one in (
        "getBlockNumber()",
        "getCurrentBlockTimestamp()",
        "getLastBlockHash()",
        "arbBlockNumber()",
        "arbBlockHash(uint256)",
    )
}


class Simulated:
    """The chain: JSON-RPC answers, and what was asked that nobody here can answer.

    Any chain of the registry may be simulated, with times of its own and `only` some of its markets.
    """

    def __init__(
        self,
        chain: str = "ethereum",
        *,
        time: Callable[[int], int] = block_time,
        head: int = HEAD,
        only: Collection[str] | None = None,
    ) -> None:
        registry = load_registry(declared())
        self.time, self.head, self.chain_id = time, head, registry.chains[chain].chain_id
        csus = [one for one in registry.csus.values() if one.chain == chain and (only is None or one.name in only)]
        self.markets = [Market(csu, number) for number, csu in enumerate(csus)]
        self.by_address = {
            address: market
            for market in self.markets
            for stated in market.csu.entry.values()
            for address in stated.split(",")
        }
        self.by_address |= {stated: market for market in self.markets for stated in market.csu.facts.values()}
        self.proofs = {
            (stated, selector(anchor.getter)): (anchor.place, _proof(market, anchor))
            for market in self.markets
            for anchor in registry.families[market.csu.family].anchors_of(market.csu.protocol)
            if anchor.lasting
            for stated in addresses(market.csu, anchor.role)
        }
        self.signatures = {selector(one): one for one in _ANSWERS}
        self.unknown: Counter[str] = Counter()

    @staticmethod
    def hash(number: int) -> str:
        """A block's hash: its number."""
        return f"0x{number:064x}"

    @staticmethod
    def number_of(block_hash: str) -> int:
        """The block of a hash."""
        return int(block_hash, 16)

    def call(self, to: str, data: bytes, block: int) -> bytes | None:
        """The answer of one contract; None reverts."""
        at = address_word(to)
        if (told := SAYS_OF_ITSELF.get(data[:4])) is not None:
            if "Hash" in told:
                return bytes.fromhex(self.hash(block - 1)[2:])
            return uint(self.time(block) if told == "getCurrentBlockTimestamp()" else block)
        if at[12:14] == _MARKER:
            market = self.markets[at[14]]
        elif (
            known := self.by_address.get(checksum(to)) or (self.markets[0] if checksum(to) == MULTICALL3 else None)
        ) is not None:
            market = known
        else:
            return b""
        signature = self.signatures.get(data[:4])
        proof = self.proofs.get((checksum(to), data[:4]))
        if signature is None and proof is None:
            self.unknown[data[:4].hex()] += 1
            return None
        told = None if signature is None else market.answer(signature, at, data[4:])
        if proof is None or (told is not None and proof[1] is None):
            return told
        place, tied = proof
        return _with_word(told or b"", place, tied or uint(1))

    def aggregate3(self, data: bytes, block: int) -> bytes:
        """Multicall3's answer to `(address target, bool allowFailure, bytes callData)[]`."""
        bodies = []
        for offset in uints_at(data, 0):  # reads the array's offsets: they are its first words
            at = 2 * WORD + offset
            target, length = data[at + 12 : at + WORD], word(data, (at + word(data, at // WORD + 2)) // WORD)
            begin = at + word(data, at // WORD + 2) + WORD
            answer = self.call("0x" + target.hex(), data[begin : begin + length], block)
            said = answer or b""
            padding = bytes(-len(said) % WORD)
            bodies.append(uint(int(answer is not None)) + uint(2 * WORD) + uint(len(said)) + said + padding)
        offsets, place = [], len(bodies) * WORD
        for body in bodies:
            offsets.append(uint(place))
            place += len(body)
        return uint(WORD) + uint(len(bodies)) + b"".join(offsets) + b"".join(bodies)

    def rpc(self, method: str, params: list[object]) -> object:
        """The result of one JSON-RPC call."""
        if method == "eth_chainId":
            return hex(self.chain_id)
        if method == "eth_blockNumber":
            return hex(self.head)
        if method == "eth_getBlockByNumber":
            number = self.head if params[0] in ("finalized", "latest", "safe") else int(str(params[0]), 16)
            return {
                "number": hex(number),
                "timestamp": hex(self.time(number)),
                "hash": self.hash(number),
                "parentHash": self.hash(max(0, number - 1)),
                "logsBloom": "0x" + "00" * 256,
            }
        if method == "eth_call":
            question = params[0]
            assert isinstance(question, dict)
            data = bytes.fromhex(question["data"][2:])
            named = params[1]
            block = self.number_of(named["blockHash"]) if isinstance(named, dict) else int(str(named), 16)
            if data[:4] == selector("aggregate3((address,bool,bytes)[])"):
                return "0x" + self.aggregate3(data[4:], block).hex()
            answer = self.call(question["to"], data, block)
            return None if answer is None else "0x" + answer.hex()
        if method == "eth_getLogs":
            return self.logs(params[0])
        raise ValueError(f"{method} is not simulated")

    def logs(self, question: object) -> list[dict[str, str]]:
        """The CreateMarket events of the contracts asked for, one a day before the head."""
        assert isinstance(question, dict)
        first, last = int(question["fromBlock"], 16), int(question["toBlock"], 16)
        asked = question["address"] if isinstance(question["address"], list) else [question["address"]]
        found = []
        for market in self.markets:
            if market.csu.family != "morpho_blue" or checksum(market.csu.entry["morpho"]) not in map(checksum, asked):
                continue
            for number, (name, params) in enumerate(market.ids.items()):
                block = self.head - 7200 * (1 + number)
                if first <= block <= last:
                    tx = f"0x{block:064x}"
                    found.append(
                        {
                            "address": market.csu.entry["morpho"],
                            "topics": [CREATE_MARKET, "0x" + name.hex()],
                            "data": "0x" + params.hex(),
                            "blockNumber": hex(block),
                            "blockHash": tx,
                            "transactionHash": tx,
                            "logIndex": "0x0",
                        }
                    )
        return found


def serve() -> None:
    """Answer on a free loopback port, print it, and stop when standard input ends, saying what was not known."""
    chain = Simulated()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
            many = asked if isinstance(asked, list) else [asked]
            answers = [{"jsonrpc": "2.0", "id": one["id"], **self._said(one)} for one in many]
            body = orjson.dumps(answers if isinstance(asked, list) else answers[0])
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _said(self, one: dict[str, object]) -> dict[str, object]:
            params = one["params"]
            assert isinstance(params, list)
            result = chain.rpc(str(one["method"]), params)
            if result is None:
                return {"error": {"code": 3, "message": "execution reverted"}}
            return {"result": result}

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    sys.stdout.write(orjson.dumps(dict(chain.unknown)).decode() + "\n")


if __name__ == "__main__":
    serve()
