"""SenML packs (RFC 8428): base values resolved, records of one instant put together. Pure.

A SenML name is global, the topic already names the device, so a record's metric is, by the first rule that fits:

1. the base name names the device (it is the device id, or ends in it after `:` or `/`, and may close with one of
   `: / _ - .`): the metric is `n`;
2. base name and `n` together hold the device id as a part of its own, as in `urn:dev:mac:pump-7:temperature`: the
   metric is what follows it;
3. there is no base name: the metric is `n`.

Else the pack is of another device, and refused. Values that are not numbers (`vs`, `vb`, `vd`) and sums (`s`, `bs`) are
refused, for a reading cannot hold them and nothing is left out in silence.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from connectors.mqtt.values import number, shown, since_epoch
from schemas.errors import PoisonError
from schemas.instants import to_micros

# Section 4.4: a version above this one may mean things that are not understood here.
VERSION: Final = 10
# Section 4.5.3: a time below this many seconds counts from now, not from 1970.
ABSOLUTE_FROM: Final = 2**28

MAX_READINGS: Final = 1000

_LIMIT: Final = 512
_NO_DATE: Final = 1e12
_REFUSED: Final = ("vs", "vb", "vd", "s", "bs")


@dataclass(slots=True)
class Group:
    """The metrics of one reading."""

    metrics: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Instant:
    """What a pack says of one instant: one group, and more only where a metric comes with several values."""

    groups: list[Group] = field(default_factory=list)
    values: dict[str, set[float]] = field(default_factory=dict)

    def add(self, metric: str, value: float, unit: str) -> int:
        """Place one value, and say how many groups that added."""
        seen = self.values.setdefault(metric, set())
        if value in seen:
            return 0
        added = len(seen) == len(self.groups)
        if added:
            self.groups.append(Group())
        group = self.groups[len(seen)]
        seen.add(value)
        group.metrics[metric] = value
        if unit:
            group.units[metric] = unit
        return int(added)


def is_pack(records: list[dict[str, Any]]) -> bool:
    """Say whether a list of objects is SenML: in the other forms `n` and `bn` could only be numbers."""
    return any(isinstance(record.get("n"), str) or isinstance(record.get("bn"), str) for record in records)


def resolve(records: list[dict[str, Any]], device: str, arrived: datetime) -> list[tuple[datetime, Group]]:
    """Give the readings of a pack in the order of their times, which start at `arrived` where they are relative.

    A metric with two values at one instant makes a second group: which value stands is decided where readings are
    stored.

    Raises:
        PoisonError: reason `senml`, `device`, `value`, `time` or `size`.

    """
    now = to_micros(arrived)
    base_name, base_unit, base_time, base_value = "", "", 0.0, None
    instants: dict[int, Instant] = {}
    groups = 0
    for record in records:
        _understood(record)
        base_name = _text(record, "bn", base_name)
        base_unit = _text(record, "bu", base_unit)
        base_time = number(record["bt"], "bt") if "bt" in record else base_time
        base_value = number(record["bv"], "bv") if "bv" in record else base_value
        if "v" not in record:
            if "n" not in record:
                continue  # base values alone, for the records that follow
            if base_value is None:
                raise PoisonError("senml", f"{shown(record['n'])} has no value")
        value = number((base_value or 0.0) + number(record.get("v", 0.0), "v"), "bv + v")
        metric = _metric(base_name, _text(record, "n", ""), device)
        seconds = number(base_time + number(record.get("t", 0.0), "t"), "bt + t")
        at = instants.setdefault(_micros(seconds, now), Instant())
        groups += at.add(metric, value, _text(record, "u", base_unit))
        if groups > MAX_READINGS:
            raise PoisonError("size", f"more than {MAX_READINGS} readings in one message")
    if not instants:
        raise PoisonError("senml", "a pack without a value")
    return [(since_epoch(micros), group) for micros, at in sorted(instants.items()) for group in at.groups]


def _understood(record: dict[str, Any]) -> None:
    """Refuse what RFC 8428 says must be understood, and what a reading cannot hold."""
    version = record.get("bver", VERSION)
    if type(version) is not int or version > VERSION:
        raise PoisonError("senml", f"version {shown(version)}")
    for label in record:
        if label in _REFUSED:
            raise PoisonError("senml", f"{label} cannot be stored; send numbers in v")
        if label.endswith("_"):
            raise PoisonError("senml", f"{shown(label)} must be understood, and is not")


def _text(record: dict[str, Any], label: str, default: str) -> str:
    text = record.get(label, default)
    # The limit also keeps a long base value from being copied into thousands of records.
    if not isinstance(text, str) or len(text) > _LIMIT:
        raise PoisonError("senml", f"{label} is {shown(text)}, not a text of at most {_LIMIT} characters")
    return text


def _metric(base: str, name: str, device: str) -> str:
    owner = base[:-1] if base.endswith((":", "/", "_", "-", ".")) else base
    if name and any(part == device or part.endswith((f":{device}", f"/{device}")) for part in (owner, base)):
        return name
    inside = _after(device).fullmatch(base + name)
    if inside is not None:
        return str(inside[1])
    if base:
        raise PoisonError("device", f"the pack is of {shown(base + name)}, the topic of {shown(device)}")
    return name


@lru_cache(maxsize=4096)
def _after(device: str) -> re.Pattern[str]:
    return re.compile(rf"(?:.*?[:/])?{re.escape(device)}[:/](.+)", re.DOTALL)


def _micros(seconds: float, now: int) -> int:
    """Give microseconds since 1970; small times count from now."""
    if abs(seconds) > _NO_DATE:
        raise PoisonError("time", f"{shown(seconds)} seconds from 1970 is no date")
    return round(seconds * 1_000_000) + (now if seconds < ABSOLUTE_FROM else 0)
