"""Dead letters sent again, put together: to the stages that take them now; and what was done is written down."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from connectors.clock import Clock, SystemClock
from connectors.kafka.bulk import BulkProducer
from connectors.timescale.replays import Begun
from connectors.timescale.store import Store
from schemas.origin import headers, new_secret
from schemas.topics import DEAD_LETTERS
from streams.app.dlq import CHUNK, DeadLetters, Found
from streams.app.replay_plan import opened
from streams.dlq.letter import Letter
from streams.dlq.mending import Mending
from streams.dlq.stages import Again, Marked, Stages, StaysError
from streams.replay.pace import Pace
from streams.settings import Settings

MOST_EXAMPLES: Final = 5
ERASED: Final = "its device was erased"
UNKNOWN_MESSAGE: Final = "no such message of a webhook is dead"


@dataclass(slots=True)
class Outcome:
    """What became of letters: how many were sent again, by where to; how many stay, by why, with examples."""

    run: str
    sent: Counter[str] = field(default_factory=Counter)
    stays: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def stay(self, letter: Letter, why: str) -> None:
        """Count one that stays."""
        why = f"{letter.said.stage}: {why}"[:200]
        self.stays[why] += 1
        shown = self.examples.setdefault(why, [])
        if len(shown) < MOST_EXAMPLES:
            shown.append(letter.said.id)


@dataclass(frozen=True, slots=True)
class How:
    """How letters are sent again: mended, read as payloads of MQTT or not, so many a second."""

    mending: Mending = field(default_factory=Mending)
    as_payload: bool = False
    rate: float | None = None


def would_redrive(letters: DeadLetters, how: How, on_read: Callable[[int], None]) -> Outcome:
    """Say what redriving would come to; nothing is sent. Raises: what reading and the database raise."""
    outcome = Outcome("")
    stages = _stages(letters.settings, how, lambda *_: {})
    with opened(letters.settings) as store:
        erased = store.erased_devices()
        for chunk in letters.found(store, on_read):
            for letter, again in _again(chunk, stages, erased, outcome):
                outcome.sent[_where(letter, again)] += 1
    return outcome


class Redrive:
    """Sends letters to their stages again; `outcome` is what has become of them so far, whatever ends it."""

    def __init__(self, letters: DeadLetters, how: How, who: str, clock: Clock | None = None) -> None:
        """Nothing is sent yet."""
        self._letters = letters
        self._how = how
        self._who = who
        self._clock = clock or SystemClock()
        self.outcome = Outcome(str(uuid.uuid4()))

    def run(self, on_read: Callable[[int], None]) -> None:
        """Send all that are taken now.

        A letter is written down as redriven when Kafka has confirmed what it became. Whoever is stopped in between, and
        begins anew, sends up to `CHUNK` of them twice.

        Raises: what reading, writing and the database raise.

        """
        settings, outcome = self._letters.settings, self.outcome
        pace = Pace(self._how.rate, self._clock)
        with opened(settings) as store:
            secret = store.begin_replay(self._begun(), new_secret(settings.shared, outcome.run))
            stages = _stages(settings, self._how, partial(headers, outcome.run.encode(), secret))
            erased, done, producer = store.erased_devices(), False, BulkProducer(settings.kafka)
            try:
                for chunk in self._letters.found(store, on_read):
                    agains = list(_again(chunk, stages, erased, outcome))
                    for part in _parts(agains, pace.most(CHUNK)):
                        pace.wait(len(part))
                        self._send(part, store, producer)
                done = True
            finally:
                producer.close()
                store.end_replay(outcome.run, outcome.sent.total(), done=done, who=self._who)

    def _send(self, part: Sequence[tuple[Letter, Again]], store: Store, producer: BulkProducer) -> None:
        producer.publish([record for _, again in part for record in again.records])
        sent = []
        for letter, again in part:
            if again.message is not None and not store.revive_delivery(*again.message):
                self.outcome.stay(letter, UNKNOWN_MESSAGE)
                continue
            sent.append(letter)
            self.outcome.sent[_where(letter, again)] += 1
        if sent:
            store.mark_letters(self._letters.doing(sent), "redriven", DEAD_LETTERS.retention)

    def _begun(self) -> Begun:
        plan = {"selection": self._letters.selection.told(), "left": self._letters.planned.left}
        return Begun(self.outcome.run, self._who, DEAD_LETTERS.name, "the stages of its letters", plan)


def _stages(settings: Settings, how: How, marked: Marked) -> Stages:
    return Stages(settings.database.conflict_policy, how.mending, marked, how.as_payload)


def _again(
    chunk: Sequence[Found], stages: Stages, erased: Mapping[str, datetime], outcome: Outcome
) -> Iterator[tuple[Letter, Again]]:
    for letter, _ in chunk:
        try:
            again = stages.again(letter)
        except StaysError as error:
            outcome.stay(letter, str(error))
            continue
        when = letter.said.accepted or letter.said.created
        devices = {letter.device, *((one.key or b"").decode(errors="replace") for one in again.records)}
        if any(device in erased and when <= erased[device] for device in devices):
            outcome.stay(letter, ERASED)
            continue
        yield letter, again


def _where(letter: Letter, again: Again) -> str:
    if again.message is not None:
        return f"webhook {again.message[0]}"
    return f"{letter.said.stage} → {again.records[0].topic}"


def _parts(agains: Sequence[tuple[Letter, Again]], most: int) -> Iterator[Sequence[tuple[Letter, Again]]]:
    for start in range(0, len(agains), most):
        yield agains[start : start + most]
