"""Answers as they lie in somebody's bronze folder or in an archive of it, found by the digest that a ledger recorded.

An answer that was superseded since is found beside the one that took its place. What does not belong here: reading an answer
(sources), the folder at work (bronze) and packing vendors' hours (archives).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

from cryptolake.contracts.partition import Partition
from cryptolake.errors import BadInput
from cryptolake.files.atomic import write_bytes
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.envelopes import unpacked

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same answers give the same bytes
_ROOT = "bronze"


class KeptAnswers:
    """The answers under `place`: a bronze folder, a data folder that has one, or an archive that `archived` wrote.

    Raises BadInput where there is neither.
    """

    def __init__(self, place: Path) -> None:
        self._zip: zipfile.ZipFile | None = None
        if place.is_file():
            try:
                self._zip = zipfile.ZipFile(place)
            except zipfile.BadZipFile:
                raise BadInput(f"{place} is no archive of answers; give the ZIP file or the bronze folder") from None
            self._names = frozenset(self._zip.namelist())
        elif (place / _ROOT).is_dir() or (place.name == _ROOT and place.is_dir()):
            self._root = place.parent if place.name == _ROOT else place
        elif place.is_dir() and any((place / dataset).is_dir() for dataset in ("tvl", "liquidations")):
            raise BadInput(f"{place} lies under another name than {_ROOT}; rename it, or give the folder above it")
        else:
            raise BadInput(
                f"there are no answers at {place}; give a data folder, its {_ROOT} folder or an archive of it"
            )

    def find(self, partition: Partition, source: str, digest: str) -> bytes | None:
        """The file of the answer with this digest, unharmed and of this partition; None where it is not here."""
        for packed in self._candidates(partition, source, digest):
            raw = unpacked(packed)
            if raw is not None and raw.digest == digest and raw.partition.key == partition.key:
                return packed
        return None

    def _candidates(self, partition: Partition, source: str, digest: str) -> Iterable[bytes]:
        name = place_of(partition, source)
        superseded = f".superseded-{digest[:12]}"
        if self._zip is not None:
            for one in (name, name + superseded):
                if f"{_ROOT}/{one}" in self._names:
                    yield self._zip.read(f"{_ROOT}/{one}")
            return
        path = self._root / _ROOT / name
        for file in (path, path.with_name(path.name + superseded)):
            if file.exists():
                yield file.read_bytes()
        packed = path.parent.with_name(f"{path.parent.name}.zip")
        if packed.exists():
            with zipfile.ZipFile(packed) as archive:
                names = frozenset(archive.namelist())
                yield from (archive.read(one) for one in (path.name, path.name + superseded) if one in names)


def place_of(partition: Partition, source: str) -> str:
    """Where the answer of a partition lies below a bronze folder."""
    return Bronze(Path()).raw_path(partition, source).relative_to(_ROOT).as_posix()


def archived(answers: Iterable[tuple[Partition, str, bytes]], path: Path) -> int:
    """Write an archive of answers (partition, source, file); the same answers give the same bytes. Returns how many."""
    found = sorted((place_of(partition, source), packed) for partition, source, packed in answers)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:  # the files are compressed already
        for name, packed in found:
            archive.writestr(zipfile.ZipInfo(f"{_ROOT}/{name}", _EPOCH), packed)
    write_bytes(path, content.getvalue())
    return len(found)
