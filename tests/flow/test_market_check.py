"""The check of registry rows: births are bisected exactly, a silence is never a confirmation, every family has anchors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptolake.errors import Retry
from cryptolake.net.abi import address_word, call_data, selector
from cryptolake.net.envelope import Json
from cryptolake.net.faults import RpcFault
from cryptolake.net.multicall import Call, CallResult, Program
from cryptolake.registry.anchors import Identity, identity
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry, load_registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.families import declared
from cryptolake.work.market_check import Checked, check_markets

CTOKEN = "0x39AA39c021dfbaE8faC545936693aC917d5E7563"
COMPTROLLER = "0x3d9819210A31b4961b30EF54bE2aeD79B9c9Cd3B"
CHAIN = Chain("local", 31337)
DAY = 86_400


class CodeChain:
    """A chain on which one contract was born at a block; blocks are an hour apart. Old state may be refused."""

    def __init__(self, born: int, head: int, *, oldest: int = 0, outage: bool = False) -> None:
        self.born, self.head, self.oldest, self.outage = born, head, oldest, outage
        self.questions = 0

    def finalized(self) -> int:
        return self.head

    def call(self, method: str, params: Sequence[Json]) -> Json:
        raise AssertionError(f"{method} is asked in batches only")

    def batch(self, calls: Sequence[tuple[str, Sequence[Json]]]) -> list[Json | RpcFault]:
        if self.outage:
            raise Retry("local: nobody answers")
        return [self._answer(method, params) for method, params in calls]

    def _answer(self, method: str, params: Sequence[Json]) -> Json | RpcFault:
        block = int(str(params[-1] if method != "eth_getBlockByNumber" else params[0]), 16)
        assert 0 <= block <= self.head
        if method == "eth_getBlockByNumber":
            return {"timestamp": hex(block * 3600)}
        if block < self.oldest:
            return RpcFault(-32000, "missing trie node")
        if method == "eth_getCode":
            self.questions += 1
            return "0x60" if block >= self.born else "0x"
        question = params[0]
        assert isinstance(question, Mapping)
        data = bytes.fromhex(str(question["data"])[2:])
        if data == selector("getAllMarkets()"):
            return "0x" + ((32).to_bytes(32, "big") + (1).to_bytes(32, "big") + address_word(COMPTROLLER)).hex()
        return "0x" + address_word(COMPTROLLER).hex()


def market(block: int | None = None, day: str | None = None, **entry: str) -> Csu:
    on = None if day is None else datetime.fromisoformat(day).date()
    found = {"comptroller": COMPTROLLER, **entry}
    csu = Csu("one", "compound_v2", "compound", "2", "local", 31337, found, deployed_block=block, deployed_on=on)
    return replace(csu, facts={"ctoken": CTOKEN})


def check(chain: CodeChain, csu: Csu) -> Checked:
    (checked,) = check_markets([csu], Registry({csu.name: csu}, {"local": CHAIN}, declared()), lambda _: chain)
    return checked


@given(born=st.integers(0, 400), more=st.integers(0, 400), stated=st.none() | st.integers(0, 900))
def test_a_birth_is_found_exactly(born: int, more: int, stated: int | None) -> None:
    chain = CodeChain(born, born + more)
    checked = check(chain, market(stated))
    found = {one.field: one for one in checked.findings}
    block, day = found["deployment.block"], found["deployment.date"]
    assert block.found == str(born)
    expected = "missing" if stated is None else "confirmed" if stated == born else "bound" if stated < born else "wrong"
    assert block.verdict == expected
    assert block.correction == (None if stated == born else str(born))
    assert day.found == str(datetime.fromtimestamp(born * 3600, UTC).date())
    assert chain.questions <= 1 + 2 + 11


def test_a_row_that_is_right_costs_two_questions() -> None:
    chain = CodeChain(500, 10**7)
    checked = check(chain, market(500, "1970-01-21"))
    assert not checked.of("wrong", "unknown", "bound", "missing")
    assert checked.settled
    assert chain.questions == 3, "code now, one before and at the stated block"


def test_without_archive_a_birth_is_unknown_and_the_rest_is_kept() -> None:
    checked = check(CodeChain(500, 10**6, oldest=10**6 - 100), market(500))
    (unknown,) = checked.of("unknown")
    assert unknown.field == "deployment.block"
    assert "archive" in str(unknown.found)
    assert checked.settled, "the contracts themselves answered"


def test_an_outage_confirms_nothing() -> None:
    checked = check(CodeChain(0, 10, outage=True), market(0))
    assert checked.block is None
    assert not checked.settled
    assert [one.verdict for one in checked.findings] == ["unknown"]


def test_no_contract_at_the_stated_address() -> None:
    checked = check(CodeChain(11, 10), market(5))
    assert [(one.field, one.found) for one in checked.of("wrong")] == [("entry.comptroller", "no contract")]
    assert not checked.settled


def test_a_row_that_says_nothing_that_its_siblings_do_not_settles_nothing() -> None:
    checked = check(CodeChain(0, 10), replace(market(0, "1970-01-01"), facts={}))
    (alike,) = checked.of("interchangeable")
    assert (alike.field, alike.stated, alike.correction) == ("entry.comptroller", COMPTROLLER, None)
    assert not checked.of("wrong", "unknown", "bound", "missing")
    assert not checked.settled
    assert not check(CodeChain(0, 10), market(0)).of("interchangeable")


def test_a_wrong_helper_is_corrected_and_an_open_one_is_learned() -> None:
    other = "0x6B175474E89094C44Da98b954EedeAC495271d0F"
    (wrong,) = check(CodeChain(0, 10), market(0, "1970-01-01", oracle=other)).of("wrong")
    assert (wrong.field, wrong.stated, wrong.correction) == ("entry.oracle", other, COMPTROLLER)
    learned = check(CodeChain(0, 10), market(0, "1970-01-01", oracle="resolve_on_chain:Comptroller.oracle()"))
    assert [one.found for one in learned.findings if one.field == "entry.oracle"] == [COMPTROLLER]
    assert learned.settled


def test_every_family_has_anchors_that_reach_its_identifying_contract() -> None:
    families = declared()
    for csu in load_registry(families).csus.values():
        family = families[csu.family]
        asked = {call.to for calls in _asked(identity(csu, family)) for call in calls}
        assert asked, csu.name
        role = family.primary_role(csu.entry)
        named_by_others = any(one.same_as == role for one in family.anchors_of(csu.protocol))
        if not csu.entry[role].startswith("resolve_on_chain:") and not named_by_others:
            assert csu.entry[role].split(",")[0] in asked, csu.name


def _asked(program: Program[Identity]) -> list[Sequence[Call]]:
    """Every round of a program that is answered with one and the same address."""
    rounds = []
    answer = CallResult(True, (32).to_bytes(32, "big") + (1).to_bytes(32, "big") + address_word(COMPTROLLER))
    try:
        calls = next(program)
        while True:
            rounds.append(calls)
            calls = program.send([answer] * len(calls))
    except StopIteration:
        return rounds


# Selectors as published (4byte lists and the protocols' own interfaces), not computed by the code under test.
@pytest.mark.parametrize(
    ("signature", "known"),
    [
        ("getPool()", "026b1d5f"),
        ("getPoolDataProvider()", "e860accb"),
        ("getPriceOracle()", "fca513a8"),
        ("ADDRESSES_PROVIDER()", "0542975c"),
        ("getReservesList()", "d1946dbc"),
        ("getLendingPool()", "0261bf8b"),
        ("baseToken()", "c55dae63"),
        ("getAllMarkets()", "b0772d0b"),
        ("allTokens()", "6ff97f1d"),
        ("totalVaults()", "8d654023"),
        ("getAddressOrRevert(bytes32,uint256)", "57b5a1c6"),
        ("getContractsRegister()", "c513c9bb"),
        ("assets()", "71a97305"),
        ("reservesCount()", "54b768bb"),
        ("getProxyListLength()", "0a68b7ba"),
        ("getNumMarkets()", "295c39a5"),
        ("getAssetCount()", "a0aead4d"),
    ],
)
def test_the_getters_have_the_published_selectors(signature: str, known: str) -> None:
    assert call_data(signature)[:4].hex() == known
    assert any(anchor.getter == signature for family in declared().values() for anchor in family.anchors)
