"""What a fleet needs follows from what was measured, and more never needs less."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.planning import BYTES_A_ROW, BYTES_A_ROW_COLUMNAR, DAY_S, FEWEST_PARTITIONS, GIB, Fleet, plan

FLEETS = st.builds(
    Fleet,
    devices=st.integers(1, 10_000_000),
    rate=st.floats(0.01, 1e7),
    metrics=st.integers(1, 50),
    alarms=st.floats(0, 10),
    cached=st.floats(0, 1),
    kept_days=st.floats(1, 4000),
    columnar=st.booleans(),
)


def needs(fleet: Fleet) -> dict[str, float]:
    return {need.what: need.amount for need in plan(fleet)}


@given(FLEETS)
def test_more_never_needs_less(fleet: Fleet) -> None:
    less = needs(fleet)
    for more in (replace(fleet, rate=2 * fleet.rate), replace(fleet, metrics=fleet.metrics + 1)):
        for what, amount in needs(more).items():
            # Of the memory of each worker there may be less, as there are more workers; chunks get shorter, and their
            # index fits into the same memory.
            less_is_fine = what in {"memory of each", "a chunk", "the database's memory"}
            assert amount >= less[what] * (1 - 1e-9) or less_is_fine, what
    assert less["partitions"] >= max(FEWEST_PARTITIONS, less["ingest workers"])


def test_disks_are_days_of_rows() -> None:
    fleet = Fleet(devices=1, rate=1.0, kept_days=10.0, plain_days=3.0)
    assert needs(fleet)["the database's disk"] == pytest.approx(
        DAY_S * (3 * BYTES_A_ROW + 7 * BYTES_A_ROW_COLUMNAR) / GIB
    )
    plain = replace(fleet, columnar=False)
    assert needs(plain)["the database's disk"] == pytest.approx(DAY_S * 10 * BYTES_A_ROW / GIB)


def test_the_index_of_the_newest_chunk_fits_into_a_quarter_of_the_memory() -> None:
    fleet = Fleet(devices=1, rate=50_000.0)
    found = needs(fleet)
    assert 1 <= found["a chunk"] < 24
    assert found["the database's memory"] == pytest.approx(fleet.database_memory_gib)
    # An hour is the least; then it takes more memory.
    large = needs(replace(fleet, rate=1e6))
    assert large["a chunk"] == 1
    assert large["the database's memory"] > fleet.database_memory_gib


def test_a_region_stores_what_all_accept_and_watches_what_it_does_when_another_is_gone() -> None:
    alone = Fleet(devices=3_000_000, rate=300_000.0)
    three = needs(replace(alone, regions=3))
    assert three["rows"] == needs(alone)["rows"]
    assert three["of them accepted here"] == 150_000
    assert three["readings from others"] == 200_000
    assert three["insights"] == needs(alone)["insights"] / 2
    assert three["the database's disk"] == needs(alone)["the database's disk"]
    assert not any("other" in what for what in needs(alone))


def test_it_can_be_asked_for() -> None:
    command = [sys.executable, "-m", "streams.cli.main", "plan", "--devices", "1e6", "--rate", "100000"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603  # our own command
    told = json.loads(done.stdout)
    assert told["fleet"]["devices"] == 1_000_000
    assert all(need["because"] for need in told["needs"])
    people = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603  # the same
    assert "partitions" in people.stdout
    wrong = subprocess.run([*command[:-2], "--rate", "0"], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603  # the same
    assert wrong.returncode == 2
