"""RPC plans and operators: the published limits and prices of providers, and whose an endpoint is by its host.

What does not belong here: the limits an endpoint teaches us (net/endpoint) and keys (settings).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import yaml

from cryptolake.errors import BadInput
from cryptolake.net.endpoint import Limits

OWN, PUBLIC, ARCHIVE = "own", "other_public", "sqd"


@dataclass(frozen=True, slots=True)
class RpcPlan:
    """One plan of a provider: its limits in its own unit and what a million units cost (USD; None when not published)."""

    name: str
    hosts: tuple[str, ...]
    limits: Limits
    usd_per_million: float | None
    source: str

    @property
    def provider(self) -> str:
        """Whose plan it is: plans of one provider differ by what follows an underscore (alchemy_free, alchemy_payg)."""
        return self.name.removesuffix("_free").removesuffix("_payg")


def provider_names() -> list[str]:
    """Every provider that has a plan, sorted."""
    return sorted({plan.provider for plan in rpc_plans().values()})


@lru_cache(maxsize=1)
def _data() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    text = (files("cryptolake.registry") / "data" / "providers.yaml").read_text("utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast as the pure Python one
    found: dict[str, dict[str, dict[str, Any]]] = yaml.load(text, Loader=loader)  # noqa: S506  # a SafeLoader either way
    return found


@lru_cache(maxsize=1)
def rpc_plans() -> Mapping[str, RpcPlan]:
    """Every plan by name. Raises BadInput naming the plan whose row is wrong."""
    plans = {}
    for name, row in _data()["plans"].items():
        try:
            limits = Limits(
                rate=float(row["rate"]),
                unit=str(row["unit"]),
                weights={str(method): float(cost) for method, cost in row.get("weights", {}).items()},
                log_span=int(row["log_span"]),
                max_batch=int(row["max_batch"]),
                monthly=float(row["monthly"]) if "monthly" in row else None,
                told=bool(row.get("told", False)),
            )
            price = float(row["usd_per_million"]) if "usd_per_million" in row else None
            plans[name] = RpcPlan(name, tuple(row["hosts"]), limits, price, str(row["source"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"providers.yaml: plan {name}: {error!r}; correct that row") from None
    return plans


UNTOLD = "unknown"


@dataclass(frozen=True, slots=True)
class Operator:
    """Who runs the endpoints of some hosts, and whose nodes they pass questions on to ("": their own, as far as is known;
    `UNTOLD`: others', and it is not told whose).
    """

    name: str
    hosts: tuple[str, ...]
    upstream: str
    source: str


@lru_cache(maxsize=1)
def operators() -> Mapping[str, Operator]:
    """Every known operator by name. Raises BadInput naming the one whose row is wrong."""
    found = {}
    for name, row in _data()["operators"].items():
        try:
            found[name] = Operator(name, tuple(row["hosts"]), str(row.get("upstream", "")), str(row["source"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"providers.yaml: operator {name}: {error!r}; correct that row") from None
    return found


@lru_cache(maxsize=1)
def relays() -> frozenset[str]:
    """The operators that pass questions on to nodes of which they do not tell whose they are."""
    return frozenset(name for name, one in operators().items() if one.upstream == UNTOLD)


def operator_of(url: str) -> Operator | None:
    """Who runs the endpoint at this address; None where nobody has said."""
    host = host_of(url)
    for one in operators().values():
        if any(host == name or host.endswith(f".{name}") for name in one.hosts):
            return one
    return None


def host_of(url: str) -> str:
    """The host of a URL in normal form; empty where it has none, or is none: whoever asks it says so."""
    try:
        return _host(urlsplit(url).hostname or "")
    except ValueError:
        return ""


def normal_form(url: str) -> str:
    """One way to write a URL of all those that reach the same place; as it is where it is none.

    Case and last dot of the host, a port that goes without saying, http or https then, and the path's last slash tell nothing.
    """
    try:
        parts = urlsplit(url)
        host, port = _host(parts.hostname or ""), parts.port
    except ValueError:
        return url
    if not host:
        return url
    usual = port in (None, _PORTS.get(parts.scheme))
    who = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    place = f"[{host}]" if ":" in host else host
    scheme = "https" if usual and parts.scheme in _PORTS else parts.scheme
    rest = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{who}{place}{'' if usual else f':{port}'}{parts.path.rstrip('/')}{rest}"


_PORTS = {"http": 80, "https": 443}


def _host(name: str) -> str:
    name = name.removesuffix(".").lower()
    try:
        return name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        return name


def plan_of(url: str, otherwise: str) -> RpcPlan:
    """The plan that an endpoint's host belongs to, else the plan named `otherwise`."""
    host = host_of(url)
    for plan in rpc_plans().values():
        if any(host == one or host.endswith(f".{one}") for one in plan.hosts):
            return plan
    return rpc_plans()[otherwise]
