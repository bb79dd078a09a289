"""An answer that gives several values for one instant: nobody knows which holds, so none is loaded, and it is said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from tests.flow.scripted import Scripted, raw

from cryptolake.contracts.partition import Partition, Period
from cryptolake.contracts.points import Points
from cryptolake.contracts.raw import Raw
from cryptolake.contracts.source import Row
from cryptolake.errors import Skip
from cryptolake.flow.reading import read

AT = datetime(2024, 6, 1, tzinfo=UTC)
ONE = Partition("tvl", "a", Period.of_day(date(2024, 12, 1)))
points = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["x", "y"]), st.sampled_from([1.0, 2.0])), max_size=8)


class Says(Scripted):
    """A vendor whose answer holds these points."""

    points: list[tuple[int, str, float]]
    as_columns: bool

    def parse(self, raw: Raw) -> list[Row] | Points:
        """As rows, or as columns."""
        del raw
        rows: list[Row] = [
            {"pulled_at": AT + timedelta(days=day), "source": "v", "asset": asset, "metric_name": "TVL", "value": value}
            for day, asset, value in self.points
        ]
        return Points.of(rows) if self.as_columns else rows


@pytest.mark.parametrize("as_columns", [False, True])
@given(found=points)
def test_what_contradicts_itself_is_left_out_and_nothing_else(
    found: list[tuple[int, str, float]], as_columns: bool
) -> None:
    source = Says()
    source.points, source.as_columns = found, as_columns
    values: dict[tuple[int, str], set[float]] = {}
    for day, asset, value in found:
        values.setdefault((day, asset), set()).add(value)
    if found and all(len(told) > 1 for told in values.values()):
        with pytest.raises(Skip) as nothing:  # what is left is no answer, and not an empty one
            read(source, raw(ONE))
        assert nothing.value.reason == "contradicts_itself"
        return
    with structlog.testing.capture_logs() as said:
        rows = list(read(source, raw(ONE)))
    kept = [((row["pulled_at"] - AT).days, row["asset"], row["value"]) for row in rows]
    assert kept == [one for one in found if len(values[one[:2]]) == 1]
    assert bool(said) == (len(kept) < len(found))
