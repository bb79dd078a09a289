"""The provider of the race: Ethereum, twelve seconds a block and a slot in 97 missed, with latency, a span and maybe a limit.

Counts HTTP requests and calls (members of a batch one by one) by method, remembers which blocks of logs were asked and
answered, and refuses by 429 without Retry-After, a batch by its members, once a second's calls are spent. A process of its
own; its chain is synthetic: about eleven liquidations a day of one market, headers whose bloom filters tell of them.

Usage: python -m benchmarks.race_provider LATENCY_S SPAN RATE (0: no limit); prints its port. GET /stats gives and forgets
what was counted, GET /half?N answers once N blocks of logs were answered.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter, deque
from functools import lru_cache

import orjson

from benchmarks.connection import Connection
from benchmarks.simulated_ethereum import HEAD, Simulated, block_time, uint
from cryptolake.net.abi import keccak
from cryptolake.sources.onchain.aave import LIQUIDATION_CALL

CSU, CHAIN_ID, HOST = "aave_v3_ethereum", 1, "127.0.0.2"  # not 127.0.0.1: a node of one's own has other limits
EVERY = 636  # blocks from one liquidation to the next
NO_BLOOM = "0x" + "00" * 256


def has_event(number: int) -> bool:
    """Whether the block holds a liquidation."""
    return number % EVERY == 77


def bloom_of(*parts: bytes) -> str:
    """The header's bloom filter of these addresses and topics; Ethereum yellow paper, section 4.3.1."""
    bits = 0
    for part in parts:
        digest = keccak(part)
        for place in (0, 2, 4):
            bits |= 1 << (int.from_bytes(digest[place : place + 2], "big") & 2047)
    return "0x" + bits.to_bytes(256, "big").hex()


class Contracts(Simulated):
    """The simulated contracts, on a chain whose hashes begin with what they are of."""

    @staticmethod
    def hash(number: int) -> str:
        return f"0xb{number:063x}"

    @staticmethod
    def number_of(block_hash: str) -> int:
        return int(block_hash[3:], 16)


class Chain:
    """The synthetic chain: blocks, logs and contracts."""

    def __init__(self) -> None:
        self.contracts = Contracts()
        market = next(one for one in self.contracts.markets if one.csu.name == CSU)
        self.pool = market.csu.entry["pool"]
        self.assets = ["0x" + market.made("token", number)[12:].hex() for number in range(market.size)]
        self.bloom = bloom_of(bytes.fromhex(self.pool[2:]), bytes.fromhex(LIQUIDATION_CALL[2:]))

    @staticmethod
    def hash(number: int) -> str:
        return Contracts.hash(number)

    @staticmethod
    def tx(number: int) -> str:
        return f"0xa{number:063x}"

    def log(self, number: int) -> dict[str, object]:
        """The block's liquidation."""
        seized, repaid = self.assets[number % 7 % len(self.assets)], self.assets[number % 5 % len(self.assets)]
        topics = ["0x" + "00" * 12 + one[2:] for one in (seized, repaid, f"0x{number:040x}")]
        return {
            "address": self.pool.lower(), "topics": [LIQUIDATION_CALL, *topics],
            "data": "0x" + b"".join(map(uint, (10**18, 11 * 10**17, 0x44, 0))).hex(), "blockNumber": hex(number),
            "blockHash": self.hash(number), "transactionHash": self.tx(number), "transactionIndex": "0x0",
            "logIndex": "0x0", "removed": False,
        }  # fmt: skip

    def block(self, number: int, *, whole: bool) -> dict[str, object] | None:
        """A header in all its fields; `whole` with its transaction."""
        if number > HEAD:
            return None
        events = has_event(number)
        tx: dict[str, object] = {
            "blockHash": self.hash(number), "blockNumber": hex(number), "from": "0x" + "44" * 20, "gas": "0x100000",
            "gasPrice": "0x3b9aca00", "hash": self.tx(number), "input": "0x", "nonce": "0x1", "to": self.pool.lower(),
            "transactionIndex": "0x0", "value": "0x0", "type": "0x0", "chainId": hex(CHAIN_ID), "v": "0x93",
            "r": "0x" + "11" * 32, "s": "0x" + "22" * 32,
        }  # fmt: skip
        return {
            "number": hex(number), "hash": self.hash(number), "parentHash": self.hash(max(0, number - 1)),
            "timestamp": hex(block_time(number)), "logsBloom": self.bloom if events else NO_BLOOM,
            "nonce": "0x0000000000000000", "sha3Uncles": "0x" + "33" * 32, "transactionsRoot": "0x" + "55" * 32,
            "stateRoot": "0x" + "66" * 32, "receiptsRoot": "0x" + "77" * 32, "miner": "0x" + "88" * 20,
            "difficulty": "0x2", "totalDifficulty": "0x2", "extraData": "0x", "size": "0x300", "gasLimit": "0x8583b00",
            "gasUsed": "0x5208", "mixHash": "0x" + "00" * 32, "uncles": [], "baseFeePerGas": "0x0",
            "transactions": ([tx if whole else self.tx(number)] if events else []),
        }  # fmt: skip

    @lru_cache(maxsize=4096)  # noqa: B019  # one chain a process
    def call(self, to: str, data: str, block: str) -> str | None:
        """An eth_call's answer at a block, named by number or hash."""
        named: object = {"blockHash": block} if len(block) == 66 else block
        found = self.contracts.rpc("eth_call", [{"to": to, "data": data}, named])
        return None if found is None else str(found)


