"""A connection to PostgreSQL, opened in UTC; what can go wrong on the way is one line without the password.

What does not belong here: which server (server), which login (connection, reader) and what is asked of it.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from cryptolake.errors import BadInput, Stop
from cryptolake.publish.postmaster import refusal

_PLACE = {"user", "host", "port", "dbname"}
_SECRET = {"password", "sslpassword", "passfile", "oauth_client_secret"}
_OLDEST = 150000  # PostgreSQL 15, as the driver counts versions


def connect(url: str, *, variable: str | None, **settings: str) -> tuple[psycopg.Connection, str]:
    """An open connection that commits every statement, and its address fit to print.

    `settings` hold for the session and come after those of the URL's own `options`. `variable` is what to correct, None
    for a server of our own.
    Raises BadInput for what is no URL and Stop when the server cannot be used.
    """
    try:
        parts = conninfo_to_dict(url)
        host, port = parts.get("host") or "local", parts.get("port") or 5432
        shown = f"{parts.get('user') or ''}@{host}:{port}/{parts.get('dbname') or ''}"
        asked = {"timezone": "UTC", **settings}
        options = " ".join([str(parts.get("options") or ""), *(f"-c {name}={value}" for name, value in asked.items())])
        connection = psycopg.connect(url, connect_timeout=10, autocommit=True, options=options.strip())
    except psycopg.ProgrammingError:
        raise BadInput(
            f"{variable} is no PostgreSQL URL; write postgresql://user:password@host:5432/database"
        ) from None
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[-1].split("FATAL:")[-1].strip() or "no answer"
        remedy = f"check {variable}" if variable else "run the same command again"
        if refusal(error) == "full":
            remedy = "end idle sessions, then run the same command again"
        raise Stop(f"PostgreSQL at {shown} cannot be used ({reason}); {remedy}") from None
    if connection.info.server_version < _OLDEST:
        connection.close()
        raise Stop(f"PostgreSQL at {shown} is older than version 15; upgrade it or unset {variable}")
    return connection, shown


def without_password(url: str) -> str:
    """The address as a libpq URL without what is secret in it. Raises BadInput for what is no address."""
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError:
        raise BadInput(
            "DATABASE_URL is no PostgreSQL URL; write postgresql://user:password@host:5432/database"
        ) from None
    more = {name: value for name, value in parts.items() if name not in {*_PLACE, *_SECRET}}
    user = f"{quote(parts['user'], safe='')}@" if "user" in parts else ""
    port = f":{parts['port']}" if "port" in parts else ""
    query = f"?{urlencode(more, quote_via=quote)}" if more else ""
    host = parts.get("host", "")
    host = f"[{host}]" if ":" in host and "," not in host else quote(host, safe=":[],")
    name = quote(parts.get("dbname", ""), safe="")
    return f"postgresql://{user}{host}{port}/{name}{query}"


def one_line(error: Exception) -> str:
    """The first line of what the server said."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
