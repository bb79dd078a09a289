"""A Python that has loaded the heavy libraries and ourselves, and forks a process for every program asked of it.

A command spends most of its life loading polars, Arrow, DuckDB and our own modules. Here they are loaded once; what is
forked is a process of its own in every other respect: its folder, its variables, its streams, its exit code. That our
modules may be loaded in any order is proven elsewhere (tests/architecture/test_circles.py); a program
that is to find another cryptolake is forked from a Python that has loaded none of ours. What does not belong
here: programs that prove how a process starts or how it is ended (tests/cli/test_startup.py,
tests/journey/test_interrupted.py), and those that are given variables which Python or a library reads while it starts:
`tests.command` starts them as usual. Processes forked here order their sets alike; who compares the bytes that two of
them wrote gives each its own PYTHONHASHSEED.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import importlib.util
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

# Whatever of it is not installed, or cannot be loaded, is the program's own affair.
LIBRARIES = (
    "Crypto.Hash.keccak", "asyncio", "concurrent.futures", "deltalake", "dotenv", "duckdb", "msgspec", "orjson", "polars",
    "psycopg", "psycopg.sql", "psycopg.types.json", "pyarrow", "pyarrow.dataset", "pyarrow.parquet", "pydantic",
    "pydantic_settings", "pyreqwest.client", "rich.console", "rich.live", "rich.progress", "rich.table", "rich.text",
    "sqlite3", "structlog", "typer", "urllib.request", "yaml", "zoneinfo",
)  # fmt: skip
# What few programs load, and with it what is as heavy as everything else together: Dagster, Dask.
RARE = ("cryptolake.__main__", "cryptolake.cluster.", "cryptolake.definitions")
MOST = 1 << 20  # bytes of one request


def ours() -> list[str]:
    """The names of our own modules, but for the rare ones. Loads none of them."""
    root = Path(importlib.util.find_spec("cryptolake").origin).parent  # type: ignore[union-attr,arg-type]
    files = (one.relative_to(root.parent).with_suffix("") for one in root.rglob("*.py"))
    names = sorted({".".join(one.parts).removesuffix(".__init__") for one in files})
    return [one for one in names if not one.startswith(RARE)]


def read_shipped() -> None:
    """Read what ships with us and is remembered; what a user adds to it is read by each program itself."""
    from cryptolake.catalogue import found_tables
    from cryptolake.registry.loader import load_registry
    from cryptolake.sources.found import find_sources
    from cryptolake.sources.onchain.families import declared

    load_registry(declared())
    found_tables()
    find_sources()


def serve(requests: socket.socket) -> str:
    """Fork for every request until nobody asks any more; returns, in the process that was forked, the program to run."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who answers for a program is not waited for
    while True:
        text, files, _, _ = socket.recv_fds(requests, MOST, 4)
        if not text:
            sys.exit(0)
        if os.fork() == 0:
            requests.close()
            return _program(json.loads(text), files)
        for one in files:
            os.close(one)


def _program(wanted: dict[str, object], files: Sequence[int]) -> str:
    """Become the process asked for: fork once more, and tell the exit code of what was forked."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, told = files
    answer = socket.socket(fileno=told)
    if (number := os.fork()) != 0:
        with contextlib.suppress(OSError):  # nobody waits any more
            answer.sendall(f"{number}\n".encode())
            _, status = os.waitpid(number, 0)
            answer.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    answer.close()
    for stream, file in enumerate(streams):
        os.dup2(file, stream)
        os.close(file)
    os.chdir(str(wanted["folder"]))
    os.environ.clear()
    os.environ.update(wanted["variables"])  # type: ignore[call-overload]
    sys.path[1:1] = wanted["path"]  # type: ignore[call-overload]
    sys.argv = ["-c", *wanted["arguments"]]  # type: ignore[misc]
    return str(wanted["code"])


def _run(program: str) -> int:
    """Its exit code, when its threads have ended and its streams are written."""
    main = sys.modules["__main__"] = ModuleType("__main__")
    code: object = 0
    try:
        exec(compile(program, "<string>", "exec"), main.__dict__)
    except SystemExit as ended:
        code = ended.code
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)
    except BaseException:  # noqa: BLE001  # whatever it is, the interpreter prints it and ends
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    sys.path[0] = ""  # as for a program that is given on the command line
    for _library in (*LIBRARIES, *(ours() if "ours" in sys.argv else ())):
        with contextlib.suppress(ImportError):
            importlib.import_module(_library)
    if "ours" in sys.argv:
        read_shipped()
        importlib.import_module("tests.waiting").hasten()
        importlib.import_module("tests.ready_cluster").use(Path(sys.argv[3]))
    gc.freeze()
    atexit._clear()  # what libraries do at the end of this process is not for the forked ones to do
    # Taking the libraries down again piece by piece would take as long as loading them did.
    os._exit(_run(serve(socket.socket(fileno=int(sys.argv[1])))) & 0xFF)
