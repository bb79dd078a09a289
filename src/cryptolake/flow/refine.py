"""Bronze to silver: read answers, price whole days, put the prices to the amounts. Reads no network.

Prices are shared by all markets of a day, so the unit of pricing is the day: refining one market's day prices every
market's rows of that day again. That is why day by day and all at once give the same tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import polars as pl
import structlog

from cryptolake import __version__
from cryptolake.contracts.entry import SETTLED, Entry
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.source import Row, Source
from cryptolake.contracts.table import Table
from cryptolake.errors import Skip, Stop
from cryptolake.flow.made import Made
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.registry.chainlink import named_tokens
from cryptolake.silver import liquidations, prices, tvl

log = structlog.get_logger(__name__)

_ANSWERS: dict[str, pl.Schema] = {"tvl": tvl.ANSWER, "liquidations": liquidations.ANSWER}
SILVER: tuple[Table, ...] = (tvl.TVL, liquidations.LIQUIDATIONS, prices.QUOTES, prices.PRICES)


def refine(
    source: Source,
    partitions: Iterable[Partition],
    *,
    bronze: Bronze,
    tables: Tables,
    states: Mapping[Partition, Entry] | None = None,
    quotes: pl.DataFrame | None = None,
    pricing: prices.Pricing | None = None,
    fresh: bool = False,
    reparse: bool = False,
) -> list[Made]:
    """Conform every answered partition and replace exactly those days of those markets; price those days anew.

    `states` (the ledger) lets answers be taken from the monthly twins instead of being read one by one. `quotes` are
    vendors' and feeds' quotes, replacing the stored ones of the days touched (None: keep them). `fresh` starts the
    tables over, `reparse` reads every answer and no twin. The same bronze always gives the same silver, whether refined day
    by day or all at once. Days whose answer the ledger knows and bronze has no more keep their rows; starting over raises
    Stop before anything is written.
    """
    asked = sorted(set(partitions))
    if not asked:
        return []
    touched = sorted({partition.period.day for partition in asked})
    frames: dict[str, pl.DataFrame] = {}
    lost: list[Partition] = []
    for dataset, table, conform in (
        ("tvl", tvl.TVL, tvl.conform),
        ("liquidations", liquidations.LIQUIDATIONS, liquidations.conform),
    ):
        chosen = [partition for partition in asked if partition.dataset == dataset]
        new = conform(answers(source, dataset, chosen, bronze=bronze, states=states, lost=lost, reparse=reparse))
        if not fresh:
            stored = tables.read(table, among={"date": touched})
            found = sorted({*chosen} - {*lost})
            replaced = pl.DataFrame(
                {"csu": [p.key for p in found], "date": [p.period.day for p in found]},
                schema={"csu": pl.String, "date": pl.Date},
            ).unique()
            kept = stored.join(replaced, on=["csu", "date"], how="anti")
            new = (
                pl.concat([kept, new]).unique(subset=table.key, keep="last", maintain_order=True)
                if kept.height
                else new
            )
        frames[dataset] = new
        del new
    if lost and fresh:
        raise Stop(
            f"{len(lost):,} answers that the ledger knows are missing or cannot be read any more ({min(lost)}); nothing was "
            "written. Run `cryptolake ledger repair`, then `cryptolake collect`"
        )
    told = external(tables, touched) if quotes is None and not fresh else quotes
    return _store(frames, told, tables, None if fresh else touched, pricing)


def reprice(*, tables: Tables, quotes: pl.DataFrame | None = None, pricing: prices.Pricing | None = None) -> list[Made]:
    """Value all of silver again, with other quotes or another ladder, without reading bronze or the network.

    The versions before stay readable (`Tables.read(version=...)`).
    """
    held, events = tables.read(tvl.TVL), tables.read(liquidations.LIQUIDATIONS)
    days = sorted({*held["date"].unique(), *events["date"].unique()})
    told = external(tables, days) if quotes is None else quotes
    frames = {"tvl": held, "liquidations": events}
    del held, events
    return _store(frames, told, tables, None, pricing)


def external(tables: Tables, days: Sequence[date]) -> pl.DataFrame:
    """The stored quotes of feeds, vendors and files on these days: everything that the markets' own oracles do not say."""
    stored = tables.read(prices.QUOTES, among={"date": list(days)} if days else None)
    return stored.filter(pl.col("source") != "protocol_oracle")


