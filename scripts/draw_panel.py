"""Draws docs/panel.svg from the panel that `make demo` makes: deposits, net TVL and liquidations by day.

    python scripts/draw_panel.py sandbox

A day without a number is drawn as what it is, not as zero.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

OUT = Path(__file__).resolve().parents[1] / "docs" / "panel.svg"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 900, 380, 70, 20, 44, 34
LINES = (("gross_tvl_usd", "#0072b2", "gross TVL"), ("total_tvl_usd", "#009e73", "net TVL"))
BARS = ("liquidations_usd", "#d55e00", "liquidated")


def main(data: Path) -> None:
    """Read the published panel and write the picture."""
    panel = pl.read_parquet(data / "gold" / "daily_panel.parquet").sort("date")
    market = panel["csu"][0]
    panel = panel.filter(pl.col("csu") == market)
    upper, lower = (TOP, 240), (240 + GAP, HEIGHT - 26)
    step = (WIDTH - LEFT - RIGHT) / panel.height
    xs = [LEFT + step * (number + 0.5) for number in range(panel.height)]
    parts = [
        text(LEFT, 20, f"daily_panel of {market} (sandbox: recorded demonstration data)", size=15, weight="bold"),
        *axis(upper, top := nice(max(panel[name].max() or 0 for name, _, _ in LINES))),
        *axis(lower, most := nice(panel[BARS[0]].max() or 0), ticks=2),
    ]
    whole = (panel["status"] == "ok").to_list()  # the sum over part of the assets is no total: the line breaks there
    for at, (name, colour, label) in enumerate(LINES):
        values = [value if known else None for value, known in zip(panel[name], whole, strict=True)]
        parts += line(xs, values, upper, top, colour)
        parts.append(text(LEFT + 8 + 90 * at, TOP - 8, label, fill=colour))
    parts.append(text(LEFT + 8 + 90 * len(LINES), TOP - 8, "USD"))
    parts.append(text(LEFT + 8, lower[0] - 8, f"{BARS[2]}, USD a day", fill=BARS[1]))
    for x, value, events in zip(xs, panel[BARS[0]], panel["liquidation_count"], strict=True):
        if value:
            high = (lower[1] - lower[0]) * value / most
            parts.append(f'<rect x="{x - step * 0.3:.1f}" y="{lower[1] - high:.1f}" width="{step * 0.6:.1f}" '
                         f'height="{high:.1f}" fill="{BARS[1]}"/>')  # fmt: skip
            parts.append(text(x, lower[1] - high - 4, f"{events} event{'s' * (events != 1)}", size=11, anchor="middle"))
    for x, status, day in zip(xs, panel["status"], panel["date"], strict=True):
        if status != "ok":
            parts.append(f'<rect x="{x - step / 2:.1f}" y="{TOP}" width="{step:.1f}" height="{lower[1] - TOP}" '
                         'fill="#f0e442" fill-opacity="0.35"/>')  # fmt: skip
            parts.append(text(x, TOP + 14, status, size=11, anchor="middle"))
        parts.append(text(x, HEIGHT - 8, f"{day:%m-%d}", size=11, anchor="middle"))
    body = "\n".join(parts)
    OUT.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )
    print(OUT)


def text(x: float, y: float, words: str, *, size: int = 13, fill: str = "#333", anchor: str = "start", weight: str = "normal") -> str:  # fmt: skip  # noqa: E501
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}">{words}</text>'  # noqa: E501


def nice(value: float) -> float:
    """A round number not below `value`."""
    power = 10 ** (len(str(int(value))) - 1) if value >= 1 else 1
    return next(round(power * each) for each in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if power * each >= value)


def axis(span: tuple[float, float], top: float, ticks: int = 4) -> list[str]:
    low, high = span[1], span[0]
    found = []
    for number in range(ticks + 1):
        y = low - (low - high) * number / ticks
        value = top * number / ticks
        words = f"{value / 1e6:g} M" if top >= 1e6 else f"{value / 1e3:g} k" if top >= 1e3 else f"{value:g}"
        found.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        found.append(text(LEFT - 8, y + 4, words, size=11, anchor="end"))
    return found


def line(xs: list[float], values: list[float | None], span: tuple[float, float], top: float, colour: str) -> list[str]:
    """The line, broken where there is no number."""
    pieces: list[list[str]] = [[]]
    for x, value in zip(xs, values, strict=True):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{x:.1f},{span[1] - (span[1] - span[0]) * value / top:.1f}")
    return [
        f'<polyline points="{" ".join(one)}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
        for one in pieces
        if one
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "sandbox"))
