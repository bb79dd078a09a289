"""Liquidations collected from an archive are those collected from a node, row by row; the certificate names who gave them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta

import orjson
import pytest
from tests.chain.collecting import answers
from tests.chain.scenario import Fortnight
from tests.net.archive import Archive, portal

from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Row
from cryptolake.net.abi import checksum
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.source import OnchainSource

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
DAYS = [date(2024, 12, 1) + timedelta(days=number) for number in range(12)]


def rows_and_voices(fortnight: Fortnight, *endpoints: Endpoint) -> tuple[dict[date, list[Row]], set[str]]:
    """The rows of the days, and who answered their windows."""
    entry = {"pool": checksum(fortnight.market.pool)}
    csu = Csu("local", "aave_v3", "aave", "3", "local", 31337, entry, deployed_block=1)
    chain = Chain("local", 31337, multicall3_address="0xcA11bde05977b3631167028862bE2a173976CA11", multicall3_block=0)
    rows, voices = dict[date, list[Row]](), set[str]()
    with closing(Http()) as http:
        pool = Pool("local", 31337, endpoints, http)
        source = OnchainSource(registry=Registry({csu.name: csu}, {"local": chain}), csus=[csu], pools=lambda _: pool)
        for raw in answers(source, "liquidations", *DAYS):
            assert isinstance(raw, Raw), raw
            rows[raw.partition.period.day] = list(source.parse(raw))
            voices |= {name for _, _, name, _ in orjson.loads(raw.payload)["certificate"]["windows"]}
    return rows, voices


@pytest.mark.parametrize("part", [3, 10**6])
def test_the_rows_are_the_same(aave_fortnight: Fortnight, part: int) -> None:
    node = Endpoint("node", SecretUrl(aave_fortnight.node.url), Limits(rate=10_000))
    archive = Archive(lambda method, params: aave_fortnight.node.rpc(method, *params), part=part)
    with portal(archive) as address:
        limits = Limits(rate=10_000, log_span=1_000_000, max_batch=1)
        beside = Endpoint("archive", SecretUrl(f"{address}/testnet"), limits, provider="sqd", dataset_of=31337)
        narrow = replace(
            node, limits=Limits(rate=10_000, log_span=3, most_blocks=3)
        )  # so that the archive is worth asking
        by_archive, voices = rows_and_voices(aave_fortnight, beside, narrow)
    by_node, _ = rows_and_voices(aave_fortnight, node)
    assert by_archive == by_node
    assert any(by_node.values())
    assert "archive" in voices
