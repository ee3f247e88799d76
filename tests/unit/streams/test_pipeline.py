"""What `tidegate up` prints of servers that it did not start: where they are, and no secret."""

import pytest

from connectors.embedded.server import Server
from streams.pipeline import shown_database, shown_redis


class Held:
    """Something that keeps a server of ours running."""

    alive = True

    def stop(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://u:s3cret@h:5433/d", "postgresql://h:5433/d"),
        ("postgresql://u@h/d?password=s3cret", "postgresql://h:5432/d"),
        ("postgresql://u:s3cret@a:1,b:2/d", "postgresql://a,b:1,2/d"),
        ("host=h dbname=d user=u password=s3cret", "postgresql://h:5432/d"),
    ],
)
def test_a_given_database_is_shown_without_its_password(address: str, shown: str) -> None:
    assert shown_database(Server("given", address, "", "")) == shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://:s3cret@h:6380/2", "redis://h:6380/2"),
        ("rediss://u:s3cret@h", "rediss://h:6379/0"),
        ("redis://h:1/0?password=s3cret", "redis://h:1/0"),
        ("unix://:s3cret@/run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_a_given_redis_is_shown_without_its_password(address: str, shown: str) -> None:
    assert shown_redis(Server("given", address, "", "")) == shown


def test_our_own_servers_are_shown_whole() -> None:
    url = "postgresql://tidegate:made-here@127.0.0.1:1/tidegate"
    assert shown_database(Server("postgresql", url, "", "", held=(Held(),))) == url
    assert shown_redis(Server("valkey", "redis://127.0.0.1:1/0", "", "", held=(Held(),))) == "redis://127.0.0.1:1/0"
