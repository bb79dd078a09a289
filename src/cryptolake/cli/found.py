"""Finds the files that are commands: modules of this package, and of others by the entry-point group `cryptolake.commands`.

A file is found because it is there; a faulty one is left out and named. `commands.json` beside this file says of each file
what it offers, so that a listing imports none of them; a file that is not in it yet is imported and asked. What does not
belong here: how a listing looks (screens) and any single command (its file).
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from cryptolake.cli.presence import GROUP, PACKAGE, modules, package
from cryptolake.cli.screens import Step
from cryptolake.errors import Stop
from cryptolake.files.presence import FileFault, require_helper, unfindable, words

AnyCommand = TyperCommand | TyperGroup
_NAME = re.compile(r"[a-z][a-z0-9-]*")
INDEX = Path(__file__).with_name("commands.json")


@dataclass(frozen=True, slots=True)
class CommandOffer:
    """A command as a listing shows it: its name, what it does in a paragraph, its panel, and its place on the first screen."""

    name: str
    text: str
    panel: str
    step: Step | None = None
    hidden: bool = False


@dataclass(slots=True)
class Dropped:
    """What the index does not know: the commands of files that were added since, and the faulty files with what is wrong."""

    commands: dict[str, AnyCommand] = field(default_factory=dict)
    offers: list[CommandOffer] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class Commands(Mapping[str, AnyCommand]):
    """Every command by name. Names and offers come from the index; looking a command up imports its file, and no other."""

    @cached_property
    def _index(self) -> dict[str, list[CommandOffer]]:
        """The offers of the files that are both in the index and there, by module."""
        there = set(modules())
        return {module: offers for module, offers in read_index().items() if module in there}

    @cached_property
    def _home(self) -> dict[str, str]:
        """The module of every command in the index."""
        return {offer.name: module for module, offers in self._index.items() for offer in offers}

    @cached_property
    def dropped(self) -> Dropped:
        """The files and entry points that are not in the index, each imported and asked. Never raises for a faulty one."""
        dropped = Dropped(refused={path: f"{path} {fault}" for path, fault in unfindable(package()).items()})
        points = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
        home = dict(self._home)
        added = [(name, name) for name in modules() if name not in self._index]
        for module, shown in [*added, *((one.value, f"{one.value} (entry point {one.name})") for one in points)]:
            try:
                commands, offers = ask(module)
                if doubled := [name for name in commands if name in home]:
                    raise Stop(
                        f"{shown}: {home[doubled[0]]} offers a command {doubled[0]!r} already; rename one of them"
                    )
                if not commands and shown != module:
                    raise Stop(f"{shown}: offers no command; write add_commands(cli)")
                if not commands:
                    require_helper(module, package(), "add_commands(cli)")
            except FileFault as fault:
                dropped.refused[shown] = f"{_file(module)} {fault}"
            except Stop as error:
                dropped.refused[shown] = str(error)
            else:
                home |= dict.fromkeys(commands, shown)
                dropped.commands |= commands
                dropped.offers += offers
        return dropped

    def offers(self) -> list[CommandOffer]:
        """What every command says of itself, file by file in the order of their names; added ones last."""
        return [*(offer for offers in self._index.values() for offer in offers), *self.dropped.offers]

    def __getitem__(self, name: str) -> AnyCommand:
        """The command. Raises KeyError when there is none, and Stop naming the file that is at fault when one may have been."""
        if (module := self._home.get(name)) is not None:
            commands, _ = ask(module)
            if name in commands:
                return commands[name]
            raise Stop(f"{module} no longer offers the command {name!r}; run `make snapshot`")
        if name in self.dropped.commands:
            return self.dropped.commands[name]
        if self.dropped.refused:
            raise Stop(f"no command {name!r} was found, but {'; '.join(self.dropped.refused.values())}")
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter([*self._home, *self.dropped.commands])

    def __len__(self) -> int:
        return len(self._home) + len(self.dropped.commands)


def ask(module: str) -> tuple[dict[str, AnyCommand], list[CommandOffer]]:
    """The commands of one file, and what they say of themselves; none for a file that offers none.

    Raises Stop naming the file when it cannot be imported or offers something that is no command.
    """
    try:
        found = importlib.import_module(module)
        if not hasattr(found, "add_commands"):
            return {}, []
        cli = typer.Typer(rich_markup_mode="rich")
        found.add_commands(cli)
        commands: dict[str, Any] = dict(get_group(cli).commands)
        if odd := [name for name in commands if not _NAME.fullmatch(name)]:
            raise ValueError(f"command {odd[0]!r}: write small letters, digits and -, a letter first")
        return commands, [_offer(found, name, command) for name, command in commands.items()]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a foreign file does while it is imported
        raise Stop(f"{_file(module)} cannot be read ({words(error)}); repair or remove it") from error


def every(commands: Mapping[str, AnyCommand], group: str = "") -> dict[str, AnyCommand]:
    """Every command by its full name (`rpc probe`), those of groups included, and a group that does something by itself too."""
    found: dict[str, AnyCommand] = {}
    for name, command in commands.items():
        full = f"{group} {name}".strip()
        inner = getattr(command, "commands", None)
        found |= every(inner, full) if inner else {}
        if not inner or getattr(command, "invoke_without_command", False):
            found[full] = command
    return dict(sorted(found.items()))


def promises() -> bytes:
    """What users type: the options and arguments of every command, by its full name."""
    document = {
        name: sorted(" ".join((*one.opts, *one.secondary_opts)) for one in command.params)
        for name, command in every(Commands()).items()
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def read_index() -> dict[str, list[CommandOffer]]:
    """The index: the offers of every file that was there when it was written, by module."""
    document = json.loads(INDEX.read_bytes()) if INDEX.exists() else {}
    return {module: [_read(one) for one in offers] for module, offers in document.items()}


def render_index() -> bytes:
    """The index of today's files. Raises Stop naming a file that is at fault: once in the index nobody asks it again."""
    if refused := Commands().dropped.refused:
        raise Stop("; ".join(refused.values()))
    document = {module: [_told(offer) for offer in ask(module)[1]] for module in modules()}
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _offer(module: ModuleType, name: str, command: Any) -> CommandOffer:
    first = inspect.cleandoc(command.help or "").split("\n\n")[0]
    steps: Mapping[str, Step] = getattr(module, "STEPS", {})
    return CommandOffer(
        name, " ".join(first.split()), str(command.rich_help_panel or ""), steps.get(name), bool(command.hidden)
    )


def _told(offer: CommandOffer) -> dict[str, object]:
    return {name: value for name, value in asdict(offer).items() if value}


def _read(told: dict[str, Any]) -> CommandOffer:
    step = told.get("step")
    return CommandOffer(**{"panel": "", "text": "", **told, "step": Step(**step) if step else None})


def _file(module: str) -> str:
    """The module's file where one can be found, for messages."""
    for folder in package().__path__:
        path = Path(folder, f"{module.rpartition('.')[2]}.py")
        if module.startswith(f"{PACKAGE}.") and path.exists():
            return f"command file {path}"
    return f"command module {module}"
