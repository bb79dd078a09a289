"""What a program hands to `open`: names that exist here, or an error of ours before anything is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

import cryptolake as cl


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("rpc", {"etherum": ["http://127.0.0.1:9"]}, "no chain is called 'etherum' here; did you mean ethereum"),
        ("rpc", {"nowhere_at_all": ["http://127.0.0.1:9"]}, "lists the chains"),
        ("ceilings", {"alchmy": {"usd": 5}}, "no such provider"),
        ("rpc_prices", {"infrua": 0}, "no such provider"),
        ("vendor_rates", {"defilama": 5}, "nobody is called"),
    ],
)
def test_a_key_that_nobody_reads_is_refused(tmp_path: Path, setting: str, value: object, says: str) -> None:
    with pytest.raises(cl.BadInput, match=says):
        cl.open(tmp_path / "data", **{setting: value})
