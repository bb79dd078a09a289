"""What DefiLlama is asked, as a table: one question per dataset, with its live and its historical endpoint.

`{id}` in a path is the entity as the vendor calls it. Which host and key a path needs is `source`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cryptolake.sources.defillama import readers
from cryptolake.sources.defillama.readers import Reader

Host = Literal["defillama", "defillama_stablecoins", "defillama_bridges"]
Subject = Literal["chain", "protocol", "stablecoin", "bridge"]

# Without these two flags an overview carries its whole history, several megabytes.
_NO_CHARTS = {"excludeTotalDataChart": "true", "excludeTotalDataChartBreakdown": "true"}
_CHART = {"excludeTotalDataChart": "false", "excludeTotalDataChartBreakdown": "true"}
_REVENUE = {"dataType": "dailyRevenue"}


@dataclass(frozen=True, slots=True)
class Ask:
    """One GET. `bulk`: it answers all entities at once, as the list under the field `at` (or at the top)."""

    path: str
    reader: Reader
    host: Host = "defillama"
    params: Mapping[str, str] = field(default_factory=dict)
    bulk: bool = False
    at: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()  # fields that must occur somewhere in a bulk answer, else its layout has changed
    nothing_is_fine: bool = False  # an empty list means "no history", not a failure

    @property
    def endpoint(self) -> str:
        """The endpoint's name: what a refusal for want of a key holds for."""
        kind = self.params.get("dataType")
        return f"{self.path}?dataType={kind}" if kind else self.path


@dataclass(frozen=True, slots=True)
class DefiLlamaQuestion:
    """One dataset. `pro`: the free hosts do not answer it, so it is asked only with a key."""

    dataset: str
    subject: Subject
    doc: str
    live: Ask | None
    history: Ask | None
    pro: bool = False
    listing: Ask | None = None  # the bulk answer that says which chains have data of this kind


def _overview(kind: str, reader: Reader, **params: str) -> Ask:
    return Ask(
        f"/overview/{kind}",
        reader,
        params={**_NO_CHARTS, **params},
        bulk=True,
        at=("protocols",),
        fields=("total24h",),
    )


CHAINS = Ask("/v2/chains", readers.totals({"CHAIN_TVL": "tvl"}), bulk=True, fields=("name", "tvl"))
PROTOCOLS = Ask("/protocols", readers.totals({"TVL": "tvl"}, ("slug", "name")), bulk=True, fields=("slug", "tvl"))
STABLECOINS = Ask(
    "/stablecoins",
    readers.pegged_now,
    host="defillama_stablecoins",
    params={"includePrices": "true"},
    bulk=True,
    at=("peggedAssets",),
    fields=("id", "circulating"),
)
BRIDGES = Ask(
    "/bridges",
    readers.totals(
        {
            "BRIDGE_VOLUME_24H": "lastDailyVolume",
            "BRIDGE_VOLUME_7D": "weeklyVolume",
            "BRIDGE_VOLUME_30D": "monthlyVolume",
        },
        ("last24hVolume", "volumePrevDay", "lastDailyVolume"),
    ),
    host="defillama_bridges",
    params={"includeChains": "true"},
    bulk=True,
    at=("bridges",),
    fields=("id", "lastDailyVolume"),
)
FEES = _overview("fees", readers.dimension("FEES_24H"))
REVENUE = _overview("fees", readers.dimension("REVENUE_24H", "EARNINGS"), **_REVENUE)
DEXS = _overview("dexs", readers.dimension("DEX_VOLUME_24H"))
OPTIONS = _overview("options", readers.dimension())
AGGREGATORS = _overview("aggregators", readers.dimension("AGGREGATOR_VOLUME_24H"))
DERIVATIVES = _overview("derivatives", readers.dimension("DERIVATIVES_VOLUME_24H"))
OPEN_INTEREST = _overview("open-interest", readers.dimension("OPEN_INTEREST"))


def _of_chain(dataset: str, doc: str, kind: str, metric: str, listing: Ask, **params: str) -> DefiLlamaQuestion:
    path = f"/overview/{kind}/{{id}}"
    return DefiLlamaQuestion(
        dataset,
        "chain",
        doc,
        live=Ask(path, readers.dimension(f"{metric}_24H"), params={**_NO_CHARTS, **params}),
        history=Ask(path, readers.chart(metric, "totalDataChart"), params={**_CHART, **params}),
        listing=listing,
    )


def _of_protocol(
    dataset: str,
    doc: str,
    live: Ask,
    kind: str,
    metric: str,
    *,
    params: Mapping[str, str] | None = None,
    pro: bool = False,
) -> DefiLlamaQuestion:
    chart = readers.chart(metric, "totalDataChart")
    history = Ask(f"/summary/{kind}/{{id}}", chart, params={**_CHART, **(params or {})})
    return DefiLlamaQuestion(dataset, "protocol", doc, live, history, pro=pro)


