"""What is planned: the same for the same seed, every kind of fault, and poison that is poison."""

import itertools
from collections import Counter
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from schemas.topics import READINGS
from scripts.soaks import plan
from scripts.soaks.faults import FAULTS
from scripts.soaks.load import encoded
from scripts.soaks.poison import DEVICES, poison
from streams.agents.poison_limit import DEVICES as MANY_DEVICES
from streams.columns.batch import RawBatch
from streams.columns.decode import decode
from streams.columns.validate import validate
from streams.drill.fleet import METRIC, Stream

SEED = 3


def drawn(seed: int = SEED) -> Random:
    return Random(seed)  # noqa: S311  # a plan, not a secret


def test_the_same_seed_plans_the_same() -> None:
    for steps in (plan.short, plan.long):
        first, again, other = (list(itertools.islice(steps(drawn(seed)), 40)) for seed in (SEED, SEED, SEED + 1))
        assert first == again
        assert first != other


def test_the_short_form_has_each_of_its_faults_once() -> None:
    names = Counter(itertools.chain(*plan.short(drawn())))
    assert set(names.values()) == {1}
    assert len(names) >= 14


def test_the_long_form_has_every_fault_in_its_first_bag() -> None:
    steps = list(itertools.islice(plan.long(drawn()), len(plan.LONG) + 1))
    assert set(itertools.chain(*steps)) == set(FAULTS)
    assert steps.count(plan.ONCE) == 1


def test_the_long_form_goes_on_without_what_comes_once() -> None:
    steps = list(itertools.islice(plan.long(drawn()), len(plan.LONG) + 1, 3 * len(plan.LONG) + 1))
    assert plan.ONCE not in steps
    assert Counter(steps) == Counter([*plan.LONG, *plan.LONG])


def test_all_that_is_planned_exists() -> None:
    assert set(itertools.chain(*plan.SHORT, *plan.LONG, plan.ONCE)) <= set(FAULTS)


def batch(records: list[tuple[bytes, bytes]]) -> RawBatch:
    offsets = np.arange(len(records), dtype=np.int64)
    accepted = np.full(len(records), 1_767_225_600_000_000, dtype=np.int64)
    return RawBatch(READINGS.name, 0, offsets, accepted, [key for key, _ in records], [value for _, value in records])


def test_poison_of_every_kind_is_refused_and_comes_from_few_devices() -> None:
    random = drawn()
    records = [poison(random) for _ in range(500)]
    raw = batch(records)
    decoded, undecodable = decode(raw)
    good, invalid = validate(decoded, raw)
    assert len(good) == 0
    assert len(undecodable) + len(invalid) == len(records)
    assert len({found.reason for found in [*undecodable, *invalid]}) >= 6
    assert len({key for key, _ in records}) == DEVICES < MANY_DEVICES


@pytest.mark.parametrize("number", [0, 1, 7, 12_345])
def test_a_reading_of_the_load_is_what_the_comparison_expects(number: int) -> None:
    stream = Stream("kafka", 8, 200_000, 1_767_225_600_000_000 - 86_400_000_000)
    device = stream.device(number)
    raw = batch([(device.encode(), encoded(device, stream.ts_us(number), METRIC, stream.value(number)))])
    decoded, undecodable = decode(raw)
    good, invalid = validate(decoded, raw)
    assert (undecodable, invalid, len(good)) == ([], [], 1)
    ts = good.columns.column("ts").cast(pa.int64()).to_pylist()
    assert ts == [stream.ts_us(number)]
    assert stream.numbers(np.array([number % 8]), np.array(ts)).tolist() == [number]
