"""`CoinGecko`: asks within the tier's limit, page by page where it must, and hands out what it heard.

What is asked stands in `questions`, by which way in `asking`, what is no answer in `refusals`, how bodies are read in
`reading`.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.reading import kept_json, no_json, read_json
from cryptolake.contracts.source import Asked, Dataset, Row, Trip
from cryptolake.errors import Skip
from cryptolake.net.access import Access
from cryptolake.net.conversation import Patience, Refusal, worth_keeping
from cryptolake.registry.coingecko import DEFAULT_TOP, Tier, watched_coins
from cryptolake.sources.coingecko.asking import VENDOR, CoinGeckoAsking
from cryptolake.sources.coingecko.questions import (
    COINS_MARKETS,
    MARKET_CHART,
    MARKET_GLOBAL,
    PER_PAGE,
    top_of,
)
from cryptolake.sources.coingecko.reading import coins_in, points_in, totals_in

log = structlog.get_logger(__name__)

_LEFT_OUT = Refusal("unknown_entity", "the vendor leaves this coin out; check the id")


class CoinGecko:
    """One host, chosen by the tier. `coins` are the ids whose history is kept (the watch list unless given).

    `tier`, `patience`, `asked_at` and the gates of `access` are replaceable for tests.
    """

    name = VENDOR.name
    datasets: Sequence[Dataset] = (COINS_MARKETS, MARKET_GLOBAL, MARKET_CHART)

    def __init__(
        self,
        access: Access,
        *,
        tier: Tier | None = None,
        coins: Sequence[str] | None = None,
        patience: Patience | None = None,
        asked_at: Callable[[], datetime] | None = None,
    ) -> None:
        self.asking = CoinGeckoAsking(
            access, tier=tier, patience=patience
        )  # shared with the copies that watch other coins
        self.tier = self.asking.tier
        self.coins = tuple(sorted(watched_coins() if coins is None else coins))
        self._provenance = self.asking.provenance
        self._asked_at = asked_at or access.now
        self._said = threading.Event()

    @property
    def asked(self) -> Asked:
        """Requests sent since the source was opened, and how many met a 429."""
        return self.asking.tally.asked

    def watching(self, coins: Sequence[str]) -> CoinGecko:
        """The same limits and counts, with other coins' history to keep."""
        other = copy.copy(self)
        other.coins = tuple(sorted(set(coins)))
        return other

    def least_seconds(self, top: int) -> float:
        """How long the tier's limit makes a run of the `top` coins take at least."""
        calls = math.ceil(top / PER_PAGE) + 1
        return max(0, calls - self.tier.burst) * self.tier.spacing_s

    def keys(self, dataset: str) -> Sequence[str]:
        """`top1000` for the market, `all` for its totals, the watched coin ids for history."""
        return {COINS_MARKETS.name: [f"top{DEFAULT_TOP}"], MARKET_GLOBAL.name: ["all"]}.get(dataset, list(self.coins))

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """One per run of the market or of its totals; for coins one per coin's history, and one per 250 live values."""
        groups: dict[tuple[str, ...], list[Partition]] = {}
        for partition in sorted(partitions):
            head = (partition.dataset, str(partition.period), partition.key)
            if partition.dataset == MARKET_CHART.name:
                live = partition.period.granularity == "hour"
                head = (partition.dataset, str(partition.period) if live else "history", "" if live else partition.key)
            groups.setdefault(head, []).append(partition)
        for (dataset, _, key), members in groups.items():
            size = len(members) if key else PER_PAGE
            for start in range(0, len(members), size):
                part = tuple(members[start : start + size])
                yield Trip(self.name, f"{dataset} {key or counted(len(part), 'coin')}", part)

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Ask for one run or one coin's history. Refusals become Misses with the reason; an unreadable body is kept as Raw.

        The market and its totals can only be asked for now: another period's partition is `gone`.
        """
        first, asked_at = trip.partitions[0], self._asked_at()
        as_of = first.dataset != MARKET_CHART.name
        if as_of and not first.period.start <= asked_at < first.period.end:
            message = f"{self.name} answers {first.dataset} for the present only, not for {first.period}"
            yield from (Miss(partition, "gone", "past", message) for partition in trip.partitions)
            return
        if not as_of and first.period.granularity == "hour":
            yield from self._live(trip, asked_at)
            return
        request: dict[str, str] = {"method": "GET", "vs_currency": "usd"}
        if first.dataset == COINS_MARKETS.name:
            answer = self._pages(top_of(first.key), request)
        elif first.dataset == MARKET_GLOBAL.name:
            request = {"method": "GET", "path": "/global"}
            answer = self.asking.ask("/global", {})
        else:
            answer = self._chart(first, request)
        kept = worth_keeping(answer)
        for partition in trip.partitions:
            if isinstance(kept, Refusal):
                yield self._miss(partition, kept)
            else:
                yield Raw(partition, self.name, asked_at, asked_at, kept, request, self._provenance)

    def _pages(self, top: int, request: dict[str, str]) -> bytes | Refusal:
        """Every page up to `top`, as one JSON list of the untouched page bodies in the order they were asked.

        The ranking moves while we page: a coin seen again on a later page means that another one slipped to an earlier
        page unseen, so that page is asked once more. The list's end is believed only when the page after a short one is
        empty too.
        """
        size = min(PER_PAGE, top)
        bodies: list[bytes] = []
        page_of: dict[str, int] = {}
        moved: set[int] = set()
        last = math.ceil(top / size)
        page, short = 0, False
        while page < last or short:
            page += 1
            answer = self._page(page, size)
            if isinstance(answer, Refusal):
                return replace(answer, message=f"page {page} of {last}: {answer.message}", body=None)
            ids, body = answer
            if ids and short:
                message = f"page {page - 1} is short but not the last; the answer is incomplete, run again later"
                return Refusal("incomplete", message)
            bodies.append(body)
            moved |= {page_of[one] for one in ids if one in page_of}
            page_of |= dict.fromkeys(ids, page)
            if not ids:
                break
            short = len(ids) < size
        for page in sorted(moved):
            answer = self._page(page, size)
            if isinstance(answer, Refusal):
                return replace(answer, message=f"page {page} again: {answer.message}", body=None)
            bodies.append(answer[1])
        request |= {"path": "/coins/markets", "per_page": str(size), "pages": str(len(bodies)), "top": str(top)}
        request["asked_again"] = ",".join(map(str, sorted(moved)))
        return b"[" + b",\n".join(bodies) + b"]"

    def _page(self, page: int, size: int) -> tuple[list[str], bytes] | Refusal:
        params = {"vs_currency": "usd", "order": "market_cap_desc", "per_page": str(size), "page": str(page)}
        answer = self._page_of(params)
        if isinstance(answer, Refusal):
            return answer
        items, body = answer
        return [str(item.get("id")) for item in items if isinstance(item, dict)], body

    def _page_of(self, params: Mapping[str, str]) -> tuple[list[object], bytes] | Refusal:
        """The coins of one `/coins/markets` answer and its body."""
        body = self.asking.ask("/coins/markets", params)
        if isinstance(body, Refusal):
            return body
        items = read_json(body)
        if not isinstance(items, list):
            return Refusal("vendor_error", "the answer is no list of coins; run again later")
        return items, body

    def _live(self, trip: Trip, asked_at: datetime) -> Iterator[Raw | Miss]:
        """The present values of up to 250 coins by one question; every coin's part of the answer is kept as its own."""
        ids = ",".join(partition.key for partition in trip.partitions)  # the vendor trips over a space after the comma
        params = {"vs_currency": "usd", "ids": ids, "per_page": str(PER_PAGE), "page": "1"}
        answer = self._page_of(params)
        if isinstance(answer, Refusal):
            yield from (self._miss(partition, answer) for partition in trip.partitions)
            return
        items = {item["id"]: item for item in answer[0] if isinstance(item, dict) and "id" in item}
        request = {"method": "GET", "path": "/coins/markets", "vs_currency": "usd", "coins": str(len(trip.partitions))}
        for partition in trip.partitions:
            if partition.key in items:
                try:
                    payload = kept_json(f"{self.name} {partition.key}", {"coin": items[partition.key]})
                except Skip as error:
                    yield Miss(partition, "failed", error.reason, str(error))
                    continue
                yield Raw(partition, self.name, asked_at, asked_at, payload, request, self._provenance)
            else:
                yield self._miss(partition, _LEFT_OUT)

    def _chart(self, partition: Partition, request: dict[str, str]) -> bytes | Refusal:
        """A coin's daily history as far back as the tier allows; a cut is said once per run and stands in the request."""
        path, reach = f"/coins/{partition.key}/market_chart", self.tier.history_days
        params = {"vs_currency": "usd", "days": str(reach or "max"), "interval": "daily"}
        if reach:
            request["clamped_to_days"] = str(reach)
            if not self._said.is_set():
                self._said.set()
                log.warning(
                    "history is cut; a pro key reaches further", source=self.name, days=reach, tier=self.tier.name
                )
        request |= {"path": path, **params}
        return self.asking.ask(path, params)

    def _miss(self, partition: Partition, refusal: Refusal) -> Miss:
        return Miss(partition, "failed", refusal.reason, f"{self.name} {partition.key}: {refusal.message}")

    def parse(self, raw: Raw) -> Sequence[Row]:
        """Rows of the dataset's table. Numbers are the vendor's own; null stays null.

        Raises Skip: `unreadable` when the body is no JSON, `schema_drift` (naming the field) when the layout changed.
        """
        what = f"{self.name} {raw.partition.key}"
        try:
            document = read_json(raw.payload)
        except ValueError:
            raise no_json(what) from None
        if raw.partition.dataset == COINS_MARKETS.name:
            return coins_in(what, document)
        if raw.partition.dataset == MARKET_GLOBAL.name:
            return [totals_in(what, document)]
        return points_in(what, raw.partition.key, document)


def open_source(access: Access) -> CoinGecko:
    """The source as the app opens it: a pro key wins over a demo key, without one it is keyless.

    CRYPTOLAKE_URL_COINGECKO overrides the host.
    """
    return CoinGecko(access)
