"""A run is killed with its windows journalled, the next one has other endpoints: nobody bears itself out under a new name."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.chain.scenario import Fortnight
from tests.hostile.lakes import Lake
from tests.hostile.liars import Liar, honest, nothing

from cryptolake.sources.onchain.settling import Settling

pytestmark = [pytest.mark.chain, pytest.mark.xdist_group("fortnight")]
LIES = {"bad": nothing, "good": honest, "also bad": nothing}


class _KilledError(BaseException):
    pass


@pytest.mark.parametrize("operators", [True, False], ids=["operators told", "nobody knows whose they are"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["bad"], ["good", "bad"]),
        (["bad", "good"], ["good", "bad"]),
        (["bad"], ["good"]),
        (["good", "bad"], ["bad"]),
        (["good"], ["bad", "good"]),
        (["bad", "also bad"], ["also bad", "bad", "good"]),
    ],
    ids=str,
)
def test_windows_of_a_killed_run_stay_those_of_who_answered_them(
    aave_fortnight: Fortnight,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: list[str],
    after: list[str],
    operators: bool,
) -> None:
    lake = Lake(tmp_path / "lake", aave_fortnight)

    def killed(*_args: object, **_more: object) -> None:
        raise _KilledError

    def told(names: list[str]) -> list[str]:
        return names if operators else [""] * len(names)

    with ExitStack() as open_:
        servers = {name: open_.enter_context(Liar(aave_fortnight.node.url, LIES[name])) for name in {*before, *after}}
        urls = [servers[one].url for one in before]
        with (
            monkeypatch.context() as cut,
            lake.opened(urls, operators=told(before), public_rpc=False) as app,
        ):
            cut.setattr(Settling, "settle", killed)
            with pytest.raises(_KilledError):
                lake.collect(app)
            assert list(app.folder.journals.iterdir())
        urls = [servers[one].url for one in after]
        with lake.opened(urls, operators=told(after), public_rpc=False) as app:
            lake.collect(app)
            verified = lake.verified(app)
            for one in lake.eventful:
                proof, found = lake.certificate(app, one), verified[one]
                truly = {f"local-own-{place}": name for place, name in enumerate(after, start=1)}
                first = {truly[name] for _, _, name, _ in proof["windows"]}
                again = {truly[name] for _, _, name, _ in proof["second"]}
                assert not [
                    (told, heard)
                    for told in proof["windows"]
                    for heard in proof["second"]
                    if max(told[0], heard[0]) <= min(told[1], heard[1]) and truly[told[2]] == truly[heard[2]]
                ], "the same one bore itself out"
                if one in lake.wrong(
                    app
                ):  # two liars that leave out the same, or one whom nobody was there to bear out
                    both_lie = {*first, *again} == {*LIES} - {"good"}
                    assert found.verdict == "suspect" or found.grade == "one_voice" or both_lie
                    if operators:  # else nobody can be compared with anybody
                        assert found.verdict == "suspect" or "good" not in {*first, *again}
