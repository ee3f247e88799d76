"""The table `devices`: who has spoken, and what they said of themselves; and what their class allows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from psycopg import Connection
from psycopg.types.json import Json

from connectors.timescale.ledger import Row
from connectors.timescale.queries import query


@dataclass(frozen=True, slots=True)
class DeviceSeen:
    """What a batch says about a device. Instants are those of acceptance, not of the device's clock."""

    device_id: str
    first_seen: datetime
    last_seen: datetime
    units: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceKnown:
    """What the table `devices` says of a device."""

    tenant: str = ""
    device_class: str = ""
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """The range that a class of devices allows a metric."""

    low: float = -math.inf
    high: float = math.inf

    @classmethod
    def of(cls, said: object) -> Self | None:
        """Read `{"min": …, "max": …}` as an operator wrote it; None if nothing of it is a number."""
        if not isinstance(said, dict):
            return None
        low, high = (_number(said.get(bound)) for bound in ("min", "max"))
        if low is None and high is None:
            return None
        return cls(-math.inf if low is None else low, math.inf if high is None else high)


def known(connection: "Connection[Row]", device_ids: Sequence[str]) -> dict[str, DeviceKnown]:
    """Look devices up; those that are not there are left out."""
    rows = connection.execute(query("known_devices"), {"ids": list(device_ids)})
    return {
        str(device_id): DeviceKnown(str(tenant), str(name), units if isinstance(units, dict) else {})
        for device_id, tenant, name, units in rows
    }


def limits(connection: "Connection[Row]", device_ids: Sequence[str]) -> dict[str, dict[str, Limits]]:
    """Give the limits of each device that has any, by metric. What is no number limits nothing."""
    classes = {
        str(name): {metric: found for metric, one in said.items() if (found := Limits.of(one)) is not None}
        for name, said in connection.execute("select class, limits from device_classes").fetchall()
        if isinstance(said, dict)
    }
    limited = [name for name, found in classes.items() if found]
    if not limited:
        return {}
    rows = connection.execute(
        "select device_id, class from devices where class = any(%s) and device_id = any(%s)",
        (limited, list(device_ids)),
    )
    return {str(device_id): classes[str(name)] for device_id, name in rows.fetchall()}


def see(connection: "Connection[Row]", devices: Sequence[DeviceSeen]) -> None:
    """Add devices that are new, and widen what is known of the others. Each device at most once in `devices`."""
    if not devices:
        return
    with connection.transaction():
        connection.execute(
            query("see_devices"),
            {
                "device_id": [device.device_id for device in devices],
                "class": [_storable(device.tags.get("class", "")) for device in devices],
                "units": [Json(_all_storable(device.units)) for device in devices],
                "tags": [Json(_all_storable(device.tags)) for device in devices],
                "first_seen": [device.first_seen for device in devices],
                "last_seen": [device.last_seen for device in devices],
            },
        )


def _number(said: object) -> float | None:
    is_number = isinstance(said, int | float) and not isinstance(said, bool) and math.isfinite(said)
    return float(said) if is_number else None  # type: ignore[arg-type]  # it is one


def _storable(text: str) -> str:
    """PostgreSQL's text cannot hold the character zero."""
    return text.replace("\x00", "\ufffd")


def _all_storable(texts: dict[str, str]) -> dict[str, str]:
    return {_storable(name): _storable(text) for name, text in texts.items()}
