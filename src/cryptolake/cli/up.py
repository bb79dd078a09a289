"""The up command: PostgreSQL, Dagster's code server, web page and daemon, and the monitor page, with one Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.options import open_for
from cryptolake.cli.selecting import NOTHING, Selected, selecting
from cryptolake.cli.show import print_line
from cryptolake.errors import BadInput, Stop

if TYPE_CHECKING:
    from cryptolake.app import App
    from cryptolake.cli.children import Child

PARTS = ("code", "web", "daemon", "monitor")
_LOCAL = "127.0.0.1"


def add_commands(cli: typer.Typer) -> None:
    """Register this module's command."""
    cli.command("up", rich_help_panel="Keep current")(up_command)


@selecting(days=())
def up_command(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address the pages listen on.")] = _LOCAL,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Dagster's page.")] = 3000,
    monitor_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the monitor page.")] = 3001,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only code, web, daemon or monitor; repeatable.")
    ] = None,
    code_server: Annotated[
        str | None,
        typer.Option(help="HOST:PORT where the code server listens or is found (default: a free port here)."),
    ] = None,
    schedules: Annotated[
        bool | None, typer.Option("--schedules/--no-schedules", help="Whether schedules start switched on.")
    ] = None,
    wait: Annotated[float, typer.Option(min=1, help="Seconds the parts may take to answer.")] = 180.0,
    selected: Selected = NOTHING,
) -> None:
    """Bring everything up: PostgreSQL, Dagster's web page and daemon, and the monitor page. Ctrl-C stops all of it.

    A selection takes the place of the settings' markets and sets.

    Example: cryptolake up
    """
    from cryptolake.cli.children import Children
    from cryptolake.cli.dagster_home import write_workspace
    from cryptolake.cli.ready import EVERYWHERE, listening
    from cryptolake.work import daily

    started = time.monotonic()
    app = open_for(context, selected, schedules=schedules)
    if find_spec("dagster_webserver") is None or find_spec("dagster_postgres") is None:
        raise Stop("Dagster is not installed; run: pip install 'cryptolake[dagster]' (the scheduler needs no Dagster)")
    parts = set(only or PARTS)
    if unknown := sorted(parts - set(PARTS)):
        raise BadInput(f"there is no part {unknown[0]!r}; known: {', '.join(PARTS)}")
    code_host, code_port = _address(code_server)
    for name, number in (("web", port), ("monitor", monitor_port)):
        if name in parts and listening(host, number):
            raise BadInput(
                f"port {number} is taken; stop what uses it or give another one with --{'monitor-' * (name == 'monitor')}port"
            )
    daily.jobs(app)  # what is wrong with the settings is said here, not in a log
    mine = app.database.is_embedded and not app.database.is_running
    variables = _prepare(app)
    if parts & {"web", "daemon"}:  # a code server alone knows only where it listens, not where others find it
        found = _LOCAL if code_host in EVERYWHERE else code_host
        location = f"{app.settings.prefix}cryptolake"
        write_workspace(Path(variables["DAGSTER_HOME"]), location=location, host=found, port=code_port)
    chosen = _children(parts, host, port, monitor_port, code_host, code_port, variables["DAGSTER_HOME"])
    app.close()
    if only and len(chosen) == 1 and sys.platform != "win32":  # a container: become the program itself
        os.execve(chosen[0].command[0], list(chosen[0].command), {**os.environ, **variables})  # noqa: S606
    children = Children(app.folder.logs, {**os.environ, **variables})
    for one in (signal.SIGTERM, signal.SIGINT):  # a shell starts background programs with SIGINT ignored
        signal.signal(one, _interrupt)
    try:
        for child in chosen:
            children.start(child)
            if child.name == "code":  # the others ask it for the definitions as they start
                children.await_ready(wait)
        children.await_ready(wait)
        for child in chosen:
            print_line(f"  {child.name:<8} {child.shown}")
        print_line(f"[bold]Ready[/] after {time.monotonic() - started:.0f} s. Ctrl-C stops everything.")
        sys.stdout.flush()
        children.watch()
    except KeyboardInterrupt:
        print_line("stopping ...")
    finally:
        children.stop()
        if mine:
            app.database.stop()
    print_line("stopped; nothing is lost, `cryptolake up` goes on from here")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _address(code_server: str | None) -> tuple[str, int]:
    from cryptolake.cli.children import free_port

    if code_server is None:
        return _LOCAL, free_port()
    code_host, _, number = code_server.rpartition(":")
    if not code_host or not number.isdigit():
        raise BadInput(f"{code_server!r} is no address; write HOST:PORT, e.g. code:4266")
    return code_host, int(number)


def _prepare(app: App) -> dict[str, str]:
    """Make the database's tables and Dagster's folder; the variables every part gets."""
    from cryptolake.cli.dagster_home import URL_VARIABLE, storage_url, write_instance

    settings = app.settings
    url, home = app.database.url(), app.folder.dagster
    with app.warehouse():  # every table is there before a part looks for one
        pass
    schema = f"{settings.prefix}dagster"
    app.database.make_schema(schema)
    write_instance(home)
    variables = {
        "DAGSTER_HOME": str(home),
        "PYTHONUNBUFFERED": "1",
        URL_VARIABLE: storage_url(url, schema),
        "CRYPTOLAKE_DATA": str(settings.data_variable),
        "CRYPTOLAKE_SCHEDULES": str(settings.schedules).lower(),
        "CRYPTOLAKE_LOG_LEVEL": settings.log_level,
        "CRYPTOLAKE_MARKETS": ",".join(settings.markets),
        "CRYPTOLAKE_SETS": ",".join(settings.sets),
    }
    if settings.registry is not None:
        variables["CRYPTOLAKE_REGISTRY"] = str(settings.registry.resolve())
    return variables


def _children(
    parts: set[str], host: str, port: int, monitor_port: int, code_host: str, code_port: int, home: str
) -> list[Child]:
    """The programs of the wanted parts, in the order they are started."""
    from cryptolake.cli.children import Child
    from cryptolake.cli.ready import EVERYWHERE, daemon_ready, listening, web_ready

    python, workspace = sys.executable, ["-w", str(Path(home) / "workspace.yaml")]
    chosen: list[Child] = []
    if "code" in parts:
        command = [python, "-m", "dagster", "api", "grpc", "-m", "cryptolake.definitions"]
        command += ["-h", code_host, "-p", str(code_port), "--use-python-environment-entry-point"]
        chosen.append(Child("code", command, lambda: listening(code_host, code_port), "runs the steps"))
    page = f"http://{_LOCAL if host in EVERYWHERE else host}:{port}"
    if "web" in parts:
        command = [python, "-m", "dagster_webserver", "-h", host, "-p", str(port), *workspace]
        chosen.append(Child("web", command, lambda: listening(host, port) and web_ready(page), page))
    if "daemon" in parts:
        command = [python, "-m", "dagster._daemon", "run", *workspace]
        ready = (lambda: daemon_ready(page)) if "web" in parts else (lambda: True)
        chosen.append(Child("daemon", command, ready, "starts what is due"))
    if "monitor" in parts:
        flags = ["--serve", "--host", host, "--port", str(monitor_port)]
        command = [python, "-c", "from cryptolake.cli import main; main()", "monitor", *flags]
        shown = f"http://{_LOCAL if host in EVERYWHERE else host}:{monitor_port}"
        chosen.append(Child("monitor", command, lambda: listening(host, monitor_port), shown))
    return chosen
