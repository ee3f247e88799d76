"""A partition's log in a few words, and a store to write it with."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from connectors.timescale.connection import DatabaseKind, connect, kind_of
from connectors.timescale.ledger import Marks, PartitionKey
from connectors.timescale.settings import ConflictPolicy, DatabaseSettings
from connectors.timescale.store import Store
from connectors.timescale.writer import Conflict, PartitionRows
from streams.columns.batch import ROW_SCHEMA

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCEPTED = datetime(2026, 3, 1, 13, tzinfo=UTC)

# One record with one metric: (seconds after START, value, seconds after ACCEPTED).
Record = tuple[float, float, float]


@pytest.fixture
def key() -> PartitionKey:
    return PartitionKey("cluster", "readings", "life-1", 0)


def columns(records: Sequence[Record], start: datetime, device: str) -> pa.RecordBatch:
    arrays = [
        pa.array([start + timedelta(seconds=after) for after, _, _ in records], ROW_SCHEMA.field("ts").type),
        pa.array([device] * len(records), pa.string()),
        pa.array(["temperature"] * len(records), pa.string()),
        pa.array([value for _, value, _ in records], pa.float64()),
        pa.array([ACCEPTED + timedelta(seconds=after) for *_, after in records], ROW_SCHEMA.field("accepted").type),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=ROW_SCHEMA)


@pytest.fixture
def part() -> Callable[..., PartitionRows]:
    """Make what one partition has to store: records one after the other from the offset `at`, all of one device."""

    def make(
        marked: tuple[PartitionKey, int],
        records: Sequence[Record],
        *,
        at: int = 0,
        start: datetime = START,
        device: str = "pump-7",
        poison: Sequence[int] = (),
    ) -> PartitionRows:
        owned, epoch = marked
        return PartitionRows(
            owned,
            epoch,
            next_offset=at + len(records) + len(poison),
            columns=columns(records, start, device),
            offsets=np.arange(at, at + len(records), dtype=np.int64),
            poison=np.array(poison, dtype=np.int64),
        )

    return make


@pytest.fixture
def kind(database: DatabaseSettings) -> DatabaseKind:
    with connect(database, autocommit=True) as connection:
        return kind_of(connection)


@pytest.fixture
def timescale(kind: DatabaseKind) -> None:
    if kind is not DatabaseKind.TIMESCALEDB:
        pytest.skip("needs TimescaleDB (TIDEGATE_TEST_TIMESCALE_URL)")


@pytest.fixture
def plain(kind: DatabaseKind) -> None:
    if kind is not DatabaseKind.POSTGRESQL:
        pytest.skip("is about PostgreSQL without TimescaleDB")


@pytest.fixture
def open_store(database: DatabaseSettings) -> Iterator[Callable[..., Store]]:
    """Open stores that are closed at the end."""
    opened: list[Store] = []

    def make(policy: ConflictPolicy = ConflictPolicy.FIRST, patience_s: float = 20.0) -> Store:
        opened.append(Store(database.model_copy(update={"conflict_policy": policy}), patience_s=patience_s))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()


@pytest.fixture
def claim(key: PartitionKey) -> Callable[..., Marks]:
    def take(by: Store, name: PartitionKey = key, *, log_start: int = 0, log_end: int = 10**6) -> Marks:
        return by.claim(name, owner="test", log_start=log_start, log_end=log_end)

    return take


@pytest.fixture
def owned(store: Store, key: PartitionKey, claim: Callable[..., Marks]) -> tuple[PartitionKey, int]:
    """The partition, claimed, with its epoch."""
    return key, claim(store).epoch


@pytest.fixture
def table(fetch: Callable[..., list[tuple[object, ...]]]) -> Callable[[], list[tuple[object, ...]]]:
    """Give what stands in `readings`, as (seconds after START, value, seconds after ACCEPTED)."""
    return lambda: fetch(
        "select extract(epoch from ts - %s)::float8, value, extract(epoch from accepted - %s)::float8"
        " from readings order by device_id, metric, ts",
        START,
        ACCEPTED,
    )


@pytest.fixture
def nobody() -> Callable[[Sequence[Conflict]], None]:
    """What to do with conflicts where there must be none."""

    def refuse(conflicts: Sequence[Conflict]) -> None:
        raise AssertionError(conflicts)

    return refuse


class Wire:
    """A proxy before the database that cuts the connection around a COMMIT, and is whole again after that."""

    def __init__(self, host: str, port: int) -> None:
        self.cuts = 0
        self.before_commit = self.after_commit = 0  # how many times still
        self._to = (host, port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(self._to, 5)
                server.settimeout(None)
                threading.Thread(target=self._pump, args=(client, server, self._asks), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, self._answers), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, cut: Callable[[bytes], bool]) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if cut(data):
                    self.cuts += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()  # the sink is closed by the other direction

    def _asks(self, data: bytes) -> bool:
        return self._now("before_commit", b"COMMIT\x00" in data)

    def _answers(self, data: bytes) -> bool:
        return self._now("after_commit", b"COMMIT\x00" in data)

    def _now(self, when: str, commits: bool) -> bool:  # noqa: FBT001  # what was seen in the data
        left: int = getattr(self, when)
        if commits and left:
            setattr(self, when, left - 1)
        return commits and left > 0


@pytest.fixture
def wire(database: DatabaseSettings) -> Iterator[Wire]:
    parts = conninfo_to_dict(database.url.get_secret_value())
    proxy = Wire(str(parts["host"]), int(str(parts.get("port", 5432))))
    yield proxy
    proxy.close()


@pytest.fixture
def wired_store(database: DatabaseSettings, wire: Wire) -> Iterator[Store]:
    """A store whose connections go through `wire`."""
    url = make_conninfo(database.url.get_secret_value(), host="127.0.0.1", port=wire.port, sslmode="disable")
    opened = Store(database.model_copy(update={"url": SecretStr(url)}), patience_s=20)
    yield opened
    opened.close()


@pytest.fixture
def until_blocked(fetch: Callable[..., list[tuple[object, ...]]]) -> Callable[[], None]:
    """Wait until some session waits for a lock of another."""

    def wait() -> None:
        end = time.monotonic() + 20
        while not fetch(
            "select 1 from pg_stat_activity"
            " where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0"
        ):
            assert time.monotonic() < end, "nobody waits"
            time.sleep(0.01)

    return wait


@pytest.fixture
def in_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool
