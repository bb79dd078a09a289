"""What runs before a commit is what `make lint` runs."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
RUN = r"((?:ruff|python|deptry) \S+|[\w-]+)"  # a tool, with its first word where that says what it does


def test_the_hooks_run_every_tool_of_the_lint_target() -> None:
    recipe = (ROOT / "Makefile").read_text().split("\nlint:", 1)[1].split("\n\n", 1)[0]
    linted = re.findall(rf"\$\(BIN\)/{RUN}", recipe)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    hooked = [re.match(rf"\.venv/bin/{RUN}", hook["entry"]) for hook in hooks]
    assert {"ruff check", "ruff format", "mypy", "lint-imports", "deptry src"} <= set(linted)
    assert set(linted) <= {found[1] for found in hooked if found}
