import socket
import time
import traceback
from collections.abc import Iterator

import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from connectors.errors import ConnectorError, UnreachableError
from connectors.timescale.connection import connect
from connectors.timescale.settings import DatabaseSettings

pytestmark = pytest.mark.database

PASSWORD = "s3cret-that-stays-one"


def shown(error: BaseException) -> str:
    """Everything that a log or a terminal would show of it."""
    return "".join(traceback.format_exception(error))


def refused(url: str, seconds: float = 1.0) -> ConnectorError:
    began = time.monotonic()
    with pytest.raises(ConnectorError) as caught:
        connect(DatabaseSettings(url=SecretStr(url), connect_timeout_s=seconds))
    assert time.monotonic() - began < seconds + 1.5
    assert PASSWORD not in shown(caught.value)
    assert "TIDEGATE_DATABASE__URL" in str(caught.value)
    return caught.value


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_nobody_listens() -> None:
    port = free_port()
    error = refused(f"postgresql://someone:{PASSWORD}@127.0.0.1:{port}/tidegate")
    assert isinstance(error, UnreachableError)
    assert f"127.0.0.1:{port}/tidegate" in str(error)


def test_nobody_answers(black_hole: int) -> None:
    error = refused(f"postgresql://someone:{PASSWORD}@127.0.0.1:{black_hole}/tidegate", seconds=2)
    assert isinstance(error, UnreachableError)
    assert f"127.0.0.1:{black_hole}/tidegate" in str(error)
    assert "timeout" in str(error)


def test_a_password_that_is_wrong(empty_database: DatabaseSettings) -> None:
    url = make_conninfo(empty_database.url.get_secret_value(), password=PASSWORD)
    try:
        connect(DatabaseSettings(url=SecretStr(url))).close()
    except UnreachableError:
        assert "password authentication failed" in str(refused(url, seconds=5))
    else:
        pytest.skip("this server asks for no password")


def test_a_database_that_is_not_there(empty_database: DatabaseSettings) -> None:
    error = refused(make_conninfo(empty_database.url.get_secret_value(), dbname="nowhere"), seconds=5)
    assert '"nowhere" does not exist' in str(error)


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://someone:{PASSWORD}@127.0.0.1/tidegate",
        f"postgresql://someone:{PASSWORD}%zz@127.0.0.1/tidegate",
        f"postgresql://someone:p@{PASSWORD}@127.0.0.1/tidegate",
        f"postgresql://someone:{PASSWORD}@[127.0.0.1/tidegate",
        f"user=someone password={PASSWORD} host",
    ],
)
def test_an_address_that_is_none_is_answered_with_what_one_looks_like(url: str) -> None:
    error = refused(url)
    assert "postgresql://user:password@host:5432/name" in str(error)


def test_a_port_that_is_none() -> None:
    assert 'invalid integer value "port"' in str(refused(f"postgresql://someone:{PASSWORD}@127.0.0.1:port/tidegate"))


def test_sessions_speak_utc_and_wait_for_no_lock_forever(database: DatabaseSettings) -> None:
    with connect(database) as connection:
        shown_settings = [
            connection.execute(f"show {name}".encode()).fetchone()
            for name in ("timezone", "lock_timeout", "idle_in_transaction_session_timeout", "application_name")
        ]
    assert shown_settings == [("UTC",), ("1min",), ("2min",), ("tidegate",)]
