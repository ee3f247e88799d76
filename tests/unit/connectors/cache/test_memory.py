import pytest
from pydantic import BaseModel

from connectors.cache.entry import Entry, Key
from connectors.cache.memory import Memory


class Text(BaseModel):
    text: str


def key(n: int) -> Key:
    return Key("acme", f"{n:064x}")


def entry(n: int, expires: float = 100.0) -> Entry[Text]:
    return Entry(tenant="acme", digest=f"{n:064x}", value=Text(text="x"), made=0, fresh_until=expires, expires=expires)


def kept(memory: Memory[Text], *numbers: int) -> list[int]:
    return [n for n in numbers if memory.get(key(n), 0.0) is not None]


def test_there_are_no_more_entries_than_may_be_however_small() -> None:
    memory: Memory[Text] = Memory(most_bytes=1000, most_entries=4)
    for n in range(6):
        memory.put(entry(n), 1)
    assert len(memory) == 4
    assert kept(memory, *range(6)) == [2, 3, 4, 5]


def test_there_are_no_more_bytes_than_may_be_however_few_the_entries() -> None:
    memory: Memory[Text] = Memory(most_bytes=1000, most_entries=100)
    for n in range(4):
        memory.put(entry(n), 400)
    assert kept(memory, *range(4)) == [2, 3]
    assert memory.bytes == 800


def test_what_was_used_last_stays_longest() -> None:
    memory: Memory[Text] = Memory(most_bytes=1000, most_entries=2)
    memory.put(entry(1), 1)
    memory.put(entry(2), 1)
    assert memory.get(key(1), 0.0) is not None
    memory.put(entry(3), 1)
    assert kept(memory, 1, 2, 3) == [1, 3]


def test_what_does_not_fit_at_all_is_not_kept_and_neither_is_what_it_replaces() -> None:
    memory: Memory[Text] = Memory(most_bytes=1000, most_entries=2)
    memory.put(entry(1), 1)
    memory.put(entry(2), 1)
    memory.put(entry(1), 1001)
    assert kept(memory, 1, 2) == [2]


def test_a_hit_does_not_make_it_live_longer() -> None:
    memory: Memory[Text] = Memory(most_bytes=1000, most_entries=2)
    memory.put(entry(1, expires=10.0), 1)
    assert memory.get(key(1), 9.9) is not None
    assert memory.get(key(1), 10.0) is None
    assert len(memory) == 0


def test_what_is_removed_is_gone() -> None:
    memory: Memory[Text] = Memory(most_bytes=1000, most_entries=2)
    memory.put(entry(1), 1)
    memory.put(entry(2), 1)
    memory.remove(key(1))
    assert kept(memory, 1, 2) == [2]
    memory.clear()
    assert len(memory) == 0


@pytest.mark.parametrize(("most_bytes", "most_entries"), [(0, 1), (1, 0)])
def test_a_memory_without_room_is_refused(most_bytes: int, most_entries: int) -> None:
    with pytest.raises(ValueError, match="room"):
        Memory[Text](most_bytes=most_bytes, most_entries=most_entries)
