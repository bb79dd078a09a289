"""What a proof by receipts costs: CPU and calls of a block, and of an Ethereum day for one market and for many.

Blocks are invented with as many receipts, logs and different emitters and topics as block 21,925,176 of Ethereum has, so that
their bloom filters promise as much in vain as there. No network, no sleeping.
"""

from __future__ import annotations

import random
import time
from statistics import median
from typing import Any

from benchmarks.report import write_table
from cryptolake.net.abi import checksum
from cryptolake.net.bloom import _bits, bloom_of
from cryptolake.net.headers import ProvenHeader
from cryptolake.net.receipts import Filters, logs_of, receipts_root

RECEIPTS, LOGS = 202, 463
DIFFERENT = 587  # emitters and topics: 58 % of the filter's bits are set by them
BLOCKS = 7200  # of a day
LOOKED_AT = 300  # blocks whose filters are counted
MANY, FAMILIES = 60, 8  # emitters of all lending markets on Ethereum together, about, and events they share


def _hex(lots: random.Random, size: int) -> str:
    return "0x" + lots.randbytes(size).hex()


def block(number: int) -> tuple[ProvenHeader, list[dict[str, Any]]]:
    """A block's receipts as an endpoint gives them, and the header that names them."""
    lots = random.Random(number)
    receipts: list[dict[str, Any]] = [
        {
            "type": "0x2",
            "status": "0x1",
            "cumulativeGasUsed": hex(100_000 * (place + 1)),
            "transactionIndex": hex(place),
            "transactionHash": _hex(lots, 32),
            "logs": [],
        }
        for place in range(RECEIPTS)
    ]
    emitters = [_hex(lots, 20) for _ in range(DIFFERENT // 5)]
    topics = [_hex(lots, 32) for _ in range(DIFFERENT - len(emitters))]
    for place in range(LOGS):
        own = [topics[place % len(topics)], lots.choice(topics)]
        log = {"address": emitters[place % len(emitters)], "topics": own, "data": _hex(lots, 64)}
        lots.choice(receipts)["logs"].append(log)
    bloom = 0
    for receipt in receipts:
        own = _filter(receipt)
        receipt["logsBloom"] = "0x" + own.hex()
        bloom |= int.from_bytes(own, "big")
    root = "0x" + receipts_root(receipts, "standard").hex()
    hashes = tuple(receipt["transactionHash"] for receipt in receipts)
    return ProvenHeader(number, "0x" + "00" * 32, "", 0, root, bloom.to_bytes(256, "big"), hashes), receipts


def _filter(receipt: dict[str, Any]) -> bytes:
    return bloom_of([bytes.fromhex(text[2:]) for log in receipt["logs"] for text in (log["address"], *log["topics"])])


def cpu_ms(header: ProvenHeader, receipts: list[dict[str, Any]], filters: Filters) -> float:
    """Milliseconds of this process's CPU to rebuild a block, the median of twenty."""
    told = receipts if filters == "as given" else [receipt | {"logsBloom": "0x"} for receipt in receipts]
    taken = []
    for _ in range(20):
        _bits.cache_clear()  # no other block's items are known
        start = time.process_time()
        logs_of(header, told, "standard")
        taken.append(1000 * (time.process_time() - start))
    return median(taken)


def promised(headers: list[ProvenHeader], emitters: int) -> float:
    """The share of blocks without any wanted log whose filters promise one."""
    lots = random.Random(emitters)
    events = [_hex(lots, 32) for _ in range(FAMILIES)]
    wanted = [(checksum(_hex(lots, 20)), events[place % FAMILIES]) for place in range(emitters)]
    hits = sum(any(header.may_hold(*one) for one in wanted) for header in headers)
    return hits / len(headers)


def main() -> None:
    """Measure and write the table."""
    header, receipts = block(0)
    size = sum(len(str(receipt)) for receipt in receipts)
    given, anew = cpu_ms(header, receipts, "as given"), cpu_ms(header, receipts, "made anew")
    headers = [block(number)[0] for number in range(1, LOOKED_AT + 1)]
    rows: list[tuple[object, ...]] = [
        ("a block alone", "2 headers, 1 receipts", f"{given:.1f} ms", f"{size / 1e6:.1f} MB"),
        ("a block alone, filters made anew", "the same", f"{anew:.1f} ms", "the same"),
    ]
    for what, emitters in (("one market's emitter", 1), ("all lending markets' emitters", MANY)):
        share = promised(headers, emitters)
        asked = round(share * BLOCKS)
        calls = f"{BLOCKS + 1:,} headers, {asked:,} receipts ({share:.0%} of blocks promised in vain)"
        rows.append(
            (f"an Ethereum day, {what}", calls, f"{asked * given / 1000:.0f} s", f"{asked * size / 1e9:.1f} GB")
        )
    method = (
        f"CPU to rebuild {RECEIPTS} receipts with {LOGS} logs to their root, median of 20; calls as the proof sends them, "
        "headers by the hundred"
    )
    write_table("receipts", method, ("what", "calls", "CPU", "of receipts"), rows)


if __name__ == "__main__":
    main()
