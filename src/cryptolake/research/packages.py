"""A release described for programs of others: Data Package (Frictionless), Croissant (MLCommons) and Zenodo. Pure.

All three are rendered from the contract, the metadata and the files' digests; nothing in them is written by hand. What does
not belong here: the files themselves (release) and pages for people (release_pages).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

import polars as pl

from cryptolake.contracts.table import Table
from cryptolake.research.origin import Origin
from cryptolake.research.release_pages import licence_of, mappings, texts

_MEDIA = {
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".cff": "text/yaml",
}
_CROISSANT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def _kind(dtype: pl.DataType) -> str:
    """A column's type as all three know it."""
    if dtype == pl.Date:
        return "date"
    if isinstance(dtype, pl.Datetime):
        return "datetime"
    if dtype == pl.Boolean:
        return "boolean"
    return "number" if dtype.is_float() else "integer" if dtype.is_integer() else "string"


def datapackage(
    version: str,
    table: Table,
    panel: pl.DataFrame,
    metadata: Mapping[str, object],
    origin: Origin,
    files: Mapping[str, bytes],
) -> dict[str, object]:
    """`datapackage.json`: every file with its size and SHA-256, the panel's columns with type, meaning and what is allowed."""
    licence = metadata["licence"]
    path = licence["url"] if isinstance(licence, Mapping) else None
    resources = []
    for name, content in sorted(files.items()):
        suffix = f".{name.rsplit('.', 1)[-1]}"
        one: dict[str, object] = {
            "name": _name(name),
            "path": name,
            "format": suffix[1:],
            "mediatype": _MEDIA[suffix],
            "bytes": len(content),
            "hash": f"sha256:{hashlib.sha256(content).hexdigest()}",
        }
        if name == "daily_panel.csv":
            one |= {"profile": "tabular-data-resource", "encoding": "utf-8", "schema": _schema(table, panel)}
        resources.append(one)
    return {
        "profile": "data-package",
        "name": _name(f"{table.name}-{version}"),
        "id": f"sha256:{metadata['dataset_version']}",
        "title": f"{metadata['title']}, release {version}",
        "description": _description(metadata),
        "version": version,
        "created": f"{origin.released_on}T00:00:00Z",
        "licenses": [{"name": licence_of(metadata), "path": path}],
        "contributors": [{"title": str(one["name"]), "role": "author"} for one in mappings(metadata["authors"])],
        "keywords": texts(metadata["keywords"]),
        "sources": [
            {"title": f"{one['source']}: {one['says']}"}
            | ({"path": where} if (where := texts(one["sources"])[0]).startswith("https://") else {})
            for one in mappings(metadata["terms"])
        ],
        "resources": resources,
    }


def _schema(table: Table, panel: pl.DataFrame) -> dict[str, object]:
    known = {one.name: one for one in table.fields}
    fields = []
    for name, dtype in panel.schema.items():
        field, kind = known[name], _kind(dtype)
        rules: dict[str, object] = {"required": not field.null} if not field.null and field.dtype != "text" else {}
        if field.allowed:
            rules["enum"] = list(field.allowed)
        if kind in {"number", "integer"}:
            rules |= {n: v for n, v in (("minimum", field.minimum), ("maximum", field.maximum)) if v is not None}
        one: dict[str, object] = {"name": name, "type": kind, "description": field.doc, "unit": field.unit}
        if kind == "datetime":
            one["format"] = "%Y-%m-%dT%H:%M:%S.%f%z"
        fields.append({**one, **({"constraints": rules} if rules else {})})
    return {"fields": fields, "primaryKey": list(table.key), "missingValues": [""]}


