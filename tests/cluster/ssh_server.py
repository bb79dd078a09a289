"""A real SSH server on loopback where OpenSSH is absent: python -m tests.cluster.ssh_server FOLDER; prints its port.

FOLDER holds host_key and authorized_keys, and FOLDER/home becomes the sessions' home. Commands run by the shell, as OpenSSH
does; ports may be forwarded.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import asyncssh


class Server(asyncssh.SSHServer):
    """Whoever has the key may do what OpenSSH allows by default."""

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        return listen_host == "127.0.0.1"


async def session(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """One command in a process group of its own, ended when the client asks for it; it outlives a lost connection."""
    home = Path(sys.argv[1]) / "home"
    child = await asyncio.create_subprocess_shell(
        process.command or "",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=home,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    feeding = asyncio.create_task(_feed(process, child, child.stdin))
    await asyncio.gather(_drain(child.stdout, process.stdout), _drain(child.stderr, process.stderr))
    status = await child.wait()
    feeding.cancel()
    with suppress(OSError, asyncssh.Error):
        process.exit(status if status >= 0 else 255)


async def _feed(
    process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process, into: asyncio.StreamWriter
) -> None:
    """What the client writes, to the command; a signal the client sends ends the command's whole group."""
    while True:
        try:
            if not (data := await process.stdin.read(65536)):
                break
            into.write(data)
        except asyncssh.SignalReceived:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
        except (OSError, asyncssh.Error):
            break
    into.close()


async def _drain(reader: asyncio.StreamReader, writer: asyncssh.SSHWriter[bytes]) -> None:
    """What the command writes, to the client; read on when the client is gone, as the command must not block."""
    while data := await reader.read(65536):
        with suppress(OSError, asyncssh.Error):
            writer.write(data)


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
