"""Stops the worker when it is not the records that are wrong.

A bad device sends bad records: they go to `dead-letters`, and nobody else is held up. When most of what many devices
send is refused, a schema, a setting or this program is wrong, and going on would only move everything to another topic.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.errors import TidegateError
from streams.columns.batch import Poison, RawBatch

# What `audit` calls it.
POISON_LIMIT = "poison limit"
RECENT_RECORDS = 1000
DEVICES = 10


class PoisonLimitError(TidegateError):
    """Most of the recent records, from many devices, cannot be used; `detail` says so for the audit."""

    def __init__(self, message: str, detail: Mapping[str, object]) -> None:
        """Say it to people, and to machines."""
        super().__init__(message)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class _Seen:
    records: int
    poison: int
    devices: frozenset[bytes | None]


class PoisonLimit:
    """Watches what share of the recent records is poison, and from how many devices."""

    def __init__(self, share: float = 0.5) -> None:
        """Start with nothing seen; of the recent records more than `share` are too many."""
        self._share = share
        self._recent: deque[_Seen] = deque()
        self._records = 0

    def check(self, batch: RawBatch, poison: Sequence[Poison]) -> None:
        """Take a batch into account, before its poison is passed on.

        Raises:
            PoisonLimitError: too many of the recent records are poison, and ten devices or more sent them.

        """
        devices = frozenset(batch.keys[found.position] for found in poison)
        self._recent.append(_Seen(len(batch), len(poison), devices))
        self._records += len(batch)
        while len(self._recent) > 1 and self._records - self._recent[0].records >= RECENT_RECORDS:
            self._records -= self._recent.popleft().records
        refused = sum(seen.poison for seen in self._recent)
        if refused <= self._share * self._records:
            return
        senders = frozenset[bytes | None]().union(*(seen.devices for seen in self._recent))
        if len(senders) >= DEVICES:
            reasons = sorted({found.reason for found in poison})
            first = int(batch.offsets[0])
            raise PoisonLimitError(
                f"{refused} of the last {self._records} records, from {len(senders)} devices, cannot be used "
                f"({', '.join(reasons)}). Something else than these devices is wrong: the worker stops before "
                f"{batch.topic}[{batch.partition}] offset {first}. If they are to be passed to dead-letters all "
                "the same: TIDEGATE_INGEST__POISON_LIMIT=1",
                {
                    "topic": batch.topic,
                    "partition": batch.partition,
                    "offset": first,
                    "records": self._records,
                    "refused": refused,
                    "devices": len(senders),
                    "reasons": reasons,
                },
            )
