"""Where settings stand beside the command line: the environment, `.env`, `cryptolake.toml`; read, not yet checked.

What does not belong here: what a setting is, and its default (the package).
"""

from __future__ import annotations

import io
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    TomlConfigSettingsSource,
)

from cryptolake.errors import BadInput
from cryptolake.files.text import read_text

LOOK = "look at the flags, the environment, .env and cryptolake.toml"
# Variables whose *name* carries a part of the setting: CRYPTOLAKE_RPC_<CHAIN>, CRYPTOLAKE_URL_<HOST>, ALCHEMY_KEY_<n>.
PREFIX = "CRYPTOLAKE_"
_RPC, _URL, _ALCHEMY = f"{PREFIX}RPC_", f"{PREFIX}URL_", re.compile(r"ALCHEMY_KEY(_\d+)?", re.IGNORECASE)
# How a setting of several values is written in one variable.
_AS_JSON: Mapping[str, object] = {
    "rpc": {"ethereum": ["https://..."]},
    "endpoints": {"ethereum-own-1": {"rate": 5}},
    "alchemy_keys": ["..."],
    "ceilings": {"month": {"usd": 5}},
    "rpc_prices": {"infura": 0},
    "urls": {"defillama": "https://..."},
    "variables": {"ARTEMIS_API_KEY": "..."},
    "vendor_rates": {"defillama": 900},
    "market_sets": {"mine": ["aave_v3_base"]},
}


class _Json(EnvSettingsSource):
    """Reads a variable of several values. Raises BadInput that names it; an empty one is unset."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """What the JSON says, for settings that are written so."""
        if NoDecode in field.metadata:  # names between commas
            return value
        try:
            return json.loads(value) if value.strip() else None
        except (ValueError, RecursionError):
            example = f"{PREFIX}{field_name.upper()}={json.dumps(_AS_JSON.get(field_name, {}))}"
            raise BadInput(f"settings: {field_name}: is no JSON; write e.g. {example} ({LOOK})") from None


class Environment(_Json):
    """The environment's variables."""


class EnvironmentFile(_Json, DotEnvSettingsSource):
    """Those of `.env`."""


class DefaultsFile(TomlConfigSettingsSource):
    """`cryptolake.toml`."""

    def _read_file(self, file_path: object) -> dict[str, Any]:
        return read_document(Path(str(file_path)))


class NamedVariables(PydanticBaseSettingsSource):
    """Collects what nobody here can name: `rpc`, `urls`, `alchemy_keys`, and in `variables` what files declare."""

    def __init__(self, settings: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        super().__init__(settings)
        self._all = {name.upper(): _readable(value or "") for name, value in variables.items()}
        self._variables = {name: value for name, value in variables.items() if value}

    def get_field_value(self, field: object, field_name: str) -> tuple[object, str, bool]:
        """Unused: this source fills whole fields in `__call__`."""
        return None, field_name, False

    def __call__(self) -> dict[str, object]:
        """The mappings, each only when at least one of its variables is set."""
        rpc, urls, keys = {}, {}, []
        for name, value in sorted(self._variables.items()):
            upper = name.upper()
            if upper.removeprefix(PREFIX).lower() in self.settings_cls.model_fields:
                continue  # a setting with a name of its own, as RPC_RATE
            if upper.startswith(_RPC):
                rpc[upper.removeprefix(_RPC).lower()] = split_values(value)
            elif upper.startswith(_URL):
                urls[upper.removeprefix(_URL).lower()] = value
            elif _ALCHEMY.fullmatch(name):
                keys += _keys(name, value)
        found = {"rpc": rpc, "urls": urls, "alchemy_keys": keys, "variables": _with_bare_names(self._all)}
        return {name: value for name, value in found.items() if value}


class NamedInFile(PydanticBaseSettingsSource):
    """`variables` out of `cryptolake.toml`: its plain values under the names that the environment has for them."""

    def __init__(self, settings: type[BaseSettings], document: Mapping[str, object]) -> None:
        super().__init__(settings)
        self._document = document

    def get_field_value(self, field: object, field_name: str) -> tuple[object, str, bool]:
        """Unused: this source fills the whole field in `__call__`."""
        return None, field_name, False

    def __call__(self) -> dict[str, object]:
        """The one mapping."""
        plain = {name.upper(): str(value) for name, value in self._document.items() if isinstance(value, str | int)}
        return {"variables": {**plain, **{f"{PREFIX}{name}": value for name, value in plain.items()}}}


def _readable(value: str) -> str:
    """The value as text: a variable may hold any bytes, and one that has nothing to do with us must not matter."""
    return value.encode(errors="surrogateescape").decode(errors="replace")


def split_values(text: str) -> list[str]:
    """The values of a text that has them between commas."""
    return [one.strip() for one in text.split(",") if one.strip()]


def _with_bare_names(variables: Mapping[str, str]) -> dict[str, str]:
    """The same, and CRYPTOLAKE_X as X too where no X is set beside it: both names of a key mean the same."""
    bare = {name.removeprefix(PREFIX): value for name, value in variables.items() if name.startswith(PREFIX)}
    return {**bare, **variables}


def _keys(name: str, value: str) -> list[str]:
    """Keys of a variable: one, several with commas, or `@file` with one per line (`#` starts a comment)."""
    if not value.startswith("@"):
        return split_values(value)
    file = value[1:]
    lines = read_text(Path(file), name=f"{name}: the key file {file}", remedy="correct the path after @").splitlines()
    return [key for line in lines if (key := line.partition("#")[0].strip())]


def read_document(file: Path) -> dict[str, Any]:
    """The settings' file, read; empty where there is none. Raises BadInput."""
    if file.is_dir():
        raise BadInput(f"{file} is a folder; the settings' file has this name, move the folder")
    try:
        return tomllib.loads(read_text(file, remedy="repair or move it")) if file.exists() else {}
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file}: {error}; correct that line") from None


def refuse_unreadable(file: Path) -> None:
    """Refuse a file of variables with a line that is none: it would be left out."""
    if not file.is_file():
        return
    for line in parse_stream(io.StringIO(read_text(file, remedy="repair or move it"))):
        if line.error:
            raise BadInput(f"{file}, line {line.original.line}: is no NAME=value; correct that line")
