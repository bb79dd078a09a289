"""Folded answers: the same answers from fewer files, whatever was folded, superseded, damaged or half done."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.lake.bronze import Bronze

AT = datetime(2026, 11, 20, 5, 5, tzinfo=UTC)
HOUR = Period.of_hour(AT)


def raw(key: str, payload: bytes) -> Raw:
    return Raw(Partition("protocol_tvl", key, HOUR), "defillama", AT, AT, payload)


def payload(bronze: Bronze, key: str) -> bytes | None:
    found = bronze.read(Partition("protocol_tvl", key, HOUR), "defillama")
    return found.payload if found else None


def pack(bronze: Bronze) -> None:
    bronze.pack("defillama", "protocol_tvl", HOUR)


def test_folded_answers_are_the_same_answers(tmp_path: Path) -> None:
    bronze = Bronze(tmp_path)
    for key in ("a", "b"):
        bronze.land(raw(key, key.encode() * 9))
    pack(bronze)
    assert [path.name for path in (tmp_path / "bronze/defillama/protocol_tvl").iterdir()] == [f"{HOUR}.zip"]
    for reader in (bronze, Bronze(tmp_path)):
        assert payload(reader, "a") == b"a" * 9
        assert payload(reader, "b") == b"b" * 9
        assert payload(reader, "c") is None
    before = (tmp_path / f"bronze/defillama/protocol_tvl/{HOUR}.zip").read_bytes()
    bronze.land(raw("a", b"a" * 9))
    pack(bronze)
    assert (tmp_path / f"bronze/defillama/protocol_tvl/{HOUR}.zip").read_bytes() == before, (
        "nothing new, nothing written"
    )


def test_a_second_pull_of_the_hour_supersedes_and_keeps(tmp_path: Path) -> None:
    bronze = Bronze(tmp_path)
    bronze.land(raw("a", b"old"))
    pack(bronze)
    digest = raw("a", b"old").digest
    bronze.land(raw("a", b"new"))
    assert payload(bronze, "a") == b"new", "also before it is folded"
    bronze.land(raw("b", b"other"))
    pack(bronze)
    assert (payload(bronze, "a"), payload(bronze, "b")) == (b"new", b"other")
    names = zipfile.ZipFile(tmp_path / f"bronze/defillama/protocol_tvl/{HOUR}.zip").namelist()
    assert names == ["a.raw.json.gz", f"a.raw.json.gz.superseded-{digest[:12]}", "b.raw.json.gz"]


def test_killed_between_folding_and_clearing_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bronze = Bronze(tmp_path)
    bronze.land(raw("a", b"one"))
    bronze.land(raw("b", b"two"))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda _path, **_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            pack(bronze)
    again = Bronze(tmp_path)
    assert (payload(again, "a"), payload(again, "b")) == (b"one", b"two")
    pack(again)
    assert (payload(again, "a"), payload(again, "b")) == (b"one", b"two")
    assert not (tmp_path / f"bronze/defillama/protocol_tvl/{HOUR}").exists()


def test_a_damaged_fold_is_no_answer(tmp_path: Path) -> None:
    bronze = Bronze(tmp_path)
    bronze.land(raw("a", b"one"))
    pack(bronze)
    path = tmp_path / f"bronze/defillama/protocol_tvl/{HOUR}.zip"
    path.write_bytes(path.read_bytes()[:40])
    again = Bronze(tmp_path)
    assert payload(again, "a") is None
    again.land(raw("b", b"two"))
    pack(again)
    assert payload(again, "b") == b"two"
    assert path.with_name(f"{path.name}.damaged").stat().st_size == 40
