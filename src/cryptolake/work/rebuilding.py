"""A release made again from its own folder and the answers, in an empty data folder, and what differs from the first.

What does not belong here: making a release (releasing) and comparing two releases of different inputs (research.release_diff).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import polars as pl

from cryptolake.app import App
from cryptolake.contracts.counting import counted
from cryptolake.contracts.entry import Entry, State
from cryptolake.contracts.partition import MARKET_DATASETS, Partition
from cryptolake.errors import BadInput, Stop
from cryptolake.lake.kept import KeptAnswers, archived
from cryptolake.registry.terms import Terms, terms_of
from cryptolake.registry.version import registry_version
from cryptolake.research import origin as origins
from cryptolake.research import release as releases
from cryptolake.research.ledger_of_release import ENTRIES
from cryptolake.research.origin import Origin, ReleaseInputs
from cryptolake.research.release import Release
from cryptolake.silver.prices import Pricing
from cryptolake.version import __version__, code_digest, commit
from cryptolake.work import lending
from cryptolake.work.chosen_panel import chosen_panel
from cryptolake.work.price_sources import pricing
from cryptolake.work.releasing import freeze
from cryptolake.work.standing import ANSWERED

FEW = 5


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The release that was made again, its first's digest, which files are other ones, and what of it was other here."""

    release: Release
    first_digest: str
    differs: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether every file has the first release's bytes."""
        return not self.differs and self.release.digest == self.first_digest


def read_release(folder: Path) -> tuple[Origin, ReleaseInputs, pl.DataFrame]:
    """What a release was made of: origin, recipe and ledger. Raises BadInput for no release, Stop for a damaged one."""
    if wrong := releases.verify(folder):
        raise Stop(f"{folder}: {counted(len(wrong), 'file')} missing or not as released: {', '.join(wrong)}")
    if not (folder / releases.RECIPE).exists():
        raise BadInput(f"{folder} was released before releases said what they were made of; take the release anew")
    text = (folder / releases.ENVIRONMENT).read_text()
    origin, recipe = origins.read((folder / releases.RECIPE).read_bytes(), text)
    return origin, recipe, pl.read_parquet(folder / recipe.files["ledger"]).cast(ENTRIES)


def needed(ledger: pl.DataFrame) -> list[tuple[Partition, str, str]]:
    """The answers that a release rests on: partition, source, digest."""
    prices = ~pl.col("partition").str.split("/").list.first().is_in(MARKET_DATASETS)
    rows = ledger.filter(pl.col("digest").is_not_null() & (pl.col("state").is_in(ANSWERED) | prices))
    return [(Partition.parse(name), source, digest) for name, source, digest in rows.select(_ANSWER).iter_rows()]


_ANSWER = ("partition", "source", "digest")


def archive_answers(
    folder: Path, answers: Path, out: Path, terms: Mapping[str, Terms] | None = None
) -> tuple[int, dict[str, int]]:
    """Write the answers that a release rests on into one ZIP file, from a bronze folder.

    With `terms`, only of those sources whose answers may be passed on. Returns how many are in it, and how many of which
    source were withheld. Raises Stop naming those that are not there, before anything is written.
    """
    _, _, ledger = read_release(folder)
    wanted = needed(ledger)
    open_to_all = [one for one in wanted if terms is None or terms_of(terms, one[1]).allows]
    withheld = Counter(source for _, source, _ in wanted) - Counter(source for _, source, _ in open_to_all)
    return archived(_found(KeptAnswers(answers), open_to_all, answers), out), dict(withheld)