def answers(
    source: Source,
    dataset: str,
    chosen: Sequence[Partition],
    *,
    bronze: Bronze,
    states: Mapping[Partition, Entry] | None = None,
    lost: list[Partition] | None = None,
    reparse: bool = False,
) -> pl.DataFrame:
    """The typed rows of every kept answer among `chosen`, and the monthly twins brought up to date on the way.

    A twin's rows are used where the ledger's digest says that they stand for the answer that is kept; else the answer is
    read again, as all are with `reparse`. One that cannot be read is left out: it stands as failed in the ledger since it
    landed. Those that were settled and are gone or unreadable now are added to `lost`; the twin of their month is left alone.
    """
    schema = _ANSWERS[dataset]
    months: dict[tuple[str, str], list[Partition]] = {}
    for partition in chosen:
        months.setdefault((partition.key, partition.period.day.strftime("%Y-%m")), []).append(partition)
    found = []
    for (key, month), members in sorted(months.items()):
        twin = None if reparse else bronze.compacted(dataset, key, month, reader=__version__)
        rows, digests = twin if twin is not None else (pl.DataFrame(schema={"period": pl.String(), **schema}), {})
        before = dict(digests) if twin is not None else None
        wanted = {str(member.period) for member in members}
        new: list[Row] = []
        stale: set[str] = set()  # periods whose rows in the twin no longer count
        gone: list[Partition] = []
        # Without a twin the whole month is read, so that the twin always holds all of the month.
        for member in members if twin is not None else sorted({*members, *bronze.partitions(dataset, key, month)}):
            period = str(member.period)
            entry = states.get(member) if states is not None else None
            if entry is not None and entry.digest is not None and digests.get(period) == entry.digest:
                continue
            raw = bronze.read(member, source.name)
            if raw is not None and digests.get(period) == raw.digest:
                continue
            if period in digests:
                stale.add(period)
                del digests[period]
            settled = entry is not None and entry.state in SETTLED and entry.digest is not None
            if raw is None:
                gone += [member] * settled
                continue
            try:
                new += ({"period": period, **row} for row in source.parse(raw))
            except Skip as error:
                log.warning("answer left out", partition=str(member), reason=error.reason, error=str(error))
                gone += [member] * settled
                continue
            digests[period] = raw.digest
        if digests != before:
            # One frame from all rows: thousands of one-day frames would keep their buffers alive (measured: + 1 GB a year).
            read = pl.DataFrame(new, schema=rows.schema, strict=False)
            rows = pl.concat([rows.filter(~pl.col("period").is_in(stale)), read]).sort("period", maintain_order=True)
        if digests != before and not gone:
            bronze.compact(dataset, key, month, rows, answers=digests, reader=__version__)
        if lost is not None:
            lost += [one for one in gone if str(one.period) in wanted]
        found.append(rows.filter(pl.col("period").is_in(list(wanted))).select(schema.names()))
    return pl.concat(found, rechunk=False) if found else pl.DataFrame(schema=schema)


def _store(
    unvalued: dict[str, pl.DataFrame],
    told: pl.DataFrame | None,
    tables: Tables,
    touched: Sequence[date] | None,
    pricing: prices.Pricing | None,
) -> list[Made]:
    """Price the days, value the rows, check the contracts, write the four tables (all of them, or the days touched).

    Takes the frames out of `unvalued` and lets go of each as soon as it is written: a year's are a gigabyte together.
    """
    held, events = unvalued.pop("tvl"), unvalued.pop("liquidations")
    said = prices.oracle_quotes(held, events, named_tokens())
    quotes = prices.tidy(pl.concat([said, told])) if told is not None and told.height else prices.tidy(said)
    wanted = pl.concat(
        [
            held.select("date", "chain", "asset"),
            *(
                events.select("date", "chain", pl.col(f"{side}_asset").alias("asset"))
                for side in ("collateral", "debt")
            ),
        ]
    ).unique()
    chosen = prices.choose(quotes, wanted, pricing)
    unpriced = chosen.filter(pl.col("price").is_null()).group_by("chain", "asset", "flag").len().sort("chain", "asset")
    for chain, asset, reason, days in unpriced.iter_rows():
        log.info("no price", chain=chain, asset=asset, reason=reason, days=days)
    frames = {
        tvl.TVL: tvl.value(held, chosen),
        liquidations.LIQUIDATIONS: liquidations.value(events, chosen),
        prices.QUOTES: quotes,
        prices.PRICES: chosen,
    }
    del held, events, said, quotes, chosen, told
    for table, frame in frames.items():
        hold(table, frame)
    made = []
    for table in list(frames):
        frame = frames.pop(table)
        tables.write(table, frame, replace_where={"date": list(touched)} if touched else None)
        made.append(Made(f"silver {table.name}", frame.height, str(tables.path(table))))
    return made


def hold(table: Table, frame: pl.DataFrame) -> None:
    """Refuse to store a frame that breaks its contract; raises Stop naming the first broken check."""
    if broken := table.violations(frame):
        first = broken[0]
        raise Stop(f"{table.name}: {first.rows} rows break {first.check} ({first.example}); nothing was written")
