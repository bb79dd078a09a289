"""What a cited version id leads to: the release, export or version of the panel whose rows have this digest, and its code.

What does not belong here: how the digest is made (gold.metadata) and what is printed (cli).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import orjson

from cryptolake.app import App
from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput, Stop
from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
from cryptolake.gold.metadata import content_digest
from cryptolake.lake.tables import Version
from cryptolake.registry.markets import Csu
from cryptolake.research import release as releases
from cryptolake.silver.refined import TABLE as REFINED
from cryptolake.work.chosen_panel import chosen_panel
from cryptolake.work.refine import SILVER

SHORTEST = 8  # hexadecimal digits that an id may be cited by
_ID = re.compile(rf"(?:sha256:)?([0-9a-f]{{{SHORTEST},64}})")


@dataclass(frozen=True, slots=True)
class Cited:
    """One place that an id leads to.

    `what` is release, export or panel, `where` its folder, file or version. `commit`, `code_version` and `registry_version`
    are None where it does not say; `tables` the versions of the lake's tables then, or the files of a release.
    """

    what: str
    where: str
    digest: str
    at: datetime | date | None = None
    code_version: str | None = None
    commit: str | None = None
    registry_version: str | None = None
    tables: tuple[tuple[str, str], ...] = ()


def cited(
    app: App,
    text: str,
    csus: Sequence[Csu] | None = None,
    first: date | None = None,
    last: date | None = None,
    *,
    folders: Sequence[Path] = (),
) -> list[Cited]:
    """Where the id leads: releases and exports in the data folder and these folders, else the versions of the panel.

    Of the panel the whole is tried, and the rows of the markets and days given, the newest version first. Raises BadInput
    for what is no id, Stop naming what was searched where it leads nowhere.
    """
    match = _ID.fullmatch(text.strip().lower())
    if match is None:
        raise BadInput(f"{text!r} is no version id; give at least {SHORTEST} of its hexadecimal digits")
    wanted = match[1]
    places = [app.folder.releases, app.folder.exports, *folders]
    found = [one for place in places for one in (*_releases(place, wanted), *_exports(place, wanted))]
    versions = app.tables.history(DAILY_PANEL)
    gone = 0
    for version in versions:
        try:
            hit = _digest(app, version, wanted, csus, first, last)
        except Stop:
            gone += 1
            continue
        if hit is not None:
            found.append(
                Cited(
                    "panel",
                    f"version {version.number}",
                    hit,
                    version.at,
                    version.code_version,
                    version.commit,
                    tables=tuple(_tables_then(app, version)),
                )
            )
            break
    if not found:
        lost = f", {gone} of them no longer readable" if gone else ""
        raise Stop(
            f"no release or export in {', '.join(str(one) for one in places)} has the id {text}, nor any of "
            f"{counted(len(versions), 'version')} of the panel{lost}; where it is of some markets or days, name them "
            "(--set, --csu, --start-date, --end-date), and releases elsewhere by --in"
        )
    return found


def _releases(place: Path, wanted: str) -> Iterator[Cited]:
    for manifest in sorted([*place.glob(releases.MANIFEST), *place.glob(f"*/{releases.MANIFEST}")]):
        folder = manifest.parent
        metadata = _json(folder / "metadata.json")
        recipe = _json(folder / releases.RECIPE)
        rows, own = str(metadata.get("dataset_version", "")), releases.digest_of(folder)
        if not (rows.startswith(wanted) or own.startswith(wanted)):
            continue
        code = recipe.get("code")
        code = code if isinstance(code, dict) else {}
        day = recipe.get("released_on")
        yield Cited(
            "release",
            str(folder),
            rows if rows.startswith(wanted) else own,
            date.fromisoformat(str(day)) if day else None,
            _text(code.get("version") or metadata.get("code_version")),
            _text(code.get("commit")),
            _text(metadata.get("registry_version")),
            tuple(releases.manifest_of(folder).items()),
        )


def _exports(place: Path, wanted: str) -> Iterator[Cited]:
    for path in sorted(place.glob("*.codebook.json")):
        book = _json(path)
        if not str(book.get("dataset_version", "")).startswith(wanted):
            continue
        panel = book.get("panel_version")
        yield Cited(
            "export",
            str(path.with_name(path.name.removesuffix(".codebook.json"))),
            str(book["dataset_version"]),
            None,
            _text(book.get("code_version")),
            _text(book.get("code_commit")),
            _text(book.get("registry_version")),
            () if panel is None else ((DAILY_PANEL.name, f"version {panel}"),),
        )


def _digest(
    app: App, version: Version, wanted: str, csus: Sequence[Csu] | None, first: date | None, last: date | None
) -> str | None:
    """The digest that begins like this of the panel's rows at a version: all of them, or those of a selection."""
    whole = content_digest(DAILY_PANEL, app.tables.read(DAILY_PANEL, version=version.number))
    if whole.startswith(wanted):
        return whole
    if csus is None and first is None and last is None:
        return None
    try:
        chosen = chosen_panel(app, csus, first, last, version=version.number).panel
    except BadInput:  # nothing of the selection was in it then
        return None
    some = content_digest(DAILY_PANEL, chosen)
    return some if some.startswith(wanted) else None


def _tables_then(app: App, version: Version) -> Iterator[tuple[str, str]]:
    """The versions of the tables when the panel's was made: each its last before."""
    yield DAILY_PANEL.name, f"version {version.number}"
    for table in (*SILVER, REFINED):
        before = (one.number for one in app.tables.history(table) if one.at <= version.at)
        if (number := next(before, None)) is not None:
            yield table.name, f"version {number}"


def _json(path: Path) -> dict[str, object]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return None if value is None else str(value)
