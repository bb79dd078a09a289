"""What was answered gives way to nothing that is proven less far, and a doubt to nobody's silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from tests.chain.scenario import Fortnight
from tests.hostile.lakes import Lake, without_receipts
from tests.hostile.middleman import Middleman, honest, refusal, result
from tests.hostile.server import Hostile
from tests.hostile.test_state import inventing
from tests.net.node import Node

from cryptolake.app import App
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.grades import Grade
from cryptolake.contracts.partition import Partition, hours
from cryptolake.flow.resume import wish_for
from cryptolake.lake.envelopes import KeptDoubt
from cryptolake.work import lending
from cryptolake.work.repair import repair_ledger
from cryptolake.work.verify import verify

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
Change = Callable[[dict[str, Any], Callable[..., dict[str, Any]]], "dict[str, Any] | None"]
RECEIPTS = ("eth_getBlockReceipts", "eth_getTransactionReceipt")


@pytest.fixture
def lake(aave_fortnight: Fortnight, tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", aave_fortnight)


def mute(*methods: str) -> Change:
    """It does not know these methods."""
    return lambda asked, _ask: (
        refusal(asked, -32601, "the method does not exist") if asked["method"] in methods else None
    )


def dropper(asked: dict[str, Any], _ask: object) -> dict[str, Any] | None:
    """It says that there are no logs, and knows no receipts."""
    return result(asked, []) if asked["method"] == "eth_getLogs" else mute(*RECEIPTS)(asked, lambda *_: {})


def down(asked: dict[str, Any], _ask: object) -> dict[str, Any]:
    """It answers nothing."""
    return refusal(asked, -32603, "internal error")


class World:
    """Endpoints of one chain by what they do, and a lake that is collected through some of them at a time."""

    def __init__(self, lake: Lake, open_: ExitStack, day: Partition) -> None:
        self.lake, self.day = lake, day
        self._open, self._urls = open_, dict[str, str]()

    def url(self, operator: str, change: Any) -> str:
        key = f"{operator}:{getattr(change, '__qualname__', change)}"
        if key not in self._urls:
            server = Hostile(cast(Node, Middleman(self.lake.fortnight.node.url, change)))
            self._urls[key] = self._open.enter_context(server).url
        return self._urls[key]

    def collect(
        self, *endpoints: tuple[str, Any], resume: bool = True, proven: Grade | None = None, repair: bool = False
    ) -> Entry:
        """Collect the day through these (operator, what it does); its entry then."""
        settings: dict[str, Any] = {"grade": "receipts"} if proven == "receipts_root" else {}
        urls = [self.url(*one) for one in endpoints]
        with self.lake.opened(urls, operators=[one for one, _ in endpoints], public_rpc=False, **settings) as app:
            csus = [app.registry.csu("local")]
            lending.collect(app, csus, wish_for([self.day]), resume=resume, proven=proven)
            if repair:
                repair_ledger(app)
            return self._entry(app)

    def _entry(self, app: App) -> Entry:
        found = app.ledger.state(self.day)
        assert found is not None
        assert app.bronze.intact(self.day, found.digest)
        return found


WEAKER: dict[str, Sequence[tuple[str, Any]]] = {
    "others that say less": [("c", dropper), ("d", mute("eth_getLogs", *RECEIPTS))],
    "nobody who answers": [("c", down), ("d", down)],
    "one of them alone": [("a", honest)],
}


@pytest.mark.parametrize("world", WEAKER)
@pytest.mark.parametrize("how", ["grade", "no resume"])
def test_a_day_that_two_operators_bear_out_stays_whoever_is_asked_again(lake: Lake, world: str, how: str) -> None:
    with ExitStack() as open_:
        there = World(lake, open_, lake.eventful[0])
        before = there.collect(("a", honest), ("b", honest))
        assert (before.state, before.grade, before.reason) == ("done", "two_voices", None)
        wish: dict[str, Any] = {"proven": "receipts_root"} if how == "grade" else {"resume": False}
        if world == "one of them alone" and how == "grade":
            return  # that cannot be had, and nobody is asked
        after = there.collect(*WEAKER[world], repair=True, **wish)
        assert (after.state, after.rows, after.digest, after.grade, after.reason) == (
            "done",
            before.rows,
            before.digest,
            "two_voices",
            None,
        )


def test_that_asking_again_failed_is_told_beside_the_answer(lake: Lake) -> None:
    with ExitStack() as open_:
        there = World(lake, open_, lake.eventful[0])
        there.collect(("a", honest), ("b", honest))
        after = there.collect(("c", down), resume=False)
        assert (after.state, after.reason) == ("done", None)
        assert "asked again on" in str(after.error)
        assert there.collect(("a", honest), ("b", honest), resume=False).error is None


@pytest.mark.parametrize("first", ["liar first", "honest first"])
@pytest.mark.parametrize("silence", ["down", "gone", "mute"])
def test_a_contradiction_stands_while_only_the_one_who_drops_logs_speaks(lake: Lake, first: str, silence: str) -> None:
    without_receipts(lake)
    dropping = lambda asked, _ask: result(asked, []) if asked["method"] == "eth_getLogs" else None  # noqa: E731
    liar, good = ("l", dropping), ("a", honest)
    with ExitStack() as open_:
        there = World(lake, open_, lake.eventful[0])
        before = there.collect(*([liar, good] if first == "liar first" else [good, liar]))
        assert (before.state, before.reason) == ("done", "suspect")
        silent: dict[str, list[tuple[str, Any]]] = {
            "down": [("a", down)],
            "gone": [],
            "mute": [("a", mute("eth_getLogs"))],
        }
        quiet = silent[silence]
        for resume in (True, False):
            after = there.collect(*quiet, liar, resume=resume, repair=True)
            assert (after.state, after.rows, after.reason) == ("done", before.rows, "suspect")
        assert there.collect(good).reason == "suspect", "the one who contradicts is silent"
        settled = there.collect(good, ("b", honest), repair=True)
        assert (settled.state, settled.rows, settled.reason, settled.grade) == (
            "done",
            before.rows,
            None,
            "two_voices",
        )


def test_two_whole_answers_that_differ_make_the_day_suspect_and_the_fuller_one_is_kept(lake: Lake) -> None:
    """One endpoint a run, which no run of its own could contradict; whichever comes first."""
    without_receipts(lake)
    dropping = lambda asked, _ask: result(asked, []) if asked["method"] == "eth_getLogs" else None  # noqa: E731
    good = ("a", honest)
    for number, order in enumerate(([("l", dropping), good], [good, ("l", dropping)])):
        with ExitStack() as open_:
            there = World(Lake(lake.folder.with_name(f"{number}"), lake.fortnight), open_, lake.eventful[0])
            without_receipts(there.lake)
            for one in order:
                after = there.collect(one, resume=False)
            assert (after.state, after.rows, after.reason) == (
                "done",
                len(lake.fortnight.liquidations_on(there.day.period.day)),
                "suspect",
            )
            assert there.collect(good, ("b", honest), repair=True).reason is None


def test_state_that_two_operators_told_differently_is_no_fact_once_one_of_them_is_silent(lake: Lake) -> None:
    day = replace(lake.eventful[0], dataset="tvl")
    with ExitStack() as open_:
        truth = World(Lake(lake.folder.with_name("truth"), lake.fortnight), open_, day)
        truth.collect(("a", honest))
        with truth.lake.opened(public_rpc=False) as app:
            raw = app.bronze.read(day, "onchain")
            assert raw is not None
            rows = app.onchain([app.registry.csu("local")]).parse(raw)
        lie = inventing(sorted({str(row["total_supplied_raw"]) for row in rows} - {"0"}))
        there = World(lake, open_, day)
        with lake.opened([there.url("l", lie), there.url("a", honest)], operators=["l", "a"], public_rpc=False) as app:
            lake.collect(app, [day])
            failed = app.ledger.state(day)
            assert failed is not None
            assert failed.state == "failed"
        for _ in range(2):
            assert there.collect(("l", lie), repair=True).reason == "suspect"
        settled = there.collect(("a", honest), ("b", honest), resume=False, proven="two_voices", repair=True)
        assert (settled.state, settled.reason) == ("done", None)


@pytest.mark.parametrize("given", [None, "odd", {"windows": 7}])
def test_what_an_answer_shows_counts_though_its_certificate_is_missing_or_cannot_be_read(
    lake: Lake, given: object
) -> None:
    """As answers were kept before there were certificates."""
    without_receipts(lake)
    dropping = lambda asked, _ask: result(asked, []) if asked["method"] == "eth_getLogs" else None  # noqa: E731
    with ExitStack() as open_:
        there = World(lake, open_, lake.eventful[0])
        before = there.collect(("a", honest), ("b", honest))
        with lake.opened(public_rpc=False) as app:
            raw = app.bronze.read(there.day, "onchain")
            assert raw is not None
            content = orjson.loads(raw.payload)
            del content["certificate"]
            old = replace(raw, payload=orjson.dumps(content | ({} if given is None else {"certificate": given})))
            app.bronze.land(old)
            app.ledger.append(replace(before, digest=old.digest, grade=None, at=datetime.now(UTC)))
        after = there.collect(("l", dropping), resume=False)
        assert (after.state, after.rows, after.reason) == ("done", before.rows, "suspect")
        settled = there.collect(("a", honest), ("b", honest))
        assert (settled.rows, settled.reason, settled.grade) == (before.rows, None, "two_voices")


def doubling(asked: dict[str, Any], ask: Callable[..., dict[str, Any]]) -> dict[str, Any] | None:
    """It gives the last log of every block twice."""
    if asked["method"] != "eth_getLogs":
        return mute(*RECEIPTS)(asked, ask)
    answer = ask(asked)
    last = {one["blockNumber"]: one for one in answer.get("result") or ()}
    more = [one | {"logIndex": hex(int(one["logIndex"], 16) + 50)} for one in last.values()]
    return answer | {"result": [*answer["result"], *more]} if more else answer


@pytest.mark.parametrize("receipts", [True, False])
@pytest.mark.parametrize("doubter", ["gone", "mended", "mended and third", "third"])
def test_logs_that_nobody_honest_bears_out_are_settled_by_two_operators_or_by_receipts(
    lake: Lake, doubter: str, receipts: bool
) -> None:
    """Where the one who made them up is there still, it is asked for those blocks, or they are proven."""
    if not receipts:
        without_receipts(lake)
    good: list[tuple[str, Any]] = [("a", honest), ("b", honest)]
    l_now: list[tuple[str, Any]] = [("l", honest)] if "mended" in doubter else [("l", doubling)]
    there_now = {"gone": good, "mended": [*l_now, *good]}.get(doubter, [*good, *l_now])
    with ExitStack() as open_:
        there = World(lake, open_, lake.eventful[0])
        truth = len(lake.fortnight.liquidations_on(there.day.period.day))
        before = there.collect(("l", doubling))
        assert (before.rows or 0) > truth
        assert before.reason is None
        told = str(there.collect(*there_now, proven="two_voices").error)
        if "third" in doubter:
            assert "l on " in told, "who said so then, not who stands in its place by now"
            assert "local-own" not in told
        after = there.collect(*there_now)
        if doubter == "third" and not receipts:
            assert after.reason == "suspect"
        else:
            assert (after.rows, after.reason, after.grade) == (truth, None, "two_voices")


def test_what_a_public_endpoint_makes_up_changes_no_figure(lake: Lake) -> None:
    without_receipts(lake)
    with ExitStack() as open_:
        there = World(lake, open_, lake.eventful[0])
        truth = len(lake.fortnight.liquidations_on(there.day.period.day))
        own, public = there.url("a", honest), there.url("p", doubling)
        with lake.opened(
            [own], operators=["a"], public=[public], told_of_public={"local-local": {"operator": "p"}}
        ) as app:
            lake.collect(app, [there.day])
            found = app.ledger.state(there.day)
            assert found is not None
            assert (found.rows, found.reason) == (truth, "suspect")
        settled = there.collect(("a", honest), ("b", honest))
        assert (settled.rows, settled.reason) == (truth, None)


def test_state_in_dispute_is_no_fact_by_the_days_last_hour_and_events_are_compared_by_their_blocks(lake: Lake) -> None:
    without_receipts(lake)
    period = lake.eventful[0].period
    last = list(hours(period.day, period.day))
    truth, events = replace(lake.eventful[0], dataset="tvl"), lake.eventful[0]

    def less(asked: dict[str, Any], ask: Callable[..., dict[str, Any]]) -> dict[str, Any] | None:
        """As many logs, of other amounts."""
        if asked["method"] != "eth_getLogs":
            return None
        answer = ask(asked)
        for one in answer.get("result") or ():
            one["data"] = f"{one['data'][:60]}7{one['data'][61:]}"
        return answer

    with ExitStack() as open_:
        there = World(lake, open_, truth)
        there.collect(("a", honest))
        with lake.opened(public_rpc=False) as app:
            app.bronze.keep_doubt(truth, "onchain", KeptDoubt("two read different state"))
        hour = World(lake, open_, replace(truth, period=last[-1]))
        assert hour.collect(("l", honest)).reason == "suspect"
        assert hour.collect(("a", honest), ("b", honest)).reason is None
        there = World(lake, open_, events)
        assert there.collect(("a", honest)).reason is None
        of_hours = [World(lake, open_, replace(events, period=one)) for one in last]
        told = [one.collect(("l", less)) for one in of_hours]
        assert {one.reason for one in told if one.rows} == {"suspect"}
        assert {one.reason for one in told if not one.rows} == {None}
        with lake.opened(public_rpc=False) as app:
            entry = app.ledger.state(events)
            assert entry is not None
            assert entry.reason == "suspect"
            # As in a lake whose day and hours landed before they were held against each other.
            app.ledger.append(replace(entry, reason=None, error=None))
            (found,) = verify([events], app.ledger.states(), app.bronze, "onchain")
            assert found.verdict == "suspect"
            assert any("says something else of the same blocks" in one for one in found.says)
