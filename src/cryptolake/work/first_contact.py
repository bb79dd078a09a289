"""First contact: asks every provider a few things that the code assumes of it, and says what is so. Changes nothing stored.

What does not belong here: what a source assumes (its file), what a chain's endpoint should do (`work.chain_contact`), and
writing the report (`work.contact_report`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptolake.app import App
from cryptolake.contracts.contact import Assumption, Said, Verdict, readable
from cryptolake.contracts.counting import counted
from cryptolake.errors import BadInput, CryptolakeError, Narrow, Retry, Skip
from cryptolake.files.fenced import fenced
from cryptolake.files.foreign import fence
from cryptolake.net.counted import CountedHttp, Heard
from cryptolake.registry.markets import Csu
from cryptolake.sources.found import SourceFile
from cryptolake.work.chain_contact import chain_checks

CEILING = 50  # calls a provider
_TIMEOUT_S = 20.0
_REFUSALS = frozenset({"refused", "blocked", "entitlement", "key_refused", "rate_limited"})


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one check of one provider, with how many calls, and what was said on the way (secrets still in it)."""

    provider: str
    kind: str
    check: str
    assumes: str
    verdict: Verdict
    says: str
    calls: int
    exchanged: tuple[Heard, ...] = ()


@dataclass(frozen=True, slots=True)
class Contact:
    """The whole first contact: when (UTC), at most how many calls a provider, how many it took, and what was found."""

    at: datetime
    ceiling: int
    calls: Mapping[str, int]
    found: tuple[Found, ...]

    @property
    def is_as_assumed(self) -> bool:
        """Whether something was asked, and all that was asked is as the code assumes."""
        asked = [one.verdict for one in self.found if one.verdict != "not asked"]
        return bool(asked) and all(one == "as assumed" for one in asked)


def first_contact(
    app: App,
    csus: Sequence[Csu],
    vendors: Sequence[str],
    *,
    ceiling: int = CEILING,
    tell: Callable[[Found], None] = lambda _found: None,
) -> Contact:
    """Ask the endpoints of the markets' chains and the vendors; `tell` hears of every check as it ends.

    At most `ceiling` calls are sent to a provider: an endpoint's account over all its chains, or a vendor. Raises BadInput for
    a vendor that is not known.
    """
    at, clients = datetime.now(UTC), _Clients(ceiling)
    files = {one.vendor.name: one for one in app.found.files if one.vendor is not None}
    if unknown := sorted(set(vendors) - files.keys()):
        raise BadInput(f"unknown vendor {unknown[0]!r}; known: {', '.join(sorted(files))}")
    found: list[Found] = []
    try:
        with TemporaryDirectory(prefix="cryptolake-") as scratch:
            for one in (*_chains(app, csus, clients, Path(scratch)), *_vendors(app, files, vendors, clients, at)):
                tell(one)
                found.append(one)
        return Contact(at, ceiling, {name: http.calls for name, http in clients.opened.items()}, tuple(found))
    finally:
        clients.close()


class _Clients:
    """One counting client a provider."""

    def __init__(self, ceiling: int) -> None:
        self._ceiling, self.opened = ceiling, dict[str, CountedHttp]()
        self._accounts: dict[str, CountedHttp] = {}

    def of(self, name: str, account: str = "") -> CountedHttp:
        """The client of a provider; endpoints of one account have one."""
        http = self._accounts.setdefault(account or name, self.opened.get(name) or self._new())
        return self.opened.setdefault(name, http)

    def _new(self) -> CountedHttp:
        return CountedHttp(self._ceiling, timeout_s=_TIMEOUT_S)

    def close(self) -> None:
        for http in {id(one): one for one in self._accounts.values()}.values():
            http.close()


def _chains(app: App, csus: Sequence[Csu], clients: _Clients, scratch: Path) -> Iterator[Found]:
    for csu in csus:
        chain = app.registry.chain(csu.chain)
        endpoints = app.nodes(chain)
        if not endpoints:
            words = f"no endpoint is configured; set CRYPTOLAKE_RPC_{chain.name.upper()}=url"
            yield Found(chain.name, "chain", "endpoint", "an endpoint", "not asked", words, 0)
        for endpoint in endpoints:
            http = clients.of(endpoint.name, endpoint.account)
            place = scratch / f"{chain.name}-{endpoint.name}"
            checks = chain_checks(app, chain, csu, endpoint, http, place)
            yield from _asked(f"{endpoint.name} ({chain.name})", "chain", checks, http)


def _vendors(
    app: App, files: Mapping[str, SourceFile], names: Sequence[str], clients: _Clients, at: datetime
) -> Iterator[Found]:
    for name in names:
        file, http = files[name], clients.of(name)
        access = replace(app.access(), http=http, block_cache=None)
        try:
            with fence(file.module, "opening it"):
                if file.first_contact is not None:
                    checks = list(file.first_contact(access))
                elif file.open_source is not None:
                    checks = list(readable(fenced(file.open_source(access), file.module), at))
                else:
                    continue
        except CryptolakeError as error:
            yield Found(name, "vendor", "its file", "it can be opened", "not asked", str(error), 0)
            continue
        yield from _asked(name, "vendor", [*_keys(app, file), *checks], http)


def _keys(app: App, file: SourceFile) -> Iterator[Assumption]:
    """A check that asks nobody, for every key of the vendor's that is not set."""
    for key in file.vendor.keys if file.vendor is not None else ():
        if app.settings.key(key.name) is None:
            yield Assumption(f"key {key.name}", key.doc, lambda name=key.name: Said("not asked", f"{name} is not set"))  # type: ignore[misc]


def _asked(provider: str, kind: str, checks: Sequence[Assumption], http: CountedHttp) -> Iterator[Found]:
    limited = 0
    for check in checks:
        calls, before, held_back = http.calls, len(http.exchanged), http.held_back
        said = _said(check)
        if http.held_back > held_back:  # whatever became of that on its way up
            left = f"{http.ceiling - http.calls} left of {counted(http.ceiling, 'call')}"
            said = Said("not asked", f"its end needs more than the {left}")
        exchanged = tuple(http.exchanged[before:])
        limited += sum(one.status == 429 for one in exchanged)
        used = http.calls - calls
        yield Found(provider, kind, check.name, check.assumes, said.verdict, said.says, used, exchanged)
    if http.calls:
        said = Said("not asked", f"{counted(http.calls, 'call')} met no 429; the whole limit was not tried")
        if limited:
            said = Said(
                "different", f"{limited} of {counted(http.calls, 'call')} met 429 at the limit that was assumed"
            )
        yield Found(provider, kind, "limit", "the limit that is set or published", said.verdict, said.says, 0)


def _said(check: Assumption) -> Said:
    """The check's own word, or the verdict that its error stands for."""
    try:
        return check.ask()
    except BadInput as error:
        return Said("not asked", str(error))
    except Retry as error:
        return Said("not reachable", str(error))
    except Skip as error:
        return Said("refused" if error.reason in _REFUSALS else "different", f"{error} ({error.reason})")
    except Narrow as error:
        return Said("different", str(error))
    except CryptolakeError as error:
        return Said("refused", str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a reader that breaks on an answer is a finding, and the rest is still asked
        return Said("different", f"the answer breaks its reader ({_words(error)})")


def _words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
