"""What the family `gearbox` reads on a real node equals what the published v2 and v3.1 contracts say, to the last wei."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TypeVar

import pytest
from tests.chain.anvil import MULTICALL3
from tests.chain.gearbox import GearboxMarket, Seized

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.errors import Skip
from cryptolake.net.abi import checksum
from cryptolake.net.blocks import BlockRange
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Failed, Finished, Program, run
from cryptolake.net.rpc import Pool
from cryptolake.net.scan import scan
from cryptolake.registry.anchors import identity
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain import gearbox
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.records import Liquidation, Reserve
from cryptolake.sources.onchain.source import OnchainSource

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("gearbox")]
T = TypeVar("T")
MARKS = (
    "v300 only",
    "borrowed",
    "a month later",
    "repaid",
    "partial",
    "liquidated",
    "loss",
    "v2 liquidated",
    "no price",
    "paused and given",
)


def csu_on(market: GearboxMarket) -> Csu:
    entry = {
        "address_provider_v1": checksum(market.v2.provider),
        "address_provider_v300": checksum(market.provider_v300),
        "address_provider_v310": checksum(market.provider_v310),
        "legacy_market_configurators": checksum(market.legacy),
    }
    return Csu("local", "gearbox", "gearbox", "3", "local", 31337, entry)


def pool_on(market: GearboxMarket) -> Pool:
    return Pool("local", 31337, [Endpoint("anvil", SecretUrl(market.node.url), Limits(rate=10_000))], Http())


def finish(market: GearboxMarket, program: Program[T], block: int, *, multicall: bool = True) -> T:
    outcome = run(pool_on(market), {"one": program}, block, multicall3=MULTICALL3 if multicall else None)["one"]
    if isinstance(outcome, Failed):
        raise outcome.error
    assert isinstance(outcome, Finished)
    return outcome.value


def snapshot(market: GearboxMarket, block: int, *, multicall: bool = True) -> dict[str, Reserve]:
    return {one.asset: one for one in finish(market, gearbox.snapshot(csu_on(market)), block, multicall=multicall)}


def scanned(market: GearboxMarket, filters: Sequence[LogFilter], start: int, end: int) -> list[Log]:
    answers = scan(pool_on(market), filters, BlockRange(start, end))
    return sorted((log for one in answers for log in one.logs), key=lambda log: (log.block, log.index))


def events(market: GearboxMarket, first: str, last: str) -> list[Liquidation]:
    start, end = market.marks[first], market.marks[last]
    csu = csu_on(market)
    filters = finish(market, gearbox.emitters(csu), end)
    logs = scanned(market, filters, start + 1, end + 1)
    return list(finish(market, gearbox.settle(csu, gearbox.liquidations(csu, logs)), end).events)


def truths(market: GearboxMarket, mark: str) -> list[tuple[str, dict[str, int]]]:
    """What the contracts say of every pool that is registered by then, with its underlying."""
    block = market.marks[mark]
    names = ["usdc"] if mark == "v300 only" else list(market.suites)
    found = [(checksum(market.suites[name].underlying), market.truth(name, block)) for name in names]
    return [*found, (checksum(market.tokens["DAI"]), market.v2.truth(block))]


@pytest.mark.parametrize("multicall", [True, False], ids=["multicall3", "json-rpc batch"])
def test_every_asset_at_every_mark(gearbox_market: GearboxMarket, multicall: bool) -> None:
    seen = 0
    for mark in MARKS:
        block = gearbox_market.marks[mark]
        found = snapshot(gearbox_market, block, multicall=multicall)
        expected: dict[str, dict[str, int]] = {}
        for asset, truth in truths(gearbox_market, mark):
            total = expected.setdefault(asset, dict.fromkeys([*truth, "borrowed"], 0))
            truth["borrowed"] = max(truth["principal"], truth["supplied"] - truth["cash"])
            for key, value in truth.items():
                total[key] += value
        assert set(found) == set(expected), mark
        for asset, total in expected.items():
            assert found[asset].supplied_raw == total["supplied"]
            assert found[asset].cash_raw == total["cash"]
            assert found[asset].borrowed_raw == total["borrowed"]
            assert found[asset].collateral_raw == 0
            seen += 1
            # What is owed is what the managers say of every open account, but for a difference of the protocol's own: an
            # account's interest compounds at every update of the index, the pool's expectation grows with the principal.
            if mark != "paused and given":
                assert 0 <= total["owed"] - found[asset].borrowed_raw <= total["owed"] // 10**7 + 5, (mark, asset)
    assert seen == 2 + 3 * (len(MARKS) - 1)


def test_interest_is_in_what_is_borrowed(gearbox_market: GearboxMarket) -> None:
    usdc = checksum(gearbox_market.tokens["USDC"])
    before, after = (snapshot(gearbox_market, gearbox_market.marks[m])[usdc] for m in ("borrowed", "a month later"))
    assert after.cash_raw == before.cash_raw
    grown = after.borrowed_raw - before.borrowed_raw
    assert grown == after.supplied_raw - before.supplied_raw > 10**9, "over a thousand dollars in a month"


def test_what_is_supplied_to_v2_is_what_its_shares_are_worth(gearbox_market: GearboxMarket) -> None:
    for mark in MARKS:
        truth = gearbox_market.v2.truth(gearbox_market.marks[mark])
        assert 0 <= truth["supplied"] - truth["diesel_worth"] <= 1, mark


def test_tokens_and_prices(gearbox_market: GearboxMarket) -> None:
    tokens = {symbol: checksum(token) for symbol, token in gearbox_market.tokens.items()}
    found = snapshot(gearbox_market, gearbox_market.marks["borrowed"])
    usdc, mkr = found[tokens["USDC"]], found[tokens["MKR"]]
    assert (usdc.symbol, usdc.decimals, usdc.price_raw, usdc.price_unit, usdc.price_quote) == (
        "USDC",
        6,
        10**8,
        10**8,
        "usd",
    )
    assert (mkr.symbol, mkr.decimals) == ("MKR", 18), "a bytes32 symbol"
    assert mkr.price_raw == 1500 * 10**8, "no manager lends it, another pool's oracle knows it"
    assert (mkr.supplied_raw, mkr.borrowed_raw) == (7 * 10**18, 0)


def test_a_refused_price_is_null_and_the_market_stays(gearbox_market: GearboxMarket) -> None:
    found = snapshot(gearbox_market, gearbox_market.marks["no price"])
    prices = {one.symbol: one.price_raw for one in found.values()}
    assert prices == {"USDC": 10**8, "MKR": None, "DAI": 99_900_000}


def test_tokens_given_to_a_pool_make_no_negative_debt(gearbox_market: GearboxMarket) -> None:
    mkr = snapshot(gearbox_market, gearbox_market.marks["paused and given"])[checksum(gearbox_market.tokens["MKR"])]
    assert (mkr.supplied_raw, mkr.cash_raw, mkr.borrowed_raw) == (7 * 10**18, 9 * 10**18, 0)


def test_before_the_providers_nothing_is_deployed_and_before_the_first_pool_nothing_is_there(
    gearbox_market: GearboxMarket,
) -> None:
    with pytest.raises(Skip, match="no address provider") as caught:
        snapshot(gearbox_market, gearbox_market.marks["nothing"])
    assert caught.value.reason == "not_deployed"
    assert snapshot(gearbox_market, gearbox_market.marks["v2 provider"]) == {}
    assert snapshot(gearbox_market, gearbox_market.marks["providers"]) == {}


def test_liquidations_are_what_changed_hands(gearbox_market: GearboxMarket) -> None:
    found = events(gearbox_market, "borrowed", "paused and given")
    whole = [one for one in found if "part_of_log_index" not in one.extra]
    assert [one.tx for one in whole] == [one.tx for one in gearbox_market.liquidations]
    for event, truth in zip(whole, gearbox_market.liquidations, strict=True):
        if truth.suite == "v2":
            _compare_v2(gearbox_market, event, truth)
        else:
            _compare(gearbox_market, event, truth, found)
    assert len(found) == 6, "one of them seized two tokens"


def _compare_v2(market: GearboxMarket, event: Liquidation, truth: Seized) -> None:
    """v2 names the borrower; what was seized is sent without an event; repaid = principal + interest + profit - loss."""
    v2, dai = market.v2, checksum(market.tokens["DAI"])
    assert (event.block, event.liquidator, event.borrower) == (
        truth.block,
        checksum(truth.liquidator),
        checksum(truth.borrower),
    )
    assert (event.debt_asset, event.collateral_asset, event.collateral_amount_raw) == (dai, dai, 0)
    assert (event.extra["pool"], event.extra["credit_manager"]) == (checksum(v2.pool), checksum(v2.manager))
    principal, profit, loss = (int(event.extra[name]) for name in ("principal_raw", "profit_raw", "loss_raw"))
    assert principal == truth.debt_before
    assert event.debt_amount_raw == principal - loss
    paid = v2.truth(truth.block)["cash"] - v2.truth(truth.block - 1)["cash"]
    before = market.ask(v2.manager, "calcCreditAccountAccruedInterest(address)", truth.account, block=truth.block - 1)
    interest = paid - principal - profit + loss
    assert before[1] - before[0] <= interest <= (before[1] - before[0]) * (1 + 10**-5)


def _compare(market: GearboxMarket, event: Liquidation, truth: Seized, found: list[Liquidation]) -> None:
    suite = market.suites[truth.suite]
    assert (event.block, event.liquidator) == (truth.block, checksum(truth.liquidator))
    assert event.borrower == checksum(truth.borrower), "the manager still knows whose account it was"
    assert event.debt_asset == checksum(suite.underlying)
    assert (event.extra["pool"], event.extra["credit_account"]) == (checksum(suite.pool), checksum(truth.account))
    seized = {one.collateral_asset: one.collateral_amount_raw for one in found if one.tx == truth.tx}
    assert seized == {checksum(market.tokens[symbol]): amount for symbol, amount in truth.seized.items()}
    paid = market.truth(truth.suite, truth.block)["cash"] - market.truth(truth.suite, truth.block - 1)["cash"]
    if event.extra["kind"] == "partial":
        assert event.debt_amount_raw == paid == 20_000 * 10**6 - int(event.extra["fee_raw"])
        return
    assert int(event.extra["principal_raw"]) == truth.debt_before
    assert (int(event.extra["loss_raw"]) > 0) == truth.loss
    assert sum(one.debt_amount_raw for one in found if one.tx == truth.tx) == event.debt_amount_raw
    before = market.ask(suite.manager, "calcDebtAndCollateral(address,uint8)", truth.account, 1, block=truth.block - 1)
    interest = paid - truth.debt_before - int(event.extra["profit_raw"]) + int(event.extra["loss_raw"])
    assert before[5] <= interest <= before[5] + 10**4, "repaid = principal + interest + profit - loss"
    assert event.debt_amount_raw == truth.debt_before - int(event.extra["loss_raw"])


def test_a_loss_the_treasury_cannot_bear_is_told(gearbox_market: GearboxMarket) -> None:
    (event,) = events(gearbox_market, "liquidated", "loss")
    loss, uncovered = int(event.extra["loss_raw"]), int(event.extra["uncovered_loss_raw"])
    assert 0 < uncovered < loss, "the treasury's shares cover a part"
    before, after = (snapshot(gearbox_market, gearbox_market.marks[m]) for m in ("liquidated", "loss"))
    usdc = checksum(gearbox_market.tokens["USDC"])
    assert before[usdc].borrowed_raw - after[usdc].borrowed_raw > int(event.extra["principal_raw"]) - 10**6


def test_v2_losses_are_told_apart(gearbox_market: GearboxMarket) -> None:
    healthy, lossy = events(gearbox_market, "loss", "v2 liquidated")
    assert (healthy.extra["loss_raw"], int(healthy.extra["profit_raw"]) > 0) == ("0", True)
    assert int(lossy.extra["loss_raw"]) > int(lossy.extra["uncovered_loss_raw"]) > 0


def test_a_facade_that_is_not_asked_does_not_hide_a_loss(gearbox_market: GearboxMarket) -> None:
    csu = csu_on(gearbox_market)
    end = gearbox_market.marks["loss"]
    filters = finish(gearbox_market, gearbox.emitters(csu), end)
    facades = {checksum(suite.facade) for suite in gearbox_market.suites.values()}
    logs = scanned(gearbox_market, filters, gearbox_market.marks["liquidated"], end + 1)
    without = [log for log in logs if log.address not in facades]
    assert gearbox.liquidations(csu, logs)
    with pytest.raises(Skip, match="facade") as caught:
        gearbox.liquidations(csu, without)
    assert caught.value.reason == "emitter"


def test_pools_facades_and_nothing_else_are_listened_to(gearbox_market: GearboxMarket) -> None:
    filters = finish(gearbox_market, gearbox.emitters(csu_on(gearbox_market)), gearbox_market.marks["borrowed"])
    suites = gearbox_market.suites.values()
    expected = {checksum(one) for suite in suites for one in (suite.pool, suite.facade) if int(one, 16)}
    expected |= {checksum(gearbox_market.v2.pool), checksum(gearbox_market.v2.facade)}
    assert {one.address for one in filters} == expected
    assert all(isinstance(one, LogFilter) and one.topics0 for one in filters)


def test_the_row_of_this_market_passes_the_registry_check(gearbox_market: GearboxMarket) -> None:
    found = finish(
        gearbox_market, identity(csu_on(gearbox_market), declared()["gearbox"]), gearbox_market.marks["loss"]
    )
    assert len(found.findings) == 4
    assert {one.verdict for one in found.findings} == {"confirmed"}
    early = finish(
        gearbox_market, identity(csu_on(gearbox_market), declared()["gearbox"]), gearbox_market.marks["v2 provider"]
    )
    verdicts = {one.field.partition(".")[0]: one.verdict for one in early.findings}
    assert verdicts["address_provider_v1"] == "confirmed"
    assert verdicts["address_provider_v300"] == "wrong", "not there yet"


def test_days_through_the_source(gearbox_market: GearboxMarket) -> None:
    csu = csu_on(gearbox_market)
    chain = Chain("local", 31337, multicall3_address=MULTICALL3, multicall3_block=0)
    pool = pool_on(gearbox_market)
    source = OnchainSource(registry=Registry({"local": csu}, {"local": chain}), csus=[csu], pools=lambda _: pool)
    day = Period.of_day(date(2024, 12, 1))
    (trip,) = source.trips([Partition("tvl", "local", day)])
    (raw,) = source.fetch(trip)
    assert isinstance(raw, Raw)
    rows = {row["symbol"]: row for row in source.parse(raw)}
    assert raw.block == gearbox_market.marks["borrowed"]
    assert rows["USDC"]["total_supplied_raw"] == str(
        sum(gearbox_market.truth(name, gearbox_market.marks["borrowed"])["supplied"] for name in ("usdc", "usdc2"))
    )
    assert rows["MKR"]["cash_raw"] == str(7 * 10**18)
