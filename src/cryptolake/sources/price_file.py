"""A user's own price file as a source of quotes: CSV with a head, JSON or Parquet, kept in bronze like any other answer.

Columns: date (2024-12-31), chain, asset (address, or eth / btc with chain `any`), price; optional quote (usd unless said
otherwise) and time (ISO 8601 with zone; without it the price counts as said for the snapshot itself). A file with names of its
own is kept with a first line that says which of its columns are these.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches

import orjson

from cryptolake.contracts.counting import counted
from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.prices import ADOPTED, ANY_CHAIN, PriceSource, Wanted
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Dataset, Row, Trip
from cryptolake.errors import Skip
from cryptolake.net.abi import checksum
from cryptolake.net.access import Access
from cryptolake.registry.chains import Chain
from cryptolake.registry.tabular import table_lines

PRICES = PriceSource("file", rung=40, max_age_s=86_400, asked="never")
DATASET = Dataset("imported_prices", feeds="quotes", doc="prices from the user's own file", reach="whole_history")
_NEEDED = ("date", "chain", "asset", "price")
COLUMNS = (*_NEEDED, "quote", "time")
_COLUMNS = f"{', '.join(_NEEDED)}[, quote, time]"
_SAID = b"# columns: "  # begins the line before a file whose columns have other names
_TAKEN_OVER = 1e-12
_TOLD = 20  # faults of a file that are listed one by one
_NAMED = ("eth", "btc")
_TODAY = timedelta(days=1)  # a day may be priced before it is over


class PriceFile:
    """Reads what `landed` made of a file. It is never asked: a file comes when the user brings it."""

    name = PRICES.name
    datasets: Sequence[Dataset] = (DATASET,)

    def __init__(self, chains: Collection[str]) -> None:
        self._chains = chains

    def keys(self, dataset: str) -> Sequence[str]:
        """None: files are not on any watch list."""
        del dataset
        return ()

    def trips(self, partitions: Iterable[Partition]) -> Iterator[Trip]:
        """None."""
        del partitions
        yield from ()

    def fetch(self, trip: Trip) -> Iterator[Raw | Miss]:
        """Nothing to ask."""
        del trip
        yield from ()

    def parse(self, raw: Raw) -> Sequence[Row]:
        """Rows of `quotes`. Raises Skip with every fault of the file, each with its line: nothing is guessed away."""
        name = raw.request.get("file", raw.partition.key)
        content, columns = raw.payload, {}
        if content.startswith(_SAID):
            said, _, content = content.removeprefix(_SAID).partition(b"\n")
            columns = orjson.loads(said)
        faults: list[str] = []
        lines = table_lines(name, content, _NEEDED, faults, columns=columns)
        if not lines and not faults:
            faults.append(f"{name}: no line with a price; a price file has {_COLUMNS}")
        found: dict[tuple[object, ...], tuple[Row, str]] = {}
        for line in lines:
            try:
                row = self._row(line.cells, name, raw.fetched_at)
            except ValueError as error:
                faults.append(f"{line.where}: {error}; correct that line")
                continue
            before, where = found.setdefault((row["date"], row["chain"], row["asset"]), (row, line.where))
            if before != row:
                faults.append(f"{line.where}: says otherwise than {where} of the same token and day; leave one")
        if faults:
            more = [f"and {len(faults) - _TOLD:,} more"] if len(faults) > _TOLD else []
            listed = "; ".join([*faults[:_TOLD], *more])
            raise Skip(f"price file, {counted(len(faults), 'fault')}: {listed}", reason="unreadable")
        return [row for row, _ in found.values()]

    def _row(self, cells: Mapping[str, str], name: str, brought: datetime) -> Row:
        """One line. Raises ValueError with what cannot be meant."""
        day, price, chain = date.fromisoformat(cells["date"]), float(cells["price"]), cells["chain"]
        if not math.isfinite(price) or price <= 0:
            raise ValueError(f"{cells['price']!r} is no price; leave the line out where there is none")
        if chain != ANY_CHAIN and chain not in self._chains:
            near = get_close_matches(chain, self._chains, n=3) or sorted(self._chains)
            raise ValueError(
                f"unknown chain {chain!r}; write {', '.join(near)}, or {ANY_CHAIN} for a token of every chain"
            )
        asset = _token(cells["asset"], chain, ())
        quote = _token(cells.get("quote") or "usd", chain, ("usd", *_NAMED))
        if asset == quote:
            raise ValueError(f"{asset} is priced in itself")
        closing = Period.of_day(day).end
        at = datetime.fromisoformat(cells["time"]) if cells.get("time") else closing
        if at.tzinfo is None:
            raise ValueError("the time has no zone; write 2024-12-31T23:59:00Z")
        if max(at, closing) > brought + _TODAY:
            raise ValueError("nobody knows a price of the future")
        return {
            "date": day,
            "chain": chain,
            "asset": asset,
            "source": PRICES.name,
            "quoted_by": name,
            "quote_price": price,
            "quote": quote,
            "observed_at": at.astimezone(UTC),
            "age_s": (closing - at).total_seconds(),
            # The file that was brought last goes first, one that was taken over after all others.
            "weight": brought.timestamp() * (_TAKEN_OVER if name.startswith(ADOPTED) else 1.0),
        }


def landed(name: str, content: bytes, key: str, now: datetime, columns: Mapping[str, str] | None = None) -> Raw:
    """The file as an answer for bronze; `key` names it, the period is the day it was brought.

    `columns` says how it calls ours; that is kept with it, for the same file read otherwise is another answer.
    """
    partition = Partition(DATASET.name, key, Period.of_day(now.date()))
    payload = b"".join([_SAID, orjson.dumps(dict(columns)), b"\n", content]) if columns else content
    return Raw(partition, PriceFile.name, now, now, payload, {"file": name}, {"endpoint": "user file"})


def open_prices(access: Access, chains: Mapping[str, Chain], wanted: Wanted) -> PriceFile:
    """The source as the app opens it."""
    del access, wanted
    return PriceFile(chains)


def _token(text: str, chain: str, named: Collection[str]) -> str:
    """An address, or one of the plain names: those of `any`, or of `named` for what a price is in. Raises ValueError."""
    if text.lower() in (named or (_NAMED if chain == ANY_CHAIN else ())):
        return text.lower()
    if chain != ANY_CHAIN and text.startswith("0x"):
        return checksum(text)
    names = ", ".join(named or _NAMED)
    right = names if chain == ANY_CHAIN else f"an address of {chain}" + (f", or {names}" if named else "")
    raise ValueError(f"{text!r} is none of these: {right}")
