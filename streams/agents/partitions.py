"""A partition in the hands of this worker: who we are to it, how far we are, and what its detectors know."""

from dataclasses import dataclass, field

from connectors.timescale.ledger import PartitionKey
from streams.detect.detector import Detector


@dataclass(slots=True)
class Partition:
    """The working state of one partition between being assigned and being left."""

    key: PartitionKey
    epoch: int
    next_offset: int  # the mark in the database: rows of the records below it are stored
    position: int  # what is below it went through all steps
    taken: int  # what is below it was taken in hand: the detectors have seen it
    detector: Detector = field(default_factory=Detector)
    snapshot_offset: int = 0
    limited: int = 0  # of so many series it is known what the class of their device allows
    connection: int = 0  # which of the connections its batches are stored through

    @property
    def unsaved(self) -> bool:
        """Say whether the detectors have seen more than their snapshot."""
        # Of what was taken in hand: while it is being stored, it is not known yet that nothing else will come.
        return self.taken > self.snapshot_offset
