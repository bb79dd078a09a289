"""`Fragments`: parts of secrets in texts that others wrote, whatever dress they stand in; for what is handed on to people.

A secret is looked for in the text as a reader could decode it: escapes read (URL, HTML, JSON and program text), blanks and
dashes left out, hexadecimal and base64 decoded wherever they begin, backwards, in any case. What does not belong here: which
texts are secret (logs).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SHORTEST = 6  # characters in a row that tell too much of a secret
_DEPTH = 3  # codes within codes that are read
_ESCAPE = re.compile(
    r"%(?:25)*([0-9a-f]{2})|\\+u00([0-9a-f]{2})|\\+u\{0*([0-9a-f]{2})\}|\\+x([0-9a-f]{2})|&(?:amp;)*#x0*([0-9a-f]{2});?"
    r"|&(?:amp;)*#0*(\d{2,3});?|=([0-9a-f]{2})|\\+(\W)",
    re.IGNORECASE,
)
_HEX = re.compile(r"[0-9a-f]{12,}", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}")
_READABLE = re.compile(rb"[\x20-\x7e]{6,}")
_DECIMAL = 6  # the group of `_ESCAPE` that holds a decimal number
_LITERAL = 8  # the group that holds the letter itself
_URL_SAFE = str.maketrans("-_", "+/")
_NO_LETTER = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class _View:
    """A text as it can be read, and where in the text that was given each of its letters stands."""

    text: str
    starts: list[int]
    ends: list[int]

    def part(self, letters: Iterable[tuple[str, int, int]]) -> _View:
        """Letters that were read from this view's letters `[start, end)` each."""
        found = [(letter, self.starts[start], self.ends[end - 1]) for letter, start, end in letters]
        return _View("".join(one[0] for one in found), [one[1] for one in found], [one[2] for one in found])


class Fragments:
    """Every part of some secrets that is long enough to tell. Secrets that are shorter than that are not looked for."""

    def __init__(self, secrets: Iterable[str]) -> None:
        told = [one.casefold() for secret in secrets for one in (secret, secret[::-1])]
        self._parts = {part for one in told for part in _parts(one)}
        self._joined = {part for one in told for part in _parts(_NO_LETTER.sub("", one))}

    def redact(self, text: str) -> str:
        """`text` with three asterisks for every part of a secret, however it is written."""
        if not self._parts and not self._joined:
            return text
        given = _View(text, list(range(len(text))), list(range(1, len(text) + 1)))
        hidden = sorted(place for view in _readings(given, _DEPTH) for place in self._places(view))
        pieces, at = list[str](), 0
        for start, end in _merged(hidden):
            pieces += [text[at:start], "***"]
            at = end
        return "".join([*pieces, text[at:]])

    def _places(self, view: _View) -> Iterator[tuple[int, int]]:
        for one, parts in ((view, self._parts), (_joined(view), self._joined)):
            low = "".join(letter.lower() if len(letter.lower()) == 1 else letter for letter in one.text)
            for number in range(len(low) - SHORTEST + 1):
                if low[number : number + SHORTEST] in parts:
                    yield min(one.starts[number : number + SHORTEST]), max(one.ends[number : number + SHORTEST])


def _parts(secret: str) -> Iterator[str]:
    for number in range(len(secret) - SHORTEST + 1):
        yield secret[number : number + SHORTEST]


def _merged(places: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Places in order, those that touch as one."""
    latest: tuple[int, int] | None = None
    for start, end in places:
        if latest is not None and start <= latest[1]:
            latest = (latest[0], max(latest[1], end))
            continue
        if latest is not None:
            yield latest
        latest = (start, end)
    if latest is not None:
        yield latest


def _readings(view: _View, depth: int) -> Iterator[_View]:
    """The view, and what it holds in codes."""
    yield view
    if not depth:
        return
    if _ESCAPE.search(view.text):
        yield from _readings(view.part(_unescaped(view.text)), depth - 1)
    for one in (view, _joined(view)):
        for inner in (*_hexadecimal(one), *_base64(one)):
            yield from _readings(inner, depth - 1)
        if one.text == view.text and len(_joined(view).text) == len(view.text):
            return  # nothing was left out


def _joined(view: _View) -> _View:
    """Without blanks, dashes and whatever else may have been put between letters."""
    return view.part((letter, at, at + 1) for at, letter in enumerate(view.text) if letter.isalnum())


def _unescaped(text: str) -> Iterator[tuple[str, int, int]]:
    at = 0
    for found in _ESCAPE.finditer(text):
        yield from ((text[place], place, place + 1) for place in range(at, found.start()))
        group = found.lastindex or _LITERAL
        told = found.group(group)
        letter = told if group == _LITERAL else chr(int(told, 10 if group == _DECIMAL else 16))
        yield letter, found.start(), found.end()
        at = found.end()
    yield from ((text[place], place, place + 1) for place in range(at, len(text)))


def _hexadecimal(view: _View) -> Iterator[_View]:
    for run in _HEX.finditer(view.text):
        for first in (run.start(), run.start() + 1):
            digits = (run.end() - first) // 2 * 2
            yield from _read(view, bytes.fromhex(view.text[first : first + digits]), run.span())


def _base64(view: _View) -> Iterator[_View]:
    for run in _BASE64.finditer(view.text):
        for first in range(run.start(), run.start() + 4):
            letters = view.text[first : run.end()].translate(_URL_SAFE)
            if len(letters) % 4 == 1:
                letters = letters[:-1]  # too little for another byte
            yield from _read(view, base64.b64decode(letters + "=" * (-len(letters) % 4)), run.span())


def _read(view: _View, decoded: bytes, place: tuple[int, int]) -> Iterator[_View]:
    """What is readable of decoded bytes; all of it stands in one place of the view, so no rest of a code is left."""
    for found in _READABLE.finditer(decoded):
        yield view.part((letter, *place) for letter in found.group().decode())
