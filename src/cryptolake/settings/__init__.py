"""Every knob in one place: environment, `.env`, `cryptolake.toml`, in that order. The only reader of the environment.

What does not belong here: what the settings are used for. Secrets are `SecretStr` and print as asterisks everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from cryptolake.contracts.counting import counted
from cryptolake.contracts.grades import Grade
from cryptolake.errors import BadInput
from cryptolake.net.told import ToldLimits
from cryptolake.settings.names import refuse_misspelt, refuse_unknown, refuse_unknown_vendors
from cryptolake.settings.places import (
    LOOK,
    PREFIX,
    DefaultsFile,
    Environment,
    EnvironmentFile,
    NamedInFile,
    NamedVariables,
    refuse_unreadable,
    split_values,
)

_LONGEST_NAME = 255


class Settings(BaseSettings):
    """All settings with the recommended defaults; see `docs/settings.md` for the rendered list."""

    model_config = SettingsConfigDict(
        env_prefix="CRYPTOLAKE_",
        env_file=".env",
        env_file_encoding="utf-8-sig",
        toml_file="cryptolake.toml",
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
    )
    defaults_file: ClassVar[str] = "cryptolake.toml"
    variables_file: ClassVar[str] = ".env"

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
    public_rpc: bool = Field(
        True,
        description="ask the registry's public endpoints: where no endpoint is yours, and beside yours for second opinions "
        "alone, which never fail or hold up a day",
    )
    portal_url: SecretStr | None = Field(
        None,
        description="address of an SQD Portal, whose archive is asked for logs beside nodes where it has the chain: evidence "
        "of another kind. The public one, without a key, is https://portal.sqd.dev/datasets. Unset: not asked",
    )
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
    grade: Literal["one_voice", "two_voices_sampled", "two_voices", "receipts"] | None = Field(
        None,
        description="how far liquidations are proven where endpoints allow it: one_voice, two_voices_sampled (the share "
        "`audit`), two_voices (every log window asked of two operators), receipts (rebuilt to the headers' receipts roots); "
        "unset means two_voices, or two_voices_sampled where `audit` is set (--grade)",
    )
    event_prices: bool = Field(
        False,
        description="ask each market's own oracle at the blocks of its liquidations too, into the table `event_prices` "
        "(--event-prices): a call for each block with events",
    )
    audit: float = Field(
        0.02,
        ge=0,
        le=1,
        description="share of log windows asked again of a second operator and compared, where the grade is a sample",
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
    vendor_rates: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="calls a minute by vendor, e.g. defillama = 900; unset means its default"
    )
    price_order: str = Field(
        "",
        description="whose price is taken first, e.g. chainlink,defillama; leave a source out to ignore it; unset means "
        "every price source by its rung (chainlink, governed_oracle, defillama, coingecko, file), then protocol_oracle, which "
        "prices its own market's rows alone; a lake that has prices keeps to what it was valued by until `reprice`",
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
        return split_values(value) if isinstance(value, str) else value

    @field_validator("sets", mode="before")
    @classmethod
    def _no_definitions(cls, value: object) -> object:
        """A table of sets is a definition, which has a place of its own."""
        if isinstance(value, Mapping):
            raise ValueError('names the sets to take, e.g. ["thesis-43"]; sets of your own stand under [market_sets]')
        return value

    @field_validator("data", "registry", "cluster_python")
    @classmethod
    def _require_path(cls, value: Path | str | None) -> Path | str | None:
        """A path that a file system can have; whether anything lies there is asked by who uses it."""
        parts = Path(value or "").parts
        if "\0" in str(value) or any(len(os.fsencode(one)) > _LONGEST_NAME for one in parts):
            raise ValueError(f"is no path: a name has at most {counted(_LONGEST_NAME, 'byte')} and no NUL character")
        return value

    @field_validator("rpc", "urls")
    @classmethod
    def _require_addresses(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Addresses that can be asked. They may hold a key: the message names the chain or host alone."""
        for name, one in value.items():
            for address in one if isinstance(one, list) else [one]:
                if not _is_address(address.get_secret_value() if isinstance(address, SecretStr) else address):
                    raise ValueError(f"{name}: is no address as https://host/path")
        return value

    @field_validator("market_sets")
    @classmethod
    def _require_sets(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        """What is wrong with a set whatever markets a folder knows."""
        if not value:
            return value
        from cryptolake.registry.sets import set_fault

        for name, members in value.items():
            if fault := set_fault(name, members):
                raise ValueError(f"set {name}: {fault}")
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
            return {k: split_values(v) if isinstance(v, str) else v for k, v in value.items()}
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
        del env_settings, dotenv_settings, file_secret_settings
        env, dotenv, toml = Environment(settings_cls), EnvironmentFile(settings_cls), DefaultsFile(settings_cls)
        return (
            init_settings,
            NamedVariables(settings_cls, env.env_vars),
            env,
            NamedVariables(settings_cls, dotenv.env_vars),
            dotenv,
            toml,
            NamedInFile(settings_cls, toml.toml_data),
        )

    def span(self, today: date | None = None) -> tuple[date, date]:
        """First and last day wanted, both included; the last defaults to yesterday UTC. Raises BadInput if reversed."""
        last = self.end_date or (today or datetime.now(UTC).date()) - timedelta(days=1)
        first = self.start_date or days_back(last, self.days)
        if first > last:
            raise BadInput(f"the start date {first} is after the end date {last}; swap them or change --days")
        return first, last

    @property
    def wanted_grade(self) -> Grade:
        """How far liquidations are to be proven."""
        if self.grade is None:
            return "two_voices_sampled" if "audit" in self.model_fields_set else "two_voices"
        return "receipts_root" if self.grade == "receipts" else self.grade

    @property
    def sample(self) -> float | None:
        """The share of log windows asked again where all would be too dear; None where a grade was chosen."""
        return self.audit if self.grade is None else None

    @property
    def wanted_state_grade(self) -> Grade:
        """How far state (TVL) is to be borne out: a sample, unless a grade was chosen."""
        return "two_voices_sampled" if self.grade is None else self.wanted_grade

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
        variable = f"{PREFIX}MARKET_SETS"
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
        found = self.variables.get(f"{PREFIX}{vendor}_CONFIG".upper())
        return Path(found.get_secret_value()) if found is not None and found.get_secret_value() else None

    def secrets(self, declared: Iterable[str] = ()) -> list[str]:
        """Every secret value in force, for the redactor; never print this. `declared`: variables that files declare."""
        found = [url.get_secret_value() for urls in self.rpc.values() for url in urls]
        found += [key.get_secret_value() for key in self.alchemy_keys]
        found += [key for name in declared if (key := self.key(name))]
        others = (self.database_url, self.reader_url, self.portal_url)
        return found + [one.get_secret_value() for one in others if one is not None]


def days_back(last: date, days: int) -> date:
    """The first of this many days that end with `last`. Raises BadInput for a number of days that cannot be."""
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= last.toordinal():
        raise BadInput(f"days must be a whole number from 1 to {last.toordinal()}, not {str(days)[:40]!r}")
    return last - timedelta(days=days - 1)


def _is_address(text: str) -> bool:
    """Whether it is an address of the web. Looked at as text: nothing is asked."""
    try:
        found = urlsplit(text)
        if " " in text or not text.isprintable():
            return False
        return found.scheme in {"http", "https"} and bool(found.hostname) and found.port != 0
    except ValueError:
        return False


def load_settings(**overrides: object) -> Settings:
    """Read the settings; `overrides` are command-line flags (None: not given). Raises BadInput."""
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        refuse_unreadable(Path(Settings.variables_file))
        refuse_unknown(Path(Settings.defaults_file), Settings.model_fields)
        found = Settings(**given)  # type: ignore[arg-type]  # pydantic validates each value
        refuse_misspelt(found.variables, Settings.model_fields)
        refuse_unknown_vendors(rates=found.vendor_rates, urls=found.urls)
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
        raise BadInput(f"settings: {' '.join(faults.split())} ({LOOK})") from None


def debug_wanted() -> bool:
    """Whether the user asked for tracebacks (CRYPTOLAKE_DEBUG=1)."""
    return os.environ.get("CRYPTOLAKE_DEBUG", "") not in {"", "0"}
