"""Dead letters, put together: read from their topic, with what was done with each, and grouped."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from connectors.kafka.admin import Admin
from connectors.timescale.handled import Doing, Handled
from connectors.timescale.store import Store
from schemas.codec import decode
from schemas.errors import PoisonError
from schemas.models import DeadLetter
from schemas.topics import DEAD_LETTERS
from streams.app.replay_plan import Wanted, opened, plan, read
from streams.dlq.letter import Letter
from streams.dlq.selection import Selection
from streams.replay.checkpoint import Checkpoint
from streams.settings import Settings

# How many letters are read, sent and written down at once.
CHUNK: Final = 1_000


class Found(NamedTuple):
    """A letter, and what was done with it, if anything was."""

    letter: Letter
    handled: Handled | None

    @property
    def is_open(self) -> bool:
        """Whether it waits for somebody: nothing was done, or it has come back since."""
        done = self.handled
        return done is None or self.letter.partition != done.partition or self.letter.offset >= done.until

    @property
    def came_back(self) -> bool:
        """Whether it was redriven, and refused again."""
        return self.handled is not None and self.is_open


@dataclass(slots=True)
class Group:
    """Letters of one stage and reason."""

    letters: int = 0
    came_back: int = 0
    devices: set[str] = field(default_factory=set)
    first: datetime | None = None
    last: datetime | None = None
    example: str = ""

    def add(self, found: Found) -> None:
        """Count a letter."""
        said = found.letter.said
        self.letters += 1
        self.came_back += found.came_back
        self.devices.add(found.letter.device)
        self.first = said.created if self.first is None else min(self.first, said.created)
        self.last = said.created if self.last is None else max(self.last, said.created)
        self.example = said.id


class DeadLetters:
    """The letters of a time, those that a selection is about."""

    def __init__(
        self,
        settings: Settings,
        selection: Selection,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> None:
        """Find out what there is to read.

        Raises:
            UnreachableError: Kafka does not answer.
            ReplayError: there is no such topic.

        """
        self.settings = settings
        self.selection = selection
        name = DEAD_LETTERS.name
        self.planned: Checkpoint = plan(settings, Wanted(name, name, since=since, until=until))
        # Where the log ends now: what stands there later was written after whatever is done with these letters.
        admin = Admin(settings.kafka)
        log = admin.bounds((name, number) for number in range(admin.topics([name])[name].partitions))
        self._ends = {number: bound.end for (_, number), bound in log.items()}
        self.unreadable = 0

    def doing(self, letters: Iterable[Letter]) -> list[Doing]:
        """Say of letters that something is done with them now. To be said before it is done."""
        return [Doing(one.said.id, one.partition, self._ends[one.partition]) for one in letters]

    @property
    def records(self) -> int:
        """How many records are to be read."""
        return sum(end - start for start, end in self.planned.left.values())

    # -- looking -------------------------------------------------------------------------------------------------------

    def groups(self, on_read: Callable[[int], None], *, with_handled: bool = False) -> dict[tuple[str, str], Group]:
        """Group letters by stage and reason. Raises: what reading and the database raise."""
        groups: dict[tuple[str, str], Group] = {}
        with opened(self.settings) as store:
            for chunk in self.found(store, on_read, with_handled=with_handled):
                for found in chunk:
                    said = found.letter.said
                    groups.setdefault((said.stage, said.reason), Group()).add(found)
        return groups

    def some(self, most: int, on_read: Callable[[int], None], *, with_handled: bool = False) -> list[Found]:
        """Give the first letters. Raises: as `groups`."""
        some: list[Found] = []
        with opened(self.settings) as store:
            for chunk in self.found(store, on_read, with_handled=with_handled):
                some += chunk[: most - len(some)]
                if len(some) >= most:
                    break
        return some

    def found(
        self, store: Store, on_read: Callable[[int], None], *, with_handled: bool = False
    ) -> Iterator[list[Found]]:
        """Read letters that are meant, each once, and those alone that are open, or all. Raises: as `groups`."""
        seen: set[str] = set()
        for letters in self.letters(on_read):
            meant = [one for one in letters if self.selection.holds(one)]
            handled = store.handled_letters([one.said.id for one in meant]) if meant else {}
            chunk = []
            for letter in meant:
                found = Found(letter, handled.get(letter.said.id))
                if letter.said.id not in seen and (found.is_open or with_handled):
                    seen.add(letter.said.id)
                    chunk.append(found)
            yield chunk

    def letters(self, on_read: Callable[[int], None]) -> Iterator[list[Letter]]:
        """Read all of the time, meant or not, again and again. Raises: what reading does."""
        for messages in read(self.settings, self.planned, on_read, most=CHUNK):
            letters = []
            for message in messages:
                try:
                    said = decode(message.value() or b"", DeadLetter)
                except PoisonError:
                    self.unreadable += 1
                    continue
                letters.append(Letter(said, int(message.partition() or 0), int(message.offset() or 0)))
            yield letters
