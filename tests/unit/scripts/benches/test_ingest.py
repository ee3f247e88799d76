"""What the bench `ingest` makes of its figures: ratios of medians, and peers that are missing stay missing."""

from datetime import UTC, datetime

from schemas.codec import decode
from schemas.models import Reading
from scripts.benches import systems
from scripts.benches.ingest import report
from scripts.benches.load import INTERVAL, METRICS, Load
from scripts.benches.measure import Measured

RATES = {
    systems.TIDEGATE: [150.0, 160.0, 170.0],
    systems.DETECTION_OFF: [180.0],
    systems.ROW_LOOP: [100.0],
    systems.WIRE_LIMIT: [200.0],
    systems.CEILING: [300.0],
    systems.FAUST: [10.0],
    systems.QUIXSTREAMS: [20.0],
    systems.FASTSTREAM: [40.0],
}


def figures(rates: dict[str, list[float]]) -> dict[tuple[str, int], list[Measured]]:
    return {(name, 1): [Measured(rate, 5.0) for rate in values] for name, values in rates.items()}


def test_ratios_are_those_of_medians_and_goals_follow_from_them() -> None:
    said = report(figures(RATES), [1], {})
    assert said.ratios["tidegate / bare row loop, 1 metric"] == 1.6
    assert said.ratios["tidegate / bytewax, COPY, 1 metric"] is None
    assert said.ratios["ceiling / FastStream, batches and COPY, 1 metric"] == 7.5
    assert {goal.name: (goal.value, goal.met) for goal in said.goals} == {
        "tidegate / bare row loop, 1 metric": (1.6, True),
        "tidegate, detection off / wire limit, 1 metric": (0.9, True),
        "tidegate / quixstreams, PostgreSQL sink, 1 metric": (8.0, True),
        "tidegate / the better of quixstreams and FastStream, 1 metric": (4.0, False),
        "tidegate / Faust, take and executemany, 1 metric": (16.0, True),
    }


def test_the_better_of_two_is_not_known_while_one_is_missing() -> None:
    said = report(figures({name: values for name, values in RATES.items() if name != systems.FASTSTREAM}), [1], {})
    better = next(goal for goal in said.goals if "better" in goal.name)
    assert (better.value, better.met) == (None, False)
    (missing,) = (r for r in said.results if r.system == systems.FASTSTREAM and r.unit == "rows/s")
    assert missing.n == 0


def test_a_load_has_each_key_of_a_row_once_and_is_the_same_every_time() -> None:
    load = Load(metrics=5, readings=3, devices=4)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    records = list(load.records(now))
    assert [record.value for record in records] == [record.value for record in load.records(now)]
    readings = [decode(record.value, Reading) for record in records]
    keys = {(reading.device_id, reading.ts, metric) for reading in readings for metric in reading.metrics}
    assert len(keys) == load.rows == 60
    assert set(readings[0].metrics) == set(METRICS)
    assert all(record.key == reading.device_id.encode() for record, reading in zip(records, readings, strict=True))
    assert max(reading.ts for reading in readings) == now - INTERVAL
