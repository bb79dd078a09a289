"""The vendors' watch lists, metric registry and entity map: what ships is whole, every mistake of a user's file is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryptolake.errors import BadInput
from cryptolake.registry.artemis import artemis_assets, key_of, labels
from cryptolake.registry.defillama import bridges, chain_keys, defillama_entities, last_known_chains
from cryptolake.registry.entities import entities, find_entity
from cryptolake.registry.metrics import meant_by, metrics, without_history
from cryptolake.registry.stablecoins import stablecoins


def test_the_universe_is_the_documented_one() -> None:
    watched = defillama_entities()
    chains = chain_keys(watched, last_known_chains())
    assert (len(watched), len(chains), len(watched) - len(chains)) == (323, 97, 226)
    assert {"ronin", "stride", "babylon"} <= chains
    assert len(stablecoins()) == 15, "the documented thirteen, tether and usd-coin"
    assert len(bridges()) == 13
    assert sum(1 for name in bridges().values() if name) == 9
    assert set(bridges()) <= set(watched)


def test_the_matrix_is_the_documented_one() -> None:
    assets = artemis_assets()
    pairs = [(one.asset, metric) for one in assets.values() for metric in one.metrics]
    assert (len(assets), len(pairs)) == (297, 3321)
    excluded = {"VOLATILITY_90D_ANN", "STABLECOIN_AVG_DAU", "TOKENIZED_SHARES_TRADING_VOLUME", "FDMV_NAV_RATIO"}
    assert not {metric for _, metric in pairs} & excluded
    assert assets["eq-coin"].category == "Equity"
    assert key_of("usd*") == "usd+star"
    assert labels()["price"] == "PRICE"


def test_every_metric_a_vendor_can_give_is_registered() -> None:
    known = metrics()
    assert {("artemis", metric) for one in artemis_assets().values() for metric in one.metrics} <= set(known)
    for (source, name), one in known.items():
        assert one.how, name
        assert (one.kind == "rolling_24h") <= (not one.history), f"{source} {name}: a rolling value cannot be refilled"
        assert name.endswith("_24H") <= (one.kind in {"rolling_24h", "last_day"}), name
    derived = {name for (source, name), one in known.items() if one.derived and one.kind != "excluded"}
    assert derived == {"EARNINGS", "INFLOW", "OUTFLOW", "BRIDGE_VOLUME"}
    assert {"INFLOW", "OUTFLOW", "FEES_24H", "BRIDGE_VOLUME_7D"} <= set(without_history("defillama"))
    assert without_history("artemis") == []


def test_a_concept_leads_to_every_vendors_name() -> None:
    assert meant_by("fees") == [("artemis", "FEES"), ("defillama", "CHAIN_FEES"), ("defillama", "FEES")]
    assert meant_by("CHAIN_FEES") == [("defillama", "CHAIN_FEES")]
    assert meant_by("TVL") == [("defillama", "CHAIN_TVL"), ("defillama", "TVL")]
    assert ("defillama", "CHAIN_FEES_24H") in meant_by("FEES_24H")
    assert meant_by("no such thing") == []


def test_the_entity_map_joins_the_vendors() -> None:
    assert find_entity("sol").ids() == {"defillama": "solana", "artemis": "sol", "coingecko": "solana"}
    assert find_entity("solana") is find_entity("SOL") is find_entity("Solana")
    assert find_entity("eth").entity == "ethereum"
    assert {one.defillama for one in entities().values() if one.defillama} == set(defillama_entities())
    assert set(artemis_assets()) <= {one.artemis for one in entities().values()}
    with pytest.raises(BadInput, match="solana"):
        find_entity("solanna")
    with pytest.raises(BadInput, match="cryptolake entities"):
        find_entity("zzzzzzzzzz")


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_users_list_replaces_the_shipped_one(tmp_path: Path) -> None:
    mine = write(tmp_path, '\ufeffname,slug,gecko_id,category\nLido,lido,lido-dao,Liquid Staking\n\n"A, B",,ab,Dexs\n')
    found = defillama_entities(mine)
    assert list(found) == ["ab", "lido-dao"]
    assert found["ab"].slug == "a,-b"
    matrix = write(tmp_path, "name,asset,category,Pull,Price,Fees,NEW_ONE\nX,x,App,1.0,1,0,1\nY,y,App,0,1,,\n")
    assets = artemis_assets(matrix)
    assert {name: set(one.metrics) for name, one in assets.items()} == {"x": {"PRICE", "NEW_ONE"}}


def test_every_fault_of_a_watch_list_is_named_with_its_line(tmp_path: Path) -> None:
    mine = write(
        tmp_path,
        "name,slug,gecko_id,category\nLido,lido,lido-dao,x\nLido,lido,lido-dao,x\nNo,,,x\nBad,s,a b,x\nshort,row\n,,only,x\n",
    )
    with pytest.raises(BadInput) as caught:
        defillama_entities(mine)
    message = str(caught.value)
    assert "5 faults" in message
    for words in (
        "line 3: lido-dao is listed twice",
        "line 4: neither",
        "line 5: 'a b'",
        "line 6: 2 cells",
        "line 7: only",
    ):
        assert words in message
    assert "\n" not in message


def test_every_fault_of_a_matrix_is_named_with_its_line(tmp_path: Path) -> None:
    mine = write(tmp_path, "name,asset,category,Pull,Price\nX,x,App,yes,1\nY,,App,1,1\nX,x,App,1,2\n")
    with pytest.raises(BadInput) as caught:
        artemis_assets(mine)
    message = str(caught.value)
    for words in (
        "line 2: Pull of x is 'yes'",
        "line 3: column asset is empty",
        "line 4: x is listed twice (also line 2)",
    ):
        assert words in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "column name, slug, gecko_id, category is missing"),
        ("name,slug\nx,y\n", "column gecko_id, category is missing"),
        ("name,slug,gecko_id,category,slug\n", "column slug stands there twice"),
    ],
)
def test_a_head_that_is_none(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        defillama_entities(write(tmp_path, text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        defillama_entities(tmp_path / "none.csv")
    binary = tmp_path / "b.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="UTF-8"):
        artemis_assets(binary)
