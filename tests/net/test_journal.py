"""A journal says who answered, not at which place of a list somebody stood: by the next run the list may be another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from pathlib import Path

import orjson
import pytest
from tests.net.node import EMITTER, TOPIC

from cryptolake.net.endpoint import Endpoint, SecretUrl
from cryptolake.net.journal import ScanJournal
from cryptolake.net.liars import Liars
from cryptolake.net.logs import AnsweredWindow, BlockWindow, LogFilter
from cryptolake.net.voices import UNKNOWN, told_by

FILTERS = [LogFilter(EMITTER, frozenset({TOPIC}))]
WHO = ["alchemy", "Infura ", "", "", "x/../y"]  # operators; of two nobody knows whose they are


def listed(order: Sequence[int]) -> list[Endpoint]:
    """These accounts in this order, named by their places, as settings do."""
    return [
        Endpoint(f"own-{place}", SecretUrl(f"https://{who}"), account=f"account-{who}", operator=WHO[who])
        for place, who in enumerate(order, start=1)
    ]


def windows(endpoints: Sequence[Endpoint]) -> list[AnsweredWindow]:
    return [
        AnsweredWindow(BlockWindow(10 * place, 10 * place + 10, one.name, 0), ()) for place, one in enumerate(endpoints)
    ]


@pytest.mark.parametrize("first", [[0, 1], [2, 3], [2, 0], [4, 1, 3]])
def test_a_window_is_read_under_the_name_of_who_answered_it_or_not_at_all(tmp_path: Path, first: list[int]) -> None:
    """Every list that a later run may have: reordered, shortened, put before, replaced."""
    journal = ScanJournal(tmp_path, "test", FILTERS, listed(first))
    for one in windows(listed(first)):
        journal.keep(one)
    journal.close()
    for size in range(1, 4):
        for order in permutations(range(len(WHO)), size):
            now = {one.name: who for one, who in zip(listed(order), order, strict=True)}
            read = ScanJournal(tmp_path, "test", FILTERS, listed(order)).read()
            told = {one.window.start // 10: now[one.window.endpoint] for one in read}
            assert told == {place: who for place, who in enumerate(first) if who in order}
            everything = ScanJournal(tmp_path, "test", FILTERS, listed(order)).read(strangers=True)
            assert [one.window.start // 10 for one in everything] == list(range(len(first)))
            assert [one for one in everything if one.window.endpoint] == read


def test_what_earlier_versions_kept_is_a_strangers(tmp_path: Path) -> None:
    ScanJournal(tmp_path, "test", FILTERS, listed([0])).keep(windows(listed([0]))[0])
    (path,) = tmp_path.iterdir()
    line = orjson.loads(path.read_bytes().strip())
    for earlier in (line[:4], [*line[:4], ""], [*line[:4], UNKNOWN]):
        path.write_bytes(b"\n" + orjson.dumps(earlier))
        journal = ScanJournal(tmp_path, "test", FILTERS, listed([0, 1]))
        assert journal.read() == []
        assert [one.window.endpoint for one in journal.read(strangers=True)] == [""]


def test_nobody_is_kept_by_an_address_and_a_key_tells_itself_to_nobody() -> None:
    for one in listed(range(len(WHO))):
        told = told_by(one)
        assert "https" not in told
        assert told == (WHO[int(one.name[4:]) - 1].strip().casefold() or f"{UNKNOWN}:{one.account}")


@pytest.mark.parametrize(("liar", "honest"), list(product(range(len(WHO)), repeat=2)))
def test_a_liar_is_remembered_as_who_it_is_wherever_it_stands_later(tmp_path: Path, liar: int, honest: int) -> None:
    if liar == honest:
        return
    (one,) = listed([liar])
    certificate = {
        "liars": [one.name],
        "voices": {one.name: told_by(one)},
        "asked_at": "2024-12-02T00:00:00+00:00",
        "differences": [{"block": 7, "liars": [one.name]}],
    }
    Liars(tmp_path / "liars").learn("chain", certificate)
    for order in ([liar, honest], [honest, liar], [honest]):
        known = Liars(tmp_path / "liars")
        accused = [who for each, who in zip(listed(order), order, strict=True) if known.words_of("chain", each)]
        assert accused == [who for who in order if who == liar]
    also = {**certificate, "voices": {one.name: told_by(listed([honest])[0])}, "asked_at": "2024-12-03T00:00:00+00:00"}
    Liars(tmp_path / "liars").learn("chain", also)
    assert len(Liars(tmp_path / "liars").named()) == 2, "another one at the same place is another liar"
    assert len({path.name for path in (tmp_path / "liars").iterdir()}) == 2
    assert Liars(tmp_path / "liars").clear(one.name)
    assert Liars(tmp_path / "liars").named() == []


@pytest.mark.parametrize("voice", ["", UNKNOWN])
def test_a_liar_that_an_earlier_version_kept_by_its_name_is_still_known_by_it(tmp_path: Path, voice: str) -> None:
    kept = {"chain": "chain", "endpoint": "own-1", "voice": voice, "block": 7, "proven": "2024-12-02T00:00:00+00:00"}
    (tmp_path / "chain-own-1.json").write_bytes(orjson.dumps({**kept, "cleared": "", "judged": False}))
    liars = Liars(tmp_path)
    assert [bool(liars.words_of("chain", one)) for one in listed([2, 3])] == [True, False]
    liars.judged(liars.named())
    assert [one.judged for one in Liars(tmp_path).named()] == [True]
    assert len(list(tmp_path.iterdir())) == 1
    liars.clear("own-1")
    assert Liars(tmp_path).named() == []
