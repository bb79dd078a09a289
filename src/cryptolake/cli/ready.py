"""How to tell that a part of the stack is ready: it accepts connections, has loaded our definitions, has a heartbeat."""

from __future__ import annotations

import socket

from pydantic import BaseModel, Field

from cryptolake.errors import Retry, Stop

EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104  # what listens there is reached at the loopback address
_LOCATIONS = """{ workspaceOrError { __typename ... on Workspace { locationEntries { loadStatus
  locationOrLoadError { __typename ... on PythonError { message } } } } } }"""
_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { required healthy } } } }"


def listening(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        try:
            return probe.connect_ex(("127.0.0.1" if host in EVERYWHERE else host, port)) == 0
        except OSError:
            return False


def web_ready(page: str) -> bool:
    """Whether Dagster's page has loaded the definitions. Raises Stop with the reason when they cannot be loaded."""
    found = _ask(page, _LOCATIONS)
    entries = found.workspace.entries if found and found.workspace else []
    for entry in entries:
        if entry.loaded and entry.loaded.message:
            raise Stop(f"the definitions cannot be loaded: {entry.loaded.message.strip().splitlines()[-1]}")
    return bool(entries) and all(entry.status == "LOADED" and entry.loaded for entry in entries)


def daemon_ready(page: str) -> bool:
    """Whether every part of the daemon that is needed has a heartbeat."""
    found = _ask(page, _DAEMONS)
    statuses = found.instance.health.statuses if found and found.instance else []
    return any(one.required for one in statuses) and all(one.healthy for one in statuses if one.required)


class _Loaded(BaseModel):
    message: str | None = None


class _Location(BaseModel):
    status: str = Field(alias="loadStatus")
    loaded: _Loaded | None = Field(alias="locationOrLoadError")


class _Workspace(BaseModel):
    entries: list[_Location] = Field(default_factory=list, alias="locationEntries")


class _Daemon(BaseModel):
    required: bool
    healthy: bool | None


class _Health(BaseModel):
    statuses: list[_Daemon] = Field(alias="allDaemonStatuses")


class _Instance(BaseModel):
    health: _Health = Field(alias="daemonHealth")


class _Found(BaseModel):
    workspace: _Workspace | None = Field(None, alias="workspaceOrError")
    instance: _Instance | None = None


def _ask(page: str, question: str) -> _Found | None:
    """The answer of the page's GraphQL, or None when it cannot answer yet."""
    import orjson

    from cryptolake.net.http import Http

    http = Http(timeout_s=10.0)
    try:
        body = orjson.dumps({"query": question})
        answer = http.post(f"{page}/graphql", body, headers={"content-type": "application/json"})
    except Retry:
        return None
    finally:
        http.close()
    if answer.status != 200:
        return None
    return _Found.model_validate(orjson.loads(answer.body).get("data") or {})
