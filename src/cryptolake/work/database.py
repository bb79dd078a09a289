"""The database of a data folder as a thing to look after: is it up, who uses it, how is it reached, stop it.

What does not belong here: starting it and judging whether it lives (publish.server), and what lies in it (warehouse).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cryptolake.app import App
from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput, Stop
from cryptolake.files.lock import holder
from cryptolake.publish import server
from cryptolake.publish.session import without_password
from cryptolake.watch.health import read_runs

State = Literal["running", "stopped", "never made", "your own server"]


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """What is known of the database without starting it. `size` is in bytes, `since` aware UTC; None where it is not ours."""

    state: State
    data: Path
    place: Path | None = None
    pid: int | None = None
    port: int | None = None
    since: datetime | None = None
    size: int | None = None
    used_by: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "state": self.state,
            "data_folder": str(self.data),
            "files": None if self.place is None else str(self.place),
            "pid": self.pid,
            "port": self.port,
            "since": self.since,
            "size_bytes": self.size,
            "used_by": list(self.used_by),
        }


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """A libpq URL without its password, the file that holds the password (None: yours), and how psql is called."""

    url: str
    password_file: Path | None
    psql: str


def status(app: App) -> DatabaseStatus:
    """Whether the database is up and who uses it. Starts nothing."""
    data = app.folder.root.resolve()
    if not app.database.is_embedded:
        return DatabaseStatus("your own server", data, used_by=users(app))
    seen = server.look(app.folder.root)
    if seen.named is None:
        return DatabaseStatus("stopped" if seen.exists else "never made", data, seen.home, size=seen.size)
    since = datetime.fromtimestamp(seen.named.started, UTC)
    return DatabaseStatus("running", data, seen.home, seen.named.pid, seen.named.port, since, seen.size, users(app))


def users(app: App) -> tuple[str, ...]:
    """The runs and the scheduler of this data folder that are at work now, and what is connected, in words.

    Raises Stop when the server takes nobody in.
    """
    now = datetime.now(UTC)
    found = [f"{one.what} ({one.worker})" for one in read_runs(app.folder.runs) if one.at_work(now)]
    if (scheduler := holder(app.folder.scheduler_lock)) is not None:
        found.append(f"scheduler ({scheduler})")
    if app.database.is_embedded and app.database.is_running and (sessions := server.sessions(app.folder.root)):
        found.append(counted(sessions, "open session"))
    return tuple(found)


def stop(app: App, *, force: bool = False) -> bool:
    """Stop the embedded database and wait for its clean end; False when it was not running.

    Raises BadInput for the user's own server, and Stop while a run of ours uses it, unless `force`.
    """
    if not app.database.is_embedded:
        raise BadInput("the database is your own server (DATABASE_URL); stop it where it runs")
    if not app.database.is_running:
        return False
    if not force and (found := users(app)):
        raise Stop(f"the database is used by {', '.join(found)}; end that or wait for its end, or say --force")
    return server.stop_embedded(app.folder.root)


def address(app: App) -> DatabaseAddress:
    """How other programs reach the database, started if need be. The password is in no line of it."""
    shown = without_password(app.database.url())
    if not app.database.is_embedded:
        return DatabaseAddress(shown, None, f"psql {shlex.quote(shown)}")
    secret = server.look(app.folder.root).home / "password"
    return DatabaseAddress(shown, secret, f"PGPASSWORD=$(cat {shlex.quote(str(secret))}) psql {shlex.quote(shown)}")
