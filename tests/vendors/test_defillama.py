"""All of DefiLlama over real HTTP: the whole universe once, then every way of not answering, one by one."""

from __future__ import annotations

import json
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from tests.vendors.conftest import Lake
from tests.vendors.server import Query, Reply, in_turn, vendor
from tests.vendors.universe import Universe, answer, urls, value

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.errors import Skip
from cryptolake.net.access import Access
from cryptolake.net.conversation import Patience
from cryptolake.net.http import Http
from cryptolake.registry.defillama import Entity, last_known_chains
from cryptolake.sources.defillama import DefiLlama
from cryptolake.sources.defillama.questions import QUESTIONS

NOW = datetime(2026, 11, 20, 12, 34, 56, tzinfo=UTC)
HOUR, DAY = Period.of_hour(NOW), Period.of_day(NOW.date())
QUIET = Patience(2, sleep=lambda _s: None)


def source(http: Http, url: str, *, key: str = "", entities: dict[str, Entity] | None = None) -> DefiLlama:
    """All hosts at one server; with a key the Pro host takes over, as it does live."""
    moved = urls(url)
    hosts = {"defillama_pro": moved["defillama_pro"]} if key else moved
    secrets = {"DEFILLAMA_API_KEY": key} if key else {}
    access = Access(http, urls=hosts, secrets=secrets, rates={"defillama": 600_000})
    return DefiLlama(access, entities=entities, patience=QUIET, asked_at=lambda: NOW)


def one(found: DefiLlama, dataset: str, key: str, period: Period = HOUR) -> Raw | Miss:
    (trip,) = found.trips([Partition(dataset, key, period)])
    (outcome,) = found.fetch(trip)
    return outcome


def from_universe(universe: Universe) -> object:
    def reply(path: str, query: Query) -> Reply:
        return Reply(*answer(universe, path, query))

    return reply


def test_live_and_history_of_the_whole_universe(http: Http, lake: Lake) -> None:
    universe = Universe(NOW.date(), size=0.01, padding=50)
    with vendor(from_universe(universe)) as server:  # type: ignore[arg-type]
        live = lake.run("pull", source(http, server.url, key="sesame"), NOW)
        asked = Counter(server.paths())
        history = lake.run("backfill", source(http, server.url, key="sesame"), NOW)
        again = lake.run("backfill", source(http, server.url, key="sesame"), NOW)
        assert all(path.startswith("/pro/sesame/") for path in server.paths())
    assert (live.status, history.status, again.status) == ("success", "success", "success")
    assert live.collected.failed == history.collected.failed == 0
    bulk = ("/v2/chains", "/protocols", "/overview/fees", "/overview/dexs", "/overview/derivatives", "/stablecoins")
    fees = asked["/pro/sesame/api/overview/fees"]
    assert fees == 2, "once for fees, once for revenue"
    for path in bulk:
        prefix = "/pro/sesame/stablecoins" if path == "/stablecoins" else "/pro/sesame/api"
        assert asked[prefix + path] <= 2
    metrics = dict(lake.warehouse.query("SELECT metric_name, count(*) FROM metrics GROUP BY 1").rows())
    live_names = {
        *("CHAIN_TVL", "CHAIN_FEES_24H", "CHAIN_REVENUE_24H", "CHAIN_DEX_VOLUME_24H", "CHAIN_PERPS_VOLUME_24H"),
        *("CHAIN_OPTIONS_VOLUME_24H", "TVL", "FEES_24H", "REVENUE_24H", "DEX_VOLUME_24H", "DERIVATIVES_VOLUME_24H"),
        *("EARNINGS", "INFLOW", "OUTFLOW", "OPEN_INTEREST", "STABLECOIN_SUPPLY", "BRIDGE_VOLUME_24H"),
        *("BRIDGE_VOLUME_7D", "BRIDGE_VOLUME_30D", "NET_FLOW", "AGGREGATOR_VOLUME_24H"),
    }
    assert live_names <= set(metrics)
    assert {"FEES", "CHAIN_FEES", "REVENUE", "DEX_VOLUME", "BRIDGE_VOLUME"} <= set(metrics)
    midnight = datetime(2026, 11, 20)
    assert lake.rows("value", "metric_name = 'TVL' AND asset = 'lido-dao' AND pulled_at = '2026-11-20'") == [
        (value("lido", 1),)
    ]
    assert lake.doubled_days() == 0
    assert again.inserted == again.updated == 0
    assert again.records == history.records == again.unchanged
    zeros = lake.warehouse.query("SELECT count(*) FROM metrics WHERE value = 0").item()
    assert zeros > 0, "zero is a value"
    flows = dict(lake.rows("metric_name, value", "asset = 'lido-dao' AND metric_name LIKE '%FLOW'"))  # type: ignore[arg-type]
    assert flows["NET_FLOW"] == flows["INFLOW"] - flows["OUTFLOW"]  # type: ignore[operator]
    rows = lake.warehouse.query(
        "SELECT status, records_count, requests, rate_limited, operation FROM pulls ORDER BY 1"
    ).rows()
    assert len(rows) == 3
    assert all(row[0] == "success" and row[2] > 0 and row[3] == 0 for row in rows)
    assert lake.rows("max(pulled_at)", "metric_name = 'FEES_24H'") == [(midnight,)]


