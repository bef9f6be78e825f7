"""A result as one picture: CPU time per request, a panel for each scenario, as SVG."""

from html import escape

PANELS = [
    ("plaintext", "Plain text"),
    ("json", "JSON from a dict"),
    ("params", "Path and query"),
    ("echo", "1 KB JSON echo"),
    ("big", "57 KB JSON list"),
    ("async", "async def"),
]
COLUMNS, ROWS_MAX = 2, 9
ALWAYS = ("cello", "robyn")  # shown whatever their rank
WIDTH, MARGIN, GUTTER = 880, 28, 36
BAR, STEP, LABEL, VALUE = 15, 23, 116, 52
HEAD, TITLE, FOOT = 92, 34, 48
CLIP = 6.0  # a bar longer than this many of the panel's shortest is cut

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #30343b }
  .h { font-size: 20px; font-weight: 650 } .s { fill: #6b7280 }
  .t { font-size: 14px; font-weight: 600 } .v { font-variant-numeric: tabular-nums }
  .us { fill: #0f766e } .peer { fill: #b4bcc8 } .ceiling { fill: none; stroke: #b4bcc8 }
  .me { font-weight: 650 } .cut { stroke: #ffffff } .bg { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #d7dbe2 } .s { fill: #949ba8 } .bg { fill: #14171c } .cut { stroke: #14171c }
    .us { fill: #2dd4bf } .peer { fill: #4b5563 } .ceiling { stroke: #5b6472 }
  }
"""


def _text(x: float, y: float, text: str, css: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{css}" text-anchor="{anchor}">{escape(text)}</text>'


def _rows(doc: dict, scenario: str) -> list[tuple[str, str, float]]:
    """(name, kind, µs), the cheapest first. Of the ceilings only the one that calls Python: the
    others answer constants."""
    rows = [
        (name, doc["servers"][name]["kind"], cell["cpu_us"])
        for name, cell in doc["summary"].get(scenario, {}).items()
        if doc["servers"][name]["kind"] != "ceiling" or name == "raw-capi"
    ]
    rows.sort(key=lambda row: row[2])
    shown = rows[:ROWS_MAX]
    return shown + [row for row in rows[ROWS_MAX:] if row[0] in ALWAYS]


def _bar(x: float, y: float, width: float, name: str, kind: str, us: float, full: float) -> str:
    room = width - LABEL - VALUE
    cut = us > full
    length = room * min(us, full) / full
    css = {"cello": "us", "ceiling": "ceiling"}.get(kind, "peer")
    bold = "me" if kind == "cello" else ""
    parts = [
        _text(x + LABEL - 8, y + 12, name, bold or "s", "end"),
        f'<rect x="{x + LABEL:g}" y="{y:g}" width="{max(length, 2):.1f}" height="{BAR}" rx="3" '
        f'class="{css}"/>',
        _text(
            x + LABEL + length + 7, y + 12, f"{us:.1f}" if us < 100 else f"{us:.0f}", "v " + bold
        ),
    ]
    if cut:
        at = x + LABEL + length - 16
        parts.append(
            f'<path d="M{at:.1f} {y + BAR + 2} l6 -{BAR + 4} m5 0 l-6 {BAR + 4}" '
            'class="cut" stroke-width="2.5" fill="none"/>'
        )
    return "".join(parts)


def _panel(doc: dict, scenario: str, title: str, x: float, y: float, width: float) -> str:
    rows = _rows(doc, scenario)
    if not rows:
        return ""
    full = min(max(us for _, _, us in rows), CLIP * rows[0][2])
    parts = [_text(x, y + 14, title, "t")]
    for i, (name, kind, us) in enumerate(rows):
        parts.append(_bar(x, y + TITLE + i * STEP, width, name, kind, us, full))
    return "".join(parts)


def svg(doc: dict) -> str:
    panels = [(s, t) for s, t in PANELS if doc["summary"].get(s)]
    width = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GUTTER) / COLUMNS
    out, y = [], float(HEAD)
    for at in range(0, len(panels), COLUMNS):
        line = panels[at : at + COLUMNS]
        for column, (scenario, title) in enumerate(line):
            x = MARGIN + column * (width + GUTTER)
            out.append(_panel(doc, scenario, title, x, y, width))
        y += TITLE + max(len(_rows(doc, s)) for s, _ in line) * STEP + 26
    machine = doc["machine"]
    foot = f"{machine['processor']}, Python {machine['python']}, commit {doc['commit']}"
    height = y + FOOT - 20
    head = [
        _text(MARGIN, 40, "CPU time per request, microseconds", "h"),
        _text(
            MARGIN,
            64,
            "One worker, 64 keep-alive connections. Shorter is better. The outlined bar is a bare "
            "C loop that calls a Python function.",
            "s",
        ),
        _text(MARGIN, height - 20, foot, "s"),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
        f'role="img" aria-label="CPU time per request of Cello and other servers">'
        f'<style>{STYLE}</style><rect class="bg" width="100%" height="100%" rx="8"/>'
        + "".join(head + out)
        + "</svg>\n"
    )
