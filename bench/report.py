"""A result as Markdown."""

from load import FIXED_RATE_MAX
from scenarios import BY_NAME, SCENARIOS

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


def _overview(doc: dict) -> list[str]:
    """CPU per request, every server by every scenario."""
    shown = [s.name for s in SCENARIOS if s.name in doc["summary"]]
    rows = []
    for name in doc["servers"]:
        cells = [doc["summary"][s].get(name) for s in shown]
        if any(cells):
            values = [_number(c and c["cpu_us"]) for c in cells]
            rows.append([_name(doc, name), *values])
    text = ["## CPU per request, µs", "", "Less is better; *ceilings* in italics."]
    return [*text, "", *_table(["", *shown], rows)]


def _mark(x: dict | None, cell: dict, share: float) -> str:
    """Whether a rate was reached, and whether it is the share of the peak that the column says."""
    if not x:
        return ""
    late = x["per_second"] < 0.97 * x["asked_per_second"]
    capped = x["asked_per_second"] < 0.99 * share * cell["per_second"]
    return (" †" if late else "") + (" ‡" if capped else "")


def _scenario(doc: dict, name: str) -> list[str]:
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
    header = ["", "req/s", "CPU µs", "best", "wrk", "p50", "p99"]
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
        *_overview(doc),
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
