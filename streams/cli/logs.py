"""The log of a command, on standard error: a line for people at a terminal, a JSON object for machines elsewhere."""

import logging
import sys
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from connectors import tracing
from streams.settings import LogFormat, Settings

# In JSON: the rest of a record, as `device` or `offset`, stands beside these.
_FIELDS = {"levelname": "level", "name": "logger"}


class _Json(JsonFormatter):
    """An object a line, its time in UTC."""

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Say which trace it belongs to."""
        trace = tracing.current()
        return super().process_log_record(log_data if trace is None else log_data | {"trace": trace})

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  # logging's name
        """Give the time as ISO 8601."""
        del datefmt
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def log_to_stderr(settings: Settings) -> None:
    """Send the log to standard error, a line a record."""
    handler = logging.StreamHandler(sys.stderr)
    is_json = settings.log_format is LogFormat.JSON or (
        settings.log_format is LogFormat.AUTO and not sys.stderr.isatty()
    )
    if is_json:
        fields = ["asctime", *_FIELDS, "message"]
        handler.setFormatter(
            _Json(" ".join(f"%({field})s" for field in fields), rename_fields={"asctime": "time", **_FIELDS})
        )
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level, handlers=[handler])
    # At INFO it writes whole addresses, which of webhooks and endpoints may be secrets.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