def test_the_key_is_nowhere_but_in_the_request(http: Http, lake: Lake) -> None:
    with vendor(in_turn(Reply(500, b"sesame-seed /pro/sesame-seed/"))) as server:
        found = source(http, server.url, key="sesame-seed")
        result = lake.run("pull", found, NOW, datasets=["protocol_tvl", "chain_fees"], keys=["lido-dao", "solana"])
    assert result.status == "error"
    lake.ledger.close()
    for file in lake.folder.rglob("*"):
        assert not file.is_file() or b"sesame-seed" not in file.read_bytes()
    assert "sesame" not in str(result)
    assert "sesame" not in str(lake.warehouse.query("SELECT * FROM pulls").rows())


def test_chains_and_protocols_are_told_apart_without_and_with_the_live_list(http: Http) -> None:
    with vendor(in_turn(Reply(200, json.dumps([{"name": "Lido", "gecko_id": None, "tvl": 1}]).encode()))) as server:
        found = source(http, server.url)
        assert len(found.keys("chain_tvl")) == 97
        assert len(found.keys("protocol_tvl")) == 226
        assert {"ronin", "stride", "babylon", "binancecoin"} <= set(found.keys("chain_tvl"))
        found.prepare(["chain_tvl"], "hour")
        assert set(found.keys("chain_tvl")) == {"lido-dao", "ronin", "stride", "babylon"}
        assert len(found.keys("protocol_tvl")) == 323 - 4


def test_datasets_that_need_a_key_say_so(http: Http) -> None:
    free, paid = source(http, "http://127.0.0.1:9"), source(http, "http://127.0.0.1:9", key="k")
    lacking = {one.name for one in free.datasets if not one.granted}
    assert lacking == {"chain_perps_volume", "protocol_derivatives_volume", "protocol_flows", "bridge_volume"}
    assert all(one.granted for one in paid.datasets)
    assert {one.name for one in free.datasets} == {question.dataset for question in QUESTIONS}
    assert [one.name for one in free.datasets if not one.history] == ["protocol_flows"]


ENTITIES = {
    "near": Entity("near", "NEAR", "near", "Chain"),
    "op": Entity("op", "Optimism Mainnet", "optimism-mainnet", "Chain"),
    "binancecoin": Entity("binancecoin", "Binance CEX", "binance-cex", "Chain"),
    "sharp": Entity("sharp", "Sharplink (treasury)", "sharplink-gaming-(treasury)", "RWA"),
    "ghost": Entity("ghost", "Ghost", "ghost", "Dexs"),
    "renamed": Entity("renamed", "Old Name", "old-name", "Dexs"),
}
CHAINS = [
    {"name": "Near", "gecko_id": "near", "tvl": 5.0},
    {"name": "BSC", "gecko_id": "binancecoin", "tvl": 9.5},
    {"name": "Binance", "gecko_id": "binancecoin", "tvl": 0},
    {"name": "Plume Mainnet", "gecko_id": "op", "tvl": 0},
]
PROTOCOLS = [
    {"id": "1", "slug": "sharplink-gaming-(treasury)", "name": "Sharplink", "tvl": 0.0, "gecko_id": None},
    {"id": "2", "slug": "new-name", "name": "New Name", "tvl": 7.25, "gecko_id": "renamed"},
]


