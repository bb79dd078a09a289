"""Bronze to silver: read answers, price whole days, put the prices to the amounts. Reads no network.

Prices are shared by all markets of a day, so the unit of pricing is the day: refining one market's day prices every
market's rows of that day again, by what was said since. That is why day by day and all at once give the same tables. What
silver was made of is written last (`silver.refined`), so that a step that was cut short is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import attrgetter

import polars as pl
import structlog

from cryptolake.contracts.counting import counted
from cryptolake.contracts.entry import Entry
from cryptolake.contracts.partition import Partition
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Row
from cryptolake.contracts.table import Table
from cryptolake.errors import Skip, Stop
from cryptolake.flow.outputs import Output
from cryptolake.lake.bronze import Bronze
from cryptolake.lake.tables import Tables
from cryptolake.silver import bad_debt, isolated_markets, liquidations, prices, refined, tvl
from cryptolake.silver.quotes import ORACLE
from cryptolake.silver.quotes import TABLE as QUOTES
from cryptolake.silver.refined import TABLE as REFINED
from cryptolake.sources.onchain.source import OnchainSource
from cryptolake.work.standing import MarketDay, Standing, answers_of, market_day, standing

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Read:
    """A table that is read from answers: of which dataset they are, the rows they give, and how those become the table's.

    `apart` says that it is a second reading of the dataset, which the source has for some markets only: the ledger does not
    count its rows, and none were kept when the answer landed.
    """

    table: Table
    dataset: str
    schema: pl.Schema
    conform: Callable[[pl.DataFrame], pl.DataFrame]
    apart: bool = False

    def reader(self, source: OnchainSource, key: str) -> str | None:
        """Digest of the code that reads a market's answers so; None where they are not read so."""
        if self.table is bad_debt.TABLE:
            return source.bad_debt_reader(key)
        return source.isolated_reader(key) if self.apart else source.reader(key)

    def rows(self, source: OnchainSource, raw: Raw) -> Sequence[Row]:
        """What the answer says. Raises Skip when it does not fit."""
        if self.table is bad_debt.TABLE:
            return source.bad_debt(raw)
        return source.isolated(raw) if self.apart else source.parse(raw)


_READ = (
    _Read(tvl.TABLE, "tvl", tvl.ANSWER, tvl.conform),
    _Read(isolated_markets.TABLE, "tvl", isolated_markets.ANSWER, isolated_markets.conform, apart=True),
    _Read(liquidations.TABLE, "liquidations", liquidations.ANSWER, liquidations.conform),
    _Read(bad_debt.TABLE, "liquidations", bad_debt.ANSWER, bad_debt.conform, apart=True),
)
_BY_NAME = {one.table.name: one for one in _READ}
# As partitions compare; comparing each with each instead takes ten times as long.
_ORDER = attrgetter("dataset", "key", "period.start", "period.end", "period.boundary")
SILVER: tuple[Table, ...] = (
    tvl.TABLE,
    isolated_markets.TABLE,
    liquidations.TABLE,
    bad_debt.TABLE,
    QUOTES,
    prices.TABLE,
)


