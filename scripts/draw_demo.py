"""Draws docs/demo.svg, the README's picture, from what `cryptolake demo` prints now. Fonts are the reader's own."""

from __future__ import annotations

import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "demo.svg"


def main() -> None:
    """Run the demo and keep its picture."""
    command = [sys.executable, "-c", "from cryptolake.cli import main; main()", "demo"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    console = Console(record=True, width=100, file=StringIO())
    console.print(Text(f"$ make demo\n{text}"))
    svg = console.export_svg(title="cryptolake demo (sandbox data)")
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
