"""Puts the parts together from the settings: registry, lake, pools, sources, warehouse. Decides nothing itself.

What does not belong here: steps (flow), text for people (cli), reading variables (settings).
"""

from __future__ import annotations

import difflib
import threading
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING

import structlog

from cryptolake.contracts.partition import DAYS_OF, MARKET_DATASETS, Boundary
from cryptolake.errors import BadInput, Stop
from cryptolake.registry.chains import Chain
from cryptolake.registry.markets import Csu
from cryptolake.waiting import pause, turn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptolake.contracts.source import Source
    from cryptolake.lake.bronze import Bronze
    from cryptolake.lake.tables import Tables
    from cryptolake.net.access import Access
    from cryptolake.net.block_cache import FileBlockCache
    from cryptolake.net.endpoint import Endpoint
    from cryptolake.net.gates import Gates
    from cryptolake.net.http import Http
    from cryptolake.net.liars import Liars
    from cryptolake.net.memory import Memory
    from cryptolake.net.purse import Purse
    from cryptolake.net.rpc import Pool
    from cryptolake.net.told import ToldLimits
    from cryptolake.publish.database import Database
    from cryptolake.publish.stores import Stores
    from cryptolake.publish.warehouse import Warehouse
    from cryptolake.registry.loader import Registry
    from cryptolake.settings import Settings
    from cryptolake.sources.found import FoundSources, Opened
    from cryptolake.sources.onchain.scans import Watch
    from cryptolake.sources.onchain.source import OnchainSource
    from cryptolake.state.account_limits import AccountLimits
    from cryptolake.state.budgets import Budgets
    from cryptolake.state.ledger import Ledger
    from cryptolake.state.spending import SpendingFile, SpendingTable

log = structlog.get_logger(__name__)


