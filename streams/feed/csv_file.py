"""Readings from a CSV file with a column of timestamps and one or more of numbers."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from schemas.errors import TidegateError
from schemas.fields import is_name
from schemas.models import Reading

TIME_COLUMNS = ("timestamp", "ts", "time", "datetime", "date")


class FeedError(TidegateError):
    """The input cannot be used."""


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A file that was looked at: what is in it, and how much."""

    path: Path
    time_column: str
    columns: tuple[str, ...]
    rows: int

    @classmethod
    def open(cls, path: Path, *, column: str | None = None) -> "CsvFile":
        """Look at a file: its header, and how many rows it has. `column` picks one of several.

        Raises:
            FeedError: there is no such file, it is not CSV in UTF-8, or it lacks a column that is needed.

        """
        try:
            with path.open(encoding="utf-8", newline="") as file:
                lines = csv.reader(file)
                header = next(lines, [])
                rows = sum(1 for line in lines if line)
        except FileNotFoundError:
            raise FeedError(f"There is no file {path}.") from None
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise FeedError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
        names = {name.strip().lower(): name for name in header}
        time_column = next((names[name] for name in TIME_COLUMNS if name in names), None)
        if time_column is None:
            seen = ", ".join(header) or "nothing"
            raise FeedError(
                f"{path} has no column of timestamps: its first line should name one of {', '.join(TIME_COLUMNS)}, "
                f"but has {seen}."
            )
        columns = tuple(name for name in header if name != time_column)
        if column is not None:
            if column not in columns:
                raise FeedError(f"{path} has no column {column!r}; it has {', '.join(columns) or 'no other'}.")
            columns = (column,)
        if not columns:
            raise FeedError(f"{path} has no column of values beside {time_column}.")
        return cls(path, time_column, columns, rows)

    def readings(self, device_id: str, metrics: Sequence[str]) -> Iterator[Reading]:
        """Give a reading for each row; `metrics` names the columns, in their order. Naive times are UTC.

        Raises:
            FeedError: a name cannot be one; and, while reading, a row has no usable time or number: it is named by its
                line.

        """
        for name in (device_id, *metrics):
            if not is_name(name):
                raise FeedError(
                    f"{name!r} cannot name a device or a metric: 1 to 128 characters, no control characters, /, + or #."
                )
        return self._rows(device_id, metrics)

    def _rows(self, device_id: str, metrics: Sequence[str]) -> Iterator[Reading]:
        with self.path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file)
            for row in lines:
                where = f"{self.path}, line {lines.line_num}"
                ts = _time(row[self.time_column], where)
                values = {
                    metric: _number(row[column], where)
                    for metric, column in zip(metrics, self.columns, strict=True)
                    if row[column]
                }
                if values:
                    yield Reading(device_id=device_id, ts=ts, metrics=values)


def _time(text: str | None, where: str) -> datetime:
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError:
        raise FeedError(f"{where}: {text!r} is not a time such as 2026-01-31 12:00:00.") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _number(text: str | None, where: str) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FeedError(f"{where}: {text!r} is not a finite number.")
    return number
