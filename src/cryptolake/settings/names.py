"""Names that nobody reads, in the settings' file, of a variable or of a vendor: a typo would leave the default in force.

What does not belong here: values, which the settings themselves check.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path

from cryptolake.errors import BadInput
from cryptolake.settings.places import LOOK, PREFIX, read_document

_NEARLY = 0.8  # of the letters in common: DATABSE_URL is meant for one of ours, DATA_DIR may be anybody's


def refuse_unknown(file: Path, settings: Collection[str]) -> None:
    """Refuse a name in the settings' file that is none of the settings and that no vendor and no alert way declares."""
    if not (unknown := sorted(set(read_document(file)) - set(settings))):
        return
    known = {*settings, *_declared()}
    for name in unknown:
        if name.lower() not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "docs/settings.md lists every one"
            raise BadInput(f"{file}: nobody reads {name!r}; {hint}")


def refuse_misspelt(variables: Collection[str], settings: Collection[str]) -> None:
    """Refuse a variable CRYPTOLAKE_... that is nearly, but not, the name of a setting.

    Others pass: a name far from all of ours may be another program's, or a later version's.
    """
    for variable in sorted(variables):
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or name in settings or name.startswith(("rpc_", "url_")):
            continue
        near = difflib.get_close_matches(name, settings, n=1, cutoff=_NEARLY)
        if near and name not in _declared():
            raise BadInput(f"settings: nobody reads {variable}; did you mean {PREFIX}{near[0].upper()}? ({LOOK})")


def is_ours(variable: str, settings: Collection[str]) -> bool:
    """Whether a variable is one of a setting of ours, which no file may declare as its own: it would be handed its value."""
    name = variable.upper().removeprefix(PREFIX).lower()
    return name in {*settings, "debug"} or name.startswith(("rpc_", "url_", "alchemy_key"))


def _declared() -> set[str]:
    """What vendors and ways to tell a person declare, in small letters; costs looking at their files."""
    from cryptolake.alerts.found import find_ways
    from cryptolake.sources.found import find_sources

    sources, ways = find_sources(), find_ways()
    declared = {*sources.keys, *ways.secrets, *(one.name for way in ways.ways for one in way.settings)}
    return {
        *(one.removeprefix(PREFIX).lower() for one in declared),
        *(one.lower() for one in declared),
        *(f"{one.vendor.name}_config" for one in sources.files if one.vendor is not None),
    }


def refuse_unknown_vendors(*, rates: Mapping[str, int], urls: Mapping[str, str]) -> None:
    """Refuse a rate of a vendor, or an address of a vendor's host, that no file declares."""
    if not (rates or urls):
        return
    from cryptolake.sources.found import find_sources

    found = find_sources()
    if found.refused:  # one of these may be meant; who opens sources is told of them
        return
    vendors = [file.vendor for file in found.files if file.vendor is not None]
    hosts = [host for one in vendors for host in one.hosts]
    asked = (("vendor_rates", set(rates), [one.name for one in vendors]), ("urls", set(urls), hosts))
    for setting, given, known in asked:
        for name in sorted(given - set(known)):
            near = difflib.get_close_matches(name, known, n=3) or sorted(known)
            raise BadInput(f"settings: {setting}: nobody is called {name!r}; known: {', '.join(near)} ({LOOK})")
