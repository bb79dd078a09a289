"""`open`: from settings to a lake. What does not belong here: what can be done with one (lake)."""

from __future__ import annotations

import difflib
from pathlib import Path

import structlog

from cryptolake.app import App
from cryptolake.errors import BadInput
from cryptolake.front.lake import Lake
from cryptolake.logs import configure_logging, is_ours
from cryptolake.settings import Settings, load_settings

LISTED = "`cryptolake markets` lists the chains"


def open(data: str | Path | None = None, **settings: object) -> Lake:  # noqa: A001  # as `gzip.open` and others have it
    """Open a data folder, made if it is not there. A relative path is taken from where the program is now.

    `settings` are the names of `docs/settings.md` (`registry="mine.yaml"`, `rpc={"ethereum": ["https://..."]}`,
    `workers=8`) and come before the environment, `.env` and `cryptolake.toml`; without `data` these say where it is. A
    folder may be open several times, in one process or in many. Raises BadInput for a setting that is unknown or wrong and
    Stop for a folder that cannot be made; one that cannot be written is only read.

    >>> lake = cl.open("data")
    >>> lake.folder.name
    'data'
    >>> cl.open("data", wrokers=8)
    Traceback (most recent call last):
    cryptolake.errors.BadInput: unknown setting 'wrokers'; see docs/settings.md for the names
    """
    if unknown := sorted(settings.keys() - Settings.model_fields.keys()):
        raise BadInput(f"unknown setting {unknown[0]!r}; see docs/settings.md for the names")
    found = load_settings(**settings, data=data)
    places = {"data": _whole(found.data)}
    if found.registry is not None:
        places["registry"] = _whole(found.registry)
    found = found.model_copy(update=places)
    _log_quietly(found)
    app = App(found)
    if given := settings.get("rpc"):
        unknown = sorted(set(given) - set(app.registry.chains)) if isinstance(given, dict) else []
        if unknown:
            near = ", ".join(difflib.get_close_matches(unknown[0], app.registry.chains, n=3))
            raise BadInput(
                f"rpc: no chain is called {unknown[0]!r} here; {f'did you mean {near}?' if near else LISTED}"
            )
    app.prepare(reading=True)
    if found.registry is not None:
        _ = app.registry  # a file with faults is named now
    return Lake(app)


def _whole(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise BadInput(f"{path}: nobody here has this name, so there is no home folder; write the whole path") from None


def _log_quietly(settings: Settings) -> None:
    """Lines on standard error from the settings' level on; a program that uses the same library has arranged that itself."""
    if is_ours() or not structlog.is_configured():
        configure_logging(settings)
