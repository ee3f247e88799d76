"""What the classes of devices allow, told to the detectors of series that are new."""

from collections.abc import Callable, Mapping, Sequence

from connectors.timescale.devices import Limits
from streams.detect.state import SeriesTable

UNLIMITED = Limits()

# Gives what is allowed of devices, by device and metric (`connectors.timescale.store.Store.limits`).
Find = Callable[[Sequence[str]], Mapping[str, Mapping[str, Limits]]]


def learn(table: SeriesTable, limited: int, find: Find) -> int:
    """Look up the limits of the series from number `limited` on; give up to where they are known now.

    Their devices have to be written down by then. Raises: what `find` does.
    """
    names = [table.name(index) for index in range(limited, len(table))]
    if names:
        found = find(sorted({device_id for device_id, _ in names}))
        for index, (device_id, metric) in enumerate(names, start=limited):
            limits = found.get(device_id, {}).get(metric, UNLIMITED)
            table.limit(index, limits.low, limits.high)
    return len(table)
