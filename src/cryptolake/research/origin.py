"""What a release was made of, as it goes into the release: code, machine, day, registry, prices, selection, answers.

A program reads it to make the release again. What does not belong here: gathering it from a lake (work) and the
files (release).
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib.metadata import distributions
from typing import Any

import orjson

from cryptolake.errors import BadInput

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when a release was made: of which code, in which environment, on which day (UTC).

    `environment` is Python's version and every installed distribution (`environment()`). A release that is made again has the
    origin of the first.
    """

    released_on: date
    code_version: str
    commit: str | None
    code_digest: str
    environment: str

    @property
    def python(self) -> str:
        """Python's version."""
        return self.environment.splitlines()[0].removeprefix("# Python ").strip()


@dataclass(frozen=True, slots=True)
class ReleaseInputs:
    """What the panel of a release follows from, beside its answers and registry.

    `first_day` and `last_day` are as they were asked for: None is the first or last day that any of the markets was asked for.
    `pricing` is how prices were chosen (`silver.prices.Pricing.text`). `lacking` are answered market-days that silver could
    not vouch for then: with any the release cannot be made again.
    """

    release: str
    markets: tuple[str, ...]
    day_boundary: str
    pricing: str | None
    registry_version: str
    answers: int
    first_day: date | None = None
    last_day: date | None = None
    lacking: tuple[str, ...] = ()
    schema_version: int = SCHEMA
    files: Mapping[str, str] = field(
        default_factory=lambda: {"registry": "registry.json", "ledger": "ledger.parquet", "lineage": "lineage.parquet"}
    )


def written(origin: Origin, recipe: ReleaseInputs) -> bytes:
    """Both as JSON; the environment has a file of its own."""
    code = {"version": origin.code_version, "commit": origin.commit, "digest": origin.code_digest}
    document = {**asdict(recipe), "code": code, "python": origin.python, "released_on": origin.released_on}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def read(content: bytes, environment_text: str) -> tuple[Origin, ReleaseInputs]:
    """What `written` wrote. Raises BadInput for anything else."""
    try:
        found = orjson.loads(content)
        if found["schema_version"] != SCHEMA:
            raise BadInput(f"recipe.json is of form {found['schema_version']}; use a cryptolake that knows it")
        code = found.pop("code")
        found.pop("python")
        day = date.fromisoformat(found.pop("released_on"))
        origin = Origin(day, code["version"], code["commit"], code["digest"], environment_text)
        days: dict[str, Any] = {
            name: date.fromisoformat(found.pop(name)) if found[name] else found.pop(name) for name in _DAYS
        }
        lists: dict[str, Any] = {name: tuple(found.pop(name)) for name in ("markets", "lacking")}
        return origin, ReleaseInputs(**found, **days, **lists)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"recipe.json is not as a release writes it ({error}); take the release anew") from None


_DAYS = ("first_day", "last_day")


def environment() -> str:
    """Python's version and every installed distribution as `name==version`, sorted: enough to install it again."""
    found = {(one.metadata["Name"] or "").lower().replace("_", "-"): one.version for one in distributions()}
    lines = [f"{name}=={version}" for name, version in sorted(found.items()) if name]
    return f"# Python {platform.python_version()}\n" + "\n".join(lines) + "\n"
