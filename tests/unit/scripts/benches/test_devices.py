"""The bench `devices`: fleets send what a worker accepts, and what is said follows from what was found."""

from scripts.benches.devices import Swept, picture, report, sweep
from scripts.benches.fleet import Fleet, Worker
from streams.columns.decode import decode


def test_a_fleet_sends_every_device_in_turns_in_the_order_of_time() -> None:
    fleet = Fleet(devices=30, batch=20, partitions=4)
    seen: dict[str, list[int]] = {}
    for batch in fleet.batches(240):
        records, poison = decode(batch)
        assert not poison
        names = records.columns.column("device_id").to_pylist()
        assert {int(name.removeprefix("bench-")) % 4 for name in names} == {batch.partition}
        for name, ts in zip(names, records.columns.column("ts").cast("int64").to_pylist(), strict=True):
            seen.setdefault(name, []).append(ts)
    assert len(seen) == 30
    assert all(times == sorted(set(times)) for times in seen.values())


def test_a_worker_knows_the_fleet_after_a_sweep() -> None:
    found = sweep((8, 64), 2, lambda _what: None)
    assert list(found) == [8, 64]
    for swept in found.values():
        assert len(swept.cpu_us) == 2
        assert all(cost > 0 for cost in swept.cpu_us)
        assert swept.detector_bytes > 0


def test_the_fleet_is_taken_whole() -> None:
    worker = Worker()
    for batch in Fleet(devices=16, batch=50).batches(400):
        worker.take(batch)
    assert sum(len(detector.table) for detector in worker.detectors.values()) == 16


def test_goals_compare_each_size_with_the_smallest() -> None:
    found = {
        1000: Swept([1.0, 1.2, 1.1], detector_bytes=700.0, sightings_bytes=60.0),
        1_000_000: Swept([1.32], detector_bytes=1100.0, sightings_bytes=60.0),
    }
    said = report(found, {})
    assert said.ratios == {"CPU, 1,000,000 devices / 1,000 devices": 1.32 / 1.1}
    flat, memory = said.goals
    assert (round(flat.value or 0, 3), flat.met) == (0.2, False)
    assert (memory.value, memory.met) == (1100.0, False)
    shown = picture(found)
    assert list(shown.x) == [1000, 1_000_000]
    assert shown.plots[1].lines["detector"] == [700.0, 1100.0]
