"""How much of an enforced limit is used and how much is refused: log windows and header batches against each kind.

Every kind is served and asked in processes of their own, over real HTTP on loopback.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from urllib.request import urlopen

from benchmarks.enforcing import CALLS, KINDS, UNITS, WEIGHTS
from benchmarks.report import write_table
from cryptolake.errors import CryptolakeError, Stop
from cryptolake.net.blocks import BlockRange, Blocks
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.logs import LogFilter
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan

SECONDS, LATENCY, SPAN = 100.0, 0.08, 10
GUESSES = {"guess of 5/s": 5.0, "guess of 10,000/s": 10_000.0}  # a public endpoint; a node on this machine
_TOGETHER = 3
FILTERS = [LogFilter("0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2", frozenset({"0x" + "ab" * 32}))]


def limits(kind: str, how: str) -> Limits:
    """What the reader is told of the endpoint: the limit in its own unit, or nothing (it begins with a guess)."""
    if how in GUESSES:
        return Limits(rate=GUESSES[how], log_span=SPAN)
    if KINDS[kind].weights:
        return Limits(rate=UNITS, unit="compute units", weights={**WEIGHTS, "*": 26}, log_span=SPAN, told=True)
    return Limits(rate=CALLS, log_span=SPAN, told=True)


def ask(kind: str, how: str, seconds: float) -> dict[str, float]:
    """Ask one endpoint as fast as it may be for a while; what the provider counted, with the seconds it took."""
    command = [sys.executable, "-m", "benchmarks.enforcing", kind, str(LATENCY), str(SPAN)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = f"http://127.0.0.1:{process.stdout.readline().strip()}/"
    http = Http(max_connections=256)
    pool = Pool("ethereum", 1, [Endpoint("local", SecretUrl(url), limits(kind, how))], http)
    started, ended = time.monotonic(), threading.Event()

    def logs() -> None:
        while not ended.is_set():
            try:
                for _ in scan(pool, FILTERS, BlockRange(0, 10_000_000)):
                    if ended.is_set():
                        return
            except Stop:
                return
            except CryptolakeError as error:
                print(f"{kind}: logs: {error}", file=sys.stderr)
                ended.wait(1.0)

    def headers() -> None:
        at = 0
        while not ended.is_set():
            at += 20
            try:
                Blocks(pool).headers(list(range(at, at + 20)))
            except Stop:
                return
            except CryptolakeError as error:
                print(f"{kind}: headers: {error}", file=sys.stderr)
            ended.wait(3.0)

    for work in (logs, headers):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(seconds)
    with urlopen(url) as answer:
        counts: dict[str, float] = json.loads(answer.read())
    taken = time.monotonic() - started
    ended.set()
    process.kill()
    process.wait()
    return counts | {"seconds": taken, "rate": pool.stations[0].limiter.rate}


def row(kind: str, how: str, counts: dict[str, float]) -> Sequence[object]:
    """A line of the table."""
    share = counts.get("units", 0.0) / counts["seconds"] / KINDS[kind].allowed
    refused = counts.get("refused", 0.0) / counts["members"]
    return kind, how, f"{counts['members']:,.0f}", f"{share:.1%}", f"{counts.get('refused', 0):,.0f}", f"{refused:.2%}"


def measured(seconds: float) -> list[Sequence[object]]:
    """Every kind, told and untold; three at the same time, so that they do not wait for each other's processor."""
    rows: list[Sequence[object]] = []
    for how in ("told", *GUESSES):
        for kinds in (list(KINDS)[:_TOGETHER], list(KINDS)[_TOGETHER:]):
            workers = [
                subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.rates", kind, how, str(seconds)],
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for kind in kinds
            ]
            rows += [
                row(kind, how, json.loads(worker.communicate()[0])) for kind, worker in zip(kinds, workers, strict=True)
            ]
    return rows


def main(seconds: float = SECONDS) -> None:
    """The table."""
    write_table(
        "rates",
        f"Log windows of {SPAN} blocks as fast as they may be asked, and a batch of 20 headers every three seconds, for "
        f"{SECONDS:.0f} s against a provider on loopback with {LATENCY * 1000:.0f} ms latency that refuses what is above "
        f"{CALLS:.0f} calls/s (or as many in its own unit) with 429 and no Retry-After; every member of a batch counts. "
        f"Load average before: {os.getloadavg()[0]:.0f}. "
        "Told: the limit is set; else the reader begins with a guess. The month ends after 1,000 calls.",
        ("enforced by", "limit", "calls", "of the limit used", "refused", "refused of all"),
        measured(seconds),
    )


if __name__ == "__main__":
    if len(sys.argv) > 3:
        print(json.dumps(ask(sys.argv[1], sys.argv[2], float(sys.argv[3]))))
    else:
        main(*map(float, sys.argv[1:]))
