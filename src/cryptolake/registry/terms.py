"""Whose data may be passed on to others, and under which licence and names a dataset is published: data with sources.

The list is `data/terms.yaml`, and `terms:` and `dataset:` of a user's registry file. What does not belong here: leaving out
what may not be passed on (research.passing_on, work.rebuilding).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Literal, cast, get_args

from cryptolake.registry.clock_rows import read_day
from cryptolake.registry.rows import LINE, Row, report_unknown

PassOn = Literal["yes", "attribution", "no", "not_found"]

_TERMS = frozenset(["source", "pass_on", "says", "attribution", "sources", "quoted", "read_on"])
_DATASET = frozenset(["title", "licence", "licence_url", "authors", "keywords"])
_AUTHOR = frozenset(["name", "orcid", "affiliation", LINE])
_YAML = {True: "yes", False: "no"}  # what YAML makes of the words without quotes
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a source's terms say of passing its data on, in our words.

    `attribution` is how it wants to be named; `quoted` says that the terms could not be opened, only what others quote of them;
    `read_on` is the day on which the sources were opened.
    """

    source: str
    pass_on: PassOn
    says: str
    sources: tuple[str, ...]
    attribution: str | None = None
    quoted: bool = False
    read_on: date | None = None

    @property
    def allows(self) -> bool:
        """Whether data of the source may be passed on as it came."""
        return self.pass_on in {"yes", "attribution"}


@dataclass(frozen=True, slots=True)
class Author:
    """Who made a dataset."""

    name: str
    orcid: str | None = None
    affiliation: str | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """As what a dataset is published: title, licence by its SPDX name, authors, keywords."""

    title: str
    licence: str
    licence_url: str
    authors: tuple[Author, ...]
    keywords: tuple[str, ...] = ()


def terms_of(terms: Mapping[str, Terms], source: str) -> Terms:
    """The terms of a source; of one that no row names: no permission was found."""
    unknown = Terms(source, "not_found", "No row of the registry says anything of it.", ("no row under `terms:`",))
    return terms.get(source, unknown)


def read_terms(rows: Iterable[Row], faults: list[str]) -> dict[str, Terms]:
    """The terms of these rows by source; a later row takes the place of an earlier one. Faults are appended."""
    found: dict[str, Terms] = {}
    for row in rows:
        values, before = row.values, len(faults)
        report_unknown(values, _TERMS, row.where, faults)
        source, said = str(values.get("source") or ""), values.get("says")
        if not source:
            faults.append(f"{row.where}: terms: `source:` names whose they are")
        given = values.get("pass_on")
        may = _YAML.get(given, given) if isinstance(given, bool) else given
        if may not in get_args(PassOn):
            faults.append(f"{row.where}: terms of {source}: pass_on must be one of {', '.join(get_args(PassOn))}")
        if not isinstance(said, str) or not said:
            faults.append(f"{row.where}: terms of {source}: says must hold a sentence")
        if may == "attribution" and not values.get("attribution"):
            faults.append(f"{row.where}: terms of {source}: attribution must say how it is named")
        sources = _texts(values.get("sources"))
        if not sources:
            faults.append(f"{row.where}: terms of {source}: at least one source must be named under `sources:`")
        read_on = read_day(values.get("read_on"))
        if read_on is None:
            faults.append(f"{row.where}: terms of {source}: read_on must be a day, e.g. '2026-11-30'")
        if len(faults) == before:
            named = values.get("attribution")
            found[source] = Terms(
                source,
                cast(PassOn, may),
                str(said),
                sources,
                None if named is None else str(named),
                bool(values.get("quoted", False)),
                read_on,
            )
    return found


def read_dataset(row: Row, faults: list[str]) -> Publication | None:
    """The dataset of this row; None when `faults` grew."""
    values, before = row.values, len(faults)
    report_unknown(values, _DATASET, row.where, faults)
    title, licence = values.get("title"), values.get("licence")
    if not isinstance(title, str) or not title:
        faults.append(f"{row.where}: dataset: title must say what it is")
    if not isinstance(licence, str) or not _SPDX.fullmatch(licence):
        faults.append(f"{row.where}: dataset: licence must be an SPDX name, e.g. CC-BY-4.0")
    authors = []
    listed = values.get("authors")
    for one in listed if isinstance(listed, list) else ():
        author = one if isinstance(one, dict) else {"name": one}
        report_unknown(author, _AUTHOR, row.where, faults)
        orcid = author.get("orcid")
        if not isinstance(author.get("name"), str) or not author["name"]:
            faults.append(f"{row.where}: dataset: every author has a name")
        if orcid is not None and not _ORCID.fullmatch(str(orcid)):
            faults.append(f"{row.where}: dataset: orcid {orcid!r} is written as 0000-0002-1825-0097")
        named = author.get("affiliation")
        authors.append(Author(str(author.get("name")), orcid and str(orcid), named and str(named)))
    if not authors:
        faults.append(f"{row.where}: dataset: at least one author must be named under `authors:`")
    if len(faults) > before:
        return None
    url = str(values.get("licence_url") or f"https://spdx.org/licenses/{licence}.html")
    return Publication(str(title), str(licence), url, tuple(authors), _texts(values.get("keywords")))


def plain_terms(terms: Iterable[Terms]) -> list[dict[str, object]]:
    """The terms as JSON can hold them."""
    return [{**asdict(one), "read_on": str(one.read_on) if one.read_on else None} for one in terms]


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
