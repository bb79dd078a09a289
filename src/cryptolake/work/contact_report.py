"""Writes a first contact down: a page, the same for programs, and recordings that can become tests. No secret leaves.

What does not belong here: asking (`work.first_contact`) and saying how it went at the terminal (cli).
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput
from cryptolake.files.atomic import write_bytes
from cryptolake.net.counted import Heard
from cryptolake.version import __version__
from cryptolake.work.first_contact import Contact, Found

_LARGEST = 4 * 1024 * 1024  # bytes of a recording; a larger answer is left out and said so
Redact = Callable[[str], str]


def document(contact: Contact, redact: Redact) -> dict[str, object]:
    """The whole contact for programs, without secrets."""
    return {
        "at": contact.at.isoformat(),
        "cryptolake": __version__,
        "ceiling": contact.ceiling,
        "calls": dict(contact.calls),
        "as_assumed": contact.is_as_assumed,
        "checks": [
            {
                "provider": one.provider,
                "kind": one.kind,
                "check": one.check,
                "assumes": one.assumes,
                "verdict": one.verdict,
                "says": redact(one.says),
                "calls": one.calls,
            }
            for one in contact.found
        ],
    }


def write_report(contact: Contact, folder: Path, redact: Redact) -> list[Path]:
    """Write the report into a folder of its own; returns the files. Raises BadInput when something lies there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} is not empty; name another folder with --to")
    recorded, rows = _recordings(contact, redact)
    files = {
        "report.json": orjson.dumps(document(contact, redact), option=orjson.OPT_INDENT_2),
        "report.md": _page(contact, redact).encode(),
        "recordings/README.md": _index(rows).encode(),
        **recorded,
    }
    for name, body in files.items():
        write_bytes(folder / name, body)
    return [folder / name for name in files]


def _page(contact: Contact, redact: Redact) -> str:
    lines = [
        "# First contact",
        "",
        f"{contact.at:%Y-%m-%d %H:%M} UTC, cryptolake {__version__}, at most {counted(contact.ceiling, 'call')} a provider. "
        "Keys and addresses are taken out.",
        "",
        "| provider | calls |",
        "|---|---|",
        *(f"| {name} | {calls} |" for name, calls in contact.calls.items()),
        "",
        "| provider | check | the code assumes | found | what |",
        "|---|---|---|---|---|",
        *(
            f"| {' | '.join(_cell(redact(text)) for text in (one.provider, one.check, one.assumes, one.verdict, one.says))} |"
            for one in contact.found
        ),
        "",
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())


def _index(rows: list[tuple[str, ...]]) -> str:
    """The table that says of every recording what was asked, when and where it is from."""
    lines = [
        "# Recorded answers",
        "",
        "Answers as they came, keys taken out, compact JSON, gzipped. Before one is shown to others: see its provider's terms.",
        "",
        "| file | asked | recorded | from | licence | shortened |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(_cell(one) for one in row)} |" for row in rows),
        "",
    ]
    return "\n".join(lines)


def _recordings(contact: Contact, redact: Redact) -> tuple[dict[str, bytes], list[tuple[str, ...]]]:
    files: dict[str, bytes] = {}
    rows: list[tuple[str, ...]] = []
    for found in contact.found:
        for number, (one, where) in enumerate(_named(found), start=1):
            asked = redact(f"{one.asked} ({one.status})")
            body, shortened = _recorded(one, redact)
            name = f"{where}_{number}.json.gz"
            if body is not None:
                files[f"recordings/{name}"] = gzip.compress(body, mtime=0)
            recorded = f"{contact.at:%Y-%m-%d}"
            rows.append((f"`{name[:-3]}`", f"`{asked}`", recorded, found.provider, "the provider's terms", shortened))
    return files, rows


def _named(found: Found) -> Iterator[tuple[Heard, str]]:
    place = "/".join(re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_.") or "_" for text in (found.provider, found.check))
    for one in found.exchanged:
        yield one, place


def _recorded(one: Heard, redact: Redact) -> tuple[bytes | None, str]:
    """The bytes to keep, and what is not as it came. A question by POST is kept with its answer."""
    size = len(one.answer) + len(one.body or b"")
    if size > _LARGEST:
        return None, f"left out: {size / 1e6:,.1f} MB"
    text, shortened = redact(one.answer.decode("utf-8", "replace")), "no"
    try:
        answer: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        answer, shortened = text, f"no JSON, kept as text of {counted(len(text), 'character')}"
    if one.body is None:
        return orjson.dumps(answer), shortened
    return orjson.dumps({"asked": orjson.loads(redact(one.body.decode())), "answer": answer}), shortened
