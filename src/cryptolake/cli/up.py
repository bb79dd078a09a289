"""x"""

import typer


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
