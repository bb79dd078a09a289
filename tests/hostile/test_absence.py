"""A market is absent for ever only where nothing contradicts it: not its row, not what was found, not the days around it.

Real node, real HTTP, the road of any command up to ledger and verification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from tests.chain.scenario import Fortnight
from tests.hostile.lakes import WANTED, Lake
from tests.hostile.middleman import Change, Middleman, honest, result
from tests.hostile.server import Hostile
from tests.hostile.test_headers import forged
from tests.net.node import Node

from cryptolake.app import App
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition, hours
from cryptolake.flow.collect import Collected
from cryptolake.flow.resume import wish_for
from cryptolake.sources.onchain.planning import CODE
from cryptolake.work import lending
from cryptolake.work.estimate import planned
from cryptolake.work.repair import repair_ledger
from cryptolake.work.verify import Verified, verify

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
DAY = next(one for one in WANTED if one.period.day == date(2024, 12, 5))  # three liquidations
QUIET = next(one for one in WANTED if one.period.day == date(2024, 12, 4))
BORN = date(2024, 11, 30)  # the market's pool in its second hour of blocks
LATE = 60  # a block after DAY's last one
GRADES = ["one_voice", "two_voices", "receipts"]


def of_tvl(partition: Partition) -> Partition:
    return Partition("tvl", partition.key, partition.period)


BOTH = [of_tvl(DAY), DAY]


def nothing_old(*methods: str) -> Change:
    """Nothing for blocks of long ago, as nodes answer that do not have their state and do not say so."""

    def is_old(block: object) -> bool:
        return not isinstance(block, str) or (block.startswith("0x") and int(block, 16) < LATE)

    def change(question: dict[str, Any], _ask: object) -> dict[str, Any] | None:
        if question["method"] in methods and is_old(question["params"][1]):
            return result(question, "0x")
        return None

    return change


class Rows:
    """A lake whose market's row says what one likes of its deployment."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.deployed, self.multicall3 = lake, cast("dict[str, Any] | None", {"block": 1}), True
        written = lake._registry

        def told(public: Sequence[str]) -> dict[str, Any]:
            document = written(public)
            document["csus"][0] |= {"deployment": self.deployed}
            if not self.multicall3:
                document["chains"]["local"].pop("multicall3")
            return document

        lake._registry = told  # type: ignore[method-assign]

    @contextmanager
    def opened(self, *changes: Change, **settings: Any) -> Iterator[App]:
        with ExitStack() as stack:
            servers = [Hostile(cast(Node, Middleman(self.lake.fortnight.node.url, one))) for one in changes]
            self.asked = [cast(Middleman, one.node).methods for one in servers]
            urls = [stack.enter_context(one).url for one in servers]
            yield stack.enter_context(self.lake.opened(urls, public_rpc=False, **settings))


