"""A kept reading is good while the code that made it stays: another release or another family's file changes nothing."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest
from benchmarks.synthetic_lake import World, fill, market, partitions
from benchmarks.synthetic_lake import source as source_of

from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Row
from cryptolake.lake.bronze import Bronze
from cryptolake.registry.loader import Registry
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain import aave_v3, events, morpho_blue, reader
from cryptolake.sources.onchain.families import families, family_module
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.work.refine import answers

DAY = date(2024, 1, 29)


class Files:
    """Module files as they would be after an edit."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def edit(self, module: ModuleType, text: str = "\n# changed\n") -> None:
        real = inspect.getsource

        def getsource(asked: object) -> str:
            return real(asked) + text if asked is module else real(asked)  # type: ignore[arg-type]

        self._patch.setattr(inspect, "getsource", getsource)
        reader.reader_digest.cache_clear()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    yield Files(monkeypatch)
    monkeypatch.undo()
    reader.reader_digest.cache_clear()


def csus() -> list[Csu]:
    return [market("an_aave", "ethereum"), replace(market("a_morpho", "ethereum"), family="morpho_blue")]


def stamps() -> dict[str, str]:
    every = {csu.name: csu for csu in csus()}
    source = OnchainSource(
        registry=Registry({}, every), csus=list(every.values()), pools=lambda _: pytest.fail("asked")
    )
    return {name: source.reader(name) for name in every}


@pytest.mark.parametrize(
    ("module", "changed"),
    [
        (aave_v3, {"an_aave"}),
        (morpho_blue, {"a_morpho"}),
        (events, {"an_aave", "a_morpho"}),  # both families decode by it
    ],
)
def test_a_changed_file_changes_the_stamps_of_those_who_read_by_it(
    files: Files, module: ModuleType, changed: set[str]
) -> None:
    before = stamps()
    files.edit(module)
    after = stamps()
    assert {name for name in before if before[name] != after[name]} == changed


def test_every_family_reads_by_its_own_file_and_by_no_transport() -> None:
    for name in families():
        module = family_module(name)
        assert module is not None
        modules = set(reader.reading_modules(module))
        assert {f"cryptolake.sources.onchain.{one}" for one in (name, "rows", "records")} <= modules
        assert {"cryptolake.net.abi", "cryptolake.net.multicall", "cryptolake.net.logs"} <= modules
        assert not {f"cryptolake.net.{one}" for one in ("http", "rpc", "limiter", "blocks")} & modules
        others = {f"cryptolake.sources.onchain.{other}" for other in families()} - {
            f"cryptolake.sources.onchain.{name}"
        }
        assert not others & modules


def test_a_markets_addresses_are_part_of_its_stamp() -> None:
    (csu, _) = csus()
    moved = replace(csu, entry={"pool": "0x" + "11" * 20}, notes=("another note",))
    noted = replace(csu, notes=("another note",))
    made = [
        OnchainSource(registry=Registry({}, {}), csus=[one], pools=lambda _: pytest.fail("asked")).reader(csu.name)
        for one in (csu, noted, moved)
    ]
    assert made[0] == made[1] != made[2]


def test_only_a_changed_reader_makes_answers_be_read_again(
    files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world = World([market("one", "ethereum")], assets=2)
    fill(tmp_path, world, DAY, DAY, quiet_events=1).close()
    asked = [one for one in partitions(world, DAY, DAY) if one.dataset == "tvl"]
    source, bronze, read = source_of(world), Bronze(tmp_path), list[Raw]()
    parse = source.parse

    def counting(raw: Raw) -> list[Row]:
        read.append(raw)
        return list(parse(raw))

    monkeypatch.setattr(source, "parse", counting)

    def again() -> int:
        read.clear()
        answers(source, "tvl", asked, bronze=bronze)
        return len(read)

    assert (again(), again()) == (len(asked), 0)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "cryptolake" and hasattr(module, "__version__"):
            monkeypatch.setattr(module, "__version__", "99.0")
    assert again() == 0, "another release reads nothing again"
    files.edit(morpho_blue)
    assert again() == 0, "another family's file reads nothing again"
    files.edit(aave_v3)
    assert (again(), again()) == (len(asked), 0)