def rebuild(folder: Path, answers: Path, *, open_app: Callable[..., App], into: Path) -> Rebuilt:
    """Make the release in `folder` again under `into` (a data folder without answers), and compare every file.

    `open_app` opens an app under settings that are given by name. Raises BadInput where `into` holds something, Stop naming
    answers that are missing, before anything is written.
    """
    origin, recipe, ledger = read_release(folder)
    if any((into / name).exists() for name in ("bronze", "ledger.sqlite", "silver", "gold")):
        raise BadInput(f"{into} holds a lake already; name an empty folder (--data)")
    found = _found(KeptAnswers(answers), needed(ledger), answers)
    notes = _other_code(origin)
    app = open_app(**_settings(recipe, folder))
    _require_prices(app, recipe)
    if registry_version(app.registry) != recipe.registry_version:
        notes.append("the rows of the registry that code brings along (feeds, oracles, families) are other ones")
    for partition, source, packed in found:
        app.bronze.keep(partition, source, packed)
    app.ledger.append_many(_entry(row) for row in ledger.iter_rows(named=True))
    lending.rebuild(app)
    csus = [app.registry.csu(name) for name in recipe.markets]
    chosen = chosen_panel(app, csus, recipe.first_day, recipe.last_day)
    made = freeze(
        app,
        recipe.release,
        chosen,
        into=app.folder.releases,
        asked=(recipe.first_day, recipe.last_day),
        origin=origin,
    ).release
    differs = releases.changed(releases.manifest_of(folder), made.files)
    return Rebuilt(made, releases.digest_of(folder), tuple(differs), tuple(notes))


def _found(
    kept: KeptAnswers, wanted: list[tuple[Partition, str, str]], place: Path
) -> list[tuple[Partition, str, bytes]]:
    """The files of these answers. Raises Stop naming those that are not there, or not the very ones."""
    found, missing = [], []
    for partition, source, digest in wanted:
        packed = kept.find(partition, source, digest)
        if packed is None:
            missing.append(f"{partition} ({source})")
        else:
            found.append((partition, source, packed))
    if missing:
        more = ", ..." if len(missing) > FEW else ""
        raise Stop(
            f"{counted(len(missing), 'answer')} of {len(wanted):,} that the release rests on cannot be found at {place} as "
            f"recorded: {', '.join(missing[:FEW])}{more}; give the bronze folder that holds them, nothing was written"
        )
    return found


def _other_code(origin: Origin) -> list[str]:
    """What of this installation is other than where the release was made, in words. Another Python changes no figure."""
    notes = []
    if origin.code_digest != code_digest():
        here = f"{__version__} ({commit() or 'commit unknown'})"
        notes.append(
            f"the code is another one: released by {origin.code_version} ({origin.commit or 'commit unknown'}), here {here}"
        )
    there = set(origin.environment.splitlines()[1:])
    here_too = set(origins.environment().splitlines()[1:])
    if other := sorted(line for line in there - here_too if line.split("==")[0] in _COUNTING):
        notes.append(f"released with {', '.join(other)}; here other versions")
    return notes


_COUNTING = frozenset({"polars", "polars-runtime-32", "polars-runtime-64", "pyarrow", "orjson", "deltalake"})


def _settings(recipe: ReleaseInputs, folder: Path) -> dict[str, object]:
    """The settings that a release's figures follow from; they win over the user's."""
    how = Pricing.read(recipe.pricing) if recipe.pricing is not None else None
    valued = {} if how is None else {"price_order": how.told, "price_tolerance": how.tolerance}
    registry = (folder / recipe.files["registry"]).resolve()
    return {"registry": registry, "day_boundary": recipe.day_boundary, **valued}


def _require_prices(app: App, recipe: ReleaseInputs) -> None:
    """Raises Stop where this installation would choose prices otherwise than the release says."""
    here = pricing(app).text()
    if recipe.pricing is not None and here != recipe.pricing:
        raise Stop(
            f"prices would be chosen otherwise here: released with {recipe.pricing}, here {here}; install the price sources "
            "and the version of cryptolake that the release was made with"
        )


def _entry(row: dict[str, Any]) -> Entry:
    at: datetime = row["at"]
    return Entry(
        partition=Partition.parse(row["partition"]),
        state=cast(State, row["state"]),
        at=at,
        attempt=row["attempt"],
        rows=row["rows"],
        digest=row["digest"],
        block=row["block"],
        cursor=row["cursor"],
        reason=row["reason"],
        error=row["error"],
        grade=row["grade"],
    )
