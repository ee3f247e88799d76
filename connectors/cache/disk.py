"""L3: answers in a folder, on this machine's disk or on a network file system that several machines share.

The library (diskcache) keeps them in an SQLite database and is safe with several processes. It would unpickle what it
finds, and open files whose names stand in the database: both are refused here, as anybody may have written them.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import diskcache

from connectors.errors import ConnectorError

T = TypeVar("T")

SETTING: Final = "TIDEGATE_CACHE__DIR"
# How long a statement waits for another process. One thread: opening, and beginning anew, are not for two.
BUSY_S, THREADS = 1.0, 1
_RAW: Final = 1  # the library's word for a value that stands in the database as it is
_FILES: Final = ("cache.db", "cache.db-wal", "cache.db-shm", "cache.db-journal")

log = logging.getLogger(__name__)


class DiskError(ConnectorError):
    """The folder cannot be used."""


class _Bytes(diskcache.Disk):  # type: ignore[misc]  # the library has no types
    """Keys are texts and values are bytes, in the database, and nothing else ever."""

    def put(self, key: object) -> tuple[str, bool]:
        if not isinstance(key, str):
            self._refuse()
        return key, True

    def get(self, key: object, raw: object) -> str:
        if not raw or not isinstance(key, str):
            self._refuse()
        return key

    def store(self, value: object, read: object, key: object = None) -> tuple[int, int, None, bytes]:
        if read or not isinstance(key, str | None) or not isinstance(value, bytes):
            self._refuse()
        return len(value), _RAW, None, value

    def fetch(self, mode: object, filename: object, value: object, read: object) -> bytes:
        if mode != _RAW or filename is not None or not isinstance(value, bytes) or read:
            self._refuse()
        return value

    def remove(self, file_path: object) -> None:
        """No file is of ours: one whose name stands in the database is somebody else's, and stays."""

    @staticmethod
    def _refuse() -> NoReturn:
        message = "only bytes are kept, under texts"
        raise TypeError(message)


class Disk:
    """Answers in a folder; what was stored first goes first when it is full."""

    def __init__(self, folder: Path, *, most_bytes: int, shared: bool = False) -> None:
        """Nothing is opened yet. On a file system that several machines share, SQLite may not share memory."""
        self._folder = folder
        self._most_bytes = most_bytes
        self._shared = shared
        self._kept: diskcache.Cache | None = None
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="cache-disk")

    async def get(self, key: str) -> bytes | None:
        """Give what is kept under a key.

        Raises:
            DiskError: the folder cannot be used.

        """
        return await self._do(lambda kept: self._read(kept, key))

    async def put(self, key: str, data: bytes, *, ttl_s: float) -> None:
        """Keep it for so many seconds, at the most.

        Raises:
            DiskError: the folder cannot be used, or the disk is full.

        """
        await self._do(lambda kept: kept.set(key, data, expire=ttl_s))

    async def remove(self, key: str) -> None:
        """Forget it, if it is there.

        Raises:
            DiskError: the folder cannot be used.

        """
        await self._do(lambda kept: kept.delete(key))

    async def size(self) -> tuple[int, int]:
        """Count the entries, and the bytes on the disk.

        Raises:
            DiskError: the folder cannot be used.

        """
        return await self._do(lambda kept: (len(kept), kept.volume()))

    async def close(self) -> None:
        """Close the database."""
        if self._kept is not None:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._kept.close)
        self._threads.shutdown()

    async def _do(self, work: Callable[["diskcache.Cache"], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._try, work)

    # -- on a thread ---------------------------------------------------------------------------------------------------

    def _try(self, work: Callable[["diskcache.Cache"], T]) -> T:
        try:
            try:
                return work(self._open())
            except sqlite3.OperationalError:
                raise  # locked, full, not to be opened: nothing is wrong with the file
            except sqlite3.DatabaseError as error:
                self._begin_anew(error)
                return work(self._open())
        except (OSError, sqlite3.Error, diskcache.Timeout) as error:
            reason = f"{type(error).__name__}: {error}"
            raise DiskError(
                f"The cache in {self._folder} cannot be used ({reason}). Its folder is {SETTING}."
            ) from None

    def _open(self) -> "diskcache.Cache":
        if self._kept is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._kept = diskcache.Cache(
                str(self._folder),
                disk=_Bytes,
                timeout=BUSY_S,
                size_limit=self._most_bytes,
                eviction_policy="least-recently-stored",
                # The write-ahead log and mapped memory need one machine's shared memory (sqlite.org/wal.html).
                sqlite_journal_mode="delete" if self._shared else "wal",
                sqlite_mmap_size=0 if self._shared else 2**26,
            )
        return self._kept

    def _begin_anew(self, error: Exception) -> None:
        log.warning("the cache in %s is damaged (%s): it begins anew", self._folder, error)
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()
        for name in _FILES:
            (self._folder / name).unlink(missing_ok=True)

    @staticmethod
    def _read(kept: "diskcache.Cache", key: str) -> bytes | None:
        try:
            found = kept.get(key)
        except TypeError:  # what stands there is not ours
            kept.delete(key)
            return None
        return found if isinstance(found, bytes) else None
