"""Lab machines on loopback: real SSH servers, each on a port of its own, and a client's home that knows them."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).resolve().parents[2]
SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True, slots=True)
class Lab:
    """`home` is the client's home folder with key and known hosts, `ports` the machines'."""

    home: Path
    ports: tuple[int, ...]

    @property
    def address(self) -> str:
        """For --cluster; the user of the first machine holds for all."""
        hosts = [f"127.0.0.1:{port}" for port in self.ports]
        return f"ssh://{getpass.getuser()}@{','.join(hosts)}"


def _keys(folder: Path) -> str:
    """Make the client's and the host's key; the host's public line."""
    ssh = folder / "home" / ".ssh"
    ssh.mkdir(parents=True, mode=0o700)
    mine, host = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    mine.write_private_key(str(ssh / "id_ed25519"))
    (ssh / "id_ed25519").chmod(0o600)
    host.write_private_key(str(folder / "host_key"))
    (folder / "host_key").chmod(0o600)
    (folder / "authorized_keys").write_bytes(mine.export_public_key())
    return host.export_public_key().decode().strip()


def _open_ssh(folder: Path, number: int) -> tuple[subprocess.Popen[str], int]:
    assert SSHD is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    config = folder / f"sshd{number}.conf"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host_key'}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder / 'authorized_keys'}\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
    )
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL, text=True)

    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            return False
        return True

    until(answers, "a connection to sshd")
    return process, port


def _own_server(folder: Path, _number: int) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.ssh_server", str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@contextmanager
def lab_machines(folder: Path, count: int, *, open_ssh: bool) -> Iterator[Lab]:
    """Start `count` servers, by OpenSSH or by our own small one."""
    host = _keys(folder)
    started: list[tuple[subprocess.Popen[str], int]] = []
    try:
        started.extend((_open_ssh if open_ssh else _own_server)(folder, number) for number in range(count))
        known = "".join(f"[127.0.0.1]:{port} {host}\n" for _, port in started)
        (folder / "home" / ".ssh" / "known_hosts").write_text(known)
        yield Lab(folder / "home", tuple(port for _, port in started))
    finally:
        for process, _ in started:
            process.terminate()
        for process, _ in started:
            process.wait(timeout=PATIENCE_S)
