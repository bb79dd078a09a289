"""A lake of the local chain's market, collected through endpoints of one's choice by the same road as any command's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
import yaml
from tests.chain.collecting import told
from tests.chain.scenario import Fortnight
from tests.sources.test_onchain_equals_contracts import DAYS

from cryptolake.app import App
from cryptolake.contracts.partition import Partition, Period
from cryptolake.flow.collect import Collected
from cryptolake.flow.resume import wish_for
from cryptolake.net.abi import checksum
from cryptolake.settings import load_settings
from cryptolake.work import lending
from cryptolake.work.verify import Verified, verify

MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
SPAN = 5  # blocks; the chain has few
WANTED = [Partition("liquidations", "local", Period.of_day(day)) for day in DAYS]


class Lake:
    """The folder of one lake; every collection opens it anew, as another run would."""

    def __init__(self, folder: Path, fortnight: Fortnight) -> None:
        self.folder, self.fortnight = folder, fortnight
        self.eventful = [one for one in WANTED if fortnight.liquidations_on(one.period.day)]

    @contextmanager
    def opened(
        self,
        own: Sequence[str] = ("http://127.0.0.1:9",),
        *,
        public: Sequence[str] = (),
        operators: Sequence[str] = (),
        told_of_public: Mapping[str, Mapping[str, Any]] | None = None,
        span: int = SPAN,
        **settings: Any,
    ) -> Iterator[App]:
        """The lake with these endpoints; own ones have the operators named ("": nobody says), by default one each."""
        self.folder.mkdir(exist_ok=True)
        registry = self.folder / "chains.yaml"
        registry.write_text(yaml.safe_dump(self._registry(public)))
        endpoints: dict[str, Any] = {
            f"local-own-{n}": {"span": span} | ({"operator": told} if told else {})
            for n, told in zip(
                range(1, len(own) + 1), operators or [f"operator-{one}" for one in range(1, 9)], strict=False
            )
        }
        given = load_settings(
            data=self.folder / "data",
            registry=registry,
            rpc={"local": list(own)},
            endpoints=endpoints | dict(told_of_public or {}),
            workers=1,
            **{"public_rpc": True} | settings,
        )
        with closing(App(given)) as app:
            yield app

    def _registry(self, public: Sequence[str]) -> dict[str, Any]:
        entry = {"pool": checksum(self.fortnight.market.pool)}
        multicall3 = {"address": MULTICALL3, "block": 0}
        chain = {
            "chain_id": 31337,
            "native_symbol": "ETH",
            "multicall3": multicall3,
            "receipts": {"rule": "standard", "why": "a local node"},
        }
        csu = {"name": "local", "family": "aave_v3", "protocol": "aave", "version": "3", "chain": "local"}
        return {
            "schema_version": 1,
            "chains": {"local": chain | {"public_rpcs": list(public)}},
            "csus": [
                csu | {"chain_id": 31337, "entry": entry, "deployment": {"block": 1}, "sources": ["a local node"]}
            ],
        }

    def collect(self, app: App, wanted: Sequence[Partition] = WANTED, *, resume: bool = True) -> Collected:
        return lending.collect(app, [app.registry.csu("local")], wish_for(wanted), resume=resume)

    def wanted_again(self, app: App) -> list[Partition]:
        """What the next collection would ask for."""
        from cryptolake.flow.resume import compare

        return sorted(compare(wish_for(WANTED), app.ledger).missing)

    def verified(self, app: App) -> dict[Partition, Verified]:
        states, csus = app.ledger.states(), app.registry.csus
        found = verify(WANTED, states, app.bronze, "onchain", accused=app.liars.accused, csus=csus)
        return {one.partition: one for one in found}

    def certificate(self, app: App, partition: Partition) -> dict[str, Any]:
        raw = app.bronze.read(partition, "onchain")
        assert raw is not None
        found: dict[str, Any] = orjson.loads(raw.payload)["certificate"]
        return found

    def wrong(self, app: App) -> list[Partition]:
        """The days whose rows are not what happened."""
        source, found = app.onchain([app.registry.csu("local")]), []
        for one in WANTED:
            raw = app.bronze.read(one, "onchain")
            assert raw is not None
            if [told(row) for row in source.parse(raw)] != self.fortnight.liquidations_on(one.period.day):
                found.append(one)
        return found


def without_receipts(lake: Lake) -> None:
    """Let the lake's chain be one whose receipts nobody can prove."""
    told = lake._registry

    def changed(public: Any) -> dict[str, Any]:
        registry = told(public)
        registry["chains"]["local"]["receipts"] = {"rule": "not_supported", "why": "a world without"}
        return registry

    lake._registry = changed  # type: ignore[method-assign]
