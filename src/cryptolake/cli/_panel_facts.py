"""What the commands of `panel` share: whose figures count, and where the numbers come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.errors import BadInput

if TYPE_CHECKING:
    from cryptolake.app import App

StatusFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--status", help="Whose figures count: ok (default), suspect, missing_price; repeatable. Others are null."
    ),
]


def accepted(status: list[str] | None) -> tuple[str, ...]:
    """The states whose figures count. Raises BadInput for one that never has a figure."""
    from cryptolake.quality.supported import NUMBERS

    if unknown := [one for one in status or () if one not in NUMBERS]:
        raise BadInput(f"--status {unknown[0]!r}: no figure has that state; known: {', '.join(NUMBERS)}")
    return tuple(status or ("ok",))


def panel_facts(app: App, digest: str, version: int | None = None) -> dict[str, object]:
    """Where the numbers come from; goes into every file. `version` is the panel's commit number, None for the latest."""
    from cryptolake.gold.daily_panel import TABLE as DAILY_PANEL
    from cryptolake.registry.version import registry_version
    from cryptolake.version import __version__, commit

    return {
        "dataset_version": digest,
        "panel_version": app.tables.version(DAILY_PANEL) if version is None else version,
        "code_version": __version__,
        "code_commit": commit(),
        "registry_version": registry_version(app.registry),
        "day_boundary": app.boundary,
    }
