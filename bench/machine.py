"""Where and on what a measurement was made."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return ""
    return (done.stdout or done.stderr).strip()


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def without_paths(text: str) -> str:
    """A message without the folders of this machine."""
    return text.replace(str(ROOT) + "/", "").replace(str(Path.home()), "~")


def describe() -> dict:
    changed = bool(_output("git", "status", "--porcelain", "--", "src", "ext", "python", "include"))
    return {
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "commit": _output("git", "rev-parse", "--short", "HEAD") + (" +" if changed else ""),
        "machine": {
            "processor": _processor(),
            "cpus": os.cpu_count(),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "compiler": _output("cc", "--version").splitlines()[:1],
            "wrk": _output("wrk", "-v").split(" Copyright")[0],
        },
    }
