"""A result as Markdown."""

import goals
from load import FIXED_RATE_MAX
from scenarios import BY_NAME, SCENARIOS, Scenario

INTRODUCTION = """\
# Measured

Written by `bench/run.py`; [README.md](README.md) says how to read it. {machine}; Linux {kernel};
Python {python}; commit {commit}; {when}. One worker per server, on a core of its own; wrk on
another, one thread, 64 connections, keep-alive. Medians of {rounds} interleaved rounds of
{duration:g} s."""


def _number(value: float | None, form: str = ".1f") -> str:
    return "-" if value is None else format(value, form)


def _time(us: float | None) -> str:
    if us is None:
        return "-"
    return f"{us:.0f} µs" if us < 1000 else f"{us / 1000:.2f} ms"


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    align = ["---"] + ["---:"] * (len(header) - 1)
    return ["| " + " | ".join(row) + " |" for row in (header, align, *rows)] + [""]


def _name(doc: dict, name: str) -> str:
    kind = doc["servers"][name]["kind"]
    return {"cello": f"**{name}**", "ceiling": f"*{name}*"}.get(kind, name)


def _overview(doc: dict, title: str, scenarios: list[Scenario]) -> list[str]:
    """CPU per unit, every server by every scenario."""
    shown = [s.name for s in scenarios if doc["summary"].get(s.name)]
    rows = []
    for name in doc["servers"]:
        cells = [doc["summary"][s].get(name) for s in shown]
        if any(cells):
            values = [_number(c and c["cpu_us"]) for c in cells]
            rows.append([_name(doc, name), *values])
    text = [f"## {title}", "", "Less is better; *ceilings* in italics."]
    return [*text, "", *_table(["", *shown], rows)] if rows else []


def _overviews(doc: dict) -> list[str]:
    whole = [s for s in SCENARIOS if s.unit == "request" and s.load == "wrk"]
    others = [s for s in SCENARIOS if s.unit != "request"]
    return [
        *_overview(doc, "CPU per request, µs", whole),
        *_overview(doc, "CPU per MB, token or event, µs", others),
        *_goals(doc),
    ]


def _goals(doc: dict) -> list[str]:
    rows = goals.rows(doc["summary"])
    header = ["", "cello", "the other", "ratio", "at most", "reached"]
    return ["## Goals", "", *_table(header, rows)] if rows else []


def _mark(x: dict | None, cell: dict, share: float) -> str:
    """Whether a rate was reached, and whether it is the share of the peak that the column says."""
    if not x:
        return ""
    late = x["per_second"] < 0.97 * x["asked_per_second"]
    capped = x["asked_per_second"] < 0.99 * share * cell["per_second"]
    return (" †" if late else "") + (" ‡" if capped else "")


# What the loads other than wrk show beside the CPU time: (header, key of the cell).
_COLUMNS = {
    "upload": [("MB/s", "per_second"), ("resident MB", "memory_mb")],
    "events": [
        ("events/s", "per_second"),
        ("MB when connected", "connected_mb"),
        ("MB after", "memory_mb"),
        ("last listener p50", "p50_us"),
        ("p99", "p99_us"),
    ],
    "first": [
        ("p50", "p50_us"),
        ("p99", "p99_us"),
        ("p50 of json", "json_p50_us"),
        ("ratio", "over_json"),
    ],
}


def _special(doc: dict, scenario: Scenario) -> list[str]:
    """A row of one of the loads of streams.py."""
    cells = doc["summary"][scenario.name]
    columns = _COLUMNS[scenario.load]
    rows = []
    for server in sorted(cells, key=lambda n: cells[n]["cpu_us"]):
        c = cells[server]
        row = [_name(doc, server), _number(c["cpu_us"]), _number(c["cpu_min_us"])]
        for _, key in columns:
            value = c.get(key)
            time = key.endswith("_us")
            row.append(_time(value) if time else _number(value, ",.2f" if value < 10 else ",.0f"))
        rows.append(row)
    header = ["", f"CPU µs per {scenario.unit}", "best", *(name for name, _ in columns)]
    return [f"### {scenario.name}", "", scenario.title + ".", "", *_table(header, rows)]


