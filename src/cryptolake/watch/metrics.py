"""The monitor's numbers in the Prometheus text format (version 0.0.4). Counts what is there, measures nothing itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from cryptolake.contracts.entry import said
from cryptolake.state.ledger import Ledger
from cryptolake.watch.health import RunHealth

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[Mapping[str, str], float]


def metrics(ledger: Ledger, runs: Sequence[RunHealth], now: datetime) -> str:
    """The page that Prometheus scrapes."""
    partitions: Counter[tuple[str, str]] = Counter()
    for (dataset, _key), states in ledger.tally().items():
        for state, count in states.items():
            partitions[dataset, said(state)] += count
    working = [run for run in runs if run.at_work(now)]
    entries, size = ledger.size()
    newest = ledger.newest_answer()
    lines = [
        *_family(
            "partitions",
            "gauge",
            "Partitions by dataset and latest state.",
            (({"dataset": d, "state": s}, n) for (d, s), n in sorted(partitions.items())),
        ),
        *_family(
            "failures",
            "gauge",
            "Failed partitions by reason.",
            (({"reason": one.reason or "unknown"}, count) for count, one in ledger.failures()),
        ),
        *_family("ledger_entries_total", "counter", "Entries ever appended to the ledger.", [({}, entries)]),
        *_family("ledger_bytes", "gauge", "Size of the ledger file.", [({}, size)]),
        *_family(
            "last_answer_timestamp_seconds",
            "gauge",
            "When a partition was settled last.",
            [({}, newest.timestamp())] if newest else [],
        ),
        *_family("runs_at_work", "gauge", "Runs that report now.", [({}, len(working))]),
        *_family(
            "run_remaining_partitions",
            "gauge",
            "Partitions a run has left.",
            (({"worker": run.worker, "run": run.what}, run.total - run.done) for run in working),
        ),
    ]
    for name, kind, doc, value in (
        ("requests_total", "counter", "HTTP requests sent by the runs at work.", "requests"),
        ("retries_total", "counter", "Requests that failed and were asked again.", "retries"),
        ("latency_seconds", "gauge", "Moving mean of an endpoint's latency.", "latency_s"),
        ("rate_limit", "gauge", "Units a second used at most now.", "rate"),
    ):
        lines += _family(
            f"endpoint_{name}",
            kind,
            doc,
            (
                ({"chain": one.chain, "endpoint": one.name, "worker": run.worker}, getattr(one, value))
                for run in working
                for one in run.endpoints
            ),
        )
    lines += _family(
        "endpoint_up",
        "gauge",
        "1 when the endpoint is asked, 0 when it sits out or was given up.",
        (
            (
                {"chain": one.chain, "endpoint": one.name, "worker": run.worker},
                float(not one.problem and not one.waits_s),
            )
            for run in working
            for one in run.endpoints
        ),
    )
    return "\n".join(lines) + "\n"


def _family(name: str, kind: str, doc: str, samples: Iterable[Sample]) -> list[str]:
    """One metric with its samples; Prometheus wants all samples of a metric together."""
    full = f"cryptolake_{name}"
    lines = [f"# HELP {full} {doc}", f"# TYPE {full} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{full}{{{inside}}} {value:.10g}" if inside else f"{full} {value:.10g}")
    return lines


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
