"""The bench `sink`: ratios and the goal follow from medians, and its rows are those of a fleet."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from scripts.benches.load import INTERVAL
from scripts.benches.measure import Measured
from scripts.benches.sink import BELOW, FRESH, REPEATS, ROWS, SIZES, Kind, report
from scripts.benches.sinks import DEVICES, ORDERED_COPY, STAGED, TIDEGATE, UNNEST, WAYS, batches
from streams.columns.batch import ROW_SCHEMA

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def figures(rates: dict[tuple[str, Kind], list[float]], size: int) -> dict[tuple[str, Kind, int], list[Measured]]:
    return {(name, kind, size): [Measured(rate, 2.0) for rate in values] for (name, kind), values in rates.items()}


def test_ratios_and_the_goal_follow_from_medians() -> None:
    rates = {
        (TIDEGATE, FRESH): [90.0, 60.0, 75.0],
        (ORDERED_COPY, FRESH): [100.0, 250.0, 90.0],
        (STAGED, FRESH): [50.0],
        (TIDEGATE, BELOW): [1000.0],
        (STAGED, BELOW): [100.0],
        (TIDEGATE, REPEATS): [30.0],
        (STAGED, REPEATS): [120.0],
    }
    said = report(figures(rates, 20_000), {})
    assert {name: value for name, value in said.ratios.items() if value is not None} == {
        f"tidegate / {ORDERED_COPY}, batches of 20,000": 0.75,
        "tidegate / staging table and ON CONFLICT DO NOTHING, batches of 20,000": 1.5,
        "tidegate / staging table and ON CONFLICT DO NOTHING, again below the mark, batches of 20,000": 10.0,
        "tidegate / staging table and ON CONFLICT DO NOTHING, as new records, batches of 20,000": 0.25,
    }
    (goal,) = said.goals
    assert (goal.name, goal.value, goal.goal) == (f"tidegate / {ORDERED_COPY}, batches of 20,000", 0.75, 0.7)
    assert goal.met


def test_the_goal_is_about_the_largest_batches() -> None:
    rates = {(TIDEGATE, FRESH): [100.0], (ORDERED_COPY, FRESH): [100.0]}
    (goal,) = report(figures(rates, 1_000), {}).goals
    assert (goal.value, goal.met) == (None, False)
    rates[TIDEGATE, FRESH] = [69.0]
    assert not report(figures(rates, 20_000), {}).goals[0].met


def test_what_was_not_measured_is_said_to_be_missing() -> None:
    said = report({}, {})
    assert set(said.ratios.values()) == {None}
    assert all(result.n == 0 for result in said.results)
    per_size = {(result.system, result.metric) for result in said.results}
    again = 3
    assert len(per_size) == len(said.results) == len(SIZES) * (2 * len(WAYS) + 2 * again)
    assert len(said.ratios) == len(SIZES) * (len(WAYS) - 1 + 2 * (again - 1))


def test_only_ways_that_are_exactly_once_get_the_same_again() -> None:
    assert [way.name for way in WAYS if way.again] == [TIDEGATE, STAGED, UNNEST]
    assert {result.system for result in report({}, {}).results if result.metric.startswith(BELOW.metric)} == {
        TIDEGATE,
        STAGED,
        UNNEST,
    }


def test_every_way_writes_whole_batches_of_every_size() -> None:
    assert set(ROWS) == {way.name for way in WAYS}
    assert all(rows % size == 0 for rows in ROWS.values() for size in SIZES)


def test_batches_are_one_log_of_a_fleet_without_a_key_twice() -> None:
    made = batches([100, 1000, 1000, 700], NOW)
    assert [len(batch) for batch in made] == [100, 1000, 1000, 700]
    assert np.concatenate([batch.offsets for batch in made]).tolist() == list(range(2800))
    log = pa.Table.from_batches([batch.columns for batch in made])
    assert log.schema == ROW_SCHEMA
    ts, accepted = (log.column(name).to_numpy() for name in ("ts", "accepted"))
    devices, metrics = (log.column(name).to_pylist() for name in ("device_id", "metric"))
    assert len(set(zip(ts.tolist(), devices, metrics, strict=True))) == 2800
    assert len(set(devices)) == DEVICES
    assert (np.diff(ts) >= np.timedelta64(0)).all()
    assert ts[-1].astype(datetime).replace(tzinfo=UTC) == NOW - INTERVAL
    assert (accepted - ts == np.timedelta64(20, "ms")).all()


def test_batches_are_the_same_every_time() -> None:
    assert [batch.encoded for batch in batches([10, 20], NOW)] == [batch.encoded for batch in batches([10, 20], NOW)]


def test_a_batch_comes_later_as_the_same_rows() -> None:
    (batch,) = batches([3], NOW)
    later = batch.later(40)
    assert later.offsets.tolist() == [40, 41, 42]
    assert (later.columns, later.encoded) == (batch.columns, batch.encoded)
