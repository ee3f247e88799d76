"""What copies of a replay are taken for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from schemas.origin import headers, place
from streams.agents.copies import Remembered, credited, nobody
from streams.agents.ingest import merge
from streams.agents.records import raw_batch
from streams.columns.batch import RawBatch
from tests.fakes.records import FakeRecord

KNOWN = "0b9f3c9e-9d1c-4f6a-8e0a-2f2f3c1d9b10"
SECRET = b"s" * 32
UNKNOWN = "11111111-9d1c-4f6a-8e0a-2f2f3c1d9b10"


def copy(offset: int, time: int, replay: str, accepted: int) -> FakeRecord:
    origin = place(b"elsewhere", 7, 100 + offset, accepted)
    return FakeRecord(offset, time, the_headers=headers(replay.encode(), SECRET, origin, b"k", b"v"))


def known(replays: Collection[str]) -> Mapping[str, bytes]:
    return {replay: SECRET for replay in replays if replay == KNOWN}


def batch() -> RawBatch:
    return raw_batch(
        [
            FakeRecord(1, 1_000, the_headers=[("traceparent", b"00")]),
            copy(2, 2_000, KNOWN, 5),
            copy(3, 3_000, UNKNOWN, 6),
            copy(4, 4_000, KNOWN, 9_000),
        ]
    )


def test_copies_were_accepted_when_their_origins_were() -> None:
    before = batch()
    found = credited(before, known)
    # The unknown one is a record like others, and nobody was accepted later than he was.
    assert found.accepted.tolist() == [1_000_000, 5_000, 3_000_000, 4_000_000]
    assert sorted(found.origins) == [1, 3]
    assert before.accepted.tolist() == [1_000_000, 2_000_000, 3_000_000, 4_000_000]
    assert credited(before, nobody).accepted.tolist() == before.accepted.tolist()
    assert credited(before, nobody).origins == {}


def test_the_headers_of_another_record_prove_nothing() -> None:
    stolen = replace(copy(2, 2_000, KNOWN, 5), the_value=b"another")
    found = credited(raw_batch([stolen]), known)
    assert (found.accepted.tolist(), found.origins) == ([2_000_000], {})


def test_origins_stay_with_their_records_when_batches_are_cut_and_joined() -> None:
    cut = batch().since(2)
    assert sorted(cut.origins) == [0, 1]
    assert cut.origins[1].offset == 104
    (joined,) = merge([batch(), raw_batch([FakeRecord(5), copy(6, 1, KNOWN, 1)])])
    assert {position: origin.offset for position, origin in joined.origins.items()} == {1: 102, 2: 103, 3: 104, 5: 106}


def test_each_replay_is_asked_about_once() -> None:
    asked: list[Sequence[str]] = []

    def ask(replays: Sequence[str]) -> Mapping[str, bytes]:
        asked.append(replays)
        return known(replays)

    remembered = Remembered(ask)
    assert remembered({KNOWN, UNKNOWN}) == {KNOWN: SECRET}
    assert remembered({KNOWN, UNKNOWN}) == {KNOWN: SECRET}
    assert remembered({UNKNOWN}) == {}
    assert asked == [sorted([KNOWN, UNKNOWN])]
