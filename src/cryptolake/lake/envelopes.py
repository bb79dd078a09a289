"""An answer as the bytes of its file, and the doubt that lies beside one: what contradicts it, until that is settled.

What does not belong here: where the files lie (bronze), and what a doubt is worth (sources).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson

from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Raw

_BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, orjson.JSONDecodeError, KeyError, ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class LostAnswer:
    """What ledger and side files know of an answer that is gone: its number of rows, its grade, the digest of its rows."""

    rows: int | None = None
    grade: str | None = None
    content: str | None = None


@dataclass(frozen=True, slots=True)
class KeptDoubt:
    """Why the answer of a partition is doubted, in words, and the answer that says otherwise (None: nobody's was kept).

    `lost` is what is known of an answer that lay there and that nobody can read any more; `says` is empty where that is all.
    """

    says: str
    rival: Raw | None = None
    lost: LostAnswer | None = None


def packed(raw: Raw) -> bytes:
    """The bytes of an answer's file. The payload is kept as text whose code points are its bytes, so that any bytes survive."""
    return _zipped(_document(raw))


def unpacked(content: bytes) -> Raw | None:
    """The answer in the bytes of its file; None when they are damaged or no longer match its digest."""
    try:
        return _answer(orjson.loads(gzip.decompress(content)))
    except _BROKEN:
        return None


def packed_doubt(doubt: KeptDoubt) -> bytes:
    """The bytes of a doubt's file."""
    told: dict[str, object] = {
        "says": doubt.says,
        "rival": None if doubt.rival is None else _document(doubt.rival),
    }
    return _zipped(told if doubt.lost is None else told | {"lost": asdict(doubt.lost)})


def unpacked_doubt(content: bytes) -> KeptDoubt:
    """The doubt in the bytes of its file. Of a damaged one nobody knows any more what it was: it is a doubt all the same."""
    try:
        document = orjson.loads(gzip.decompress(content))
        rival, lost = document["rival"], document.get("lost")
        return KeptDoubt(
            str(document["says"]),
            None if rival is None else _answer(rival),
            None if lost is None else LostAnswer(**lost),
        )
    except _BROKEN:
        return KeptDoubt("what contradicted it cannot be read any more")


def _zipped(document: Mapping[str, object]) -> bytes:
    return gzip.compress(orjson.dumps(document), 6, mtime=0)


def _document(raw: Raw) -> dict[str, object]:
    return {
        "partition": str(raw.partition),
        "source": raw.source,
        "fetched_at": raw.fetched_at.isoformat(),
        "observed_at": raw.observed_at.isoformat(),
        "block": raw.block,
        "block_hash": raw.block_hash,
        "request": dict(raw.request),
        "provenance": dict(raw.provenance),
        "digest": raw.digest,
        "payload": raw.payload.decode("latin-1"),
    }


def _answer(document: Mapping[str, Any]) -> Raw | None:
    raw = Raw(
        partition=Partition.parse(document["partition"]),
        source=document["source"],
        fetched_at=datetime.fromisoformat(document["fetched_at"]),
        observed_at=datetime.fromisoformat(document["observed_at"]),
        payload=document["payload"].encode("latin-1"),
        request=document["request"],
        provenance=document["provenance"],
        block=document["block"],
        block_hash=document["block_hash"],
    )
    return raw if raw.digest == document["digest"] else None
