"""`Vendor` and `Key`: what a vendor's file declares of itself, so that nothing about it stands anywhere else.

What does not belong here: what is asked (the source) and the values of keys (settings).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptolake.contracts.wellformed import require_types

_NAME, _VARIABLE = re.compile(r"[a-z][a-z0-9_]*"), re.compile(r"[A-Z][A-Z0-9_]*")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._\[\]:-]*[A-Za-z0-9\]](/[!-~]*)?")


@dataclass(frozen=True, slots=True)
class Key:
    """A key that the vendor gives: the variable that holds it, what it opens, and the limit that comes with it.

    `per_minute` and `burst` (calls) are None where the key changes nothing about the vendor's own limit.
    """

    name: str
    doc: str
    per_minute: int | None = None
    burst: int | None = None

    def __post_init__(self) -> None:
        require_types(self)
        if not _VARIABLE.fullmatch(self.name):
            raise ValueError(f"key {self.name!r}: write a variable's name, e.g. WEATHER_API_KEY")
        _check_limit(self.name, self.per_minute, self.burst)


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor: its hosts, its limit, its keys (the best first) and its watch list.

    `name` is that of its source. `hosts` have a base URL by name, empty where a library knows it; CRYPTOLAKE_URL_<HOST>
    moves one. In any window of a minute at most `per_minute` calls are sent, at most `burst` at once; `vendor_rates`
    overrides the first. `watch_list` describes the CSV file that replaces the shipped list when CRYPTOLAKE_<NAME>_CONFIG
    names it; None where there is none.
    """

    name: str
    hosts: Mapping[str, str] = field(default_factory=dict)
    per_minute: int = 60
    burst: int = 1
    keys: tuple[Key, ...] = ()
    watch_list: str | None = None

    def __post_init__(self) -> None:
        require_types(self)
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"vendor {self.name!r}: write small letters, digits and _")
        _check_limit(self.name, self.per_minute, self.burst)
        for host, address in self.hosts.items():
            if not _NAME.fullmatch(host) or (address and not _ADDRESS.fullmatch(address)):
                raise ValueError(
                    f"vendor {self.name}: host {host!r}: write name and address as weather: https://host/path"
                )
        for key in self.keys:  # by the vendor's name, so that no file is handed another's secret
            if not (
                key.name.startswith(f"{self.name.upper()}_") or key.name.startswith(f"CRYPTOLAKE_{self.name.upper()}_")
            ):
                raise ValueError(f"key {key.name}: begin its name with that of its vendor, {self.name.upper()}_...")
        if len({key.name for key in self.keys}) < len(self.keys):
            raise ValueError(f"vendor {self.name}: two of its keys have one name")

    def key_in(self, secrets: Mapping[str, str]) -> Key | None:
        """The first of the keys that is set; None without any."""
        return next((key for key in self.keys if secrets.get(key.name)), None)

    def limit(self, secrets: Mapping[str, str]) -> tuple[int, int]:
        """Calls a minute and at once, with the keys that are set."""
        key = self.key_in(secrets)
        return (key and key.per_minute) or self.per_minute, (key and key.burst) or self.burst


def _check_limit(name: str, per_minute: int | None, burst: int | None) -> None:
    if (per_minute is not None and per_minute < 1) or (burst is not None and burst < 1):
        raise ValueError(f"{name}: a limit is at least one call a minute and one at once")
