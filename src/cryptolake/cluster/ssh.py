"""Machines over SSH: a Dask scheduler on the first and a worker on each, talking TLS with a certificate of this run.

Host keys are checked against the user's known hosts. Nothing secret stands in a command: the certificate's key goes through
SSH's standard input into a file only its owner may read, everything else through TLS. What does not belong here: what the
workers are asked.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import asyncssh
import dask.config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from distributed import Client, Security, SSHCluster

from cryptolake.cluster.address import Machine, Machines
from cryptolake.cluster.fleet import quiet
from cryptolake.errors import Stop

T = TypeVar("T")
_ANSWER_S = 20.0  # how long a machine may take to answer
_IDLE_S = 60  # a scheduler without work or coordinator ends itself; a worker without scheduler sooner
_SILENT_S = 30  # a worker that is not heard of for so long is taken for dead: the default of five minutes stalls a run


@contextmanager
def ssh_cluster(
    machines: Machines, *, threads: int, python: str, port_to_share: int | None
) -> Iterator[tuple[Client, list[int]]]:
    """Start the machines and connect; everything is ended afterwards, also by itself if this process is killed.

    `threads` conversations per machine. `port_to_share` is a port of this machine's loopback that the others are to reach:
    the ports at which they find it on theirs come back (one of them works on each). Raises Stop with the remedy.
    """
    name = f".cryptolake-{uuid.uuid4().hex[:12]}.pem"
    pem = _certificate()
    with _Shells() as shells:
        ports = shells.open(machines, name, pem, port_to_share)
        hosts = [machines.each[0], *machines.each]
        security = Security(  # type: ignore[no-untyped-call]
            require_encryption=True,
            **{f"tls_{role}_{kind}": pem for role in ("client", "scheduler", "worker") for kind in ("key", "cert")},
            tls_ca_file=pem,
        )
        talk = {"protocol": "tls://", **({"interface": machines.interface} if machines.interface else {})}
        with dask.config.set(_remote_config(name)), quiet():
            try:
                cluster = SSHCluster(
                    [one.host for one in hosts],
                    connect_options=[_options(one) for one in hosts],
                    scheduler_options={**talk, "port": 0, "dashboard": False, "idle_timeout": f"{_IDLE_S}s"},
                    worker_options={**talk, "nthreads": threads, "death_timeout": f"{_SILENT_S}s"},
                    remote_python=python,
                    security=security,
                )
            except Exception as error:  # noqa: BLE001  # Dask raises bare Exceptions; the words of the machine itself went to its log
                raise Stop(
                    f"the machines answer, but Dask does not start there with {python} ({type(error).__name__}); install "
                    "cryptolake[cluster] there and set CRYPTOLAKE_CLUSTER_PYTHON to its Python"
                ) from None
        try:
            with quiet(), Client(cluster, timeout=_ANSWER_S) as client:  # type: ignore[no-untyped-call]
                yield client, ports
        finally:
            with quiet(), suppress(TimeoutError, OSError):
                cluster.close(timeout=10)


def _remote_config(name: str) -> dict[str, object]:
    """Dask's settings on the machines; file names there, never contents, because these stand in a command."""
    files: dict[str, object] = {
        f"distributed.comm.tls.{role}.{kind}": name
        for role in ("scheduler", "worker", "client")
        for kind in ("key", "cert")
    }
    return files | {
        "distributed.comm.tls.ca-file": name,
        "distributed.comm.require-encryption": True,
        "distributed.scheduler.worker-ttl": f"{_SILENT_S}s",
    }


def _options(machine: Machine) -> dict[str, object]:
    """For asyncssh; what is not given comes from the user's SSH configuration. Host keys are checked by default."""
    given: dict[str, object] = {"connect_timeout": _ANSWER_S, "keepalive_interval": 15}
    if machine.user is not None:
        given["username"] = machine.user
    if machine.port is not None:
        given["port"] = machine.port
    return given


def _certificate() -> str:
    """A key and a self-signed certificate as PEM text, good for this run's cluster and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cryptolake cluster")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # the machines' clocks may be behind
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (secret + certificate.public_bytes(serialization.Encoding.PEM)).decode()


class _Shells:
    """Our own SSH connections, one per machine, on an event loop of their own: they bring the key and share a port."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ssh", daemon=True)
        self._open: list[asyncssh.SSHClientConnection] = []
        self._file = ""

    def __enter__(self) -> _Shells:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(asyncssh.Error, OSError, TimeoutError):
            self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def open(self, machines: Machines, file: str, content: str, port: int | None) -> list[int]:
        """Connect to every machine and leave `content` in `file` of its home; the ports where each finds `port`."""
        self._file = file
        found = self._run(self._open_all(machines, file, content, port))
        return [one for one in found if one is not None]

    async def _open_all(self, machines: Machines, file: str, content: str, port: int | None) -> list[int | None]:
        unique = sorted(set(machines.each), key=machines.each.index)
        return await asyncio.gather(*(self._open_one(one, file, content, port) for one in unique))

    async def _open_one(self, machine: Machine, file: str, content: str, port: int | None) -> int | None:
        try:
            connection = await asyncssh.connect(machine.host, **_options(machine))
        except asyncssh.HostKeyNotVerifiable:
            at = f"-p {machine.port} " if machine.port else ""
            raise Stop(
                f"the host key of {machine.host} is not known or has changed; compare it, connect once with "
                f"ssh {at}{machine.host}, then run again"
            ) from None
        except asyncssh.PermissionDenied:
            raise Stop(
                f"{machine.host} refuses the login; check the user name and install your SSH key there"
            ) from None
        except (OSError, asyncssh.Error, TimeoutError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise Stop(f"{machine.host} does not answer over SSH ({reason}); start it or leave it out") from None
        self._open.append(connection)
        done = await connection.run(f"umask 077; cat > {file}", input=content)
        if done.exit_status != 0:
            raise Stop(f"{machine.host}: the home folder cannot be written; free space or grant the right")
        if port is None:
            return None
        try:
            return (await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", port)).get_port()
        except asyncssh.Error:
            raise Stop(
                f"{machine.host} does not allow SSH port forwarding, by which it would reach the database here; allow it "
                "(AllowTcpForwarding) or set DATABASE_URL to a PostgreSQL that every machine reaches"
            ) from None

    async def _close(self) -> None:
        for connection in self._open:
            with suppress(asyncssh.Error, OSError, TimeoutError):
                await asyncio.wait_for(connection.run(f"rm -f {self._file}"), 5)
            connection.close()
