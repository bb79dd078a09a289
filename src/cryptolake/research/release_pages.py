"""The pages of a release for people: how to cite it, and the README. Pure; what they say is in metadata, origin and recipe."""

from __future__ import annotations

from collections.abc import Mapping

from cryptolake.contracts.counting import counted
from cryptolake.research.origin import Origin, Recipe


def citation(version: str, metadata: Mapping[str, object], origin: Origin) -> str:
    """CITATION.cff of the dataset, dated by the day of release."""
    sandbox = " (demonstration data, not a public chain)" if metadata.get("sandbox") else ""
    return (
        "cff-version: 1.2.0\n"
        "message: If you use this dataset, please cite it as below.\n"
        "type: dataset\n"
        f"title: Daily panel of TVL and liquidations of lending markets{sandbox}\n"
        f'version: "{version}"\n'
        f"date-released: {origin.released_on}\n"
        "authors:\n  - name: cryptolake contributors\n"
        f"identifiers:\n  - type: other\n    value: sha256:{metadata['dataset_version']}\n"
        "    description: content digest of the rows\n"
    )


def readme(version: str, metadata: Mapping[str, object], origin: Origin, recipe: Recipe, manifest: str) -> str:
    """What replicators look for, after the template of the social science data editors."""
    note = f"**{metadata['sandbox_note']}**\n\n" if metadata.get("sandbox_note") else ""
    return f"""# Daily panel of lending markets, release {version}

{note}{_told(metadata, "market")}, {_told(metadata, "day")} ({metadata["start_date"]} .. {metadata["end_date"]}),
{_told(metadata, "row")}. Released on {origin.released_on}.

## Data availability

Read from the chains themselves at the snapshot blocks named in the panel; every market's contract addresses are in
`metadata.json`. Prices: see `price_sources` there. Nothing is filled forward; a missing value has a status code.

## Files

`daily_panel.parquet` and `daily_panel.csv` are the same rows. `codebook.md` explains every column. `{manifest}` holds the
SHA-256 of every file: check with `sha256sum -c {manifest}`. `ledger.parquet` lists the {recipe.answers:,} answers that the
panel rests on with the SHA-256 of each, `lineage.parquet` what each market-day rests on, `registry.json` the markets and
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


def _told(metadata: Mapping[str, object], noun: str) -> str:
    """A number of the metadata (`markets`, `days`, `rows`) with its noun."""
    return counted(int(str(metadata[f"{noun}s"])), noun)


def _order(recipe: Recipe) -> str:
    return "" if recipe.pricing is None else " (`pricing` in `recipe.json`)"


def _lacking(recipe: Recipe) -> str:
    if not recipe.lacking:
        return ""
    lines = "".join(f"- {line}\n" for line in recipe.lacking)
    return f"\nNot all of it can be made again: these were answered and not in silver when it was released.\n\n{lines}"
