"""Puts the parts together from the settings: registry, lake, pools, sources, warehouse. Decides nothing itself.

What does not belong here: steps (flow), text for people (cli), reading variables (settings).
"""

from __future__ import annotations

import hashlib
import logging
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, quote_plus, urlsplit

import orjson
import structlog

from cryptolake import __version__
from cryptolake.alerts.found import find_ways
from cryptolake.catalogue import contracts
from cryptolake.contracts.prices import Wanted
from cryptolake.contracts.source import Source, SourceTable
from cryptolake.contracts.table import Table
from cryptolake.errors import BadInput, Stop
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.net.access import Access
from cryptolake.net.blocks import FileBlockCache
from cryptolake.net.endpoint import Endpoint, Limits, SecretUrl
from cryptolake.net.gates import Gates
from cryptolake.net.http import Http
from cryptolake.net.limiter import Limiter, for_limit
from cryptolake.net.rpc import Pool
from cryptolake.publish.reader import Reader
from cryptolake.publish.server import ensure_running
from cryptolake.publish.warehouse import Warehouse
from cryptolake.registry.chains import Chain
from cryptolake.registry.loader import Registry, load_registry
from cryptolake.registry.markets import Csu
from cryptolake.registry.providers import OWN, PUBLIC, plan_of, rpc_plans
from cryptolake.settings import Settings
from cryptolake.silver.prices import Pricing
from cryptolake.silver.quotes import ORACLE
from cryptolake.sources.found import FoundSources, Opened, find_sources, open_all, open_told
from cryptolake.sources.onchain.families import declared
from cryptolake.sources.onchain.scans import Watch
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.state.budgets import Budgets
from cryptolake.state.ledger import Ledger

log = structlog.get_logger(__name__)

_SHORTEST = 4