def small_vendor(path: str, query: Query) -> Reply:
    """Two lists, and for anything else the path that was asked."""
    if path.endswith("/v2/chains"):
        return Reply(200, json.dumps(CHAINS).encode())
    if path.endswith("/protocols"):
        return Reply(200, json.dumps(PROTOCOLS).encode())
    if "/overview/fees" in path:
        if path.endswith("/fees"):
            return Reply(200, json.dumps({"protocols": [{"name": "x", "total24h": 1}], "allChains": ["Near"]}).encode())
        return Reply(500, b'"Internal server error"')
    if "/protocol/" in path:
        return Reply(200, b'{"tvl":[{"date":86400,"totalLiquidityUSD":0}]}')
    return Reply(400, b'"Protocol not found"')


def test_names_fall_back_and_the_choice_is_recorded(http: Http) -> None:
    with vendor(small_vendor) as server:
        found = source(http, server.url, entities=ENTITIES)
        found.prepare(["chain_tvl", "protocol_tvl"], "hour")
        near, bnb, op = (one(found, "chain_tvl", key) for key in ("near", "binancecoin", "op"))
        assert isinstance(near, Raw)
        assert near.request["matched_by"] == "slug"
        assert near.payload == json.dumps(CHAINS[0]).encode(), "the member's own bytes"
        assert isinstance(bnb, Raw)
        assert bnb.request["matched_by"] == "gecko_id"
        assert found.parse(bnb)[0]["value"] == 9.5, "of two chains with one gecko id the one with value locked"
        assert isinstance(op, Raw)
        assert found.parse(op)[0]["value"] == 0.0
        renamed = one(found, "protocol_tvl", "renamed")
        assert isinstance(renamed, Raw)
        assert renamed.request["matched_by"] == "gecko_id"
        ghost = one(found, "protocol_tvl", "ghost")
        assert isinstance(ghost, Miss)
        assert (ghost.state, ghost.reason) == ("gone", "not_listed")


def test_names_are_encoded_and_tried_in_turn(http: Http) -> None:
    with vendor(small_vendor) as server:
        found = source(http, server.url, entities=ENTITIES)
        one(found, "protocol_tvl", "sharp", DAY)
        one(found, "protocol_tvl", "renamed", DAY)
        assert server.asked[-2:] == [
            "/defillama/protocol/sharplink-gaming-%28treasury%29",
            "/defillama/protocol/new-name",
        ]
        found = source(http, server.url, entities={"x": Entity("x", "Some Chain", "some", "Chain"), **ENTITIES})
        one(found, "chain_tvl", "x", DAY)
        assert [path.rsplit("/", 1)[1] for path in server.asked[-3:]] == ["some", "Some%20Chain", "x"]


def test_a_chain_without_such_data_breaks_the_vendor_and_is_no_outage(http: Http) -> None:
    with vendor(small_vendor) as server:
        found = source(http, server.url, entities=ENTITIES)
        found.prepare(["chain_fees"], "hour")
        absent, broken = one(found, "chain_fees", "binancecoin"), one(found, "chain_fees", "near")
    assert isinstance(absent, Miss)
    assert (absent.state, absent.reason) == ("gone", "no_data")
    assert isinstance(broken, Miss)
    assert (broken.state, broken.reason) == ("failed", "unreachable"), "the list says that this chain has fees"


def test_402_holds_for_the_endpoint_and_the_run_only(http: Http) -> None:
    def reply(path: str, _query: Query) -> Reply:
        if "/overview/options" in path:
            return Reply(402, b"Upgrade to the paid API plan at https://defillama.com/subscription")
        return small_vendor(path, _query)

    with vendor(reply) as server:
        found = source(http, server.url, entities=ENTITIES)
        outcomes = [one(found, "chain_options_volume", key) for key in ("near", "binancecoin", "op")]
        assert [(o.state, o.reason) for o in outcomes if isinstance(o, Miss)] == [("failed", "entitlement")] * 3
        assert sum("/overview/options/" in path for path in server.paths()) == 1
        assert isinstance(one(found, "chain_tvl", "near"), Raw), "other endpoints are not affected"
        found.prepare(["chain_options_volume"], "hour")
        one(found, "chain_options_volume", "near")
        assert sum("/overview/options/" in path for path in server.paths()) == 2, "a new run asks again"