QUESTIONS: tuple[DefiLlamaQuestion, ...] = (
    DefiLlamaQuestion(
        "chain_tvl",
        "chain",
        "value locked on each chain",
        live=CHAINS,
        history=Ask("/v2/historicalChainTvl/{id}", readers.points("CHAIN_TVL", "tvl"), nothing_is_fine=True),
    ),
    _of_chain("chain_fees", "fees paid on each chain", "fees", "CHAIN_FEES", FEES),
    _of_chain("chain_revenue", "fees kept on each chain", "fees", "CHAIN_REVENUE", REVENUE, **_REVENUE),
    _of_chain("chain_dex_volume", "dex volume on each chain", "dexs", "CHAIN_DEX_VOLUME", DEXS),
    _of_chain("chain_options_volume", "options volume (notional)", "options", "CHAIN_OPTIONS_VOLUME", OPTIONS),
    DefiLlamaQuestion(
        "chain_perps_volume",
        "chain",
        "perpetuals volume on each chain",
        live=Ask("/v2/metrics/derivatives/chain/{id}", readers.dimension("CHAIN_PERPS_VOLUME_24H")),
        history=Ask("/v2/chart/derivatives/chain/{id}", readers.chart("CHAIN_PERPS_VOLUME"), nothing_is_fine=True),
        pro=True,
        listing=DERIVATIVES,
    ),
    DefiLlamaQuestion(
        "protocol_tvl",
        "protocol",
        "value locked in each protocol",
        live=PROTOCOLS,
        history=Ask("/protocol/{id}", readers.points("TVL", "totalLiquidityUSD", "tvl")),
    ),
    _of_protocol("protocol_fees", "fees of each protocol", FEES, "fees", "FEES"),
    _of_protocol("protocol_revenue", "fees kept by each protocol", REVENUE, "fees", "REVENUE", params=_REVENUE),
    _of_protocol("protocol_dex_volume", "dex volume of each protocol", DEXS, "dexs", "DEX_VOLUME"),
    _of_protocol(
        "protocol_aggregator_volume", "dex aggregator volume", AGGREGATORS, "aggregators", "AGGREGATOR_VOLUME"
    ),
    _of_protocol(
        "protocol_derivatives_volume",
        "derivatives volume of each protocol",
        DERIVATIVES,
        "derivatives",
        "DERIVATIVES_VOLUME",
        pro=True,
    ),
    _of_protocol("open_interest", "open interest of each protocol", OPEN_INTEREST, "open-interest", "OPEN_INTEREST"),
    DefiLlamaQuestion(
        "protocol_flows",
        "protocol",
        "money that came in or left in 24 hours",
        live=Ask("/inflows/{id}/{since}", readers.net_flow, params={"end": "{until}"}),
        history=None,
        pro=True,
    ),
    DefiLlamaQuestion(
        "stablecoin_supply",
        "stablecoin",
        "circulating supply in units of the peg",
        live=STABLECOINS,
        history=Ask(
            "/stablecoincharts/all", readers.pegged_series, "defillama_stablecoins", params={"stablecoin": "{id}"}
        ),
    ),
    DefiLlamaQuestion(
        "bridge_volume",
        "bridge",
        "volume of each bridge: a day, a week, a month",
        live=BRIDGES,
        history=Ask(
            "/bridgevolume/all",
            readers.bridge_days,
            "defillama_bridges",
            params={"id": "{id}"},
            nothing_is_fine=True,
        ),
        pro=True,
    ),
)
BY_DATASET: Mapping[str, DefiLlamaQuestion] = {question.dataset: question for question in QUESTIONS}


def bulks(datasets: set[str], *, live: bool) -> list[Ask]:
    """The bulk answers an operation on these datasets needs, the slowest first: who is who, and in a pull the values."""
    wanted: list[Ask] = []
    for question in QUESTIONS:
        if question.dataset not in datasets:
            continue
        if question.subject == "protocol" and question.live is not PROTOCOLS:
            wanted.append(PROTOCOLS)
        if question.subject == "bridge":
            wanted.append(BRIDGES)
        if question.subject in {"chain", "protocol"}:
            wanted.append(CHAINS)
        if question.listing is not None:
            wanted.append(question.listing)
        if question.subject == "protocol" and question.live is PROTOCOLS:
            wanted.append(PROTOCOLS)
        if live and question.live is not None and question.live.bulk:
            wanted.append(question.live)
    unique = {(one.host, one.endpoint): one for one in wanted}
    return sorted(unique.values(), key=lambda one: one is not PROTOCOLS)  # nine megabytes: asked first
