"""Where a record that was replayed stood first: two headers that each copy bears.

`tidegate-replay` is the id of the replay, `tidegate-origin` is `topic/partition/offset/accepted`, the last in
milliseconds since the epoch: the timestamp that Kafka gave the record when it was accepted. A copy of a copy names the
first of them. Anybody who may write to a topic may write such headers: whoever reads them asks first whether there was
such a replay.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

REPLAY: Final = "tidegate-replay"
ORIGIN: Final = "tidegate-origin"

_UUID: Final = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# As much as Kafka allows: names of 249 characters, partitions of 31 bits, offsets of 63; and instants until 5138.
_PLACE: Final = re.compile(rb"([A-Za-z0-9._-]{1,249})/(\d{1,10})/(\d{1,19})/(\d{1,14})")
_MOST_PARTITIONS, _MOST_OFFSETS = 2**31, 2**63

# As Kafka's client gives them.
Headers = Mapping[str, str | bytes | None] | Sequence[tuple[str, str | bytes | None]]


@dataclass(frozen=True, slots=True)
class Origin:
    """The coordinates of a record in the log, when it was accepted, and the replay that made the copy."""

    replay: str
    topic: str
    partition: int
    offset: int
    accepted_ms: int

    def headers(self) -> dict[str, bytes]:
        """Give what a copy bears."""
        place = self.topic.encode(), self.partition, self.offset, self.accepted_ms
        return headers(self.replay.encode(), *place)


def headers(replay: bytes, topic: bytes, partition: int, offset: int, accepted_ms: int) -> dict[str, bytes]:
    """Give what a copy bears, without an object in between: there are many of them."""
    return {REPLAY: replay, ORIGIN: b"%s/%d/%d/%d" % (topic, partition, offset, accepted_ms)}


def origin_of(found: Headers | None) -> Origin | None:
    """Read the headers of a record; None where they are not those of a copy."""
    if not found:
        return None
    named = dict(found)
    replay, place = named.get(REPLAY), named.get(ORIGIN)
    if not isinstance(replay, bytes) or not isinstance(place, bytes) or _UUID.fullmatch(replay) is None:
        return None
    parts = _PLACE.fullmatch(place)
    if parts is None:
        return None
    topic, *numbers = parts.groups()
    partition, offset, accepted_ms = map(int, numbers)
    if partition >= _MOST_PARTITIONS or offset >= _MOST_OFFSETS:
        return None
    return Origin(replay.decode(), topic.decode(), partition, offset, accepted_ms)
