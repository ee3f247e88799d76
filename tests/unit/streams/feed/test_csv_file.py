"""CSV files as people have them, and errors that say where."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.feed.csv_file import CsvFile, FeedError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pump-1.csv"


def write(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_rows_become_readings_and_naive_times_are_utc(file: Path) -> None:
    table = CsvFile.open(write(file, "timestamp,value", "2026-01-01 00:00:00,1.5", "2026-01-01T02:00:00+01:00,-2e3"))
    assert (table.rows, table.columns) == (2, ("value",))
    first, second = table.readings("pump-1", ["pressure"])
    assert (first.ts, first.metrics) == (datetime(2026, 1, 1, tzinfo=UTC), {"pressure": 1.5})
    assert (second.ts, second.metrics) == (datetime(2026, 1, 1, 1, tzinfo=UTC), {"pressure": -2000.0})


def test_several_columns_are_several_metrics_and_an_empty_cell_is_none(file: Path) -> None:
    table = CsvFile.open(write(file, "Time,a,b", "2026-01-01,1,", "2026-01-02,,", "2026-01-03,2,3"))
    assert [reading.metrics for reading in table.readings("d", table.columns)] == [{"a": 1.0}, {"a": 2.0, "b": 3.0}]


def test_one_of_several_columns(file: Path) -> None:
    table = CsvFile.open(write(file, "ts,a,b", "2026-01-01,1,2"), column="b")
    assert [reading.metrics for reading in table.readings("d", ["m"])] == [{"m": 2.0}]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([""], "no column of timestamps"),
        (["a,b", "1,2"], "no column of timestamps"),
        (["timestamp", "2026-01-01"], "no column of values"),
    ],
)
def test_a_file_that_lacks_a_column_is_refused_at_once(file: Path, lines: list[str], said: str) -> None:
    with pytest.raises(FeedError, match=said):
        CsvFile.open(write(file, *lines))


def test_a_column_that_is_not_there(file: Path) -> None:
    with pytest.raises(FeedError, match="no column 'c'; it has a, b"):
        CsvFile.open(write(file, "ts,a,b"), column="c")


def test_no_file_no_text_no_folder(file: Path, tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="There is no file"):
        CsvFile.open(file)
    file.write_bytes(b"timestamp,value\n2026-01-01,\xff\n")
    with pytest.raises(FeedError, match="cannot be read as CSV in UTF-8"):
        CsvFile.open(file)
    with pytest.raises(FeedError, match="cannot be read"):
        CsvFile.open(tmp_path)


@pytest.mark.parametrize("row", ["yesterday,1", "2026-01-01,much", "2026-01-01,nan", "2026-01-01,inf"])
def test_a_bad_row_is_named_by_its_line(file: Path, row: str) -> None:
    table = CsvFile.open(write(file, "timestamp,value", "2026-01-01,1", row))
    with pytest.raises(FeedError, match="line 3"):
        list(table.readings("d", ["m"]))


def test_a_name_that_cannot_be_one_is_refused_before_anything_is_read(file: Path) -> None:
    table = CsvFile.open(write(file, "timestamp,value", "2026-01-01,1"))
    with pytest.raises(FeedError, match="cannot name a device or a metric"):
        table.readings("a/b", ["m"])
