"""What a vendor's fresh start would do, checked before the vendor is asked; the same for commands and programs.

What does not belong here: asking the person (cli, front), the asking of the vendor (vendors) and the swap (refill).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptolake.app import App
from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput
from cryptolake.work.refill import Fresh, check_drop, prospect
from cryptolake.work.series import granted
from cryptolake.work.vendors import chosen_datasets


@dataclass(frozen=True, slots=True)
class Replacement:
    """What a fresh start may replace: `rows` stored rows of `entities` in `datasets`, and how (`fresh`)."""

    source: str
    entities: int
    datasets: int
    rows: int
    fresh: Fresh

    @property
    def says(self) -> str:
        """The same in words, for whoever is to agree to it."""
        return (
            f"{self.source}: {counted(self.entities, 'entity', 'entities')} in {counted(self.datasets, 'dataset')} to ask "
            f"again. Of {counted(self.rows, 'stored row')} those that the vendor gives anew are replaced, the old ones set "
            f"aside in the PostgreSQL schema {self.fresh.schema}; all others stay."
        )


def replacement(
    app: App,
    name: str,
    *,
    datasets: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    now: datetime | None = None,
) -> Replacement:
    """Check everything that can be checked before the vendor is asked. Changes nothing.

    Raises BadInput for an unknown source, dataset, key or metric to drop, and for a dataset named that lacks its key.
    """
    source = app.vendor(name)
    meant = [one.name for one in chosen_datasets(source, "backfill", datasets, keys)]
    chosen, lacking = granted("backfill", source, meant, keys)
    if datasets and lacking:
        raise BadInput(f"{name}: {lacking[0]} cannot be asked without its key; set it, or leave that dataset out")
    check_drop(name, drop)
    found = {one for each in chosen for one in source.keys(each.name) if not keys or one in keys}
    with app.warehouse() as warehouse:
        rows = prospect(source, found, drop, warehouse)
    schema = f"{app.settings.prefix}aside_{name}_{now or datetime.now(UTC):%Y%m%d_%H%M%S}"
    return Replacement(name, len(found), len(chosen), rows, Fresh(schema, tuple(drop)))