class App:
    """One run's parts, each opened when first needed and closed together."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._pools: dict[str, Pool] = {}
        self._limiters: dict[str, Limiter] = {}
        self._lock = threading.RLock()
        self._is_set_up = False

    @cached_property
    def registry(self) -> Registry:
        """Markets and chains: the package's own plus the user's file, else the one that lies in the data folder."""
        own = self.settings.data / "registry.yaml"
        return load_registry(declared(), self.settings.registry or (own if own.exists() else None))

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
        return Ledger(
            self.settings.data / "ledger.sqlite", redact=lambda text: redact_text(text, known_secrets(self.settings))
        )

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

    @cached_property
    def found(self) -> FoundSources:
        """The files that are sources, and the faulty ones with what is wrong."""
        found = find_sources()
        for module, fault in found.refused.items():
            log.warning("source left out", file=module, fault=fault)
        return found

    def _opened(self, provenance: dict[str, str] | None = None) -> Opened:
        return open_all(self.found, self.access(provenance), {one.name for one in contracts() if one.layer == "silver"})

    def vendors(self, provenance: dict[str, str] | None = None) -> dict[str, Source]:
        """Every vendor source by name. Raises BadInput that names every faulty file: nothing is left out in silence."""
        opened = self._opened(provenance)
        if opened.refused:
            raise BadInput(_faults(opened.refused))
        return opened.sources

    def vendor(self, name: str, provenance: dict[str, str] | None = None) -> Source:
        """One vendor source, whatever is wrong with others. Raises BadInput naming the known ones and the faulty files."""
        opened = self._opened(provenance)
        if name not in opened.sources:
            for file in self.found.files:
                if file.vendor is not None and file.vendor.name == name and file.module in opened.refused:
                    raise BadInput(_faults({file.module: opened.refused[file.module]}))
            faults = _faults(opened.refused)
            raise BadInput(
                f"unknown source {name!r}; known: {', '.join(sorted(opened.sources))}{faults and f'; {faults}'}"
            )
        return opened.sources[name]

    def own_tables(self, source: str) -> dict[str, SourceTable]:
        """The tables that a source's file declares, by name; none for a source that has no own."""
        files = [file for file in self.found.files if file.vendor is not None and file.vendor.name == source]
        return {one.table.name: one for file in files for one in file.tables}

    def source_tables(self) -> list[Table]:
        """The tables of all sources' own, in the order the sources were found."""
        return [one.table for tables in self._opened().tables.values() for one in tables]

    def access(self, provenance: dict[str, str] | None = None) -> Access:
        """What a vendor's source is handed: HTTP, addresses, keys, watch lists, limits, and the chains' endpoints."""
        settings, names = self.settings, [file.vendor.name for file in self.found.files if file.vendor is not None]
        return Access(
            http=self.http,
            urls=settings.urls,
            secrets={name: key for name in self.found.keys if (key := settings.key(name)) is not None},
            provenance={"cryptolake": __version__, **(provenance or {})},
            configs={name: path for name in names if (path := settings.watch_list(name)) is not None},
            rates=settings.vendor_rates,
            gates=self.gates,
            pool=lambda chain: self.pool(self.registry.chains[chain]),
            block_cache=self.block_cache,
        )

    def price_source(self, name: str, wanted: Wanted | None = None) -> Source:
        """Who tells prices under this name; `wanted` is what is to be asked. Raises BadInput naming the known ones."""
        for file in self.found.files:
            if file.prices is not None and file.prices.name == name:
                return open_told(file, self.access(), self.registry.chains, wanted or {})
        raise BadInput(f"unknown price source {name!r}; known: {', '.join(self.found.price_sources)}")

    def price_sources(self) -> dict[str, Source]:
        """Everybody who tells prices apart from the markets themselves, by name, the lowest rung first.

        Raises BadInput when two of them call a dataset the same: their answers would be taken for each other's.
        """
        sources = {name: self.price_source(name) for name in self.found.price_sources}
        asked = [dataset.name for source in sources.values() for dataset in source.datasets]
        if doubled := sorted({one for one in asked if asked.count(one) > 1}):
            who = [name for name, source in sources.items() if doubled[0] in {one.name for one in source.datasets}]
            raise BadInput(f"price sources {' and '.join(who)} both have a dataset {doubled[0]!r}; rename one")
        return sources

    @property
    def pricing(self) -> Pricing:
        """How prices are chosen. Raises BadInput for a source in CRYPTOLAKE_PRICE_ORDER that there is not."""
        told = self.found.price_sources
        known = (ORACLE, *told)
        order = tuple(name.strip() for name in self.settings.price_order.split(",") if name.strip())
        if unknown := [name for name in order if name not in known]:
            raise BadInput(f"price_order: unknown source {unknown[0]!r}; known: {', '.join(known)}")
        ages = {ORACLE: 0.0, **{name: one.max_age_s for name, one in told.items()}}
        return Pricing(ladder=order or known, max_age_s=ages, tolerance=self.settings.price_tolerance)

    @contextmanager
    def warehouse(self) -> Iterator[Warehouse]:
        """The user's PostgreSQL, or the embedded one under the data folder, with every table that was found set up."""
        url = self.settings.database_url
        address = url.get_secret_value() if url else None
        with Warehouse.open(self.settings.data, address, self.settings.db_schema) as warehouse:
            if not self._is_set_up:
                warehouse.setup([*contracts(), *self.source_tables()])
                self._is_set_up = True
            yield warehouse

    def reader(self) -> Reader:
        """Who asks what a person typed: the user's reading login, else one made here, with the tables set up first.

        Raises Stop when there can be none; the owner's login is never taken instead.
        """
        own = self.settings.reader_url
        if own is not None:
            return Reader(own.get_secret_value(), self.settings.db_schema)
        embedded = self.settings.database_url is None
        with self.warehouse() as warehouse:
            return warehouse.reader(self.settings.data, embedded=embedded)

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


def _faults(refused: Mapping[str, str]) -> str:
    return "; ".join(f"{module}: {fault}" for module, fault in refused.items())


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
    known: list[str] = []

    def redact(line: str) -> str:
        # Looked for in the finished line: whatever was handed in, a secret may lie deep inside it.
        if not known:
            known.extend(["", *known_secrets(settings)])
        return redact_text(line, known)

    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if settings.log_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            lambda logger, method, event: redact(str(renderer(logger, method, event))),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.log_level.upper())),
        # Looked up for every line: whoever embeds us (a notebook, a test) may exchange or close standard error.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def known_secrets(settings: Settings) -> list[str]:
    """Every secret in force, those of vendors and alert ways by the names that their files declare; never print this."""
    return settings.secrets([*find_sources().keys, *find_ways().secrets])


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret replaced by asterisks, also where it stands encoded in a URL or in JSON.

    Secrets of fewer than four characters are left: they would blacken every other word.
    """
    told = {form for secret in secrets if len(secret) >= _SHORTEST for form in _forms(secret)}
    for form in sorted(told, key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def _forms(secret: str) -> tuple[str, ...]:
    return secret, quote(secret, safe=""), quote(secret), quote_plus(secret), orjson.dumps(secret).decode()[1:-1]
