"""Renders the pages that must not drift (asked, commands, settings, tables) under docs/. `tests/docs` compares them.

Run `python scripts/render_docs.py` after changing a command, a setting or a table contract.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import click
import typer

from cryptolake.alerts.found import find_ways
from cryptolake.catalogue import contracts
from cryptolake.cli import app
from cryptolake.settings import Settings
from cryptolake.sources.found import find_sources

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
    }
    for name, field in Settings.model_fields.items():
        if name == "variables":
            continue
        default = field.get_default(call_default_factory=True)
        shown = "" if default in (None, {}, [], "") else f"`{default}`"
        variable = special.get(name, f"CRYPTOLAKE_{name.upper()}")
        lines.append(f"| `{name}` | `{variable}` | {shown} | {field.description} |")
    lines += ["", "## Vendors", "", "Declared by each vendor's own file; one that is added appears by itself.", ""]
    lines += ["| `cryptolake.toml` | environment | meaning |", "|---|---|---|"]
    vendors = [file.vendor for file in find_sources().files if file.vendor is not None]
    for vendor in vendors:
        lines += [f"| `{key.name.lower()}` | `{key.name}` | {key.doc} |" for key in vendor.keys]
        if vendor.watch_list is not None:
            name = f"{vendor.name}_config"
            lines.append(f"| `{name}` | `CRYPTOLAKE_{name.upper()}` | {vendor.watch_list} |")
    lines += [
        "",
        "| vendor | calls a minute (at once) | with a key | hosts for `CRYPTOLAKE_URL_<HOST>` |",
        "|---|---|---|---|",
    ]
    for vendor in vendors:
        keyed = ", ".join(f"`{key.name}` {key.per_minute} ({key.burst})" for key in vendor.keys if key.per_minute)
        hosts = ", ".join(f"`{host.upper()}`" for host in vendor.hosts)
        limit = f"{vendor.per_minute} ({vendor.burst})" if any(vendor.hosts.values()) else ""
        lines.append(f"| {vendor.name} | {limit} | {keyed} | {hosts} |")
    lines += ["", "## Alerts", "", "Declared by each way's own file: it tells when all of its settings are set.", ""]
    lines += ["| way | `cryptolake.toml` | environment | meaning |", "|---|---|---|---|"]
    for way in find_ways().ways:
        for one in way.settings:
            short = one.name.removeprefix("CRYPTOLAKE_").lower()
            lines.append(f"| {way.name} | `{short}` | `{one.name}` | {one.doc} |")
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
