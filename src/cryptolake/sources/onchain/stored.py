"""What stored answers of markets say: the family's program run over them again, as rows. Pure.

What does not belong here: asking (source), how far an answer is proven (grading), and which code reads it (reader).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Row
from cryptolake.errors import Skip
from cryptolake.net.logs import parse_logs
from cryptolake.net.multicall import replay, transcript_from_json
from cryptolake.registry.markets import Csu
from cryptolake.sources.onchain.adopted import adopted_rows, taken_over
from cryptolake.sources.onchain.events import settled_debts, to_settle
from cryptolake.sources.onchain.families import bad_debt_in, families, isolating, writing_off
from cryptolake.sources.onchain.isolated import isolated_row
from cryptolake.sources.onchain.rows import ReadBlock, bad_debt_row, liquidation_row, not_asked_row, tvl_row

_SNAPSHOTS = "tvl"


def stored_rows(csu: Csu, raw: Raw) -> Sequence[Row]:
    """Rows of `tvl` or `liquidations`, as the answer's dataset is. Raises Skip when it does not fit the family's layout."""
    document = orjson.loads(raw.payload)
    if taken_over(document) is not None:
        return adopted_rows(csu, raw, document)
    if raw.partition.dataset == _SNAPSHOTS:
        csu = replace(csu, found=tuple(document.get("found", ())))
        reserves = replay(families()[csu.family].snapshot(csu), transcript_from_json(document["rounds"]))
        day, block = raw.partition.period.day, ReadBlock.of(document)
        return [tvl_row(csu, day, block, reserve) for reserve in reserves]
    logs = parse_logs(orjson.dumps(document["logs"]))
    events = families()[csu.family].liquidations(csu, logs)
    if not events:
        return []
    wanted = to_settle(events, bad_debt_in(csu, logs))
    settled = replay(families()[csu.family].settle(csu, wanted), transcript_from_json(document["context"]))
    stamps = document["timestamps"]
    found = settled.events[: len(events)]
    return [liquidation_row(csu, raw, stamps[str(one.block)], one, settled.facts) for one in found]


def stored_bad_debt(csu: Csu, raw: Raw) -> Sequence[Row]:
    """Rows of `bad_debt` in an answer of liquidations, or one that says that nobody asked. Raises Skip as `stored_rows`.

    Whether it was asked for stands in the answer: its filters name the events of bad debt, or there was nobody to emit any.
    """
    document = orjson.loads(raw.payload)
    family, filters = writing_off(csu.family), document.get("filters")
    if (
        family is None
        or filters is None
        or (filters and not any({*topics} >= family.BAD_DEBT for topics in filters.values()))
    ):
        return [not_asked_row(csu, raw)]
    logs = parse_logs(orjson.dumps(document["logs"]))
    debts = family.bad_debt(csu, logs)
    if not debts:
        return []
    events = family.liquidations(csu, logs)
    settled = replay(family.settle(csu, to_settle(events, debts)), transcript_from_json(document["context"]))
    stamps = document["timestamps"]
    return [
        bad_debt_row(
            csu, raw, stamps[str(one.block)], replace(one, asset=asset, amount_raw=amount), settled.facts[asset]
        )
        for one, asset, amount in settled_debts(debts, len(events), settled.events)
    ]


def stored_isolated(csu: Csu, raw: Raw) -> Sequence[Row]:
    """Rows of `isolated_markets` in a snapshot, none where the family has no such thing. Raises Skip as `stored_rows`."""
    family = isolating(csu.family)
    if family is None:
        return []
    document = orjson.loads(raw.payload)
    if (told := taken_over(document)) is not None:
        raise Skip(f"{raw.partition}: {told}, and it says nothing of isolated markets", reason="unproven")
    csu = replace(csu, found=tuple(document.get("found", ())))
    found = replay(family.isolated(csu), transcript_from_json(document["rounds"]))
    return [isolated_row(csu, raw.partition.period.day, ReadBlock.of(document), one) for one in found]