def test_a_refused_endpoint_is_no_failure_of_the_operation(http: Http, lake: Lake) -> None:
    def reply(path: str, query: Query) -> Reply:
        return Reply(402, b"Upgrade") if "dexs" in path else small_vendor(path, query)

    with vendor(reply) as server:
        bridge = {"hop-protocol": Entity("hop-protocol", "Hop", "hop", "Bridge")}
        found = source(http, server.url, entities={**ENTITIES, **bridge})
        result = lake.run("pull", found, NOW, datasets=["chain_tvl", "chain_dex_volume", "bridge_volume"])
    assert result.status == "success"
    assert result.needs_key == ("bridge_volume", "chain_dex_volume")
    assert result.collected.failed == 0
    assert lake.ledger.datasets_ending_in("entitlement") == {"chain_dex_volume"}


def test_bulk_answers_are_asked_once_by_many_threads(http: Http) -> None:
    with vendor(small_vendor) as server:
        found = source(http, server.url, entities=ENTITIES)
        barrier = threading.Barrier(8)
        outcomes: list[Raw | Miss] = []

        def work() -> None:
            barrier.wait()
            outcomes.append(one(found, "protocol_tvl", "sharp"))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 8
        assert server.paths().count("/defillama/protocols") == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"chains":[]}', "the list"),
        (b"[1,2]", "the list"),
        (json.dumps([{"name": "Near", "gecko_id": "near", "lockedValue": 5}]).encode(), "tvl"),
        (json.dumps([{"name": "Near", "gecko_id": "near", "tvl": "5"}]).encode(), "tvl (a number)"),
    ],
)
def test_a_changed_bulk_layout_is_said_and_its_raw_kept(http: Http, lake: Lake, body: bytes, field: str) -> None:
    with vendor(in_turn(Reply(200, body))) as server:
        found = source(http, server.url, entities={"near": ENTITIES["near"], "op": ENTITIES["op"]})
        result = lake.run("pull", found, NOW, datasets=["chain_tvl"], keys=["near"])
    assert result.status == "error"
    (entry,) = result.collected.failures
    assert entry.reason == "schema_drift"
    assert field in str(entry.error)
    kept = lake.bronze.read(entry.partition, "defillama")
    assert kept is not None
    assert kept.payload in body


def test_history_bodies_whose_fields_were_renamed(http: Http) -> None:
    for body, field in (
        (b'{"tvl":[{"date":86400,"usd":1}]}', "totalLiquidityUSD"),
        (b'{"chart":[]}', "tvl"),
        (b'{"tvl":[{"date":"yesterday","totalLiquidityUSD":1}]}', "date"),
        (b'{"tvl":[{"date":1700000000000,"totalLiquidityUSD":1}]}', "1970 to 2100"),
    ):
        raw = Raw(Partition("protocol_tvl", "lido-dao", DAY), "defillama", NOW, NOW, body)
        with pytest.raises(Skip, match="changed its format") as caught:
            source(http, "http://127.0.0.1:9").parse(raw)
        assert field in str(caught.value)


def test_values_that_are_no_values(http: Http) -> None:
    body = b'{"totalDataChart":[[86400,NaN],[172800,Infinity],[259200,1e37],[345600,null],[432000,0],[518400,-5]]}'
    raw = Raw(Partition("protocol_fees", "lido-dao", DAY), "defillama", NOW, NOW, body)
    assert [row["value"] for row in source(http, "http://127.0.0.1:9").parse(raw)] == [1e37, 0.0, -5.0]


def test_a_coin_gone_from_the_list_is_not_zero(http: Http) -> None:
    listed = {"peggedAssets": [{"id": "5", "circulating": {"peggedUSD": 3}}, {"id": "52", "circulating": 0}]}
    with vendor(in_turn(Reply(200, json.dumps(listed).encode()))) as server:
        found = source(http, server.url)
        dai, euro, gone = (one(found, "stablecoin_supply", key) for key in ("dai", "celo-euro", "usds"))
    assert isinstance(dai, Raw)
    assert found.parse(dai)[0]["value"] == 3.0
    assert isinstance(euro, Raw)
    assert found.parse(euro)[0]["value"] == 0.0
    assert isinstance(gone, Miss)
    assert gone.reason == "not_listed"


