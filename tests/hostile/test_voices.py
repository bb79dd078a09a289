"""Endpoints that lie about logs, over real HTTP from a real node, up to ledger and verification.

Every day is right, or says that it is suspect and is wanted again, or claims no more than one voice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.chain.collecting import told as told_row
from tests.chain.scenario import Fortnight
from tests.hostile.liars import HeaderLie, Liar, Lie, by_transaction, dropping, honest, nothing, without_blooms
from tests.sources.test_onchain_equals_contracts import DAYS, csu_on

from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.receipt_rules import ReceiptRule
from cryptolake.flow.collect import collect
from cryptolake.flow.resume import compare, wish_for
from cryptolake.lake.bronze import Bronze
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.sources.onchain.grading import UNPROVEN, graded
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.state.ledger import Ledger
from cryptolake.work.verify import Verified, verify

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
WANTED = [Partition("liquidations", "local", Period.of_day(day)) for day in DAYS]
SPAN = 5  # blocks; the chain has few


@dataclass
class Study:
    """One collection: what verification says of every day, the days with other rows than the truth, and who was named."""

    verified: list[Verified]
    wrong: list[Partition]
    wanted_again: list[Partition]
    liars: set[str]
    blooms: dict[Partition, dict[str, Any]]
    verified_to: Callable[[Grade], list[Verified]]

    @property
    def suspect(self) -> list[Partition]:
        return [one.partition for one in self.verified if one.verdict == "suspect"]

    @property
    def grades(self) -> set[Grade | None]:
        return {one.grade for one in self.verified}


class Bench:
    """Collects the fortnight through endpoints of one's choice."""

    def __init__(self, fortnight: Fortnight, folder: Path) -> None:
        self.fortnight, self.folder, self.runs = fortnight, folder, 0
        self.events = sorted({one.block for one in fortnight.liquidations})

    def collect(
        self,
        *lies: Lie,
        grade: Grade = "two_voices",
        audit: float = 0.02,
        operators: Sequence[str] | None = None,
        receipts: ReceiptRule | None = "standard",
        span: int = SPAN,
        headers: Sequence[HeaderLie] = (),
    ) -> Study:
        self.runs += 1
        folder = self.folder / str(self.runs)
        csu = csu_on(self.fortnight)
        with ExitStack() as stack:
            told = [*headers, *[lambda header: header] * len(lies)]
            servers = [stack.enter_context(Liar(self.fortnight.node.url, lie, told[n])) for n, lie in enumerate(lies)]
            names = operators or [f"operator-{number}" for number, _ in enumerate(servers)]
            endpoints = [
                Endpoint(
                    f"voice-{n}",
                    SecretUrl(one.url),
                    # The first alone is worth asking for logs at first: who begins must not depend on who is busy.
                    Limits(rate=500 if n else 10_000, log_span=span, most_blocks=span),
                    operator=names[n],
                )
                for n, one in enumerate(servers)
            ]
            http = Http()
            stack.callback(http.close)
            pool = Pool("local", 31337, endpoints, http, sleep=lambda _: None)
            chain = Chain("local", 31337, multicall3_address=MULTICALL3, multicall3_block=0, receipts=receipts)
            source = OnchainSource(
                registry=Registry({csu.name: csu}, {"local": chain}),
                csus=[csu],
                pools=lambda _: pool,
                audit=audit,
                grade=grade,
                journals=folder / "journals",
            )
            ledger, bronze = Ledger(folder / "ledger.sqlite"), Bronze(folder)
            result = collect(source, WANTED, bronze=bronze, ledger=ledger, workers=1)
            assert not result.failed, result.failures[0]
        wrong, liars, blooms = [], set[str](), {}
        for partition in WANTED:
            raw = bronze.read(partition, source.name)
            assert raw is not None
            truth = self.fortnight.liquidations_on(partition.period.day)
            if [told_row(row) for row in source.parse(raw)] != truth:
                wrong.append(partition)
            liars.update(orjson.loads(raw.payload)["certificate"]["liars"])
            blooms[partition] = orjson.loads(raw.payload)["certificate"]["blooms"]
            suspect = orjson.loads(raw.payload)["certificate"]["verdict"] == "suspect"
            assert bool(graded(raw).doubts) == suspect
            assert not {*raw.provenance} & {*UNPROVEN}
        states = ledger.states()

        def verified_to(least: Grade) -> list[Verified]:
            return verify(WANTED, states, bronze, source.name, least=least)

        again = compare(wish_for(WANTED), ledger).missing
        ledger.close()
        return Study(verified_to("one_voice"), wrong, again, liars, blooms, verified_to)


