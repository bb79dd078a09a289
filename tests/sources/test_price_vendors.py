"""Price vendors over real HTTP: nearest point, silence about unknown tokens, refusals, and a user's own file."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
from tests.loopback import LoopbackServer

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Source
from cryptolake.errors import Skip
from cryptolake.lake.bronze import Bronze
from cryptolake.net.access import Access
from cryptolake.net.conversation import Patience
from cryptolake.net.gates import Gates
from cryptolake.net.http import Http
from cryptolake.registry.coingecko import PRO
from cryptolake.registry.loader import load_registry
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.sources.coingecko.prices import PLATFORMS, CoinGeckoPrices
from cryptolake.sources.defillama.prices import DefiLlamaPrices
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.price_file import PriceFile, landed

AT = int(datetime(2024, 12, 31, 23, 59, 47, tzinfo=UTC).timestamp())
USDC, ODD = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", "0x000000000000000000000000000000000000dEaD"
CHAINS = load_registry(declared()).chains


def day(number: int, key: str = "ethereum", dataset: str = "defillama_prices") -> Partition:
    return Partition(dataset, key, Period.of_day(date(2024, 12, number)))


@dataclass
class Vendor:
    """A real server: `reply` makes (status, body) of path and query; what was asked and every wait is kept."""

    url: str = ""
    reply: Callable[[str, dict[str, list[str]]], tuple[int, object]] = lambda _path, _query: (200, {})
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def access(self) -> Access:
        """All hosts at this server; waits are written down, not waited."""
        hosts = dict.fromkeys(("defillama", "defillama_coins", "coingecko"), self.url)
        return Access(Http(), hosts, gates=Gates(clock=lambda: 0.0, sleep=self.waits.append))

    @property
    def patience(self) -> Patience:
        return Patience(sleep=self.waits.append, jitter=lambda: 0.5)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    found, lock = Vendor(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            with lock:
                found.asked.append((parts.path, parse_qs(parts.query)))
                found.headers.append(dict(self.headers))
                status, body = found.reply(parts.path, parse_qs(parts.query))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = LoopbackServer(Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()


def answers(source: Source, partitions: list[Partition]) -> dict[Partition, Raw | Miss]:
    return {one.partition: one for trip in source.trips(partitions) for one in source.fetch(trip)}


def rows(source: Source, answer: Raw | Miss) -> list[dict[str, object]]:
    assert isinstance(answer, Raw), answer
    frame = pl.DataFrame(list(source.parse(answer)), schema=QUOTES.polars_schema(), strict=False)
    assert QUOTES.violations(frame) == []
    return frame.to_dicts()


def test_defillama_takes_the_nearest_point_and_keeps_what_was_not_answered(vendor: Vendor) -> None:
    points = [
        {"timestamp": AT - 500, "price": 0.998, "confidence": 0.99},
        {"timestamp": AT + 120, "price": 1.001, "confidence": 0.99},
        {"timestamp": AT - 90_000, "price": 0.5},
    ]
    vendor.reply = lambda _path, _query: (200, {"coins": {f"ethereum:{USDC}": {"symbol": "USDC", "prices": points}}})
    wanted = {day(31): {USDC: AT, ODD: AT}, day(30): {USDC: AT - 86_400}}
    source = DefiLlamaPrices(vendor.access, CHAINS, wanted, patience=vendor.patience)
    found = answers(source, list(wanted))
    (row,) = rows(source, found[day(31)])
    assert (row["quote_price"], row["age_s"], row["asset"]) == (1.001, -120.0, USDC)
    (row,) = rows(source, found[day(30)])
    assert (row["quote_price"], row["age_s"]) == (0.5, 3_600.0)
    answer = found[day(31)]
    assert isinstance(answer, Raw)
    assert json.loads(answer.payload)["asked"] == {USDC: AT, ODD: AT}
    (question,) = [json.loads(query["coins"][0]) for _, query in vendor.asked]
    assert question == {f"ethereum:{USDC}": [AT - 86_400, AT], f"ethereum:{ODD}": [AT]}


def test_defillama_points_too_far_or_not_trusted_are_none(vendor: Vendor) -> None:
    near = {"timestamp": AT, "price": 2.0, "confidence": 0.3}
    far = {"timestamp": AT - 14_401, "price": 2.0}
    body = {"coins": {f"ethereum:{USDC}": {"prices": [near]}, f"ethereum:{ODD}": {"prices": [far]}}}
    vendor.reply = lambda _path, _query: (200, body)
    wanted = {day(31): {USDC: AT, ODD: AT}}
    source = DefiLlamaPrices(vendor.access, CHAINS, wanted, patience=vendor.patience)
    assert rows(source, answers(source, list(wanted))[day(31)]) == []


def test_defillama_questions_fit_a_line_and_cover_every_token_once(vendor: Vendor) -> None:
    vendor.reply = lambda _path, query: (
        200,
        {
            "coins": {
                n: {"prices": [{"timestamp": t, "price": 1.0} for t in ts]}
                for n, ts in json.loads(query["coins"][0]).items()
            }
        },
    )
    tokens = {f"0x{number:040x}": AT for number in range(300)}
    wanted = {day(number): tokens for number in range(1, 14)}
    source = DefiLlamaPrices(vendor.access, CHAINS, wanted, patience=vendor.patience)
    found = answers(source, list(wanted))
    assert all(len(rows(source, answer)) == 300 for answer in found.values())
    assert all(len(query["coins"][0]) < 6_000 for _, query in vendor.asked)
    assert len(list(source.trips(list(wanted)))) == 2


def test_an_unknown_chain_is_gone_and_nobody_is_asked(vendor: Vendor) -> None:
    wanted = {day(31, "nowhere"): {USDC: AT}}
    source = DefiLlamaPrices(vendor.access, CHAINS, wanted, patience=vendor.patience)
    (miss,) = answers(source, list(wanted)).values()
    assert isinstance(miss, Miss)
    assert (miss.state, miss.reason) == ("gone", "unknown_entity")
    assert vendor.asked == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_trouble_is_asked_again_and_a_bad_key_is_not(vendor: Vendor, status: int) -> None:
    states = [status, status, 200]
    vendor.reply = lambda _path, _query: (states.pop(0), {"coins": {}})
    wanted = {day(31): {USDC: AT}}
    source = DefiLlamaPrices(vendor.access, CHAINS, wanted, patience=vendor.patience)
    assert rows(source, answers(source, list(wanted))[day(31)]) == []
    assert len(vendor.asked) == 3
    assert len(vendor.waits) >= 2
    for reply, reason in (
        ((401, {}), "refused"),
        ((200, b"<html>busy</html>"), "unreadable"),
        ((200, {"x": 1}), "schema_drift"),
    ):
        vendor.reply = lambda _path, _query, reply=reply: reply  # type: ignore[misc]
        (miss,) = answers(source, list(wanted)).values()
        assert isinstance(miss, Miss)
        assert (miss.state, miss.reason) == ("failed", reason)


def test_coingecko_reads_a_range_per_token_and_knows_what_it_does_not_know(vendor: Vendor) -> None:
    def reply(path: str, _query: object) -> tuple[int, object]:
        if ODD.lower() in path:
            return 404, {"error": "coin not found"}
        return 200, {"prices": [[AT * 1000 - 1_800_000, 1.01], [AT * 1000 + 3_000_000, 0.9], [AT * 1000, None]]}

    vendor.reply = reply
    wanted = {day(31, dataset="coingecko_prices"): {USDC: AT, ODD: AT}}
    source = CoinGeckoPrices(vendor.access, wanted, patience=vendor.patience)
    (row,) = rows(source, answers(source, list(wanted))[next(iter(wanted))])
    assert (row["quote_price"], row["age_s"]) == (1.01, 1_800.0)
    path, query = next((p, q) for p, q in vendor.asked if USDC.lower() in p)
    assert path == f"/coins/ethereum/contract/{USDC.lower()}/market_chart/range"
    assert query == {"vs_currency": ["usd"], "from": [str(AT - 14_400)], "to": [str(AT + 14_400)]}


@pytest.mark.parametrize(
    ("name", "header"),
    [("COINGECKO_DEMO_API_KEY", "x-cg-demo-api-key"), ("COINGECKO_PRO_API_KEY", "x-cg-pro-api-key")],
)
def test_a_coingecko_key_goes_into_its_header_and_never_into_the_address(
    vendor: Vendor, name: str, header: str
) -> None:
    vendor.reply = lambda _path, _query: (200, {"prices": []})
    secrets = {"COINGECKO_DEMO_API_KEY": "CG-demo", name: "CG-secret"}
    wanted = {day(31, dataset="coingecko_prices"): {USDC: AT}}
    answers(CoinGeckoPrices(replace(vendor.access, secrets=secrets), wanted), list(wanted))
    assert {{k.lower(): v for k, v in one.items()}[header] for one in vendor.headers} == {"CG-secret"}
    assert "secret" not in str(vendor.asked)


def test_a_pro_key_has_its_own_host() -> None:
    asked = CoinGeckoPrices(Access(Http(), secrets={"COINGECKO_PRO_API_KEY": "CG-secret"}), {})
    assert asked._asking.url == PRO.url


def test_a_defillama_key_stands_in_the_path_of_the_paid_host_and_nowhere_else(vendor: Vendor) -> None:
    vendor.reply = lambda _path, _query: (200, {"coins": {}})
    wanted = {day(31): {USDC: AT}}
    access = replace(vendor.access, urls={"defillama_pro": vendor.url}, secrets={"DEFILLAMA_API_KEY": "a secret"})
    (answer,) = answers(DefiLlamaPrices(access, CHAINS, wanted), list(wanted)).values()
    assert [path for path, _ in vendor.asked] == ["/a%20secret/coins/batchHistorical"]
    assert isinstance(answer, Raw)
    assert "secret" not in f"{answer.request} {answer.provenance}"
    assert answer.provenance["endpoint"] == "defillama_pro"


def test_a_key_is_not_sent_to_an_address_of_the_users_own(vendor: Vendor) -> None:
    vendor.reply = lambda _path, _query: (200, {"coins": {}})
    wanted = {day(31): {USDC: AT}}
    access = replace(vendor.access, secrets={"DEFILLAMA_API_KEY": "a secret"})
    answers(DefiLlamaPrices(access, CHAINS, wanted), list(wanted))
    assert [path for path, _ in vendor.asked] == ["/batchHistorical"]


def test_every_platform_belongs_to_one_chain_of_the_registry() -> None:
    assert set(PLATFORMS) <= set(CHAINS)
    assert len(set(PLATFORMS.values())) == len(PLATFORMS)


def test_a_documented_answer_of_the_coins_host_is_read() -> None:
    coins = [
        {"decimals": 8, "symbol": "WBTC", "price": 92_000.25, "timestamp": AT, "confidence": 0.99},
        {"decimals": 18, "symbol": "ODD", "price": 1.5, "timestamp": AT - 60, "confidence": 0.3},
        {"symbol": "OLD", "price": 0.25, "timestamp": AT - 120},
    ]  # the vendor's fields; the numbers are invented
    payload = {
        "asked": {f"0x{n:040x}": coin["timestamp"] for n, coin in enumerate(coins)},
        "points": {f"0x{n:040x}": coin for n, coin in enumerate(coins)},
    }
    at = datetime(2024, 12, 31, tzinfo=UTC)
    raw = Raw(day(31), "defillama_prices", at, at, json.dumps(payload).encode())
    read = rows(DefiLlamaPrices(Access(Http()), CHAINS, {}), raw)
    trusted = [coin for coin in coins if coin.get("confidence") is None or coin["confidence"] >= 0.5]
    assert [row["quote_price"] for row in read] == [coin["price"] for coin in trusted]


GOOD = "date,chain,asset,price,time\n2024-12-31,ethereum,0x000000000000000000000000000000000000dead,1.5,2024-12-31T22:00:00Z\n"


def _in(quote: str) -> str:
    """The good file with a column for what its price is in."""
    head, line, *_ = GOOD.splitlines()
    return f"{head},quote\n{line},{quote}\n"


def test_a_users_file_is_read() -> None:
    raw = landed("mine.csv", GOOD.encode("utf-8-sig"), "mine", datetime(2025, 1, 2, tzinfo=UTC))
    (row,) = rows(PriceFile(("ethereum",)), raw)
    assert (row["asset"], row["age_s"], row["quoted_by"], row["quote"]) == (ODD, 7_200.0, "mine.csv", "usd")
    (later,) = rows(
        PriceFile(("ethereum",)), landed("mine.csv", GOOD.encode(), "mine", datetime(2025, 1, 3, tzinfo=UTC))
    )
    assert float(str(later["weight"])) > float(str(row["weight"])), "of two imports the later one counts"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "column date, chain, asset, price is missing"),
        ("day,chain,asset,price\n", "column date is missing"),
        (GOOD.replace("time\n", "price\n"), "stands there twice"),
        (GOOD.partition("\n")[0], "no line with a price"),
        (GOOD.replace("1.5", "-1"), "mine.csv, line 2.*no price"),
        (GOOD.replace("1.5", "nan"), "mine.csv, line 2.*no price"),
        (GOOD.replace("1.5", "3.000,5"), "mine.csv, line 2: 6 cells where the head has 5"),
        (GOOD.replace(",2024-12-31T22:00:00Z", ""), "mine.csv, line 2: 4 cells"),
        (GOOD.replace("1.5", '"3.000,5"'), "mine.csv, line 2.*3.000,5"),
        (GOOD.replace("Z\n", "\n"), "mine.csv, line 2.*no zone"),
        (GOOD.replace("2024-12-31,", "31.12.2024,"), "mine.csv, line 2"),
        (GOOD.replace("2024-12-31,", "2025-01-03,"), "mine.csv, line 2.*future"),
        (GOOD.replace("2024-12-31T", "2025-12-31T"), "mine.csv, line 2.*future"),
        (GOOD.replace("dead,", "xyz,"), "mine.csv, line 2"),
        (GOOD.replace("ethereum", "etherium"), "mine.csv, line 2: unknown chain 'etherium'"),
        (GOOD.replace("ethereum", "any"), "mine.csv, line 2.*eth, btc"),
        (GOOD.replace(ODD.lower(), "eth"), "mine.csv, line 2.*address of ethereum"),
        (GOOD + "\n" + GOOD.splitlines()[1].replace("1.5", "1.6"), "mine.csv, line 4: .* line 2 of the same token"),
        (_in("eur"), "mine.csv, line 2: 'eur'.*usd, eth, btc"),
        (_in(ODD), "mine.csv, line 2.*in itself"),
        (_in("eth").replace(f"ethereum,{ODD.lower()}", "any,eth"), "mine.csv, line 2.*in itself"),
        (_in(ODD).replace("ethereum", "any"), "mine.csv, line 2"),
    ],
)
def test_a_faulty_file_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(Skip, match=words):
        PriceFile(("ethereum",)).parse(landed("mine.csv", text.encode(), "mine", datetime(2025, 1, 2, tzinfo=UTC)))


def test_a_line_that_stands_there_twice_counts_once() -> None:
    text = GOOD + GOOD.splitlines()[1]
    assert (
        len(PriceFile(("ethereum",)).parse(landed("mine.csv", text.encode(), "mine", datetime(2025, 1, 2, tzinfo=UTC))))
        == 1
    )


@pytest.mark.parametrize("quote", ["usd", "USD", "eth", "btc", "0x" + "0" * 40])
def test_what_a_price_may_be_in(quote: str) -> None:
    (row,) = PriceFile(("ethereum",)).parse(
        landed("mine.csv", _in(quote).encode(), "mine", datetime(2025, 1, 2, tzinfo=UTC))
    )
    assert row["quote"] == quote.lower()


AS_ROWS = [
    {"day": date(2024, 12, 31), "network": "ethereum", "asset": ODD.lower(), "close": 1.5, "price": 9.0, "time": None}
]
OTHERWISE = {"date": "day", "chain": "network", "price": "close"}


def _written(kind: str, rows: list[dict[str, Any]]) -> bytes:
    frame = pl.DataFrame(rows)
    into = io.BytesIO()
    match kind:
        case "csv":
            frame.write_csv(into)
        case "json":
            frame.write_json(into)
        case "lines":
            frame.write_ndjson(into)
        case _:
            frame.write_parquet(into)
    return into.getvalue()


@pytest.mark.parametrize("kind", ["csv", "json", "lines", "parquet"])
def test_a_file_of_any_kind_with_names_of_its_own_is_read(kind: str, tmp_path: Path) -> None:
    """A column that is named for ours stands for it, also where another bears our name; a day may come as an instant."""
    for day_as in (date(2024, 12, 31), *([datetime(2024, 12, 31)] if kind == "parquet" else [])):
        content = _written(kind, [{**AS_ROWS[0], "day": day_as}])
        raw = landed("mine", content, "mine", datetime(2025, 1, 2, tzinfo=UTC), OTHERWISE)
        bronze = Bronze(tmp_path / str(day_as.hour if isinstance(day_as, datetime) else "day"))
        bronze.land(raw)
        kept = bronze.read(raw.partition, PriceFile.name)
        assert kept is not None
        assert kept.payload.endswith(content), "the file's own bytes are kept"
        (row,) = rows(PriceFile(("ethereum",)), kept)
        assert (row["date"], row["asset"], row["quote_price"], row["age_s"]) == (date(2024, 12, 31), ODD, 1.5, 0.0)
        plain = landed("mine", content, "mine", datetime(2025, 1, 2, tzinfo=UTC))
        assert plain.digest != raw.digest, "the same file read otherwise is another answer"


@pytest.mark.parametrize("kind", ["csv", "json", "lines", "parquet"])
def test_every_faulty_row_of_any_kind_is_named(kind: str) -> None:
    many = [{**AS_ROWS[0], "close": -1.0, "asset": f"0x{number:040x}"} for number in range(1, 31)]
    with pytest.raises(Skip, match=r"30 faults: mine, (line|row) [12]: .*and 10 more") as told:
        PriceFile(("ethereum",)).parse(
            landed("mine", _written(kind, many), "mine", datetime(2025, 1, 2, tzinfo=UTC), OTHERWISE)
        )
    assert "no price" in str(told.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PAR1 and no more", "no whole Parquet file"),
        (b"\xff\xfe\x00", "neither Parquet nor UTF-8"),
        (b"[1, 2]", "mine, row 1: no object"),
        (b'{"date": "2024-12-31"}\n{"date"\n', "nor is its line 2 alone"),
        (b'[{"date": "2024-12-31"}]', "mine, row 1: column chain, asset, price is missing"),
        (
            b'[{"date": "2024-12-31", "chain": "ethereum", "asset": "0x1", "price": true}]',
            "mine, row 1: True is no number",
        ),
        (b'[{"date": "2024-12-31", "chain": "ethereum", "asset": [], "price": 1}]', "mine, row 1: .* is no number"),
        (b"[]", "no line with a price"),
    ],
)
def test_what_is_no_table_is_refused_in_a_line(content: bytes, words: str) -> None:
    with pytest.raises(Skip, match=words):
        PriceFile(("ethereum",)).parse(landed("mine", content, "mine", datetime(2025, 1, 2, tzinfo=UTC)))
