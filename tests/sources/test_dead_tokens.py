"""A token that is gone or broken loses its own reserve, flagged, and never its market: every family, every fault.

The answers are those of the protocols' own contracts (recorded on the local node, or read there), the token's own are
replaced. What a contract computes from the token's answer fails with it, as it does on a chain (`DERIVED`).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.chain.anvil import Anvil
from tests.chain.fixtures import require_chain
from tests.chain.gearbox import GearboxMarket
from tests.chain.scenario import Fortnight
from tests.chain.venus_days import Days
from tests.sources.test_gearbox_equals_contracts import csu_on
from tests.sources.test_wrong_addresses import WORLDS, World

from cryptolake.contracts.dead_tokens import DEAD
from cryptolake.net.abi import WORD, address_word, checksum, selector
from cryptolake.net.multicall import Call, CallResult, Program, transcript_from_json
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import families
from cryptolake.sources.onchain.records import Reserve

DATA = Path(__file__).parent / "data"
REVERTS, NOTHING = CallResult(False, b""), CallResult(True, b"")
BALANCE = ("balanceOf(address)",)
# What protocols' contracts compute from a balance of the token, each by the contract or by the token among its arguments.
DERIVED = (
    "availableBalance(address)",
    "availableLiquidity()",
    "getCash()",
    "exchangeRateCurrent()",
    "totalBorrowsCurrent()",
)
STORED = {"totalBorrowsCurrent()": "totalBorrows()"}  # what a contract still has of it when it cannot compute any more
FAULTS: dict[str, tuple[tuple[str, ...], CallResult]] = {
    "no code": (("symbol()", "decimals()", *BALANCE, "totalSupply()"), NOTHING),
    "everything reverts": (("symbol()", "decimals()", *BALANCE, "totalSupply()"), REVERTS),
    "balanceOf reverts": (BALANCE, REVERTS),
    "decimals reverts": (("decimals()",), REVERTS),
    "symbol reverts": (("symbol()",), REVERTS),
}
Answers = dict[Call, CallResult]


def broken(answers: Answers, token: str, fault: str, contracts: Iterable[str]) -> Answers:
    """The answers with one token broken; `contracts` are those whose own token it is."""
    getters, instead = FAULTS[fault]
    gone = {selector(one) for one in getters}
    found = dict(answers)
    for call in answers:
        if call.to == token and call.data[:4] in gone:
            found[call] = instead
        derived = call.data[:4] in {selector(one) for one in DERIVED}
        if BALANCE[0] in getters and derived and (call.to in contracts or address_word(token) in call.data[4:]):
            found[call] = REVERTS
            for current, stored in STORED.items():
                if call.data == selector(current) and answers[call].success:
                    found[Call(call.to, selector(stored))] = answers[call]
    return found


def check(csu: Csu, answers: Answers) -> None:
    """Every token of the market, every fault."""
    program = families()[csu.family].snapshot
    truth = {one.asset: one for one in answered(program(csu), answers)}
    tried = 0
    for token in truth:
        if not any(call.to == token for call in answers):
            continue  # a chain's coin
        mine = {
            call.to for call, one in answers.items() if one.data[:WORD] == address_word(token) and not call.data[4:]
        }
        for fault in FAULTS:
            found = {one.asset: one for one in answered(program(csu), broken(answers, token, fault, mine))}
            assert found.keys() == truth.keys(), (token, fault)
            for other in truth.keys() - {token}:
                assert figures(found[other]) == figures(truth[other]), (token, fault, other)
            lost = found[token]
            if fault == "symbol reverts":
                assert figures(lost) == figures(truth[token])
            elif lost.price_quote == DEAD:
                assert (lost.price_raw, lost.price_unit) == (None, None)
                tried += 1
            else:  # the market has no need of what the token does not say
                assert figures(lost) == figures(truth[token]), (token, fault)
    assert tried, "no fault was noticed"


def figures(one: Reserve) -> tuple[int, ...]:
    return one.decimals, one.supplied_raw, one.borrowed_raw, one.cash_raw, one.collateral_raw


def answered(program: Program[list[Reserve]], answers: Answers) -> list[Reserve]:
    """The program's value; what was not recorded reverts."""
    calls = next(program)
    try:
        while True:
            calls = program.send([answers.get(call, REVERTS) for call in calls])
    except StopIteration as stop:
        value: list[Reserve] = stop.value
        return value


