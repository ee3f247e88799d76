import asyncio
import pickle
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connectors.cache.disk import Disk, DiskError

KEY, OTHER = "a" * 64, "b" * 64


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    opened = Disk(tmp_path / "cache", most_bytes=2**20)
    yield opened
    await opened.close()


async def test_what_was_kept_is_there_for_a_while_and_gone_when_it_is_removed(disk: Disk) -> None:
    assert await disk.get(KEY) is None
    await disk.put(KEY, b"answer", ttl_s=60)
    assert await disk.get(KEY) == b"answer"
    await disk.remove(KEY)
    await disk.remove(KEY)
    assert await disk.get(KEY) is None


async def test_what_has_expired_is_gone(disk: Disk) -> None:
    await disk.put(KEY, b"answer", ttl_s=0.001)
    await asyncio.sleep(0.01)
    assert await disk.get(KEY) is None


@pytest.mark.parametrize("shared", [False, True])
async def test_two_that_share_a_folder_see_the_same(tmp_path: Path, *, shared: bool) -> None:
    one, two = (Disk(tmp_path, most_bytes=2**20, shared=shared) for _ in range(2))
    try:
        await one.put(KEY, b"answer", ttl_s=60)
        assert await two.get(KEY) == b"answer"
        await two.remove(KEY)
        assert await one.get(KEY) is None
    finally:
        await one.close()
        await two.close()


async def test_it_holds_no_more_than_it_may(tmp_path: Path) -> None:
    disk = Disk(tmp_path, most_bytes=2**18)
    try:
        for n in range(200):
            await disk.put(f"{n:064x}", bytes(10_000), ttl_s=60)
        entries, _ = await disk.size()
        assert 0 < entries < 60
        assert await disk.get(f"{199:064x}") == bytes(10_000)
    finally:
        await disk.close()


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("it was unpickled",))


async def test_nothing_is_unpickled_and_no_file_is_opened(disk: Disk, tmp_path: Path) -> None:
    await disk.put(KEY, b"answer", ttl_s=60)
    await disk.put(OTHER, b"answer", ttl_s=60)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    with sqlite3.connect(tmp_path / "cache" / "cache.db") as database:
        database.execute("UPDATE Cache SET mode = 4, value = ? WHERE key = ?", (pickle.dumps(Bomb()), KEY))
        database.execute("UPDATE Cache SET mode = 2, filename = ?, value = NULL WHERE key = ?", (str(secret), OTHER))
    database.close()
    assert await disk.get(KEY) is None
    assert await disk.get(OTHER) is None
    assert secret.exists()
    assert await disk.size() == (0, (await disk.size())[1])


async def test_a_damaged_file_is_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Disk(tmp_path, most_bytes=2**20)
    await first.put(KEY, b"answer", ttl_s=60)
    await first.close()
    for name in ("cache.db-wal", "cache.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "cache.db").write_bytes(b"this is no database" * 1000)
    again = Disk(tmp_path, most_bytes=2**20)
    try:
        assert await again.get(KEY) is None
        await again.put(KEY, b"answer", ttl_s=60)
        assert await again.get(KEY) == b"answer"
        assert "begins anew" in caplog.text
    finally:
        await again.close()


async def test_a_folder_that_cannot_be_used_is_said_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    disk = Disk(tmp_path / "file", most_bytes=2**20)
    with pytest.raises(DiskError, match="TIDEGATE_CACHE__DIR"):
        await disk.get(KEY)
    await disk.close()
