"""Tries keys before they are kept: one cheap question each, whose words never hold the key.

What does not belong here: asking people for them (cli), keeping them (`work.setting_files`) and using them (app).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from cryptolake.contracts.vendor import Key, Vendor
from cryptolake.errors import CryptolakeError, Stop
from cryptolake.net.access import Access
from cryptolake.net.conversation import Refusal
from cryptolake.net.endpoint import Endpoint, SecretUrl
from cryptolake.net.http import Http
from cryptolake.net.purse import CeilingReached, Purse
from cryptolake.net.rpc import Pool
from cryptolake.registry.chains import Chain
from cryptolake.registry.endpoints import alchemy_url
from cryptolake.sources.found import FoundSources, TryKey
from cryptolake.waiting import pause

# A line of `.env` holds it as it is, and the redactor finds it again: no blank, quote, comment, list or substitution.
_FORM = re.compile(r"[!%&(-+\--;=?-Z^_a-z|~\[\]@]{8,}")
_TIMEOUT_S = 15.0


Verdict = Literal["accepted", "refused", "not reachable", "not asked"]


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a key, and why: `accepted` or `refused`, or nobody could say (`not reachable`), or nobody was asked."""

    verdict: Verdict
    says: str


def try_endpoint(chain: Chain, url: str, purse: Purse | None = None) -> Tried:
    """Ask an endpoint which chain it is on, for 15 seconds at most."""
    if (fault := _misshapen(url)) is not None:
        return fault
    http = Http(timeout_s=_TIMEOUT_S)
    try:
        Pool(
            chain.name,
            chain.chain_id,
            [Endpoint(f"{chain.name}-new", SecretUrl(url))],
            http,
            purse=purse,
            attempts=1,
            sleep=pause,
        ).call("eth_chainId", [])
    except CeilingReached as error:
        return Tried("not asked", str(error))
    except Stop as error:
        return Tried("refused", str(error))
    except CryptolakeError as error:
        return Tried("not reachable", str(error))
    finally:
        http.close()
    return Tried("accepted", f"it answered for {chain.name}")


def try_alchemy(chain: Chain, key: str, purse: Purse | None = None) -> Tried:
    """Ask Alchemy with this key which chain the chain's address is on; `chain` must be one that Alchemy serves."""
    return _misshapen(key) or try_endpoint(chain, alchemy_url(chain.alchemy_subdomain or chain.name, key), purse)


@dataclass(frozen=True, slots=True)
class VendorKey:
    """A key that a vendor's file declares, and how the file tries it (None: it declares no such question)."""

    vendor: Vendor
    key: Key
    ask: TryKey | None = None

    def attempt(
        self, value: str, *, urls: Mapping[str, str], rates: Mapping[str, int], timeout_s: float = _TIMEOUT_S
    ) -> Tried:
        """Ask the vendor once whether it takes the key, at the hosts that `urls` moves, for `timeout_s` seconds at most."""
        if (fault := _misshapen(value)) is not None:
            return fault
        if self.ask is None:
            return Tried("not asked", f"{self.vendor.name} declares no question for it; the first pull tells")
        http = Http(timeout_s=timeout_s)
        access = Access(http=http, urls=urls, secrets={self.key.name: value}, rates=rates)
        try:
            refusal = self.ask(access)
        except CryptolakeError as error:
            return Tried("not reachable", _hidden(str(error), value))
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whoever wrote the vendor's file: its fault is said, not shown as ours
            return Tried("not asked", _hidden(f"the vendor's file failed ({type(error).__name__}: {error})", value))
        finally:
            http.close()
        return _read(refusal, self.vendor.name, value)


def vendor_keys(found: FoundSources) -> Iterator[VendorKey]:
    """The keys that the vendors' files declare, with whose they are and how each is tried."""
    for file in found.files:
        if file.vendor is not None:
            yield from (VendorKey(file.vendor, key, file.try_key) for key in file.vendor.keys)


def _read(refusal: object, vendor: str, value: str) -> Tried:
    """The vendor's answer in one of the four words; only a plain "it takes it" is `accepted`."""
    if refusal is None:
        return Tried("accepted", f"{vendor} takes it")
    if not isinstance(refusal, Refusal):
        return Tried("not asked", f"{vendor}'s file told nothing of the key; the first pull tells")
    says = _hidden(refusal.message, value)
    if refusal.reason == "not_asked":
        return Tried("not asked", says)
    if refusal.of_key:
        return Tried("refused", f"{says}; a wrong key may be told so too" if refusal.reason == "blocked" else says)
    return Tried("not reachable", f"{says}; whether the key is right is not known")


def _hidden(text: str, value: str) -> str:
    """The words without the key, and on one line."""
    return " ".join(text.replace(quote(value, safe=""), "***").replace(value, "***").split())


def _misshapen(value: str) -> Tried | None:
    if _FORM.fullmatch(value):
        return None
    return Tried(
        "refused", "a key or address has 8 characters or more, with no blank, comma, quote, # or $; copy it again"
    )
