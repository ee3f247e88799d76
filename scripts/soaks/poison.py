"""Messages that cannot be used, of every kind: each has to turn up in `dead-letters`, and none may block."""

import io
import struct
from random import Random
from typing import Final

import fastavro

from schemas.codec import frame
from schemas.registry import INSIGHT, READING

# Fewer than the ten devices that would mean that something else than devices is wrong.
DEVICES: Final = 5
FUTURE_US: Final = 4_102_444_800_000_000  # the year 2100


def poison(random: Random) -> tuple[bytes, bytes]:
    """Make one message, as key and value."""
    device = f"rubbish-{random.randrange(DEVICES)}"
    good = _reading(device, 1_700_000_000_000_000, random.random())
    values = (
        random.randbytes(40),
        b"",
        good[: random.randrange(1, len(good))],
        good + b"\0",
        b"\1" + good[1:],
        frame(999_999) + good[5:],
        frame(INSIGHT.id) + good[5:],
        _reading(device, 1_700_000_000_000_000, float("nan")),
        _reading(device, FUTURE_US, 1.0),
        _reading("another", 1_700_000_000_000_000, 1.0),
        _reading(device, 1_700_000_000_000_000, None),
        struct.pack(">bI", 0, READING.id) + b"\xff" * 30,
    )
    return device.encode(), random.choice(values)


def _reading(device: str, ts_us: int, value: float | None) -> bytes:
    out = io.BytesIO()
    out.write(frame(READING.id))
    metrics = {} if value is None else {"value": value}
    reading = {"device_id": device, "ts": ts_us, "metrics": metrics, "units": {}, "tags": {}, "seq": None}
    fastavro.schemaless_writer(out, READING.parsed, reading)
    return out.getvalue()
