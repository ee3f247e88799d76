"""When it is not one device's fault, the worker stops; when it is, nobody does."""

from collections.abc import Sequence

import numpy as np
import pytest

from streams.agents.poison_limit import PoisonLimit, PoisonLimitError
from streams.columns.batch import Poison, RawBatch


def check(limit: PoisonLimit, keys: Sequence[bytes | None], bad: Sequence[int], first: int = 0) -> None:
    offsets = np.arange(first, first + len(keys), dtype=np.int64)
    batch = RawBatch("readings", 4, offsets, offsets * 0, keys, [b""] * len(keys))
    limit.check(batch, [Poison(position, "avro", "x") for position in bad])


def devices(count: int, records: int) -> list[bytes | None]:
    return [b"device-%d" % (number % count) for number in range(records)]


def test_most_records_of_many_devices() -> None:
    limit = PoisonLimit()
    check(limit, devices(20, 500), [])

    with pytest.raises(
        PoisonLimitError, match=r"501 of the last 1001 records, from 20 devices.*avro.*\[4\] offset 500"
    ):
        check(limit, devices(20, 501), range(501), first=500)


def test_who_wants_all_passed_has_it() -> None:
    check(PoisonLimit(1.0), devices(20, 1000), range(1000))
    with pytest.raises(PoisonLimitError) as stopped:
        check(PoisonLimit(0.1), devices(20, 1000), range(101))
    assert stopped.value.detail["refused"] == 101


def test_half_is_not_yet_most() -> None:
    limit = PoisonLimit()
    check(limit, devices(20, 500), [])
    check(limit, devices(20, 500), range(500))


@pytest.mark.parametrize(("count", "stops"), [(9, False), (10, True)])
def test_ten_devices_are_many(count: int, stops: bool) -> None:  # noqa: FBT001  # a parameter
    limit = PoisonLimit()
    if stops:
        with pytest.raises(PoisonLimitError):
            check(limit, devices(count, 100), range(100))
    else:
        check(limit, devices(count, 100), range(100))


def test_one_noisy_device_stops_nobody_however_much_it_sends() -> None:
    limit = PoisonLimit()
    for _ in range(50):
        check(limit, [b"noisy"] * 900 + devices(50, 100), range(900))


def test_only_devices_that_sent_poison_count() -> None:
    limit = PoisonLimit()
    # 60 bad records of one device among 40 good ones of forty others.
    check(limit, [b"noisy"] * 60 + devices(40, 40), range(60))


def test_records_without_a_key_are_one_device() -> None:
    check(PoisonLimit(), [None] * 100, range(100))


def test_what_is_long_past_does_not_count() -> None:
    limit = PoisonLimit()
    check(limit, devices(20, 900), range(450))
    for _ in range(3):
        check(limit, devices(20, 500), [])
    # Of the last thousand or so none was bad: these few are no more than that.
    check(limit, devices(20, 400), range(400))
    with pytest.raises(PoisonLimitError):
        check(limit, devices(20, 900), range(900))


def test_small_batches_add_up() -> None:
    limit = PoisonLimit()
    for number in range(9):
        check(limit, [b"device-%d" % number], [0], first=number)

    with pytest.raises(PoisonLimitError):
        check(limit, [b"device-9"], [0], first=9)


def test_a_batch_without_poison() -> None:
    limit = PoisonLimit()
    check(limit, devices(20, 5), [])
    check(limit, [], [])
