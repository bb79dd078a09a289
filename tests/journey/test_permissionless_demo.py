"""The demo's invented permissionless market: what the list names is left out, nothing is hidden, every figure is opened."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from cryptolake.app import App
from cryptolake.demo import permissionless
from cryptolake.demo.journey import FIRST
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.gold.flagged_markets import TABLE as FLAGGED
from cryptolake.settings import load_settings
from cryptolake.silver.tvl import TABLE as TVL
from cryptolake.work.permissionless_demo import fill
from cryptolake.work.why import why


def test_a_newcomer_sees_what_is_left_out_and_whose_price_it_is(tmp_path: Path) -> None:
    registry = tmp_path / "registry.yaml"
    registry.write_text(permissionless.registry())
    app = App(load_settings(data=tmp_path / "data", registry=registry))
    try:
        app.prepare()
        fill(app, [FIRST, FIRST + timedelta(days=1)])
        panel, held = app.tables.read(DAILY_PANEL), app.tables.read(TVL)
        assert set(panel["status"]) == {"ok"}
        assert (panel["unfiltered_tvl_usd"] > 10 * panel["total_tvl_usd"]).all()
        assert panel["excluded"].str.starts_with("self_dealt:").all()
        (toy,) = app.tables.read(FLAGGED).filter(pl.col("excluded").is_not_null())["collateral_symbol"].unique()
        sources = dict(held.select("symbol", "price_source").unique().iter_rows())
        assert (sources["INVENTED-USD"], sources["INVENTED-NEW"], sources[toy]) == ("file", *["protocol_oracle"] * 2)
        assert held.filter(pl.col("own_price").is_not_null())["collateral_own_usd"].sum() > 0
        assert all(symbol.startswith("INVENTED-") for symbol in held["symbol"])
        csu = app.registry.csu(permissionless.CSU)
        for column, dtype in DAILY_PANEL.polars_schema().items():
            if dtype.is_numeric():
                found = why(app, csu, FIRST, column)
                assert found.value is None or found.adds_up == pytest.approx(found.value, rel=1e-12), column
        assert sum(term.left_out > 0 for term in why(app, csu, FIRST, "total_tvl_usd").terms) == 2
    finally:
        app.close()
