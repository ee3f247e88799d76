"""Which devices of a batch the table `devices` has to hear of: new ones, and those not mentioned for a while."""

import numpy as np

from connectors.timescale.devices import DeviceSeen
from schemas.instants import from_micros
from streams.columns.batch import RawBatch, Records

# How old `devices.last_seen` may be while a device goes on sending, in microseconds.
REFRESH_US = 60_000_000


class Sightings:
    """Remembers when each device was last written down."""

    def __init__(self) -> None:
        """Start with nobody known: each device is written once after a start."""
        self._written: dict[str, int] = {}

    def of(self, records: Records, batch: RawBatch) -> list[DeviceSeen]:
        """Give the devices of a batch that have to be written, each with its units and tags of the latest reading."""
        if not len(records):
            return []
        encoded = records.columns.column("device_id").dictionary_encode()
        codes = np.asarray(encoded.indices)
        accepted = batch.accepted[records.positions]
        # Of each device, where it stands last: the order of a partition is the order of its devices.
        distinct, from_the_end = np.unique(codes[::-1], return_index=True)
        first = np.unique(codes, return_index=True)[1]
        names = encoded.dictionary.to_pylist()
        seen = []
        for code, back, front in zip(distinct, from_the_end, first, strict=True):
            last = len(codes) - 1 - int(back)
            device_id, when = names[int(code)], int(accepted[last])
            written = self._written.get(device_id)
            if written is not None and when - written < REFRESH_US:
                continue
            self._written[device_id] = when
            seen.append(
                DeviceSeen(
                    device_id,
                    first_seen=from_micros(int(accepted[front])),
                    last_seen=from_micros(when),
                    units=dict(records.columns.column("units")[last].as_py()),
                    tags=dict(records.columns.column("tags")[last].as_py()),
                )
            )
        return seen
