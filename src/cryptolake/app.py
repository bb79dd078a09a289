"""Puts the parts together from the settings: registry, lake, pools, sources, warehouse. Decides nothing itself.

What does not belong here: steps (flow), text for people (cli), reading variables (settings).
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Protocol, cast

import structlog

import cryptolake.sources
from cryptolake import __version__
from cryptolake.contracts.source import Source
from cryptolake.errors import BadInput, Stop
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.ledger import Ledger
from cryptolake.lake.tables import Tables
from cryptolake.net.access import Access
from cryptolake.net.blocks import FileBlockCache
from cryptolake.net.http import Http
from cryptolake.net.rpc import Endpoint, Pool, SecretUrl
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry, load_registry
from cryptolake.registry.markets import Csu
from cryptolake.settings import Settings
from cryptolake.silver.prices import LADDER, Pricing
from cryptolake.sources.history.asked import Wanted
from cryptolake.sources.history.coingecko import CoinGeckoPrices
from cryptolake.sources.history.defillama import DefiLlamaPrices
from cryptolake.sources.history.file import PriceFile
from cryptolake.sources.onchain.chainlink import ChainlinkPrices
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.warehouse.connection import Warehouse

# Planning limits until a provider says otherwise: a free key bears about five log calls a second (300 compute units).
_CALLS_PER_S, _KEYED_CALLS_PER_S, _LOCAL_CALLS_PER_S = 25.0, 5.0, 10_000.0


class _VendorModule(Protocol):
    """What a file in `sources/` must offer to be found."""

    def open_source(self, access: Access) -> Source: ...


class App:
    """One run's parts, each opened when first needed and closed together."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._pools: dict[str, Pool] = {}

    @cached_property
    def registry(self) -> Registry:
        """Markets and chains: the package's own plus the user's file."""
        return load_registry(self.settings.registry)

    @cached_property
    def http(self) -> Http:
        """The shared HTTP client."""
        return Http()

    @cached_property
    def bronze(self) -> Bronze:
        """Landed answers."""
        return Bronze(self.settings.data)

    @cached_property
    def tables(self) -> Tables:
        """Silver and gold tables and published files."""
        return Tables(self.settings.data)

    @cached_property
    def ledger(self) -> Ledger:
        """The only record of progress."""
        return Ledger(self.settings.data / "ledger.sqlite")

    def pool(self, chain: Chain) -> Pool:
        """The chain's endpoints: the user's own, else keyed, then public ones. Raises BadInput if there are none."""
        if chain.name not in self._pools:
            endpoints = list(self._endpoints(chain))
            if not endpoints:
                variable = f"CRYPTOLAKE_RPC_{chain.name.upper()}"
                raise BadInput(f"no endpoint for chain {chain.name}; set {variable}=url or ALCHEMY_KEY_1")
            self._pools[chain.name] = Pool(chain.name, chain.chain_id, endpoints, self.http)
        return self._pools[chain.name]

    def _endpoints(self, chain: Chain) -> Iterator[Endpoint]:
        own = self.settings.rpc.get(chain.name, [])
        for number, secret in enumerate(own, start=1):
            url = secret.get_secret_value()
            local = url.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]"))
            rate = _LOCAL_CALLS_PER_S if local else _CALLS_PER_S
            yield Endpoint(f"{chain.name}-own-{number}", SecretUrl(url), calls_per_s=rate)
        if own:
            return
        if chain.alchemy_subdomain:
            for number, key in enumerate(self.settings.alchemy_keys, start=1):
                url = f"https://{chain.alchemy_subdomain}.g.alchemy.com/v2/{key.get_secret_value()}"
                yield Endpoint(f"alchemy-{number}", SecretUrl(url), calls_per_s=_KEYED_CALLS_PER_S)
        if self.settings.public_rpc:
            for number, address in enumerate(chain.public_rpcs, start=1):
                yield Endpoint(f"{chain.name}-public-{number}", SecretUrl(address), calls_per_s=_KEYED_CALLS_PER_S)

    def onchain(self, csus: Sequence[Csu]) -> OnchainSource:
        """The chain as a source, for the given markets."""
        sandbox = {"sandbox": "true"} if any(csu.sandbox for csu in csus) else {}
        return OnchainSource(
            registry=self.registry,
            csus=csus,
            pools=self.pool,
            block_cache=FileBlockCache(self.settings.data / "block_cache.json"),
            provenance={"cryptolake": __version__, **sandbox},
        )

    def vendors(self, provenance: dict[str, str] | None = None) -> dict[str, Source]:
        """Every vendor source found in `sources/`, by name."""
        access = Access(
            http=self.http,
            urls=self.settings.urls,
            provenance={"cryptolake": __version__, **(provenance or {})},
        )
        found = {}
        for module in pkgutil.iter_modules(cryptolake.sources.__path__):
            if not module.ispkg:
                vendor = cast(_VendorModule, importlib.import_module(f"cryptolake.sources.{module.name}"))
                source = vendor.open_source(access)
                found[source.name] = source
        return found

    def vendor(self, name: str, provenance: dict[str, str] | None = None) -> Source:
        """One vendor source. Raises BadInput naming the known ones."""
        known = self.vendors(provenance)
        if name not in known:
            raise BadInput(f"unknown source {name!r}; known: {', '.join(sorted(known))}")
        return known[name]

    def access(self) -> Access:
        """What the price vendors are handed."""
        key = self.settings.coingecko_api_key
        secrets = {"COINGECKO_API_KEY": key.get_secret_value()} if key is not None else {}
        return Access(self.http, self.settings.urls, secrets, {"cryptolake": __version__})

    def chainlink(self) -> ChainlinkPrices:
        """The chains' price feeds."""
        return ChainlinkPrices(
            chains=self.registry.chains,
            pools=self.pool,
            block_cache=FileBlockCache(self.settings.data / "block_cache.json"),
            provenance={"cryptolake": __version__},
        )

    def price_sources(self, wanted: Wanted | None = None) -> list[Source]:
        """Everybody who tells prices apart from the markets themselves; `wanted` is what vendors are to be asked."""
        asked = wanted or {}
        llama = DefiLlamaPrices(self.access(), self.registry.chains, asked)
        return [self.chainlink(), llama, CoinGeckoPrices(self.access(), asked), PriceFile()]

    @property
    def pricing(self) -> Pricing:
        """How prices are chosen. Raises BadInput for a source in CRYPTOLAKE_PRICE_ORDER that there is not."""
        order = tuple(name.strip() for name in self.settings.price_order.split(",") if name.strip())
        if unknown := [name for name in order if name not in LADDER]:
            raise BadInput(f"price_order: unknown source {unknown[0]!r}; known: {', '.join(LADDER)}")
        return Pricing(ladder=order, tolerance=self.settings.price_tolerance)

    @contextmanager
    def warehouse(self) -> Iterator[Warehouse]:
        """The user's PostgreSQL, or the embedded one under the data folder, started if need be."""
        url = self.settings.database_url
        with Warehouse.open(self.settings.data, url.get_secret_value() if url else None) as warehouse:
            yield warehouse

    def close(self) -> None:
        """Close what was opened; safe to call twice."""
        for name in ("http", "ledger"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()


def prepare_folder(settings: Settings) -> None:
    """Make the data folder. Raises Stop with the remedy when it cannot be written."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        probe = settings.data / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise Stop(
            f"cannot write to the data folder {settings.data}: {reason}; set --data or CRYPTOLAKE_DATA"
        ) from None


def configure_logging(settings: Settings) -> None:
    """Structured log lines on standard error, with every known secret replaced before anything is formatted."""
    secrets = sorted({secret for secret in settings.secrets() if len(secret) >= 4}, key=len, reverse=True)

    def redact(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        return {name: redact_text(value, secrets) if isinstance(value, str) else value for name, value in event.items()}

    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if settings.log_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.log_level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """`text` with every occurrence of a secret replaced by asterisks."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
