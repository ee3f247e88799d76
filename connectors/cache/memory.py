"""L1: answers in the memory of this process, the least recently used going first."""

from typing import Generic, TypeVar

from cachetools import LRUCache
from pydantic import BaseModel

from connectors.cache.entry import Entry, Key

V = TypeVar("V", bound=BaseModel)


class Memory(Generic[V]):
    """So many entries and so many bytes at the most; for one event loop.

    Entries are kept as they were read, so a hit decodes nothing; their size is that of their bytes elsewhere.
    """

    def __init__(self, *, most_bytes: int, most_entries: int) -> None:
        """Nothing is kept yet.

        Raises:
            ValueError: there is no room for anything.

        """
        if min(most_bytes, most_entries) < 1:
            raise ValueError("a memory has room for one entry of one byte at the least")
        # The library bounds one sum. An entry smaller than its share of the bytes counts as its share, which bounds
        # their number as well.
        self._share = most_bytes / most_entries
        self._kept: LRUCache[Key, tuple[Entry[V], int]] = LRUCache(most_bytes, getsizeof=self._weight)

    def _weight(self, kept: tuple[Entry[V], int]) -> float:
        return max(kept[1], self._share)

    def get(self, key: Key, now: float) -> Entry[V] | None:
        """Give an entry that has not expired."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found[0].expires <= now:
            del self._kept[key]
            return None
        return found[0]

    def put(self, entry: Entry[V], size: int) -> None:
        """Keep an entry of so many bytes, if it fits at all."""
        if size <= self._kept.maxsize:
            self._kept[entry.key] = (entry, size)
        else:
            self.remove(entry.key)

    def remove(self, key: Key) -> None:
        """Forget an entry."""
        self._kept.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """How many bytes the entries have, as far as they count."""
        return round(self._kept.currsize)
