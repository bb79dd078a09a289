"""The bulk answers of one operation, asked once and shared by all threads, and who is who in them. Asks nothing itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from cryptolake.net.conversation import Refusal
from cryptolake.net.verbatim import Member, members
from cryptolake.registry.defillama import ChainName, Entity, slugged
from cryptolake.sources.defillama.questions import Ask


@dataclass(frozen=True, slots=True)
class Listed:
    """A bulk answer taken apart. `broken` names what is missing when its layout has changed; `body` is then kept whole."""

    members: tuple[Mapping[str, object], ...]
    raws: tuple[bytes, ...]
    chains: frozenset[str] | None  # names of the chains with data, in lower case; None when the answer does not say
    absent: str = ""  # a field that no member has
    broken: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Match:
    """Where an entity was found: position in the list, and by which of its names."""

    index: int
    by: str


class Lookups:
    """Bulk answers by endpoint; whoever asks first fetches, the others wait for the same answer."""

    def __init__(self, fetch: Callable[[Ask], bytes | Refusal]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, str], Future[Listed | Refusal]] = {}

    def forget(self) -> None:
        """Start over: the next operation asks again."""
        with self._lock:
            self._answers = {}

    def get(self, ask: Ask) -> Listed | Refusal:
        """The answer, fetched when nobody has it yet."""
        key = (ask.host, ask.endpoint)
        with self._lock:
            mine = key not in self._answers
            future = self._answers.setdefault(key, Future())
        if mine:
            try:
                body = self._fetch(ask)
                future.set_result(body if isinstance(body, Refusal) else take_apart(ask, body))
            except BaseException as error:
                future.set_exception(error)  # whoever waits for the same answer ends for the same reason
                raise
        return future.result()

    def known(self, ask: Ask) -> Listed | None:
        """The answer if it was asked for and is good; asks nothing."""
        with self._lock:
            future = self._answers.get((ask.host, ask.endpoint))
        if future is None or not future.done():
            return None
        answer = future.result()
        return None if isinstance(answer, Refusal) or answer.broken else answer


def take_apart(ask: Ask, body: bytes) -> Listed:
    """Cut a bulk body into its members, byte for byte."""
    try:
        found = members(body, *ask.at)
    except ValueError:
        return Listed((), (), None, broken=".".join(ask.at) or "the list", body=body)
    objects = [one for one in found if isinstance(one.value, dict)]
    if not objects:
        return Listed((), (), None, broken=f"{'.'.join(ask.at) or 'the list'} with members", body=body)
    values = tuple(_mapping(one) for one in objects)
    absent = next((name for name in ask.fields if not any(name in value for value in values)), "")
    chains: frozenset[str] | None = None
    if ask.at == ("protocols",):
        try:
            chains = frozenset(str(one.value).lower() for one in members(body, "allChains")) or None
        except ValueError:
            chains = None
    return Listed(values, tuple(one.raw for one in objects), chains, absent=absent)


def _mapping(member: Member) -> Mapping[str, object]:
    assert isinstance(member.value, dict)
    return member.value


class Directory:
    """Finds entities in one list by slug, then name, then gecko id. Of several that fit, the one with the most TVL."""

    def __init__(self, listed: Iterable[Mapping[str, object]]) -> None:
        self._by: dict[str, dict[str, list[int]]] = {"slug": {}, "name": {}, "gecko_id": {}, "id": {}}
        self._weights: list[float] = []
        for index, one in enumerate(listed):
            name = str(one.get("name") or "")
            shown = str(one.get("displayName") or "")
            tvl = one.get("tvl", one.get("total24h"))
            self._weights.append(float(tvl) if isinstance(tvl, int | float) else 0.0)
            self._add("slug", str(one.get("slug") or slugged(name)), index)
            for text in {name.lower(), shown.lower()}:
                self._add("name", text, index)
            self._add("gecko_id", str(one.get("gecko_id") or ""), index)
            self._add("id", str(one.get("defillamaId") or one.get("id") or ""), index)

    def _add(self, by: str, text: str, index: int) -> None:
        if text:
            self._by[by].setdefault(text, []).append(index)

    def find(self, entity: Entity, vendor_id: str = "") -> Match | None:
        """Where the entity stands; None when the list does not have it. `vendor_id` is tried before all names."""
        for by, text in (
            ("id", vendor_id),
            ("slug", entity.slug),
            ("name", entity.name.lower()),
            ("gecko_id", entity.key),
        ):
            if text and (found := self._by[by].get(text)):
                return Match(max(found, key=lambda index: (self._weights[index], -index)), by)
        return None


def chain_names(listed: Listed) -> list[ChainName]:
    """The chain list's names, gecko ids and TVL."""
    return [
        ChainName(str(one.get("name") or ""), str(one.get("gecko_id") or ""))
        for one in listed.members
        if one.get("name")
    ]
