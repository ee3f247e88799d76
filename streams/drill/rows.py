"""The table `readings`, read whole."""

from pathlib import Path
from typing import Final

import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv

ROWS: Final = (
    "copy (select device_id, metric, (extract(epoch from ts) * 1000000)::bigint, value from readings)"
    " to stdout (format csv)"
)
COLUMNS: Final = {"device_id": pa.string(), "metric": pa.string(), "ts_us": pa.int64(), "value": pa.float64()}


def rows(url: str, folder: Path) -> pa.Table:
    """Read the table `readings`; it goes through a file in `folder`."""
    file = folder / "readings.csv"
    with psycopg.connect(url) as connection, file.open("wb") as out, connection.cursor().copy(ROWS.encode()) as copy:
        for block in copy:
            out.write(block)
    if not file.stat().st_size:
        return pa.table({name: pa.array([], kind) for name, kind in COLUMNS.items()})
    read = pacsv.ReadOptions(column_names=list(COLUMNS))
    table = pacsv.read_csv(file, read_options=read, convert_options=pacsv.ConvertOptions(column_types=COLUMNS))
    file.unlink()
    return table
