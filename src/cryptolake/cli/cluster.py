"""The `--cluster` flag, and who of a cluster answered what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cryptolake.cli.show import print_table

if TYPE_CHECKING:
    from cryptolake.cluster.worker_list import Worker

ClusterFlag = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Let other machines ask: ssh://user@lab1,lab2 starts them, tcp:// or tls://host:8786 is a Dask scheduler.",
    ),
]


def print_workers(found: Sequence[Worker]) -> None:
    """Who answered what in the latest run on a cluster; nothing when there was none."""
    if not found:
        return
    print_table(
        "Workers of the latest run on a cluster",
        ("worker", "batches", "failed", "partitions", "requests", "busy s", "last answer (UTC)"),
        [
            (
                one.name,
                one.trips,
                one.failed_trips,
                one.partitions,
                one.requests,
                round(one.busy_s, 1),
                f"{one.last:%Y-%m-%d %H:%M:%S}" if one.last else "",
            )
            for one in found
        ],
    )