class Provider(Connection):
    """One connection; answers every request after the latency."""

    chain: Chain
    latency, span, rate = 0.08, 2000, 0.0
    requests, refused, calls = 0, 0, Counter[str]()
    refused_calls, most = 0, 0
    first, last = 0.0, 0.0  # when calls were answered, on the monotonic clock
    ranges: list[tuple[int, int]] = []  # noqa: RUF012  # shared by all connections of this process
    answered = 0  # blocks of logs
    granted: deque[float] = deque()  # noqa: RUF012
    half: asyncio.Condition

    def looked_at(self, path: str) -> None:
        """Tell when it is time to."""
        asyncio.get_running_loop().create_task(self.told(path))

    def asked(self, body: bytes) -> None:
        """Count a request, then answer it or refuse it a latency later."""
        asked = orjson.loads(body)
        many = asked if isinstance(asked, list) else [asked]
        later, mine = asyncio.get_running_loop().call_later, Provider
        mine.requests += 1
        if mine.rate and not self.within(len(many)):
            mine.refused += 1
            mine.refused_calls += len(many)
            error = {"jsonrpc": "2.0", "id": None, "error": {"code": 429, "message": "Too many requests"}}
            later(self.latency, self.send, orjson.dumps(error), "429 Too Many Requests")
            return
        mine.calls.update(one["method"] for one in many)
        mine.last = time.monotonic()
        mine.first = mine.first or mine.last
        blocks = 0
        for one in many:
            if one["method"] == "eth_getLogs" and "fromBlock" in one["params"][0]:
                first, last = (int(one["params"][0][name], 16) for name in ("fromBlock", "toBlock"))
                if last - first < self.span:
                    mine.ranges.append((first, last + 1))
                    blocks += last + 1 - first
        answers = [{"jsonrpc": "2.0", "id": one["id"], **self.answer(one)} for one in many]
        later(self.latency, self.given, orjson.dumps(answers if isinstance(asked, list) else answers[0]), blocks)

    def within(self, calls: int) -> bool:
        """Whether so many calls fit into the second that ends now; if so they are spent."""
        now, granted = time.monotonic(), Provider.granted
        while granted and now - granted[0] >= 1.0:
            granted.popleft()
        if len(granted) + calls > self.rate:
            return False
        granted.extend([now] * calls)
        Provider.most = max(Provider.most, len(granted))
        return True

    def given(self, body: bytes, blocks: int) -> None:
        """Answer a question that covered so many blocks of logs, unless the other side has gone."""
        if not self.transport.is_closing():
            self.send(body)
            Provider.answered += blocks

    async def told(self, path: str) -> None:
        """What was counted, or nothing once half of the blocks were answered."""
        mine = Provider
        if path.startswith("/half?"):
            while mine.answered < int(path.partition("?")[2]):
                await asyncio.sleep(0.002)
            self.send(b"{}")
            return
        found = {
            "requests": mine.requests, "refused": mine.refused, "refused_calls": mine.refused_calls,
            "calls": dict(mine.calls), "asked": mine.ranges, "answered": mine.answered, "most": mine.most,
            "busy_s": mine.last - mine.first,
        }  # fmt: skip
        mine.requests, mine.refused, mine.refused_calls, mine.calls = 0, 0, 0, Counter()
        mine.ranges, mine.answered, mine.most, mine.first = [], 0, 0, 0.0
        self.send(orjson.dumps(found))

    def answer(self, question: dict[str, object]) -> dict[str, object]:
        """The JSON-RPC answer to a single call."""
        method, params, chain = question["method"], question.get("params") or [], self.chain
        assert isinstance(params, list)
        match method:
            case "eth_chainId":
                return {"result": hex(CHAIN_ID)}
            case "web3_clientVersion":
                return {"result": "Geth/v1.16.0"}
            case "net_version":
                return {"result": str(CHAIN_ID)}
            case "eth_blockNumber":
                return {"result": hex(HEAD)}
            case "eth_getBlockByNumber":
                number = int(params[0], 16) if str(params[0]).startswith("0x") else HEAD
                return {"result": chain.block(number, whole=bool(params[1]))}
            case "eth_getBlockByHash":
                return {"result": chain.block(int(str(params[0])[3:], 16), whole=bool(params[1]))}
            case "eth_call":
                asked, named = params[0], params[1] if len(params) > 1 else "latest"
                block = named["blockHash"] if isinstance(named, dict) else named
                block = block if block.startswith("0x") else hex(HEAD)
                found = chain.call(asked["to"], asked.get("data") or asked["input"], block)
                if found is None:
                    return {"error": {"code": 3, "message": "execution reverted"}}
                return {"result": found}
            case "eth_getLogs":
                return self.logs(params[0])
        return {"error": {"code": -32601, "message": f"the method {method} does not exist"}}

    def logs(self, asked: dict[str, object]) -> dict[str, object]:
        """The liquidations of a range, refused when it is too long."""
        if "blockHash" in asked:
            first = last = int(str(asked["blockHash"])[3:], 16)
        else:
            first, last = int(str(asked["fromBlock"]), 16), int(str(asked["toBlock"]), 16)
        if last - first >= self.span:
            return {"error": {"code": -32600, "message": f"eth_getLogs is limited to a {self.span} block range"}}
        start = first + (77 - first) % EVERY
        return {"result": [self.chain.log(number) for number in range(start, last + 1, EVERY)]}


async def serve(latency: float, span: int, rate: float) -> None:
    """Serve until killed."""
    Provider.chain = Chain()
    Provider.latency, Provider.span, Provider.rate = latency, span, rate
    server = await asyncio.get_running_loop().create_server(Provider, HOST, 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