def _scenario(doc: dict, name: str) -> list[str]:
    if BY_NAME[name].load != "wrk":
        return _special(doc, BY_NAME[name])
    cells = doc["summary"][name]
    rows = []
    for server in sorted(cells, key=lambda n: cells[n]["cpu_us"]):
        c = cells[server]
        fixed = {x["share"]: x for x in doc["latency"].get(name, {}).get(server, [])}
        row = [_name(doc, server), f"{c['per_second']:,.0f}"]
        row += [_number(c["cpu_us"]), _number(c["cpu_min_us"])]
        row.append(f"{100 * c['generator_busy']:.0f} %")
        row += [_time(c.get("p50_us")), _time(c.get("p99_us"))]
        for share in (0.5, 0.8):
            x = fixed.get(share)
            row += [_time(x and x["p50_us"]), _time(x and x["p99_us"]) + _mark(x, c, share)]
        rows.append(row)
    cpu = "CPU µs" if BY_NAME[name].unit == "request" else f"CPU µs per {BY_NAME[name].unit}"
    header = ["", "req/s", cpu, "best", "wrk", "p50", "p99"]
    header += ["p50 at 50 %", "p99", "p50 at 80 %", "p99"]
    return [f"### {name}", "", BY_NAME[name].title + ".", "", *_table(header, rows)]


def _memory(doc: dict) -> list[str]:
    rows = []
    for name, mb in sorted(doc["memory_mb"].items(), key=lambda item: item[1]):
        idle = doc["idle_interpreter_mb"].get(name)
        over = _number(None if idle is None else mb - idle)
        rows.append([_name(doc, name), _number(mb), over])
    return [
        "## Resident memory after the load",
        "",
        *_table(["", "MB", "over its idle interpreter"], rows),
    ]


def _gil(doc: dict) -> list[str]:
    keys = ("application_calls", "gil_acquisitions", "gil_held_us", "turns")
    rows = [
        [name, *(_number(stats.get(k), ".3f") for k in keys)]
        for name, stats in doc["stats"].items()
    ]
    header = ["Cello, per request", "handler calls", "GIL taken", "GIL held µs", "loop turns"]
    return ["## The GIL", "", *_table(header, rows)] if rows else []


def _absent(doc: dict) -> list[str]:
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, why in doc["left_out"].items():
        reasons[name, why] = ["all"]
    for name, server in doc["servers"].items():
        for scenario, why in (server["without"] | doc["failures"].get(name, {})).items():
            if server["kind"] != "ceiling":
                clean = why.replace("|", "/").replace("\n", " ")
                reasons.setdefault((name, clean), []).append(scenario)
    if not reasons:
        return []
    lines = [f"- {name}: {', '.join(rows)}: {why}" for (name, why), rows in reasons.items()]
    return ["## Not measured, and why", "", *lines, ""]


def markdown(doc: dict) -> str:
    machine, settings = doc["machine"], doc["settings"]
    lines = [
        INTRODUCTION.format(
            machine=f"{machine['processor']}, {machine['cpus']} CPUs",
            kernel=machine["kernel"],
            python=machine["python"],
            commit=doc["commit"],
            when=doc["when"],
            rounds=settings["rounds"],
            duration=settings["duration"],
        ),
        "",
        *_overviews(doc),
        "## Row by row",
        "",
    ]
    for scenario in SCENARIOS:
        if doc["summary"].get(scenario.name):
            lines += _scenario(doc, scenario.name)
    if doc["latency"]:
        lines += [
            "† The rate asked for was not reached, by the server or by the generator. "
            f"‡ Asked at {FIXED_RATE_MAX:,} a second, the most that the generator can follow.",
            "",
        ]
    return "\n".join([*lines, *_memory(doc), *_gil(doc), *_absent(doc)])
