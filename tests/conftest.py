"""What holds for all Python tests.

Time limits, markers and warnings as errors are set in pyproject.toml. Tests that serve take their
back end from the fixtures of their own folder.
"""

import os
import platform


def pytest_report_header() -> str:
    """What a log needs to be compared with another."""
    build = "sanitizers" if "asan" in os.environ.get("LD_PRELOAD", "") else "release"
    return f"cello: {build} build, {platform.python_implementation()} on Linux {platform.release()}"
