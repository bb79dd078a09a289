"""Reading the bytes of a file of the lake. What does not belong here: what they mean, and writing them (atomic)."""

from __future__ import annotations

from pathlib import Path

from cryptolake.errors import Stop


def bytes_of(path: Path) -> bytes | None:
    """The bytes of a file, None where there is none.

    Raises Stop with the path and the remedy where something is there that cannot be read: that it says nothing is not known.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = error.strerror or str(error)
        raise Stop(f"cannot read {path}: {reason}; mend it or move it away, then run the same command again") from None
