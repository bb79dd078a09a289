"""Requests that a chain-day of logs costs for each wording of a refusal, beside the ideal; a real HTTP endpoint refuses.

The endpoint's limits are real and its words are all it tells. Waits are counted instead of slept. Synthetic chain.
"""

from __future__ import annotations

import math
from pathlib import Path

from tests.net.node import ADDRESSES, CHAIN_ID, EMITTER, TOPIC, Node
from tests.net.refusing import SHAPES, Takes, endpoint
from tests.net.specimens import SPECIMENS, Specimen

from benchmarks.report import write_table
from cryptolake.errors import CryptolakeError
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.limiter import for_limit
from cryptolake.net.logs import LogFilter, gather
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan

DAY = BlockRange(0, 7200)  # blocks of a day on Ethereum
TAKES = Takes(blocks=1000, results=1000, addresses=25, topics=25, batch=10)
HEADERS = 100
BEFORE_COMMIT = "6feebd3"
BEFORE = Path(__file__).with_name(
    "refusals_before.tsv"
)  # the same measurement of that commit: code, words, what it cost


def ideal(specimen: Specimen) -> int:
    """Requests of who knows every limit beforehand: the day's windows, or the batches; without the chain's id and head."""
    match specimen.of:
        case "blocks":
            return math.ceil(len(DAY) / TAKES.blocks)
        case "results":
            return math.ceil(len(DAY) / TAKES.results)  # one log a block
        case "addresses" | "topics":
            return 2 * math.ceil(len(DAY) / 2000)
        case _:
            return HEADERS // (TAKES.batch if specimen.takes_some else 1)


def measured(http: Http, specimen: Specimen) -> tuple[str, float]:
    """The requests of a day against an endpoint that refuses so, and the seconds that would have been waited."""
    node = Node(logs_of=lambda _: [0]) if specimen.of == "results" else Node()
    filters = [LogFilter(EMITTER, frozenset({TOPIC}))]
    if specimen.of == "addresses":
        filters += [LogFilter(one, frozenset({TOPIC})) for one in ADDRESSES]
    if specimen.of == "topics":
        filters = [LogFilter(EMITTER, frozenset(f"0x{number:064x}" for number in range(39)) | {TOPIC})]
    takes = TAKES if specimen.takes_some else Takes(batch=1)
    waits: list[float] = []
    with endpoint(node, takes, specimen, SHAPES["in band, 200"]) as server:
        own = Endpoint("fake", SecretUrl(server.url), Limits(rate=50, max_batch=HEADERS))
        rate = 10_000 if specimen.of == "batch" else 50
        unhurried = for_limit(rate, sleep=lambda _: None)  # the rate is not what is measured
        pool = Pool("test", CHAIN_ID, [own], http, limiters=lambda _: unhurried, sleep=waits.append)
        try:
            if specimen.of == "batch":
                Blocks(pool).headers(list(range(HEADERS)))
            else:
                gather(scan(pool, filters, DAY))
        except CryptolakeError as error:
            return f"{len(server.arrivals)}, ended: {type(error).__name__}", sum(waits)
        return str(len(server.arrivals)), sum(waits)


def main() -> None:
    """Measure every wording and write the table."""
    http = Http(timeout_s=60)
    lines = [line.split("\t") for line in BEFORE.read_text().splitlines()]
    earlier = {(words, int(code)): cost for code, words, cost in lines}
    rows = []
    for specimen in SPECIMENS:
        requests, waited = measured(http, specimen)
        words = specimen.words.replace("{", "").replace("}", "").replace("|", " ") or "(no words)"
        short = words if len(words) <= 70 else f"{words[:67]}..."
        before = earlier.get((specimen.words, specimen.code), "")
        rows.append((specimen.of, specimen.code, short, before, requests, f"{waited:.0f}", ideal(specimen)))
    http.close()
    method = (
        f"A day of {len(DAY):,} blocks (batches: {HEADERS} headers) at an endpoint that takes {TAKES.blocks:,} blocks, "
        f"{TAKES.results:,} results, {TAKES.addresses} addresses or topics (of 40) and {TAKES.batch} calls a batch (none where "
        "the words say so), untold, guessed 2,000 blocks; error in band with HTTP 200. Requests counted by the endpoint, with "
        f"chain id and head; one run each. Before: commit {BEFORE_COMMIT}. Ideal: who knows every limit beforehand, without "
        "chain id and head."
    )
    columns = ("limit of", "code", "words", "before", "requests", "waited s", "ideal")
    write_table("refusals", method, columns, rows)
