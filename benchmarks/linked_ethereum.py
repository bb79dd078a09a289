"""A simulated Ethereum whose blocks can be proven: headers that hash to their hashes, each naming its parent, and receipts.

Only a stretch of blocks is linked; others have parents that nobody has. No real data. What does not belong here: how contracts
answer (simulated_ethereum), and endpoints that lie about all this.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any

from benchmarks.simulated_ethereum import HEAD, Simulated, block_time
from cryptolake.net import rlp
from cryptolake.net.abi import keccak
from cryptolake.net.bloom import bloom_of
from cryptolake.net.headers import _FIRST
from cryptolake.net.receipts import receipts_root
from cryptolake.net.transactions import encoded

Event = tuple[str, Sequence[str], str]
"""What a log says: emitter, topics, data; 0x hex."""

_GIVEN: Mapping[str, str] = {
    "sha3Uncles": "0x" + "11" * 32,
    "miner": "0x" + "22" * 20,
    "stateRoot": "0x" + "33" * 32,
    "difficulty": "0x0",
    "gasLimit": "0x1c9c380",
    "gasUsed": "0x0",
    "extraData": "0x",
    "mixHash": "0x" + "55" * 32,
    "nonce": "0x" + "00" * 8,
}


@cache
def _full(number: int) -> int:
    """A bloom filter of which 56 % is set, as a full block's is about."""
    lots = random.Random(number)
    one, two, three, four = (lots.getrandbits(2048) for _ in range(4))
    return one | (two & three & four)


class Linked(Simulated):
    """`events` by block are what its logs say; `full` sets the bloom filters as those of full blocks are.

    The blocks from `first` to `last` are linked.
    """

    def __init__(
        self,
        chain: str,
        first: int,
        last: int,
        events: Mapping[int, Sequence[Event]],
        *,
        full: bool = False,
        time: Callable[[int], int] = block_time,
        head: int = HEAD,
        only: Collection[str] | None = None,
    ) -> None:
        super().__init__(chain, time=time, head=head, only=only)
        self.events, self.full = dict(events), full
        self.blocks = sorted(self.events)
        self._headers: dict[int, dict[str, Any]] = {}
        self._numbers: dict[str, int] = {}
        self._empty = "0x" + receipts_root([], "standard").hex()
        parent = _made_up(first - 1)
        for number in range(first, last + 1):
            parent = self._make(number, parent)["hash"]

    def header(self, number: int) -> dict[str, Any]:
        """A block's header as an endpoint gives it."""
        return self._headers.get(number) or self._make(number, _made_up(number - 1))

    def _make(self, number: int, parent: str) -> dict[str, Any]:
        held = [bytes.fromhex(text[2:]) for who, topics, _ in self.events.get(number, ()) for text in (who, *topics)]
        bloom = int.from_bytes(bloom_of(held), "big") | (_full(number) if self.full else 0)
        receipts = self.receipts(number)
        sent = [encoded(_transaction(number))] if receipts else []
        header: dict[str, Any] = {
            **_GIVEN,
            "parentHash": parent,
            "transactionsRoot": "0x" + rlp.ordered_root(sent).hex(),
            "receiptsRoot": "0x" + receipts_root(receipts, "standard").hex() if receipts else self._empty,
            "logsBloom": f"0x{bloom:0512x}",
            "number": hex(number),
            "timestamp": hex(self.time(number)),
        }
        fields = [
            rlp.whole(int(header[name], 16)) if length == 0 else bytes.fromhex(header[name][2:])
            for name, length in _FIRST.items()
        ]
        header["hash"] = "0x" + keccak(rlp.encode(fields)).hex()
        header["transactions"] = [one["transactionHash"] for one in receipts]
        self._headers[number] = header
        self._numbers[header["hash"]] = number
        return header

    def hash(self, number: int) -> str:  # type: ignore[override]
        """A block's hash."""
        return str(self.header(number)["hash"])

    def number_of(self, block_hash: str) -> int:  # type: ignore[override]
        """The block of a hash that was told."""
        return self._numbers[block_hash.lower()]

    def receipts(self, number: int) -> list[dict[str, Any]]:
        """One receipt with all logs of the block; none for a block without."""
        events = self.events.get(number, ())
        if not events:
            return []
        logs = [{"address": who, "topics": list(topics), "data": data} for who, topics, data in events]
        held = [bytes.fromhex(text[2:]) for one in logs for text in (one["address"], *one["topics"])]
        return [
            {
                "type": "0x2",
                "status": "0x1",
                "cumulativeGasUsed": "0x5208",
                "transactionIndex": "0x0",
                "transactionHash": _tx(number),
                "logsBloom": "0x" + bloom_of(held).hex(),
                "logs": logs,
            }
        ]

    def logs_in(self, first: int, last: int) -> list[dict[str, Any]]:
        """Every log of these blocks, both included, as an endpoint gives it."""
        found = []
        for number in self.blocks[bisect_left(self.blocks, first) : bisect_left(self.blocks, last + 1)]:
            for index, (who, topics, data) in enumerate(self.events[number]):
                found.append(
                    {
                        "address": who,
                        "topics": list(topics),
                        "data": data,
                        "blockNumber": hex(number),
                        "blockHash": self.hash(number),
                        "transactionHash": _tx(number),
                        "logIndex": hex(index),
                    }
                )
        return found

    def rpc(self, method: str, params: list[Any]) -> Any:
        """The result of one JSON-RPC call."""
        if method == "eth_getBlockByNumber":
            named = params[0] in ("finalized", "latest", "safe")
            header = self.header(self.head if named else int(str(params[0]), 16))
            if params[1] and header["transactions"]:
                return {**header, "transactions": [_transaction(int(header["number"], 16))]}
            return header
        if method == "eth_getBlockReceipts":
            return self.receipts(int(str(params[0]), 16))
        if method == "eth_getLogs":
            asked = params[0]
            if "blockHash" in asked:
                first = last = self.number_of(asked["blockHash"])
            else:
                first, last = int(asked["fromBlock"], 16), int(asked["toBlock"], 16)
            wanted = {one.lower() for one in _listed(asked["address"])}
            topics = {one.lower() for one in _listed(asked["topics"][0])}
            return [
                one
                for one in self.logs_in(first, last)
                if one["address"].lower() in wanted and one["topics"][0].lower() in topics
            ]
        return super().rpc(method, params)


def _listed(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def _transaction(number: int) -> dict[str, Any]:
    """The one transaction of a block with events; no Ethereum would take its signature."""
    amounts = {"gasPrice": "0x0", "gas": "0x5208", "value": "0x0", "nonce": hex(number)}
    return {"transactionIndex": "0x0", "to": None, "input": "0x", "v": "0x1b", "r": "0x1", "s": "0x1", **amounts}


@cache
def _tx(number: int) -> str:
    return "0x" + keccak(encoded(_transaction(number))).hex()


def _made_up(number: int) -> str:
    return "0x" + keccak(b"parent" + max(0, number).to_bytes(8, "big")).hex()
