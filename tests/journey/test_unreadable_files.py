"""What cannot be read is named with its path, whoever reads it: nobody gets a bare error of the operating system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cryptolake as cl
from cryptolake.demo.replay import sandbox_registry

pytestmark = pytest.mark.xdist_group("demo")
MARKET = "aave_v3_sandbox"
READS: dict[str, Callable[[cl.Lake], object]] = {
    "panel": lambda lake: lake.panel(csu=MARKET),
    "refine": lambda lake: lake.refine(csu=MARKET, start="2024-12-01", end="2024-12-01"),
}
VENDORS = {"alternative_me", "artemis", "coingecko", "defillama", "exchanges"}


def one_of_each(data: Path) -> Iterator[Path]:
    """One file of every kind that the markets' lake holds: by the room it lies in and the end of its name."""
    seen = set()
    for file in sorted(data.rglob("*")):
        place = file.relative_to(data)
        kind = (*place.parts[: 2 if place.parts[0] == "bronze" else 1], file.name.partition(".")[2])
        if (
            file.is_file()
            and kind not in seen
            and not VENDORS & {*place.parts}
            and place.parts[0] not in {"postgres", "logs"}
        ):
            seen.add(kind)
            yield file


def test_a_folder_in_the_place_of_a_file_is_named(lake: Path) -> None:
    data = lake / "data"
    bare = []
    for file in one_of_each(data):
        aside = file.with_name(f"{file.name}.aside")
        file.rename(aside)
        file.mkdir()
        for name, reading in READS.items():
            try:
                with cl.open(data, registry=sandbox_registry()) as opened:
                    reading(opened)
            except cl.CryptolakeError as error:
                if "Traceback" in str(error):
                    bare.append((file.relative_to(data), name, str(error)))
            except Exception as error:  # noqa: BLE001  # whatever it is, it is what the test looks for
                bare.append((file.relative_to(data), name, f"{type(error).__name__}: {error}"))
        file.rmdir()
        aside.rename(file)
    assert not bare, "\n".join(map(str, bare))
