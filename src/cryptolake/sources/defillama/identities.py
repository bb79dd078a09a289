"""Who is who: where a watched entity stands in the vendor's lists, and what to call it when it is asked about alone."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from cryptolake.net.conversation import Refusal
from cryptolake.registry.defillama import Entity, bridges, slugged
from cryptolake.registry.stablecoins import Stablecoin
from cryptolake.sources.defillama.lookups import Directory, Listed, Lookups
from cryptolake.sources.defillama.questions import BRIDGES, CHAINS, PROTOCOLS, DefiLlamaQuestion

log = structlog.get_logger(__name__)
_FALLBACKS = frozenset({"name", "gecko_id"})  # an entity not found by its slug: worth a line in the log


class Identities:
    """Recognises the watched entities and coins in the answers of `lookups`."""

    def __init__(self, entities: Mapping[str, Entity], coins: Mapping[str, Stablecoin], lookups: Lookups) -> None:
        self._entities, self._coins, self._lookups = entities, coins, lookups
        self._directories: dict[int, Directory] = {}

    def forget(self) -> None:
        """Drop the indexes of the last operation's lists."""
        self._directories = {}

    def place(self, question: DefiLlamaQuestion, listed: Listed, key: str) -> tuple[int | None, str]:
        """Where the entity stands in a bulk answer, and how it was recognised."""
        if question.subject == "stablecoin":
            coin = self._coins[key]
            ids = [str(one.get("id")) for one in listed.members]
            return (ids.index(coin.id), "id") if coin.id in ids else (None, "")
        entity = self._entities[key]
        if question.subject == "bridge":
            entity = Entity(key, bridges()[key], entity.slug, entity.category)
            if not entity.name:
                return None, ""
            match = self._directory(listed).find(Entity("", entity.name, slugged(entity.name), ""))
            return (match.index, match.by) if match else (None, "")
        by_id = question.subject == "protocol" and question.live is not PROTOCOLS
        match = self._directory(listed).find(entity, self._vendor_id(entity) if by_id else "")
        if match is None:
            return None, ""
        if match.by in _FALLBACKS:
            log.info("found under another name", entity=key, by=match.by, dataset=question.dataset)
        return match.index, match.by

    def _directory(self, listed: Listed) -> Directory:
        if id(listed) not in self._directories:
            self._directories[id(listed)] = Directory(listed.members)
        return self._directories[id(listed)]

    def _vendor_id(self, entity: Entity) -> str:
        """The vendor's own id of a protocol, from the protocol list when that was asked for."""
        listed = self._lookups.known(PROTOCOLS)
        match = self._directory(listed).find(entity) if listed else None
        return str(listed.members[match.index].get("id") or "") if listed and match else ""

    def names(self, question: DefiLlamaQuestion, key: str) -> list[str] | Refusal:
        """What to call the entity, the likeliest first; the list's own name when the vendor lists it.

        A refusal when only a list could tell and the vendor did not give it: that is not "unknown to the vendor".
        """
        if question.subject == "stablecoin":
            return [self._coins[key].id] if key in self._coins else []
        entity = self._entities.get(key)
        if entity is None:
            return []
        if question.subject == "bridge":
            listed = self._lookups.get(BRIDGES)
            if isinstance(listed, Refusal):
                return listed
            if listed.broken:
                return Refusal("schema_drift", f"the list of bridges has no {listed.broken}; upgrade cryptolake")
            place = self.place(question, listed, key)[0]
            return [] if place is None else [str(listed.members[place].get("id"))]
        if question.subject == "chain":
            known = self._lookups.get(CHAINS)
            match = self._directory(known).find(entity) if isinstance(known, Listed) else None
            if isinstance(known, Listed) and match is not None:
                name = str(known.members[match.index]["name"])
                if match.by in _FALLBACKS:
                    log.info("asked under the list's name", entity=key, name=name, by=match.by)
                return [name]
        else:
            known = self._lookups.get(PROTOCOLS)
            match = self._directory(known).find(entity) if isinstance(known, Listed) else None
            if isinstance(known, Listed) and match is not None and known.members[match.index].get("slug"):
                if match.by in _FALLBACKS:
                    log.info("asked under the list's slug", entity=key, by=match.by)
                return [str(known.members[match.index]["slug"])]
        log.info("not in the vendor's list, trying its names", entity=key, dataset=question.dataset)
        names = [entity.slug, entity.name if question.subject == "chain" else slugged(entity.name), key]
        return list(dict.fromkeys(name for name in names if name))
