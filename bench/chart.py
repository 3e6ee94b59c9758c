"""A bar chart as SVG, by hand: it needs no library and reads well in light and dark."""

from collections.abc import Sequence
from html import escape
from typing import Any

from bench.peerage import Entry

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 760, 250, 80, 26, 44
_NAMESPACE = "http://www.w3.org/2000/svg"
_TEXT = 'font-family="system-ui, sans-serif" font-size="13" fill="#5b6770"'
_COLOURS = {"each": "#2f7d5b", "shared": "#4f9a77", "batches": "#7fb89e", "none": "#9aa4ad"}
_MEANING = {
    "each": "each job committed",
    "shared": "each, short jobs together",
    "batches": "in batches",
    "none": "no durable status",
}


def bars(case: dict[str, Any], entries: Sequence[Entry]) -> str:
    """Return a chart of one case, the quickest at the top."""
    values = {
        entry: float(case["results"][entry.key]["value"])
        for entry in entries
        if "value" in case["results"].get(entry.key, {})
    }
    ranked = sorted(values, key=lambda entry: values[entry], reverse=case["more_is_better"])
    most = max(values.values(), default=1.0)
    height = _TOP + _ROW * len(ranked) + 40
    title = f"{case['title']} a job, two worker processes: {case['unit']}"
    rows = [_row(at, entry, values[entry], most) for at, entry in enumerate(ranked)]
    return "\n".join(
        [
            f'<svg xmlns="{_NAMESPACE}" viewBox="0 0 {_WIDTH} {height}" {_TEXT}>',
            f'<text x="8" y="24" font-size="16">{escape(title)}</text>',
            *rows,
            _legend(height - 14),
            "</svg>\n",
        ]
    )


def _row(at: int, entry: Entry, value: float, most: float) -> str:
    y = _TOP + _ROW * at
    width = max(1.0, (_WIDTH - _LEFT - _RIGHT) * value / most)
    weight = ' font-weight="bold"' if entry.key == "headrace" else ""
    label = escape(entry.label.replace("*", ""))
    return (
        f'<text x="{_LEFT - 8}" y="{y + 14}" text-anchor="end"{weight}>{label}</text>'
        f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="18" rx="2"'
        f' fill="{_COLOURS[entry.status]}"/>'
        f'<text x="{_LEFT + width + 6:.1f}" y="{y + 14}"{weight}>{value:,.0f}</text>'
    )


def _legend(y: int) -> str:
    parts = []
    for at, (status, meaning) in enumerate(_MEANING.items()):
        x = 20 + at * 185
        parts.append(
            f'<rect x="{x}" y="{y - 11}" width="12" height="12" fill="{_COLOURS[status]}"/>'
            f'<text x="{x + 18}" y="{y}">{meaning}</text>'
        )
    return "".join(parts)