def refine(
    source: OnchainSource,
    partitions: Iterable[Partition],
    *,
    bronze: Bronze,
    tables: Tables,
    states: Mapping[Partition, Entry] | None = None,
    known: Mapping[MarketDay, Standing] | None = None,
    quotes: pl.DataFrame | None = None,
    pricing: prices.Pricing | None = None,
    told_by: refined.PriceAnswers | None = None,
    fresh: bool = False,
    reparse: bool = False,
) -> list[Output]:
    """Conform every answered partition and replace exactly those days of those markets; price those days anew.

    `states` (the ledger) says which answers stand for each of the days asked (`work.standing`), and lets them be taken
    from the monthly twins instead of being read one by one; without it the partitions themselves are taken. `known` is
    `standing(states)`, for a caller that has it already. `quotes` are what vendors, feeds and files say of the days
    touched, as bronze has it (None: nothing), `told_by` the answers that they are from; the stored ones are never taken for
    it. `fresh` starts the tables over,
    `reparse` reads every answer and no twin. The same bronze always gives the same silver, whether refined day by day or
    all at once. A day whose answers bronze has no more keeps the rows that were made of those very answers; starting over
    raises Stop before anything is written.
    """
    asked = set(partitions)
    if not asked:
        return []
    days = {market_day(partition) for partition in asked}
    if states is not None:
        stands = standing(states, days) if known is None else {day: known[day] for day in days if day in known}
        asked = {entry.partition for one in stands.values() for entry in one.entries}
    touched = sorted({day for _, _, day in days})
    frames: dict[str, pl.DataFrame] = {}
    before = REFINED.empty() if fresh else tables.read(REFINED, among={"date": touched})
    records, lost = [], list[Partition]()
    hurt = (
        set() if states is None or reparse else bronze.lost(answers_of(states[one] for one in asked if one in states))
    )
    kept_days: set[MarketDay] = set()
    for one in _READ:
        name, dataset = one.table.name, one.dataset
        chosen = sorted((partition for partition in asked if partition.dataset == dataset), key=_ORDER)
        found, readings = answers(source, name, chosen, bronze=bronze, states=states, hurt=hurt, reparse=reparse)
        lost += [reading.partition for reading in readings if reading.reason is not None]
        unread = {market_day(reading.partition) for reading in readings if reading.reason is not None}
        new = one.conform(_others(found, unread))  # what a day's other answers say would pass for all of it
        silent = bad_debt.not_asked(found) if one.table is bad_debt.TABLE else set()
        del found
        if not fresh:
            stored = tables.read(one.table, among={"date": touched})
            made_of_them = _vouched(name, readings, before, stored) & unread
            kept_days |= {(name, csu, day) for _, csu, day in made_of_them}
            readings = [reading for reading in readings if market_day(reading.partition) not in made_of_them]
            kept = _others(stored, [day for day in days if day[0] == dataset and day not in made_of_them])
            if kept.height:
                # By market, so that an event two markets claim is given to the same one in whatever order they come.
                both = pl.concat([kept, new]).sort("csu", maintain_order=True)
                new = both.unique(subset=one.table.key, keep="last", maintain_order=True)
        records.append(_records(name, readings, new, silent))
        frames[name] = new
        del new
    if lost and fresh:
        raise Stop(
            f"{counted(len(set(lost)), 'answer')} that the ledger knows cannot be read any more ({min(lost)}); nothing was "
            "written. Run `cryptolake ledger repair`, then `cryptolake collect`"
        )
    made = {(one.table.name, csu, day) for one in _READ for dataset, csu, day in days if dataset == one.dataset}
    records.append(_others(before, made - kept_days))
    told = QUOTES.empty() if quotes is None else quotes
    if not fresh:
        told = told.filter(pl.col("date").is_in(touched))
    return _store(
        frames, told, tables, None if fresh else touched, pricing, pl.concat(records), told_by or refined.PriceAnswers()
    )


