"""An invented permissionless market for the demo: a small lake of its own, read from made-up answers by the real family's code.

It shows what a newcomer sees nowhere else in the sandbox: an isolated market that the list of exclusions names, totals with and
without it, a token that nobody but the market prices. Every name in it says that it is invented. What does not belong here: the
recorded market (recording), and making tables (work).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson
import yaml

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.net.abi import WORD, checksum, keccak, selector
from cryptolake.net.multicall import Call, CallResult, Transcript, transcript_to_json
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain import morpho_blue

FOLDER, CHAIN, CSU = "permissionless", "invented", "morpho_blue_invented"
DAYS = 5
_ABOUT = "invented for cryptolake's demo: no such contract, token or market exists"


def _address(name: str) -> str:
    return checksum(sha256(f"cryptolake demo {name}".encode()).hexdigest()[:40])


@dataclass(frozen=True, slots=True)
class _Token:
    symbol: str
    decimals: int
    dollars: float | None  # what the demo's price file says; None: nobody but the market prices it

    @property
    def address(self) -> str:
        return _address(self.symbol)


_USD = _Token("INVENTED-USD", 6, 1.0)
_ETH = _Token("INVENTED-ETH", 18, 3_000.0)
_NEW = _Token("INVENTED-NEW", 18, None)
_TOY = _Token("INVENTED-TOY", 18, None)


@dataclass(frozen=True, slots=True)
class _Market:
    """An isolated market that lends dollars: what is lent, owed and pledged, in whole tokens, and what its oracle says."""

    collateral: _Token
    supplied: float
    borrowed: float
    pledged: float
    oracle_price: float

    @property
    def words(self) -> bytes:
        """Its five parameters: loan token, collateral, oracle, no rate model, the share that may be lent."""
        parts = [_USD.address, self.collateral.address, self.oracle, "0x0"]
        return b"".join(int(one, 16).to_bytes(WORD, "big") for one in parts) + (86 * 10**16).to_bytes(WORD, "big")

    @property
    def oracle(self) -> str:
        return _address(f"oracle of {self.collateral.symbol}")

    @property
    def id(self) -> str:
        return "0x" + keccak(self.words).hex()


_HONEST = _Market(_ETH, 60e6, 40e6, 25_000.0, 3_000.0)
_YOUNG = _Market(_NEW, 1e6, 0.5e6, 600_000.0, 2.0)
# Somebody lends to himself against a token that he minted, by an oracle of his own.
_TOYS = _Market(_TOY, 900e6, 899e6, 1e6, 1_000.0)
_MARKETS = (_HONEST, _YOUNG, _TOYS)


def registry() -> str:
    """The registry file of the lake: its chain, its market, and the exclusion that names the toy."""
    chain = {
        "chain_id": 31338, "defillama_name": None, "native_symbol": "ETH", "block_time_s": None, "kind": _ABOUT,
        "multicall3": {"address": _address("multicall"), "block": 0}, "alchemy_subdomain": None, "public_rpcs": [],
        "notes": [_ABOUT],
    }  # fmt: skip
    row = {
        "name": CSU, "family": "morpho_blue", "protocol": "morpho", "version": "1", "chain": CHAIN, "chain_id": 31338,
        "entry": {"morpho": _address("contract")}, "deployment": {"block": 1, "date": "2024-11-30"},
        "sources": ["cryptolake demo"], "status": "single-source", "notes": [_ABOUT], "in_seed_43": False,
        "in_thesis_46": False, "sandbox": True,
    }  # fmt: skip
    left_out = {
        "csu": CSU, "market": _TOYS.id, "reason": "self_dealt", "sources": ["cryptolake demo"],
        "why": f"One invented account lends to itself against a token it minted; {_ABOUT}.",
    }  # fmt: skip
    body = {"schema_version": 1, "chains": {CHAIN: chain}, "csus": [row], "exclusions": [left_out]}
    return f"# {_ABOUT}.\n" + yaml.safe_dump(body, sort_keys=False, width=118)


def prices(days: Sequence[date]) -> str:
    """The lake's price file (CSV): what somebody else says of two of the tokens."""
    told = [(token.address, token.dollars) for token in (_USD, _ETH)]
    lines = [f"{day},{CHAIN},{asset},{price}" for day in days for asset, price in told]
    return "\n".join(["date,chain,asset,price", *lines, ""])


