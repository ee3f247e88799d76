"""How far a replay has come."""

from pathlib import Path

import pytest

from connectors.kafka.admin import Bounds
from streams.replay.checkpoint import Checkpoint, CheckpointError, load
from streams.replay.selection import Selection

MADE = Checkpoint(
    id="0b9f3c9e-9d1c-4f6a-8e0a-2f2f3c1d9b10",
    cluster="c",
    topic="readings",
    topic_id="t",
    target="readings",
    selection=Selection(devices=("pump-1",), where="metrics.t > 1.0"),
    rate=10.0,
    left={0: (5, 9), 3: (0, 100)},
)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "one.json"
    moved = MADE.after({("readings", 3): 40, ("else", 0): 7}, 12)
    moved.write(file)
    assert load(file) == moved
    assert moved.spans == {("readings", 0): Bounds(5, 9), ("readings", 3): Bounds(40, 100)}
    assert (moved.copied, MADE.copied) == (12, 0)
    assert [one.name for one in file.parent.iterdir()] == ["one.json"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "{", '{"id": 1}', "\x00"])
def test_what_is_none_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "one.json"
    file.write_text(text)
    with pytest.raises(CheckpointError, match="not the checkpoint of a replay"):
        load(file)


def test_one_that_was_changed_to_nonsense_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    MADE.write(file)
    file.write_text(file.read_text().replace("100", "-100"))
    with pytest.raises(CheckpointError, match=r"left\.3"):
        load(file)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tmp_path / "another.json")
