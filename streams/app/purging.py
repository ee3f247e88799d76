"""Dead letters put away for good, put together: written down as purged, and deleted from Kafka where that can be."""

from collections.abc import Callable

from connectors.kafka.admin import Admin
from connectors.timescale.store import Store
from schemas.topics import DEAD_LETTERS
from streams.app.dlq import DeadLetters, Found
from streams.app.replay_plan import opened
from streams.dlq.selection import Selection
from streams.settings import Settings


def purge(
    letters: DeadLetters,
    who: str,
    on_read: Callable[[int], None],
    *,
    handled: bool = False,
) -> tuple[int, int]:
    """Put letters away, with `handled` those that were redriven, too; give how many, and how many Kafka has deleted.

    Kafka can delete from the start of a partition alone: up to the first letter that was not purged. What stays behind
    that is gone when its retention is over. Raises: what reading, Kafka and the database raise.
    """
    purged = 0
    with opened(letters.settings) as store:
        store.audit(who, "dlq purge", {"selection": letters.selection.told(), "left": letters.planned.left})
        for chunk in letters.found(store, on_read, with_handled=handled):
            meant = [found.letter for found in chunk if not _is_purged(found)]
            if meant:
                store.mark_letters(letters.doing(meant), "purged", DEAD_LETTERS.retention)
                purged += len(meant)
        deleted = _delete(letters.settings, store)
        store.audit(who, "dlq purged", {"letters": purged, "deleted": deleted})
    return purged, deleted


def _delete(settings: Settings, store: Store) -> int:
    """Delete what stands before the first letter of each partition that was not purged."""
    everything = DeadLetters(settings, Selection())
    log, firsts = everything.planned.left, dict[int, int]()
    for letters in everything.letters(lambda _: None):
        handled = store.handled_letters([one.said.id for one in letters]) if letters else {}
        for letter in letters:
            found = Found(letter, handled.get(letter.said.id))
            if not _is_purged(found):
                firsts.setdefault(letter.partition, letter.offset)
        if len(firsts) == len(log):
            break
    ends = {number: firsts.get(number, end) for number, (_, end) in log.items()}
    moved = {number: end for number, end in ends.items() if end > log[number][0]}
    if moved:
        Admin(settings.kafka).delete_before({(DEAD_LETTERS.name, number): end for number, end in moved.items()})
    return sum(end - log[number][0] for number, end in moved.items())


def _is_purged(found: Found) -> bool:
    return not found.is_open and found.handled is not None and found.handled.action == "purged"
