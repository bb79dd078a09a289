"""Every knob in one place: environment, `.env`, `cryptolake.toml`, in that order. The only reader of the environment.

What does not belong here: what the settings are used for. Secrets are `SecretStr` and print as asterisks everywhere.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from cryptolake.errors import BadInput
from cryptolake.net.told import ToldLimits

# Variables whose *name* carries a part of the setting: CRYPTOLAKE_RPC_<CHAIN>, CRYPTOLAKE_URL_<HOST>, ALCHEMY_KEY_<n>.
_PREFIX = "CRYPTOLAKE_"
_RPC, _URL, _ALCHEMY = f"{_PREFIX}RPC_", f"{_PREFIX}URL_", re.compile(r"ALCHEMY_KEY(_\d+)?", re.IGNORECASE)


class _NamedVariables(PydanticBaseSettingsSource):
    """Collects what nobody here can name: `rpc`, `urls`, `alchemy_keys`, and in `variables` what files declare."""

    def __init__(self, settings: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        super().__init__(settings)
        self._all = {name.upper(): value or "" for name, value in variables.items()}
        self._variables = {name: value for name, value in variables.items() if value}

    def get_field_value(self, field: object, field_name: str) -> tuple[object, str, bool]:
        """Unused: this source fills whole fields in `__call__`."""
        return None, field_name, False

    def __call__(self) -> dict[str, object]:
        """The mappings, each only when at least one of its variables is set."""
        rpc, urls, keys = {}, {}, []
        for name, value in sorted(self._variables.items()):
            upper = name.upper()
            if upper.startswith(_RPC):
                rpc[upper.removeprefix(_RPC).lower()] = [url.strip() for url in value.split(",") if url.strip()]
            elif upper.startswith(_URL):
                urls[upper.removeprefix(_URL).lower()] = value
            elif _ALCHEMY.fullmatch(name):
                keys += _keys(name, value)
        found = {"rpc": rpc, "urls": urls, "alchemy_keys": keys, "variables": _with_bare_names(self._all)}
        return {name: value for name, value in found.items() if value}


class _NamedInFile(PydanticBaseSettingsSource):
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
        return {"variables": {**plain, **{f"{_PREFIX}{name}": value for name, value in plain.items()}}}


def _with_bare_names(variables: Mapping[str, str]) -> dict[str, str]:
    """The same, and CRYPTOLAKE_X as X too where no X is set beside it: both names of a key mean the same."""
    bare = {name.removeprefix(_PREFIX): value for name, value in variables.items() if name.startswith(_PREFIX)}
    return {**bare, **variables}


def _keys(name: str, value: str) -> list[str]:
    """Keys of a variable: one, several with commas, or `@file` with one per line (`#` starts a comment)."""
    if not value.startswith("@"):
        return [key.strip() for key in value.split(",") if key.strip()]
    try:
        lines = Path(value[1:]).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise BadInput(f"{name}: the key file {value[1:]}: {reason}; correct the path after @") from None
    return [key for line in lines if (key := line.partition("#")[0].strip())]


class Settings(BaseSettings):
    """All settings with the recommended defaults; see `docs/settings.md` for the rendered list."""

    model_config = SettingsConfigDict(
        env_prefix="CRYPTOLAKE_", env_file=".env", toml_file="cryptolake.toml", extra="ignore", frozen=True
    )
    defaults_file: ClassVar[str] = "cryptolake.toml"

    # The six open decisions of the plan, each with its recommended default.
    days: int = Field(365, ge=1, description="time range: how many days back a run reaches when no start date is given")
    granularity: Literal["day", "hour"] = Field("day", description="one snapshot a day or one an hour")
    start_date: date | None = Field(
        None, description="fixed first day; unset means rolling: `days` before the end date"
    )
    workers: int = Field(
        5, ge=1, le=256, description="parallel conversations; chains unset: as limits and latency allow"
    )
    data: Path = Field(Path("data"), description="storage location: the data folder")
    test_csu: str = Field("aave_v3_ethereum", description="market used by commands when none is selected for a trial")

    end_date: date | None = Field(None, description="last day, included; unset means yesterday (UTC)")
    day_boundary: Literal["utc", "ny"] = Field("utc", description="where a day begins: UTC or New York midnight")
    registry: Path | None = Field(None, description="YAML file that adds or overrides markets and chains")
    database_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("DATABASE_URL", "CRYPTOLAKE_DATABASE_URL", "database_url"),
        description="PostgreSQL 15+ to publish to; unset means an embedded one under the data folder",
    )
    reader_url: SecretStr | None = Field(
        None,
        description="a login of that PostgreSQL that may only read, for `query`; unset means one is made where that is "
        "allowed. Enough by itself for those who only read",
    )
    rpc: dict[str, list[SecretStr]] = Field(
        default_factory=dict, description="endpoints per chain: CRYPTOLAKE_RPC_<CHAIN>=url,url"
    )
    public_rpc: bool = Field(True, description="fall back to the registry's public endpoints")
    rpc_rate: float | None = Field(
        None,
        gt=0,
        description="calls a second (or the provider's units) of each own endpoint, never exceeded; unset means its plan's, "
        "else it is found out",
    )
    endpoints: dict[str, ToldLimits] = Field(
        default_factory=dict,
        description="limits of single endpoints, by the name that `rpc probe` shows, a table each: [endpoints.ethereum-own-1] "
        "with rate, span, batch, addresses and archive (blocks behind the head whose state is kept); never exceeded by what is "
        "learned. In the environment as JSON",
    )
    alchemy_keys: list[SecretStr] = Field(
        default_factory=list, description="ALCHEMY_KEY_1..n, one per account; also `key,key` or `@file`, a key per line"
    )
    alchemy_plan: Literal["free", "payg"] = Field("free", description="the plan of the Alchemy accounts")
    max_calls: int | None = Field(
        None,
        ge=0,
        description="most calls that one run sends to chains' endpoints, members of batches counted (--max-calls)",
    )
    max_usd: float | None = Field(
        None, ge=0, description="most dollars that one run spends on chains' endpoints (--max-usd)"
    )
    ceilings: dict[str, dict[str, float]] = Field(
        default_factory=dict,
        description="most calls, units and usd of a `run`, of a `month` (UTC), or of a provider in a month, over all "
        "processes: alchemy = { units = 20_000_000, usd = 5 } under [ceilings]",
    )
    rpc_prices: dict[str, float] = Field(
        default_factory=dict,
        description="dollars of a million units by provider, where its plan's price is not yours, e.g. infura = 0",
    )
    audit: float = Field(
        0.02, ge=0, le=1, description="share of log windows asked again at a second endpoint and compared"
    )
    urls: dict[str, str] = Field(
        default_factory=dict,
        description="vendor base URLs: CRYPTOLAKE_URL_<HOST>, e.g. CRYPTOLAKE_URL_DEFILLAMA_STABLECOINS",
    )
    variables: dict[str, SecretStr] = Field(
        default_factory=dict,
        repr=False,
        description="every other variable by its name: where what vendors' and alert ways' files declare is looked up",
    )
    vendor_rates: dict[str, int] = Field(
        default_factory=dict, description="calls a minute by vendor, e.g. defillama = 900; unset means its default"
    )
    price_order: str = Field(
        "",
        description="whose price is taken first, e.g. chainlink,defillama; leave a source out to ignore it; unset means "
        "protocol_oracle, then every price source by its rung (chainlink, defillama, coingecko, file)",
    )
    price_tolerance: float = Field(0.02, gt=0, description="spread between fresh prices above which they are flagged")
    budgets: Literal["folder", "database"] = Field(
        "folder",
        description="where rate budgets are kept: in the data folder (all processes of this machine that share it) or in "
        "the database (every machine that shares DATABASE_URL)",
    )
    cluster_python: str | None = Field(
        None, description="the Python of --cluster ssh://... machines; unset means the same path as here"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="least severe log line shown"
    )
    log_json: bool = Field(False, description="log lines as JSON objects")
    environment: Literal["dev", "staging", "prod"] = Field(
        "prod",
        description="dev and staging keep to themselves: their name is the data folder's last part, the PostgreSQL schema "
        "and a prefix of Dagster's; prod has no prefix",
    )
    markets: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="markets (or `all`) that commands take when none is selected, and that the scheduler and Dagster keep "
        "current; unset, with no sets either, means the test market for commands and every built one for schedules",
    )
    sets: Annotated[list[str], NoDecode] = Field(
        default_factory=list, description="named sets whose markets are added to `markets`, e.g. thesis-43"
    )
    market_sets: dict[str, list[str]] = Field(
        default_factory=dict,
        description='named sets of your own, a line each under [market_sets]: mine = ["aave_v3_base", ...]; then --set mine, '
        'or sets = ["mine"]',
    )
    sources: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="sources kept current by the scheduler and Dagster (onchain, defillama, ...); unset means every one",
    )
    schedules: bool = Field(True, description="whether Dagster's schedules start switched on")

    @field_validator("markets", "sets", "sources", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        """Accept `a,b` as well as a list."""
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @field_validator("sets", mode="before")
    @classmethod
    def _no_definitions(cls, value: object) -> object:
        """A table of sets is a definition, which has a place of its own."""
        if isinstance(value, Mapping):
            raise ValueError('names the sets to take, e.g. ["thesis-43"]; sets of your own stand under [market_sets]')
        return value

    @field_validator("database_url", "reader_url", mode="before")
    @classmethod
    def _none_if_empty(cls, value: object) -> object:
        """An empty address is none: `DATABASE_URL= cryptolake ...` takes the embedded database."""
        return None if value == "" else value

    @field_validator("rpc", mode="before")
    @classmethod
    def _split_lists(cls, value: object) -> object:
        """Accept `ethereum = "url,url"` as well as lists, so that file and environment read alike."""
        if isinstance(value, dict):
            return {k: v.split(",") if isinstance(v, str) else v for k, v in value.items()}
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then `.env`, then `cryptolake.toml`."""
        del file_secret_settings
        dotenv = dotenv_settings.env_vars if isinstance(dotenv_settings, DotEnvSettingsSource) else {}
        env = env_settings.env_vars if isinstance(env_settings, EnvSettingsSource) else {}
        toml = TomlConfigSettingsSource(settings_cls)
        return (
            init_settings,
            _NamedVariables(settings_cls, env),
            env_settings,
            _NamedVariables(settings_cls, dotenv),
            dotenv_settings,
            toml,
            _NamedInFile(settings_cls, toml.toml_data),
        )

    def span(self, today: date | None = None) -> tuple[date, date]:
        """First and last day wanted, both included; the last defaults to yesterday UTC. Raises BadInput if reversed."""
        last = self.end_date or (today or datetime.now(UTC).date()) - timedelta(days=1)
        first = self.start_date or last - timedelta(days=self.days - 1)
        if first > last:
            raise BadInput(f"the start date {first} is after the end date {last}; swap them or change --days")
        return first, last

    @property
    def prefix(self) -> str:
        """What the names of this environment begin with: `dev_`, `staging_`, or nothing for prod."""
        return "" if self.environment == "prod" else f"{self.environment}_"

    @property
    def db_schema(self) -> str | None:
        """The PostgreSQL schema of this environment; None for the server's default one (prod)."""
        return None if self.environment == "prod" else f"{self.prefix}cryptolake"

    @property
    def data_variable(self) -> Path:
        """What CRYPTOLAKE_DATA must be for a process that is to work on this folder, absolute."""
        return (
            self.data if self.environment == "prod" else self.data.parent
        ).resolve()  # it adds the environment again

    @property
    def sets_listed_in(self) -> str:
        """Where a user finds `market_sets`, for messages."""
        variable = f"{_PREFIX}MARKET_SETS"
        return f"variable {variable}" if variable in self.variables else f"{self.defaults_file}, market_sets"

    def key(self, name: str) -> str | None:
        """A vendor's key by the name of its variable; None when it is not set. A secret."""
        found = self.variables.get(name.upper())
        return found.get_secret_value() or None if found is not None else None

    def missing(self, needs: str | None) -> bool:
        """Whether a dataset needs a secret (the name of its variable) that is not set."""
        return needs is not None and self.key(needs) is None

    def watch_list(self, vendor: str) -> Path | None:
        """The user's own watch list of a vendor: CRYPTOLAKE_<VENDOR>_CONFIG, in the file `<vendor>_config`."""
        found = self.variables.get(f"{_PREFIX}{vendor}_CONFIG".upper())
        return Path(found.get_secret_value()) if found is not None and found.get_secret_value() else None

    def secrets(self, declared: Iterable[str] = ()) -> list[str]:
        """Every secret value in force, for the redactor; never print this. `declared`: variables that files declare."""
        found = [url.get_secret_value() for urls in self.rpc.values() for url in urls]
        found += [key.get_secret_value() for key in self.alchemy_keys]
        found += [key for name in declared if (key := self.key(name))]
        others = (self.database_url, self.reader_url)
        return found + [one.get_secret_value() for one in others if one is not None]


