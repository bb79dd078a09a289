"""Collects from a local node as a user's run does: the whole on-chain source over a pool with one endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Row
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.source import OnchainSource

from .anvil import MULTICALL3, Anvil
from .scenario import LiquidationTruth


def source_on(node: Anvil, family: str, entry: Mapping[str, str], numeraire: str | None = None) -> OnchainSource:
    """The source with one market, `local`, of `family` on the node."""
    csu = Csu(
        "local",
        family,
        family,
        "",
        "local",
        31337,
        entry,
        deployed_block=1,
        deployed_later=True,
        price_numeraire=numeraire,
    )
    chain = Chain("local", 31337, multicall3_address=MULTICALL3, multicall3_block=0)
    pool = Pool("local", 31337, [Endpoint("anvil", SecretUrl(node.url), Limits(rate=10_000))], Http())
    return OnchainSource(registry=Registry({csu.name: csu}, {"local": chain}), csus=[csu], pools=lambda _: pool)


def answers(source: OnchainSource, dataset: str, *when: date) -> list[Raw | Miss]:
    """What a run over these days lands or misses, in order."""
    partitions = [Partition(dataset, "local", Period.of_day(day)) for day in when]
    return [answer for trip in source.trips(partitions) for answer in source.fetch(trip)]


def collected(source: OnchainSource, dataset: str, *when: date) -> dict[date, list[Row]]:
    """The rows of these days; fails where a day was missed."""
    found: dict[date, list[Row]] = {}
    for raw in answers(source, dataset, *when):
        assert isinstance(raw, Raw), raw
        found[raw.partition.period.day] = list(source.parse(raw))
    assert set(found) == set(when)
    return found


def only(row: Row, like: Row) -> Row:
    """The fields of `row` that `like` has."""
    return {name: row[name] for name in like}


def told(row: Row) -> LiquidationTruth:
    """A collected liquidation in the shape of the truth it is compared with (addresses lower case)."""

    def address(name: str) -> str:
        return str(row[name]).lower()

    return LiquidationTruth(
        str(row["tx"]),
        int(str(row["block"])),
        int(str(row["timestamp"])),
        address("liquidator"),
        address("borrower"),
        address("collateral_asset"),
        int(str(row["collateral_amount_raw"])),
        address("debt_asset"),
        int(str(row["debt_amount_raw"])),
    )


def last_block_of(node: Anvil, day: date) -> int:
    """The highest block before the end of `day` (UTC), found by reading every header."""
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    return max(number for number in range(node.number() + 1) if node.timestamp(number) < end.timestamp())
