import logging

import pytest

from connectors.errors import UnreachableError
from streams.agents.upkeep import Upkeep


async def test_what_fails_is_said_once_until_it_works_again(caplog: pytest.LogCaptureFixture) -> None:
    away = True

    async def do() -> None:
        if away:
            raise UnreachableError("Redis", "127.0.0.1:1", "TIDEGATE_REDIS__URL")

    caplog.set_level(logging.INFO)
    upkeep = Upkeep("telling", do, every_s=5.0)
    assert upkeep.every_s == 5.0
    assert [await upkeep.look() for _ in range(3)] == [False] * 3
    away = False
    assert [await upkeep.look() for _ in range(3)] == [True] * 3
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("telling: Redis does not answer")
    assert second == "telling: works again"


async def test_a_mistake_of_ours_is_not_hidden() -> None:
    async def do() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Upkeep("dividing", do, every_s=1.0).look()
