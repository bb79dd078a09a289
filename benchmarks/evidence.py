"""What each grade of evidence is worth: logs lost to endpoints that leave some out, and one dropped log in a thousand tries.

Endpoints answer without HTTP from a linked synthetic Ethereum, each with a lie of its own about logs. What does not belong
here: what a proof by receipts costs in full blocks (receipts).
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Any

import orjson

from benchmarks.linked_ethereum import Event, Linked
from benchmarks.report import write_table
from benchmarks.simulated_ethereum import HEAD, block_time
from cryptolake.contracts.grades import GRADES, Grade
from cryptolake.contracts.partition import Partition, Period, days
from cryptolake.contracts.raw import Raw
from cryptolake.flow.collect import collect
from cryptolake.lake.bronze import ONCHAIN, Bronze
from cryptolake.net.abi import topic
from cryptolake.net.block_cache import FileBlockCache
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Answer, Http
from cryptolake.net.limiter import SHARE, Limiter
from cryptolake.net.rpc import Pool
from cryptolake.registry.loader import Registry, load_registry
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.state.ledger import Ledger
from cryptolake.work.verify import verify

MARKET = "aave_v3_ethereum"
FIRST, LAST = date(2024, 12, 1), date(2024, 12, 20)
LOGS, TRIES = 442, 1000
SPAN, AUDIT = 2000, 0.02
LIQUIDATION = topic("LiquidationCall(address,address,address,uint256,uint256,address,bool)")
_BEFORE, _AFTER = 10, 200  # linked blocks around the days

Lie = Callable[[dict[str, Any], list[dict[str, Any]]], list[dict[str, Any]]]
"""Given the filter of an eth_getLogs and its true logs; what is answered instead."""


def honest(_asked: dict[str, Any], logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """No lie."""
    return logs


def nothing(_asked: dict[str, Any], _logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """There never was a log."""
    return []


def leaving_out(left_out: set[tuple[int, int]]) -> Lie:
    """Leaves out the logs of these places (block, index), however it is asked."""

    def lie(_asked: dict[str, Any], logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [one for one in logs if place_of(one) not in left_out]

    return lie


def place_of(log: Mapping[str, Any]) -> tuple[int, int]:
    """Block and index of a log."""
    return int(log["blockNumber"], 16), int(log["logIndex"], 16)


@cache
def registry() -> Registry:
    """The package's, without blocks of deployment: the simulated chain numbers its own."""
    found = load_registry(declared())
    return replace(found, csus={name: replace(csu, deployed_block=None) for name, csu in found.csus.items()})


def block_at(instant: datetime) -> int:
    """The first block from an instant on."""
    return bisect_left(range(HEAD), instant.timestamp(), key=block_time)


@cache
def chain() -> Linked:
    """Twenty days with their liquidations, of made-up tokens, in blocks drawn by lot."""
    lots = random.Random(LOGS)
    start = block_at(datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC))
    end = block_at(datetime(LAST.year, LAST.month, LAST.day, tzinfo=UTC) + timedelta(days=1))
    market = next(one for one in Linked("ethereum", 1, 1, {}, only=[MARKET]).markets)
    tokens = ["0x" + market.made("token", number).hex() for number in range(2)]
    events: dict[int, list[Event]] = {}
    for user in range(LOGS):
        data = "0x" + "".join(f"{word:064x}" for word in (10**18, 10**18, 9, 0))
        said = (market.csu.entry["pool"].lower(), [LIQUIDATION, *tokens, f"0x{user:064x}"], data)
        events.setdefault(lots.randrange(start, end), []).append(said)
    return Linked("ethereum", start - _BEFORE, end + _AFTER, events, only=[MARKET])


class Providers(Http):
    """Endpoints over the chain, each with its lie; counts what is asked and the CPU of answering, which is not the client's."""

    def __init__(self, lies: Mapping[str, Lie], span: int) -> None:
        self._lies, self._span, self._lock = lies, span, threading.Lock()
        self.asked: Counter[str] = Counter()
        self.cpu_s = 0.0

    def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Answer:
        began = time.thread_time()
        document = orjson.loads(body)
        questions = document if isinstance(document, list) else [document]
        answers = [{"jsonrpc": "2.0", "id": one["id"], **self._said(url, one)} for one in questions]
        told = orjson.dumps(answers if isinstance(document, list) else answers[0])
        with self._lock:
            self.asked.update(one["method"] for one in questions)
            self.cpu_s += time.thread_time() - began
        return Answer(200, {}, told, 0.0)

    def _said(self, url: str, one: dict[str, Any]) -> dict[str, object]:
        asked = one["params"][0] if one["method"] == "eth_getLogs" else {}
        wide = "toBlock" in asked and int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) >= self._span
        if one["method"] == "eth_getLogs" and wide:
            return {"error": {"code": -32602, "message": f"eth_getLogs is limited to a {self._span} range"}}
        result = chain().rpc(str(one["method"]), list(one["params"]))
        if one["method"] == "eth_getLogs":
            result = self._lies[url](asked, result)
        return {"error": {"code": 3, "message": "execution reverted"}} if result is None else {"result": result}


