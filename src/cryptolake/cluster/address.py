"""`--cluster` addresses: machines to start over SSH, or a Dask scheduler that runs already. Opens nothing."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from cryptolake.errors import BadInput

_HOW = "write ssh://user@lab1,lab2 for machines to start, or tcp://host:8786 or tls://host:8786 for a Dask scheduler"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine reached over SSH; `user` and `port` as the user's SSH configuration says when None."""

    host: str
    user: str | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Machines:
    """Machines to start; the first also runs the scheduler. `interface` is the network interface they talk over."""

    each: tuple[Machine, ...]
    interface: str | None = None


@dataclass(frozen=True, slots=True)
class SchedulerAddress:
    """A running Dask scheduler. Only over TLS are secrets sent to its workers."""

    address: str
    encrypted: bool


def parse_address(text: str) -> Machines | SchedulerAddress:
    """Read an address; the user of the first machine holds for those after it. Raises BadInput with what is right.

    `ssh://[user@]host[:port],[user@]host[:port]...[?interface=eth0]`, `tcp://host:port`, `tls://host:port`.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in {"ssh", "tcp", "tls"}:
        raise BadInput(f"--cluster does not know this address; {_HOW}")
    if scheme != "ssh":
        try:
            parts = urlsplit(text)
            whole = bool(parts.hostname) and parts.port is not None and parts.path in {"", "/"}
        except ValueError:
            whole = False
        if not whole or parts.username is not None:
            raise BadInput(f"--cluster {scheme}:// needs a host and a port and nothing else; {_HOW}")
        return SchedulerAddress(f"{scheme}://{parts.netloc}", scheme == "tls")
    hosts, _, query = rest.partition("?")
    options = parse_qs(query)
    if unknown := sorted(set(options) - {"interface"}):
        raise BadInput(f"--cluster ssh:// does not know {', '.join(unknown)}; it knows interface")
    machines: list[Machine] = []
    for part in hosts.rstrip("/").split(","):
        machines.append(_machine(part.strip(), machines[0].user if machines else None))
    return Machines(tuple(machines), options.get("interface", [None])[0])


def _machine(text: str, user: str | None) -> Machine:
    try:
        parts = urlsplit(f"ssh://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.path:
        raise BadInput(f"--cluster: {text!r} is no machine; {_HOW}")
    if parts.password is not None:
        raise BadInput("--cluster: a password must not stand in a command; use an SSH key or agent")
    return Machine(host, parts.username or user, port)
