"""Where the server log goes when the program configured no logging; imported with the first line,
for the sake of what `logging` costs."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from cello import _log


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to the standard error of the moment, which tests and programs replace."""

    def emit(self, record: logging.LogRecord) -> None:
        """One record, as the style of the server that was started last has it."""
        self.stream = sys.stderr
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """As a line, or in development as a line and a traceback."""
        return _log.line_of(record)


own = StderrHandler()