def source_over(
    http: Providers,
    operators: Sequence[str],
    span: int,
    grade: Grade,
    audit: float,
    *,
    in_order: bool = False,
    known: FileBlockCache | None = None,
) -> OnchainSource:
    """The reader over endpoints named by their number; `in_order`: the first alone is worth asking for logs at first."""
    endpoints = [
        Endpoint(
            str(n),
            SecretUrl(str(n)),
            Limits(rate=1.0 if in_order and n else 25.0, log_span=span),
            f"{n}",
            "own",
            0.0,
            name,
        )
        for n, name in enumerate(operators)
    ]
    limiters = {
        one.account: Limiter(one.limits.rate * SHARE, 1.0, clock=lambda: 0.0, sleep=lambda _s: None)
        for one in endpoints
    }
    pool = Pool(
        "ethereum",
        1,
        endpoints,
        http,
        limiters=lambda one: limiters[one.account],
        clock=lambda: 0.0,
        sleep=lambda _s: None,
    )
    return OnchainSource(
        registry=registry(),
        csus=[registry().csus[MARKET]],
        pools=lambda _: pool,
        block_cache=known,
        audit=audit,
        grade=grade,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one collection of the twenty days gave."""

    lost: int
    said_complete: int  # days with losses that nobody doubts
    suspect: int
    grades: Counter[str]
    asked: Counter[str]
    cpu_s: float


def collected(lies: Sequence[Lie], operators: Sequence[str], grade: Grade) -> Outcome:
    """Collect the twenty days through these endpoints."""
    with tempfile.TemporaryDirectory(prefix="cryptolake-bench-") as name:
        folder = Path(name)
        http = Providers({str(number): lie for number, lie in enumerate(lies)}, SPAN)
        source = source_over(http, operators, SPAN, grade, AUDIT)
        wanted = [Partition("liquidations", MARKET, period) for period in days(FIRST, LAST)]
        ledger, bronze = Ledger(folder / "ledger.sqlite"), Bronze(folder)
        began = time.process_time()
        result = collect(source, wanted, bronze=bronze, ledger=ledger, workers=1)
        cpu_s = time.process_time() - began - http.cpu_s
        assert not result.failed, result.failures[0]
        verified = {one.partition: one for one in verify(wanted, ledger.states(), bronze, ONCHAIN)}
        lost, said_complete = 0, 0
        for partition in wanted:
            raw = bronze.read(partition, ONCHAIN)
            assert raw is not None
            missing = len(truth(raw) - kept(raw))
            lost += missing
            said_complete += bool(missing) and verified[partition].verdict == "complete"
        suspect = sum(one.verdict == "suspect" for one in verified.values())
        ledger.close()
        grades = Counter(str(one.grade) for one in verified.values())
        return Outcome(lost, said_complete, suspect, grades, http.asked, cpu_s)


def truth(raw: Raw) -> set[tuple[int, int]]:
    """The places of all logs in an answer's blocks."""
    content = orjson.loads(raw.payload)
    return {place_of(one) for one in chain().logs_in(content["from_block"], content["to_block"])}


def kept(raw: Raw) -> set[tuple[int, int]]:
    """The places of the logs that an answer has."""
    return {place_of(one) for one in orjson.loads(raw.payload)["logs"]}


def worlds() -> Iterator[tuple[str, Sequence[Lie], Sequence[str]]]:
    """What it is, the endpoints in their order, and whose they are."""
    lots = random.Random(10)
    first, last = chain().blocks[0], chain().blocks[-1]
    tenth = leaving_out({place_of(one) for one in chain().logs_in(first, last) if lots.random() < 0.1})
    yield "one endpoint that answers `[]`", [nothing], ["a"]
    yield "two keys of one operator that answers `[]`", [nothing, nothing], ["a", "a"]
    yield "a liar (`[]`) first, an honest one second", [nothing, honest], ["a", "b"]
    yield "a liar (`[]`) first, two honest ones behind", [nothing, honest, honest], ["a", "b", "c"]
    yield "a liar that drops a tenth first, an honest one second", [tenth, honest], ["a", "b"]
    yield "two operators that drop the same tenth", [tenth, tenth], ["a", "b"]
    yield "one honest endpoint", [honest], ["a"]
    yield "two honest operators", [honest, honest], ["a", "b"]


def before_grades() -> dict[str, list[str]]:
    """What the reader of commit f79e129, the last one before grades, did in these worlds at its default: `audit` 1/50."""
    lines = Path(__file__).with_name("evidence_before.tsv").read_text().splitlines()[1:]
    return {what: numbers for what, *numbers in (line.split("\t") for line in lines)}


def losses() -> None:
    """The worlds at every grade."""
    rows: list[tuple[object, ...]] = []
    before = before_grades()
    for what, lies, operators in worlds():
        lost, said_complete, suspect, questions, calls = before[what]
        rows.append((what, "before grades", lost, said_complete, suspect, "", questions, calls, ""))
        for grade in GRADES:
            found = collected(lies, operators, grade)
            earned = ", ".join(f"{name} {found.grades[name]}" for name in GRADES if found.grades[name])
            rows.append(
                (
                    what,
                    grade,
                    found.lost,
                    found.said_complete,
                    found.suspect,
                    earned,
                    f"{found.asked['eth_getLogs']:,}",
                    f"{found.asked.total():,}",
                    f"{found.cpu_s:.1f} s",
                )
            )
            print(rows[-1], flush=True)
    write_table(
        "evidence_losses",
        f"{(LAST - FIRST).days + 1} days of one market with {LOGS} logs on a synthetic linked Ethereum, spans of {SPAN:,} "
        f"blocks, windows shared as limits of 25 calls a second let them, a sample of 1/{1 / AUDIT:.0f}. CPU without that of "
        "answering. Before grades: commit f79e129 in the same worlds (evidence_before.tsv)",
        (
            "endpoints",
            "grade wished for",
            "logs lost",
            "days with losses called complete",
            "suspect days",
            "days by grade earned",
            "log questions",
            "calls",
            "CPU",
        ),
        rows,
    )


@dataclass(slots=True)
class Drops:
    """Single drops: how many were noticed, and how many were to be by the certificates' probability."""

    tries: int = 0
    noticed: int = 0
    stated: float = 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval of the share noticed, at 99 %."""
        z, n = 2.5758, self.tries
        share = self.noticed / n
        middle, half = share + z * z / (2 * n), z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))

    @property
    def holds(self) -> bool:
        """Whether the probability stated lies in the interval."""
        low, high = self.interval
        return low - 1e-9 <= self.stated / self.tries <= high + 1e-9


def single_drops(grade: Grade, span: int, audit: float, *, by_hour: bool = False, tries: int = TRIES) -> Drops:
    """The first of two operators drops one log, drawn by lot, for good; was it noticed, and with which probability?

    The probability is that of the period's certificate when nobody lies: what its reader relies on.
    """
    lots = random.Random(f"{grade} {span} {audit}")
    every = chain().logs_in(chain().blocks[0], chain().blocks[-1])
    found = Drops()
    with tempfile.TemporaryDirectory(prefix="cryptolake-bench-") as name:
        known = FileBlockCache(Path(name) / "blocks.json")

        def answer(period: Period, lie: Lie) -> Raw:
            http = Providers({"0": lie, "1": honest}, span)
            source = source_over(http, ["a", "b"], span, grade, audit, in_order=True, known=known)
            (trip,) = source.trips([Partition("liquidations", MARKET, period)])
            (raw,) = source.fetch(trip)
            assert isinstance(raw, Raw), raw
            return raw

        stated: dict[Period, float] = {}
        for _ in range(tries):
            log = lots.choice(every)
            at = datetime.fromtimestamp(block_time(int(log["blockNumber"], 16)), UTC)
            period = Period.parse(f"{at:%Y-%m-%dT%H}" if by_hour else f"{at:%Y-%m-%d}")
            if period not in stated:
                given = orjson.loads(answer(period, honest).payload)["certificate"]
                assert {one[2] for one in given["windows"]} == {"0"}, "the first one answers first"
                stated[period] = given["noticed"]
            raw = answer(period, leaving_out({place_of(log)}))
            found.tries += 1
            found.noticed += place_of(log) in kept(raw) or raw.provenance.get("doubt") == "suspect"
            found.stated += stated[period]
    return found


def probabilities() -> None:
    """Whether the probability that certificates state holds."""
    rows: list[tuple[object, ...]] = []
    kinds: list[tuple[Grade, int, float, bool]] = [
        ("one_voice", 2000, AUDIT, False),
        ("two_voices_sampled", 2000, AUDIT, False),
        ("two_voices_sampled", 500, 0.25, False),
        ("two_voices_sampled", 10, AUDIT, True),
        ("two_voices", 2000, AUDIT, False),
        ("receipts_root", 2000, AUDIT, True),
    ]
    for grade, span, audit, by_hour in kinds:
        found = single_drops(grade, span, audit, by_hour=by_hour)
        low, high = found.interval
        sample = f", a sample of 1/{1 / audit:.0f}" if grade == "two_voices_sampled" else ""
        rows.append(
            (
                f"{grade}{sample}, spans of {span:,}{', by the hour' if by_hour else ''}",
                f"{found.stated / found.tries:.1%}",
                f"{found.noticed / found.tries:.1%}",
                f"{low:.1%} to {high:.1%}",
                "yes" if found.holds else "NO",
            )
        )
        print(rows[-1], flush=True)
    write_table(
        "evidence_drops",
        f"{TRIES:,} single logs, drawn by lot, each dropped for good by the first of two operators, whatever it is asked; "
        "the chain of the table above. Stated: by the period's certificate when nobody lies. Noticed: "
        "kept all the same, or the period is suspect",
        ("grade", "stated by the certificates", "noticed", "99 % interval", "holds"),
        rows,
    )


def main() -> None:
    """Both tables."""
    probabilities()
    losses()


if __name__ == "__main__":
    main()
