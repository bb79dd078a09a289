"""Archives: a folder of answers as one ZIP file beside it, so that hourly pulls do not leave millions of small files.

The answers inside are the very files, unchanged. A packed answer that was superseded keeps its place under another name.
What does not belong here: what an answer means, and when to pack.
"""

from __future__ import annotations

import gzip
import io
import threading
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import orjson

from cryptolake.files.atomic import write_bytes

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same answers give the same bytes


class Archives:
    """Reads and writes the packed form of answer folders; keeps the last one open. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: tuple[Path, int, zipfile.ZipFile] | None = None

    def read(self, path: Path) -> bytes:
        """The bytes of the answer that lay at `path` before its folder was packed. Raises FileNotFoundError."""
        place = path.parent.with_name(f"{path.parent.name}.zip")
        try:
            with self._lock:
                return self._archive(place).read(path.name)
        except (KeyError, OSError, zipfile.BadZipFile, zlib.error):
            raise FileNotFoundError(str(path)) from None

    def pack(self, folder: Path) -> None:
        """Move the folder's files into its ZIP file. Killed at any moment, each answer is in one of the two places."""
        files = sorted(one for one in folder.glob("*") if one.is_file() and not one.name.startswith("."))
        if not files:
            return
        place = folder.with_name(f"{folder.name}.zip")
        with self._lock:
            kept = self._entries(place)
            seen = {file: file.stat().st_mtime_ns for file in files}
            for file in files:
                data, old = file.read_bytes(), kept.get(file.name)
                if old is not None and old != data:
                    kept[f"{file.name}.superseded-{_digest(old)}"] = old
                kept[file.name] = data
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:  # the files are compressed already
                for name, data in sorted(kept.items()):
                    archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
            self._close()
            write_bytes(place, packed.getvalue())
        for file, changed in seen.items():
            if (
                file.stat().st_mtime_ns == changed
            ):  # else another operation landed there meanwhile; the next packing takes it
                file.unlink()
        with suppress(OSError):
            folder.rmdir()

    def _entries(self, place: Path) -> dict[str, bytes]:
        if not place.exists():
            return {}
        try:
            archive = self._archive(place)
            return {name: archive.read(name) for name in archive.namelist()}
        except (zipfile.BadZipFile, zlib.error, EOFError):  # kept aside as it is: bronze throws nothing away
            self._close()
            place.replace(place.with_name(f"{place.name}.damaged"))
            return {}

    def _archive(self, place: Path) -> zipfile.ZipFile:
        changed = place.stat().st_mtime_ns
        if self._open is None or self._open[:2] != (place, changed):
            self._close()
            self._open = (place, changed, zipfile.ZipFile(place))
        return self._open[2]

    def _close(self) -> None:
        if self._open is not None:
            self._open[2].close()
            self._open = None


def _digest(packed: bytes) -> str:
    """What an answer's envelope calls its digest, shortened; the checksum of the bytes when it cannot be read."""
    try:
        return str(orjson.loads(gzip.decompress(packed))["digest"])[:12]
    except (ValueError, KeyError, EOFError, OSError, zlib.error):
        return f"{zlib.crc32(packed):08x}"
