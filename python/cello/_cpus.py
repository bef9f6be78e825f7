"""How many CPUs this process may use."""

from __future__ import annotations

import math
import os


def usable_cpus() -> float:
    """CPUs of the process's affinity, or fewer where a control group gives it less of their time;
    such a share may be a fraction."""
    return min(float(len(os.sched_getaffinity(0))), _quota("/proc/self/cgroup", "/sys/fs/cgroup"))


def usable_workers() -> int:
    """One for each CPU that this process may use, and for what is left of one."""
    return max(1, math.ceil(usable_cpus()))


def _quota(membership: str, root: str) -> float:
    """The least that the group and those above it allow; infinite without a limit."""
    least = float("inf")
    for line in _text(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            least = min(least, *map(_quota_of_2, _upwards(root, path)))
        elif "cpu" in controllers.split(","):
            least = min(least, *map(_quota_of_1, _upwards(f"{root}/cpu", path)))
    return least


def _upwards(root: str, path: str) -> list[str]:
    """The group's folder and those above it. In a container the group may be the root itself."""
    parts = [part for part in path.split("/") if part]
    return [os.path.join(root, *parts[:n]) for n in range(len(parts), -1, -1)]


def _quota_of_2(folder: str) -> float:
    quota, _, period = _text(f"{folder}/cpu.max").strip().partition(" ")
    return _share(quota, period)


def _quota_of_1(folder: str) -> float:
    quota = _text(f"{folder}/cpu.cfs_quota_us").strip()
    return _share(quota, _text(f"{folder}/cpu.cfs_period_us").strip())


def _share(quota: str, period: str) -> float:
    """ "max", nothing, and -1 mean that there is no limit."""
    if quota.isdigit() and period.isdigit() and int(period):
        return int(quota) / int(period)
    return float("inf")


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""
