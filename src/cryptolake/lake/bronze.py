"""Bronze: answers as they came, their documented reading beside them, and a compact Parquet twin per month.

    bronze/tvl/<csu>/<period>.raw.json.gz           the answer, with request, provenance and digest
    bronze/tvl/<csu>/<period>.doubt.gz              what contradicts it, until that is settled
    bronze/tvl/<csu>/<period>.json                  the documented form
    bronze/tvl/<csu>/<period>.rows.parquet          its rows, typed, until they are in the month's
    bronze/tvl/<csu>/<YYYY-MM>.parquet              the month's rows, typed
    bronze/isolated_markets/<csu>/<YYYY-MM>.parquet another reading of the month's tvl answers, typed
    bronze/bad_debt/<csu>/<YYYY-MM>.parquet         another reading of the month's liquidations answers, typed
    bronze/whole.json                               which of these answers were found whole; may be deleted
    bronze/proofs.json                              what their certificates were read to prove; may be deleted
    bronze/<source>/<dataset>/<period>/<key>.raw.json.gz    vendors
    bronze/<source>/<dataset>/<period>.zip                  the same files of a finished hour, packed into one

What does not belong here: reading an answer (sources) and scaling or pricing it (silver).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import orjson
import polars as pl

from cryptolake.contracts.partition import MARKET_DATASETS, Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Row
from cryptolake.files.atomic import sync_all, write_bytes
from cryptolake.files.content import bytes_of
from cryptolake.lake import twins
from cryptolake.lake.archives import Archives
from cryptolake.lake.envelopes import KeptDoubt, packed, packed_doubt, unpacked, unpacked_doubt
from cryptolake.lake.read_proofs import ReadProofs
from cryptolake.lake.whole import WholeAnswers

_SECTIONS = {"tvl": "tvl_raw", "liquidations": "liquidations"}  # where a documented form has its rows
_ANSWERS, _READER = "cryptolake.answers", "cryptolake.reader"  # what a twin says about itself
ONCHAIN = "onchain"  # its bronze lies directly under the dataset, as documented; vendors' under their name


def rows_of_document(partition: Partition, rows: Sequence[Row]) -> list[dict[str, object]]:
    """The rows of an on-chain answer as its documented form has them: without what all of them share."""
    shared = {
        "csu",
        "date",
        "chain",
        *(("block", "block_hash", "timestamp") if partition.dataset == "tvl" else ()),
    }
    return [{name: value for name, value in row.items() if name not in shared} for row in rows]


def content_of(partition: Partition, rows: Sequence[Row]) -> str:
    """Digest of the rows of an on-chain answer, as of those in a documented form."""
    return sha256(orjson.dumps(rows_of_document(partition, rows))).hexdigest()


class Bronze:
    """The bronze folder under the data folder `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root / "bronze"
        self._archives = Archives()
        self._whole = WholeAnswers(self._root)
        self.proofs = ReadProofs(self._root)
        self._unsynced: list[Path] = []  # vendors' answers come by the thousand; they are made durable together

    def _stem(self, partition: Partition, source: str) -> Path:
        if source == ONCHAIN:
            return self._root / partition.dataset / partition.key / str(partition.period)
        return self._root / source / partition.dataset / str(partition.period) / partition.key

    def raw_path(self, partition: Partition, source: str) -> Path:
        """Where the partition's answer lies."""
        stem = self._stem(partition, source)
        return stem.with_name(f"{stem.name}.raw.json.gz")

    def land(self, raw: Raw) -> str:
        """Keep an answer; returns its digest. The same answer again changes nothing.

        Another answer supersedes the old one, which stays beside it as `.superseded-<digest>`.
        """
        path = self.raw_path(raw.partition, raw.source)
        alone = raw.source == ONCHAIN
        old = self.read(raw.partition, raw.source) if path.exists() or not alone else None
        if old is not None and old.digest == raw.digest:
            return raw.digest
        if old is not None and old.digest != raw.digest and path.exists():
            path.replace(path.with_name(f"{path.name}.superseded-{old.digest[:12]}"))
        write_bytes(path, packed(raw), synced=alone)
        if alone:
            self._whole.note(raw.partition, path.stat(), raw.digest)
        else:
            self._unsynced.append(path)
        return raw.digest

    def lay_beside(self, raw: Raw) -> None:
        """Keep an answer that does not take the place of the one that is there, beside it as `.superseded-<digest>`."""
        path = self.raw_path(raw.partition, raw.source)
        write_bytes(path.with_name(f"{path.name}.superseded-{raw.digest[:12]}"), packed(raw))

    def doubt(self, partition: Partition, source: str) -> KeptDoubt | None:
        """What contradicts the partition's answer, or will contradict the first that comes; None where nothing does."""
        content = bytes_of(self._doubt_path(partition, source))
        return None if content is None else unpacked_doubt(content)

    def rival(self, partition: Partition, source: str) -> Raw | None:
        """The answer that contradicts the partition's; None where nothing does, or nobody's was kept."""
        doubt = self.doubt(partition, source)
        return None if doubt is None else doubt.rival

    def keep_doubt(self, partition: Partition, source: str, doubt: KeptDoubt) -> None:
        """Keep what contradicts a partition's answer; that of before stays beside it where it has a rival.

        What was known of a lost answer is known until the doubt is settled, and nothing that comes later stands for it.
        """
        before = self.doubt(partition, source)
        if before is not None and before.lost is not None:
            doubt = replace(doubt, lost=before.lost)
        if before is not None and before.rival is not None and before.rival != doubt.rival:
            self.lay_beside(before.rival)
        write_bytes(self._doubt_path(partition, source), packed_doubt(doubt))

    def forget_doubt(self, partition: Partition, source: str) -> None:
        """Nothing contradicts the partition's answer any more; what did stays beside it."""
        before = self.doubt(partition, source)
        if before is not None and before.rival is not None:
            self.lay_beside(before.rival)
        self._doubt_path(partition, source).unlink(missing_ok=True)

    def _doubt_path(self, partition: Partition, source: str) -> Path:
        stem = self._stem(partition, source)
        return stem.with_name(f"{stem.name}.doubt.gz")

    def settle(self) -> None:
        """Make every vendor answer landed so far survive a power cut. One lost before that no longer has its digest."""
        paths, self._unsynced = self._unsynced, []
        if paths:
            sync_all(paths)

    def read(self, partition: Partition, source: str) -> Raw | None:
        """The kept answer; None when there is none, its bytes no longer match their digest, or it answers something else."""
        path = self.raw_path(partition, source)
        try:
            looked = path.stat() if source == ONCHAIN else None
            content = bytes_of(path) if source == ONCHAIN or path.exists() else self._archives.read(path)
        except FileNotFoundError:
            return None
        raw = None if content is None else unpacked(content)  # truncated or damaged: the plan asks again
        if raw is None or (source == ONCHAIN and raw.partition != partition):
            return None
        if looked is not None:
            self._whole.note(partition, looked, raw.digest)
        return raw

    def keep(self, partition: Partition, source: str, content: bytes) -> None:
        """Lay down an answer as it lies in another bronze folder, byte for byte; not made durable."""
        write_bytes(self.raw_path(partition, source), content, synced=False)

    def pack(self, source: str, dataset: str, period: Period) -> None:
        """Put a vendor's answers of one period into one file: hourly pulls would leave millions of small ones in a year."""
        self._archives.pack(self._root / source / dataset / str(period))

    def intact(self, partition: Partition, digest: str | None = None, source: str = ONCHAIN) -> bool:
        """Whether the partition's answer is there and unharmed; with `digest`, whether it is that very answer."""
        raw = self.read(partition, source)
        return raw is not None and (digest is None or raw.digest == digest)

    def holds(self, partition: Partition, source: str, digest: str) -> bool:
        """Whether this very answer is there, in its place or beside the one that took it."""
        path = self.raw_path(partition, source)
        if self.intact(partition, digest, source):
            return True
        try:
            raw = unpacked(path.with_name(f"{path.name}.superseded-{digest[:12]}").read_bytes())
        except FileNotFoundError:
            return False
        return raw is not None and raw.digest == digest

    def lost(self, answers: Iterable[tuple[Partition, str]], source: str = ONCHAIN) -> set[Partition]:
        """The partitions whose answer of this digest is not there, or not whole (see `lake.whole` for how it knows).

        Costs a look at each file; those that nothing is known of are read.
        """

        def intact(partition: Partition, digest: str) -> bool:
            return self.intact(partition, digest, source)

        root = self._root

        def place(one: Partition, period: str) -> Path | str:
            if source != ONCHAIN:
                return self.raw_path(one, source)
            return f"{root}/{one.dataset}/{one.key}/{period}.raw.json.gz"  # there are millions

        return self._whole.lost(answers, intact, place)

    def keep_whole(self) -> None:
        """Keep what is known of whole answers and of their certificates, so that the next process need not read them."""
        self._whole.keep()
        self.proofs.keep()

    def document(self, raw: Raw, rows: Sequence[Row]) -> None:
        """Write the documented form of an on-chain answer: tvl with `tvl_raw`, liquidations with `liquidations`.

        Raw integers are decimal text, because JSON numbers lose digits above 2^53. Vendors have no documented form.
        """
        if raw.source != ONCHAIN:
            return
        head: dict[str, object] = {
            "csu": raw.partition.key,
            "date": str(raw.partition.period),
            "block": raw.block,
            "block_hash": raw.block_hash,
            "timestamp": int(raw.observed_at.timestamp()),
        }
        if raw.provenance.get("sandbox"):
            head["sandbox"] = True
        head[_SECTIONS[raw.partition.dataset]] = rows_of_document(raw.partition, rows)
        write_bytes(self._documented_path(raw.partition), orjson.dumps(head, option=orjson.OPT_INDENT_2))

    def documented_content(self, partition: Partition) -> str | None:
        """Digest of the rows in the documented form that lies there (`content_of`); None where none does that can be read."""
        try:
            rows = orjson.loads(self._documented_path(partition).read_bytes())[_SECTIONS[partition.dataset]]
            return sha256(orjson.dumps(rows)).hexdigest()
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
            return None

    def _documented_path(self, partition: Partition) -> Path:
        stem = self._stem(partition, ONCHAIN)
        return stem.with_name(f"{stem.name}.json")

    def keep_rows(self, raw: Raw, rows: Sequence[Row], *, reader: str) -> None:
        """Keep what an on-chain answer was read as, typed, until `compact` takes it into the month's twin.

        Not made durable: what a power cut takes is read again from the answer.
        """
        frame = pl.DataFrame(rows, infer_schema_length=None)
        content = twins.written(frame, {_ANSWERS: raw.digest, _READER: reader})
        write_bytes(self._rows_path(raw.partition), content, synced=False)

    def kept_rows(self, partition: Partition, digest: str, *, reader: str) -> list[Row] | None:
        """What this very answer was read as when it landed; None when that is not known, or was told by other code."""
        content = bytes_of(self._rows_path(partition))
        twin = None if content is None else twins.read(content)
        if twin is None or (twin[1].get(_ANSWERS), twin[1].get(_READER)) != (digest, reader):
            return None
        return list(twin[0].iter_rows(named=True))

    def _rows_path(self, partition: Partition) -> Path:
        stem = self._stem(partition, ONCHAIN)
        return stem.with_name(f"{stem.name}.rows.parquet")

    def partitions(self, dataset: str, key: str, month: str) -> list[Partition]:
        """The on-chain partitions of a month (YYYY-MM) that have an answer, in order."""
        suffix = ".raw.json.gz"
        names = (path.name.removesuffix(suffix) for path in (self._root / dataset / key).glob(f"{month}-*{suffix}"))
        return sorted(Partition(dataset, key, Period.parse(name)) for name in names)

    def answers(self) -> Iterator[Partition]:
        """Every on-chain partition that has a file; whether it is whole is another question."""
        suffix = ".raw.json.gz"
        for dataset in MARKET_DATASETS:
            for path in (self._root / dataset).glob(f"*/*{suffix}"):
                yield Partition(dataset, path.parent.name, Period.parse(path.name.removesuffix(suffix)))

    def compact(
        self,
        dataset: str,
        key: str,
        month: str,
        rows: Sequence[Mapping[str, object]] | pl.DataFrame,
        *,
        answers: Mapping[str, str] | None = None,
        reader: str = "",
    ) -> Path:
        """Write the month's typed twin (`month` as YYYY-MM) from its rows; the same rows give the same bytes.

        `answers` (period -> digest of the answer) and `reader` (digest of the code that read them) go into the file, so
        that `compacted` can tell which answers its rows stand for.
        """
        path = self._root / dataset / key / f"{month}.parquet"
        frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, infer_schema_length=None)
        note = {_ANSWERS: orjson.dumps(dict(sorted((answers or {}).items()))).decode(), _READER: reader}
        write_bytes(path, twins.written(frame, note))
        for period in answers or {}:
            self._rows_path(Partition(dataset, key, Period.parse(period))).unlink(missing_ok=True)
        return path

    def compacted(
        self, dataset: str, key: str, month: str, *, reader: str
    ) -> tuple[pl.DataFrame, dict[str, str]] | None:
        """The month's twin and the digests of the answers in it; None when absent, damaged, edited or read by other code."""
        path = self._root / dataset / key / f"{month}.parquet"
        content = bytes_of(path)
        twin = None if content is None else twins.read(content)
        if twin is None or twin[1].get(_READER) != reader:
            return None  # the answers themselves are read again
        try:
            answers: dict[str, str] = orjson.loads(twin[1][_ANSWERS])
        except (KeyError, orjson.JSONDecodeError):
            return None
        return twin[0], answers
