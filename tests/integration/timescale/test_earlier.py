"""What is known of a series from before its first reading here: as much as was known when that was accepted."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest
from psycopg import Connection

from connectors.timescale import earlier
from connectors.timescale.connection import connect
from connectors.timescale.earlier import DAYS, READINGS, Since
from connectors.timescale.ledger import Row
from connectors.timescale.settings import DatabaseSettings
from schemas.instants import to_micros
from tests.integration.timescale.conftest import ACCEPTED, START

pytestmark = pytest.mark.database

INSERT = "insert into readings (ts, device_id, metric, value, accepted) values (%s, %s, %s, %s, %s)"
SECOND = timedelta(seconds=1)

Insert = Callable[[Sequence[tuple[float, float, float]]], None]


@pytest.fixture
def connection(database: DatabaseSettings) -> Iterator["Connection[Row]"]:
    with connect(database, autocommit=True) as opened:
        opened.execute("delete from readings")
        yield opened


@pytest.fixture
def insert(connection: "Connection[Row]") -> Insert:
    """Store readings of one series: seconds after START, value, seconds after ACCEPTED."""

    def put(rows: Sequence[tuple[float, float, float]]) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(
                INSERT,
                [(START + ts * SECOND, "pump-7", "t", value, ACCEPTED + late * SECOND) for ts, value, late in rows],
            )

    return put


def since(ts: float, accepted: float, *, device: str = "pump-7", metric: str = "t") -> Since:
    return Since(device, metric, START + ts * SECOND, ACCEPTED + accepted * SECOND)


def test_readings_before_it_come_oldest_first(connection: "Connection[Row]", insert: Insert) -> None:
    insert([(3, 30.0, 3), (1, 10.0, 1), (2, 20.0, 2), (5, 50.0, 5)])
    (found, other, nothing) = earlier.read(connection, [since(5, 5), since(2, 5), since(5, 5, metric="another")])
    assert found[0].tolist() == [to_micros(START + at * SECOND) for at in (1, 2, 3)]
    assert found[1].tolist() == [10.0, 20.0, 30.0]
    assert other[1].tolist() == [10.0]
    assert nothing[1].tolist() == []


def test_what_came_later_does_not_count(connection: "Connection[Row]", insert: Insert) -> None:
    insert([(1, 10.0, 1), (2, 20.0, 60)])
    (found,) = earlier.read(connection, [since(5, 30)])
    assert found[1].tolist() == [10.0]


def test_the_newest_of_the_days_before_and_no_more(connection: "Connection[Row]", insert: Insert) -> None:
    insert([(-DAYS * 86_400 - 1, -1.0, 0), *((at, float(at), 0) for at in range(READINGS + 10))])
    (all_of_it,) = earlier.read(connection, [since(READINGS + 10, 1)])
    assert all_of_it[1].tolist() == [float(at) for at in range(10, READINGS + 10)]
    (few,) = earlier.read(connection, [since(1, 1)])
    assert few[1].tolist() == [0.0]


def test_who_has_spoken_since(connection: "Connection[Row]", insert: Insert) -> None:
    insert([(1, 10.0, 1), (9, 90.0, 60)])
    asked = [since(5, 60), since(5, 59), since(9, 60), since(0, 1), since(5, 60, device="pump-8")]
    assert earlier.spoke_since(connection, asked) == [True, False, False, True, False]


def test_nobody_is_asked_about(connection: "Connection[Row]") -> None:
    assert (earlier.read(connection, []), earlier.spoke_since(connection, [])) == ([], [])