class App:
    """One run's parts, each opened when first needed and closed together."""

    def __init__(self, settings: Settings, *, run: str | None = None) -> None:
        from cryptolake.state.folder import DataFolder

        self.settings = settings
        self.run = run or uuid.uuid4().hex[:12]  # the name under which what this run spends is counted
        self.folder = DataFolder(settings.data)
        if settings.ceilings or settings.rpc_prices:
            _ = self.purse  # a ceiling that holds for nobody is said before anything is done
        self._pools: dict[str, Pool] = {}
        self._lock = threading.RLock()

    @cached_property
    def registry(self) -> Registry:
        """Markets, chains and sets: the package's own plus the user's file, else the one in the data folder, and settings."""
        from cryptolake.registry.loader import load_registry
        from cryptolake.sources.onchain.families import declared

        settings, file = self.settings, self.folder.registry_used(self.settings.registry)
        found = load_registry(declared(), file, settings.market_sets, listed_in=settings.sets_listed_in)
        for name in sorted(set(settings.rpc) - set(found.chains)):  # another folder's registry may have it
            near = difflib.get_close_matches(name, found.chains, n=3)
            log.warning("endpoints left out, no chain has this name here", chain=name, did_you_mean=near)
        return found

    @cached_property
    def http(self) -> Http:
        """The shared HTTP client."""
        from cryptolake.net.http import Http

        return Http()

    @cached_property
    def gates(self) -> Gates:
        """The vendors' rate limits, one per host and key, shared by all processes of this data folder."""
        from cryptolake.net.gates import Gates

        return Gates(self._shared_limits, sleep=turn)

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
        from cryptolake.net.block_cache import FileBlockCache

        return FileBlockCache(self.folder.block_cache)

    @cached_property
    def ledger(self) -> Ledger:
        """The only record of progress."""
        from cryptolake.logs import known_secrets, redact_text
        from cryptolake.state.ledger import Ledger

        return Ledger(self.folder.ledger, redact=lambda text: redact_text(text, known_secrets(self.settings)))

    @cached_property
    def boundary(self) -> Boundary:
        """Where a day begins: as in the answers that lie here, else as the settings say.

        Raises Stop where the settings name another boundary than the answers have: two days of one date would be one row.
        """
        told = self.settings.day_boundary
        kept = self.ledger.boundary(MARKET_DATASETS)
        if kept is None or kept == told:
            return told
        if "day_boundary" not in self.settings.model_fields_set:
            return kept
        raise Stop(
            f"this data folder holds {DAYS_OF[kept]} and the settings say day_boundary = {told}; leave that setting out, or "
            "use another --data for days that begin elsewhere"
        )

    def forget_ledger(self) -> None:
        """Close the ledger; the next use opens whatever file lies there then."""
        if "ledger" in self.__dict__:
            self.__dict__.pop("ledger").close()

    def pool(self, chain: Chain) -> Pool:
        """The chain's endpoints: the user's own, else keyed, then public ones. Raises BadInput if there are none."""
        from cryptolake.net.rpc import Pool

        with self._lock:  # conversations begin at once: one pool a chain, or each would learn everything anew
            if chain.name not in self._pools:
                endpoints = self.endpoints(chain)
                if not endpoints:
                    variable = f"CRYPTOLAKE_RPC_{chain.name.upper()}"
                    raise BadInput(f"no endpoint for chain {chain.name}; set {variable}=url or ALCHEMY_KEY_1")
                self._pools[chain.name] = Pool(
                    chain.name,
                    chain.chain_id,
                    endpoints,
                    self.http,
                    limiters=self.limits.of,
                    memory=self._memory,
                    purse=self.purse,
                    sleep=pause,
                    liars=self.liars,
                )
            return self._pools[chain.name]

    @cached_property
    def liars(self) -> Liars:
        """Who was proven to answer logs wrongly and is not cleared."""
        from cryptolake.net.liars import Liars

        return Liars(self.folder.liars)

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

        return Budgets(self.database.url())

    @cached_property
    def limits(self) -> AccountLimits:
        """The rate limits of the chains' accounts, shared through files or the database, as the settings say."""
        from cryptolake.state.account_limits import AccountLimits

        shared = self.settings.budgets == "database"
        return AccountLimits(self._shared_limits, (lambda: self.budgets) if shared else None)

    @cached_property
    def _shared_limits(self) -> Path | None:
        """Where processes share their rate limits; None in a folder that cannot be written: each keeps to them by itself."""
        if self.folder.is_writable:
            return self.folder.limits
        log.info("limits are kept by this process alone: the data folder cannot be written")
        return None

    @cached_property
    def purse(self) -> Purse:
        """What this run may spend on chains' endpoints, counted with all processes. Raises BadInput for an odd ceiling."""
        from cryptolake.net.purse import Purse, ceilings_of, prices_of
        from cryptolake.registry.providers import provider_names

        settings = self.settings
        ceilings = ceilings_of(
            settings.ceilings, provider_names(), max_calls=settings.max_calls, max_usd=settings.max_usd
        )
        return Purse(self._spending, ceilings, prices_of(settings.rpc_prices, provider_names()), run=self.run)

    @cached_property
    def _spending(self) -> SpendingFile | SpendingTable:
        from cryptolake.state.spending import SpendingFile, SpendingTable

        shared = self.settings.budgets == "database"
        return SpendingTable(self.budgets) if shared else SpendingFile(self.folder.spending)

    def endpoints(self, chain: Chain) -> list[Endpoint]:
        """The chain's endpoints in the order they are preferred, under the limits that the user tells of them.

        Raises BadInput for a setting of an endpoint that there is not.
        """
        found, told = self._endpoints(chain), self._told
        return [told[one.name].applied(one) if one.name in told else one for one in found]

    def nodes(self, chain: Chain) -> list[Endpoint]:
        """Those of the chain's endpoints that answer everything and first: an archive has logs only. Raises as `endpoints`."""
        return [one for one in self.voices(chain) if not one.besides]

    def voices(self, chain: Chain) -> list[Endpoint]:
        """The same, with those that only give second opinions."""
        return [one for one in self.endpoints(chain) if one.dataset_of is None]

    def _endpoints(self, chain: Chain) -> list[Endpoint]:
        from cryptolake.registry.endpoints import endpoints_of

        settings = self.settings
        return endpoints_of(
            chain,
            own=[one.get_secret_value() for one in settings.rpc.get(chain.name, [])],
            rate=settings.rpc_rate,
            keys=[one.get_secret_value() for one in settings.alchemy_keys],
            plan=settings.alchemy_plan,
            public=settings.public_rpc,
            portal=None if settings.portal_url is None else settings.portal_url.get_secret_value(),
        )

    @cached_property
    def _told(self) -> Mapping[str, ToldLimits]:
        """What the user says of endpoints, by name. Raises BadInput for a name that no endpoint of any chain has."""
        from difflib import get_close_matches

        told = self.settings.endpoints
        known = told and {one.name for chain in self.registry.chains.values() for one in self._endpoints(chain)}
        for name in told:
            if name not in known:
                near = ", ".join(get_close_matches(name, known, n=3)) or "`cryptolake rpc probe` shows the names"
                raise BadInput(f"endpoints.{name}: there is no endpoint of this name; did you mean {near}?")
        return told

    def onchain(self, csus: Sequence[Csu], watch: Watch = lambda _scanned: None) -> OnchainSource:
        """The chain as a source, for the given markets; `watch` is told how far log scans have come."""
        from cryptolake.sources.onchain.source import OnchainSource
        from cryptolake.version import __version__

        return OnchainSource(
            registry=self.registry,
            csus=csus,
            pools=self.pool,
            block_cache=self.block_cache,
            provenance={"cryptolake": __version__} | ({"sandbox": "true"} if any(csu.sandbox for csu in csus) else {}),
            journals=self.folder.journals,
            discovered=self.folder.discovered,
            audit=self.settings.audit,
            grade=self.settings.wanted_grade,
            state_grade=self.settings.wanted_state_grade,
            watch=watch,
            liars=self.liars,
            sample=self.settings.sample,
            kept=self.bronze,
        )

    @cached_property
    def found(self) -> FoundSources:
        """The files that are sources, and the faulty ones with what is wrong."""
        from cryptolake.sources.found import find_sources

        found = find_sources()
        self._refuse_our_variables(found)
        for module, fault in found.refused.items():
            log.warning("source left out", file=module, fault=fault)
        return found

    def _refuse_our_variables(self, found: FoundSources) -> None:
        """Leave out, by name, the files whose key is a setting's variable: they would be handed its value."""
        from cryptolake.settings.names import is_ours

        for file in list(found.files):
            ours = [key for key in file.keys if is_ours(key, type(self.settings).model_fields)]
            if ours:
                found.files.remove(file)
                found.refused[file.module] = f"key {ours[0]} is a setting of cryptolake's own; rename the key"
                found.keys = [key for key in found.keys if key not in ours]

    def _opened(self, provenance: dict[str, str] | None = None) -> Opened:
        from cryptolake.catalogue import fed_by_any_source, shared
        from cryptolake.sources.found import open_all

        return open_all(self.found, self.access(provenance), fed_by_any_source(), shared())

    def vendors(self, provenance: dict[str, str] | None = None) -> dict[str, Source]:
        """Every vendor source by name. Raises BadInput that names every faulty file: nothing is left out in silence."""
        return self._opened(provenance).all()

    def vendor(self, name: str, provenance: dict[str, str] | None = None) -> Source:
        """One vendor source, whatever is wrong with others. Raises BadInput naming the known ones and the faulty files."""
        return self._opened(provenance).one(name, self.found)

    def access(self, provenance: dict[str, str] | None = None) -> Access:
        """What a vendor's source is handed: HTTP, addresses, keys, watch lists, limits, and the chains' endpoints."""
        from cryptolake.net.access import Access
        from cryptolake.sources.onchain.for_all import ForAll
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
            read=ForAll(self.registry.chains, settings.wanted_state_grade, settings.audit, self.block_cache),
        )

    @cached_property
    def database(self) -> Database:
        """The user's PostgreSQL, or the embedded one under the data folder."""
        from cryptolake.catalogue import contracts
        from cryptolake.publish.database import Database

        url, reader = self.settings.database_url, self.settings.reader_url
        return Database(
            self.settings.data,
            address=url.get_secret_value() if url is not None else None,
            reader=reader.get_secret_value() if reader is not None else None,
            schema=self.settings.db_schema,
            tables=contracts,
        )

    def warehouse(self) -> AbstractContextManager[Warehouse]:
        """A session of PostgreSQL with every table that was found set up."""
        return self.database.warehouse()

    @property
    def stores(self) -> Stores:
        """Where the data rests, as the rivers take it; PostgreSQL is opened by who needs it."""
        from cryptolake.lake.runs import Runs
        from cryptolake.publish.stores import Stores

        return Stores(self.bronze, Runs(self.settings.data), self.ledger, self.tables, self.warehouse)

    def prepare(self, *, reading: bool = False) -> None:
        """Make the data folder. Raises BadInput for a name that tables cannot lie under, Stop when it cannot be written.

        For who is only `reading`, a folder that is there and cannot be written is good enough.
        """
        from cryptolake.files.folder_name import check_folder

        check_folder(self.settings.data)
        if not (reading and self.folder.root.is_dir() and not self.folder.is_writable):
            self.folder.prepare()

    def close(self) -> None:
        """Close what was opened; safe to call twice. What is used afterwards is opened anew."""
        for pool in self._pools.values():
            pool.remember()
        self._pools.clear()  # they and the limits hold the client and the budgets that are closed now
        self.__dict__.pop("limits", None)
        self.__dict__.pop("purse", None)
        for name in ("_spending", "http", "ledger", "gates", "budgets"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()
