"""How far a replay has come, in a file: whoever goes on with it finds there all that it needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connectors.kafka.admin import Bounds, Partition
from schemas.errors import TidegateError
from streams.replay.selection import Selection

Count = Annotated[int, Field(ge=0)]


class CheckpointError(TidegateError):
    """The file is none of ours, or of another log."""


class Checkpoint(BaseModel):
    """A replay, and what is left of it: of each partition from where, and before where."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    # The log: an offset means nothing in another one.
    cluster: str
    topic: str
    topic_id: str
    target: str
    selection: Selection
    rate: Annotated[float, Field(gt=0)] | None = None
    left: dict[int, tuple[Count, Count]]
    copied: Count = 0

    @property
    def spans(self) -> dict[Partition, Bounds]:
        """What is left to be read."""
        return {(self.topic, number): Bounds(*span) for number, span in self.left.items()}

    def after(self, positions: Mapping[Partition, int], copied: int) -> "Checkpoint":
        """Give where it stands when reading has come to `positions`, and `copied` records were written in all."""
        left = {number: (positions.get((self.topic, number), span[0]), span[1]) for number, span in self.left.items()}
        return self.model_copy(update={"left": left, "copied": copied})

    def write(self, file: Path) -> None:
        """Write it, so that there is a whole one at any moment."""
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f"{file.name}.new")
        new.write_text(self.model_dump_json(indent=1), encoding="utf-8")
        new.replace(file)


def load(file: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: there is none there.

    """
    try:
        return Checkpoint.model_validate_json(file.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise CheckpointError(f"{file} is not the checkpoint of a replay: {where}: {first['msg']}") from None
