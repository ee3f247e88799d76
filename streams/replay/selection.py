"""Which records of a topic are to be replayed: by device, by a pattern of keys, by an expression."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from fnmatch import translate
from re import Pattern
from re import compile as compiled
from typing import Final

from confluent_kafka import Message
from pydantic import BaseModel, ConfigDict

from schemas.origin import Origin, origin_of
from schemas.registry import SchemaVersion
from streams.replay.expression import Expression

# Why a record is left out.
OTHERS: Final = "not selected"
COPIES: Final = "copies of an earlier replay"
ERASED: Final = "of erased devices"
EMPTY: Final = "without a value"
UNSURE: Final = "the expression cannot be asked of"


class Selection(BaseModel):
    """What was asked for; all of it has to hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    devices: tuple[str, ...] = ()
    # As file names are matched: `pump-*`.
    key: str | None = None
    # An expression of CEL.
    where: str | None = None
    # Whether copies that an earlier replay wrote are taken as well: what they were made of is in the log, too.
    copies: bool = False

    @property
    def is_all(self) -> bool:
        """Whether it leaves nothing out but what is always left out."""
        return not self.devices and self.key is None and self.where is None


class Chooser:
    """Applies a selection to records, and counts what it leaves out and why."""

    def __init__(
        self,
        selection: Selection,
        schema: SchemaVersion | None,
        *,
        erased: Mapping[str, datetime],
        known: Callable[[Collection[str]], Mapping[str, bytes]],
    ) -> None:
        """Take what was asked for, and the schema of the records.

        `erased` are the devices whose data were erased, and when; `known` gives the secrets of replays.

        Raises:
            ExpressionError: `where` is none.

        """
        self._devices = frozenset(device.encode() for device in selection.devices)
        self._pattern: Pattern[str] | None = None if selection.key is None else compiled(translate(selection.key))
        self._where = None if selection.where is None else Expression(selection.where, schema)
        self._copies = selection.copies
        self._is_all = selection.is_all and not erased
        self._known = known
        self._erased = {device.encode(): int(when.timestamp() * 1000) for device, when in erased.items()}
        self.left_out: Counter[str] = Counter()

    def chosen(self, messages: Sequence[Message]) -> list[Message]:
        """Give those that are selected, in order.

        Raises:
            ExpressionError: the expression says neither yes nor no.

        """
        if self._is_all and all(message.headers() is None and message.value() is not None for message in messages):
            return list(messages)
        taken = []
        for message in messages:
            why = self._why_not(message)
            if why is None:
                taken.append(message)
            else:
                self.left_out[why] += 1
        return taken

    def origin(self, message: Message) -> Origin | None:
        """Say what a record is a copy of; None where it is none, or only claims to be one."""
        found = origin_of(message.headers())
        secret = None if found is None else self._known({found.replay}).get(found.replay)
        if found is None or secret is None or not found.is_proven(secret, message.key(), message.value()):
            return None
        return found

    def is_about(self, device_id: str) -> bool:
        """Say whether records of a device may be selected."""
        return self._whose(device_id.encode()) is None

    def _why_not(self, message: Message) -> str | None:
        key = message.key() or b""
        why = self._whose(key)
        if why is not None:
            return why
        if message.value() is None:
            return EMPTY
        if self._erased and message.timestamp()[1] <= self._erased.get(key, -1):
            return ERASED
        if not self._copies and self.origin(message) is not None:
            return COPIES
        return self._asked(message)

    def _whose(self, key: bytes) -> str | None:
        if self._devices and key not in self._devices:
            return OTHERS
        if self._pattern is not None and self._pattern.match(key.decode(errors="replace")) is None:
            return OTHERS
        return None

    def _asked(self, message: Message) -> str | None:
        holds = True if self._where is None else self._where.holds(message)
        if holds is None:
            return UNSURE
        return None if holds else OTHERS
