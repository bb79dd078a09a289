"""Self-contained HTML: one file, no script, no network, every text escaped. Knows tables, heat maps and lines, no data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from itertools import groupby

_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#1b1f24;background:#fff}
table{border-collapse:collapse;margin:.6em 0}th,td{padding:.2em .7em;border-bottom:1px solid #d8dee4;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}h2{margin-top:2em}svg{max-width:100%;height:auto}
.key span{display:inline-block;width:.9em;height:.9em;margin:0 .3em 0 1em;vertical-align:-.1em}
.note{color:#57606a}
"""

# Colours a colour-blind reader can tell apart (after Okabe and Ito).
COLOURS = {
    "ok": "#009e73",
    "done": "#009e73",
    "empty": "#a6dcc8",
    "missing_price": "#e69f00",
    "suspect": "#cc79a7",
    "not_deployed": "#d0d7de",
    "gone": "#d0d7de",
    "failed": "#d55e00",
    "pending": "#f0e442",
    "not_asked": "#eaeef2",
}
_OTHER = "#56b4e9"


def page(title: str, sections: Sequence[tuple[str, str]]) -> str:
    """A whole document; each section is a heading (text) and its body (HTML made by the functions below)."""
    body = "".join(f"<h2>{escape(heading)}</h2>\n{content}\n" for heading, content in sections)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    top = f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>'
    return f"{top}<body><h1>{escape(title)}</h1>\n{body}</body></html>\n"


def note(text: str) -> str:
    """A paragraph of plain text."""
    return f'<p class="note">{escape(text)}</p>'


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; numbers to the right, None as a dash."""
    head = "".join(f"<th>{escape(one)}</th>" for one in columns)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _cell(value: object) -> str:
    if value is None:
        return '<td class="n">–</td>'
    if isinstance(value, bool):
        return f"<td>{'yes' if value else 'no'}</td>"
    if isinstance(value, int):
        return f'<td class="n">{value:,}</td>'
    if isinstance(value, float):
        return f'<td class="n">{value:,.4g}</td>' if abs(value) < 1000 else f'<td class="n">{value:,.0f}</td>'
    return f"<td>{escape(str(value))}</td>"


def heat_map(label: str, days: Sequence[date], rows: Mapping[str, Sequence[str]]) -> str:
    """One line per row, one cell per day, coloured by code; equal neighbours are one rectangle. Hover names them."""
    left, height, width = 190, 13, 840
    step = width / max(1, len(days))
    shapes = []
    for number, (name, codes) in enumerate(rows.items()):
        top = 18 + number * height
        shapes.append(f'<text x="{left - 6}" y="{top + 10}" text-anchor="end" font-size="10">{escape(name)}</text>')
        start = 0
        for code, members in groupby(codes):
            count = sum(1 for _ in members)
            span = f"{days[start]} .. {days[start + count - 1]}"
            shapes.append(
                f'<rect x="{left + start * step:.1f}" y="{top}" width="{count * step:.2f}" height="{height - 2}" '
                f'fill="{COLOURS.get(code, _OTHER)}"><title>{escape(name)} {span}: {escape(code)} ({count})</title></rect>'
            )
            start += count
    if days:
        shapes.append(f'<text x="{left}" y="12" font-size="10">{days[0]}</text>')
        shapes.append(f'<text x="{left + width}" y="12" font-size="10" text-anchor="end">{days[-1]}</text>')
    seen = sorted({code for codes in rows.values() for code in codes})
    key = "".join(f'<span style="background:{COLOURS.get(code, _OTHER)}"></span>{escape(code)}' for code in seen)
    box = f"0 0 {left + width + 10} {24 + height * len(rows)}"
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="{box}" width="{left + width + 10}">{"".join(shapes)}</svg>'
        f'<p class="key">{key}</p>'
    )


def lines(label: str, series: Mapping[str, Sequence[float | None]], *, width: int = 1000, height: int = 180) -> str:
    """Lines over a common index, scaled to their joint range; a missing value breaks its line."""
    known = [value for values in series.values() for value in values if value is not None]
    if not known:
        return note(f"{label}: nothing to draw")
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    palette = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
    shapes = [
        f'<text x="2" y="12" font-size="10">{high:,.4g}</text><text x="2" y="{height - 4}" font-size="10">{low:,.4g}</text>'
    ]
    for number, (name, values) in enumerate(series.items()):
        step = (width - 60) / max(1, len(values) - 1)
        pieces, open_line = [], False
        for index, value in enumerate(values):
            if value is None:
                open_line = False
                continue
            y = height - 14 - (value - low) / span * (height - 28)
            pieces.append(f"{'L' if open_line else 'M'}{55 + index * step:.1f} {y:.1f}")
            open_line = True
        colour = palette[number % len(palette)]
        shapes.append(f'<path d="{"".join(pieces)}" fill="none" stroke="{colour}"><title>{escape(name)}</title></path>')
    key = "".join(
        f'<span style="background:{palette[number % len(palette)]}"></span>{escape(name)}'
        for number, name in enumerate(series)
    )
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}" width="{width}">'
        f'{"".join(shapes)}</svg><p class="key">{key if len(series) <= 8 else ""}</p>'
    )
