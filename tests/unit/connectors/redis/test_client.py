"""A Redis that cannot be used is named by its address, never by its password."""

import pytest
from pydantic import SecretStr

from connectors.errors import UnreachableError
from connectors.redis.client import connect
from connectors.redis.settings import RedisSettings


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@127.0.0.1:1/0",
        "redis://:s3cret@127.0.0.1:99999/0",
        "redis://:s3cret@127.0.0.1:port/0",
        "http://:s3cret@127.0.0.1:1",
        "s3cret",
    ],
)
def test_what_does_not_answer_is_said_without_secrets(url: str) -> None:
    with pytest.raises(UnreachableError, match="TIDEGATE_REDIS__URL") as caught:
        connect(RedisSettings(url=SecretStr(url), connect_timeout_s=1.0))
    assert "s3cret" not in str(caught.value)