def croissant(
    version: str,
    table: Table,
    panel: pl.DataFrame,
    metadata: Mapping[str, object],
    origin: Origin,
    files: Mapping[str, bytes],
) -> dict[str, object]:
    """`croissant.json`: the data files with their SHA-256, and the panel's columns as a record set of the Parquet file."""
    known = {one.name: one for one in table.fields}
    licence = metadata["licence"]
    types = {
        "date": "sc:Date", "datetime": "sc:DateTime", "boolean": "sc:Boolean", "number": "sc:Float", "integer": "sc:Integer"
    }  # fmt: skip
    objects = [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{len(content)} B",
            "encodingFormat": "application/x-parquet" if name.endswith(".parquet") else "text/csv",
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        for name, content in sorted(files.items())
        if name.endswith((".parquet", ".csv"))
    ]
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{table.name}/{name}",
            "name": name,
            "description": known[name].doc + (f" ({known[name].unit})" if known[name].unit else ""),
            "dataType": types.get(_kind(dtype), "sc:Text"),
            "source": {"fileObject": {"@id": f"{table.name}.parquet"}, "extract": {"column": name}},
        }
        for name, dtype in panel.schema.items()
    ]
    return {
        "@context": _CROISSANT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": _name(f"{table.name}-{version}"),
        "alternateName": f"{metadata['title']}, release {version}",
        "description": _description(metadata),
        "version": f"{version}.0" if re.fullmatch(r"\d+\.\d+", version) else version,  # as major.minor.patch
        "url": f"urn:sha256:{metadata['dataset_version']}",
        "license": licence["url"] if isinstance(licence, Mapping) else licence_of(metadata),
        "creator": [{"@type": "sc:Organization", "name": str(one["name"])} for one in mappings(metadata["authors"])],
        "keywords": texts(metadata["keywords"]),
        "datePublished": str(origin.released_on),
        "citeAs": cite_as(version, metadata, origin),
        "isLiveDataset": False,
        "distribution": objects,
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": table.name,
                "name": table.name,
                "description": table.doc,
                "key": [{"@id": f"{table.name}/{name}"} for name in table.key],
                "field": fields,
            }
        ],
    }


def zenodo(version: str, metadata: Mapping[str, object], origin: Origin) -> dict[str, object]:
    """`.zenodo.json`: what the deposit form of Zenodo takes."""
    creators = [
        {name: str(one[name]) for name in ("name", "orcid", "affiliation") if one.get(name)}
        for one in mappings(metadata["authors"])
    ]
    return {
        "title": f"{metadata['title']}, release {version}",
        "upload_type": "dataset",
        "description": f"<p>{_escaped(_description(metadata))}</p>",
        "version": version,
        "publication_date": str(origin.released_on),
        "access_right": "open",
        "license": licence_of(metadata).lower(),
        "creators": creators,
        "keywords": texts(metadata["keywords"]),
        "language": "eng",
        "notes": f"Content digest of the rows: sha256:{metadata['dataset_version']}",
        "dates": [{"type": "Collected", "start": str(metadata["start_date"]), "end": str(metadata["end_date"])}],
    }


def cite_as(version: str, metadata: Mapping[str, object], origin: Origin) -> str:
    """How the release is cited in a line."""
    authors: Sequence[str] = [str(one["name"]) for one in mappings(metadata["authors"])]
    return (
        f"{', '.join(authors)} ({origin.released_on.year}). {metadata['title']}, release {version} [data set]. "
        f"sha256:{metadata['dataset_version']}"
    )


def _description(metadata: Mapping[str, object]) -> str:
    said = f"{metadata['sandbox_note']}. " if metadata.get("sandbox_note") else ""
    return (
        f"{said}TVL, debt and liquidations of {metadata['markets']} lending markets on {metadata['days']} days "
        f"({metadata['start_date']} to {metadata['end_date']}), read from the chains themselves."
    )


def _name(text: str) -> str:
    """As names of packages and resources are written: small letters, digits, dots, hyphens and underscores."""
    kept = "".join(one if one.isalnum() or one in "._-" else "-" for one in text.lower())
    return kept.strip("._-")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