def answers(csu: Csu, days: Sequence[date]) -> Iterator[Raw]:
    """A snapshot of each day, and that nobody was liquidated, as a chain would have answered. Marked as invented."""
    for number, day in enumerate(days):
        period = Period.of_day(day)
        stamp = int(period.end.timestamp()) - 12
        block = 1_000 + number
        block_hash = "0x" + sha256(f"{CHAIN} {block}".encode()).hexdigest()
        found = tuple(one.words.hex() for one in _MARKETS)
        rounds = _driven(csu, found, stamp, 1 + number / 200)
        held = {
            "csu": csu.name, "block": block, "block_hash": block_hash, "timestamp": stamp,
            "found": found, "rounds": transcript_to_json(rounds),
        }  # fmt: skip
        silent = {"csu": csu.name, "logs": [], "timestamps": {}, "context": []}
        for dataset, payload in (("tvl", held), ("liquidations", silent)):
            yield Raw(
                Partition(dataset, csu.name, period),
                "onchain",
                datetime.now(UTC),
                period.end - timedelta(seconds=12),
                orjson.dumps(payload),
                {"chain": CHAIN, "dataset": dataset},
                {"sandbox": "true", "answers": "invented"},
                block,
                block_hash,
            )


def _driven(csu: Csu, found: tuple[str, ...], stamp: int, growth: float) -> Transcript:
    """The family's own program run against the invented contracts; `growth` is how much larger they are than at first."""
    program, rounds = morpho_blue.snapshot(replace(csu, found=found)), list[Any]()
    try:
        calls = next(program)
        while True:
            told = [_said(call, stamp, growth) for call in calls]
            rounds.append(list(zip(calls, told, strict=True)))
            calls = program.send(told)
    except StopIteration:
        return rounds


def _said(call: Call, stamp: int, growth: float) -> CallResult:
    """What the invented chain says to one call. A question that it does not know is a defect, and raises KeyError."""
    state = {one.id: one for one in _MARKETS}
    what = call.data[:4]
    if what == selector("market(bytes32)"):
        one = state["0x" + call.data[4:].hex()]
        lent, owed = (int(amount * growth * 10**_USD.decimals) for amount in (one.supplied, one.borrowed))
        return _words(lent, lent, owed, owed, stamp, 0)
    if what == selector("price()"):
        one = {one.oracle: one for one in _MARKETS}[call.to]
        return _words(int(one.oracle_price * 10 ** (36 + _USD.decimals - one.collateral.decimals)))
    tokens = {token.address: token for token in (_USD, _ETH, _NEW, _TOY)}
    answers: Mapping[bytes, CallResult] = {selector("getCurrentBlockTimestamp()"): _words(stamp)}
    if call.to in tokens:
        token = tokens[call.to]
        answers = {
            selector("balanceOf(address)"): _words(_balance(token, growth)),
            selector("decimals()"): _words(token.decimals),
            selector("symbol()"): CallResult(True, token.symbol.encode().ljust(WORD, b"\0")),
        }
    return answers[what]


def _balance(token: _Token, growth: float) -> int:
    """What the contract holds of a token: what is pledged, and of the loan token what is not lent out."""
    if token is _USD:
        return sum(int(one.supplied * growth * 10**6) - int(one.borrowed * growth * 10**6) for one in _MARKETS)
    return sum(int(one.pledged * growth * 10**token.decimals) for one in _MARKETS if one.collateral is token)


def _words(*values: int) -> CallResult:
    return CallResult(True, b"".join(value.to_bytes(WORD, "big") for value in values))
