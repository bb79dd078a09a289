"""What the certificates in on-chain answers were read to prove, so that who makes tables need not read them at every build.

Kept by the digest of the answer and by the code that read it: of another answer, or by other code, nothing is known and the
answer is read. May be deleted: every certificate is read once then. What does not belong here: what a certificate proves
(sources/onchain/grading), and whose word counts where the ledger says something else (work.grading).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import orjson

from cryptolake.files.atomic import write_bytes


@dataclass(frozen=True, slots=True)
class ReadProof:
    """How far an answer is proven by what lies in it (`contracts.grades`), and whether it holds a contradiction."""

    grade: str
    doubted: bool


class ReadProofs:
    """What is known of the answers in the folder `bronze`, kept in its `proofs.json`. Thread-safe."""

    def __init__(self, bronze: Path) -> None:
        self._file = bronze / "proofs.json"
        self._lock = threading.Lock()
        self._known: dict[str, list[object]] | None = None
        self._reader, self._new = "", 0

    def of(self, digest: str, reader: str) -> ReadProof | None:
        """What this code (its digest) read in the answer of this digest; None where that is not known."""
        with self._lock:
            found = self._of(reader).get(digest)
        match found:
            case [str(grade), bool(doubted)]:
                return ReadProof(grade, doubted)
            case _:
                return None

    def note(self, digest: str, reader: str, proof: ReadProof) -> None:
        """What this code read in the answer of this digest."""
        with self._lock:
            self._of(reader)[digest] = [proof.grade, proof.doubted]
            self._new += 1

    def keep(self) -> None:
        """Write down what was noted."""
        with self._lock:
            if self._new and self._known is not None:
                write_bytes(self._file, orjson.dumps({"reader": self._reader, "proofs": self._known}), synced=False)
            self._new = 0

    def _of(self, reader: str) -> dict[str, list[object]]:
        if self._known is None or reader != self._reader:
            self._known, self._reader = _read(self._file, reader), reader
        return self._known


def _read(file: Path, reader: str) -> dict[str, list[object]]:
    """What was kept by the same code; nothing where it cannot be read."""
    try:
        found = orjson.loads(file.read_bytes())
        return dict(found["proofs"]) if found["reader"] == reader else {}
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return {}
