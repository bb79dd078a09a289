"""`ChainRecording`: a recorded chain that answers JSON-RPC methods the way its node did.

It answers only what was recorded: a question outside the recording is an error that says so, never an empty value.
Serving it over HTTP belongs to `replay`, making it to `scripts/record_sandbox.py`.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeAlias

from cryptolake.demo import aggregate3
from cryptolake.files.atomic import write_bytes

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

FORMAT = 1
MAX_LOG_RANGE = 2_000  # blocks in one eth_getLogs, as common public endpoints allow

# JSON-RPC codes: EIP-1474's "resource not found" and "limit exceeded", geth's 3 for a revert with data.
NOT_RECORDED, LIMIT, REVERTED, BAD_PARAMS, NO_METHOD = -32001, -32005, 3, -32602, -32601

# Selectors of Multicall3's getBlockNumber(), getCurrentBlockTimestamp() and getLastBlockHash().
_NUMBER, _TIME, _PARENT = "0x42cbb15c", "0x0f28c97d", "0x27e86d6e"


class RecordedFault(Exception):
    """An error object to send back instead of a result."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


@dataclass(frozen=True, slots=True)
class Block:
    """A recorded header: number, hash and parent hash (0x text), Unix timestamp in seconds."""

    number: int
    hash: str
    parent: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """What a call returned: 0x data, or the revert data when `success` is false."""

    success: bool
    data: str


