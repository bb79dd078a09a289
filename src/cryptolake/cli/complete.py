"""Answers a shell that asks how a line may go on, from `completion.json` alone: no command and no library is loaded for it.

The file holds every command's words as the command-line library knows them (`words` writes it). The line is read as that
library reads it; a test compares the two. What does not belong here: the values of a flag (values).
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptolake.cli.presence import command_files

VARIABLE = "_CRYPTOLAKE_COMPLETE"
FILE = Path(__file__).with_name("completion.json")

# One command, or the whole command line: its options and arguments (`params`) and its inner commands (`commands`).
Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """A word the line may go on with, and what it does, where that is known."""

    value: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What a shell is told: a text for standard output (None: nothing), and the exit code."""

    text: str | None
    code: int = 0


@dataclass(slots=True)
class _Parsed:
    """A command's words, read: the value of each option that was typed, by its place, and how many arguments were."""

    options: dict[int, str] = field(default_factory=dict)
    arguments: int = 0
    rest: list[str] = field(default_factory=list)


def answer(variables: Mapping[str, str]) -> Told | None:
    """The answer to what the shell asks by these variables.

    None where only the library can answer: it is asked for its script, or files were added since `completion.json` was
    written.
    """
    action, _, shell = variables.get(VARIABLE, "").partition("_")
    if action != "complete" or shell not in _SHELLS:
        return None
    document = read_document()
    if document.get("files") != command_files():
        return None
    words, begun = _bash(variables) if shell == "bash" else _others(shell, variables)
    return _SHELLS[shell](list(candidates(document["root"], words, begun)), variables)


@lru_cache(maxsize=1)
def read_document() -> dict[str, Any]:
    """`completion.json`: `files` it was made of, the tree of words from `root`, and the `tables`; empty before it is made."""
    document: dict[str, Any] = json.loads(FILE.read_bytes()) if FILE.exists() else {}
    return document


def candidates(root: Node, words: Sequence[str], begun: str) -> Iterator[Item]:
    """The words that may follow `words`, which are whole, and begin like `begun`."""
    node, parsed, registry = _place(root, words)
    typed = list(words)
    if begun == "=":
        begun = ""
    elif begun.startswith("-") and "=" in begun:
        option, _, begun = begun.partition("=")
        typed.append(option)
    if "--" in typed or not begun.startswith("-"):
        last = typed[-1] if typed and typed[-1].startswith("-") else None
        params, before = node["params"], 0
        for param in params:
            if not param.get("argument") and param.get("takes") and last in param["opts"]:
                yield from _values(param, begun, registry)
                return
        for param in params:
            if param.get("argument"):
                before += 1
                if param["takes"] < 0 or before > parsed.arguments:
                    yield from _values(param, begun, registry)
                    return
    yield from _names(node, parsed, begun)


def _place(root: Node, words: Sequence[str]) -> tuple[Node, _Parsed, Path | None]:
    """The command that the words lead to, what is typed of it, and the registry file that was typed."""
    node, parsed = root, _read(root, words)
    registry = next((one for at, one in parsed.options.items() if "--registry" in root["params"][at]["opts"]), None)
    while parsed.rest and (inner := node.get("commands", {}).get(parsed.rest[0])) is not None:
        node, parsed = inner, _read(inner, parsed.rest[1:])
    return node, parsed, Path(registry) if registry else None


def _read(node: Node, words: Sequence[str]) -> _Parsed:
    """Read the words after a command's name. What cannot be right ends it: nothing after it counts, and no argument."""
    params = node["params"]
    options = {name: at for at, one in enumerate(params) for name in (*one["opts"], *one.get("off", ()))}
    parsed, waiting, loose = _Parsed(), list(words), list[str]()
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            break
        if word.startswith("-") and len(word) > 1:
            name, equals, value = word.partition("=")
            found = [name] if name in options else [] if name.startswith("--") else [f"-{one}" for one in word[1:]]
            if not found or not all(one in options for one in found):
                return parsed
            takes = params[options[name]]["takes"] if name in options else 0
            if equals and takes:
                waiting.insert(0, value)
            if len(waiting) < takes or (equals and not takes):
                return parsed
            parsed.options |= {options[one]: waiting[0] if takes else "" for one in found}
            del waiting[:takes]
        elif "commands" in node:
            waiting.insert(0, word)
            break
        else:
            loose.append(word)
    loose += waiting
    wanted = [one["takes"] for one in params if one.get("argument")]
    parsed.arguments = len(loose) if wanted else 0
    parsed.rest = loose[len(wanted) :] if all(takes == 1 for takes in wanted) else []
    return parsed


