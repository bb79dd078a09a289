"""The documented checkpoint files, written from the ledger and read back into partitions. They decide nothing themselves.

tvl_progress.json, liquidations_progress.json    {csu: {completed_dates, failed_dates, last_updated}}
checkpoint.json     {last_updated, completed_tasks: [{csu, date, tvl, liquidations}], failed_tasks: [{csu, date, error}]}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from cryptolake.contracts.entry import SETTLED, Entry
from cryptolake.contracts.partition import MARKET_DATASETS, Partition, Period
from cryptolake.errors import BadInput
from cryptolake.files.atomic import write_bytes
from cryptolake.state.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a checkpoint says of one partition: completed, or failed with an error."""

    partition: Partition
    completed: bool
    error: str | None = None


def _every(_partition: Partition) -> bool:
    return True


def write_checkpoints(ledger: Ledger, folder: Path, chosen: Callable[[Partition], bool] = _every) -> list[Path]:
    """Write `tvl_progress.json` and `liquidations_progress.json`, of the chosen partitions.

    Completed means settled: answered, empty or gone.
    """
    written = []
    for dataset in MARKET_DATASETS:
        progress: dict[str, dict[str, object]] = {}
        completed: dict[str, list[str]] = {}
        failed: dict[str, list[str]] = {}
        for partition, entry in sorted(ledger.states(dataset).items()):
            if not chosen(partition):
                continue
            progress.setdefault(partition.key, {"last_updated": ""})
            if entry.state in SETTLED:
                completed.setdefault(partition.key, []).append(str(partition.period))
            elif entry.state == "failed":
                failed.setdefault(partition.key, []).append(str(partition.period))
            at = _stamp(entry)
            progress[partition.key]["last_updated"] = max(at, str(progress[partition.key]["last_updated"]))
        document = {
            csu: {"completed_dates": completed.get(csu, []), "failed_dates": failed.get(csu, []), **rest}
            for csu, rest in progress.items()
        }
        written.append(_write(folder / f"{dataset}_progress.json", document))
    return written


def write_tasks(ledger: Ledger, path: Path, chosen: Callable[[Partition], bool] = _every) -> Path:
    """Write `checkpoint.json`: a task per chosen market and period with what is completed of it, and every failure."""
    done: dict[tuple[str, str], dict[str, object]] = {}
    failed, last = [], ""
    for dataset in MARKET_DATASETS:
        for partition, entry in ledger.states(dataset).items():
            if not chosen(partition):
                continue
            last = max(last, _stamp(entry))
            if entry.state in SETTLED:
                task = {"csu": partition.key, "date": str(partition.period), **dict.fromkeys(MARKET_DATASETS, False)}
                done.setdefault((partition.key, str(partition.period)), task)[dataset] = True
            elif entry.state == "failed":
                error = f"{dataset}: {entry.error or entry.reason}"
                failed.append({"csu": partition.key, "date": str(partition.period), "error": error})
    document = {"last_updated": last, "completed_tasks": [done[one] for one in sorted(done)], "failed_tasks": failed}
    return _write(path, document)


def read_checkpoint(path: Path, dataset: str | None = None) -> list[Claimed]:
    """What a checkpoint file of either shape says. Raises BadInput naming what is wrong.

    The first shape does not say its dataset: it is told by the file's name or by `dataset`. A failed task of the second
    shape is taken for every dataset that no completed task of the same market and day has.
    """
    try:
        document = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"there is no file {path}; give a checkpoint's path") from None
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{path.name} is no JSON ({error}); a checkpoint is a JSON object") from None
    if not isinstance(document, Mapping):
        raise BadInput(f"{path.name} is no JSON object; see `cryptolake ledger export` for the two shapes")
    if "completed_tasks" in document:
        return list(_tasks(path, document))
    named = dataset or next((one for one in MARKET_DATASETS if path.name.startswith(one)), None)
    if named is None:
        raise BadInput(f"{path.name} does not say its dataset; add --dataset tvl or --dataset liquidations")
    return [
        Claimed(Partition(named, csu, Period.parse(str(period))), completed)
        for csu, said in document.items()
        for field, completed in (("completed_dates", True), ("failed_dates", False))
        for period in _listed(path, csu, said, field)
    ]


def _tasks(path: Path, document: Mapping[str, object]) -> Iterator[Claimed]:
    done = set()
    for task in _listed(path, "the file", document, "completed_tasks"):
        csu, period = _named(path, task)
        for dataset in MARKET_DATASETS:
            if isinstance(task, Mapping) and task.get(dataset) is True:
                done.add((dataset, csu, period))
                yield Claimed(Partition(dataset, csu, period), True)
    for task in _listed(path, "the file", document, "failed_tasks"):
        csu, period = _named(path, task)
        error = str(task.get("error", "")) if isinstance(task, Mapping) else ""
        for dataset in MARKET_DATASETS:
            if (dataset, csu, period) not in done:
                yield Claimed(Partition(dataset, csu, period), False, error)


def _listed(path: Path, what: str, said: object, field: str) -> list[object]:
    found = said.get(field, []) if isinstance(said, Mapping) else None
    if not isinstance(found, list):
        raise BadInput(f"{path.name}: {what} has no list {field!r}; see `cryptolake ledger export` for the two shapes")
    return found


def _named(path: Path, task: object) -> tuple[str, Period]:
    if not isinstance(task, Mapping) or not {"csu", "date"} <= set(task):
        raise BadInput(f"{path.name}: a task needs csu and date; this one does not have them: {task!r:.80}")
    return str(task["csu"]), Period.parse(str(task["date"]))


def _stamp(entry: Entry) -> str:
    return entry.at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(path: Path, document: object) -> Path:
    write_bytes(path, orjson.dumps(document, option=orjson.OPT_INDENT_2))
    return path
