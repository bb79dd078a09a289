"""What the ledger says about progress, per market and day, as lines for people and a document for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cryptolake.contracts.entry import CONTRADICTED, NOT_YET, SUSPECT, Entry, State, said, said_counts
from cryptolake.contracts.partition import Partition, Period

_TICK: dict[State, str] = {"done": "✅", "empty": "✅", "gone": "➖", "failed": "❌", "claimed": "⏳", "landed": "⏳"}
_SUSPECT = "❗"
LEGEND = "✅ answered  ❗ suspect, asked again  ➖ unanswerable, e.g. not deployed yet  ❌ failed  ⏳ not finished"
_LABEL = {"tvl": "TVL", "liquidations": "Liquidations"}

# What to do about each reason a partition failed for; shown next to the count.
REMEDIES = {
    "unreachable": "the endpoint did not answer; run the same command again or set another endpoint",
    "rpc": "the endpoint answered with an error; run again or set another endpoint",
    "unanswered": "the source left it out; run the same command again",
    "no_archive": "the endpoint keeps no state that old; set an archive endpoint (CRYPTOLAKE_RPC_<CHAIN> or ALCHEMY_KEY_1)",
    "log_history": "the endpoint keeps no logs that old; set an archive endpoint",
    "not_yet": "the day is not final on the chain yet; run again later",
    "reorganised": "the chain changed while it was read; run again",
    "damaged": "its answer was lost or damaged on disk; run `cryptolake collect --retry-failed`",
    "imported": "a checkpoint says it failed; run `cryptolake collect --retry-failed`",
    "stopped": "read the message, correct it, run again",
    "too_big": "the endpoint refuses this range; set another endpoint",
    "revert": "the contract refused the call; see `cryptolake markets check`",
    "layout": "the contract answers in an unknown layout; see `cryptolake markets check`, update cryptolake",
    "silence": "events are missing that must be there; set another endpoint and run again",
    "entitlement": "this endpoint of the vendor needs a paid key",
    "contradicts_itself": "the answer gives several values for each of its instants; it is kept, run again later",
    "impossible_time": "the answer tells of a time that cannot be; it is kept, run again later",
    "schema_drift": "the vendor changed its answer; the raw answer is kept, update cryptolake and run again",
}


def remedy(reason: str, example: Entry) -> str:
    """What to do about a reason; the failure's own message where no general advice is known."""
    return REMEDIES.get(reason) or example.error or "look at it with `cryptolake ledger inspect`"


def ticks(found: Mapping[str, Entry]) -> str:
    """The datasets of a market and period as documented: `✅ TVL + Liquidations`, one tick for those of one state."""
    by_tick: dict[str, list[str]] = {}
    for name in sorted(found, key=lambda one: (one != "tvl", one)):
        tick = _SUSPECT if found[name].reason == SUSPECT else _TICK[found[name].state]
        by_tick.setdefault(tick, []).append(_LABEL.get(name, name))
    return "  ".join(f"{tick} {' + '.join(names)}" for tick, names in by_tick.items())


@dataclass(frozen=True, slots=True)
class Report:
    """The latest entry per (market, period, dataset), and of each vendor dataset the entries of its newest period."""

    entries: Mapping[tuple[str, Period], Mapping[str, Entry]]
    vendors: Mapping[str, Sequence[Entry]] = field(default_factory=dict)

    def _all(self) -> Iterator[Entry]:
        for found in self.entries.values():
            yield from found.values()
        for asked in self.vendors.values():
            yield from asked

    def counts(self) -> dict[str, int]:
        """Partitions by state, as it is shown."""
        return said_counts(Counter(entry.state for entry in self._all()))

    def failures(self) -> dict[str, list[Entry]]:
        """Failed entries by reason, without those that are only not there yet."""
        grouped: dict[str, list[Entry]] = {}
        for entry in self._all():
            if entry.state == "failed" and entry.reason != NOT_YET:
                grouped.setdefault(entry.reason or "unknown", []).append(entry)
        return grouped

    def suspects(self) -> dict[str, list[Entry]]:
        """Answers that somebody contradicts, by why that is so."""
        grouped: dict[str, list[Entry]] = {}
        for entry in self._all():
            if entry.reason == SUSPECT and entry.state != "failed":
                grouped.setdefault(entry.error or CONTRADICTED, []).append(entry)
        return grouped

    def lines(self) -> list[str]:
        """One line per market and period, then the failures grouped by cause with the remedy."""
        lines, last_key = [], ""
        for (key, period), found in sorted(self.entries.items()):
            if key != last_key:
                lines.append(f"[bold]{key}[/]")
                last_key = key
            lines.append(f"  {period}: {ticks(found)}")
        if self.entries:
            lines.append(LEGEND)
        if self.vendors:
            lines.append("[bold]vendors[/], newest operation")
        for dataset, asked in sorted(self.vendors.items()):
            states = Counter(said(entry.state) for entry in asked)
            lines.append(
                f"  {dataset} {asked[0].partition.period}: " + ", ".join(f"{n:,} {s}" for s, n in states.items())
            )
        for reason, entries in sorted(self.failures().items()):
            lines.append(f"[red]{len(entries)} failed[/] ({reason}): {remedy(reason, entries[0])}")
        for why, doubted in sorted(self.suspects().items()):
            lines.append(f"[red]{len(doubted):,} suspect[/]: {why}; the next collection asks again")
        pending = [entry for entry in self._all() if entry.state == "failed" and entry.reason == NOT_YET]
        if pending:
            lines.append(f"[yellow]{len(pending):,} pending[/]: {remedy(NOT_YET, pending[0])}")
        counts = self.counts()
        lines.append(
            ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items())) or "nothing collected yet"
        )
        return lines

    def document(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "counts": self.counts(),
            "failures": [
                {"partition": str(entry.partition), "reason": reason, "error": entry.error}
                for reason, entries in sorted(self.failures().items())
                for entry in entries
            ],
            "suspects": [
                {"partition": str(entry.partition), "error": why}
                for why, entries in sorted(self.suspects().items())
                for entry in entries
            ],
            "periods": [
                {
                    "key": key,
                    "period": str(period),
                    **{name: said(entry.state) for name, entry in sorted(found.items())},
                }
                for (key, period), found in sorted(self.entries.items())
            ],
            "vendors": [
                {
                    "dataset": dataset,
                    "period": str(asked[0].partition.period),
                    **said_counts(Counter(entry.state for entry in asked)),
                }
                for dataset, asked in sorted(self.vendors.items())
            ],
        }


def report(states: Mapping[Partition, Entry], keys: Collection[str] | None = None) -> Report:
    """Arrange the ledger's latest entries, for the named keys or all of them."""
    entries: dict[tuple[str, Period], dict[str, Entry]] = {}
    vendors: dict[str, list[Entry]] = {}
    for partition, entry in states.items():
        if partition.dataset in _LABEL:
            if not keys or partition.key in keys:
                entries.setdefault((partition.key, partition.period), {})[partition.dataset] = entry
        elif not keys:
            asked = vendors.setdefault(partition.dataset, [])
            if asked and partition.period.start > asked[0].partition.period.start:
                asked.clear()
            if not asked or partition.period == asked[0].partition.period:
                asked.append(entry)
    return Report(entries, vendors)
