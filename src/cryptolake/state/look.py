"""Opens a SQLite file in WAL mode where nothing may be written: as it is now, for one look.

What does not belong here: what is looked for (ledger, slots) and making or changing a file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from cryptolake.files.rights import may_write


def may_change(path: Path) -> bool:
    """Whether the file, and those that SQLite keeps beside it, may be written or made."""
    return may_write(path.parent) and (not path.exists() or os.access(path, os.W_OK))


def look_at(path: Path, lay_out: Callable[[sqlite3.Connection], object]) -> sqlite3.Connection:
    """A connection that can only read; one to an empty layout (`lay_out` makes it) where there is no file.

    While others have the file open they keep a log beside it, which is read with it. Without one the file is whole, and
    SQLite is told that nobody changes it: else it would want to make that log. So a connection serves one look only.
    """
    if not path.exists():
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        lay_out(connection)
        return connection
    alone = not path.with_name(f"{path.name}-wal").exists()
    address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
    return sqlite3.connect(address, uri=True, timeout=60, isolation_level=None, check_same_thread=False)
