"""The pages of a release for people: how to cite it, and the README. Pure; what they say is in metadata, origin and recipe."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from cryptolake.contracts.counting import counted
from cryptolake.research.origin import Origin, ReleaseInputs


def citation(version: str, metadata: Mapping[str, object], origin: Origin) -> str:
    """CITATION.cff of the dataset, dated by the day of release."""
    sandbox = " (demonstration data, not a public chain)" if metadata.get("sandbox") else ""
    authors = "".join(
        f"  - name: {_quoted(one['name'])}\n"
        + (f"    orcid: https://orcid.org/{one['orcid']}\n" if one.get("orcid") else "")
        + (f"    affiliation: {_quoted(one['affiliation'])}\n" if one.get("affiliation") else "")
        for one in mappings(metadata["authors"])
    )
    return (
        "cff-version: 1.2.0\n"
        "message: If you use this dataset, please cite it as below.\n"
        "type: dataset\n"
        f"title: {_quoted(str(metadata['title']) + sandbox)}\n"
        f'version: "{version}"\n'
        f"date-released: {origin.released_on}\n"
        f"license: {licence_of(metadata)}\n"
        f"authors:\n{authors}"
        f"identifiers:\n  - type: other\n    value: sha256:{metadata['dataset_version']}\n"
        "    description: content digest of the rows\n"
    )


def readme(version: str, metadata: Mapping[str, object], origin: Origin, recipe: ReleaseInputs, manifest: str) -> str:
    """What replicators look for, after the template of the social science data editors."""
    note = f"**{metadata['sandbox_note']}**\n\n" if metadata.get("sandbox_note") else ""
    return f"""# {metadata["title"]}, release {version}

{note}{_told(metadata, "market")}, {_told(metadata, "day")} ({metadata["start_date"]} .. {metadata["end_date"]}),
{_told(metadata, "row")}. Released on {origin.released_on}.

## Data availability

Read from the chains themselves at the snapshot blocks named in the panel; every market's contract addresses are in
`metadata.json`. Prices: see `price_sources` there. Nothing is filled forward; a missing value has a status code.

{_terms(metadata)}
## Files

`daily_panel.parquet` and `daily_panel.csv` are the same rows. `codebook.md` explains every column of it,
`dictionary.md` those of all tables, `methods.md` what was measured, priced, proven and left out; `datapackage.json`,
`croissant.json` and `.zenodo.json` say the same to programs. `{manifest}` holds the
SHA-256 of every file: check with `sha256sum -c {manifest}`. `ledger.parquet` lists the {counted(recipe.answers, "answer")}
that the panel rests on with the SHA-256 of each, `lineage.parquet` what each market-day rests on, `event_days.parquet`
the known exploits, failures of oracles and lost pegs of these market-days with their sources, `registry.json` the markets and
chains (`cryptolake --registry registry.json` takes it), `recipe.json` everything else that the numbers follow from.

## To make it again

Made by cryptolake {origin.code_version}{f" (commit {origin.commit})" if origin.commit else ""} with Python {origin.python}; the
packages are in `environment.txt`. With that code and the answers, a bronze folder or an archive of it, in an empty folder:

    cryptolake release rebuild PATH/TO/{version} --bronze PATH/TO/ANSWERS

It values the answers as they were valued here{_order(recipe)}, whatever the settings say, compares every file with
`{manifest}` and names what is missing or differs. The digest of the rows must be
`{metadata["dataset_version"]}`.
{_lacking(recipe)}
## How to cite

See `CITATION.cff`.
"""


def licence_of(metadata: Mapping[str, object]) -> str:
    """The licence's SPDX name."""
    licence = metadata["licence"]
    return str(licence["name"]) if isinstance(licence, Mapping) else str(licence)


def mappings(value: object) -> list[Mapping[str, object]]:
    """The mappings of a list in a JSON document."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []


def texts(value: object) -> list[str]:
    """The texts of a list in a JSON document."""
    return [str(one) for one in value] if isinstance(value, list | tuple) else []


def _quoted(value: object) -> str:
    """As YAML takes any text."""
    return orjson.dumps(str(value)).decode()


PASSING = {
    "yes": "may be passed on",
    "attribution": "may be passed on where it is named",
    "no": "may not be passed on",
    "not_found": "no permission to pass it on was found",
}


def _terms(metadata: Mapping[str, object]) -> str:
    """Licence and whose data is in it."""
    licence = metadata["licence"]
    url = licence["url"] if isinstance(licence, Mapping) else ""
    named = texts(metadata["attribution"])
    credit = f" Name as well: {', '.join(named)}." if named else ""
    lines = [
        f"- {one['source']}: {PASSING[str(one['pass_on'])]}. {one['says']} ({', '.join(texts(one['sources']))}"
        f"{'; as others quote it' if one.get('quoted') else ''}, read on {one['read_on']})"
        for one in mappings(metadata["terms"])
    ]
    said = "\n".join(lines)
    return f"""## Licence

The dataset is published under [{licence_of(metadata)}]({url}).{credit} What it was made of, and what those sources say of
passing their data on (in our words, no legal advice). Data that may not be passed on, or of which that is not known, is in
no file of a release; sums in USD are ours.

{said}
"""


def _told(metadata: Mapping[str, object], noun: str) -> str:
    """A number of the metadata (`markets`, `days`, `rows`) with its noun."""
    return counted(int(str(metadata[f"{noun}s"])), noun)


def _order(recipe: ReleaseInputs) -> str:
    return "" if recipe.pricing is None else " (`pricing` in `recipe.json`)"


def _lacking(recipe: ReleaseInputs) -> str:
    if not recipe.lacking:
        return ""
    lines = "".join(f"- {line}\n" for line in recipe.lacking)
    return f"\nNot all of it can be made again: these were answered and not in silver when it was released.\n\n{lines}"
