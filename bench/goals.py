"""What a run says about the goals of the streams: our figure over theirs, and what it may be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    scenario: str
    key: str  # of the summary's cell
    most: float  # the ratio, or the figure itself without anybody to compare with
    against: str = ""


SUSPENDING = ("yield", "future", "sleep")
GOALS = [
    *(Goal(row, "cpu_us", 0.6, "granian-rsgi") for row in SUSPENDING),
    *(Goal(row, "cpu_us", 1.0, "uvloop-protocol") for row in SUSPENDING),
    Goal("static-10k", "cpu_us", 1.1, "h2o"),
    Goal("static-1m", "cpu_us", 1.05, "nginx"),
    Goal("upload", "cpu_us", 1.1, "nginx"),
    Goal("upload", "cpu_us", 1.1, "raw-upload"),
    Goal("upload-def", "cpu_us", 1.1, "nginx"),
    Goal("upload-form", "cpu_us", 1.1, "nginx"),
    Goal("events", "memory_mb", 64.0),
    Goal("first-generator", "over_json", 1.2),
    Goal("first-async", "over_json", 1.2),
    Goal("first-event", "over_json", 1.2),
]


def _theirs(summary: dict, goal: Goal) -> float | None:
    """A form is compared with the same bytes unparsed."""
    if not goal.against:
        return 1.0
    scenario = "upload" if goal.scenario.startswith("upload") else goal.scenario
    return summary.get(scenario, {}).get(goal.against, {}).get(goal.key)


def rows(summary: dict) -> list[list[str]]:
    """[what, ours, theirs, ratio, goal, whether it is reached] of all that was measured."""
    found = []
    for goal in GOALS:
        ours = summary.get(goal.scenario, {}).get("cello", {}).get(goal.key)
        theirs = _theirs(summary, goal)
        if ours is None or theirs is None:
            continue
        ratio = ours / theirs
        what = f"{goal.scenario}, {goal.key}"
        other = f"{theirs:.1f} ({goal.against})" if goal.against else "-"
        reached = "yes" if ratio <= goal.most else "**no**"
        found.append([what, f"{ours:.2f}", other, f"{ratio:.2f}", f"{goal.most:g}", reached])
    return found
