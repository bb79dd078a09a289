"""The readers all families share: what a revert, silence, a cut answer and zero mean in each of the three ways to read."""

from __future__ import annotations

import pytest
from tests.sources.answering import array, at, string, uint

from cryptolake.errors import Skip
from cryptolake.net.abi import address_word
from cryptolake.net.logs import Log
from cryptolake.net.multicall import CallResult
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain import answers, events

REVERT, NOTHING, CUT, ZERO = (
    CallResult(False, b""),
    CallResult(True, b""),
    CallResult(True, b"\1" * 31),
    CallResult(True, uint(0)),
)
TOKEN = at(0xABCD)
SHORT = f"{TOKEN[:6]}..{TOKEN[-4:]}"
CSU = Csu("m", "f", "p", "1", "local", 31337, {}, deployed_block=1)


def told(value: bytes) -> CallResult:
    return CallResult(True, value)


@pytest.mark.parametrize("read", [answers.uint_of, answers.address_of, answers.addresses_of])
def test_what_is_needed_and_missing_skips_with_its_name(read: object) -> None:
    for answer, reason in ((REVERT, "revert"), (NOTHING, "not_deployed"), (CUT, "layout")):
        with pytest.raises(Skip, match="the amount") as caught:
            read(answer, "the amount")  # type: ignore[operator]
        assert caught.value.reason == reason


def test_what_is_needed_and_there_is_read_zero_included() -> None:
    assert answers.uint_of(ZERO, "x") == 0
    assert answers.address_of(ZERO, "x") == answers.ZERO
    assert answers.addresses_of(told(array(at(1), at(2))), "x") == [at(1), at(2)]


def test_what_may_be_missing_is_none_but_never_cut() -> None:
    assert [answers.uint_or_none(one) for one in (REVERT, NOTHING, ZERO, told(uint(7)))] == [None, None, 0, 7]
    assert [answers.price_or_none(one) for one in (REVERT, NOTHING, ZERO, told(uint(7)))] == [None, None, None, 7]
    for read in (answers.uint_or_none, answers.price_or_none, lambda one: answers.symbol_of(one, TOKEN)):
        with pytest.raises(Skip) as caught:
            read(CUT)
        assert caught.value.reason == "layout"


def test_anybodys_contract_loses_no_market() -> None:
    assert [answers.any_uint(one) for one in (REVERT, NOTHING, CUT, ZERO)] == [None, None, None, 0]
    assert [answers.any_address(one) for one in (REVERT, NOTHING, CUT, ZERO)] == [None] * 4
    assert answers.any_address(told(address_word(TOKEN))) == TOKEN
    # only the low twenty bytes are an address
    assert answers.any_address(told(uint(1 << 200))) is None
    assert [answers.any_symbol(one, TOKEN) for one in (REVERT, NOTHING, CUT)] == [SHORT] * 3


def test_an_empty_symbol_stays_unless_anybody_may_list_the_token() -> None:
    assert answers.symbol_of(told(string("")), TOKEN) == ""
    assert answers.any_symbol(told(string("")), TOKEN) == SHORT
    assert answers.symbol_of(NOTHING, TOKEN) == SHORT
    assert answers.symbol_of(told(string("WETH")), TOKEN) == answers.any_symbol(told(string("WETH")), TOKEN) == "WETH"


def test_an_event_of_another_shape_is_an_unknown_layout() -> None:
    log = Log(at(1), ("0x" + "11" * 32, "0x" + address_word(TOKEN).hex()), uint(1), 1, "0xb", "0xt", 0)
    events.check_layout(CSU, log, "Event", topics=2, words=1)
    assert events.topic_address(log, 1) == TOKEN
    for topics, words in ((1, 1), (3, 1), (2, 0), (2, 2)):
        with pytest.raises(Skip, match="Event in 0xt has an unknown layout") as caught:
            events.check_layout(CSU, log, "Event", topics=topics, words=words)
        assert caught.value.reason == "layout"
