"""Liquidations at the price of their own block: asked where somebody wants it, counted by the plan, equal to the chain's."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import orjson
import polars as pl
import pytest

from cryptolake.app import App
from cryptolake.demo.journey import CSU, FIRST, LAST
from cryptolake.demo.recording import ChainRecording, Json
from cryptolake.demo.replay import RECORDINGS, Replay, sandbox_registry
from cryptolake.net.abi import call_data, word
from cryptolake.settings import load_settings
from cryptolake.silver.event_prices import TABLE as EVENT_PRICES
from cryptolake.silver.liquidations import TABLE as LIQUIDATIONS
from cryptolake.work import lending
from cryptolake.work.estimate import planned
from cryptolake.work.selection import chosen_partitions, chosen_wish


class Counting:
    """Answers as the recording and counts what is asked."""

    def __init__(self) -> None:
        self.asked = Counter[str]()

    def __call__(self, chain: ChainRecording, method: str, params: list[Json]) -> Json:
        self.asked[method] += 1
        return chain.answer(method, params)


def opened(folder: Path, replay: Replay, *, event_prices: bool) -> App:
    return App(
        load_settings(
            data=folder,
            registry=sandbox_registry(),
            rpc={"sandbox": [replay.rpc_url]},
            public_rpc=False,
            start_date=FIRST,
            end_date=LAST,
            grade="one_voice",
            event_prices=event_prices,
        )
    )


def run(app: App) -> None:
    csus = [app.registry.csu(CSU)]
    wish = chosen_wish(app, csus, None)
    assert lending.collect(app, csus, wish).failed == 0
    lending.refine(app)
    assert lending.build(app).lacking.is_empty()


def calls(app: App, method: str) -> int:
    csus = [app.registry.csu(CSU)]
    return sum(
        one.calls for one in planned(app, csus, chosen_partitions(app, csus, None)).costs if one.method == method
    )


def test_they_are_asked_where_they_are_wanted_and_the_plan_says_how_often(tmp_path: Path) -> None:
    counting = Counting()
    with Replay(lie=counting) as replay:
        app = opened(tmp_path / "data", replay, event_prices=False)
        run(app)
        events = app.tables.read(LIQUIDATIONS)
        assert not [one for one in app.ledger.states() if one.dataset == "event_prices"]
        assert app.tables.version(EVENT_PRICES) is None
        assert calls(app, "eth_call") == 0
        app.close()

        counting.asked.clear()
        app = opened(tmp_path / "data", replay, event_prices=True)
        promised = calls(app, "eth_call")
        rounds = 3  # of an Aave market's program, which is learned once; then each block is one request
        assert promised == events["block"].n_unique() + rounds - 1
        run(app)
        tokens = pl.concat([events["debt_asset"], events["collateral_asset"]]).n_unique()
        assert promised <= counting.asked["eth_call"] < promised + tokens, "a token that is new costs one request more"
        assert counting.asked["eth_getLogs"] == 0, "what is answered is not asked again"
        assert calls(app, "eth_call") == 0
        counting.asked.clear()
        run(app)
        assert counting.asked["eth_call"] == 0
        found = app.tables.read(EVENT_PRICES)
        assert found.select("chain", "tx", "log_index").equals(events.select("chain", "tx", "log_index"))
        assert_of_the_block(app, found)
        app.close()


def assert_of_the_block(app: App, found: pl.DataFrame) -> None:
    """The prices are those that the oracle gives at each event's block, read here by a call of its own."""
    recorded = ChainRecording.load(RECORDINGS / "chain.json.gz")
    oracle = app.registry.csu(CSU).entry["oracle"]
    compared = 0
    for row in found.iter_rows(named=True):
        for side in ("debt", "collateral"):
            asked = "0x" + call_data("getAssetPrice(address)", row[f"{side}_asset"]).hex()
            said = str(recorded.answer("eth_call", [{"to": oracle, "data": asked}, hex(row["block"])]))
            price = word(bytes.fromhex(said[2:]), 0) / 10**8
            assert row[f"{side}_event_price"] == pytest.approx(price) if price else row[f"{side}_event_price"] is None
            if price:
                assert row[f"{side}_event_usd"] == pytest.approx(row[f"{side}_amount"] * price)
                compared += 1
    assert compared


def test_of_another_answer_they_are_nothing_and_are_asked_again(tmp_path: Path) -> None:
    with Replay() as replay:
        app = opened(tmp_path / "data", replay, event_prices=True)
        run(app)
        before = app.tables.read(EVENT_PRICES)
        csu, day = before.select("csu", "date").row(0)
        partition, entry = next(
            (one, entry)
            for one, entry in app.ledger.states().items()
            if one.dataset == "event_prices" and one.period.day == day
        )
        raw = app.bronze.read(partition, "event_prices")
        assert raw is not None
        assert entry.digest is not None
        other = orjson.dumps({**orjson.loads(raw.payload), "of": "0" * 64})
        digest = app.bronze.land(replace(raw, payload=other))
        app.ledger.append(replace(entry, digest=digest))
        lending.build(app)
        after = app.tables.read(EVENT_PRICES)
        assert after.equals(before.filter(~((pl.col("csu") == csu) & (pl.col("date") == day))))
        run(app)
        assert app.tables.read(EVENT_PRICES).equals(before)
        app.close()
