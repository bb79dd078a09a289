"""A user's own price file as a source of quotes: CSV with a header, kept in bronze like any other answer.

Columns: date (2024-12-31), chain, asset (address, or eth / btc with chain `any`), price; optional quote (usd unless said
otherwise) and time (ISO 8601 with zone; without it the price counts as said for the snapshot itself).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.prices import PriceSource, Wanted
from cryptolake.contracts.raw import Miss, Raw
from cryptolake.contracts.source import Dataset, Row, Trip
from cryptolake.errors import BadInput
from cryptolake.net.abi import checksum
from cryptolake.net.access import Access
from cryptolake.registry.chains import Chain

PRICES = PriceSource("file", rung=40, max_age_s=86_400, asked="never")
DATASET = Dataset("imported_prices", feeds="quotes", doc="prices from the user's own file", reach="whole_history")
_NEEDED = {"date", "chain", "asset", "price"}


class PriceFile:
    """Reads what `landed` made of a file. It is never asked: a file comes when the user brings it."""

    name = PRICES.name
    datasets: Sequence[Dataset] = (DATASET,)

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
        """Rows of `quotes`. Raises BadInput with file and line for anything that cannot be meant."""
        name = raw.request.get("file", raw.partition.key)
        try:
            text = raw.payload.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise BadInput(f"{name} is not UTF-8 text; save it as CSV in UTF-8") from None
        reader = csv.DictReader(text.splitlines())
        if missing := sorted(_NEEDED - set(reader.fieldnames or ())):
            raise BadInput(
                f"{name}: no column {missing[0]!r}; a price file has date, chain, asset, price[, quote, time]"
            )
        brought = raw.fetched_at.timestamp()
        return [_row(row, f"{name}:{number}", name, brought) for number, row in enumerate(reader, start=2)]


def landed(name: str, content: bytes, key: str, now: datetime) -> Raw:
    """The file as an answer for bronze; `key` names it, the period is the day it was brought."""
    partition = Partition(DATASET.name, key, Period.of_day(now.date()))
    return Raw(partition, PriceFile.name, now, now, content, {"file": name}, {"endpoint": "user file"})


def open_prices(access: Access, chains: Mapping[str, Chain], wanted: Wanted) -> PriceFile:
    """The source as the app opens it."""
    del access, chains, wanted
    return PriceFile()


def _row(row: dict[str, str], where: str, name: str, brought: float) -> Row:
    try:
        day = date.fromisoformat(row["date"].strip())
        price = float(row["price"])
        asset = row["asset"].strip()
        quote = (row.get("quote") or "usd").strip()
        asset, quote = (checksum(one) if one.startswith("0x") else one.lower() for one in (asset, quote))
        closing = Period.of_day(day).end
        at = datetime.fromisoformat(row["time"].strip()) if row.get("time") else closing
    except (ValueError, KeyError, AttributeError) as error:
        raise BadInput(f"{where}: {error}; correct that line") from None
    if not math.isfinite(price) or price <= 0:
        raise BadInput(f"{where}: {row['price']!r} is no price; leave the line out where there is none")
    if at.tzinfo is None:
        raise BadInput(f"{where}: the time has no zone; write 2024-12-31T23:59:00Z")
    return {
        "date": day,
        "chain": row["chain"].strip(),
        "asset": asset,
        "source": PRICES.name,
        "quoted_by": name,
        "quote_price": price,
        "quote": quote,
        "observed_at": at.astimezone(UTC),
        "age_s": (closing - at).total_seconds(),
        "weight": brought,  # the file that was brought last goes first
    }
