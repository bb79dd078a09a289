"""`cryptolake markets`: lists and shows without network; `check --live` tells right rows from wrong ones on a real node."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from tests.chain.anvil import Anvil
from tests.chain.fixtures import require_chain
from tests.chain.scenario import Fortnight
from tests.cli.walking import walk
from tests.command import widest
from tests.loopback import LoopbackServer
from tests.waiting import PATIENCE_S
from typer.testing import CliRunner

from cryptolake.cli import app
from cryptolake.errors import BadInput
from cryptolake.net.abi import checksum
from cryptolake.registry.loader import market_rows

RUN = CliRunner()
fortnight = pytest.mark.xdist_group("fortnight")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, code: int = 0) -> str:
    result = RUN.invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def document(*arguments: str, code: int = 0) -> Any:
    return orjson.loads(run(*arguments, code=code))


def test_the_list_has_every_market_and_says_what_is_not_built() -> None:
    text = run("markets")
    every = set(market_rows())
    assert f"{len(every)} of {len(every)} markets" in text
    assert "unsupported_family" in text
    assert widest(text) <= 100
    rows = {row["name"]: row for row in document("markets", "--json")}
    assert set(rows) == every
    assert rows["aave_v3_ethereum"]["built"] is True
    assert rows["aave_v4_ethereum"]["built"] is False


def test_flags_join(tmp_path: Path) -> None:
    found = document("markets", "--chain", "eth", "--family", "aave_v3", "--status", "verified", "--json")
    assert {(row["chain"], row["family"], row["status"]) for row in found} == {("ethereum", "aave_v3", "verified")}
    venus = document("markets", "--protocol", "venus", "--json")
    assert {row["protocol"] for row in venus} == {"venus"}
    assert f"0 of {len(market_rows())}" in run("markets", "--chain", "ink", "--family", "cap")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--status", "sure"], "known: verified"),
        (["--protocol", "avee"], "aave"),
        (["--family", "aave"], "aave_v3"),
        (["--chain", "etherium"], "ethereum"),
        (["--chain", "base", "check"], "after the subcommand"),
        (["show", "aave_v3_etherium"], "aave_v3_ethereum"),
        (["check", "--patch", "x.yaml"], "--live"),
    ],
)
def test_a_wrong_flag_names_what_is_right(flags: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        run("markets", *flags)


def test_one_market_with_its_sources() -> None:
    text = run("markets", "show", "gearbox_ethereum")
    for word in ("0x9ea7b04Da02a5373317D745c1571c84aaD03321D", "verified", "2023-12-17", "address_provider_v300"):
        assert word in text
    assert widest(text) <= 100
    row = document("markets", "show", "aave_v3_ethereum_lido", "--json")
    assert row["name"] == "aave_v3_ethereum_prime", "an alias leads to the market"
    assert row["sources"]


def test_offline_the_check_lists_what_rows_leave_open() -> None:
    found = document("markets", "check", "--status", "single-source", "--json")
    stated = {name for name, row in market_rows().items() if row.values.get("status") == "single-source"}
    assert {row["name"] for row in found} == stated
    text = run("markets", "check", "--status", "single-source")
    assert f"{len(stated)} rows leave something open, of {len(stated)}" in text


# -- live


def registry_file(folder: Path, node: Anvil, rows: list[dict[str, Any]]) -> str:
    file = folder / "mine.yaml"
    chain = {"chain_id": 31337, "multicall3": {"address": "0xcA11bde05977b3631167028862bE2a173976CA11", "block": 1}}
    file.write_text(yaml.safe_dump({"chains": {"local": chain}, "csus": rows}))
    return str(file)


def row_of(found: Fortnight, name: str = "mine", **more: Any) -> dict[str, Any]:
    market = found.market
    entry = {
        "pool": market.pool,
        "pool_addresses_provider": market.provider,
        "oracle": market.oracle,
        "protocol_data_provider": market.data_provider,
        "pool_configurator": market.configurator,
    }
    day = datetime.fromtimestamp(found.node.timestamp(market.deployed_block), UTC).date()
    row: dict[str, Any] = {
        "name": name,
        "family": "aave_v3",
        "chain": "local",
        "entry": {role: checksum(one) for role, one in entry.items()},
        "deployment": {"block": market.deployed_block, "date": str(day)},
        "sources": ["a test"],
        "status": "verified",
    }
    return row | more


@fortnight
@pytest.mark.chain
def test_a_true_row_is_confirmed(tmp_path: Path, aave_fortnight: Fortnight, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOLAKE_RPC_LOCAL", aave_fortnight.node.url)
    file = registry_file(tmp_path, aave_fortnight.node, [row_of(aave_fortnight)])
    (found,) = document("--registry", file, "markets", "check", "--live", "--csu", "mine", "--json")
    assert {one["verdict"] for one in found["findings"]} == {"confirmed"}
    assert found["settled"]
    assert {one["field"] for one in found["findings"]} >= {"entry.pool", "deployment.block", "pool.getReservesList()"}


@fortnight
@pytest.mark.chain
def test_a_row_made_wrong_is_found_and_corrected(
    tmp_path: Path, aave_fortnight: Fortnight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOLAKE_RPC_LOCAL", aave_fortnight.node.url)
    true = row_of(aave_fortnight)
    row = row_of(aave_fortnight, status="single-source", notes=["kept"])
    row["entry"] |= {
        "pool_addresses_provider": checksum(aave_fortnight.tokens["USDC"].asset),  # a contract, but another one
        "oracle": "0x000000000000000000000000000000000000dEaD",  # nothing there
        "protocol_data_provider": "resolve_on_chain:PoolAddressesProvider.getPoolDataProvider()",
    }
    row["deployment"] = {"block": true["deployment"]["block"] + 7, "date": None}
    file = registry_file(tmp_path, aave_fortnight.node, [row])
    flags = ("markets", "check", "--live", "--csu", "mine")
    text = run("--registry", file, *flags, "--patch", "fix.yaml", code=1)
    assert widest(text) <= 100
    (fixed,) = yaml.safe_load(Path("fix.yaml").read_text())["csus"]
    expected = true["entry"] | {"protocol_data_provider": row["entry"]["protocol_data_provider"]}
    assert fixed["entry"] == expected
    assert fixed["deployment"]["block"] == true["deployment"]["block"]
    assert str(fixed["deployment"]["date"]) == true["deployment"]["date"]
    assert "first block with code" in fixed["deployment"]["block_source"]
    assert fixed["notes"] == ["kept"]
    assert fixed["status"] == "single-source", "a row that was wrong is not promoted by the same check"

    file = registry_file(tmp_path, aave_fortnight.node, [fixed])
    run("--registry", file, *flags, "--patch", "again.yaml")
    (promoted,) = yaml.safe_load(Path("again.yaml").read_text())["csus"]
    assert promoted["status"] == "verified"
    assert "checked on chain at block" in promoted["sources"][-1]
    run("--registry", registry_file(tmp_path, aave_fortnight.node, [promoted]), *flags, "--patch", "none.yaml")
    assert yaml.safe_load(Path("none.yaml").read_text())["csus"] == []


@fortnight
@pytest.mark.chain
def test_the_step_after_a_live_check_writes_the_corrections_it_names(tmp_path: Path, aave_fortnight: Fortnight) -> None:
    row = row_of(aave_fortnight)
    right = row["deployment"]["block"]
    row["deployment"] = {"block": right + 7, "date": None}
    file, variables = (
        registry_file(tmp_path, aave_fortnight.node, [row]),
        {"CRYPTOLAKE_RPC_LOCAL": aave_fortnight.node.url},
    )
    done = walk(tmp_path, ("--registry", file, "markets", "check", "--live", "--csu", "mine"), variables)
    assert "markets._print_checked: markets check --live --patch corrections.yaml" in done.reached, done
    ((_, *step),) = done.steps
    again = walk(tmp_path, step, variables)
    assert again.code == done.code == 1, "the row is wrong until it is corrected"
    (fixed,) = yaml.safe_load((tmp_path / "corrections.yaml").read_text())["csus"]
    assert (fixed["name"], fixed["deployment"]["block"]) == ("mine", right)


@fortnight
@pytest.mark.chain
def test_a_wrong_identifying_contract_needs_a_person(
    tmp_path: Path, aave_fortnight: Fortnight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOLAKE_RPC_LOCAL", aave_fortnight.node.url)
    row = row_of(aave_fortnight)
    row["entry"]["pool"] = checksum(aave_fortnight.tokens["WBTC"].asset)
    file = registry_file(tmp_path, aave_fortnight.node, [row])
    (found,) = document("--registry", file, "markets", "check", "--live", "--csu", "mine", "--json", code=1)
    wrong = {one["field"]: one for one in found["findings"] if one["verdict"] == "wrong"}
    assert wrong["pool.getReservesList()"]["found"] == "reverted"
    assert wrong["pool_addresses_provider.getPool()"]["found"] == checksum(aave_fortnight.market.pool)
    assert all(one["correction"] is None for name, one in wrong.items() if not name.startswith("deployment"))


@pytest.mark.chain
def test_an_account_with_delegated_code_is_no_contract(anvil: Anvil, tmp_path: Path, monkeypatch: Any) -> None:
    require_chain()
    anvil.empty_blocks(3, 12)
    pool = "0x1111111111111111111111111111111111111111"
    anvil.rpc("anvil_setCode", pool, "0xef0100" + "22" * 20)
    monkeypatch.setenv("CRYPTOLAKE_RPC_LOCAL", anvil.url)
    row = {"name": "mine", "family": "aave_v3", "chain": "local", "entry": {"pool": pool}, "sandbox": True}
    file = registry_file(tmp_path, anvil, [row])
    (found,) = document("--registry", file, "markets", "check", "--live", "--csu", "mine", "--json", code=1)
    assert [(one["field"], one["found"]) for one in found["findings"]] == [("entry.pool", "no contract")]


@contextmanager
def forgetful(node: Anvil, oldest: int) -> Iterator[str]:
    """A real HTTP endpoint in front of the node that has no state before block `oldest`, as a pruned node."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            asked = json.loads(body)
            lost = [
                one
                for one in (asked if isinstance(asked, list) else [asked])
                if one["method"] == "eth_getCode" and int(one["params"][1], 16) < oldest
            ]
            if lost:
                error = {"code": -32000, "message": "missing trie node: historical state is not available"}
                answers = [{"jsonrpc": "2.0", "id": one["id"], "error": error} for one in lost]
                content = json.dumps(answers if isinstance(asked, list) else answers[0]).encode()
            else:
                upstream = http.client.HTTPConnection("127.0.0.1", node.port, timeout=PATIENCE_S)
                upstream.request("POST", "/", body, {"Content-Type": "application/json"})
                content = upstream.getresponse().read()
                upstream.close()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None: ...

    server = LoopbackServer(Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@fortnight
@pytest.mark.chain
def test_without_archive_the_birth_is_unknown(
    tmp_path: Path, aave_fortnight: Fortnight, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = registry_file(tmp_path, aave_fortnight.node, [row_of(aave_fortnight, deployment={"block": 3, "date": None})])
    with forgetful(aave_fortnight.node, aave_fortnight.node.number() - 40) as url:
        monkeypatch.setenv("CRYPTOLAKE_RPC_LOCAL", url)
        (found,) = document("--registry", file, "markets", "check", "--live", "--csu", "mine", "--json", code=1)
    assert found["settled"], "what could be asked was confirmed"
    (unknown,) = [one for one in found["findings"] if one["verdict"] != "confirmed"]
    assert unknown["field"] == "deployment.block"
    assert "archive" in unknown["found"]


def test_an_endpoint_that_is_down_confirms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYPTOLAKE_RPC_INK", "http://127.0.0.1:9/v2/secretkey123")
    text = run("markets", "check", "--live", "--chain", "ink", "--json", code=1)
    assert "secretkey123" not in text
    assert all(one["block"] is None and not one["settled"] for one in orjson.loads(text))