def _refuse_unknown(file: Path) -> None:
    """Refuse a name in the settings' file that nobody reads: a typo would silently leave the default in force."""
    if file.is_dir():
        raise BadInput(f"{file} is a folder; the settings' file has this name, move the folder")
    names = set(tomllib.loads(file.read_text("utf-8"))) if file.exists() else set()
    if not (unknown := sorted(names - set(Settings.model_fields))):
        return
    # What vendors and ways to tell a person declare may stand there too; asked only when there is something else.
    from cryptolake.alerts.found import find_ways
    from cryptolake.sources.found import find_sources

    sources, ways = find_sources(), find_ways()
    declared = {*sources.keys, *ways.secrets, *(one.name for way in ways.ways for one in way.settings)}
    known = {*Settings.model_fields, *(one.removeprefix(_PREFIX).lower() for one in declared)}
    known |= {one.lower() for one in declared}
    known |= {f"{one.vendor.name}_config" for one in sources.files if one.vendor is not None}
    for name in unknown:
        if name.lower() not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "docs/settings.md lists every one"
            raise BadInput(f"{file}: nobody reads {name!r}; {hint}")


def load_settings(**overrides: object) -> Settings:
    """Read the settings; `overrides` are command-line flags (None: not given). Raises BadInput."""
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        _refuse_unknown(Path(Settings.defaults_file))
        found = Settings(**given)  # type: ignore[arg-type]  # pydantic validates each value
        if "days" in given and "start_date" not in given:  # a flag that counts back wins over a file's fixed start
            found = found.model_copy(update={"start_date": None})
        if found.environment != "prod":
            return found.model_copy(update={"data": found.data / found.environment})
        return found
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors(include_input=False)
        )
        raise BadInput(f"settings: {faults} (look at the flags, the environment, .env and cryptolake.toml)") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"cryptolake.toml: {error}; correct that line") from None


def debug_wanted() -> bool:
    """Whether the user asked for tracebacks (CRYPTOLAKE_DEBUG=1)."""
    return os.environ.get("CRYPTOLAKE_DEBUG", "") not in {"", "0"}
