"""A bronze folder of invented answers in the real format: markets x days of Aave-shaped snapshots and liquidations.

Everything here is synthetic (seeded random walks) and every answer says so in its provenance; it is for measuring and for
tests, never data. The answers are made by running the real `aave_v3` programs against an invented chain, so reading them
costs what reading real ones costs.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import orjson

from cryptolake import __version__
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition, Period, days
from cryptolake.contracts.raw import Raw
from cryptolake.lake import bronze as bronze_room
from cryptolake.lake.bronze import Bronze
from cryptolake.net.abi import address_word, checksum, selector
from cryptolake.net.logs import Log, log_to_json
from cryptolake.net.multicall import Call, CallResult, Program, Transcript, transcript_to_json
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry, load_registry, select
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain import aave_v3
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.state.ledger import Ledger

_DECIMALS = (6, 18, 18, 8, 18)
_MARK = {"synthetic": "true", "cryptolake": __version__}


@dataclass(slots=True)
class World:
    """Markets, the tokens each lists and one price path per chain and token."""

    csus: list[Csu]
    assets: int = 20
    seed: int = 7
    _prices: dict[tuple[str, str], float] = field(default_factory=dict)

    def listed(self, csu: Csu) -> list[str]:
        """The market's tokens: markets of one chain share most of them."""
        first = int(hashlib.sha256(csu.name.encode()).hexdigest(), 16) % 10
        return [token(csu.chain, first + number) for number in range(self.assets)]

    def price(self, chain: str, asset: str, day: date) -> int:
        """USD with 8 decimals, the same for every market."""
        base = self._prices.setdefault((chain, asset), 10 ** random.Random(chain + asset).uniform(-1, 4))
        wave = random.Random(f"{self.seed}{chain}{asset}{day}").gauss(0, 0.02)
        return max(1, int(base * (1 + wave) * 10**8))


@lru_cache(maxsize=100_000)
def token(chain: str, number: int | str) -> str:
    """An invented address."""
    return checksum(hashlib.sha256(f"{chain}/{number}".encode()).hexdigest()[:40])


def market(name: str, chain: str) -> Csu:
    """A market of the family aave_v3 that says that it is synthetic."""
    entry = {"pool": token(chain, name)}
    return Csu(name, "aave_v3", "synthetic", "3", chain, 1, entry, deployed_block=1, sandbox=True)


def planned_markets() -> list[Csu]:
    """The 47 markets of the plan by name and chain, all of them shaped like Aave."""
    named = select(load_registry(declared()), sets=["thesis-43", "thesis-46"])
    return [market(csu.name, csu.chain) for csu in named]


def source(world: World) -> OnchainSource:
    """The real source over the invented markets; it can read answers, and has no endpoint to ask."""

    def no_pool(chain: Chain) -> Pool:
        raise RuntimeError(f"a synthetic lake has no endpoint ({chain.name})")

    csus = {csu.name: csu for csu in world.csus}
    return OnchainSource(registry=Registry(csus, load_registry(declared()).chains), csus=world.csus, pools=no_pool)


def fill(
    root: Path,
    world: World,
    first: date,
    last: date,
    *,
    quiet_events: int = 100,
    stress: Sequence[date] = (),
    stress_events: int = 5000,
) -> Ledger:
    """Write the bronze folder and its ledger: every market on every day, `quiet_events` events a day in all."""
    store, ledger = Bronze(root), Ledger(root / "ledger.sqlite")
    kept = bronze_room.write_bytes
    bronze_room.write_bytes = _plain  # the generator need not survive a power cut
    try:
        for period in days(first, last):
            events = stress_events if period.day in stress else quiet_events
            entries = []
            for number, csu in enumerate(world.csus):
                share = events // len(world.csus) + (number < events % len(world.csus))
                for raw, rows in (
                    (_snapshot(world, csu, period), world.assets),
                    (_events(world, csu, period, share), share),
                ):
                    digest = store.land(raw)
                    state = "done" if rows else "empty"
                    entries.append(
                        Entry(raw.partition, state, raw.fetched_at, rows=rows, digest=digest, block=raw.block)
                    )
            ledger.append_many(entries)
    finally:
        bronze_room.write_bytes = kept
    return ledger


def partitions(world: World, first: date, last: date) -> list[Partition]:
    """Both datasets of every market on every day."""
    return [
        Partition(dataset, csu.name, period)
        for dataset in ("tvl", "liquidations")
        for csu in world.csus
        for period in days(first, last)
    ]


def _plain(path: Path, data: bytes, *, synced: bool = True) -> None:
    del synced
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _block(csu: Csu, period: Period) -> tuple[int, str]:
    """Number and hash of the period's last block."""
    number = 10_000_000 + int(period.end.timestamp()) // 12
    return number, "0x" + hashlib.sha256(f"{csu.chain}{period}".encode()).hexdigest()


def _raw(csu: Csu, dataset: str, period: Period, payload: dict[str, object]) -> Raw:
    at = period.end - timedelta(seconds=7)
    return Raw(
        Partition(dataset, csu.name, period),
        "onchain",
        datetime(2025, 1, 1, tzinfo=UTC),
        at,
        orjson.dumps(payload),
        {"chain": csu.chain, "dataset": dataset},
        _MARK,
        *_block(csu, period),
    )


