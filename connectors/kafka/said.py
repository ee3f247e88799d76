"""What librdkafka says, once: while a broker is away, its clients say so at each attempt, twenty times a second."""

import logging
from typing import Final

EVERY_S: Final = 30.0
# Of different texts; there are as many as brokers and ways to fail.
REMEMBERED: Final = 1000


class SaidAlready(logging.Filter):
    """Lets the same text through once in so many seconds; how long an attempt took does not make it another."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        """Nothing was said yet."""
        super().__init__()
        self._every_s = every_s
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is news."""
        text = record.getMessage().partition(" (after ")[0]
        last = self._said.get(text)
        if last is not None and record.created - last < self._every_s:
            return False
        if len(self._said) >= REMEMBERED:
            self._said.clear()
        self._said[text] = record.created
        return True


log = logging.getLogger("librdkafka")
log.addFilter(SaidAlready())