@pytest.fixture(autouse=True)
def asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is not asked again in the same run, after a pause."""
    monkeypatch.setattr(lending, "ask", partial(lending.ask, attempts=1))


@pytest.fixture
def rows(aave_fortnight: Fortnight, tmp_path: Path) -> Rows:
    return Rows(Lake(tmp_path / "lake", aave_fortnight))


def found(app: App, wanted: Sequence[Partition]) -> list[tuple[str, str | None]]:
    return [(one.state, one.reason) for one in map(app.ledger.state, wanted) if one is not None]


@pytest.mark.parametrize("grade", GRADES)
@pytest.mark.parametrize("voices", [1, 2])
@pytest.mark.parametrize("multicall3", [True, False], ids=["multicall", "before it"])
def test_whoever_says_so_a_market_is_not_absent_after_its_row_says_that_it_was_deployed(
    rows: Rows, grade: str, voices: int, multicall3: bool
) -> None:
    rows.multicall3 = multicall3
    with rows.opened(*[nothing_old("eth_call", "eth_getCode")] * voices, grade=grade) as app:
        collected = rows.lake.collect(app, BOTH)
        assert {state for state, _ in found(app, BOTH)} == {"failed"}
        assert collected.unanswerable == 0
        assert all("set " in str(one.error) for one in collected.failures)
    with rows.opened(honest, honest, operators=["c", "d"]) as app:
        rows.lake.collect(app, BOTH)
        assert found(app, BOTH) == [("done", None)] * 2


@pytest.mark.parametrize("voices", [1, 2])
def test_nodes_that_have_no_state_so_old_prove_no_absence_where_the_row_says_nothing(rows: Rows, voices: int) -> None:
    """They have no Multicall3 either, which was there by then."""
    rows.deployed = None
    with rows.opened(*[nothing_old("eth_call", "eth_getCode")] * voices) as app:
        rows.lake.collect(app, BOTH)
        assert {state for state, _ in found(app, BOTH)} == {"failed"}


@pytest.mark.parametrize("grade", GRADES)
@pytest.mark.parametrize("voices", [1, 2])
def test_a_row_that_is_too_late_hides_nothing(rows: Rows, grade: str, voices: int) -> None:
    """State is read all the same; events before it say that the row is wrong."""
    rows.deployed = {"block": LATE}
    wanted = [of_tvl(QUIET), of_tvl(DAY), QUIET, DAY]
    with rows.opened(*[honest] * voices, grade=grade) as app:
        collected = rows.lake.collect(app, wanted)
        assert found(app, wanted) == [("done", None), ("done", None), ("empty", None), ("failed", "identity")]
        assert [one.partition for one in collected.failures] == [DAY]
        assert f"deployed at {LATE}; correct the row" in str(collected.failures[0].error)
    rows.deployed = {"block": 1}
    with rows.opened(honest) as app:
        rows.lake.collect(app, wanted)
        assert found(app, [DAY]) == [("done", None)]


@pytest.mark.parametrize("voices", [1, 2])
def test_a_row_that_is_right_makes_days_before_it_absent_for_one_question_of_each_voice(
    rows: Rows, voices: int
) -> None:
    rows.deployed = {"block": rows.lake.fortnight.market.deployed_block}
    wanted = [
        Partition(dataset, "local", one)
        for dataset in ("tvl", "liquidations")
        for one in list(hours(BORN, BORN))[11:13]
    ]
    with rows.opened(*[honest] * voices) as app:
        rows.lake.collect(app, wanted)
        assert set(found(app, wanted)) == {("gone", "not_deployed")}
        by_row = 3 * voices  # before and at the row's block, and Multicall3
        assert max(one["eth_getCode"] for one in rows.asked) <= by_row * 4, rows.asked
        before = [one["eth_getCode"] for one in rows.asked]
        assert rows.lake.collect(app, wanted).known == len(wanted)
        assert [one["eth_getCode"] for one in rows.asked] == before


def no_code_told(question: dict[str, Any], _ask: object) -> dict[str, Any] | None:
    """No answer to what tells whether a contract is there."""
    if question["method"] != "eth_getCode":
        return None
    return {"jsonrpc": "2.0", "id": question["id"], "error": {"code": -32000, "message": "try again"}}


def test_an_absence_that_one_operator_said_while_another_was_silent_is_asked_again(rows: Rows) -> None:
    """It lands all the same, says so, and is for ever once both say it."""
    rows.deployed = {"block": rows.lake.fortnight.market.deployed_block}
    wanted = [Partition("tvl", "local", one) for one in list(hours(BORN, BORN))[12:13]]
    with rows.opened(honest, no_code_told) as app:
        assert rows.lake.collect(app, wanted).unanswerable == len(wanted)
        (said,) = [str(app.ledger.state(one)) for one in wanted]
        assert "as one operator says: local-own-2 did not answer" in said
    with rows.opened(honest) as app:
        assert rows.lake.collect(app, wanted).known == len(wanted), "there is nobody else to ask"
    with rows.opened(honest, honest) as app:
        assert rows.lake.collect(app, wanted).unanswerable == len(wanted)
        assert not any("one operator" in str(app.ledger.state(one)) for one in wanted)
        assert rows.lake.collect(app, wanted).known == len(wanted)
    with rows.opened(honest, no_code_told, honest) as app:
        assert rows.lake.collect(app, wanted, resume=False).unanswerable == len(wanted)
        assert not any("one operator" in str(app.ledger.state(one)) for one in wanted), "a third one says so too"


def absent(partition: Partition, words: str) -> Entry:
    return Entry(partition, "gone", datetime.now(UTC), reason="not_deployed", error=words)


def again_by_collect(rows: Rows, app: App) -> None:
    rows.lake.collect(app, BOTH)


def again_by_repair(rows: Rows, app: App) -> None:
    repair_ledger(app)
    assert {state for state, _ in found(app, BOTH)} == {"failed"}
    rows.lake.collect(app, BOTH)


@pytest.mark.parametrize("way", [again_by_collect, again_by_repair])
@pytest.mark.parametrize(
    "words", ["local was deployed at block 60", "local has no contract at block 40"], ids=["another row", "by code"]
)
def test_an_absence_of_before_that_the_row_contradicts_by_now_is_found_and_asked_again(
    rows: Rows, way: Callable[[Rows, App], None], words: str
) -> None:
    with rows.opened(honest) as app:
        app.ledger.append_many(absent(one, words) for one in BOTH)
        assert rows.lake.verified(app)[DAY].verdict == "gap"
        way(rows, app)
        assert found(app, BOTH) == [("done", None)] * 2


@pytest.mark.parametrize("way", [again_by_collect, again_by_repair])
def test_a_market_that_was_there_before_is_not_absent(rows: Rows, way: Callable[[Rows, App], None]) -> None:
    with rows.opened(honest) as app:
        rows.lake.collect(app, [of_tvl(QUIET)])
        app.ledger.append_many(absent(one, "local: no contract at this block") for one in BOTH)
        assert rows.lake.verified(app)[DAY].verdict == "gap"
        way(rows, app)
        assert found(app, BOTH) == [("done", None)] * 2


@pytest.mark.parametrize("voices", [1, 2])
def test_the_plan_counts_the_questions_of_code_that_bear_out_a_later_deployment(rows: Rows, voices: int) -> None:
    rows.deployed = {"block": LATE, "date": "2024-12-10"}
    with rows.opened(*[honest] * voices, grade="two_voices") as app:
        wanted = [of_tvl(QUIET), of_tvl(DAY)]
        told = {
            one.endpoint: one.calls
            for one in planned(app, [app.registry.csu("local")], wanted).costs
            if one.method == CODE
        }
        rows.lake.collect(app, wanted)
        assert list(told.values()) == [one[CODE] for one in rows.asked]


NOWHERE = nothing_old("eth_call", "eth_getCode")  # on a chain whose Multicall3 is younger


@pytest.fixture
def unsaid(rows: Rows) -> Rows:
    """The row says nothing of when the market was deployed."""
    rows.deployed, rows.multicall3 = None, False
    return rows


def worth(app: App, wanted: Sequence[Partition], least: Grade) -> list[Verified]:
    return verify(wanted, app.ledger.states(), app.bronze, "onchain", least=least, csus=app.registry.csus)


def wished(rows: Rows, app: App, wanted: Sequence[Partition], proven: Grade | None) -> Collected:
    return lending.collect(app, [app.registry.csu("local")], wish_for(wanted), proven=proven)


def test_one_operators_absence_gives_way_to_no_proven_answer_not_even_that_nothing_happened(unsaid: Rows) -> None:
    rows, days = unsaid, [QUIET]
    with rows.opened(honest, honest) as app:
        rows.lake.collect(app, days)
        assert found(app, days) == [("empty", None)]
    with rows.opened(NOWHERE, operators=["l"]) as app:
        rows.lake.collect(app, days, resume=False)
        (entry,) = [app.ledger.state(one) for one in days]
        assert entry is not None
        assert (entry.state, entry.grade) == ("empty", "two_voices")
    with rows.opened(honest, honest) as app:
        rows.lake.collect(app, days)
        assert found(app, days) == [("empty", None)]


@pytest.mark.parametrize("grade", ["two_voices", "receipts_root"])
def test_an_absence_is_graded_and_asked_again_for_more_proof(unsaid: Rows, grade: Grade) -> None:
    rows, days = unsaid, [of_tvl(QUIET), QUIET]
    with rows.opened(NOWHERE, operators=["l"]) as app:
        rows.lake.collect(app, days)
        assert set(found(app, days)) == {("gone", "not_deployed")}
        assert {one.verdict for one in worth(app, days, "one_voice")} == {"complete"}
        assert {(one.verdict, one.grade) for one in worth(app, days, grade)} == {("weak", "one_voice")}
    with rows.opened(honest, honest) as app:
        assert wished(rows, app, days, None).known == len(days), "nobody wished for more"
        wished(rows, app, days, grade)
        assert found(app, days) == [("done", None), ("empty", None)]


def test_an_absence_that_two_operators_say_is_proven_and_stays_so(unsaid: Rows) -> None:
    rows, days = unsaid, [of_tvl(QUIET), QUIET]
    with rows.opened(NOWHERE, NOWHERE) as app:
        rows.lake.collect(app, days)
        assert set(found(app, days)) == {("gone", "not_deployed")}
        assert {(one.verdict, one.grade) for one in worth(app, days, "receipts_root")} == {("complete", "two_voices")}
        before = [one.total() for one in rows.asked]
        assert wished(rows, app, days, "two_voices").known == len(days)
        assert [one.total() for one in rows.asked] == before
    with rows.opened(NOWHERE, operators=["l"]) as app:
        rows.lake.collect(app, days, resume=False)
        assert {one.grade for one in worth(app, days, "one_voice")} == {"two_voices"}, "nor does it give way to less"


@pytest.mark.parametrize("said", [True, False], ids=["row says since when", "row says nothing"])
def test_a_chain_that_began_too_late_by_one_operators_word_makes_no_market_absent(rows: Rows, said: bool) -> None:
    rows.deployed = {"block": 1} if said else None

    def young(question: dict[str, Any], ask: Any) -> dict[str, Any] | None:
        if question["method"] != "eth_getBlockByNumber" or question["params"][0] != "0x0":
            return None
        reply: dict[str, Any] = ask(question)
        late = DAY.period.end.timestamp() + 86400
        return reply | {"result": forged(reply["result"] | {"timestamp": hex(int(late))})}

    with rows.opened(young) as app:
        rows.lake.collect(app, BOTH)
        assert {state for state, _ in found(app, BOTH)} == {"failed"}
    with rows.opened(honest, honest) as app:
        rows.lake.collect(app, BOTH)
        assert found(app, BOTH) == [("done", None)] * 2


@pytest.mark.parametrize("own", [1, 2])
def test_whoever_is_only_asked_besides_fails_no_day_before_a_market(unsaid: Rows, own: int) -> None:
    """The world is one in which the market is not there yet; the public endpoint says that it is."""
    lake, days = unsaid.lake, [of_tvl(QUIET), QUIET]
    with ExitStack() as stack:
        urls = [
            stack.enter_context(Hostile(cast(Node, Middleman(lake.fortnight.node.url, one)))).url
            for one in [*[NOWHERE] * own, honest]
        ]
        told = {"local-local": {"operator": "public"}}
        app = stack.enter_context(lake.opened(urls[:own], public=urls[own:], told_of_public=told))
        lake.collect(app, days)
        assert set(found(app, days)) == {("gone", "not_deployed")}
        verdicts = {(one.verdict, one.grade) for one in worth(app, days, "one_voice")}
        assert verdicts == ({("suspect", "one_voice")} if own == 1 else {("complete", "two_voices")})
