"""An endpoint that leaves out liquidations, from collecting to the panel and the repair, as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
from tests.command import cryptolake
from tests.hostile.liars import Liar, honest, nothing

from cryptolake.demo.replay import Replay, sandbox_registry

SPAN = ("--csu", "aave_v3_sandbox", "--start-date", "2024-12-01", "--end-date", "2024-12-14")


def test_a_day_that_somebody_contradicts_is_suspect_everywhere_until_it_is_repaired(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with (
        Replay() as replay,
        Liar(replay.rpc_url, nothing) as liar,
        Liar(replay.rpc_url, honest) as other,
        Liar(replay.rpc_url, honest) as third,
    ):
        common = {"CRYPTOLAKE_REGISTRY": str(sandbox_registry()), "CRYPTOLAKE_DATA": str(data)}
        operators = {f"sandbox-own-{number}": {"operator": f"operator-{number}"} for number in (1, 2)}
        both = {
            **common,
            "CRYPTOLAKE_RPC_SANDBOX": f"{liar.url},{other.url}",
            "CRYPTOLAKE_ENDPOINTS": json.dumps(operators),
        }
        ended = cryptolake(tmp_path, "run", *SPAN, **both)
        assert ended.returncode == 0, ended.stderr
        panel = pl.read_parquet(data / "gold" / "daily_panel.parquet")
        doubted = panel.filter(pl.col("liquidations_status") == "suspect")
        assert doubted.height
        assert panel.filter((pl.col("liquidations_status") == "ok") & (pl.col("liquidation_count") > 0)).is_empty()
        verified = cryptolake(tmp_path, "verify", *SPAN, "--json", **both)
        assert verified.returncode == 1
        document = json.loads(verified.stdout)
        assert document["counts"]["suspect"] == doubted.height
        assert document["grades"]["two_voices"] == panel.height
        again = cryptolake(tmp_path, "plan", *SPAN, "--json", **both)
        assert json.loads(again.stdout)["missing"] == doubted.height
        alone = {**common, "CRYPTOLAKE_RPC_SANDBOX": other.url}
        doubtful = cryptolake(tmp_path, "verify", *SPAN, "--repair", "--json", **alone)
        assert doubtful.returncode == 1, "the silence of the other one settles nothing"
        assert json.loads(doubtful.stdout)["counts"]["suspect"] == doubted.height
        assert "CRYPTOLAKE_RPC_SANDBOX" in cryptolake(tmp_path, "verify", *SPAN, **alone).stdout
        trusted = {
            **common,
            "CRYPTOLAKE_RPC_SANDBOX": f"{third.url},{other.url}",
            "CRYPTOLAKE_ENDPOINTS": json.dumps(operators),
        }
        repaired = cryptolake(tmp_path, "verify", *SPAN, "--repair", "--json", **trusted)
        assert repaired.returncode == 0, repaired.stderr
        assert json.loads(repaired.stdout)["counts"] == {
            "complete": 2 * panel.height,
            "suspect": 0,
            "gap": 0,
        }  # snapshots too
        assert cryptolake(tmp_path, "run", *SPAN, **alone).returncode == 0
        mended = pl.read_parquet(data / "gold" / "daily_panel.parquet")
        assert not set(mended["liquidations_status"]) - {"ok", "missing_price"}, mended["liquidations_status"].to_list()
        same = ("csu", "date", "liquidations_usd", "liquidation_count")
        assert mended.select(same).equals(panel.select(same))  # the numbers that stood were the fullest there were
        proven = cryptolake(tmp_path, "verify", *SPAN, "--min-grade", "two_voices", **alone)
        assert proven.returncode == 0, "what two bore out stays so whoever is configured later"
        weak = cryptolake(tmp_path, "verify", *SPAN, "--min-grade", "receipts", **alone)
        assert weak.returncode == 1
        assert "run `cryptolake collect --grade receipts`" in weak.stdout
