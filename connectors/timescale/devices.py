"""The table `devices`: who has spoken, and what they said of themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

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


def _storable(text: str) -> str:
    """PostgreSQL's text cannot hold the character zero."""
    return text.replace("\x00", "\ufffd")


def _all_storable(texts: dict[str, str]) -> dict[str, str]:
    return {_storable(name): _storable(text) for name, text in texts.items()}