def of_rounds(rounds: Any) -> Answers:
    return {call: answer for stored in transcript_from_json(rounds) for call, answer in stored}


def local(family: str, protocol: str, entry: dict[str, str], **more: Any) -> Csu:
    return Csu("local", family, protocol, "", "ethereum", 1, entry, **more)


def recorded() -> dict[str, tuple[Csu, Answers]]:
    """Markets whose contracts' answers are recorded, by name."""

    def file(name: str) -> Any:
        data = (DATA / name).read_bytes()
        return json.loads(gzip.decompress(data) if name.endswith(".gz") else data)

    comet = max(
        (one for one in file("comet_answers.json.gz")["answers"] if "rounds" in one),
        key=lambda one: len(one["expected"]),
    )
    cap = file("cap_answers.json.gz")
    caps = max((one for one in cap["answers"] if "rounds" in one), key=lambda one: len(one["expected"]))
    euler, fluid, morpho = (
        file(f"{name}.json") for name in ("euler_v2_local_node", "fluid_recorded", "morpho_recorded")
    )
    found = {
        "compound_v3": (local("compound_v3", "compound", {"comet": comet["comet"]}), comet["rounds"]),
        "cap": (local("cap", "cap", cap["entry"]), caps["rounds"]),
        "euler_v2": (
            local("euler_v2", "euler", {"perspectives": ",".join(euler["perspectives"])}),
            euler["snapshots"][0]["rounds"],
        ),
        "fluid": (local("fluid", "fluid", {"liquidity": fluid["liquidity"]}), fluid["rounds"]),
        "morpho_blue": (
            local("morpho_blue", "morpho", {"morpho": morpho["morpho"]}, found=tuple(morpho["found"])),
            morpho["rounds"],
        ),
    }
    for name, one in file("compound_v2_local_node.json").items():
        found[f"compound_v2 {name}"] = (local("compound_v2", one["protocol"], one["entry"]), one["snapshot"]["rounds"])
    return {name: (csu, of_rounds(rounds)) for name, (csu, rounds) in found.items()}


RECORDED = recorded()


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_market_survives_its_tokens(name: str) -> None:
    check(*RECORDED[name])


@pytest.mark.chain
@pytest.mark.xdist_group("venus")
def test_venus_survives_its_tokens(venus_core: Days, venus_pool: Days) -> None:
    for days in (venus_core, venus_pool):
        entry = {"comptroller": checksum(days.market.comptroller)}
        where = World(days.node, Csu("local", "compound_v2", "venus", "", "local", 31337, entry), ())
        check(where.csu, dict(where.town(siblings=0).answers))


@pytest.mark.chain
@pytest.mark.xdist_group("fortnight")
def test_aave_survives_its_tokens(aave_fortnight: Fortnight) -> None:
    made = aave_fortnight.market
    entry = {"pool": checksum(made.pool), "pool_addresses_provider": checksum(made.provider)}
    where = World(aave_fortnight.node, Csu("local", "aave_v3", "aave", "3", "local", 31337, entry), ())
    check(where.csu, dict(where.town(siblings=0).answers))


@pytest.mark.chain
@pytest.mark.xdist_group("gearbox")
def test_gearbox_survives_its_tokens(gearbox_market: GearboxMarket) -> None:
    where = World(gearbox_market.node, csu_on(gearbox_market), ())
    check(where.csu, dict(where.town(siblings=0).answers))


@pytest.mark.chain
def test_old_aave_survives_its_tokens() -> None:
    require_chain()
    play, lacking = WORLDS["aave_v2"]
    if (reason := lacking()) is not None:
        pytest.skip(reason)
    with Anvil() as node:
        where = play(node)
        check(where.csu, dict(where.town(siblings=0).answers))
