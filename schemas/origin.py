"""Where a record that was replayed stood first: two headers that each copy bears.

`tidegate-replay` is the id of the replay and a mark; `tidegate-origin` is `topic/partition/offset/accepted`, the last
in milliseconds since the epoch: the timestamp that Kafka gave the record when it was accepted. A copy of a copy names
the first of them. Anybody who may write to a topic may write such headers, so the mark proves them: a keyed hash
(BLAKE2, RFC 7693) of the origin, the key and the value, with a secret that only the replay and the workers know.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from secrets import token_bytes
from typing import Final

REPLAY: Final = "tidegate-replay"
ORIGIN: Final = "tidegate-origin"
SECRET_BYTES: Final = 32

_MARK_BYTES: Final = 16
_MARKED: Final = re.compile(rb"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/([0-9a-f]{32})")
# As much as Kafka allows: names of 249 characters, partitions of 31 bits, offsets of 63; and instants until 5138.
_PLACE: Final = re.compile(rb"([A-Za-z0-9._-]{1,249})/(\d{1,10})/(\d{1,19})/(\d{1,14})")
_MOST_PARTITIONS, _MOST_OFFSETS = 2**31, 2**63

# As Kafka's client gives them.
Headers = Mapping[str, str | bytes | None] | Sequence[tuple[str, str | bytes | None]]


@dataclass(frozen=True, slots=True)
class Origin:
    """The coordinates of a record in the log, when it was accepted, and the replay that made the copy, if it did."""

    replay: str
    mark: bytes
    topic: str
    partition: int
    offset: int
    accepted_ms: int

    @property
    def place(self) -> bytes:
        """The value of `tidegate-origin`."""
        return place(self.topic.encode(), self.partition, self.offset, self.accepted_ms)

    def is_proven(self, secret: bytes, key: bytes | None, value: bytes | None) -> bool:
        """Say whether the replay with this secret has made this record."""
        return compare_digest(self.mark, _mark(secret, self.place, key, value))


def shared_secret(shared: str, replay: str) -> bytes:
    """Derive a replay's secret from one that all regions know, so that each knows that of every replay anywhere."""
    key = blake2b(shared.encode(), digest_size=SECRET_BYTES).digest()
    return blake2b(replay.encode(), key=key, digest_size=SECRET_BYTES).digest()


def new_secret(shared: str, replay: str) -> bytes:
    """Give a new replay its secret: the regions' own where they share one, else one by chance."""
    return shared_secret(shared, replay) if shared else token_bytes(SECRET_BYTES)


def place(topic: bytes, partition: int, offset: int, accepted_ms: int) -> bytes:
    """Give what `tidegate-origin` says."""
    return b"%s/%d/%d/%d" % (topic, partition, offset, accepted_ms)


def headers(replay: bytes, secret: bytes, origin: bytes, key: bytes | None, value: bytes | None) -> dict[str, bytes]:
    """Give what a copy bears; `origin` is a `place`."""
    return {REPLAY: b"%s/%s" % (replay, _mark(secret, origin, key, value)), ORIGIN: origin}


def origin_of(found: Headers | None) -> Origin | None:
    """Read the headers of a record; None where they are not those of a copy. They may be forged: see `is_proven`."""
    if not found:
        return None
    named = dict(found)
    replay, where = named.get(REPLAY), named.get(ORIGIN)
    if not isinstance(replay, bytes) or not isinstance(where, bytes):
        return None
    who, parts = _MARKED.fullmatch(replay), _PLACE.fullmatch(where)
    if who is None or parts is None:
        return None
    topic, *numbers = parts.groups()
    partition, offset, accepted_ms = map(int, numbers)
    if partition >= _MOST_PARTITIONS or offset >= _MOST_OFFSETS:
        return None
    return Origin(who[1].decode(), who[2], topic.decode(), partition, offset, accepted_ms)


def _mark(secret: bytes, origin: bytes, key: bytes | None, value: bytes | None) -> bytes:
    # The length of the key says where the value begins; that there is none is not the same as that it is empty.
    head = b"%s\n%d\n" % (origin, -1 if key is None else len(key))
    said = blake2b(head, key=secret, digest_size=_MARK_BYTES)
    said.update((key or b"") + (value or b""))
    return said.hexdigest().encode()
