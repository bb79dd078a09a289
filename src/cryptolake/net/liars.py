"""`Liars`: who was proven to answer logs wrongly, kept until a person clears them, and which answers rest on them alone.

A certificate proves it; a file of each remembers it, for all processes of a data folder. What does not belong here: how a lie
is proven (examination, settlement), and what becomes of a day that rests on one (work).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import orjson

from cryptolake.errors import Stop
from cryptolake.files.atomic import write_bytes
from cryptolake.net.endpoint import Endpoint
from cryptolake.net.voices import surely_one_told, tells_apart, told_by


@dataclass(frozen=True, slots=True)
class ProvenLiar:
    """Who answered a block of a chain wrongly: endpoint, who that was (`net.voices.told_by`), the block, when it was asked
    (ISO 8601, UTC).

    `cleared` is when a person said to believe it again ("": nobody did): what was asked before proves nothing then. `judged` is
    whether the days that were collected earlier have been looked through for it.
    """

    chain: str
    endpoint: str
    voice: str
    block: int
    proven: str
    cleared: str = ""
    judged: bool = False

    @property
    def identity(self) -> str:
        """Who it was; its name where only that was kept."""
        return self.voice if tells_apart(self.voice) else self.endpoint

    def speaks_as(self, endpoint: str, told: str) -> bool:
        """Whether an endpoint of this name, who is kept as `told`, is the same; by its name where nobody said who it was."""
        known = tells_apart(told) and tells_apart(self.voice)
        return surely_one_told(told, self.voice) if known else endpoint == self.endpoint

    @property
    def says(self) -> str:
        """What it did, in words."""
        return f"{self.endpoint} was proven to drop logs on {self.proven[:10]}"


Accuser = Callable[[str, str], ProvenLiar | None]
"""Given the name of an endpoint and who it is (`net.voices.told_by`): what was proven of it; None: nothing."""


def alone(certificate: Mapping[str, object], accused: Accuser, *, by_roots: bool) -> list[ProvenLiar]:
    """The liars on whose word alone some blocks of a certificate rest; none where receipts prove every block (`by_roots`)."""
    if by_roots:
        return []
    voices = certificate.get("voices") or {}
    assert isinstance(voices, Mapping)
    first, second = (list(_windows(certificate.get(name))) for name in ("windows", "second"))
    names = dict.fromkeys(name for _, _, name in (*first, *second))
    liars = {name: found for name in names if (found := accused(name, str(voices.get(name, "")))) is not None}
    others = sorted((start, end) for start, end, name in second if name not in liars)
    return [liars[name] for name in sorted({n for a, b, n in first if n in liars and not _covered(a, b, others)})]


def lie_about(endpoint: str, voice_of: str, block: int) -> dict[str, object]:
    """What a certificate says of one that was proven now to have answered a block wrongly, for `Liars.learn`."""
    return {
        "asked_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "voices": {endpoint: voice_of},
        "differences": [{"block": block, "liars": [endpoint]}],
        "liars": [endpoint],
    }


def resting_on(liars: Iterable[ProvenLiar]) -> str:
    """Why an answer that rests on these alone is suspect, in words."""
    return "; ".join(f"its only voice {one.says}" for one in liars)


class Liars:
    """Those of one data folder, a file each in `folder` (None: of this process alone). Thread-safe."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._known: dict[tuple[str, str], ProvenLiar] = {}
        self._read_at = -1  # when the folder was changed last as it was read

    def named(self, chain: str | None = None) -> list[ProvenLiar]:
        """Everybody who is not cleared, of one chain or of all. Raises Stop for a file that cannot be read."""
        return [one for one in self._all() if not one.cleared and chain in (None, one.chain)]

    def accused(self, chain: str) -> Accuser:
        """What was proven of a chain's endpoints, as of now."""
        named = self.named(chain)
        return lambda name, of: next((one for one in named if one.speaks_as(name, of)), None)

    def words_of(self, chain: str, endpoint: Endpoint) -> str | None:
        """What was proven of an endpoint, and what to do about it; None: nothing."""
        found = self.accused(chain)(endpoint.name, told_by(endpoint))
        return None if found is None else f"{found.says}; believe it again with `cryptolake rpc clear`"

    def learn(self, chain: str, certificate: Mapping[str, object]) -> None:
        """Remember whom a certificate proves to be a liar, unless a person cleared it since."""
        liars, voices, asked_at = (certificate.get(name) for name in ("liars", "voices", "asked_at"))
        for name in map(str, liars) if isinstance(liars, list) else ():
            of = str(voices.get(name, "")) if isinstance(voices, Mapping) else ""
            known = [one for one in self._all() if one.chain == chain and one.speaks_as(name, of)]
            before = max(known, key=lambda one: one.proven, default=None)
            if name and (before is None or (before.cleared and before.cleared < str(asked_at))):
                self._keep(ProvenLiar(chain, name, of, _block(certificate, name), str(asked_at)))

    def judged(self, liars: Iterable[ProvenLiar]) -> None:
        """Note that earlier days were looked through for these."""
        for one in liars:
            self._keep(replace(one, judged=True))

    def clear(self, name: str) -> list[ProvenLiar]:
        """Believe an endpoint or operator of this name again, whatever was proven until now; who that was."""
        found = [one for one in self.named() if name in (one.endpoint, one.voice) or surely_one_told(name, one.voice)]
        for one in found:
            self._keep(replace(one, cleared=datetime.now(UTC).isoformat(timespec="seconds")))
        return found

    def _all(self) -> list[ProvenLiar]:
        with self._lock:
            try:
                changed = -1 if self._folder is None else self._folder.stat().st_mtime_ns
            except FileNotFoundError:
                changed = -1
            if self._folder is not None and changed != self._read_at:
                found = [_read(path) for path in sorted(self._folder.glob("*.json"))]
                self._known, self._read_at = {(one.chain, one.identity): one for one in found}, changed
            return list(self._known.values())

    def _keep(self, one: ProvenLiar) -> None:
        with self._lock:
            self._known[one.chain, one.identity] = one
            if self._folder is not None:
                digest = hashlib.sha256(one.identity.encode()).hexdigest()[
                    :16
                ]  # who it was is anybody's word, and no file name
                content = orjson.dumps(asdict(one), option=orjson.OPT_INDENT_2)
                write_bytes(self._folder / f"{one.chain}-{digest}.json", content)
                before = self._folder / f"{one.chain}-{one.endpoint}.json"  # as earlier versions named it
                if before.exists() and _read(before).identity == one.identity:
                    before.unlink()
                self._read_at = -1


def _read(path: Path) -> ProvenLiar:
    try:
        return ProvenLiar(**orjson.loads(path.read_bytes()))
    except (ValueError, TypeError):
        raise Stop(
            f"{path} is damaged, so that nobody knows whom not to believe; delete it, then run `cryptolake ledger repair`"
        ) from None


def _block(certificate: Mapping[str, object], name: str) -> int:
    """The first block that it answered wrongly."""
    differences = certificate.get("differences")
    told = [one for one in differences if name in one.get("liars", ())] if isinstance(differences, Sequence) else []
    return int(told[0]["block"]) if told else 0


def _windows(given: object) -> Iterator[tuple[int, int, str]]:
    """First block, last block and endpoint of each of a certificate's windows."""
    for start, end, name, *_ in given if isinstance(given, Sequence) else ():
        yield int(start), int(end), str(name)


def _covered(start: int, end: int, others: Iterable[tuple[int, int]]) -> bool:
    """Whether ranges, which are in order, cover every block from `start` to `end`, both included."""
    for first, last in others:
        if first > start:
            break
        start = max(start, last + 1)
    return start > end
