"""Points of a dropped-in file that the table's columns would take for others are refused with the file's name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from tests.flow.scripted import Scripted, raw

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Row
from cryptolake.errors import Skip
from cryptolake.files.fenced import fenced

AT = datetime(2024, 6, 1, tzinfo=UTC)
ONE = Partition("tvl", "a", Period.of_day(date(2024, 12, 1)))


class Says(Scripted):
    """A source whose answer is this row."""

    row: Row

    def parse(self, raw: Raw) -> list[Row]:
        """The row alone."""
        del raw
        return [self.row]


def read(**odd: object) -> int:
    """How many rows a point gives that is right but for this."""
    source = Says()
    source.row = {"pulled_at": AT, "source": source.name, "asset": "btc", "metric_name": "TVL", "value": 1.5, **odd}
    source.datasets = tuple(replace(one, feeds="metrics") for one in source.datasets)
    return len(fenced(source, "weather.py").parse(raw(ONE)))


def test_a_right_point_is_read() -> None:
    assert (read(), read(value=3)) == (1, 1)


@pytest.mark.parametrize(
    "odd",
    [
        {"value": True},
        {"value": "12.5"},
        {"value": None},
        {"pulled_at": AT.replace(tzinfo=None)},
        {"metric_name": "tempera ture\n"},
        {"metric_name": ""},
        {"asset": "a\x1b[31m"},
        {"colour": "red"},
        {"source": "another"},
    ],
    ids=str,
)
def test_an_odd_one_is_refused_with_the_file(odd: Row) -> None:
    with pytest.raises(Skip, match=r"weather\.py"):
        read(**odd)
