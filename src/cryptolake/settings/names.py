"""Names that nobody reads, in the settings' file or of a vendor: a typo would silently leave the default in force.

What does not belong here: values, which the settings themselves check.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path

from cryptolake.errors import BadInput
from cryptolake.settings.places import LOOK, PREFIX, read_document


def refuse_unknown(file: Path, settings: Collection[str]) -> None:
    """Refuse a name in the settings' file that is none of the settings and that no vendor and no alert way declares."""
    if not (unknown := sorted(set(read_document(file)) - set(settings))):
        return
    # What vendors and ways to tell a person declare may stand there too; asked only when there is something else.
    from cryptolake.alerts.found import find_ways
    from cryptolake.sources.found import find_sources

    sources, ways = find_sources(), find_ways()
    declared = {*sources.keys, *ways.secrets, *(one.name for way in ways.ways for one in way.settings)}
    known = {*settings, *(one.removeprefix(PREFIX).lower() for one in declared)}
    known |= {one.lower() for one in declared}
    known |= {f"{one.vendor.name}_config" for one in sources.files if one.vendor is not None}
    for name in unknown:
        if name.lower() not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "docs/settings.md lists every one"
            raise BadInput(f"{file}: nobody reads {name!r}; {hint}")


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
