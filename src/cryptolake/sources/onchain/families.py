"""Finds the protocol families: every module of this package that declares one. No list to forget.

A family is one file. What it declares (`Declared`) is enough for its rows to be linted and checked; the programs of
`Family` make its markets readable as well. What does not belong here: any family's name.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any, Protocol, cast

from cryptolake.errors import BadInput, Skip, Stop
from cryptolake.files.foreign import fence, require_function
from cryptolake.files.presence import FileFault, load, module_names, require_helper, require_spelt, unfindable
from cryptolake.net.logs import Log, LogFilter
from cryptolake.net.multicall import Call, Program
from cryptolake.registry.family import Accounting, Anchor, FamilyFacts
from cryptolake.registry.markets import Csu
from cryptolake.sources import onchain
from cryptolake.sources.onchain.isolated import Isolated
from cryptolake.sources.onchain.records import BadDebt, Liquidation, Reserve, Settled


class Declared(Protocol):
    """What every family module says about itself, see `FamilyFacts`. `PROTOCOL_ANCHORS` (by protocol) may be left out.

    So may `BEGINNINGS`, the entries none of which has code before a market's life begins (the primary entry alone).
    """

    PRIMARY_ENTRY: str | None
    ANCHORS: tuple[Anchor, ...]


class Family(Declared, Protocol):
    """What a family module offers whose markets can be read. All of it is I/O-free.

    `snapshot` reads every asset of a market. `emitters` names the contracts and first topics whose events are wanted, as
    of the block it is run at. `liquidations` reads a period's logs of those, in order, leaving out what is none.
    `settle` turns events into amounts of the tokens themselves and reads what is needed to value them.
    """

    METHODOLOGY: str
    ACCOUNTING: Accounting

    @staticmethod
    def snapshot(csu: Csu) -> Program[list[Reserve]]: ...
    @staticmethod
    def emitters(csu: Csu) -> Program[list[LogFilter]]: ...
    @staticmethod
    def liquidations(csu: Csu, logs: Sequence[Log]) -> list[Liquidation]: ...
    @staticmethod
    def settle(csu: Csu, events: Sequence[Liquidation]) -> Program[Settled]: ...


class Discovering(Family, Protocol):
    """A family whose parts no contract lists, only events since the deployment (Morpho's markets).

    `discovery` names the events; `discover` puts what the logs up to a block say into the market's `found`, which the
    other programs then use. The source keeps the logs, so that only new blocks are ever scanned.
    """

    @staticmethod
    def discovery(csu: Csu) -> LogFilter: ...
    @staticmethod
    def discover(csu: Csu, logs: Sequence[Log]) -> Csu: ...


class Isolating(Family, Protocol):
    """A family whose contract holds isolated markets that anyone may open: `isolated` tells each of them apart.

    It asks what `snapshot` asks and nothing else, so that a snapshot's stored answers are enough for it.
    """

    @staticmethod
    def isolated(csu: Csu) -> Program[list[Isolated]]: ...


class WritingOff(Family, Protocol):
    """A family whose logs tell of bad debt: `bad_debt` reads it from the same logs as `liquidations`.

    `BAD_DEBT` are the first topics that the contracts which lend must have been asked for: an answer without them says
    nothing of bad debt, and no zero.
    """

    BAD_DEBT: frozenset[str]

    @staticmethod
    def bad_debt(csu: Csu, logs: Sequence[Log]) -> list[BadDebt]: ...


_DECLARED = ("PRIMARY_ENTRY", "ANCHORS")
_READ = ("METHODOLOGY", "ACCOUNTING", "snapshot", "emitters", "liquidations", "settle")
_MARKS = (*_DECLARED, "METHODOLOGY", "snapshot")  # one of these makes a module a family
_DISCOVERING = ("discovery", "discover")
_WRITING_OFF = ("BAD_DEBT", "bad_debt")


def discovering(name: str) -> Discovering | None:
    """The family of this name if it needs discovery."""
    family = families()[name]
    return cast(Discovering, family) if hasattr(family, "discovery") else None


def isolating(name: str) -> Isolating | None:
    """The family of this name if it tells isolated markets apart; None also where it cannot be read at all."""
    family = families().get(name)
    return cast(Isolating, family) if hasattr(family, "isolated") else None


def writing_off(name: str) -> WritingOff | None:
    """The family of this name if its logs tell of bad debt; None also where it cannot be read at all."""
    family = families().get(name)
    return cast(WritingOff, family) if hasattr(family, "bad_debt") else None


def bad_debt_in(csu: Csu, logs: Sequence[Log]) -> list[BadDebt]:
    """What a market's logs say of bad debt: nothing where its family reads none. Raises Skip for an unknown layout."""
    family = writing_off(csu.family)
    return [] if family is None else family.bad_debt(csu, logs)


def families() -> Mapping[str, Family]:
    """Every family whose markets can be read, by name, behind a fence: what one stumbles over is its market's affair.

    Raises BadInput naming a file that is no whole family.
    """
    return _families(tuple(onchain.__path__))


def snapshot_of(csu: Csu) -> Program[list[Reserve]]:
    """The program that reads a market's snapshot."""
    return families()[csu.family].snapshot(csu)


@lru_cache(maxsize=4)
def _families(paths: tuple[str, ...]) -> Mapping[str, Family]:
    return {name: cast(Family, _Fenced(one)) for name, one in _found(paths).items() if hasattr(one, "snapshot")}


def family_module(name: str) -> ModuleType | None:
    """The file of a family whose markets can be read; None where there is none."""
    found = _modules().get(name)
    return found if found is not None and hasattr(found, "snapshot") else None


@dataclass(frozen=True, slots=True)
class _End:
    value: object


def _advance(program: Generator[Any, Any, Any], answers: object) -> Any:
    """What the program asks next, or that it has ended, and with what."""
    try:
        return next(program) if answers is None else program.send(answers)
    except StopIteration as stop:
        return _End(stop.value)


class _Fenced:
    """A family's module, whose functions raise Skip naming the file for whatever it does not know how to tell."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        offered = getattr(self._module, name)
        if name in _PROGRAMS:
            return lambda csu, *more: self._program(name, csu, *more)
        if name in _FUNCTIONS:
            return lambda csu, *more: self._called(name, csu, *more)
        return offered

    def _program(self, name: str, csu: Csu, *more: object) -> Generator[Any, Any, Any]:
        with self._fence(name, csu):
            program = getattr(self._module, name)(csu, *more)
            if not isinstance(program, Generator):
                raise TypeError("is no program: it has no yield")
            calls = _advance(program, None)
            while not isinstance(calls, _End):
                if not isinstance(calls, list | tuple) or not all(isinstance(one, Call) for one in calls):
                    raise TypeError("asks something that is no list of Call")
                calls = _advance(program, (yield calls))
            return self._right(name, calls.value)

    def _called(self, name: str, csu: Csu, *more: object) -> Any:
        with self._fence(name, csu):
            return self._right(name, getattr(self._module, name)(csu, *more))

    def _right(self, name: str, value: object) -> object:
        if not isinstance(value, kind := {**_PROGRAMS, **_FUNCTIONS}[name]):
            raise TypeError(f"gave a {type(value).__name__}, not a {kind.__name__}")
        return value

    @contextmanager
    def _fence(self, name: str, csu: Csu) -> Iterator[None]:
        remedy = "see `cryptolake markets check`, or correct the file"
        try:
            with fence(f"{csu.name}: {self._module.__name__}", name, remedy):
                yield
        except Stop as error:
            if error.__cause__ is None:
                raise
            raise Skip(str(error), reason="layout") from error.__cause__


def declared() -> Mapping[str, FamilyFacts]:
    """What every family declares, by name, also of those that cannot be read yet. Raises BadInput as `families`."""
    return _facts(tuple(onchain.__path__))


@lru_cache(maxsize=4)
def _facts(paths: tuple[str, ...]) -> Mapping[str, FamilyFacts]:
    return {
        name: FamilyFacts(
            name=name,
            primary_entry=module.PRIMARY_ENTRY,
            anchors=tuple(module.ANCHORS),
            protocol_anchors=getattr(module, "PROTOCOL_ANCHORS", {}),
            accounting=getattr(module, "ACCOUNTING", None),
            readable=hasattr(module, "snapshot"),
            beginnings=tuple(getattr(module, "BEGINNINGS", ())),
        )
        for name, module in sorted(_found(paths).items())
    }


def _modules() -> dict[str, ModuleType]:
    return _found(tuple(onchain.__path__))


@lru_cache(maxsize=4)
def _found(paths: tuple[str, ...]) -> dict[str, ModuleType]:
    """The family modules in these folders, looked for once."""
    for path, fault in unfindable(onchain).items():
        raise BadInput(f"{path} {fault}")
    found = {}
    for name in module_names(onchain):
        try:
            module = load(name)
            if any(hasattr(module, mark) for mark in _MARKS):
                _check(module)
                found[name.rpartition(".")[2]] = module
            else:
                require_helper(name, onchain, "what Family asks for")
        except FileFault as fault:
            raise BadInput(f"{name}: {fault}; see Family in {__name__}") from None
    return found


def _check(module: ModuleType) -> None:
    """Raises FileFault with what it lacks: half a family would be skipped in silence somewhere later."""
    needed: Iterable[str] = _DECLARED
    if any(hasattr(module, name) for name in ("METHODOLOGY", "snapshot")):
        needed = (*_DECLARED, *_READ)
    if any(hasattr(module, name) for name in _DISCOVERING):
        needed = (*needed, *_DISCOVERING)
    if any(hasattr(module, name) for name in _WRITING_OFF):
        needed = (*needed, *_READ, *_WRITING_OFF)
    if lacking := [name for name in needed if not hasattr(module, name)]:
        raise FileFault(f"this family lacks {', '.join(lacking)}")
    require_spelt(module, _KINDS)
    for name, (sound, kind) in _KINDS.items():
        if hasattr(module, name) and not sound(getattr(module, name)):
            raise FileFault(f"{name} is not {kind}")
    for name, arguments in _CALLED.items():
        if hasattr(module, name):
            require_function(getattr(module, name), name, *arguments)


def _anchors(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, Anchor) for one in value)


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


# What each declaration is, so that a wrong one is named here and not by whatever stumbles over it.
_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "PRIMARY_ENTRY": (lambda value: value is None or _text(value), "the role of an entry, or None"),
    "ANCHORS": (_anchors, "a tuple of cryptolake.registry.family.Anchor"),
    "PROTOCOL_ANCHORS": (
        lambda value: isinstance(value, Mapping) and all(map(_text, value)) and all(map(_anchors, value.values())),
        "a mapping from a protocol to a tuple of cryptolake.registry.family.Anchor",
    ),
    "BEGINNINGS": (
        lambda value: isinstance(value, tuple) and all(map(_text, value)),
        "a tuple of the roles of entries",
    ),
    "BAD_DEBT": (
        lambda value: isinstance(value, frozenset) and all(map(_text, value)) and bool(value),
        "a frozenset of first topics",
    ),
    "METHODOLOGY": (_text, "a text"),
    "ACCOUNTING": (lambda value: isinstance(value, Accounting), "a cryptolake.registry.family.Accounting"),
    **dict.fromkeys(
        ("snapshot", "isolated", "emitters", "liquidations", "bad_debt", "settle", *_DISCOVERING),
        (callable, "a function"),
    ),
}
_CALLED: Mapping[str, tuple[str, ...]] = {
    "snapshot": ("csu",),
    "isolated": ("csu",),
    "emitters": ("csu",),
    "liquidations": ("csu", "logs"),
    "bad_debt": ("csu", "logs"),
    "settle": ("csu", "events"),
    "discovery": ("csu",),
    "discover": ("csu", "logs"),
}
# What each of them gives at its end: those that ask (programs), and those that only read.
_PROGRAMS: Mapping[str, type] = {"snapshot": list, "isolated": list, "emitters": list, "settle": Settled}
_FUNCTIONS: Mapping[str, type] = {"liquidations": list, "bad_debt": list, "discovery": LogFilter, "discover": Csu}