def test_bridges_are_halved_and_resolved_at_run_time(http: Http) -> None:
    def reply(path: str, query: Query) -> Reply:
        if path.endswith("/bridges"):
            return Reply(200, json.dumps({"bridges": [{"id": 9999, "name": "hop", "lastDailyVolume": 1}]}).encode())
        assert path == "/defillama_bridges/bridgevolume/all"
        assert query == {"id": "9999"}
        return Reply(
            200,
            b'[{"date":"86400","depositUSD":10,"withdrawUSD":5},{"date":"172800","depositUSD":null,"withdrawUSD":5}]',
        )

    with vendor(reply) as server:
        found = source(http, server.url)
        hop, none = one(found, "bridge_volume", "hop-protocol", DAY), one(found, "bridge_volume", "multichain", DAY)
    assert isinstance(hop, Raw)
    assert [row["value"] for row in found.parse(hop)] == [7.5]
    assert isinstance(none, Miss)
    assert none.reason == "not_listed"


@pytest.mark.parametrize(
    ("body", "reason"), [(Reply(402, b"Upgrade"), "entitlement"), (Reply(200, b"[1]"), "schema_drift")]
)
def test_a_list_of_bridges_that_did_not_come_is_not_an_unknown_bridge(http: Http, body: Reply, reason: str) -> None:
    with vendor(in_turn(body)) as server:
        outcome = one(source(http, server.url), "bridge_volume", "hop-protocol", DAY)
    assert isinstance(outcome, Miss)
    assert (outcome.state, outcome.reason) == ("failed", reason)


def test_an_error_in_disguise_of_a_bridge_answer(http: Http) -> None:
    listed = json.dumps({"bridges": [{"id": 13, "name": "hop", "lastDailyVolume": 1}]}).encode()
    disguised = Reply(200, b'{"statusCode":400,"body":"{\\"message\\":\\"invalid id\\"}"}')
    with vendor(in_turn(Reply(200, listed), disguised)) as server:
        outcome = one(source(http, server.url), "bridge_volume", "hop-protocol", DAY)
    assert isinstance(outcome, Miss)
    assert outcome.reason == "vendor_error"


def test_flows_ask_for_the_last_day_and_have_no_history(http: Http) -> None:
    def reply(path: str, query: Query) -> Reply:
        if path.endswith("/protocols"):
            return Reply(200, json.dumps([{"id": "1", "slug": "lido", "name": "Lido", "tvl": 1}]).encode())
        since = int((NOW - timedelta(days=1)).timestamp())
        assert path == f"/pro/k/api/inflows/lido/{since}"
        assert query == {"end": str(int(NOW.timestamp()))}
        return Reply(200, b'{"outflows":-12.5}', {"Content-Type": "text/plain; charset=utf-8"})

    with vendor(reply) as server:
        found = source(http, server.url, key="k")
        live, history = one(found, "protocol_flows", "lido-dao"), one(found, "protocol_flows", "lido-dao", DAY)
    assert isinstance(live, Raw)
    found_values = {row["metric_name"]: row["value"] for row in found.parse(live)}
    assert found_values == {"NET_FLOW": -12.5, "INFLOW": 0.0, "OUTFLOW": 12.5}
    assert isinstance(history, Miss)
    assert (history.state, history.reason) == ("gone", "no_history")


def test_every_watched_chain_is_found_by_the_names_the_vendor_uses(http: Http) -> None:
    listed = {chain.name: 1e9 + number for number, chain in enumerate(last_known_chains())}  # invented amounts
    body = [
        {"name": chain.name, "gecko_id": chain.gecko_id or None, "tvl": listed[chain.name]}
        for chain in last_known_chains()
    ]
    with vendor(in_turn(Reply(200, json.dumps(body).encode()))) as server:
        found = source(http, server.url)
        found.prepare(["chain_tvl"], "hour")
        outcomes = {key: one(found, "chain_tvl", key) for key in found.keys("chain_tvl")}
    for key, name in (("binancecoin", "BSC"), ("optimism", "OP Mainnet"), ("zksync", "ZKsync Era"), ("iota", "IOTA")):
        outcome = outcomes[key]
        assert isinstance(outcome, Raw)
        assert found.parse(outcome)[0]["value"] == listed[name]
    assert [key for key, outcome in outcomes.items() if isinstance(outcome, Miss)] == ["stride"]
