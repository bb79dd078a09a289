"""A real SSH server on loopback where OpenSSH is absent: python -m tests.cluster.ssh_server FOLDER; prints its port.

FOLDER holds host_key and authorized_keys, and FOLDER/home becomes the sessions' home. Commands run by the shell, as OpenSSH
does; ports may be forwarded.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import asyncssh


class Server(asyncssh.SSHServer):
    """Whoever has the key may do what OpenSSH allows by default."""

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        return listen_host == "127.0.0.1"


async def session(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """One command, in a process group of its own, killed when the client asks for it."""
    home = Path(sys.argv[1]) / "home"
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    child = await asyncio.create_subprocess_shell(
        process.command or "",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=home,
        env=env,
        start_new_session=True,
    )
    await process.redirect(child.stdin, child.stdout, child.stderr)
    try:
        process.exit(await child.wait())
    except (asyncssh.SignalReceived, asyncssh.TerminalSizeChanged):
        os.killpg(child.pid, signal.SIGTERM)


async def serve(folder: Path) -> None:
    """Serve until killed."""
    server = await asyncssh.create_server(
        Server,
        "127.0.0.1",
        0,
        server_host_keys=[str(folder / "host_key")],
        authorized_client_keys=str(folder / "authorized_keys"),
        process_factory=session,
        encoding=None,
    )
    print(server.get_port(), flush=True)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
