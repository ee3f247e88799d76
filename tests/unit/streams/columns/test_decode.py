"""One bad message is found without looking at all the others one by one."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyruhvro
import pytest

from schemas.codec import decode_dict, encode, frame
from schemas.models import Reading
from streams.columns import decode as module
from streams.columns.batch import RawBatch
from streams.columns.decode import decode

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
COUNT = 5000


def message(number: int) -> bytes:
    return encode(Reading(device_id=f"pump-{number % 50}", ts=NOW, metrics={"t": float(number), "p": 1.0}, seq=number))


def batch_of(values: list[bytes | None]) -> RawBatch:
    offsets = np.arange(100, 100 + len(values), dtype=np.int64)
    return RawBatch("readings", 0, offsets, offsets * 0, [b"k"] * len(values), values)


@pytest.fixture(scope="module")
def messages() -> list[bytes]:
    return [message(number) for number in range(COUNT)]


class Calls:
    def __init__(self, called: Callable[..., Any]) -> None:
        self.called = called
        self.times = 0

    def __call__(self, *arguments: object) -> object:
        self.times += 1
        return self.called(*arguments)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls(decode_dict)
    monkeypatch.setattr(module, "decode_dict", calls)
    return calls


@pytest.fixture
def whole_batches(monkeypatch: pytest.MonkeyPatch) -> Calls:
    calls = Calls(pyruhvro.deserialize_array)
    monkeypatch.setattr(pyruhvro, "deserialize_array", calls)
    return calls


def seqs(batch: RawBatch) -> list[int]:
    seqs: list[int] = decode(batch)[0].columns.column("seq").to_pylist()
    return seqs


def test_a_good_batch_is_decoded_in_one_call(messages: list[bytes], one_by_one: Calls, whole_batches: Calls) -> None:
    assert seqs(batch_of([*messages])) == list(range(COUNT))
    assert one_by_one.times == 0
    assert whole_batches.times == 1


BAD: dict[str, Callable[[bytes], bytes | None]] = {
    "cut": lambda good: good[:-1],
    "surplus": lambda good: good + b"\x00",
    "not UTF-8": lambda good: good[:6] + b"\xff" + good[7:],
    "another schema": lambda good: frame(7301) + good[5:],
    "no value": lambda _good: None,
}


@pytest.mark.parametrize("where", [0, 1, 2499, 2500, COUNT - 1])
@pytest.mark.parametrize("how", BAD)
def test_a_bad_message_costs_a_few_looks(
    messages: list[bytes], one_by_one: Calls, whole_batches: Calls, how: str, where: int
) -> None:
    values: list[bytes | None] = [*messages]
    values[where] = BAD[how](messages[where])

    records, poison = decode(batch_of(values))

    assert [found.position for found in poison] == [where]
    assert records.positions.tolist() == [position for position in range(COUNT) if position != where]
    assert records.columns.column("seq").to_pylist() == records.positions.tolist()
    assert one_by_one.times <= 8
    assert whole_batches.times <= 2 * math.ceil(math.log2(COUNT)) + 1


def test_a_batch_of_nothing_but_bad_messages(one_by_one: Calls) -> None:
    records, poison = decode(batch_of([b"junk"] * 100 + [None] * 100 + [frame(7101)] * 100))

    assert len(records) == 0
    assert [found.position for found in poison] == list(range(300))
    assert [found.reason for found in poison] == ["framing"] * 100 + ["empty"] * 100 + ["avro"] * 100
    assert one_by_one.times == 200


def test_an_empty_batch() -> None:
    records, poison = decode(batch_of([]))

    assert (len(records), poison) == (0, [])
    assert records.columns.schema == decode(batch_of([message(1)]))[0].columns.schema
