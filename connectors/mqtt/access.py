"""Access lists for the broker that say what keys say over HTTP: a tenant publishes its own devices' readings alone.

The form is Mosquitto's (`acl_file`, https://mosquitto.org/man/mosquitto-conf-5.html). Pure.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from schemas.errors import TidegateError

TOPIC: Final = "devices/{device}/readings"


class AccessError(TidegateError):
    """A name cannot stand in an access list."""


def access_list(owned: Iterable[tuple[str, str]], bridge: str) -> Iterator[str]:
    """Give the lines of a list from pairs of tenant and device, in the order of the tenants.

    The bridge's user may read all readings, and nothing else; a user that is named as a tenant may publish its devices'
    readings; one that is named as a device may publish that one's. All else is refused: the broker does that by itself
    once there is a list.

    Raises:
        AccessError: a name could be taken for something else.

    """
    yield "# What may be published to and read at the broker: made by `tidegate keys acl`."
    yield f"user {_name(bridge, 'The user of the bridge')}"
    yield f"topic read {TOPIC.format(device='+')}"
    tenant: str | None = None
    owners: dict[str, str] = {}
    for owner, device in owned:
        owners[device] = owner
        if owner == bridge:
            raise AccessError(f"The bridge and a tenant are both called {bridge!r}: name another one with --bridge.")
        if owner != tenant:
            yield f"user {_name(owner, 'A tenant')}"
            tenant = owner
        yield f"topic write {TOPIC.format(device=_level(device))}"
    # The pattern is for all users: a tenant that is called as somebody else's device could publish that one's readings.
    for owner in set(owners.values()):
        if owners.get(owner, owner) != owner:
            raise AccessError(f"A tenant and a device of another one are both called {owner!r}: rename one of them.")
    yield f"pattern write {TOPIC.format(device='%u')}"


def _name(name: str, what: str) -> str:
    if not name or name != name.strip() or _has_controls(name):
        raise AccessError(f"{what} is called {name!r}: the broker's list has no room for that name.")
    return name


def _level(device: str) -> str:
    """Check what the rules for device ids promise."""
    if not device or _has_controls(device) or any(sign in device for sign in "/+#"):
        raise AccessError(f"A device is called {device!r}: that is no level of a topic.")
    return device


def _has_controls(name: str) -> bool:
    return any(unicodedata.category(letter) in {"Cc", "Zl", "Zp"} for letter in name)
