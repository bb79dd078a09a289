"""Text files that a user wrote. What does not belong here: what a text means, and writing one (atomic)."""

from __future__ import annotations

from pathlib import Path

from cryptolake.errors import BadInput


def read_text(path: Path, *, name: str = "", remedy: str) -> str:
    """The UTF-8 text of a file, without the byte order mark that some editors write.

    Raises BadInput with the file's `name` in messages (its path), the reason and the remedy when it cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeDecodeError:
        reason = "is not UTF-8 text"
    except ValueError:  # no path at all: it holds a NUL character
        reason = "is no path"
    else:
        if "\0" not in text:
            return text
        reason = "is not UTF-8 text"  # other encodings show so
    raise BadInput(f"{name or path}: {reason}; {remedy}")