def _names(node: Node, parsed: _Parsed, begun: str) -> Iterator[Item]:
    """The inner commands, and the options that were not typed yet, that begin like this."""
    for name, inner in node.get("commands", {}).items():
        if name.startswith(begun) and not inner.get("hidden"):
            yield Item(name, inner.get("help", ""))
    if not begun or begun[0].isalnum():
        return
    for at, param in enumerate(node["params"]):
        if param.get("argument") or param.get("hidden") or (at in parsed.options and not param.get("repeats")):
            continue
        for option in (*param["opts"], *param.get("off", ())):
            if option.startswith(begun):
                yield Item(option, param.get("help", ""))


def _values(param: Node, begun: str, registry: Path | None) -> Iterator[Item]:
    values = param.get("values", [])
    if isinstance(values, str):
        module, _, function = values.partition(":")
        values = getattr(importlib.import_module(module), function)(registry)
    yield from (Item(one) for one in values if one.startswith(begun))


def _bash(variables: Mapping[str, str]) -> tuple[list[str], str]:
    words, at = _split(variables.get("COMP_WORDS", "")), int(variables.get("COMP_CWORD") or 0)
    return words[1:at], words[at] if at < len(words) else ""


def _others(shell: str, variables: Mapping[str, str]) -> tuple[list[str], str]:
    line = variables.get("_TYPER_COMPLETE_ARGS", "")
    words = _split(line)[1:]
    if shell in {"powershell", "pwsh"}:
        begun = variables.get("_TYPER_COMPLETE_WORD_TO_COMPLETE", "")
        return (words[:-1] if begun else words), begun
    return (words[:-1], words[-1]) if words and not line.endswith(" ") else (words, "")


def _split(line: str) -> list[str]:
    """A line's words as a shell has them; an open quotation is taken as it is."""
    reader = shlex.shlex(line, posix=True)
    reader.whitespace_split, reader.commenters = True, ""
    words: list[str] = []
    try:
        words.extend(reader)
    except ValueError:
        words.append(reader.token)
    return words


def _say_bash(items: Sequence[Item], _: Mapping[str, str]) -> Told:
    return Told("\n".join(one.value for one in items))


def _say_zsh(items: Sequence[Item], _: Mapping[str, str]) -> Told:
    lines = [f'"{_quoted(one.value)}"' + (f':"{_quoted(one.help)}"' if one.help else "") for one in items]
    return Told("_arguments '*: :((" + "\n".join(lines) + "))'" if lines else "_files")


def _quoted(text: str) -> str:
    for what, by in (('"', '""'), ("'", "''"), ("$", "\\$"), ("`", "\\`"), (":", r"\\:")):
        text = text.replace(what, by)
    return text


def _say_fish(items: Sequence[Item], variables: Mapping[str, str]) -> Told:
    if variables.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":  # whether there is anything but files
        return Told(None, 0 if items else 1)
    lines = [one.value + ("\t" + re.sub(r"\s", " ", one.help) if one.help else "") for one in items]
    return Told("\n".join(lines) if variables.get("_TYPER_COMPLETE_FISH_ACTION") == "get-args" else "")


def _say_powershell(items: Sequence[Item], _: Mapping[str, str]) -> Told:
    return Told("\n".join(f"{one.value}:::{one.help or ' '}" for one in items))


_SHELLS: Mapping[str, Callable[[Sequence[Item], Mapping[str, str]], Told]] = {
    "bash": _say_bash,
    "zsh": _say_zsh,
    "fish": _say_fish,
    "powershell": _say_powershell,
    "pwsh": _say_powershell,
}
