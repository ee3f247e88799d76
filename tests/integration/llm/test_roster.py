"""The list of endpoints in a file: what changes there changes the pool."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.clock import SystemClock
from connectors.errors import ConnectorError
from connectors.llm.pool import Pool
from connectors.llm.roster import Roster, read
from tests.fakes.stand_in import StandIn
from tests.integration.llm.test_pool import ask

KEY = "sk-do-not-show"


class File:
    """The list, as its owner writes it."""

    def __init__(self, path: Path, stand_in: StandIn) -> None:
        self.path = path
        self._common = {"base_url": stand_in.url, "api_key": KEY}
        self._written = 0

    def write(self, *endpoints: dict[str, object]) -> None:
        self.text(json.dumps([self._common | endpoint for endpoint in endpoints]))

    def text(self, text: str) -> None:
        self.path.write_text(text)
        # Two writes may fall into one tick of the file system's clock.
        self._written += 1
        os.utime(self.path, (self._written, self._written))


@pytest.fixture
def file(tmp_path: Path, stand_in: StandIn) -> File:
    return File(tmp_path / "endpoints.json", stand_in)


async def test_endpoints_come_and_go_with_the_file(file: File) -> None:
    file.write({"name": "a", "model": "ok"}, {"name": "b", "model": "ok"})
    async with Pool(read(file.path), SystemClock(), timeout_s=2.0) as pool:
        roster = Roster(file.path, pool)
        file.write({"name": "b", "model": "ok", "weight": 2.0}, {"name": "c", "model": "ok"})
        kept = pool.members["b"]
        await roster.look()
        assert set(pool.members) == set(pool.balancer.states) == {"b", "c"}
        assert pool.members["b"] is not kept, "it has changed"
        same = pool.members["b"]
        await roster.look()
        assert pool.members["b"] is same
        assert await ask(pool) == "ok"


async def test_a_file_that_says_nothing_usable_changes_nothing(file: File, caplog: pytest.LogCaptureFixture) -> None:
    file.write({"name": "a", "model": "ok"})
    async with Pool(read(file.path), SystemClock(), timeout_s=2.0) as pool:
        roster = Roster(file.path, pool)
        bad: list[Callable[[], None]] = [
            lambda: file.text("{"),
            lambda: file.text("[]"),
            lambda: file.write({"name": "b", "modell": "ok"}),
            lambda: file.write({"name": "b"}, {"name": "b"}),
            lambda: file.write({"name": "b"}, {"name": "c", "base_url": "nowhere"}),
            file.path.unlink,
        ]
        for number, spoil in enumerate(bad, start=1):
            spoil()
            await roster.look()
            await roster.look()
            assert set(pool.members) == {"a"}
            assert len(caplog.records) == number, "each is said once"
        assert await ask(pool) == "ok"
        file.write({"name": "c", "model": "ok"})
        await roster.look()
        assert set(pool.members) == {"c"}
    assert KEY not in caplog.text
    assert "TIDEGATE_LLM__ENDPOINTS_FILE" in caplog.text


def test_at_the_start_a_bad_file_is_an_error(file: File) -> None:
    with pytest.raises(ConnectorError, match="TIDEGATE_LLM__ENDPOINTS_FILE"):
        read(file.path)
    file.text('[{"name": "a", "api_key": {"not": "' + KEY + '"}}]')
    with pytest.raises(ConnectorError, match=r"0\.api_key") as error:
        read(file.path)
    assert KEY not in str(error.value)
