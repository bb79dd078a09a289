"""Renders the pages that must not drift (asked, commands, settings, tables) under docs/. `tests/docs` compares them.

Run `python scripts/render_docs.py` after changing a command, a setting or a table contract.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import click
import typer

from cryptolake.catalogue import contracts
from cryptolake.cli import app
from cryptolake.settings import Settings

DOCS = Path(__file__).resolve().parents[1] / "docs"


def commands() -> list[tuple[str, click.Command]]:
    """Every command by its full name, those of groups included (`rpc probe`)."""
    found: list[tuple[str, click.Command]] = []
    waiting: list[tuple[str, click.Command]] = [("", typer.main.get_command(app))]  # type: ignore[list-item]
    while waiting:
        name, command = waiting.pop()
        if inner := getattr(command, "commands", None):
            waiting += [(f"{name} {one}".strip(), below) for one, below in inner.items()]
        else:
            found.append((name, command))
    return sorted(found, key=lambda pair: pair[0])


def commands_page() -> str:
    """One section per command, from the command line's own help."""
    group = typer.main.get_command(app)
    lines = ["# Commands", "", "Rendered from the command line itself by `scripts/render_docs.py`.", ""]
    lines += ["Exit codes: 0 done, 1 something failed, 2 the command or its input was wrong.", ""]
    with click.Context(group, info_name="cryptolake"):  # type: ignore[arg-type]
        lines += ["Before any command: " + ", ".join(f"`{flag}`" for flag in _flags(group)), ""]
        for name, command in commands():
            text = " ".join((command.help or "").split())
            what, _, example = text.partition("Example: ")
            lines += [f"## {name}", "", what.strip(), ""]
            if example:
                lines += ["```sh", example.strip(), "```", ""]
            lines += ["| flag | meaning |", "|---|---|"]
            for parameter in command.params:
                flags = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
                lines.append(f"| {flags} | {(getattr(parameter, 'help', '') or '').replace('|', '/')} |")
            lines.append("")
            for inner in getattr(command, "commands", {}):
                lines += _subcommand(name, command.commands[inner])
    return "\n".join(lines)


def _subcommand(group: str, command: click.Command) -> list[str]:
    """The lines of one command of a command group."""
    what, _, example = " ".join((command.help or "").split()).partition("Example: ")
    lines = [f"### {group} {command.name}", "", what.strip(), ""]
    lines += ["```sh", example.strip(), "```", "", "| flag | meaning |", "|---|---|"]
    for parameter in command.params:
        flags = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
        lines.append(f"| {flags} | {(getattr(parameter, 'help', '') or '').replace('|', '/')} |")
    return [*lines, ""]


def _flags(command: object) -> list[str]:
    return [flag for parameter in command.params for flag in parameter.opts if flag.startswith("--")]  # type: ignore[attr-defined]


def settings_page() -> str:
    """One row per setting."""
    lines = ["# Settings", "", "Rendered from the settings themselves by `scripts/render_docs.py`.", ""]
    lines += ["Precedence: flags, environment, `.env`, `cryptolake.toml`. Secrets never print.", ""]
    lines += ["| `cryptolake.toml` | environment | default | meaning |", "|---|---|---|---|"]
    special = {
        "database_url": "DATABASE_URL",
        "rpc": "CRYPTOLAKE_RPC_<CHAIN>",
        "urls": "CRYPTOLAKE_URL_<HOST>",
        "alchemy_keys": "ALCHEMY_KEY_1 ... ALCHEMY_KEY_n",
        "coingecko_demo_api_key": "COINGECKO_DEMO_API_KEY",
        "coingecko_pro_api_key": "COINGECKO_PRO_API_KEY",
    }
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = "" if default in (None, {}, []) else f"`{default}`"
        variable = special.get(name, f"CRYPTOLAKE_{name.upper()}")
        lines.append(f"| `{name}` | `{variable}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def tables_page() -> str:
    """The data dictionary of every published table."""
    head = "# Tables\n\nRendered from the table contracts by `scripts/render_docs.py`.\n\n"
    return head + "\n".join(table.markdown() for table in contracts())


def asked_page() -> str:
    """What the documents ask, from docs/asked.yaml."""
    return str(runpy.run_path(str(Path(__file__).with_name("render_asked.py")))["asked_page"]())


PAGES = {"asked.md": asked_page, "commands.md": commands_page, "settings.md": settings_page, "tables.md": tables_page}

if __name__ == "__main__":
    for name, render in PAGES.items():
        (DOCS / name).write_text(render(), encoding="utf-8")