def _snapshot(world: World, csu: Csu, period: Period) -> Raw:
    rounds = _drive(aave_v3.snapshot(csu), lambda call: _answer(world, csu, period.day, call))
    stamp = int(period.end.timestamp()) - 7
    number, block_hash = _block(csu, period)
    said = {"csu": csu.name, "block": number, "block_hash": block_hash, "timestamp": stamp}
    return _raw(csu, "tvl", period, {**said, "rounds": transcript_to_json(rounds)})


def _events(world: World, csu: Csu, period: Period, count: int) -> Raw:
    dice = random.Random(f"{world.seed}{csu.name}{period}")
    assets = world.listed(csu)
    start = int(period.start.timestamp())
    logs, stamps = [], {}
    for number in range(count):
        second = dice.randrange(1, 86_000)
        block = 10_000_000 + (start + second) // 12
        stamps[str(block)] = start + second - (start + second) % 12
        collateral, debt = dice.sample(assets, 2)
        owed = int(10 ** dice.uniform(0, 4) * 10**18 // (world.price(csu.chain, debt, period.day) // 10**6 + 1))
        prices = [world.price(csu.chain, one, period.day) for one in (collateral, debt)]
        words = [owed, owed * prices[1] * 21 // (prices[0] * 20), int(token("who", dice.randrange(50)), 16), 0]
        logs.append(
            Log(
                csu.entry["pool"],
                (
                    aave_v3.LIQUIDATION_CALL,
                    *("0x" + address_word(one).hex() for one in (collateral, debt, token("who", dice.randrange(9999)))),
                ),
                b"".join(word.to_bytes(32, "big") for word in words),
                block,
                "0x" + hashlib.sha256(f"{csu.chain}{block}".encode()).hexdigest(),
                "0x" + hashlib.sha256(f"{csu.name}{period}{number}".encode()).hexdigest(),
                number,
            )
        )
    payload: dict[str, object] = {
        "csu": csu.name,
        "logs": [log_to_json(log) for log in logs],
        "timestamps": stamps,
        "context": [],
    }
    if found := aave_v3.liquidations(csu, logs):
        context = _drive(aave_v3.settle(csu, found), lambda call: _answer(world, csu, period.day, call))
        payload["context"] = transcript_to_json(context)
    return _raw(csu, "liquidations", period, payload)


def _drive(program: Program[object], answer: Callable[[Call], CallResult]) -> Transcript:
    """Run a program against an invented chain and keep its rounds."""
    rounds: Transcript = []
    try:
        calls = next(program)
        while True:
            given = [answer(call) for call in calls]
            rounds.append(list(zip(calls, given, strict=True)))
            calls = program.send(given)
    except StopIteration:
        return rounds


_WHAT = {
    selector(text): text
    for text in (
        "getReservesList()",
        "ADDRESSES_PROVIDER()",
        "getPriceOracle()",
        "getReserveData(address)",
        "getAssetsPrices(address[])",
        "getAssetPrice(address)",
        "BASE_CURRENCY_UNIT()",
        "BASE_CURRENCY()",
        "symbol()",
        "decimals()",
        "balanceOf(address)",
        "totalSupply()",
    )
}


def _answer(world: World, csu: Csu, day: date, call: Call) -> CallResult:
    """What the invented chain says to one call."""
    match _WHAT[call.data[:4]]:
        case "getReservesList()":
            return _words(32, world.assets, *(int(one, 16) for one in world.listed(csu)))
        case "ADDRESSES_PROVIDER()" | "getPriceOracle()":
            return _words(int(token(csu.chain, call.to), 16))
        case "getReserveData(address)":
            asset = checksum(call.data[-20:].hex())
            parts = [int(token(csu.name, f"{kind}{asset}"), 16) for kind in ("supply", "stable", "debt")]
            return _words(*([0] * 8), parts[0], 0, parts[2], *([0] * 4))
        case "getAssetsPrices(address[])":
            prices = [world.price(csu.chain, asset, day) for asset in world.listed(csu)]
            return _words(32, len(prices), *prices)
        case "getAssetPrice(address)":
            return _words(world.price(csu.chain, checksum(call.data[-20:].hex()), day))
        case "BASE_CURRENCY_UNIT()":
            return _words(10**8)
        case "BASE_CURRENCY()":
            return _words(0)
        case "symbol()":
            return CallResult(True, f"SYN{call.to[2:6]}".encode().ljust(32, b"\0"))
        case "decimals()":
            return _words(_DECIMALS[int(call.to, 16) % len(_DECIMALS)])
        case what:
            dice = random.Random(f"{what}{call.to}{call.data.hex()}")
            drift = 1 + 0.1 * random.Random(f"{world.seed}{call.to}{day}").random()
            share = 0.4 if what == "balanceOf(address)" else 1.0
            return _words(int(10 ** dice.uniform(9, 24) * drift * share))


def _words(*values: int) -> CallResult:
    return CallResult(True, b"".join(value.to_bytes(32, "big") for value in values))
