"""What may not be done to a data folder now, whoever asks: commands and programs alike.

What does not belong here: what a step itself refuses (the rivers); the scheduler, which alone goes on with a fresh start.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptolake.app import App
from cryptolake.demo.journey import CSU, is_marked
from cryptolake.errors import BadInput, Stop
from cryptolake.registry.markets import Csu
from cryptolake.work.fresh import pending


def require_finished(app: App) -> None:
    """Raises Stop while a fresh start has set aside what was there and not yet filled it again."""
    if (name := pending(app)) is not None:
        raise Stop(
            f"a fresh start is unfinished: what was there lies in {name} (the data folder's aside/ and PostgreSQL); "
            "`cryptolake scheduler` goes on with it"
        )


def require_askable(app: App, csus: Iterable[Csu]) -> None:
    """Raises BadInput for the demo's market when nobody plays its chain: no endpoint in the world has it.

    And Stop while a fresh start is unfinished.
    """
    require_finished(app)
    if any(one.name == CSU and one.chain not in app.settings.rpc for one in csus) and is_marked(app.folder.root):
        raise BadInput(
            f"{app.folder.root} is the demo's folder, and its chain exists only while `cryptolake demo` runs; "
            "name other markets and another data folder"
        )
