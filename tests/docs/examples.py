"""The whole files that the documentation shows: fenced blocks whose first line is a comment that names a file."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def example(page: str) -> tuple[str, str]:
    """Name and content of the file that docs/<page> shows. Raises ValueError unless it shows exactly one."""
    found = re.findall(r"^```\w+\n# (\S+\.\w+)\n(.*?)^```", (DOCS / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    (one,) = found
    name, content = one
    return name, content
