"""What must hold in the end, compared from outside: the readings that were accepted with the rows of the table."""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from streams.drill.book import IN_PEACE, NOT_ACCEPTED, Book, Counter
from streams.drill.fleet import COUNT, METRIC, NO_NUMBER, Integers, values

# A broker that is killed has what it saved a second before; the margin is for the saving itself.
UNSAVED_S: Final = 2.0
OTHER: Final = -1


@dataclass
class Comparison:
    """What became of the readings of one stream. By mark: what was going on when they were accepted."""

    stream: str
    accepted: int = 0
    rows: int = 0
    lost: int = 0
    # Of the lost: acknowledged by an MQTT broker that was killed within its own saving interval.
    unsaved: int = 0
    duplicated: int = 0
    wrong: int = 0  # rows with another value than was sent
    foreign: int = 0  # rows that nobody sent
    unconfirmed: int = 0  # rows of readings that were sent, but whose acceptance was never told
    accepted_during: Tally[int] = field(default_factory=Tally)
    lost_during: Tally[int] = field(default_factory=Tally)
    duplicated_during: Tally[int] = field(default_factory=Tally)


def compare(rows: pa.Table, books: Sequence[Book], broker_killed: Mapping[str, Sequence[float]]) -> list[Comparison]:
    """Compare the table `readings` (device_id, metric, ts_us, value) with what was accepted.

    `broker_killed` has, for a stream that goes through an MQTT broker, the Unix times at which that was killed.
    """
    devices = rows.column("device_id").combine_chunks().dictionary_encode()
    names = devices.dictionary.to_pylist()
    codes = np.asarray(devices.indices)
    ts = rows.column("ts_us").to_numpy()
    value = rows.column("value").to_numpy()
    right_metric = pc.equal(rows.column("metric"), METRIC).to_numpy()
    found = []
    for book in books:
        numbers_of = np.array([_number(book.stream.name, name) for name in names], dtype=np.int64)
        of_stream = numbers_of[codes] if len(names) else np.zeros(0, dtype=np.int64)
        chosen = of_stream != OTHER
        numbers = book.stream.numbers(of_stream[chosen], ts[chosen])
        numbers[~right_metric[chosen]] = NO_NUMBER
        found.append(_compare(book, numbers, value[chosen], broker_killed.get(book.stream.name, ())))
    return found


def strangers(rows: pa.Table, books: Sequence[Book], counters: Iterable[Counter]) -> int:
    """Count the rows of devices that nobody has."""
    known = tuple(book.stream.name for book in books)
    counting = {counter.device for counter in counters}
    by_name = pc.value_counts(rows.column("device_id")).to_pylist()
    return sum(
        int(found["counts"])
        for found in by_name
        if found["values"] not in counting and all(_number(name, found["values"]) == OTHER for name in known)
    )


def standing(rows: pa.Table, counters: Iterable[Counter]) -> list[str]:
    """Say which counters do not stand at the last count that was accepted."""
    counts = rows.filter(pc.equal(rows.column("metric"), COUNT))
    found: dict[str, list[float]] = {}
    for device, value in zip(counts.column("device_id").to_pylist(), counts.column("value").to_pylist(), strict=True):
        found.setdefault(device, []).append(value)
    return [
        f"{counter.device} stands at {found.get(counter.device)}, the last accepted was {counter.accepted}"
        for counter in counters
        if found.get(counter.device, []) != ([float(counter.accepted)] if counter.accepted else [])
    ]


def _compare(
    book: Book, numbers: Integers, stored: npt.NDArray[np.float64], broker_killed: Sequence[float]
) -> Comparison:
    marks = book.marks()
    known = (numbers != NO_NUMBER) & (numbers < len(marks))
    copies = np.bincount(numbers[known], minlength=len(marks))
    accepted = marks != NOT_ACCEPTED
    lost = accepted & (copies == 0)
    unsaved = lost & _near(book.times(), broker_killed)
    lost &= ~unsaved
    more = np.maximum(copies - 1, 0)
    result = Comparison(
        book.stream.name,
        accepted=int(accepted.sum()),
        rows=len(numbers),
        lost=int(lost.sum()),
        unsaved=int(unsaved.sum()),
        duplicated=int(more.sum()),
        wrong=int((stored[known] != values(numbers[known])).sum()),
        foreign=int((~known).sum()),
        unconfirmed=int((~accepted & (copies > 0)).sum()),
    )
    for mark in np.unique(marks[accepted]):
        during = marks == mark
        result.accepted_during[int(mark)] = int(during.sum())
        result.lost_during[int(mark)] = int((during & lost).sum())
        result.duplicated_during[int(mark)] = int(more[during].sum())
    return result


def _near(times: npt.NDArray[np.float64], killed: Sequence[float]) -> npt.NDArray[np.bool_]:
    near = np.zeros(len(times), dtype=np.bool_)
    for moment in killed:
        near |= (times >= moment - UNSAVED_S) & (times <= moment + UNSAVED_S)
    return near


def _number(stream: str, device: str) -> int:
    """Give the number of a device of a stream; `OTHER` when it is none."""
    name, _, number = device.rpartition("-")
    return int(number) if name == stream and number.isdecimal() else OTHER


def fault_of(mark: int) -> int | None:
    """Give the number of the step that a mark stands for; None: nothing was going on."""
    return None if mark <= IN_PEACE else mark - IN_PEACE - 1


def mark_of(step: int) -> int:
    """Give the mark of a step."""
    return step + IN_PEACE + 1
