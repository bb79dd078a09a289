"""The vendor commands in this process: the command line as a user types it, its hosts at a server on the loopback."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from tests.command import CLEAN
from tests.vendors.server import Vendor
from tests.vendors.universe import HOSTS
from tests.vendors.unlimited import UNLIMITED

from cryptolake.cli import main


@dataclass
class Said:
    """How a command ended and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Shell:
    """The command line in a folder of its own, its hosts at a server; run in this process, because starting one is slow."""

    def __init__(self, folder: Path, server: Vendor) -> None:
        self.folder, self.server = folder, server
        hosts = {f"CRYPTOLAKE_URL_{host.upper()}": f"{server.url}/{host}" for host in HOSTS}
        self.variables = {**CLEAN, **hosts, **UNLIMITED}

    def __call__(self, *arguments: str, typed: str = "", **variables: str) -> Said:
        out, err, code = io.StringIO(), io.StringIO(), 0
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, {**self.variables, **variables}, clear=True),
            mock.patch.object(sys, "argv", ["cryptolake", *arguments]),
            mock.patch.object(sys, "stdin", io.StringIO(typed)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Said(code, out.getvalue(), err.getvalue())