@dataclass(slots=True)
class ChainRecording:
    """Every header and log of one sparse chain and the answers to the calls that were made at some of its blocks."""

    chain_id: int
    multicall3: str
    finalized: int
    blocks: list[Block]
    logs: list[dict[str, Json]]
    calls: dict[tuple[int, str, str], CallAnswer] = field(default_factory=dict)

    # -- storage

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a recording; raises ValueError when the file is of another format."""
        body = json.loads(gzip.decompress(path.read_bytes()))
        if body.get("format") != FORMAT:
            raise ValueError(f"{path.name} has recording format {body.get('format')}, this version reads {FORMAT}")
        texts: list[str] = body["texts"]
        calls = {
            (number, texts[to], texts[data]): CallAnswer(bool(success), texts[answer])
            for number, to, data, success, answer in body["calls"]
        }
        blocks = [Block(*row) for row in body["blocks"]]
        return cls(body["chain_id"], body["multicall3"], body["finalized"], blocks, body["logs"], calls)

    def save(self, path: Path, about: str) -> None:
        """Write the recording; equal recordings give equal bytes."""
        texts: dict[str, int] = {}

        def text(value: str) -> int:
            return texts.setdefault(value, len(texts))

        calls = [
            [number, text(to), text(data), int(answer.success), text(answer.data)]
            for (number, to, data), answer in sorted(self.calls.items())
        ]
        body = {
            "about": about,
            "format": FORMAT,
            "chain_id": self.chain_id,
            "multicall3": self.multicall3,
            "finalized": self.finalized,
            "blocks": [[b.number, b.hash, b.parent, b.timestamp] for b in self.blocks],
            "logs": self.logs,
            "texts": list(texts),
            "calls": calls,
        }
        raw = json.dumps(body, separators=(",", ":")).encode()
        write_bytes(path, gzip.compress(raw, mtime=0))

    # -- answering

    def answer(self, method: str, params: list[Json]) -> Json:
        """The result of one JSON-RPC call; raises Fault when the node would answer an error."""
        match method, params:
            case "eth_chainId", _:
                return hex(self.chain_id)
            case "net_version", _:
                return str(self.chain_id)
            case "web3_clientVersion", _:
                return "cryptolake-sandbox-replay"
            case "eth_blockNumber", _:
                return hex(self.blocks[-1].number)
            case "eth_getBlockByNumber", [tag, *_]:
                return self._header(tag)
            case "eth_getLogs", [dict() as query]:
                return self._matching(query)
            case "eth_call", [dict() as call, tag, *_]:
                return self._call(call, self.block_of(tag))
            case (("eth_getBlockByNumber" | "eth_getLogs" | "eth_call"), _):
                raise RecordedFault(BAD_PARAMS, f"invalid params for {method}")
        raise RecordedFault(NO_METHOD, f"method {method} is not supported: the sandbox replays recordings only")

    def block_of(self, tag: Json) -> int:
        """The number of a block that is named by a tag or by its hash (EIP-1898). Raises RecordedFault."""
        return self._of_hash(tag.get("blockHash")) if isinstance(tag, dict) else self._number(tag)

    def _number(self, tag: Json) -> int:
        match tag:
            case "latest" | "pending":
                return self.blocks[-1].number
            case "finalized" | "safe":
                return self.finalized
            case "earliest":
                return 0
            case str() if tag.startswith("0x"):
                try:
                    return int(tag, 16)
                except ValueError:
                    pass
        raise RecordedFault(BAD_PARAMS, f"invalid block tag {tag!r}")

    def _of_hash(self, block_hash: Json) -> int:
        for block in self.blocks:
            if block.hash == block_hash:
                return block.number
        raise RecordedFault(NOT_RECORDED, "header for hash not found")

    def _header(self, tag: Json) -> Json:
        number = self._number(tag)
        if number >= len(self.blocks):
            return None  # what nodes answer for a block that does not exist yet
        block = self.blocks[number]
        return {
            "number": hex(block.number),
            "hash": block.hash,
            "parentHash": block.parent,
            "timestamp": hex(block.timestamp),
            "transactions": [],
        }

    def _matching(self, query: dict[str, Json]) -> Json:
        if "blockHash" in query:  # of one block, whatever its number (EIP-234)
            first = last = self._of_hash(query["blockHash"])
        else:
            first = self._number(query.get("fromBlock", "latest"))
            last = self._number(query.get("toBlock", "latest"))
        if first > last:
            raise RecordedFault(BAD_PARAMS, "invalid block range params")
        if last - first >= MAX_LOG_RANGE:
            raise RecordedFault(LIMIT, f"query exceeds max block range {MAX_LOG_RANGE}")
        wanted = _lower_set(query.get("address"))
        raw_topics = query.get("topics")
        topics = [_lower_set(topic) for topic in raw_topics] if isinstance(raw_topics, list) else []
        found: list[Json] = []
        for log in self.logs:
            log_topics = log["topics"]
            assert isinstance(log_topics, list)
            in_range = first <= int(str(log["blockNumber"]), 16) <= last
            of_address = wanted is None or str(log["address"]) in wanted
            of_topics = len(topics) <= len(log_topics) and all(
                asked is None or str(have) in asked for asked, have in zip(topics, log_topics, strict=False)
            )
            if in_range and of_address and of_topics:
                found.append(log)
        return found

    def _call(self, call: dict[str, Json], block: int) -> str:
        to, data = str(call.get("to", "")).lower(), str(call.get("data", call.get("input", ""))).lower()
        if to == self.multicall3.lower() and data.startswith(aggregate3.SELECTOR):
            return self._aggregate(data, block)
        answer = self._recorded(block, to, data)
        if not answer.success:
            raise RecordedFault(REVERTED, "execution reverted", answer.data)
        return answer.data

    def _aggregate(self, data: str, block: int) -> str:
        try:
            inner = aggregate3.decode_calls(data)
        except ValueError as error:
            raise RecordedFault(BAD_PARAMS, str(error)) from None
        answers = [self._recorded(block, call.to, call.data) for call in inner]
        if any(not answer.success and not call.may_fail for call, answer in zip(inner, answers, strict=True)):
            raise RecordedFault(REVERTED, "execution reverted: Multicall3: call failed")
        return aggregate3.encode_results([(answer.success, answer.data) for answer in answers])

    def _recorded(self, block: int, to: str, data: str) -> CallAnswer:
        answer = self.calls.get((block, to, data)) or self._of_block(block, to, data)
        if answer is None:
            # worded like a pruned node's answer: no client should ask this endpoint the same again
            asked = f"call {data[:10]} to {to} at block {block}"
            raise RecordedFault(NOT_RECORDED, f"historical state not available, not recorded in the sandbox: {asked}")
        return answer

    def _of_block(self, block: int, to: str, data: str) -> CallAnswer | None:
        """What Multicall3 says of the block itself, which every recorded header tells as well."""
        if to != self.multicall3.lower() or block >= len(self.blocks):
            return None
        header = self.blocks[block]
        known = {_NUMBER: f"0x{header.number:064x}", _TIME: f"0x{header.timestamp:064x}", _PARENT: header.parent}
        return CallAnswer(True, known[data]) if data in known else None


def _lower_set(value: Json) -> frozenset[str] | None:
    """A filter position: None matches everything, a text itself, a list any of its members."""
    if value is None or value == []:
        return None
    return frozenset(str(item).lower() for item in (value if isinstance(value, list) else [value]))
