"""`cryptolake`: the command line as a user runs it, in a process of its own."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

from tests import ready_cluster, warm
from tests.waiting import PATIENCE_S

# The machine's own settings and keys must not decide what a test sees.
_OURS = ("CRYPTOLAKE", "ALCHEMY", "DATABASE_URL", "DEFILLAMA", "ARTEMIS", "COINGECKO")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
CLEAN["CRYPTOLAKE_PUBLIC_RPC"] = "0"  # no test asks the public endpoints of real chains
MAIN = "from cryptolake.cli import main; main()"
# What Python and libraries read while they start, so that a process that has started does not obey it any more.
_AT_START = ("PYTHON", "POLARS", "LC_", "LANG", "TZ", "TMP", "LD_", "MALLOC", "XDG_", "HOME", "PATH")


def cryptolake(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it in `folder` with only these variables of ours set."""
    return python(MAIN, *arguments, folder=folder, variables=variables)


@cache
def _warm(*loaded: str) -> socket.socket:
    """Where programs are asked for; one process per test process forks them, and ends with it. See `tests.warm`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    number = theirs.fileno()
    template = Path(tempfile.mkdtemp(prefix="cryptolake-template-"))
    template.chmod(0o755)
    command = [sys.executable, warm.__file__, str(number), *loaded, str(template)]
    root = Path(__file__).parents[1]  # where it finds `tests`, whatever folder the test that asks first stands in
    with theirs:
        process = subprocess.Popen(
            command, cwd=root, env=CLEAN, pass_fds=[number], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    def end() -> None:
        ours.close()
        process.wait(PATIENCE_S)
        ready_cluster.clear(template)

    atexit.register(end)
    return ours


def _forked(warmed: socket.socket, request: bytes, streams: Sequence[int]) -> int:
    """The exit code of a program whose streams are these files. Whatever ends the wait ends the program."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(warmed, [request], [*streams, theirs.fileno()])
        theirs.close()
        ours.settimeout(PATIENCE_S)
        with ours.makefile() as told:
            number = int(told.readline())
            try:
                return int(told.readline())
            except BaseException:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
                raise


def python(
    code: str, *arguments: str, folder: Path, variables: Mapping[str, str], typed: str = "", loaded: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run Python source in a process of its own, in `folder`, with only these variables of ours set.

    `loaded`: our own modules may be loaded already, as they are unless another cryptolake is to be found.
    """
    env = {**CLEAN, **variables}
    if sys.platform != "linux" or any(one.startswith(_AT_START) and one != "PYTHONPATH" for one in variables):
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(
            command, cwd=folder, env=env, input=typed, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    path = [one for one in variables.get("PYTHONPATH", "").split(os.pathsep) if one]
    asked = {"code": code, "arguments": arguments, "folder": str(folder), "variables": env, "path": path}
    with ExitStack() as stack:
        given, out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write(typed.encode())
        given.seek(0)
        another = any(Path(one, "cryptolake").exists() for one in path if one not in sys.path)
        warmed = _warm("ours") if loaded and not another else _warm()
        status = _forked(warmed, json.dumps(asked).encode(), [one.fileno() for one in (given, out, err)])
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode().replace("\r\n", "\n"))
    return subprocess.CompletedProcess([code, *arguments], status, *said)


def widest(text: str) -> int:
    """Characters of the longest line, except of those with a command that is copied and therefore never broken."""
    return max((len(line) for line in text.splitlines() if " cryptolake --" not in line), default=0)
