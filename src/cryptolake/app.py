"""Puts the parts together from the settings: registry, lake, pools, sources, warehouse. Decides nothing itself.

What does not belong here: steps (flow), text for people (cli), reading variables (settings).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from cryptolake.errors import BadInput
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu

if TYPE_CHECKING:
    from cryptolake.contracts.prices import Wanted
    from cryptolake.contracts.source import Source, SourceTable
    from cryptolake.lake.bronze import Bronze
    from cryptolake.lake.runs import Runs
    from cryptolake.lake.tables import Tables
    from cryptolake.net.access import Access
    from cryptolake.net.blocks import FileBlockCache
    from cryptolake.net.endpoint import Endpoint
    from cryptolake.net.gates import Gates
    from cryptolake.net.http import Http
    from cryptolake.net.limiter import Limiter
    from cryptolake.net.memory import Memory
    from cryptolake.net.rpc import Pool
    from cryptolake.publish.reader import Reader
    from cryptolake.publish.warehouse import Warehouse
    from cryptolake.registry.loader import Registry
    from cryptolake.settings import Settings
    from cryptolake.silver.prices import Pricing
    from cryptolake.sources.found import FoundSources, Opened
    from cryptolake.sources.onchain.scans import Watch
    from cryptolake.sources.onchain.source import OnchainSource
    from cryptolake.state.budgets import Budgets
    from cryptolake.state.ledger import Ledger

log = structlog.get_logger(__name__)


class App:
    """One run's parts, each opened when first needed and closed together."""

    def __init__(self, settings: Settings) -> None:
        from cryptolake.state.folder import DataFolder

        self.settings = settings
        self.folder = DataFolder(settings.data)
        self._pools: dict[str, Pool] = {}
        self._limiters: dict[str, Limiter] = {}
        self._lock = threading.RLock()
        self._is_set_up = False

    @cached_property
    def registry(self) -> Registry:
        """Markets and chains: the package's own plus the user's file, else the one that lies in the data folder."""
        from cryptolake.registry.loader import load_registry
        from cryptolake.sources.onchain.families import declared

        own = self.folder.registry
        return load_registry(declared(), self.settings.registry or (own if own.exists() else None))

    @cached_property
    def http(self) -> Http:
        """The shared HTTP client."""
        from cryptolake.net.http import Http

        return Http()

    @cached_property
    def gates(self) -> Gates:
        """The vendors' rate limits, one per host and key, shared by all processes of this data folder."""
        from cryptolake.net.gates import Gates

        return Gates(self.folder.limits)

    @cached_property
    def bronze(self) -> Bronze:
        """Landed answers."""
        from cryptolake.lake.bronze import Bronze

        return Bronze(self.settings.data)

    @cached_property
    def tables(self) -> Tables:
        """Silver and gold tables and published files."""
        from cryptolake.lake.tables import Tables

        return Tables(self.settings.data)

    @cached_property
    def block_cache(self) -> FileBlockCache:
        """Proven day boundaries of all chains."""
        from cryptolake.net.blocks import FileBlockCache

        return FileBlockCache(self.folder.block_cache)

    @cached_property
    def ledger(self) -> Ledger:
        """The only record of progress."""
        from cryptolake.logs import known_secrets, redact_text
        from cryptolake.state.ledger import Ledger

        return Ledger(self.folder.ledger, redact=lambda text: redact_text(text, known_secrets(self.settings)))

    def forget_ledger(self) -> None:
        """Close the ledger; the next use opens whatever file lies there then."""
        if "ledger" in self.__dict__:
            self.__dict__.pop("ledger").close()

    @property
    def runs(self) -> Path:
        """Where runs at work say how they do."""
        return self.folder.runs

    @property
    def vendor_runs(self) -> Runs:
        """The kept runs of vendors whose answers are runs."""
        from cryptolake.lake.runs import Runs

        return Runs(self.settings.data)

    def pool(self, chain: Chain) -> Pool:
        """The chain's endpoints: the user's own, else keyed, then public ones. Raises BadInput if there are none."""
        from cryptolake.net.rpc import Pool

        if chain.name not in self._pools:
            endpoints = self.endpoints(chain)
            if not endpoints:
                variable = f"CRYPTOLAKE_RPC_{chain.name.upper()}"
                raise BadInput(f"no endpoint for chain {chain.name}; set {variable}=url or ALCHEMY_KEY_1")
            self._pools[chain.name] = Pool(
                chain.name, chain.chain_id, endpoints, self.http, limiters=self._limiter, memory=self._memory
            )
        return self._pools[chain.name]

    @cached_property
    def _memory(self) -> Memory:
        """What endpoints have taught us in earlier runs."""
        from cryptolake.net.memory import Memory

        return Memory(self.folder.learned)

    def pools(self) -> Sequence[Pool]:
        """Every pool opened so far."""
        return list(self._pools.values())

    @cached_property
    def budgets(self) -> Budgets:
        """The rate budgets of all machines, in PostgreSQL."""
        from cryptolake.state.budgets import Budgets

        return Budgets(self.database())

    def database(self) -> str:
        """The URL of the user's PostgreSQL, or of the embedded one, started if need be. A secret."""
        from cryptolake.publish import server

        url = self.settings.database_url
        return url.get_secret_value() if url else server.ensure_running(self.settings.data)

    @property
    def has_own_server(self) -> bool:
        """Whether the database is the embedded one of this data folder."""
        return self.settings.database_url is None

    @property
    def server_running(self) -> bool:
        """Whether the embedded database of this data folder is running."""
        from cryptolake.publish import server

        return server.is_running(self.settings.data)

    def stop_server(self) -> None:
        """Stop the embedded database of this data folder."""
        from cryptolake.publish import server

        server.stop_embedded(self.settings.data)

    def make_schema(self, name: str) -> None:
        """Make a PostgreSQL schema for another program."""
        from cryptolake.publish.warehouse import Warehouse

        with Warehouse.open(self.settings.data, self.database(), name):
            pass

    @property
    def data_variable(self) -> Path:
        """What CRYPTOLAKE_DATA must be for a process that is to work on this folder, absolute."""
        data, environment = self.settings.data, self.settings.environment
        return (data if environment == "prod" else data.parent).resolve()  # it adds the environment's name again

    def _limiter(self, endpoint: Endpoint) -> Limiter:
        """One limiter per account, for all its chains and all processes that share this data folder, or the database."""
        from cryptolake.net.limiter import for_limit

        account, rate, cost = endpoint.account, endpoint.limits.rate, endpoint.limits.dearest
        with self._lock:
            if account not in self._limiters:
                if self.settings.budgets == "database":
                    self._limiters[account] = self.budgets.limiter(account, rate, cost)
                else:
                    self._limiters[account] = for_limit(
                        rate, cost=cost, told=endpoint.limits.told, path=self.folder.limits / account
                    )
            return self._limiters[account]

    def endpoints(self, chain: Chain) -> list[Endpoint]:
        """The chain's endpoints in the order they are preferred (`registry.endpoints`)."""
        from cryptolake.registry.endpoints import endpoints_of

        settings = self.settings
        return endpoints_of(
            chain,
            own=[one.get_secret_value() for one in settings.rpc.get(chain.name, [])],
            rate=settings.rpc_rate,
            keys=[one.get_secret_value() for one in settings.alchemy_keys],
            plan=settings.alchemy_plan,
            public=settings.public_rpc,
        )

    def onchain(self, csus: Sequence[Csu], watch: Watch = lambda _scanned: None) -> OnchainSource:
        """The chain as a source, for the given markets; `watch` is told how far log scans have come."""
        from cryptolake.sources.onchain.source import OnchainSource
        from cryptolake.version import __version__

        sandbox = {"sandbox": "true"} if any(csu.sandbox for csu in csus) else {}
        return OnchainSource(
            registry=self.registry,
            csus=csus,
            pools=self.pool,
            block_cache=self.block_cache,
            provenance={"cryptolake": __version__, **sandbox},
            journals=self.folder.journals,
            discovered=self.folder.discovered,
            audit=self.settings.audit,
            watch=watch,
        )

    @cached_property
    def found(self) -> FoundSources:
        """The files that are sources, and the faulty ones with what is wrong."""
        from cryptolake.sources.found import find_sources

        found = find_sources()
        for module, fault in found.refused.items():
            log.warning("source left out", file=module, fault=fault)
        return found

    def _opened(self, provenance: dict[str, str] | None = None) -> Opened:
        from cryptolake.catalogue import found_tables
        from cryptolake.sources.found import open_all

        shared = {name for name, one in found_tables().items() if one.table.layer == "silver" and one.own_of is None}
        return open_all(self.found, self.access(provenance), shared)

    def vendors(self, provenance: dict[str, str] | None = None) -> dict[str, Source]:
        """Every vendor source by name. Raises BadInput that names every faulty file: nothing is left out in silence."""
        return self._opened(provenance).all()

    def vendor(self, name: str, provenance: dict[str, str] | None = None) -> Source:
        """One vendor source, whatever is wrong with others. Raises BadInput naming the known ones and the faulty files."""
        return self._opened(provenance).one(name, self.found)

    def own_tables(self, source: str) -> dict[str, SourceTable]:
        """The tables that a source's file declares, by name; none for a source that has no own."""
        return self.found.own_tables(source)

    def access(self, provenance: dict[str, str] | None = None) -> Access:
        """What a vendor's source is handed: HTTP, addresses, keys, watch lists, limits, and the chains' endpoints."""
        from cryptolake.net.access import Access
        from cryptolake.version import __version__

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
        return self.found.price_source(name, self.access(), self.registry.chains, wanted or {})

    def price_sources(self) -> dict[str, Source]:
        """Everybody who tells prices apart from the markets themselves, by name, the lowest rung first.

        Raises BadInput when two of them call a dataset the same: their answers would be taken for each other's.
        """
        from cryptolake.sources.found import distinct

        return distinct({name: self.price_source(name) for name in self.found.price_sources})

    @property
    def pricing(self) -> Pricing:
        """How prices are chosen. Raises BadInput for a source in CRYPTOLAKE_PRICE_ORDER that there is not."""
        from cryptolake.silver.prices import pricing_of

        ages = {name: one.max_age_s for name, one in self.found.price_sources.items()}
        return pricing_of(self.settings.price_order, ages, self.settings.price_tolerance)

    @contextmanager
    def warehouse(self) -> Iterator[Warehouse]:
        """The user's PostgreSQL, or the embedded one under the data folder, with every table that was found set up."""
        from cryptolake.catalogue import contracts
        from cryptolake.publish.warehouse import Warehouse

        url = self.settings.database_url
        address = url.get_secret_value() if url else None
        with Warehouse.open(self.settings.data, address, self.settings.db_schema) as warehouse:
            if not self._is_set_up:
                warehouse.setup(contracts())
                self._is_set_up = True
            yield warehouse

    def reader(self) -> Reader:
        """Who asks what a person typed: the user's reading login, else one made here, with the tables set up first.

        Raises Stop when there can be none; the owner's login is never taken instead.
        """
        from cryptolake.publish.reader import Reader

        own = self.settings.reader_url
        if own is not None:
            return Reader(own.get_secret_value(), self.settings.db_schema)
        embedded = self.settings.database_url is None
        with self.warehouse() as warehouse:
            return warehouse.reader(self.settings.data, embedded=embedded)

    def prepare(self) -> None:
        """Make the data folder. Raises BadInput for a name that tables cannot lie under, Stop when it cannot be written."""
        from cryptolake.files.folder_name import check_folder

        check_folder(self.settings.data)
        self.folder.prepare()

    def close(self) -> None:
        """Close what was opened; safe to call twice. What is used afterwards is opened anew."""
        for pool in self._pools.values():
            pool.remember()
        self._pools.clear()  # they and the limiters hold the client and the budgets that are closed now
        self._limiters.clear()
        for name in ("http", "ledger", "gates", "budgets"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()
