"""Tries keys before they are kept: one cheap question each, whose words never hold the key.

What does not belong here: asking people for them (cli), keeping them (`work.setting_files`) and using them (app).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cryptolake.contracts.vendor import Key, Vendor
from cryptolake.errors import CryptolakeError, Stop
from cryptolake.net.endpoint import Endpoint, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.endpoints import alchemy_url
from cryptolake.sources.found import FoundSources
from cryptolake.waiting import pause

# A line of `.env` holds it as it is, and the redactor finds it again: no blank, quote, comment, list or substitution.
_FORM = re.compile(r"[!%&(-+\--;=?-Z^_a-z|~\[\]@]{8,}")
_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a key: it `works`, was `refused`, nobody could be `unreachable`, or it was `not tested`; and why."""

    verdict: Literal["works", "refused", "unreachable", "not tested"]
    says: str


def try_endpoint(chain: Chain, url: str) -> Tried:
    """Ask an endpoint which chain it is on, for 15 seconds at most."""
    if (fault := _misshapen(url)) is not None:
        return fault
    http = Http(timeout_s=_TIMEOUT_S)
    try:
        Pool(
            chain.name, chain.chain_id, [Endpoint(f"{chain.name}-new", SecretUrl(url))], http, attempts=1, sleep=pause
        ).call("eth_chainId", [])
    except Stop as error:
        return Tried("refused", str(error))
    except CryptolakeError as error:
        return Tried("unreachable", str(error))
    finally:
        http.close()
    return Tried("works", f"it answered for {chain.name}")


def try_alchemy(chain: Chain, key: str) -> Tried:
    """Ask Alchemy with this key which chain the chain's address is on; `chain` must be one that Alchemy serves."""
    return _misshapen(key) or try_endpoint(chain, alchemy_url(chain.alchemy_subdomain or chain.name, key))


def try_vendor_key(key: str) -> Tried:
    """A vendor's key: its form only, for no vendor declares a question that costs nothing."""
    return _misshapen(key) or Tried("not tested", "its form is right; the first pull tells whether it is valid")


def vendor_keys(found: FoundSources) -> Iterator[tuple[Vendor, Key]]:
    """The keys that the vendors' files declare, with whose they are."""
    for file in found.files:
        if file.vendor is not None:
            yield from ((file.vendor, key) for key in file.vendor.keys)


def _misshapen(value: str) -> Tried | None:
    if _FORM.fullmatch(value):
        return None
    return Tried(
        "refused", "a key or address has 8 characters or more, with no blank, comma, quote, # or $; copy it again"
    )
