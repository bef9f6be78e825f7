"""Sum the closing lines of pytest, ctest and tools/fuzz.sh: "N passed, N failed".

Reads a log on standard input. A run that failed without a failed test (a build error, for
instance) counts as one failure, so that the sum never looks better than the exit code.
"""

import re
import sys

PYTEST = re.compile(r"^=+ (?=.*\d+ \w+).* in [\d.]+s")
CTEST = re.compile(r"^\d+% tests passed, (\d+) tests failed out of (\d+)")
FUZZ = re.compile(r"^fuzz: (\d+) passed, (\d+) failed")


def counts(line: str) -> tuple[int, int]:
    """Tests passed and failed according to one line of the log."""
    if found := CTEST.match(line):
        failed, total = map(int, found.groups())
        return total - failed, failed
    if found := FUZZ.match(line):
        return int(found[1]), int(found[2])
    if PYTEST.match(line):
        words = {word: int(n) for n, word in re.findall(r"(\d+) (\w+)", line)}
        return words.get("passed", 0), sum(words.get(w, 0) for w in ("failed", "error", "errors"))
    return 0, 0


def main() -> None:
    results = [counts(line) for line in sys.stdin]
    passed = sum(p for p, _ in results)
    failed = sum(f for _, f in results)
    if failed == 0 and sys.argv[1] != "0":
        failed = 1
    print(f"{passed} passed, {failed} failed")


if __name__ == "__main__":
    main()