def reprice(
    *,
    tables: Tables,
    quotes: pl.DataFrame | None = None,
    pricing: prices.Pricing | None = None,
    told_by: refined.PriceAnswers | None = None,
) -> list[Output]:
    """Value all of silver again, with other quotes (as bronze has them) or another ladder, without the network.

    What the rows hold of the markets' own oracles is taken as it is, so whoever calls this has silver made good first. The
    versions before stay readable (`Tables.read(version=...)`).
    """
    frames = {one.name: tables.read(one) for one in (tvl.TABLE, liquidations.TABLE, bad_debt.TABLE)}
    # What silver was made of stays as it was written: rows that went missing since do not pass for whole by being valued.
    told = QUOTES.empty() if quotes is None else quotes
    return _store(frames, told, tables, None, pricing, tables.read(REFINED), told_by or refined.PriceAnswers())


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading one partition's answer gave: the answer's digest and its rows, or the reason why there are none."""

    partition: Partition
    digest: str | None
    rows: int = 0
    reason: str | None = None


def answers(
    source: OnchainSource,
    name: str,
    chosen: Sequence[Partition],
    *,
    bronze: Bronze,
    states: Mapping[Partition, Entry] | None = None,
    hurt: Collection[Partition] = frozenset(),
    reparse: bool = False,
) -> tuple[pl.DataFrame, list[Reading]]:
    """The rows that table `name` is made of from the answers of `chosen`, and how reading each went.

    Brings the monthly twins up to date on the way. Markets whose answers are not read so are passed over.

    An answer is read once, when it lands: a twin's rows, and what was kept of that reading, are used where the code that
    reads answers now made them and the digests say that they stand for the answer that is kept. Else the answer is read
    again; one that is missing, not the recorded one or unreadable is said to be so in its reading. `hurt` are those that no
    twin stands for, because the answer itself is not there any more.
    """
    read_as = _BY_NAME[name]
    dataset, schema = read_as.dataset, read_as.schema
    months: dict[tuple[str, str], list[Partition]] = {}
    for partition in chosen:
        months.setdefault((partition.key, str(partition.period.day)[:7]), []).append(partition)
    found = []
    readings: list[Reading] = []
    for (key, month), members in sorted(months.items()):
        if (reader := read_as.reader(source, key)) is None:
            continue
        twin = None if reparse else bronze.compacted(name, key, month, reader=reader)
        rows, digests = twin if twin is not None else (pl.DataFrame(schema={"period": pl.String(), **schema}), {})
        before = dict(digests) if twin is not None else None
        wanted = {str(member.period): member for member in members}
        new: list[Row] = []
        stale: set[str] = set()  # periods whose rows in the twin no longer count
        wrong: dict[str, str] = {}
        counts = _counted(rows)
        # Without a twin the whole month is read, so that the twin always holds all of the month.
        read = wanted
        if twin is None:
            all_of_it = sorted({*members, *bronze.partitions(dataset, key, month)}, key=_ORDER)
            read = {str(one.period): one for one in all_of_it}
        for period, member in read.items():
            entry = states.get(member) if states is not None else None
            # Else the twin lost rows, or was read otherwise; the ledger counts the rows of the dataset's own reading only.
            sound = read_as.apart or entry is None or counts.get(period, 0) == entry.rows
            kept = entry.digest if entry is not None and member not in hurt else None
            if sound and kept is not None and digests.get(period) == kept:
                continue
            if entry is not None and kept is not None and period not in digests and not reparse and not read_as.apart:
                typed = bronze.kept_rows(member, kept, reader=reader)
                if typed is not None and len(typed) == entry.rows:
                    new += ({"period": period, **row} for row in typed)
                    digests[period] = kept
                    continue
            raw = bronze.read(member, source.name)
            if raw is None or (entry is not None and raw.digest != entry.digest):
                wrong[period] = refined.DAMAGED
            if sound and raw is not None and digests.get(period) == raw.digest:
                continue
            if period in digests:
                stale.add(period)
                del digests[period]
            if raw is None:
                continue
            try:
                new += ({"period": period, **row} for row in read_as.rows(source, raw))
            except Skip as error:
                log.warning("answer left out", partition=str(member), reason=error.reason, error=str(error))
                wrong.setdefault(period, refined.UNREADABLE)
                continue
            digests[period] = raw.digest
        if stale or digests != before:
            # One frame from all rows: thousands of one-day frames would keep their buffers alive (measured: + 1 GB a year).
            again = pl.DataFrame(new, schema=rows.schema, strict=False)
            rows = pl.concat([rows.filter(~pl.col("period").is_in(stale)), again]).sort("period", maintain_order=True)
            if not wrong:  # else the twin may be the last that knows what an answer said
                bronze.compact(name, key, month, rows, answers=digests, reader=reader)
            counts = _counted(rows)
        for period, member in wanted.items():
            entry = states.get(member) if states is not None else None
            digest = entry.digest if entry is not None else digests.get(period)
            readings.append(Reading(member, digest, counts.get(period, 0), wrong.get(period)))
        if not counts.keys() <= wanted.keys():
            rows = rows.filter(pl.col("period").is_in(list(wanted)))
        found.append(rows[schema.names()])
    return (pl.concat(found, rechunk=False) if found else pl.DataFrame(schema=schema)), readings


def _counted(rows: pl.DataFrame) -> dict[str, int]:
    """How many rows there are of each period; asked of every month of every market, so without a query."""
    return dict(rows["period"].value_counts().iter_rows())


def _vouched(name: str, readings: Sequence[Reading], before: pl.DataFrame, stored: pl.DataFrame) -> set[MarketDay]:
    """The days that silver was made of these very answers already, when they could still be read, and still holds."""
    by_day: dict[MarketDay, list[tuple[str, str | None]]] = {}
    for one in readings:
        by_day.setdefault(market_day(one.partition), []).append((str(one.partition.period), one.digest))
    now = refined.contents(name, stored).rename({"rows": "held", "content": "holds"})
    sound = (
        before.filter(
            (pl.col("dataset") == name) & (pl.col("reason").is_null() | (pl.col("reason") == refined.NOT_ASKED))
        )
        .join(now, on=["csu", "date"], how="left")
        .filter(pl.col("content") == pl.col("holds").fill_null(refined.NOTHING))
    )
    dataset = _BY_NAME[name].dataset
    made_of = {(dataset, csu, day): answers for csu, day, answers in sound.select("csu", "date", "answers").iter_rows()}
    return {day for day, parts in by_day.items() if made_of.get(day) == refined.digest_of(parts)}


def _others(frame: pl.DataFrame, days: Collection[MarketDay]) -> pl.DataFrame:
    """The rows of other market-days than these; by dataset too where the frame has one."""
    if not days:
        return frame
    schema = {"dataset": pl.String, "csu": pl.String, "date": pl.Date}
    named = pl.DataFrame(list(days), schema=schema, orient="row")
    on = [name for name in schema if name in frame.columns]
    return frame.join(named.select(on).unique(), on=on, how="anti", maintain_order="left")


def _records(
    dataset: str, readings: Sequence[Reading], frame: pl.DataFrame, silent: Collection[tuple[str, date]] = ()
) -> pl.DataFrame:
    """What each market's day that was read was made of, as rows of `refined`; `frame` holds the rows as they are stored.

    `silent` are the days whose answers did not ask for such rows.
    """
    by_day: dict[MarketDay, list[Reading]] = {}
    for one in readings:
        by_day.setdefault(market_day(one.partition), []).append(one)
    rows = [
        (
            day,
            dataset,
            csu,
            refined.digest_of((str(one.partition.period), one.digest) for one in parts),
            sum(one.rows for one in parts),
            next(
                (one.reason for one in parts if one.reason is not None),
                refined.NOT_ASKED if (csu, day) in silent else None,
            ),
        )
        for (_, csu, day), parts in by_day.items()
    ]
    types = REFINED.polars_schema()
    names = ("date", "dataset", "csu", "answers", "answer_rows", "reason")
    made = pl.DataFrame(rows, schema={name: types[name] for name in names}, orient="row")
    mine = frame.join(made.select("csu", "date"), on=["csu", "date"], how="semi")
    return (
        made.join(refined.contents(dataset, mine), on=["csu", "date"], how="left")
        .with_columns(pl.col("rows").fill_null(0), pl.col("content").fill_null(refined.NOTHING))
        .select(REFINED.columns)
    )


def _wanted(held: pl.DataFrame, events: pl.DataFrame, lost: pl.DataFrame) -> pl.DataFrame:
    """The tokens and days to price: what markets hold, liquidate and lose, and what their oracles quote in."""
    sides = ("collateral", "debt")
    of_frames = [(held, "asset"), (held, "oracle_quote"), (lost, "asset")]
    of_frames += [(events, f"{side}_{name}") for side in sides for name in ("asset", "oracle_quote")]
    pieces = [frame.select("date", "chain", pl.col(name).alias("asset")).unique() for frame, name in of_frames]
    return pl.concat(pieces).unique().filter(pl.col("asset") != "usd")


def _store(
    unvalued: dict[str, pl.DataFrame],
    told: pl.DataFrame,
    tables: Tables,
    touched: Sequence[date] | None,
    pricing: prices.Pricing | None,
    records: pl.DataFrame,
    told_by: refined.PriceAnswers,
) -> list[Output]:
    """Price the days, value the rows, check the contracts, write the tables (all of them, or the days touched).

    `records` say what the markets' rows were made of; with what is noted of the prices, `told_by` which answers among it,
    they are written after all rows.
    Takes the frames out of `unvalued` and lets go of each as soon as it is written: a year's are a gigabyte together.
    """
    held, events = unvalued.pop("tvl"), unvalued.pop("liquidations")
    isolated = unvalued.pop("isolated_markets", None)  # carries no value: valuing anew leaves it as it is
    lost = unvalued.pop("bad_debt")
    quotes = prices.tidy(told.filter(pl.col("source") != ORACLE))
    how = pricing or prices.Pricing()
    chosen = prices.choose(quotes, _wanted(held, events, lost), how)
    amounts = tvl.value(held, chosen, how)
    frames = {
        tvl.TABLE: amounts,
        liquidations.TABLE: liquidations.value(events, chosen, held, how),
        bad_debt.TABLE: bad_debt.value(lost, chosen, amounts),
        QUOTES: quotes,
        prices.TABLE: chosen,
    }
    if isolated is not None:
        frames[isolated_markets.TABLE] = isolated
    unpriced = frames[tvl.TABLE].filter(pl.col("price").is_null()).group_by("chain", "asset", "price_flag")
    for chain, asset, reason, days in unpriced.agg(pl.col("date").n_unique()).sort("chain", "asset").iter_rows():
        log.info("no price", chain=chain, asset=asset, reason=reason, days=days)
    own = records.filter(pl.col("dataset").is_in(list(_BY_NAME)))
    days = {*chosen["date"].unique(), *quotes["date"].unique()}
    of_all = [refined.quoted(quotes, days, told_by), refined.shared(prices.TABLE.name, chosen, how.text())]
    frames[REFINED] = pl.concat([own, *of_all]).sort(REFINED.key)
    del held, events, isolated, lost, amounts, quotes, chosen, told
    for table, frame in frames.items():
        table.require(frame)
    made = []
    for table in list(frames):
        frame = frames.pop(table)
        tables.write(table, frame, replace_where={"date": list(touched)} if touched else None)
        if table is not REFINED:
            made.append(Output(f"silver {table.name}", frame.height, str(tables.path(table))))
    return made
