"""How results are shown: rows that fit no table as blocks, lines to copy in one piece, colours only on a terminal."""

from __future__ import annotations

import re
import shlex

import polars as pl
import pytest
import structlog

from cryptolake import logs
from cryptolake.cli.next_step import print_steps
from cryptolake.cli.show import print_rows
from cryptolake.errors import Stop
from cryptolake.research.transforms import require_numbers
from cryptolake.settings import Settings
from cryptolake.watch.progress import LEGEND, ticks


def test_many_columns_become_a_block_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [f"a_column_of_name_{number}" for number in range(24)]
    print_rows("2 rows", columns, [[f"value {number}" for number in range(24)], [None] * 24])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 rows"
    assert [line for line in lines if line.startswith("-[")] == [f"-[ {one} ]".ljust(22, "-") for one in (1, 2)]
    assert f"{columns[7]:<19} | value 7" in lines
    assert len(lines) == 1 + 2 * 25


def test_few_columns_stay_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows("1 row", ["x", "y"], [[1, "word " * 60]])
    assert "-[" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a b", "it's", 'a"b', "$HOME", "-x", "ünï", "[bold]", ":smile:", "x" * 300])
def test_a_step_is_printed_in_one_piece_as_it_is_typed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_steps([f"cryptolake --data {shlex.quote(name)} plan", "true"])
    # Steps that do not fit on one line stand below each other, each whole.
    first, then = re.split(r"\s+then (?=true)", capsys.readouterr().out.strip().removeprefix("Next: "))
    assert (shlex.split(first), then) == (["cryptolake", "--data", name, "plan"], "true")


def test_log_lines_have_no_colours_where_nobody_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure_logging(Settings(log_level="warning"))
    structlog.get_logger("test").warning("something", partition="tvl/x/2024-12-01")
    said = capsys.readouterr().err
    assert "something" in said
    assert "\x1b" not in said


def test_a_panel_without_any_number_is_refused_with_its_states() -> None:
    panel = pl.DataFrame(
        {"status": ["failed", "failed"], "total_tvl_usd": [None, None]}, schema_overrides={"total_tvl_usd": pl.Float64}
    )
    with pytest.raises(Stop, match=r"2 failed.*--allow-empty"):
        require_numbers(panel, ["total_tvl_usd"])
    for status, remedy in (("failed", "collect --retry-failed"), ("pending", "run"), ("not_asked", "run")):
        said = panel.with_columns(status=pl.lit(status))
        with pytest.raises(Stop, match=f"run `cryptolake {remedy}` with the same selection"):
            require_numbers(said, ["total_tvl_usd"])
    require_numbers(panel.with_columns(total_tvl_usd=pl.lit(0.0)), ["total_tvl_usd"])


def test_every_tick_is_explained() -> None:
    from cryptolake.watch.progress import _TICK

    assert set(_TICK.values()) <= set(LEGEND.split())
    assert ticks({}) == ""
