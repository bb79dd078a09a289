"""Takes over what a researcher kept before: days in their documented form, day boundaries, prices. All of it is unproven.

Everything is read before anything is kept, and nothing that was asked for is replaced. What does not belong here: reading a
documented day (sources.onchain.adopted), and asking for what was taken over (the next collection does).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import orjson

from cryptolake.app import App
from cryptolake.contracts.counting import counted
from cryptolake.contracts.entry import SETTLED
from cryptolake.contracts.grades import UNPROVEN
from cryptolake.contracts.partition import MARKET_DATASETS, Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.errors import BadInput, Skip
from cryptolake.flow.landing import land
from cryptolake.flow.outputs import Output
from cryptolake.net.stated_header import Header
from cryptolake.registry.tables import report
from cryptolake.registry.tabular import table_lines
from cryptolake.sources.onchain.adopted import adopted_raw
from cryptolake.sources.onchain.families import families, isolating
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.work.prices import keep_file, read_file, value_anew
from cryptolake.work.repair import adopt

_TABLES = (".csv", ".json", ".parquet")
_SHOWN = 20  # faults that are listed one by one
_BLOCKS = ("chain", "date", "block")


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was taken over: market-days, day boundaries and prices; and what was left out.

    `known` are market-days of which there is an answer already, `strangers` markets that the registry does not know, `alone`
    those whose totals need more than a documented day says (isolated markets).
    """

    days: int
    boundaries: int
    prices: int
    known: int
    strangers: tuple[str, ...]
    alone: tuple[str, ...]


def adopt_folder(app: App, folder: Path, columns: Mapping[str, str] | None = None) -> Adopted:
    """Take over a folder; `columns` says how its price file calls ours. Raises BadInput with its faults, nothing kept then.

    `tvl/<market>/<day>.json` and `liquidations/<market>/<day>.json` (or the same under `bronze/`) are days in their
    documented form, `blocks.csv|json|parquet` day boundaries (chain, date, block: the last one of the day), `prices.*` what
    `prices import` reads. Silver is made of it at once; a market-day of it is `suspect` and asked by the next collection.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder; give one with tvl/, liquidations/, blocks.* or prices.*")
    faults: list[str] = []
    strangers, alone = set[str](), set[str]()
    found = list(_answers(app, folder, faults, strangers, alone))
    source = app.onchain([app.registry.csus[name] for name in sorted({one.partition.key for one in found})])
    states, new = app.ledger.states(), []
    for raw in found:
        try:
            source.parse(raw)
        except Skip as error:
            faults.append(str(error))
        entry = states.get(raw.partition)
        if entry is None or entry.state not in SETTLED or entry.grade == UNPROVEN:
            new.append(raw)
    boundaries = _boundaries(app, folder, faults)
    prices = [read_file(app, path, columns, adopted=True) for path in _tables(folder, "prices")]
    report(f"{folder}", [*faults[:_SHOWN], *([f"and {len(faults) - _SHOWN:,} more"] if len(faults) > _SHOWN else [])])
    if not (found or boundaries or prices or strangers or alone):
        raise BadInput(f"{folder} has nothing to take over; it needs tvl/, liquidations/, blocks.* or prices.*")
    for chain, of_chain in boundaries.items():
        app.block_cache.put(chain, of_chain)
    _keep(app, new, source)
    for raw, rows in prices:
        keep_file(app, raw, rows)
    if prices:
        value_anew(app)
    return Adopted(
        days=len(new),
        boundaries=sum(map(len, boundaries.values())),
        prices=sum(rows for _, rows in prices),
        known=len(found) - len(new),
        strangers=tuple(sorted(strangers)),
        alone=tuple(sorted(alone)),
    )


def made_of_it(app: App) -> list[Output]:
    """Silver and the panel with what was taken over in them."""
    from cryptolake.work import lending

    return [*lending.refine(app), *lending.build(app).outputs]


def _keep(app: App, answers: Sequence[Raw], source: OnchainSource) -> None:
    """Land the answers and enter them in the ledger as any other, by what they say of themselves."""
    for raw in answers:
        land(source, raw, app.bronze)
        adopt(raw.partition, app.ledger, app.bronze, source)


def _answers(app: App, folder: Path, faults: list[str], strangers: set[str], alone: set[str]) -> Iterator[Raw]:
    """The documented days of the folder, in order; what is wrong with a file is appended to `faults`."""
    now = datetime.now(UTC)
    for dataset in MARKET_DATASETS:
        for path in sorted([*folder.glob(f"{dataset}/*/*.json"), *folder.glob(f"bronze/{dataset}/*/*.json")]):
            name = path.relative_to(folder).as_posix()
            try:
                csu = app.registry.csu(path.parent.name)
                period = Period.of_day(date.fromisoformat(path.stem), app.boundary)
                document = orjson.loads(path.read_bytes())
            except BadInput:
                strangers.add(path.parent.name)
                continue
            except (ValueError, OSError) as error:
                faults.append(f"{name}: {error}; a documented day is a JSON object called <day>.json")
                continue
            if csu.family not in families() or isolating(csu.family) is not None:
                alone.add(csu.name)
            elif not isinstance(document, dict):
                faults.append(f"{name}: no JSON object")
            else:
                try:
                    yield adopted_raw(Partition(dataset, csu.name, period), csu.chain, document, name, now)
                except Skip as error:
                    faults.append(str(error))


def _tables(folder: Path, name: str) -> list[Path]:
    return [path for ending in _TABLES if (path := folder / f"{name}{ending}").exists()]


def _boundaries(app: App, folder: Path, faults: list[str]) -> dict[str, dict[int, Header]]:
    """Of each chain the last block of each day that the folder names: where to look, not what is so."""
    found: dict[str, dict[int, Header]] = {}
    for path in _tables(folder, "blocks"):
        for line in table_lines(path.name, path.read_bytes(), _BLOCKS, faults):
            cells = line.cells
            try:
                end = Period.of_day(date.fromisoformat(cells["date"]), app.boundary).end
                number = int(cells["block"])
                chain = app.registry.chain(cells["chain"]).name
                if number < 0:
                    raise ValueError(f"{number:,} is no block")
            except (ValueError, BadInput) as error:
                faults.append(f"{line.where}: {error}; write {', '.join(_BLOCKS)}")
                continue
            at = int(end.timestamp())
            found.setdefault(chain, {})[at] = Header(number, at - 1, "", adopted=True)
    return found


def said(found: Adopted) -> list[str]:
    """What was left out, a line each."""
    lines = []
    if found.known:
        lines.append(f"{counted(found.known, 'market-day')} left as they are: there is an answer of the chain already")
    if found.strangers:
        lines.append(f"not in the registry, left out: {', '.join(found.strangers)}")
    if found.alone:
        lines.append(f"left out, a documented day says too little of them: {', '.join(found.alone)}; collect them")
    return lines
