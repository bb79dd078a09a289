"""`Anvil`: a real EVM node on a free loopback port with time under the test's control. No protocol knowledge."""

from __future__ import annotations

import atexit
import http.client
import json
import re
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.waiting import PATIENCE_S

from .solidity import NODE_MODULES, call_data

CHAIN_ID = 31337
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
_START = datetime.fromisoformat("2024-11-30T12:00:00+00:00")
_GAS = hex(15_000_000)


def binary() -> Path | None:
    """The node's executable from the npm platform package, or None where it is not installed."""
    for folder in sorted(NODE_MODULES.glob("@foundry-rs/anvil-*/bin")):
        for name in ("anvil", "anvil.exe"):
            if (folder / name).is_file():
                return folder / name
    return None


class NodeError(Exception):
    """The node answered a call with an error object; `code`, `data` as the node gave them."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", "no message"))
        self.code: int | None = error.get("code")
        self.data: str | None = error.get("data")


@dataclass(frozen=True)
class Tx:
    """One transaction to mine: `to` None creates a contract from `data`; `value` is native coin in wei."""

    sender: str
    to: str | None
    data: str
    value: int = 0

    def fields(self) -> dict[str, str]:
        """The transaction as the node takes it."""
        named = {"from": self.sender, "data": self.data, "gas": _GAS, "value": hex(self.value)}
        return named | ({"to": self.to} if self.to else {})


@dataclass(frozen=True)
class Mined:
    """One transaction after mining: its block, hash and, for a creation, the new contract's address (lower case)."""

    block: int
    tx: str
    created: str | None


class Anvil:
    """A node that mines only when told to, at the timestamp it is told.

    Use as a context manager. Blocks are sparse: only those that `block()` and `empty_blocks()` make. `any_size` lifts the
    limit of 24,576 bytes a contract, which some published artifacts exceed because they were compiled for tests. `fork` is the
    set of rules that its blocks follow, `network` the family of chains they are of.
    """

    def __init__(
        self, start: datetime = _START, *, any_size: bool = False, fork: str = "cancun", network: str = "ethereum"
    ) -> None:
        executable = binary()
        if executable is None:
            raise FileNotFoundError("anvil is not installed; run: npm ci --ignore-scripts")
        self._process = subprocess.Popen(
            [
                str(executable), "--port", "0", "--host", "127.0.0.1", "--chain-id", str(CHAIN_ID),
                "--timestamp", str(int(start.timestamp())), "--hardfork", fork, "--no-mining", "--order", "fifo",
                "--gas-limit", "1000000000", "--block-base-fee-per-gas", "0", "--gas-price", "0",
                "--slots-in-an-epoch", "1", "--max-persisted-states", "10000", "--color", "never",
                *(["--disable-code-size-limit"] if any_size else []),
                *(["--network", network] if network != "ethereum" else []),
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        atexit.register(self.stop)
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._ids = 0
        self.port = self._wait_for_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.accounts: list[str] = self.rpc("eth_accounts")
        self.rpc("anvil_setCode", MULTICALL3, (Path(__file__).parent / "multicall3.hex").read_text().strip())

    def _wait_for_port(self) -> int:
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            match = re.search(r"Listening on 127\.0\.0\.1:(\d+)", line)
            if match:
                # keep draining: a full pipe would stop the node
                threading.Thread(target=self._drain, daemon=True).start()
                return int(match[1])
        self.stop()
        raise RuntimeError("anvil did not start: " + "".join(said[-5:]).strip())

    def _drain(self) -> None:
        assert self._process.stdout is not None
        for _ in self._process.stdout:
            pass

    def stop(self) -> None:
        """End the node and wait until it is gone; safe to call twice."""
        atexit.unregister(self.stop)
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- asking

    def _post(self, payload: object) -> Any:
        body = json.dumps(payload)
        with self._lock:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
            try:
                self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
                return json.loads(self._connection.getresponse().read())
            except BaseException:
                self._connection.close()
                self._connection = None
                raise

    def rpc(self, method: str, *params: Any) -> Any:
        """The result of one JSON-RPC call; raises NodeError when the node answers an error."""
        self._ids += 1
        answer = self._post({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": list(params)})
        if "error" in answer:
            raise NodeError(answer["error"])
        return answer["result"]

    def call(self, to: str, signature: str, *args: Any, block: int | str = "latest") -> str:
        """The raw 0x answer of an `eth_call` at `block`."""
        tag = hex(block) if isinstance(block, int) else block
        answer: str = self.rpc("eth_call", {"to": to, "data": call_data(signature, *args)}, tag)
        return answer

    def number(self) -> int:
        """The height of the chain's head."""
        return int(self.rpc("eth_blockNumber"), 16)

    def timestamp(self, block: int | str = "latest") -> int:
        """The Unix timestamp of `block`."""
        tag = hex(block) if isinstance(block, int) else block
        return int(self.rpc("eth_getBlockByNumber", tag, False)["timestamp"], 16)

    # -- mining

    def block(self, at: datetime, txs: Sequence[Tx] = ()) -> list[Mined]:
        """Mine one block at the aware instant `at` that holds exactly `txs`, in order; raises when one reverts."""
        hashes = [self.rpc("eth_sendTransaction", tx.fields()) for tx in txs]
        self.rpc("evm_setNextBlockTimestamp", int(at.timestamp()))
        self.rpc("evm_mine")
        mined = []
        for tx, tx_hash in zip(txs, hashes, strict=True):
            receipt = self.rpc("eth_getTransactionReceipt", tx_hash)
            if receipt is None:
                raise RuntimeError(f"transaction to {tx.to} was not mined")
            if int(receipt["status"], 16) != 1:
                raise RuntimeError(f"transaction to {tx.to} {tx.data[:10]} reverted: {self._why(tx, receipt)}")
            mined.append(Mined(int(receipt["blockNumber"], 16), tx_hash, receipt["contractAddress"]))
        return mined

    def _why(self, tx: Tx, receipt: dict[str, Any]) -> str:
        try:
            self.rpc("eth_call", tx.fields(), hex(int(receipt["blockNumber"], 16) - 1))
        except NodeError as error:
            return str(error)
        return "reverts only in its place in the block"

    def empty_blocks(self, count: int, interval_s: int) -> None:
        """Mine `count` empty blocks, `interval_s` seconds apart, the first one interval after the head."""
        head = self.timestamp()
        for number in range(1, count + 1):  # `anvil_mine` with an interval drifts by the second that passes meanwhile
            self.rpc("evm_setNextBlockTimestamp", head + number * interval_s)
            self.rpc("evm_mine")
