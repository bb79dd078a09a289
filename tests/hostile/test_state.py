"""State that is given wrongly, stale, or not at all never becomes a number that is called right. Real node, real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from typing import Any, cast

import orjson
import pytest
from tests.chain.anvil import MULTICALL3
from tests.chain.scenario import Fortnight
from tests.hostile.middleman import Change, Middleman, honest, refusal, result
from tests.hostile.server import Hostile
from tests.net.node import Node
from tests.waiting import PATIENCE_S

from cryptolake.contracts.partition import Partition, Period, hours
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Row
from cryptolake.errors import CryptolakeError
from cryptolake.net.abi import checksum, selector
from cryptolake.net.blocks import Blocks
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.multicall import Call, CallResult, Finished, Program
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.grading import graded
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.sources.onchain.state import StateReader

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
DAY = date(2024, 12, 5)  # three liquidations
DATASETS = ("tvl", "liquidations")


def row_of(fortnight: Fortnight, **entry: str) -> Csu:
    market = fortnight.market
    stated = {"pool": checksum(market.pool), "pool_addresses_provider": checksum(market.provider), **entry}
    return Csu("local", "aave_v3", "aave", "3", "local", 31337, stated)


def operator_of(number: int, operators: str) -> str:
    """Whose an endpoint is: one of its own each, the one that is named, or nobody knows (`own`)."""
    return {"": f"operator-{number}", "own": ""}.get(operators, operators)


@contextmanager
def reading(
    csu: Csu, *urls: str, multicall3: bool = True, audit: float = 0.0, operators: str = "", own: int = 9
) -> Iterator[OnchainSource]:
    """The real source over these endpoints, of an operator each or of one, in this order; pauses are not slept.

    Those after the first `own` are only asked besides.
    """
    http = Http(timeout_s=PATIENCE_S)
    found = [
        Endpoint(
            f"server-{n}",
            SecretUrl(url),
            Limits(rate=1e5, max_batch=50),
            operator=operator_of(n, operators),
            besides=n >= own,
        )
        for n, url in enumerate(urls)
    ]
    pool = Pool("local", 31337, found, http, sleep=lambda _: None)
    chain = Chain("local", 31337, multicall3_address=MULTICALL3 if multicall3 else None, multicall3_block=0)
    try:
        registry = Registry({csu.name: csu}, {"local": chain})
        yield OnchainSource(registry=registry, csus=[csu], pools=lambda _: pool, audit=audit)
    finally:
        http.close()


def answered(source: OnchainSource, dataset: str, day: date = DAY) -> Raw | Miss | CryptolakeError:
    """What a run lands, misses, or ends with."""
    (trip,) = source.trips([Partition(dataset, "local", Period.of_day(day))])
    try:
        (found,) = source.fetch(trip)
    except CryptolakeError as error:
        return error
    return found


def told(fortnight: Fortnight, *changes: Change, csu: Csu | None = None, **more: Any) -> dict[str, Any]:
    """By dataset: the rows read through these middlemen, or the miss or error."""
    with ExitStack() as open_:
        urls = [
            open_.enter_context(Hostile(cast(Node, Middleman(fortnight.node.url, change)))).url for change in changes
        ]
        found: dict[str, Any] = {}
        for dataset in DATASETS:
            with reading(csu or row_of(fortnight), *urls, **more) as source:
                answer = answered(source, dataset)
                found[dataset] = list(source.parse(answer)) if isinstance(answer, Raw) else answer
        return found


@pytest.fixture(scope="module")
def truth(aave_fortnight: Fortnight) -> dict[str, list[Row]]:
    found = told(aave_fortnight, honest)
    assert len(found["liquidations"]) == 3
    assert len(found["tvl"]) >= 3
    return found


def never_wrong(found: dict[str, Any], truth: dict[str, list[Row]]) -> None:
    """Every answer is the truth, or loud and to be asked again."""
    for dataset in DATASETS:
        if isinstance(found[dataset], Miss):
            assert found[dataset].state == "failed", found[dataset]
        elif not isinstance(found[dataset], CryptolakeError):
            assert found[dataset] == truth[dataset], dataset


def late(blocks: int) -> Change:
    """State as of some blocks before the one asked for."""

    def change(question: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
        if question["method"] != "eth_call" or not isinstance(question["params"][1], str):
            return None
        to, block = question["params"]
        return ask({**question, "params": [to, hex(max(1, int(block, 16) - blocks))]})

    return change


def empty(question: dict[str, Any], _ask: object) -> dict[str, Any] | None:
    """Nothing for every call, as nodes answer whose state is not there."""
    return result(question, "0x") if question["method"] == "eth_call" else None


def empty_code_too(question: dict[str, Any], _ask: object) -> dict[str, Any] | None:
    return result(question, "0x") if question["method"] in {"eth_call", "eth_getCode"} else None


def header_field(name: str, change: Callable[[str], object]) -> Change:
    """Block headers with one field written another way."""

    def changed(question: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
        reply = ask(question)
        if question["method"] == "eth_getBlockByNumber" and reply.get("result"):
            reply["result"][name] = change(reply["result"][name])
        return reply

    return changed


def refusing(code: int, message: str, what: str) -> Change:
    """Refuses every call that holds a getter, however small it is."""
    wanted = selector(what).hex()

    def change(question: dict[str, Any], _ask: object) -> dict[str, Any] | None:
        if question["method"] == "eth_call" and wanted in question["params"][0]["data"]:
            return refusal(question, code, message)
        return None

    return change


def cut(question: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
    """The first half of every call's answer."""
    reply = ask(question)
    if question["method"] == "eth_call" and isinstance(reply.get("result"), str):
        reply["result"] = reply["result"][: 2 + (len(reply["result"]) - 2) // 4 * 2]
    return reply


PRICES = "getAssetsPrices(address[])", "getAssetPrice(address)"
HEADER_KINDS: dict[str, Callable[[str], object]] = {
    "an integer": lambda value: int(value, 16),
    "null": lambda _: None,
    "an empty text": lambda _: "0x",
    "decimal text": lambda value: str(int(value, 16)),
}
KINDS: dict[str, Change] = {
    **{f"{blocks} blocks late": late(blocks) for blocks in (1, 2, 9, 40)},
    "nothing for every call": empty,
    "no code either": empty_code_too,
    **{
        f"{name} as {kind}": header_field(name, change)
        for name in ("number", "timestamp", "hash", "parentHash")
        for kind, change in HEADER_KINDS.items()
    },
    "cut": cut,
    **{
        f"{what}: {code} {words}": refusing(code, words, what)
        for what in (*PRICES, "totalSupply()", "decimals()")
        for code, words in (
            (3, "response size exceeded"),
            (3, "out of gas"),
            (-32000, "gas required exceeds allowance (50000000)"),
            (-32015, "VM execution error: out of gas"),
            (-32000, "execution aborted (timeout = 5s)"),
        )
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_alone_it_gives_the_truth_or_a_loud_failure(
    aave_fortnight: Fortnight, truth: dict[str, list[Row]], kind: str
) -> None:
    never_wrong(told(aave_fortnight, KINDS[kind]), truth)


@pytest.mark.parametrize("kind", KINDS)
def test_beside_an_honest_one_the_truth_is_found(
    aave_fortnight: Fortnight, truth: dict[str, list[Row]], kind: str
) -> None:
    assert told(aave_fortnight, KINDS[kind], honest) == truth


@pytest.mark.parametrize("kind", ["nothing for every call", "no code either", "timestamp as an integer", "cut"])
def test_before_multicall_as_well(aave_fortnight: Fortnight, truth: dict[str, list[Row]], kind: str) -> None:
    found = told(aave_fortnight, KINDS[kind], honest, multicall3=False)
    if kind != "cut":  # half of a list is whole words, and odd only to whoever reads it
        assert found == truth
    never_wrong(found, truth)
    never_wrong(told(aave_fortnight, KINDS[kind], multicall3=False), truth)


BORN = date(2024, 11, 30)  # the market's pool in its second hour of blocks


def absent_code(question: dict[str, Any], _ask: object) -> dict[str, Any] | None:
    """No code of the market at any time."""
    hidden = question["method"] == "eth_getCode" and question["params"][0].lower() != MULTICALL3.lower()
    return result(question, "0x") if hidden else None


def no_code_at_all(question: dict[str, Any], _ask: object) -> dict[str, Any] | None:
    return result(question, "0x") if question["method"] == "eth_getCode" else None


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ([honest], "gone", "not_deployed"),
        ([honest, honest], "gone", "not_deployed"),
        ([absent_code], "failed", "identity"),  # one voice, and no code by now either
        ([no_code_at_all], "failed", "rpc"),  # not of Multicall3 either, which was there by then
    ],
)
def test_before_it_was_born_a_market_is_gone_as_far_as_it_is_proven(
    aave_fortnight: Fortnight, changes: list[Change], state: str, reason: str
) -> None:
    with ExitStack() as open_:
        urls = [
            open_.enter_context(Hostile(cast(Node, Middleman(aave_fortnight.node.url, change)))).url
            for change in changes
        ]
        source = open_.enter_context(reading(row_of(aave_fortnight), *urls))
        for dataset in DATASETS:
            (trip,) = source.trips([Partition(dataset, "local", list(hours(BORN, BORN))[12])])
            (miss,) = source.fetch(trip)
            assert isinstance(miss, Miss), miss
            assert (miss.state, miss.reason) == (state, reason), miss


@pytest.mark.parametrize("kind", ["nothing for every call", "no code either"])
def test_a_live_market_is_never_gone_for_one_voice(
    aave_fortnight: Fortnight, kind: str, truth: dict[str, list[Row]]
) -> None:
    never_wrong(told(aave_fortnight, KINDS[kind], KINDS[kind]), truth)
    stated = replace(row_of(aave_fortnight), deployed_block=aave_fortnight.market.deployed_block)
    never_wrong(told(aave_fortnight, KINDS[kind], csu=stated), truth)


def test_a_token_without_code_loses_its_own_price_and_no_other_reserve(
    aave_fortnight: Fortnight, truth: dict[str, list[Row]]
) -> None:
    """As the node says it of a token that destroyed itself."""
    node, asset = aave_fortnight.node, aave_fortnight.tokens["WBTC"].asset
    snapshot = node.rpc("evm_snapshot")
    day = date(2024, 12, 20)
    try:
        node.rpc("anvil_setCode", asset, "0x")
        node.block(Period.of_day(day).end)
        node.empty_blocks(70, 12)
        with ExitStack() as open_:
            url = open_.enter_context(Hostile(cast(Node, Middleman(node.url)))).url
            source = open_.enter_context(reading(row_of(aave_fortnight), url))
            raw = answered(source, "tvl", day)
            assert isinstance(raw, Raw), raw
            rows = {str(row["asset"]): row for row in source.parse(raw)}
    finally:
        node.rpc("evm_revert", snapshot)
    gone = rows[checksum(asset)]
    assert (gone["price_raw"], gone["cash_raw"], gone["decimals"]) == (None, "0", 8)
    assert int(str(gone["total_supplied_raw"])) > 0
    assert {str(row["asset"]) for row in truth["tvl"]} <= set(rows)
    assert all(row["price_raw"] is not None for one, row in rows.items() if one != checksum(asset))


def inventing(amounts: list[str]) -> Change:
    """Whole and well formed answers with other amounts: half of each of these numbers."""

    def change(question: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
        reply = ask(question)
        if question["method"] == "eth_call" and isinstance(reply.get("result"), str):
            for amount in amounts:
                reply["result"] = reply["result"].replace(f"{int(amount):064x}", f"{int(amount) // 2:064x}")
        return reply

    return change


def snapshot(fortnight: Fortnight, *changes: Change, **more: Any) -> tuple[Any, dict[str, str]]:
    """The rows or the miss, and what the answer says of who gave it and how far it is proven."""
    with ExitStack() as open_:
        urls = [
            open_.enter_context(Hostile(cast(Node, Middleman(fortnight.node.url, change)))).url for change in changes
        ]
        source = open_.enter_context(reading(row_of(fortnight), *urls, audit=0.02, **more))
        answer = answered(source, "tvl")
        if not isinstance(answer, Raw):
            return answer, {}
        told = orjson.loads(answer.payload)["certificate"]
        found = {"second": told["second"], "grade": graded(answer).grade, "suspect": source.weigh(answer) or ""}
        return source.parse(answer), {**answer.provenance, **found}


def test_a_second_voice_finds_invented_state(aave_fortnight: Fortnight, truth: dict[str, list[Row]]) -> None:
    liar = inventing([str(row["total_supplied_raw"]) for row in truth["tvl"] if int(str(row["total_supplied_raw"]))])
    alone, told_alone = snapshot(aave_fortnight, liar)
    assert alone != truth["tvl"]
    assert told_alone["grade"] == "one_voice"  # nobody can know, and the answer says so
    for changes in ([liar, honest], [honest, liar]):
        found, _ = snapshot(aave_fortnight, *changes)
        assert isinstance(found, Miss)
        assert (found.state, found.reason) == ("failed", "rpc")
        assert "read different state" in found.message
    for changes in ([liar, honest, honest], [honest, liar, honest], [honest, honest, liar]):
        found, said = snapshot(aave_fortnight, *changes)
        assert found == truth["tvl"], changes
        assert said["grade"] == "two_voices"
        assert said["endpoint"] != f"server-{changes.index(liar)}"


BESIDE: dict[str, Any] = {
    "block": 7,
    "block_hash": "0x" + "ab" * 32,
    "fetched_at": datetime(2020, 1, 1, tzinfo=UTC),
    "observed_at": datetime(2020, 1, 1, tzinfo=UTC),
    "request": {},
    "provenance": {},
}


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_stands_beside_an_answer_outside_of_its_digest_is_in_no_row(
    aave_fortnight: Fortnight, dataset: str
) -> None:
    assert {*BESIDE} == {one.name for one in fields(Raw)} - {"partition", "source", "payload"}
    with ExitStack() as open_:
        url = open_.enter_context(Hostile(cast(Node, Middleman(aave_fortnight.node.url)))).url
        source = open_.enter_context(reading(row_of(aave_fortnight), url))
        raw = answered(source, dataset)
        assert isinstance(raw, Raw), raw
        for name, value in BESIDE.items():
            told = replace(raw, **{name: value})
            assert source.parse(told) == source.parse(raw), name
            assert (source.weigh(told), source.grade(told)) == (source.weigh(raw), source.grade(raw)), name


WORLDS = ["HL", "LH", "HLH", "HHL", "LHH", "HLL", "LHL", "LLH"]


@pytest.mark.parametrize("own", [1, 2, 3])
@pytest.mark.parametrize("who", WORLDS)
def test_no_vote_about_state_makes_a_figure_sound_and_no_public_one_takes_it_away(
    aave_fortnight: Fortnight, truth: dict[str, list[Row]], who: str, own: int
) -> None:
    """Honest ones and such as lie alike, of which the first `own` are the user's: one of these that reads otherwise makes the
    day suspect whoever outvotes it, and those that are only asked besides outvote none and fail nothing.
    """
    liar = inventing([str(row["total_supplied_raw"]) for row in truth["tvl"] if int(str(row["total_supplied_raw"]))])
    found, said = snapshot(aave_fortnight, *[liar if one == "L" else honest for one in who], own=own)
    mine, heard = who[:own], who if who[0] != who[1] else who[:2]  # where the first two agree nobody else is asked
    if isinstance(found, Miss):
        assert (found.state, found.reason) == ("failed", "rpc")
        assert len(mine) == len(who) == 2, "nobody says whose is kept"
        assert "read different state" in found.message
        return
    kept = "H" if found == truth["tvl"] else "L"
    against = {one for one in heard[:own] if one != kept}
    alone = len(set(mine)) == 1 and heard.count(kept) == 1
    if len(set(mine)) == 1:
        assert kept == mine[0], "who is only asked besides outvotes nobody"
    assert bool(said["suspect"]) == bool(against or alone)
    assert said["grade"] == ("one_voice" if alone else "two_voices")
    if said["suspect"]:
        assert "read different state" in said["suspect"]


@pytest.mark.parametrize("first_lies", [True, False])
def test_what_a_public_voice_says_of_prices_makes_the_events_suspect(
    aave_fortnight: Fortnight, truth: dict[str, list[Row]], first_lies: bool
) -> None:
    prices = {str(row[name]) for row in truth["liquidations"] for name in ("collateral_price_raw", "debt_price_raw")}
    liar = inventing(sorted(prices - {"None"}))
    with ExitStack() as open_:
        men = [Middleman(aave_fortnight.node.url, one) for one in ((liar, honest) if first_lies else (honest, liar))]
        urls = [open_.enter_context(Hostile(cast(Node, one))).url for one in men]
        source = open_.enter_context(reading(row_of(aave_fortnight), *urls, audit=1.0, own=1))
        raw = answered(source, "liquidations")
        assert isinstance(raw, Raw), raw
        assert (source.parse(raw) == truth["liquidations"]) is not first_lies
        certificate = orjson.loads(raw.payload)["certificate"]
        assert (certificate["verdict"], certificate["grade"]) == ("suspect", "one_voice")
        assert any("read different state" in one for one in graded(raw).doubts)


def test_a_public_voice_that_is_proven_to_lie_about_state_is_asked_no_more(
    aave_fortnight: Fortnight, truth: dict[str, list[Row]]
) -> None:
    liar = inventing([str(row["total_supplied_raw"]) for row in truth["tvl"] if int(str(row["total_supplied_raw"]))])
    with ExitStack() as open_:
        men = [Middleman(aave_fortnight.node.url, change) for change in (honest, liar, honest)]
        urls = [open_.enter_context(Hostile(cast(Node, one))).url for one in men]
        source = open_.enter_context(reading(row_of(aave_fortnight), *urls, audit=0.02, own=1))
        assert isinstance(answered(source, "tvl"), Raw)
        before = men[1].methods["eth_call"]
        assert isinstance(answered(source, "tvl", date(2024, 12, 6)), Raw)
        assert before
        assert men[1].methods["eth_call"] == before


class Seldom:
    """Passes on what `change` makes of the first answers that it changes at all; every later one is honest."""

    def __init__(self, change: Change, times: int) -> None:
        self.change, self.left = change, times

    def __call__(
        self, question: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> dict[str, Any] | None:
        told = self.change(question, ask)
        if told is None or told.get("result") == ask(question).get("result"):
            return None
        self.left -= 1
        return told if self.left >= 0 else None


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_a_voice_said_once_and_not_again_is_never_kept(
    aave_fortnight: Fortnight, truth: dict[str, list[Row]], times: int
) -> None:
    """One bad node behind a balancer: the reading that is kept must be the one that two voices agree on."""
    amounts = [str(row["total_supplied_raw"]) for row in truth["tvl"] if int(str(row["total_supplied_raw"]))]
    found, said = snapshot(aave_fortnight, Seldom(inventing(amounts), times), honest)
    if isinstance(found, Miss):
        assert (found.state, found.reason) == ("failed", "rpc")
    else:
        assert (found, said["grade"]) == (truth["tvl"], "two_voices")


def test_two_keys_of_one_operator_are_one_voice(aave_fortnight: Fortnight, truth: dict[str, list[Row]]) -> None:
    for operators in ("one", "own"):
        found, said = snapshot(aave_fortnight, honest, honest, operators=operators)
        assert (found, said["grade"]) == (truth["tvl"], "one_voice")
    found, said = snapshot(aave_fortnight, honest, honest)
    assert (found, said["grade"]) == (truth["tvl"], "two_voices")
    assert {said["endpoint"], said["second"]} == {"server-0", "server-1"}


NOBODY = "0x00000000000000000000000000000000000000E1"  # an address without code


def inventing_where_nothing_is(question: dict[str, Any], _ask: object) -> dict[str, Any] | None:
    """A word for a call that no contract answers; all else is true."""
    if question["method"] != "eth_call" or question["params"][0]["to"].lower() != NOBODY.lower():
        return None
    return result(question, "0x" + "00" * 31 + "07")


def _ask_nobody() -> Program[list[CallResult]]:
    answers = yield [Call(NOBODY, selector("totalSupply()")), Call(MULTICALL3, selector("getBasefee()"))]
    return list(answers)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("others", [1, 2])
def test_who_fills_in_what_another_one_does_not_have_bears_itself_not_out(
    aave_fortnight: Fortnight, place: int, others: int
) -> None:
    """Of an honest endpoint, for which there is nothing, and a liar, who has something: nobody says that both read that."""
    changes: list[Change] = [honest] * others
    changes.insert(place, inventing_where_nothing_is)
    with ExitStack() as open_:
        http = Http(timeout_s=PATIENCE_S)
        open_.callback(http.close)
        urls = [
            open_.enter_context(Hostile(cast(Node, Middleman(aave_fortnight.node.url, one)))).url for one in changes
        ]
        found = [
            Endpoint(f"server-{n}", SecretUrl(url), Limits(rate=1e5), operator=f"operator-{n}")
            for n, url in enumerate(urls)
        ]
        pool = Pool("local", 31337, found, http, sleep=lambda _: None)
        blocks = Blocks(pool, again=True)
        reader = StateReader(pool, blocks, Chain("local", 31337, multicall3_address=None), "two_voices")
        try:
            read = reader.programs(lambda: {"local": _ask_nobody()}, blocks.header(40))
        except CryptolakeError:
            return
        outcome = read.outcomes["local"]
        if isinstance(outcome, Finished) and outcome.value[0].data:
            assert read.borne.grade == "one_voice"
        elif others > 1:
            assert isinstance(outcome, Finished)
