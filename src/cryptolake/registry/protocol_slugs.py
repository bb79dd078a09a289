"""What DefiLlama calls the protocols of our markets, by (protocol, version). One that is not here is given by hand."""

from __future__ import annotations

from collections.abc import Mapping

SLUGS: Mapping[tuple[str, str], str] = {
    ("aave", "2"): "aave-v2",
    ("aave", "3"): "aave-v3",
    ("benqi", "2"): "benqi-lending",
    ("compound", "2"): "compound-v2",
    ("compound", "3"): "compound-v3",
    ("dolomite", "1"): "dolomite",
    ("gearbox", "3"): "gearbox",
    ("kinetic", "2"): "kinetic",
    ("tectonic", "2"): "tectonic",
}
