"""Puts the parts together from the settings: registry, lake, pools, sources, warehouse. Decides nothing itself.

What does not belong here: steps (flow), text for people (cli), reading variables (settings).
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import pkgutil
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import urlsplit

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
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.gates import Gates
from cryptolake.net.http import Http
from cryptolake.net.limiter import Limiter, for_limit
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry, load_registry
from cryptolake.registry.markets import Csu
from cryptolake.registry.providers import OWN, PUBLIC, plan_of, rpc_plans
from cryptolake.settings import Settings
from cryptolake.silver.prices import LADDER, Pricing
from cryptolake.sources.history.asked import Wanted
from cryptolake.sources.history.coingecko import CoinGeckoPrices
from cryptolake.sources.history.defillama import DefiLlamaPrices
from cryptolake.sources.history.file import PriceFile
from cryptolake.sources.onchain.chainlink import ChainlinkPrices
from cryptolake.sources.onchain.scans import Watch
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.warehouse.budgets import Budgets
from cryptolake.warehouse.connection import Warehouse
from cryptolake.warehouse.server import ensure_running


class _VendorModule(Protocol):
    """What a file in `sources/` must offer to be found."""

    def open_source(self, access: Access) -> Source: ...


class App:
    """One run's parts, each opened when first needed and closed together."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._pools: dict[str, Pool] = {}
        self._limiters: dict[str, Limiter] = {}
        self._lock = threading.RLock()

    @cached_property
    def registry(self) -> Registry:
        """Markets and chains: the package's own plus the user's file, else the one that lies in the data folder."""
        own = self.settings.data / "registry.yaml"
        return load_registry(self.settings.registry or (own if own.exists() else None))

    @cached_property
    def http(self) -> Http:
        """The shared HTTP client."""
        return Http()

    @cached_property
    def gates(self) -> Gates:
        """The vendors' rate limits, one per host and key, shared by all processes of this data folder."""
        return Gates(self.settings.data / "limits")

    @cached_property
    def bronze(self) -> Bronze:
        """Landed answers."""
        return Bronze(self.settings.data)

    @cached_property
    def tables(self) -> Tables:
        """Silver and gold tables and published files."""
        return Tables(self.settings.data)

    @cached_property
    def block_cache(self) -> FileBlockCache:
        """Proven day boundaries of all chains."""
        return FileBlockCache(self.settings.data / "block_cache.json")

    @cached_property
    def ledger(self) -> Ledger:
        """The only record of progress."""
        return Ledger(self.settings.data / "ledger.sqlite")

    def forget_ledger(self) -> None:
        """Close the ledger; the next use opens whatever file lies there then."""
        if "ledger" in self.__dict__:
            self.__dict__.pop("ledger").close()

    @property
    def runs(self) -> Path:
        """Where runs at work say how they do."""
        return self.settings.data / "runs"

    def pool(self, chain: Chain) -> Pool:
        """The chain's endpoints: the user's own, else keyed, then public ones. Raises BadInput if there are none."""
        if chain.name not in self._pools:
            endpoints = self.endpoints(chain)
            if not endpoints:
                variable = f"CRYPTOLAKE_RPC_{chain.name.upper()}"
                raise BadInput(f"no endpoint for chain {chain.name}; set {variable}=url or ALCHEMY_KEY_1")
            self._pools[chain.name] = Pool(chain.name, chain.chain_id, endpoints, self.http, limiters=self._limiter)
        return self._pools[chain.name]

    def pools(self) -> Sequence[Pool]:
        """Every pool opened so far."""
        return list(self._pools.values())

    @cached_property
    def budgets(self) -> Budgets:
        """The rate budgets of all machines, in PostgreSQL."""
        return Budgets(self.database())

    def database(self) -> str:
        """The URL of the user's PostgreSQL, or of the embedded one, started if need be. A secret."""
        url = self.settings.database_url
        return url.get_secret_value() if url else ensure_running(self.settings.data)

    def _limiter(self, endpoint: Endpoint) -> Limiter:
        """One limiter per account, for all its chains and all processes that share this data folder, or the database."""
        account, rate, cost = endpoint.account, endpoint.limits.rate, endpoint.limits.dearest
        with self._lock:
            if account not in self._limiters:
                if self.settings.budgets == "database":
                    self._limiters[account] = self.budgets.limiter(account, rate, cost)
                else:
                    self._limiters[account] = for_limit(rate, cost=cost, path=self.settings.data / "limits" / account)
            return self._limiters[account]

    def endpoints(self, chain: Chain) -> list[Endpoint]:
        """The user's own endpoints of the chain; else the keyed ones, then public ones, in the order they are preferred."""
        settings, found = self.settings, []
        for number, secret in enumerate(settings.rpc.get(chain.name, []), start=1):
            url = secret.get_secret_value()
            limits = plan_of(url, OWN).limits
            if settings.rpc_rate is not None:
                limits = replace(limits, rate=settings.rpc_rate)
            found.append(_endpoint(f"{chain.name}-own-{number}", url, limits, account=url))
        if found:
            return found
        if chain.alchemy_subdomain:
            limits = rpc_plans()[f"alchemy_{settings.alchemy_plan}"].limits
            for number, key in enumerate(settings.alchemy_keys, start=1):
                secret_key = key.get_secret_value()
                url = f"https://{chain.alchemy_subdomain}.g.alchemy.com/v2/{secret_key}"
                found.append(_endpoint(f"alchemy-{number}", url, limits, account=secret_key))
        if settings.public_rpc:
            for url in chain.public_rpcs:
                plan = plan_of(url, PUBLIC)
                name = plan.name if plan.name != PUBLIC else (urlsplit(url).hostname or PUBLIC)
                found.append(_endpoint(f"{chain.name}-{name}", url, plan.limits, account=url))
        return found

    def onchain(self, csus: Sequence[Csu], watch: Watch = lambda _scanned: None) -> OnchainSource:
        """The chain as a source, for the given markets; `watch` is told how far log scans have come."""
        sandbox = {"sandbox": "true"} if any(csu.sandbox for csu in csus) else {}
        return OnchainSource(
            registry=self.registry,
            csus=csus,
            pools=self.pool,
            block_cache=self.block_cache,
            provenance={"cryptolake": __version__, **sandbox},
            journals=self.settings.data / "scans",
            discovered=self.settings.data / "discovered",
            audit=self.settings.audit,
            watch=watch,
        )

    def vendors(self, provenance: dict[str, str] | None = None) -> dict[str, Source]:
        """Every vendor source found in `sources/`, by name."""
        access = self.access(provenance)
        found = {}
        for one in pkgutil.iter_modules(cryptolake.sources.__path__):
            module = importlib.import_module(f"cryptolake.sources.{one.name}")
            if hasattr(module, "open_source"):  # the chain's package has none: it is opened for chosen markets
                source = cast(_VendorModule, module).open_source(access)
                found[source.name] = source
        return found

    def vendor(self, name: str, provenance: dict[str, str] | None = None) -> Source:
        """One vendor source. Raises BadInput naming the known ones."""
        known = self.vendors(provenance)
        if name not in known:
            raise BadInput(f"unknown source {name!r}; known: {', '.join(sorted(known))}")
        return known[name]

    def access(self, provenance: dict[str, str] | None = None) -> Access:
        """What a vendor's source is handed: HTTP, addresses, keys, watch lists, limits."""
        configs = {"defillama": self.settings.defillama_config, "artemis": self.settings.artemis_config}
        return Access(
            http=self.http,
            urls=self.settings.urls,
            secrets={name: key.get_secret_value() for name, key in self.settings.vendor_keys().items()},
            provenance={"cryptolake": __version__, **(provenance or {})},
            configs={vendor: path for vendor, path in configs.items() if path is not None},
            rates=self.settings.vendor_rates,
            gates=self.gates,
        )

    def chainlink(self) -> ChainlinkPrices:
        """The chains' price feeds."""
        return ChainlinkPrices(
            chains=self.registry.chains,
            pools=self.pool,
            block_cache=self.block_cache,
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
        address = url.get_secret_value() if url else None
        with Warehouse.open(self.settings.data, address, self.settings.db_schema) as warehouse:
            yield warehouse

    def close(self) -> None:
        """Close what was opened; safe to call twice. What is used afterwards is opened anew."""
        self._pools.clear()  # they and the limiters hold the client and the budgets that are closed now
        self._limiters.clear()
        for name in ("http", "ledger", "gates", "budgets"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()


def _endpoint(name: str, url: str, limits: Limits, *, account: str) -> Endpoint:
    """The account is named by a digest: its name becomes a file name and must not tell the key."""
    return Endpoint(name, SecretUrl(url), limits, hashlib.sha256(account.encode()).hexdigest()[:16])


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
        # Looked up for every line: whoever embeds us (a notebook, a test) may exchange or close standard error.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """`text` with every occurrence of a secret replaced by asterisks."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