@pytest.fixture(scope="module")
def bench(aave_fortnight: Fortnight, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(aave_fortnight, tmp_path_factory.mktemp("voices"))


def unseen(study: Study) -> list[Partition]:
    """Days with wrong rows that nobody is told of."""
    return [one for one in study.wrong if one not in study.suspect]


def test_honest_voices_are_two_and_agree(bench: Bench) -> None:
    study = bench.collect(honest, honest)
    assert (study.wrong, study.suspect, study.liars, study.wanted_again) == ([], [], set(), [])
    assert study.grades == {"two_voices"}


def test_one_voice_claims_no_more_than_it_is(bench: Bench) -> None:
    study = bench.collect(nothing)
    assert study.wrong
    assert study.grades == {"one_voice"}
    assert {one.verdict for one in study.verified} == {"complete"}
    assert {one.verdict for one in study.verified_to("two_voices")} == {"weak"}
    assert all("no second operator" in one.says[0] for one in study.verified_to("two_voices"))


@pytest.mark.parametrize("operators", [["one", "one"], ["", ""]], ids=["two keys", "unknown"])
def test_two_keys_of_one_operator_are_one_voice(bench: Bench, operators: list[str]) -> None:
    assert bench.collect(nothing, nothing, operators=operators).grades == {"one_voice"}


@pytest.mark.parametrize("honest_ones", [1, 2])
@pytest.mark.parametrize("by_hash", [True, False])
@pytest.mark.parametrize("receipts", ["standard", None])
def test_a_liar_first_loses_nothing_unseen(
    bench: Bench, honest_ones: int, by_hash: bool, receipts: ReceiptRule | None
) -> None:
    study = bench.collect(dropping(bench.events, by_hash=by_hash), *[honest] * honest_ones, receipts=receipts)
    assert not study.wrong
    settled = receipts is not None or not by_hash  # no vote of any number says who is right
    assert bool(study.suspect) is not settled
    assert study.wanted_again == study.suspect
    assert study.liars == ({"voice-0"} if settled else set())


@pytest.mark.parametrize("seed", range(6))
def test_one_dropped_log_is_noticed_whoever_dropped_it(bench: Bench, seed: int) -> None:
    lots = random.Random(seed)
    lies = [dropping([lots.choice(bench.events)], by_hash=lots.random() < 0.5), honest]
    lots.shuffle(lies)
    study = bench.collect(*lies)
    assert (study.wrong, study.suspect, len(study.liars)) == ([], [], 1)


def test_who_numbers_logs_by_transaction_never_costs_an_event(bench: Bench) -> None:
    study = bench.collect(by_transaction, honest)
    assert not study.wrong
    assert not study.suspect


def test_two_that_leave_out_the_same_are_caught_by_receipts_alone(bench: Bench) -> None:
    drops = dropping(bench.events[:1])
    assert unseen(bench.collect(drops, drops))  # as the grade says: what both leave out stays unseen
    study = bench.collect(drops, drops, grade="receipts_root")
    assert (study.wrong, study.suspect) == ([], [])
    assert study.grades == {"receipts_root"}
    assert study.liars


def test_receipts_that_cannot_be_proven_are_not_claimed(bench: Bench) -> None:
    assert bench.collect(honest, honest, grade="receipts_root", receipts=None).grades == {"two_voices"}
    assert bench.collect(honest, grade="receipts_root").grades == {"one_voice"}


def test_a_day_that_was_sampled_claims_no_more(bench: Bench) -> None:
    study = bench.collect(dropping(bench.events), honest, grade="two_voices_sampled", audit=0.3, receipts=None)
    graded = {one.partition: one.grade for one in study.verified}
    assert not [one for one in unseen(study) if graded[one] == "two_voices"]


def test_what_a_liar_answered_before_it_was_proven_one_is_asked_again(bench: Bench) -> None:
    """A small sample proves the liar on some day; the days before it, which nobody compared, are answered anew."""
    lie = dropping(bench.events, by_hash=False)
    study = bench.collect(lie, honest, grade="two_voices_sampled", audit=0.5, span=1)
    assert study.liars == {"voice-0"}
    assert (study.wrong, study.suspect) == ([], [])


def test_quiet_blocks_prove_something_where_two_operators_give_their_headers(bench: Bench) -> None:
    for blooms in bench.collect(honest, honest).blooms.values():
        assert (blooms["usable"], blooms["problem"]) == (True, "")
        assert 0 <= blooms["agreed"] <= blooms["quiet"]
    assert sum(one["agreed"] for one in bench.collect(honest, honest).blooms.values())


@pytest.mark.parametrize("lie", [honest, nothing])
def test_one_voice_proves_nothing_against_itself_by_its_headers(bench: Bench, lie: Lie) -> None:
    for blooms in bench.collect(lie).blooms.values():
        assert not blooms["agreed"]
        assert not blooms["quiet"] or "prove" in blooms["problem"]
        assert not blooms["quiet"] or "against voice-0: nobody but voice-0 gives headers" in blooms["problem"]


def test_rules_that_are_not_known_prove_nothing(bench: Bench) -> None:
    for blooms in bench.collect(honest, honest, receipts=None).blooms.values():
        assert not blooms["agreed"]
        assert not blooms["quiet"] or "rules that are not known" in blooms["problem"]


@pytest.mark.parametrize("liar_is_first", [True, False])
def test_a_bloom_that_is_not_the_headers_excludes_nothing(bench: Bench, liar_is_first: bool) -> None:
    """A liar that leaves out all logs and says so in its headers too: they do not hash to the hash that the other gives."""
    said = [(nothing, without_blooms), (honest, lambda header: header)]
    said = said if liar_is_first else said[::-1]
    study = bench.collect(
        *[lie for lie, _ in said], headers=[told for _, told in said], grade="two_voices_sampled", audit=1e-9, span=1
    )
    for partition, blooms in study.blooms.items():
        assert blooms["agreed"] == 0, partition
    if liar_is_first:  # the other's headers promise what was left out; with one proven header nobody can settle it
        assert study.suspect
    assert set(study.suspect) >= {one for one, blooms in study.blooms.items() if blooms["contradictions"]}
