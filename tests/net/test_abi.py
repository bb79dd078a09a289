"""Hand-sliced ABI: hashes, spellings and aggregates against known vectors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.net.node import EMITTER

from cryptolake.net.abi import call_data, checksum, decode_aggregate3, encode_aggregate3, selector, text, topic, word


def test_known_hashes_and_spellings() -> None:
    assert selector("getReserveData(address)").hex() == "35ea6a75"
    assert selector("aggregate3((address,bool,bytes)[])").hex() == "82ad56cb"
    liquidation = "LiquidationCall(address,address,address,uint256,uint256,address,bool)"
    assert topic(liquidation) == "0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286"
    for address in ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"):
        assert checksum(address.lower()) == address
    assert text(b"MKR".ljust(32, b"\0")) == "MKR"
    assert call_data("f(address[])", [EMITTER])[4:36] == (32).to_bytes(32, "big")


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=100)), max_size=8))
def test_an_aggregate_answer_is_read_back(results: list[tuple[bool, bytes]]) -> None:
    bodies = [
        int(ok).to_bytes(32, "big")
        + (64).to_bytes(32, "big")
        + len(data).to_bytes(32, "big")
        + data
        + b"\0" * (-len(data) % 32)
        for ok, data in results
    ]
    offsets, at = [], 32 * len(bodies)
    for body in bodies:
        offsets.append(at.to_bytes(32, "big"))
        at += len(body)
    encoded = (32).to_bytes(32, "big") + len(bodies).to_bytes(32, "big") + b"".join(offsets) + b"".join(bodies)
    assert decode_aggregate3(encoded) == results
    assert encode_aggregate3([(EMITTER, data) for _, data in results])[:4].hex() == "82ad56cb"


def test_extremes_are_read_as_they_are() -> None:
    assert word(b"\xff" * 32, 0) == 2**256 - 1
    assert text(b"\xff\xfe".ljust(32, b"\0")) == "\ufffd\ufffd"
    long = (32).to_bytes(32, "big") + (3).to_bytes(32, "big") + b"a\xffb".ljust(32, b"\0")
    assert text(long) == "a\ufffdb"
