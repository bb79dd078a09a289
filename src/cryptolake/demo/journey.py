"""What the demo asks, of whom, and the mark that a folder holds sandbox data. Asks and prints nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import orjson

from cryptolake.files.atomic import write_bytes

# The fortnight the recorded chain covers (UTC days, both included), and its one market.
FIRST, LAST = date(2024, 12, 1), date(2024, 12, 14)
CSU = "aave_v3_sandbox"
NOTE = "Sandbox data: recorded or invented answers."
_MARK = "sandbox.json"
_REAL = ("ledger.sqlite", "bronze", "silver", "gold")  # what a data folder that is no sandbox would hold


@dataclass(frozen=True, slots=True)
class VendorStep:
    """One pull or backfill; `answers` says what the vendor's part is played with. `needs` is a module of an extra."""

    operation: Literal["pull", "backfill"]
    source: str
    answers: Literal["recorded", "invented"]
    keys: tuple[str, ...]
    datasets: tuple[str, ...] | None = None
    restate: bool = False
    needs: str = ""

    @property
    def provenance(self) -> dict[str, str]:
        """The marks that every answer of this step carries in bronze."""
        return {"sandbox": "true", "answers": self.answers}


_STABLECOINS = ("tether", "usd-coin")
_ENTITIES = ("ethereum", "solana", "aave", "sushi", "0x", "gains-network", "across-protocol")
_ASSETS = ("eth", "sol", "aave", "gmx", "usdc", "eq-coin")
_CANDLES = tuple(f"{name}:{coin}-USDT" for name in ("binance", "coinbase", "kraken") for coin in ("BTC", "ETH"))
STEPS: tuple[VendorStep, ...] = (
    VendorStep("backfill", "defillama", "recorded", _STABLECOINS),
    VendorStep("pull", "defillama", "recorded", _STABLECOINS),
    VendorStep("backfill", "defillama", "invented", _ENTITIES),
    VendorStep("pull", "defillama", "invented", _ENTITIES),
    VendorStep("backfill", "artemis", "invented", _ASSETS),
    VendorStep("pull", "artemis", "invented", _ASSETS),
    VendorStep("backfill", "alternative_me", "invented", ("crypto",)),
    VendorStep("pull", "alternative_me", "invented", ("crypto",)),
    VendorStep("backfill", "coingecko", "recorded", ("bitcoin",)),
    VendorStep("pull", "coingecko", "invented", ("top1000", "all", "bitcoin", "ethereum")),
    VendorStep("backfill", "exchanges", "invented", _CANDLES, ("candles",), needs="ccxt"),
    VendorStep("pull", "exchanges", "invented", ("binance", "coinbase", "kraken"), ("tickers",), needs="ccxt"),
)
# After the invented vendor has corrected itself.
CORRECTION = VendorStep("backfill", "defillama", "invented", ("ethereum",), ("chain_tvl",), restate=True)
CANDLE_DAYS = 3
# Keys that open what a vendor sells; made up, and they go nowhere but to the sandbox.
KEYS: Sequence[str] = ("ARTEMIS_API_KEY", "COINGECKO_PRO_API_KEY", "DEFILLAMA_API_KEY")
KEY = "made-up-key-of-the-demo"


def mark(folder: Path) -> None:
    """Write into the folder that it holds sandbox data."""
    document = {
        "sandbox": True,
        "note": NOTE,
        "lending": "recorded: published contracts on a local chain; users, tokens and prices are invented",
        "vendors": [
            {"source": one.source, "operation": one.operation, "answers": one.answers, "keys": one.keys}
            for one in STEPS
        ],
    }
    write_bytes(folder / _MARK, orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")


def is_marked(folder: Path) -> bool:
    """Whether the folder holds sandbox data."""
    return (folder / _MARK).exists()


def is_taken(folder: Path, registry: Path) -> bool:
    """Whether the folder holds data that are not this version's sandbox, whose registry file is `registry`."""
    there = folder / "registry.yaml"
    if there.exists():
        return there.read_bytes() != registry.read_bytes()
    return any((folder / name).exists() for name in _REAL)
