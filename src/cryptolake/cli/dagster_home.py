"""Writes Dagster's own folder: `dagster.yaml` and `workspace.yaml`. Imports nothing of Dagster; holds no secret.

The address of its run storage is named by a variable, so that no password lies in a file.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from cryptolake.files.atomic import write_bytes

URL_VARIABLE = "CRYPTOLAKE_DAGSTER_URL"
_CONCURRENT_RUNS = 2  # a vendor's and the chains'; more would only share the same limits


def storage_url(database_url: str, schema: str) -> str:
    """The address of the run storage: the project's own PostgreSQL, in a schema of its own.

    The driver is named because SQLAlchemy 2.1 takes psycopg 3 for a plain `postgresql://`, which dagster-postgres
    does not speak (measured).
    """
    _, _, rest = database_url.partition("://")
    joint = "&" if "?" in rest else "?"
    return f"postgresql+psycopg2://{rest}{joint}options={quote(f'-csearch_path={schema}')}"


def write_instance(folder: Path) -> None:
    """Write `dagster.yaml`. Safe to run again; what Dagster keeps beside it stays."""
    import yaml

    instance = {
        "storage": {"postgres": {"postgres_url": {"env": URL_VARIABLE}}},
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "freshness": {"enabled": True},
        "concurrency": {"runs": {"max_concurrent_runs": _CONCURRENT_RUNS}},
        "run_monitoring": {"enabled": True, "start_timeout_seconds": 300},
        "retention": {"schedule": {"purge_after_days": 90}, "sensor": {"purge_after_days": 7}},
    }
    write_bytes(folder / "dagster.yaml", yaml.safe_dump(instance, sort_keys=False).encode())


def write_workspace(folder: Path, *, location: str, host: str, port: int) -> None:
    """Write `workspace.yaml`: where the web page and the daemon find the code server."""
    import yaml

    server = {"grpc_server": {"host": host, "port": port, "location_name": location}}
    write_bytes(folder / "workspace.yaml", yaml.safe_dump({"load_from": [server]}, sort_keys=False).encode())
